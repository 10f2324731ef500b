"""Drawings (SVG): their labels and paragraphs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.spaces import squeezed
from rodna.corpus.extractors.xml import local_name, parse

_BLOCKS = frozenset({"text", "flowRoot", "flowPara", "flowDiv", "foreignObject", "desc", "p", "div", "li"})
_LEFT_OUT = frozenset({"metadata", "script", "style", "title", "namedview", "RDF"})


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the text of a drawing, a line for each line drawn.

    Args:
        path: an SVG file.
        source: its `document` says what one document is.
        limits: larger files than `max_page_bytes` are rejected; longer documents are cut.
    """
    root = parse(path, limits)
    if isinstance(root, Rejected):
        yield root
        return
    text = "\n".join(lines_of(root))
    if not text:
        yield Rejected("no_text", "nothing in the drawing is text (letters may have been turned into shapes)", path.stat().st_size)
        return
    title = next((" ".join("".join(node.itertext()).split())[:200] for node in root if local_name(node) == "title"), "")
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, {"title": title} if title else {})


def lines_of(root: Any) -> Iterator[str]:
    """Yield the lines of a drawing in the order of the file, which is the order it was drawn in."""
    for node in root.iter():
        if local_name(node) in ("text", "flowRoot", "desc", "foreignObject") and not _inside_text(node):
            yield from _paragraphs(node)


def _inside_text(node: Any) -> bool:
    return any(local_name(parent) in _BLOCKS | _LEFT_OUT for parent in node.iterancestors())


def _paragraphs(block: Any) -> Iterator[str]:
    parts: list[str] = []
    for event, node in _walk(block):
        name = local_name(node)
        if event == "start":
            if name in _BLOCKS or _starts_line(node):
                parts.append("\n")
            parts.append((node.text or "").replace("\n", " ") if name not in _LEFT_OUT else "")
        else:
            if name in _BLOCKS:
                parts.append("\n")
            parts.append((node.tail or "").replace("\n", " ") if node is not block else "")
    for line in "".join(parts).split("\n"):
        line = squeezed(line)
        # A list's bullets are drawn as texts of their own.
        if any(map(str.isalnum, line)):
            yield line


def _walk(block: Any) -> Iterator[tuple[str, Any]]:
    import lxml.etree

    return lxml.etree.iterwalk(block, events=("start", "end"))


def _starts_line(node: Any) -> bool:
    """Return whether a `tspan` begins a new line: it says so, or stands at a height of its own."""
    return local_name(node) == "tspan" and any(
        (key.rpartition("}")[2] == "role" and value == "line") or (key == "y" and "x" in node.attrib) for key, value in node.attrib.items()
    )
