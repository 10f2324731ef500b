"""How well PDF, EPUB, DOCX and RTF are read, against the best single libraries, in one run.

    python benchmarks/corpus/extraction_documents.py ../shared/data

Gold is text that others wrote: a Catalan book as PDF and as TXT, the same book's HTML pages packed as an EPUB, its TXT written as
DOCX and as RTF (in legacy code pages), and other PDFs with the text that markitdown's authors expect of them (made by pdfminer.six
and pdfplumber, so no gold in the strict sense: shown, not judged). Libraries that are not installed are left out of the table.
"""

import gzip
import importlib.util
import io
import re
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from metric import Match, character_match

from rodna.corpus.config import NormalizeConfig, Source
from rodna.corpus.extractors import Limits, Piece
from rodna.corpus.extractors.dispatch import extract_file
from rodna.corpus.normalize import normalize

CHAPTERS = "index start first modify dreq dother build checkit update upload advanced".split()  # noqa: SIM905
Reader = Callable[[Path], str]


def ours(path: Path) -> str:
    """Return a file's text as the pipeline makes it: extracted, then normalised."""
    pieces = [item for item in extract_file(path, Source(path="."), Limits()) if isinstance(item, Piece)]
    return "\n\n".join(normalize(piece.text, NormalizeConfig(), wrapped=bool(piece.meta.get("wrapped"))).text for piece in pieces)


def extracted(path: Path) -> str:
    """Return a file's text before it is normalised."""
    return "\n\n".join(item.text for item in extract_file(path, Source(path="."), Limits()) if isinstance(item, Piece))


def by_pypdfium2(path: Path) -> str:
    import pypdfium2

    document = pypdfium2.PdfDocument(path)
    # Deleting the mark of a word parted at a line's end is what its users are told to do.
    return "\n".join(page.get_textpage().get_text_range().replace("\ufffe", "") for page in document)


def by_pdfminer(path: Path) -> str:
    from pdfminer.high_level import extract_text

    return extract_text(path)


def by_pypdf(path: Path) -> str:
    import pypdf

    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def by_python_docx(path: Path) -> str:
    import docx

    return "\n".join(paragraph.text for paragraph in docx.Document(str(path)).paragraphs)


def by_striprtf(path: Path) -> str:
    from striprtf.striprtf import rtf_to_text

    return rtf_to_text(path.read_text(encoding="latin-1"))


def by_trafilatura(path: Path) -> str:
    """Return a book's chapters as trafilatura reads each; no EPUB library that we may use gives text."""
    import trafilatura

    with zipfile.ZipFile(path) as book:
        names = [name for name in book.namelist() if name.endswith(".html")]
        return "\n".join(trafilatura.extract(book.read(name).decode("utf-8", "replace")) or "" for name in names)


def write_epub(folder: Path, pages: list[Path]) -> Path:
    items = "".join(f'<item id="p{number}" href="{page.name}" media-type="text/html"/>' for number, page in enumerate(pages))
    spine = "".join(f'<itemref idref="p{number}"/>' for number in range(len(pages)))
    path = folder / "book.epub"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("META-INF/container.xml", '<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>')
        book.writestr("book.opf", f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>")
        for page in pages:
            book.writestr(page.name, page.read_bytes())
    return path


def write_docx(folder: Path, gold: str) -> Path:
    """Write a text with python-docx: every seventh paragraph as a table of three columns."""
    import docx

    document = docx.Document()
    for number, paragraph in enumerate(re.split(r"\n\s*\n", gold)):
        words = " ".join(paragraph.split())
        if number % 7 == 6 and len(words) > 30:
            cells = document.add_table(1, 3).rows[0].cells
            for index in range(3):
                cells[index].text = words[index * len(words) // 3 : (index + 1) * len(words) // 3]
        else:
            document.add_paragraph(words)
    data = io.BytesIO()
    document.save(data)
    path = folder / "book.docx"
    path.write_bytes(data.getvalue())
    return path


def write_rtf(folder: Path, gold: str, encoding: str) -> tuple[Path, str]:
    """Write a text as Windows programs do: a font table with character sets, letters in their code page, every ninth paragraph a note.

    Returns:
        The file, and the text with its notes at the end.
    """
    charset = {"cp1252": 0, "cp1251": 204, "cp1257": 186}[encoding]
    body, plain, notes = [], [], []
    for number, paragraph in enumerate(re.split(r"\n\s*\n", gold)):
        words = " ".join(paragraph.split())
        code = "".join(_code(character, encoding) for character in words)
        body.append("{\\footnote " + code + "}" if number % 9 == 8 else "\\f1 " + code + "\\par\n")
        (notes if number % 9 == 8 else plain).append(words)
    fonts = f"{{\\fonttbl{{\\f0\\fcharset0 Arial;}}{{\\f1\\fcharset{charset} Arial;}}}}"
    path = folder / f"book-{encoding}.rtf"
    path.write_bytes((f"{{\\rtf1\\ansi\\ansicpg1252{fonts}{{\\info{{\\title x}}}}\\f1 " + "".join(body) + "}").encode("ascii"))
    return path, "\n".join([*plain, *notes])


def _code(character: str, encoding: str) -> str:
    data = character.encode(encoding, "ignore")
    if not data:
        return "".join(f"\\u{unit}?" for unit in _units(character))
    return character if data < b"\x80" and character not in "\\{}" else f"\\'{data[0]:02x}"


def _units(character: str) -> list[int]:
    data = character.encode("utf-16-le")
    return [int.from_bytes(data[start : start + 2], "little", signed=True) for start in range(0, len(data), 2)]


def compare(name: str, path: Path, gold: str, readers: dict[str, tuple[str, Reader]]) -> None:
    print(f"\n{name}")
    best, own = 0.0, Match(0, 0, 0)
    for title, (library, read) in readers.items():
        if library and importlib.util.find_spec(library) is None:
            print(f"  {title:<24} not installed")
            continue
        start = time.perf_counter()
        text = read(path)
        seconds = time.perf_counter() - start
        match = character_match(text, gold)
        print(f"  {title:<24} F1 {match.f1:.4f}  precision {match.precision:.4f}  recall {match.recall:.4f}  {seconds:6.2f} s")
        if library:
            best = max(best, match.f1)
        else:
            own = match
    print(f"  -> {own.f1:.4f} against {best:.4f} of the best library")


def main() -> None:
    data = Path(sys.argv[1]) / "dirty"
    books = data / "debian_books"
    gold = gzip.decompress((books / "maint-guide.ca.txt.gz").read_bytes()).decode("utf-8")
    own = {"rodna, before normalising": ("", extracted), "rodna": ("", ours)}
    pdf = {"pypdfium2": ("pypdfium2", by_pypdfium2), "pdfminer.six": ("pdfminer", by_pdfminer), "pypdf": ("pypdf", by_pypdf), **own}
    compare("PDF: Catalan book", books / "maint-guide.ca.pdf", gold, pdf)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pages = [books / "maint-guide-ca-html" / f"{chapter}.ca.html" for chapter in CHAPTERS]
        compare("EPUB: the book's HTML pages", write_epub(folder, pages), gold, {"trafilatura": ("trafilatura", by_trafilatura), **own})
        compare("DOCX: the book's text", write_docx(folder, gold), gold, {"python-docx": ("docx", by_python_docx), **own})
        rtf = {"striprtf": ("striprtf", by_striprtf), **own}
        compare("RTF: the book's text in Windows-1252", *write_rtf(folder, gold, "cp1252"), rtf)
        text = (data.parent / "corpora" / "be" / "bible_charniauski_pd.txt").read_text(encoding="utf-8")[:200_000]
        compare("RTF: Belarusian in Windows-1251", *write_rtf(folder, text, "cp1251"), rtf)
    for path in sorted((data / "markitdown").glob("*.pdf")):
        expected = data / "markitdown" / "expected_outputs" / f"{path.stem}.md"
        if expected.exists() and expected.stat().st_size:
            plain = re.sub(r"[|*#]|-{3,}", " ", expected.read_text(encoding="utf-8"))
            compare(f"PDF: {path.name} (against markitdown's output)", path, plain, pdf)


if __name__ == "__main__":
    main()
