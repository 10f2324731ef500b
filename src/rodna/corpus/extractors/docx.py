"""DOCX: paragraphs, lists, tables, notes and formulas; deleted text, comments, heads and feet left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.packed_xml import Package, UnreadableError, attribute, core_meta, local

_LEFT_OUT = frozenset(
    {"del", "moveFrom", "delText", "instrText", "delInstrText", "pPr", "rPr", "tblPr", "sectPr", "Fallback", "sdtPr", "commentRangeStart"}
)
_MARKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": "\u00ad", "ptab": "\t"}
_NOTES = {"footnoteReference": "footnote", "endnoteReference": "endnote"}


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield a document's text; notes stand at its end, in the order in which the text refers to them.

    Args:
        path: a DOCX (Office Open XML, strict or transitional).
        source: its `document` says what one document is.
        limits: `max_page_bytes` is the most that the text with its markup may have.
    """
    try:
        with Package(path, limits) as package:
            body = package.xml(_main_part(package))
            notes = {kind: _notes(package, f"word/{kind}s.xml", kind) for kind in ("footnote", "endnote")}
            meta = core_meta(package, "docProps/core.xml")
    except UnreadableError as error:
        yield error.rejected
        return
    reader = _Reader()
    text = reader.text(body)
    notes_text = [reader.text(notes[kind][identity]) for kind, identity in reader.references if identity in notes[kind]]
    whole = "\n\n".join(part for part in (text, *notes_text) if part)
    for part in documents_of([whole], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, meta)


def _main_part(package: Package) -> str:
    for node in package.xml("_rels/.rels").iter() if "_rels/.rels" in package.names else ():
        if node.get("Type", "").endswith("/officeDocument"):
            return node.get("Target", "").lstrip("/")
    return "word/document.xml"


def _notes(package: Package, name: str, kind: str) -> dict[str, Any]:
    if name not in package.names:
        return {}
    return {attribute(node, "id"): node for node in package.xml(name) if local(node) == kind and not attribute(node, "type")}


class _Reader:
    """Turns elements into text and remembers the notes they refer to, as kind and id."""

    def __init__(self) -> None:
        self.references: list[tuple[str, str]] = []

    def text(self, root: Any) -> str:
        """Return the text below an element: a blank line between paragraphs, none between the items of a list or the rows of a table."""
        parts: list[str] = []
        was_item = False
        for kind, text in self._blocks(root):
            if not text.strip():
                continue
            if parts:
                parts.append("\n" if kind != "p" and was_item else "\n\n")
            parts.append(text)
            was_item = kind != "p"
        return "".join(parts)

    def _blocks(self, root: Any) -> Iterator[tuple[str, str]]:
        for node in root:
            name = local(node)
            if name == "p":
                is_item = any(local(child) == "numPr" for child in node.iterfind("./{*}pPr/*"))
                boxes: list[Any] = []
                yield "item" if is_item else "p", self._inline(node, boxes).strip()
                for box in boxes:
                    yield from self._blocks(box)
            elif name == "tbl":
                yield from self._rows(node)
            elif name == "sdt" and _is_contents(node):
                continue
            elif name not in _LEFT_OUT:
                yield from self._blocks(node)

    def _rows(self, table: Any) -> Iterator[tuple[str, str]]:
        for row in table.iterfind("./{*}tr"):
            cells = [list(self._blocks(cell)) for cell in row.iter() if local(cell) == "tc" and _row_of(cell) is row]
            # Tables that lay out a page have paragraphs in their cells; those of data have words.
            if any(len([text for _, text in cell if text]) > 1 for cell in cells):
                yield from (block for cell in cells for block in cell)
            else:
                yield "row", "\t".join(text.replace("\n", " ") for cell in cells for _, text in cell if text)

    def _inline(self, root: Any, boxes: list[Any]) -> str:
        parts: list[str] = []
        for node in root:
            name = local(node)
            if name == "t":
                parts.append(node.text or "")
            elif name in _MARKS:
                parts.append(_MARKS[name])
            elif name in _NOTES:
                self.references.append((_NOTES[name], attribute(node, "id")))
            elif name == "oMath":
                parts.append(formula(node))
            elif name == "txbxContent":
                boxes.append(node)
            elif name not in _LEFT_OUT:
                parts.append(self._inline(node, boxes))
        return "".join(parts)


def _row_of(cell: Any) -> Any:
    """Return the row that a cell is in; content controls may stand between them."""
    node = cell.getparent()
    while node is not None and local(node) != "tr":
        node = node.getparent()
    return node


def _is_contents(node: Any) -> bool:
    return any(attribute(child, "val") == "Table of Contents" for child in node.iterfind("./{*}sdtPr//{*}docPartGallery"))


def formula(node: Any) -> str:
    """Return an Office formula as it would be typed: `(a+b)/2`, `x^2`, `√(y)`. Reference: ECMA-376 part 1, section 22.1."""
    name = local(node)
    part = {local(child): formula(child) for child in node} if name in ("f", "sSup", "sSub", "sSubSup", "rad", "nary", "d", "func") else {}
    base = part.get("e", "")
    if name == "f":
        return f"{_bracketed(part.get('num', ''))}/{_bracketed(part.get('den', ''))}"
    if name in ("sSup", "sSub", "sSubSup"):
        sub, sup = part.get("sub", ""), part.get("sup", "")
        return base + (f"_{_bracketed(sub)}" if sub else "") + (f"^{_bracketed(sup)}" if sup else "")
    if name == "rad":
        return f"{part.get('deg', '')}√{_bracketed(base)}"
    if name == "nary":
        sub, sup = part.get("sub", ""), part.get("sup", "")
        sign = next((attribute(child, "val") for child in node.iter() if local(child) == "chr"), "∫")
        return sign + (f"_{_bracketed(sub)}" if sub else "") + (f"^{_bracketed(sup)}" if sup else "") + f" {base}"
    if name == "d":
        marks = {local(child): attribute(child, "val") for child in node.iterfind("./{*}dPr/*")}
        inside = marks.get("sepChr", "|").join(formula(child) for child in node if local(child) == "e")
        return f"{marks.get('begChr', '(')}{inside}{marks.get('endChr', ')')}"
    if name == "func":
        return f"{part.get('fName', '')} {base}"
    if name == "mr":
        return " ".join(formula(child) for child in node)
    if name == "t":
        return (node.text or "").replace("\u2061", " ")  # the sign that a function is applied has no shape
    return ("; " if name == "m" else "").join(text for child in node if (text := formula(child)))


def _bracketed(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() else f"({text})"
