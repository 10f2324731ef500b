"""What a file is, whatever it is called; and one door for all of them."""

import bz2
import gzip
import io
import json
import zipfile

import pytest

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected, format_of, sniff
from rodna.corpus.extractors.dispatch import extract_file

SOURCE = Source(path=".")
SRT = "1\n00:00:01,000 --> 00:00:02,000\nДобры дзень\n"
WIKI = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10">\n'


def zipped(*names, first=None):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        if first:
            archive.writestr("mimetype", first)
        for name in names:
            archive.writestr(name, "x")
    return data.getvalue()


def old_office(stream):
    """Return the smallest head of an OLE file whose directory names a stream."""
    head = bytearray(2048)
    head[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    head[30:32] = b"\x09\x00"
    name = stream.encode("utf-16-le")
    head[512 : 512 + len(name)] = name
    head[576:578] = (len(name) + 2).to_bytes(2, "little")
    return bytes(head)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"%PDF-1.4 ...", "pdf"),
        ("a.pdf", b"From a mailer\r\n%PDF-1.4 ...", "pdf"),
        ("a.pdf", b"only text, named wrongly", "text"),
        ("a.doc", b"{\\rtf1\\ansi x}", "rtf"),
        ("a.bin", zipped("[Content_Types].xml", "word/document.xml"), "docx"),
        ("a.zip", zipped("x", first="application/epub+zip"), "epub"),
        ("a", zipped("META-INF/container.xml"), "epub"),
        ("a", zipped("content.xml", first="application/vnd.oasis.opendocument.text"), "odt"),
        ("a.docx", zipped("letters/1.txt"), "archive"),
        ("a.docx", b"PK\x03\x04 cut off", "docx"),
        ("a.txt", gzip.compress(b"text", mtime=0), "compressed"),
        ("a.txt", gzip.compress(b"WARC/1.0\r\n", mtime=0), "warc"),
        ("a.txt", b"WARC/1.1\r\n", "warc"),
        ("a.txt", b"filedesc://x.arc 0.0.0.0 2011 text/plain 200 -", "warc"),
        ("a.bz2", bz2.compress(WIKI.encode()), "mediawiki"),
        ("a.xml", ("\ufeff" + WIKI).encode("utf-16-le"), "mediawiki"),
        ("a.txt", WIKI.encode("utf-16-le"), "mediawiki"),
        ("a.xml", b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "svg"),
        ("a.svg", b'<svg xmlns="x"/>', "svg"),
        ("a.txt", b'<?xml version="1.0"?><rss version="2.0"/>', "xml"),
        ("a.xml", b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "x"><html></html>', "html"),
        ("a.txt", b"<!doctype HTML><p>x", "html"),
        ("a.xml", b"only text, named wrongly", "text"),
        ("a.txt", SRT.encode(), "subtitles"),
        ("a.txt", "\ufeffWEBVTT\n\n".encode(), "subtitles"),
        ("a.csv", b"a,b\n1,2\n", "csv"),
        ("a.tsv", b"a\tb\n", "csv"),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', "json_lines"),
        ("a.json", b'{\n "a": 1\n}', "json"),
        ("a.json", b'[{"a": 1}]', "json"),
        ("a", b'[{"a": 1}]', "json"),
        ("a.txt", b"[1] A note, not JSON", "text"),
        ("a.txt", b"{curly} words", "text"),
        ("a.ipynb", b'{"cells": []}', "json"),
        ("a.jsonl", b'{"a": 1}\n', "json_lines"),
        ("a.dat", b"PAR1....", "parquet"),
        ("a.MD", b"# x", "markdown"),
        ("BZh", b"BZhadny is no packed file", "text"),
        ("a.txt", "тэкст у UTF-16".encode("utf-16"), "text"),
        ("a.txt", b"", "text"),
    ],
)
def test_a_file_is_known_by_content_then_by_name(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    assert format_of(path) == expected


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "unsupported_format", "XLSX spreadsheet: save it as CSV"),
        (zipped("[Content_Types].xml", "ppt/presentation.xml"), "unsupported_format", "PPTX presentation"),
        (zipped("content.xml", first="application/vnd.oasis.opendocument.spreadsheet"), "unsupported_format", "OpenDocument spreadsheet"),
        (old_office("WordDocument"), "unsupported_format", "soffice --headless --convert-to docx"),
        (old_office("Workbook"), "unsupported_format", "XLS spreadsheet"),
        (old_office("PowerPoint Document"), "unsupported_format", "PPT presentation"),
        (old_office("__nameid_version1.0"), "unsupported_format", "Outlook message"),
        (old_office("EncryptedPackage"), "password_protected", "encrypted Office document"),
        (b"7z\xbc\xaf\x27\x1c\0\0", "unsupported_format", "7-Zip archive: unpack it"),
        (b"Rar!\x1a\x07\0", "unsupported_format", "RAR archive"),
        (b"AT&TFORM\0\0", "unsupported_format", "djvutxt"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not_text", "PNG image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "not_text", "JPEG image"),
        (b"\x7fELF\x02\x01\x01\0", "not_text", "program"),
        (bytes(60) + b"BOOKMOBI", "unsupported_format", "Calibre"),
        (b"\0\0\0\x20ftypmp42", "not_text", "MP4"),
        (b"", "empty_file", "no bytes"),
        (b" \n \n", "blank_file", "white space"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path, content, reason, words):
    path = tmp_path / "book.txt"
    path.write_bytes(content)
    (item,) = extract_file(path, SOURCE, Limits())
    assert isinstance(item, Rejected)
    assert item.reason == reason
    assert words in item.detail
    assert item.size_bytes == len(content)


def test_a_text_that_begins_like_a_picture_is_a_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("GIF8 is how pictures begin. OTTO is a name.", encoding="utf-8")
    assert sniff(path).extractor == "text"


def test_the_name_given_is_the_name_judged_by(tmp_path):
    path = tmp_path / "content"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    assert format_of(path) == "text"
    assert format_of(path, "list.csv") == "csv"


def test_a_sources_own_format_is_believed(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(json.dumps({"text": "тэкст"}) + "\n", encoding="utf-8")
    (item,) = extract_file(path, Source(path=".", format="text"), Limits())
    assert isinstance(item, Piece)
    assert item.text.startswith("{")


def test_every_real_file_gets_documents_or_a_reason(shared_data):
    folder = shared_data / "dirty" / "markitdown"
    reasons = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix not in (".json", ".csv"):  # they have no field of text: an error to act on
            items = list(extract_file(path, SOURCE, Limits()))
            assert items, path.name
            reasons[path.name] = {item.reason for item in items if isinstance(item, Rejected)}
    assert reasons["test.pptx"] == reasons["test.xlsx"] == reasons["test.xls"] == reasons["test_outlook_msg.msg"] == {"unsupported_format"}
    assert reasons["random.bin"] == {"not_text"}
    assert reasons["MEDRPT-2024-PAT-3847_medical_report_scan.pdf"] == {"page_needs_ocr"}
    assert not reasons["test.pdf"]
    assert not reasons["test.docx"]


def test_wiki_dumps_are_known_through_their_packing(shared_data):
    for path in (shared_data / "dirty" / "mediawiki_xml").glob("*.bz2"):
        assert format_of(path) == "mediawiki", path.name
