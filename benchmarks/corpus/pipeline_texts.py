"""Large inputs made of small real ones: every document again and again, each copy with words of its own.

Of every three copies two have half of their words replaced (the very first none), so that they are documents in their own right; the third
is the copy before it with 3% of its words replaced: a near copy. Everything follows from the copy's number.
"""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

WORD = re.compile(r"[^\W\d_]{3,}")
MARKUP = re.compile(r"(<script.*?</script>|<style.*?</style>|<!--.*?-->|<[^>]*>|&#?\w{1,31};)", re.DOTALL | re.IGNORECASE)
NEW, NEAR = 0.5, 0.03
PAGES = ("gimp_help_lt/*.html", "libreoffice_help_eu/*.html", "debian_books/maint-guide-ca-html/*.html", "markitdown/*.html")
LANGUAGES = ("eu", "is", "lt", "rw", "en")
DOCUMENT_CHARACTERS = 3000
FILE_BYTES = 64 << 20


class Copies:
    """Copies of one text: what `markup` matches is left as it is."""

    def __init__(self, text: str, markup: re.Pattern[str] | None = None) -> None:
        parts: list[str] = []
        places: list[int] = []
        for number, stretch in enumerate(markup.split(text) if markup else [text]):
            if number % 2:
                parts.append(stretch)
                continue
            end = 0
            for word in WORD.finditer(stretch):
                parts += [stretch[end : word.start()], word.group()]
                places.append(len(parts) - 1)
                end = word.end()
            parts.append(stretch[end:])
        self._parts, self._places = np.array(parts, dtype=object), np.array(places, dtype=np.int64)

    @property
    def words(self) -> list[str]:
        return self._parts[self._places].tolist()

    def copy(self, number: int, seed: int, vocabulary: np.ndarray) -> tuple[str, bool]:
        """Return a copy, and whether it is a near copy of the one before; copy 0 is the text itself.

        Args:
            number: of the copy.
            seed: of the text.
            vocabulary: words to take from, object (W,).
        """
        near = is_near(number)
        parts = self._parts.copy()
        if number - near > 0:
            self._change(parts, NEW, (seed, number - near), vocabulary)
        if near:
            self._change(parts, NEAR, (seed, number), vocabulary)
        return "".join(parts.tolist()), near

    def _change(self, parts: np.ndarray, share: float, seed: tuple[int, int], vocabulary: np.ndarray) -> None:
        chance = np.random.default_rng(seed)
        places = self._places[chance.random(len(self._places)) < share]
        parts[places] = vocabulary[chance.integers(len(vocabulary), size=len(places))]


def is_near(number: int) -> bool:
    return number % 3 == 2


def vocabulary_of(copies: list[Copies]) -> np.ndarray:
    """Return every word of some texts, as often as it is there; object (W,)."""
    return np.array([word for item in copies for word in item.words], dtype=object)


def pages_of(dirty: Path) -> dict[str, list[str]]:
    """Return pages of HTML by folder."""
    found = {pattern: [path.read_text(encoding="utf-8", errors="replace") for path in sorted(dirty.glob(pattern))] for pattern in PAGES}
    return {pattern: pages for pattern, pages in found.items() if pages}


def write_pages(dirty: Path, folder: Path, *, copies: int, files: int) -> int:
    """Write copies of pages into web archives; return the bytes of HTML."""
    folder.mkdir(parents=True)
    total = count = 0
    with ExitStack() as stack:
        names = [f"{number:03d}.warc.gz" for number in range(files)]
        archives = [stack.enter_context(gzip.open(folder / name, "wb", compresslevel=6)) for name in names]
        for group, (pattern, pages) in enumerate(pages_of(dirty).items()):
            texts = [Copies(page, MARKUP) for page in pages]
            vocabulary = vocabulary_of(texts)
            for copy in range(copies):
                for number, text in enumerate(texts):
                    page, near = text.copy(copy, group << 20 | number, vocabulary)
                    data = page.encode("utf-8", "replace")
                    address = f"https://example.org/{pattern.split('/')[0]}/{number}/{copy}{'/near' if near else ''}"
                    archives[count % files].write(_record(data, address, count))
                    total, count = total + len(data), count + 1
    return total


def _record(page: bytes, address: str, number: int) -> bytes:
    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(page) + page
    fields = {
        "WARC-Type": "response",
        "WARC-Record-ID": f"<urn:uuid:00000000-0000-4000-8000-{number:012d}>",
        "WARC-Date": "2026-01-01T00:00:00Z",
        "WARC-Target-URI": address,
        "WARC-Identified-Payload-Type": "text/html",
        "Content-Type": "application/http; msgtype=response",
        "Content-Length": str(len(body)),
    }
    return ("WARC/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode() + body + b"\r\n\r\n"


def texts_of(corpora: Path) -> dict[str, list[str]]:
    """Return documents of about `DOCUMENT_CHARACTERS` by language, cut between lines."""
    found: dict[str, list[str]] = {}
    for language in LANGUAGES:
        documents: list[str] = []
        for path in sorted((corpora / language).glob("*.txt")):
            lines: list[str] = []
            size = 0
            # A size that varies, as documents do: a third to five thirds of the usual.
            limit = DOCUMENT_CHARACTERS
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                lines.append(line)
                size += len(line) + 1
                if size >= limit:
                    documents.append("\n".join(lines))
                    limit = DOCUMENT_CHARACTERS * (1 + 7 * len(documents) % 5) // 3
                    lines, size = [], 0
            if size > 200:
                documents.append("\n".join(lines))
        found[language] = documents
    return found


def documents(corpora: Path, num_bytes: int) -> Iterator[tuple[str, str]]:
    """Yield (id, text), copy after copy, until there is so much text; ids of near copies end in `/near`."""
    texts = {language: [Copies(text) for text in items] for language, items in texts_of(corpora).items()}
    vocabularies = {language: vocabulary_of(items) for language, items in texts.items()}
    total = copy = 0
    while True:
        for group, (language, items) in enumerate(texts.items()):
            for number, item in enumerate(items):
                text, near = item.copy(copy, group << 20 | number, vocabularies[language])
                yield f"{language}/{number}/{copy}{'/near' if near else ''}", text
                total += len(text.encode())
                if total >= num_bytes:
                    return
        copy += 1


def write_texts(corpora: Path, folder: Path, *, num_bytes: int, file_bytes: int = FILE_BYTES) -> int:
    """Write documents as JSON Lines packed with zstd, a file for every so many bytes; return the bytes of text."""
    import zstandard

    folder.mkdir(parents=True)
    total = size = 0
    file = None
    for identity, text in documents(corpora, num_bytes):
        if file is None:
            path = folder / f"{len(list(folder.iterdir())):05d}.jsonl.zst"
            file = zstandard.ZstdCompressor(level=1).stream_writer(path.open("wb"))
        file.write(json.dumps({"id": identity, "text": text}, ensure_ascii=False).encode() + b"\n")
        size += len(text.encode())
        if size >= file_bytes:
            file.close()
            file, total, size = None, total + size, 0
    if file is not None:
        file.close()
    return total + size
