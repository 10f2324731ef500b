"""PDF: running text from pages, with nothing that only the page needed; and pages that hold no text, counted."""

import shutil
import sys
import zlib

import pytest

from rodna.core.errors import CorpusError
from rodna.core.registry import PluginError
from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.dispatch import extract_file
from rodna.corpus.extractors.ocr import check_ocr, lines_of_table
from rodna.corpus.extractors.pdf import ranges
from rodna.corpus.extractors.pdf_layout import HYPHEN, Line, in_reading_order, text_of_pages

SOURCE = Source(path=".")


def shown(text, x, y, size=10):
    return f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET\n"


def make_pdf(pages, trailer=""):
    """Return a PDF whose pages have the contents given, in PDF's own drawing language; an empty string is a blank page."""
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    for number, content in enumerate(pages):
        resources = "/Resources<</Font<</F1 3 0 R>>>>/MediaBox[0 0 600 800]"
        objects.append(f"<</Type/Page/Parent 2 0 R{resources}/Contents {5 + 2 * number} 0 R>>")
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(data))
        data += f"{number} 0 obj{body}endobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer<</Size {len(objects) + 1}/Root 1 0 R{trailer}>>\n"
    return data + end.encode() + f"startxref\n{len(data)}\n%%EOF".encode()


PICTURE = "0.5 g 100 100 300 300 re f\n"


def read(tmp_path, data, **limits):
    path = tmp_path / "a.pdf"
    path.write_bytes(data)
    return list(extract_file(path, SOURCE, Limits(**limits)))


def line(text, base, *, left=50.0, right=550.0, size=10.0, goes_on=False):
    return Line(text, left, right, base, size, goes_on)


def test_lines_and_paragraphs_are_kept_for_the_reflow_to_join(tmp_path):
    page = shown("First line of a paragraph", 50, 700) + shown("second line of it.", 50, 688) + shown("Another paragraph.", 50, 640)
    (item,) = read(tmp_path, make_pdf([page]))
    assert isinstance(item, Piece)
    assert item.text == "First line of a paragraph\nsecond line of it.\n\nAnother paragraph."
    assert item.meta == {"wrapped": True, "pages": 1}


def test_marks_of_notes_are_superscripts_and_other_digits_are_not(tmp_path):
    (item,) = read(tmp_path, make_pdf([shown("A word", 50, 700) + shown("12", 81, 704, 6) + shown("and 34 more", 100, 700)]))
    assert item.text == "A word¹² and 34 more"


def test_pages_that_are_pictures_are_counted_and_reported_with_their_numbers(tmp_path):
    items = read(tmp_path, make_pdf([shown("Text", 50, 700), PICTURE, PICTURE, "", PICTURE]))
    assert [item.text for item in items if isinstance(item, Piece)] == ["Text"]
    (rejected,) = [item for item in items if isinstance(item, Rejected)]
    assert rejected.reason == "page_needs_ocr"
    assert rejected.detail.startswith("3 of 5 pages are pictures without text")
    assert rejected.detail.endswith(": 2-3, 5")


def test_a_pdf_of_blank_pages_is_a_blank_file(tmp_path):
    (item,) = read(tmp_path, make_pdf(["", ""]))
    assert item.reason == "blank_file"


def test_letters_without_meaning_are_as_good_as_a_picture(tmp_path):
    data = make_pdf([shown("\\001\\002\\003\\004\\005\\006\\016\\017", 50, 700)])
    (item,) = read(tmp_path, data)
    assert item.reason == "page_needs_ocr"


def test_without_the_package_for_pdf_nothing_is_dropped_for_good_and_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    with pytest.raises(PluginError, match="PDF files need the package pypdfium2") as error:
        read(tmp_path, make_pdf([shown("Text", 50, 700)]))
    assert error.value.fix.startswith("run `pip install 'rodna[pdf]'`")


def test_a_password_is_asked_for(tmp_path):
    # The standard handler, revision 2, with keys that fit no empty password.
    encrypt = f"/Encrypt<</Filter/Standard/V 1/R 2/O<{'11' * 32}>/U<{'22' * 32}>/P -4>>/ID[<{'33' * 16}><{'33' * 16}>]"
    (item,) = read(tmp_path, make_pdf([shown("secret", 50, 700)], encrypt))
    assert item.reason == "password_protected"
    assert "without a password" in item.detail


def test_a_broken_pdf_is_one_rejection(tmp_path):
    (item,) = read(tmp_path, b"%PDF-1.7 and nothing more")
    assert item.reason == "damaged"
    assert "not a PDF that can be opened" in item.detail


def test_a_truncated_pdf_gives_what_it_still_has_or_a_reason(tmp_path):
    data = make_pdf([shown("Still there", 50, 700), shown("Lost", 50, 700)])
    for share in (0.3, 0.6, 0.9):
        assert read(tmp_path, data[: int(len(data) * share)])


def test_a_page_whose_stream_is_a_bomb_costs_no_more_than_its_page(tmp_path):
    bomb = zlib.compress(bytes(8 << 20), 9)
    data = make_pdf([shown("Before", 50, 700), "x"])
    data = data.replace(b"<</Length 1>>stream\nx\n", b"<</Filter/FlateDecode/Length %d>>stream\n" % len(bomb) + bomb + b"\n")
    items = read(tmp_path, data)
    assert [item.text for item in items if isinstance(item, Piece)] == ["Before"]


def test_each_page_may_be_left_out(tmp_path):
    pages = [shown(f"Page of {word}", 50, 700) for word in ("one", "two", "three")]
    items = read(tmp_path, make_pdf(pages), enter=lambda name: name != "page 2")
    assert "one" in items[0].text
    assert "two" not in items[0].text
    assert "three" in items[0].text


def test_running_heads_and_page_numbers_go_but_not_what_heads_a_chapter(tmp_path):
    pages = [
        [line(f"Book of tests {number}", 780), line("Chapter 1", 700, size=20), line(f"Words {word}.", 600), line(f"{number} / 4", 30)]
        for number, word in enumerate(("alpha", "beta", "gamma", "delta"), start=1)
    ]
    text = text_of_pages(pages)
    assert "Book of tests" not in text
    assert "/ 4" not in text
    assert text.count("Chapter 1") == 4
    assert "Words alpha." in text


def test_what_stands_on_two_pages_only_stays():
    assert text_of_pages([[line("A poem", 780), line("one", 700)], [line("A poem", 780), line("two", 700)]]).count("A poem") == 2


def test_notes_go_behind_their_chapter_so_that_a_paragraph_stays_whole():
    first = [line("Chapter", 750, size=20), line("A sentence that goes", 700), line("1A note.", 60, size=7)]
    second = [line("on here.", 750)]
    third = [line("Chapter", 750, size=20), line("The end.", 700)]
    text = text_of_pages([first, second, third])
    assert "goes\non here.\n\n1A note.\n\nChapter" in text


def test_a_word_parted_at_a_lines_end_is_written_as_the_document_writes_it():
    def rejoined(first, second, *others):
        lines = [line(first, 700, goes_on=True), line(second, 688), *(line(text, 650 - 40 * index) for index, text in enumerate(others))]
        return text_of_pages([lines]).split("\n\n")[0]

    assert rejoined("ма", "ці ў хаце") == "маці ў хаце"
    assert rejoined("well", "known", "a well-known thing") == "well-known"
    assert rejoined("chat", "optimized", "a chat", "optimized") == "chat-optimized"
    assert rejoined("Jean", "Paul") == "Jean-Paul"
    assert HYPHEN not in rejoined("a", "- b")


def test_leaders_of_a_table_of_contents_go():
    assert text_of_pages([[line("1.1 Beginnings . . . . . . . . . . 17", 700)]]) == "1.1 Beginnings"


def test_an_address_printed_after_the_link_that_leads_there_goes():
    page = [line("See the guide (https://a.example/b-", 700), line("c?d) . Not (https://other.example).", 688)]
    assert text_of_pages([page], ["https://a.example/b-c?d"]) == "See the guide. Not (https://other.example)."


def test_columns_are_read_one_after_the_other_when_the_file_mixes_them():
    left = [line(f"the left column has line {number}", 700 - 12 * number, left=50, right=280) for number in range(4)]
    right = [line(f"the right column has line {number}", 700 - 12 * number, left=320, right=550) for number in range(4)]
    mixed = [left[0], right[0], left[2], right[2], left[1], right[1], left[3], right[3]]
    assert in_reading_order(mixed) == left + right
    assert in_reading_order(left + right) == left + right
    across = line("a line that reaches across the whole page, above the columns", 720)
    assert in_reading_order([*left, *right, across]) == [across, *left, *right]


def test_rows_are_read_from_the_top_when_the_file_jumps_about():
    cells = [line("b", 680, left=50, right=70), line("a", 700, left=50, right=70), line("A", 701, left=100, right=120)]
    assert [cell.text for cell in in_reading_order(cells)] == ["a", "A", "b"] or [cell.text for cell in in_reading_order(cells)] == [
        "A",
        "a",
        "b",
    ]


def test_page_numbers_are_written_as_ranges():
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges(list(range(1, 200, 2))).endswith("and 60 more")


def test_tesseracts_words_become_lines():
    head = "level\tpage\tblock\tpar\tline\tword\tleft\ttop\twidth\theight\tconf\ttext"
    rows = [
        "5\t1\t1\t1\t1\t1\t100\t100\t50\t20\t96\tдобры",
        "5\t1\t1\t1\t1\t2\t160\t100\t50\t20\t95\tдзень",
        "4\t1\t1\t1\t1\t0\t0\t0\t9\t9\t-1\t",
    ]
    (found,) = lines_of_table("\n".join([head, *rows]), 800, 2)
    assert (found.text, found.left, found.right, found.base) == ("добры дзень", 50, 105, 740)


def test_a_bad_name_of_a_language_is_an_error():
    with pytest.raises(CorpusError, match="no name of a Tesseract language"):
        check_ocr("bel;rm")


def test_without_tesseract_the_error_names_the_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check_ocr.cache_clear()
    with pytest.raises(PluginError) as caught:
        check_ocr("bel+lit")
    assert caught.value.fix == "apt install tesseract-ocr tesseract-ocr-bel tesseract-ocr-lit"


@pytest.fixture
def tesseract():
    check_ocr.cache_clear()
    if shutil.which("tesseract") is None:
        pytest.skip("needs the command tesseract (apt install tesseract-ocr tesseract-ocr-eng)")
    try:
        check_ocr("eng")
    except CorpusError as error:
        pytest.skip(error.what)


def test_a_missing_language_is_an_error_that_names_its_package(tesseract):
    with pytest.raises(CorpusError) as caught:
        check_ocr("eng+tlh")
    assert "no language tlh; it has: " in caught.value.what
    assert caught.value.fix == "apt install tesseract-ocr-tlh"


def test_a_wrong_language_is_told_before_any_page_is_read(tmp_path):
    with pytest.raises(CorpusError, match="no name of a Tesseract language"):
        read(tmp_path, make_pdf([shown("Text", 50, 700)]), ocr="be l", enter=pytest.fail)


def test_pictures_of_pages_are_read_where_that_is_wanted(tesseract, shared_data):
    path = shared_data / "dirty" / "markitdown" / "MEDRPT-2024-PAT-3847_medical_report_scan.pdf"
    items = list(extract_file(path, SOURCE, Limits(ocr="eng")))
    assert [item.reason for item in items if isinstance(item, Rejected)] == []
    assert items[0].meta["ocr"] == "eng"
    assert items[0].meta["ocr_pages"] == 3
    assert "medical" in items[0].text.lower()


def test_a_picture_without_words_is_reported(tesseract, tmp_path):
    (item,) = read(tmp_path, make_pdf([PICTURE]), ocr="eng")
    assert item.reason == "page_without_text"


def test_a_real_book_loses_its_running_heads_and_keeps_its_words(shared_data):
    path = shared_data / "dirty" / "debian_books" / "maint-guide.ca.pdf"
    (item,) = extract_file(path, SOURCE, Limits())
    assert item.meta["title"] == "Guia del nou desenvolupador de Debian"
    assert item.text.count("Guia del nou desenvolupador de Debian") < 5
    assert ". . . ." not in item.text
    assert "\ufffe" not in item.text
    assert "Capítol 3" in item.text
    assert "Guide for Debian Maintainers. Please use this new tutorial" in item.text.replace("\n", " ")
