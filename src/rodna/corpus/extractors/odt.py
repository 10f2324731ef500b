"""ODT: paragraphs, headings, lists, tables, notes and formulas; deleted text, comments and indexes left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.packed_xml import Package, UnreadableError, attribute, core_meta, local

_LEFT_OUT = frozenset(
    """annotation annotation-end tracked-changes table-of-content illustration-index table-index object-index user-index alphabetical-index
    bibliography forms sequence-decls note-citation desc title scripts font-face-decls automatic-styles""".split()  # noqa: SIM905
)


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield a document's text; notes stand at its end.

    Args:
        path: an ODT (OpenDocument text).
        source: its `document` says what one document is.
        limits: `max_page_bytes` is the most that the text with its markup may have.
    """
    try:
        with Package(path, limits) as package:
            if "META-INF/manifest.xml" in package.names and b"encryption-data" in package.read("META-INF/manifest.xml"):
                yield Rejected("password_protected", "save it without a password", package.size_bytes)
                return
            reader = _Reader(package)
            text = reader.text(package.xml("content.xml"))
            meta = core_meta(package, "meta.xml")
    except UnreadableError as error:
        yield error.rejected
        return
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, meta)


class _Reader:
    """Turns elements into text; the bodies of notes wait until the end."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._notes: list[Any] = []

    def text(self, root: Any) -> str:
        """Return all text below an element, a blank line between paragraphs, none between rows and items; then the notes'."""
        parts = self._joined(self._blocks(root))
        while self._notes:
            note = self._notes.pop(0)
            parts += ["\n\n", *self._joined(self._blocks(note))]
        return "".join(parts).strip("\n")

    def _joined(self, blocks: Iterator[tuple[str, str]]) -> list[str]:
        parts: list[str] = []
        was_item = False
        for kind, text in blocks:
            if text.strip():
                parts += ["\n" if kind != "p" and was_item else "\n\n", text] if parts else [text]
                was_item = kind != "p"
        return parts

    def _blocks(self, root: Any, kind: str = "p") -> Iterator[tuple[str, str]]:
        for node in root:
            name = local(node)
            if name in ("p", "h"):
                frames: list[Any] = []
                yield kind, self._inline(node, frames).strip()
                for frame in frames:
                    yield from self._blocks(frame)
            elif name == "table-row":
                cells = [list(self._blocks(cell)) for cell in node if local(cell) == "table-cell"]
                if any(len([text for _, text in cell if text]) > 1 for cell in cells):
                    yield from (block for cell in cells for block in cell)
                else:
                    yield "row", "\t".join(text.replace("\n", " ") for cell in cells for _, text in cell if text)
            elif name not in _LEFT_OUT:
                yield from self._blocks(node, "item" if name == "list-item" else kind)

    def _inline(self, root: Any, frames: list[Any]) -> str:
        parts = [root.text or ""]
        for node in root:
            name = local(node)
            if name == "s":
                parts.append(" ")
            elif name in ("tab", "line-break"):
                parts.append("\t" if name == "tab" else "\n")
            elif name == "note":
                self._notes += [child for child in node if local(child) == "note-body"]
            elif name == "text-box":
                frames.append(node)
            elif name == "object":
                parts.append(self._formula(attribute(node, "href")))
            elif name and name not in _LEFT_OUT:
                parts.append(self._inline(node, frames))
            parts.append(node.tail or "")
        return "".join(parts)

    def _formula(self, reference: str) -> str:
        """Return a formula as it was typed, "" for any other object."""
        name = f"{reference.removeprefix('./')}/content.xml"
        if name not in self._package.names:
            return ""
        try:
            root = self._package.xml(name)
        except UnreadableError:
            return ""
        if local(root) != "math":
            return ""
        typed = next((node.text for node in root.iter() if local(node) == "annotation" and node.text), "")
        return " ".join((typed or "".join(root.itertext())).split())
