"""Plain text, in any encoding."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.encodings import Encoding, detect, read_text
from rodna.corpus.extractors import Limits, Piece, Rejected, kind_of_binary


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
        yield Piece(text, meta)


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
