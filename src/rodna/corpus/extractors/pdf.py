"""PDF: the text layer as running text; pages that are pictures of text are counted, or read by Tesseract where that is wanted."""

import ctypes
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from rodna.core.registry import PluginError
from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.ocr import check_ocr, read_page
from rodna.corpus.extractors.pdf_layout import HYPHEN, Line, text_of_pages
from rodna.corpus.extractors.spaces import squeezed

_PASSWORD_ERROR = 4
MIN_READABLE_SHARE = 0.7
"""Where fewer of a page's characters are real ones, its fonts do not say which letters their glyphs are: it is as good as a picture."""
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield a PDF's text, lines and paragraphs as printed (`meta` has `wrapped`), then one rejection for the pages that are pictures.

    Args:
        path: the file.
        source: its `document` says what one document is.
        limits: with `ocr`, pages without text are rendered and read; `enter` is asked for each page.

    Raises:
        PluginError: the package that reads PDF, or Tesseract or one of its languages where they are wanted, is not installed: that is no
            fault of the file, which would be left out for good.
    """
    try:
        import pypdfium2
    except ImportError as error:
        raise PluginError("PDF files need the package pypdfium2", where=str(path), fix="run `pip install 'rodna[pdf]'`, or leave "
                          "them out of the sources") from error  # fmt: skip

    size_bytes = path.stat().st_size
    if limits.ocr:
        check_ocr(limits.ocr)
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", 0) == _PASSWORD_ERROR:
            yield Rejected("password_protected", "save it without a password", size_bytes)
        else:
            yield Rejected("damaged", f"not a PDF that can be opened ({error})", size_bytes)
        return
    with closing(document):
        read = _Pages(document, limits)
        text = text_of_pages(read.lines, read.links)
        meta = _meta(document) | ({"ocr": limits.ocr, "ocr_pages": read.num_recognised} if read.num_recognised else {})
        num_pages = len(document)
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, meta)
    for reason, numbers, why in (
        ("page_needs_ocr", read.pictures, "are pictures without text: set corpus.extract.ocr to read them with Tesseract"),
        ("page_needs_ocr", read.undecodable, "have fonts that do not tell their letters: set corpus.extract.ocr"),
        ("page_without_text", read.unread, "are pictures in which Tesseract found no text"),
        ("damaged", read.damaged, "cannot be read"),
    ):
        if numbers:
            detail = f"{len(numbers):,} of {num_pages:,} pages {why}: {ranges(numbers)}"
            yield Rejected(reason, detail, size_bytes * len(numbers) // num_pages)


class _Pages:
    """All pages of a document, read; the numbers of those that gave no text, by why."""

    def __init__(self, document: Any, limits: Limits) -> None:
        self.lines: list[list[Line]] = []
        self.links: set[str] = set()
        self.pictures: list[int] = []
        self.undecodable: list[int] = []
        self.unread: list[int] = []
        self.damaged: list[int] = []
        self.num_recognised = 0
        self._document, self._limits = document, limits
        for number in range(1, len(document) + 1):
            if limits.enter(f"page {number}"):
                self._read(number)

    def _read(self, number: int) -> None:
        import pypdfium2

        try:
            page = self._document[number - 1]
        except pypdfium2.PdfiumError:
            self.damaged.append(number)
            return
        with closing(page), closing(page.get_textpage()) as textpage:
            lines = lines_of(textpage)
            text = "".join(line.text for line in lines)
            is_readable = _is_readable(text)
            if text and is_readable:
                self.lines.append(lines)
                self.links |= _links(self._document, page)
            elif self._limits.ocr and (text or _has_content(page)):
                self._recognise(number, page)
            elif text:
                self.undecodable.append(number)
            elif _has_content(page):
                self.pictures.append(number)

    def _recognise(self, number: int, page: Any) -> None:
        lines = read_page(page, self._limits.ocr)
        if lines:
            self.num_recognised += 1
            self.lines.append(lines)
        else:
            self.unread.append(number)


def lines_of(textpage: Any) -> list[Line]:
    """Return the printed lines of a page's text layer, in the order of the file."""
    import pypdfium2.raw as pdfium

    text = textpage.get_text_range(errors="replace")
    # Characters beyond the first plane take two of PDFium's places.
    is_wide = any(character > "\uffff" for character in text)
    box, x, y = pdfium.FS_RECTF(), ctypes.c_double(), ctypes.c_double()
    lines: list[Line] = []
    start = 0
    for printed in text.replace("\r\n", "\r").split("\r"):
        pieces = printed.split(HYPHEN)
        for index, piece in enumerate(pieces):
            width = len(piece) + (sum(character > "\uffff" for character in piece) if is_wide else 0)
            bare = piece.strip()
            if bare:
                first = start + piece.index(bare[0])
                letter = next((place for place in range(len(piece) // 2, len(piece)) if piece[place].isalnum()), piece.index(bare[0]))
                pdfium.FPDFText_GetLooseCharBox(textpage, first, box)
                left = box.left
                pdfium.FPDFText_GetLooseCharBox(textpage, start + letter, box)
                size = box.top - box.bottom
                pdfium.FPDFText_GetCharOrigin(textpage, start + letter, x, y)
                base = y.value
                pdfium.FPDFText_GetLooseCharBox(textpage, start + width - 1 - (len(piece) - len(piece.rstrip())), box)
                right = box.right
                shown = _with_superscripts(textpage, piece, start, (base, size)) if not is_wide else piece
                lines.append(Line(squeezed(shown), left, right, base, max(size, 0.1), index < len(pieces) - 1))
            start += width + 1
        start += 1
    return lines


def _with_superscripts(textpage: Any, text: str, start: int, place: tuple[float, float]) -> str:
    """Write raised digits, marks of notes mostly, as the superscripts they are: "word²", not "word2".

    Args:
        textpage: PDFium's.
        text: one line.
        start: its first character's number on the page.
        place: the line's base and size, in points.
    """
    import pypdfium2.raw as pdfium

    base, size = place
    x, y = ctypes.c_double(), ctypes.c_double()
    characters = list(text)
    for index, character in enumerate(characters):
        if character in "0123456789":
            pdfium.FPDFText_GetCharOrigin(textpage, start + index, x, y)
            if 0.15 * size < y.value - base < size:
                characters[index] = character.translate(_SUPERSCRIPTS)
    return "".join(characters)


def _is_readable(text: str) -> bool:
    bad = sum(character == "\ufffd" or "\ue000" <= character <= "\uf8ff" or character < " " for character in text)
    return bad <= (1 - MIN_READABLE_SHARE) * len(text)


def _has_content(page: Any) -> bool:
    return next(iter(page.get_objects(max_depth=3)), None) is not None


def _links(document: Any, page: Any) -> set[str]:
    """Return the addresses that a page's links lead to."""
    import pypdfium2.raw as pdfium

    found: set[str] = set()
    position, link = ctypes.c_int(0), pdfium.FPDF_LINK()
    while pdfium.FPDFLink_Enumerate(page, position, link):
        action = pdfium.FPDFLink_GetAction(link)
        length = pdfium.FPDFAction_GetURIPath(document, action, None, 0) if action else 0
        if 1 < length < 4096:
            buffer = ctypes.create_string_buffer(length)
            pdfium.FPDFAction_GetURIPath(document, action, buffer, length)
            found.add(buffer.value.decode("utf-8", "replace"))
    return found


def _meta(document: Any) -> dict[str, Any]:
    known = document.get_metadata_dict(skip_empty=True)
    meta = {"title": known.get("Title", "").strip()[:500], "author": known.get("Author", "").strip()[:500]}
    return {"wrapped": True, "pages": len(document), **{key: value for key, value in meta.items() if value}}


def ranges(numbers: list[int]) -> str:
    """Return page numbers, in order, as a person writes them: `1-3, 7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in parts]
    return ", ".join(shown[:40]) + (f" and {len(shown) - 40} more" if len(shown) > 40 else "")
