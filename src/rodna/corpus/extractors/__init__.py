"""Extractors: one file a format, each `extract(path, source, limits) -> Iterator[Piece | Rejected]`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from rodna.core import registry
from rodna.corpus.config import Source
from rodna.corpus.extractors.formats import kind_of_binary, sniff
from rodna.corpus.extractors.unpacking import Budget

__all__ = ["Extractor", "Limits", "Piece", "Rejected", "format_of", "kind_of_binary", "load_extractor", "sniff"]


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
    file may unpack to; `depth`: how many more archives may lie inside each other; `ocr`: Tesseract's languages, "" for none;
    `budget`: counts what a file and everything inside it unpack to, None before the outermost is opened.

    An extractor whose file holds many documents calls `enter` with each one's name before parsing it, and leaves out those it answers
    False for: that is how a document that a parser did not survive costs nothing but itself.
    """

    max_document_bytes: int = 1 << 20
    max_page_bytes: int = 64 << 20
    max_unpacked_bytes: int = 1 << 40
    depth: int = 3
    ocr: str = ""
    enter: Callable[[str], bool] = _always
    budget: Budget | None = None


class Extractor(Protocol):
    """Reads one file; registered under `rodna.extractors`. May raise a `RodnaError` where the whole file is of no use."""

    def __call__(self, path: Path, source: Source, limits: Limits, /) -> Iterator[Piece | Rejected]: ...


@cache
def load_extractor(name: str) -> Extractor:
    """Return the extractor registered under a name.

    Raises:
        PluginError: there is none of that name.
    """
    return registry.load("rodna.extractors", name)


def format_of(path: Path, name: str = "") -> str:
    """Return the extractor for a file: by its content where that is unmistakable, then by its name; "" where none fits.

    Args:
        path: the file.
        name: what it is called, where that is not the path's own name: a member of an archive.
    """
    return sniff(path, name).extractor
