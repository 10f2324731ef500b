"""Plain text, in any encoding."""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.encodings import Encoding, detect, read_text
from rodna.corpus.extractors import Limits, Piece, Rejected, kind_of_binary

MIN_ENTITIES = 3
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the documents of a text file; memory use does not grow with its size.

    Args:
        path: the file.
        source: its `document` says what one document is.
        limits: longer documents are cut.
    """
    return extract_plain(path, source, limits=limits, plain=iter)


def extract_plain(
    path: Path, source: Source, *, limits: Limits, plain: Callable[[Iterable[str]], Iterator[str]]
) -> Iterator[Piece | Rejected]:
    """Yield the documents of a file of text with markup that `plain` removes as it reads."""
    encoding = detect(path)
    if not encoding.name:
        yield reject_undecodable(path, encoding)
        return
    meta = {} if encoding.name in ("utf-8", "utf-8-sig") else {"encoding": encoding.name}
    for text in documents_of(plain(read_text(path, encoding)), source, max_bytes=limits.max_document_bytes):
        yield Piece(decode_entities(text), meta)


def decode_entities(text: str) -> str:
    """Return a text with its HTML entities (`&nbsp;`, `&#39;`) decoded, where it shows that somebody encoded all of it.

    That is so where every ampersand begins an entity that HTML knows, and there are several: a text that merely mentions one stays.
    """
    import html

    num_marks = text.count("&")
    if num_marks < MIN_ENTITIES:
        return text
    entities = _ENTITY.findall(text)
    return html.unescape(text) if len(entities) == num_marks and all(html.unescape(entity) != entity for entity in set(entities)) else text


def reject_undecodable(path: Path, encoding: Encoding) -> Rejected:
    """Return the rejection of a file that holds no text, or text in an encoding nobody can name."""
    if not encoding.guess:
        return reject_binary(path)
    detail = f"no known encoding fits (best guess: {encoding.guess}, {encoding.confidence:.0%} sure): convert the file to UTF-8"
    with path.open("rb") as file:
        return Rejected("unknown_encoding", detail, path.stat().st_size, file.read(400).decode("ascii", "replace"))


def reject_binary(path: Path) -> Rejected:
    """Return the rejection of a file that holds no text, naming what it is where its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(4096)
    kind = kind_of_binary(head)
    detail = f"{kind}: convert it to text first" if kind else f"{head.count(0):,} NUL bytes among the first {len(head):,}"
    return Rejected("not_text", detail, path.stat().st_size)
