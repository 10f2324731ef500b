"""EPUB: a book's chapters in the order they are read in."""

import zipfile

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.dispatch import extract_file

CONTAINER = '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>'
TEXTS = {
    "one": "Першы раздзел пачынаецца з доўгага сказа, у якім досыць слоў, каб яго прачыталі.",
    "two": "Другі раздзел працягвае тую самую гісторыю, і ў ім таксама ёсць што пачытаць.",
    "nav": "Змест кнігі",
    "extra": "Аркуш з рэкламай, якога няма ў парадку чытання.",
}


def page(identity):
    return f"<html xmlns='http://www.w3.org/1999/xhtml'><head><title>{identity}</title></head><body><p>{TEXTS[identity]}</p></body></html>"


def make_epub(path, *, spine=("nav", "two", "one"), container=CONTAINER, leave_out=(), extra=None):
    kinds = {name: 'media-type="application/xhtml+xml"' + (' properties="nav"' if name == "nav" else "") for name in TEXTS}
    items = "".join(f'<item id="{name}" href="text/{name}%20x.xhtml" {kind}/>' for name, kind in kinds.items())
    refs = "".join(f'<itemref idref="{name}"/>' for name in spine)
    meta = "<dc:title>Кніга</dc:title><dc:language>be</dc:language>"
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": container,
        "OPS/book.opf": f"<package xmlns:dc='http://purl.org/dc/elements/1.1/'><metadata>{meta}</metadata><manifest>{items}</manifest><spine>{refs}</spine></package>",
        **{f"OPS/text/{name} x.xhtml": page(name) for name in TEXTS},
        **(extra or {}),
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if name not in leave_out:
                archive.writestr(name, content)
    return path


def read(path, document="file", **limits):
    return list(extract_file(path, Source(path=".", document=document), Limits(**limits)))


def test_a_book_is_one_document_in_reading_order_without_its_navigation(tmp_path):
    (item,) = read(make_epub(tmp_path / "a.epub"))
    assert isinstance(item, Piece)
    assert item.text == f"{TEXTS['two']}\n\n{TEXTS['one']}"
    assert item.meta == {"title": "Кніга", "language": "be"}


def test_a_book_is_a_document_a_chapter_where_the_source_says_section(tmp_path):
    items = read(make_epub(tmp_path / "a.epub"), "section")
    assert [item.text for item in items] == [TEXTS["two"], TEXTS["one"]]
    assert [item.meta["section"] for item in items] == ["two", "one"]


def test_a_book_whose_container_is_missing_is_read_by_its_list_of_chapters(tmp_path):
    (item,) = read(make_epub(tmp_path / "a.epub", leave_out=["META-INF/container.xml"]))
    assert TEXTS["one"] in item.text


def test_a_missing_chapter_costs_only_itself(tmp_path):
    rejected, item = read(make_epub(tmp_path / "a.epub", leave_out=["OPS/text/two x.xhtml"]))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "damaged"
    assert "two x.xhtml is missing" in rejected.detail
    assert item.text == TEXTS["one"]


def test_a_chapter_in_the_hands_of_rights_management_is_named(tmp_path):
    encryption = '<encryption><EncryptedData><CipherReference URI="OPS/text/two x.xhtml"/></EncryptedData></encryption>'
    rejected, item = read(make_epub(tmp_path / "a.epub", extra={"META-INF/encryption.xml": encryption}))
    assert rejected.reason == "password_protected"
    assert "digital rights" in rejected.detail
    assert item.text == TEXTS["one"]


def test_a_chapter_that_is_too_large_is_left_out(tmp_path):
    members = {"OPS/text/two x.xhtml": "<html><body><p>" + "x " * 5000 + "</p></body></html>"}
    rejected, item = read(make_epub(tmp_path / "a.epub", leave_out=[], extra=members), max_page_bytes=4096)
    assert rejected.reason == "too_large_unpacked"
    assert item.text == TEXTS["one"]


def test_a_book_without_chapters_says_so(tmp_path):
    (item,) = read(make_epub(tmp_path / "a.epub", leave_out=["OPS/book.opf"]))
    assert item.reason == "damaged"
    assert "no list of its chapters" in item.detail
    (item,) = read(make_epub(tmp_path / "b.epub", spine=("nav",)))
    assert item.reason == "blank_file"


def test_real_books_are_read(shared_data):
    (item,) = read(shared_data / "dirty" / "debian_books" / "ubuntu-packaging-guide.epub")
    assert item.meta["title"] == "Ubuntu Packaging Guide"
    assert len(item.text) > 100_000
    assert "</" not in item.text.replace("</a", "")[:20_000]


def test_a_chapter_that_is_no_text_is_named(tmp_path):
    book = make_epub(tmp_path / "a.epub", extra={"OPS/text/two x.xhtml": bytes(range(256)) * 8})
    bad, item = read(book)
    assert (bad.reason, bad.detail) == ("not_text", "OPS/text/two x.xhtml: it is not text")
    assert item.text == TEXTS["one"]
