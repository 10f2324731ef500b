"""Extractors: one file a format, each `extract(path, source, limits) -> Iterator[Piece | Rejected]`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from rodna.core import registry
from rodna.corpus.config import Source


@dataclass(frozen=True)
class Piece:
    """One document's text as it stands in a file, not yet normalized."""

    text: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """Something that should have been a document but cannot be read."""

    reason: str
    detail: str
    size_bytes: int
    excerpt: str = ""


def _always(name: str) -> bool:
    return True


@dataclass(frozen=True)
class Limits:
    """What an extractor may cost, and what it must keep to.

    `max_document_bytes`: longer texts are cut; `max_page_bytes`: what a parser takes as a whole; `max_unpacked_bytes`: what a compressed
    file may unpack to; `depth`: how many more archives may lie inside each other; `ocr`: Tesseract's languages, "" for none.

    An extractor whose file holds many documents calls `enter` with each one's name before parsing it, and leaves out those it answers
    False for: that is how a document that a parser did not survive costs nothing but itself.
    """

    max_document_bytes: int = 1 << 20
    max_page_bytes: int = 64 << 20
    max_unpacked_bytes: int = 1 << 40
    depth: int = 3
    ocr: str = ""
    enter: Callable[[str], bool] = _always


class Extractor(Protocol):
    """Reads one file; registered under `rodna.extractors`. May raise a `RodnaError` where the whole file is of no use."""

    def __call__(self, path: Path, source: Source, limits: Limits, /) -> Iterator[Piece | Rejected]: ...


SUFFIXES = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".jsonl": "json_lines",
    ".ndjson": "json_lines",
    ".parquet": "parquet",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
}
"""File name endings and the extractor that reads them; other endings are judged by their content."""

BINARY_SIGNATURES = {
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP (a DOCX, EPUB or other packed file)",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x89PNG": "PNG image",
    b"\xff\xd8\xff": "JPEG image",
    b"GIF8": "GIF image",
    b"\xd0\xcf\x11\xe0": "old Microsoft Office",
    b"{\\rtf": "RTF",
    b"SQLite format 3": "SQLite",
    b"ID3": "MP3 sound",
    b"OggS": "Ogg sound",
    b"RIFF": "RIFF sound or video",
    b"\x7fELF": "program",
}
"""How files that hold no plain text begin."""


@cache
def load_extractor(name: str) -> Extractor:
    """Return the extractor registered under a name.

    Raises:
        PluginError: there is none of that name.
    """
    return registry.load("rodna.extractors", name)


def format_of(path: Path) -> str:
    """Return the extractor for a file: by its content where that is unmistakable, then by its name; "" where none fits."""
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"PAR1"):
        return "parquet"
    if any(head.startswith(signature) for signature in BINARY_SIGNATURES):
        return ""
    by_name = SUFFIXES.get(path.suffix.lower())
    if by_name is not None:
        return by_name
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "html"
    if start.startswith(b'{"') and b'":' in start:
        return "json_lines"
    return "text"


def kind_of_binary(head: bytes) -> str:
    """Return what a file that begins like this is, "" where it may be text."""
    return next((kind for signature, kind in BINARY_SIGNATURES.items() if head.startswith(signature)), "")
