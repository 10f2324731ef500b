"""DOCX, ODT and RTF: all of the text, none of the rest."""

import zipfile

import pytest

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.dispatch import extract_file
from rodna.corpus.extractors.rtf import text_of

SOURCE = Source(path=".")
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "text", "table", "draw", "meta")
) + ' xmlns:xlink="http://www.w3.org/1999/xlink"'  # fmt: skip


def make_docx(path, body, **parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f"<w:document {W}><w:body>{body}</w:body></w:document>")
        for name, content in parts.items():
            archive.writestr(f"word/{name}.xml", content)
    return path


def make_odt(path, body, **parts):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr(
            "content.xml",
            f"<office:document-content {ODF}><office:body><office:text>{body}</office:text></office:body></office:document-content>",
        )
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/") + ".xml", content)
    return path


def read(path, source=SOURCE, **limits):
    return list(extract_file(path, source, Limits(**limits)))


def text_in(path):
    (item,) = read(path)
    assert isinstance(item, Piece), item
    return item.text


def p(*texts, before=""):
    return f"<w:p>{before}" + "".join(f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>' for text in texts) + "</w:p>"


def test_paragraphs_of_a_docx_are_parted_by_blank_lines_and_runs_joined(tmp_path):
    path = make_docx(
        tmp_path / "a.docx", p("Доб", "ры ", "дзень") + p("") + p("Свет") + "<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t></w:r></w:p>"
    )
    assert text_in(path) == "Добры дзень\n\nСвет\n\na\nb"


def test_lists_and_tables_of_a_docx_keep_their_lines(tmp_path):
    item = "<w:pPr><w:numPr/></w:pPr>"
    cells = "".join(f"<w:tc>{p(text)}</w:tc>" for text in ("слова", "word"))
    path = make_docx(
        tmp_path / "a.docx",
        p("Спіс:") + p("адзін", before=item) + p("два", before=item) + f"<w:tbl><w:tr>{cells}</w:tr><w:tr>{cells}</w:tr></w:tbl>",
    )
    assert text_in(path) == "Спіс:\n\nадзін\nдва\nслова\tword\nслова\tword"


def test_cells_that_hold_paragraphs_are_read_as_paragraphs(tmp_path):
    path = make_docx(tmp_path / "a.docx", f"<w:tbl><w:tr><w:tc>{p('one')}{p('two')}</w:tc><w:tc>{p('three')}</w:tc></w:tr></w:tbl>")
    assert text_in(path) == "one\n\ntwo\n\nthree"


def test_deleted_text_comments_and_field_codes_of_a_docx_are_left_out(tmp_path):
    body = (
        "<w:p><w:r><w:t>kept </w:t></w:r><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins>"
        "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
        '<w:r><w:instrText>HYPERLINK "x"</w:instrText></w:r><w:r><w:commentReference w:id="0"/></w:r></w:p>'
    )
    path = make_docx(tmp_path / "a.docx", body, comments=f'<w:comments {W}><w:comment w:id="0">{p("remark")}</w:comment></w:comments>')
    assert text_in(path) == "kept inserted"


def test_notes_of_a_docx_stand_at_its_end_in_the_order_of_the_text(tmp_path):
    def mark(number):
        return f'<w:r><w:footnoteReference w:id="{number}"/></w:r>'

    notes = "".join(f'<w:footnote w:id="{number}">{p(text)}</w:footnote>' for number, text in ((1, "first"), (2, "second")))
    separator = f'<w:footnote w:id="0" w:type="separator">{p("----")}</w:footnote>'
    body = f"<w:p><w:r><w:t>A</w:t></w:r>{mark(2)}</w:p><w:p><w:r><w:t>B</w:t></w:r>{mark(1)}</w:p>"
    path = make_docx(tmp_path / "a.docx", body, footnotes=f"<w:footnotes {W}>{separator}{notes}</w:footnotes>")
    assert text_in(path) == "A\n\nB\n\nsecond\n\nfirst"


def test_a_text_box_is_read_once_although_it_is_written_twice(tmp_path):
    box = f"<w:txbxContent>{p('boxed')}</w:txbxContent>"
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    alternate = f"<mc:AlternateContent {mc}><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent>"
    assert text_in(make_docx(tmp_path / "a.docx", f"<w:p><w:r><w:t>out</w:t>{alternate}</w:r></w:p>")) == "out\n\nboxed"


def test_formulas_of_a_docx_are_typed_out(tmp_path):
    def run(text):
        return f"<m:r><m:t>{text}</m:t></m:r>"

    fraction = f"<m:f><m:num>{run('a+b')}</m:num><m:den>{run('2')}</m:den></m:f>"
    power = f"<m:sSup><m:e>{run('x')}</m:e><m:sup>{run('10')}</m:sup></m:sSup>"
    total = (
        f"<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr><m:sub>{run('i=1')}</m:sub><m:sup>{run('n')}</m:sup><m:e>{run('i')}</m:e></m:nary>"
    )
    root = f"<m:rad><m:deg/><m:e>{run('y')}</m:e></m:rad>"
    body = f"<w:p><w:r><w:t>so </w:t></w:r><m:oMath>{fraction}{run('=')}{power}{run('+')}{root}{run('+')}{total}</m:oMath></w:p>"
    assert text_in(make_docx(tmp_path / "a.docx", body)) == "so (a+b)/2=x^10+√y+∑_(i=1)^n i"


def test_a_table_of_contents_is_left_out(tmp_path):
    gallery = '<w:sdtPr><w:docPartObj><w:docPartGallery w:val="Table of Contents"/></w:docPartObj></w:sdtPr>'
    contents = f"<w:sdt>{gallery}<w:sdtContent>{p('1 … 7')}</w:sdtContent></w:sdt>"
    other = f"<w:sdt><w:sdtPr/><w:sdtContent>{p('kept')}</w:sdtContent></w:sdt>"
    assert text_in(make_docx(tmp_path / "a.docx", contents + other)) == "kept"


@pytest.mark.parametrize("make", [make_docx, make_odt])
def test_entities_are_never_expanded_and_nothing_outside_is_opened(tmp_path, make):
    secret = tmp_path / "secret"
    secret.write_text("SECRET")
    path = make(tmp_path / "a", "")
    name = "word/document.xml" if make is make_docx else "content.xml"
    pairs = zip("abcdefghi", "bcdefghij", strict=True)
    lol = "<!ENTITY a 'lol'>" + "".join(f"<!ENTITY {after} '&{before};&{before};&{before};&{before};'>" for before, after in pairs)
    body = "<w:body><w:p><w:r><w:t>x&j;&out;</w:t></w:r></w:p></w:body>"
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [{lol}<!ENTITY out SYSTEM "file://{secret}">]><w:document {W}>{body}</w:document>'
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in (members | {name: bomb.encode()}).items():
            archive.writestr(member, data)
    items = read(path)
    assert "SECRET" not in str(items)
    assert "lollol" not in str(items)


def test_a_docx_that_unpacks_to_too_much_is_rejected(tmp_path):
    path = make_docx(tmp_path / "a.docx", " " * (20 << 20))
    (item,) = read(path, max_page_bytes=1 << 20)
    assert item.reason == "too_large_unpacked"
    assert "corpus.extract.max_page_bytes" in item.detail
    (item,) = read(make_docx(tmp_path / "b.docx", " " * (80 << 20)), max_page_bytes=1 << 30)
    assert item.reason == "archive_bomb"


def test_damaged_documents_are_one_rejection(tmp_path):
    path = make_docx(tmp_path / "a.docx", p("x"))
    path.write_bytes(path.read_bytes()[:200])
    assert [item.reason for item in read(path)] == ["damaged"]
    with zipfile.ZipFile(tmp_path / "b.docx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/styles.xml", "<x/>")
    (item,) = read(tmp_path / "b.docx")
    assert item.detail == "word/document.xml is missing"
    make_odt(tmp_path / "c.odt", "x")
    with zipfile.ZipFile(tmp_path / "c.odt", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", "")
    (item,) = read(tmp_path / "c.odt")
    assert item.detail == "content.xml is no XML"


def test_an_odt_gives_its_text_and_none_of_what_was_deleted(tmp_path):
    body = (
        "<text:tracked-changes><text:deletion><text:p>deleted</text:p></text:deletion></text:tracked-changes>"
        "<text:table-of-content><text:p>contents</text:p></text:table-of-content>"
        "<text:h>Загаловак</text:h><text:p>a<text:s/>b<text:tab/>c<text:line-break/>d<text:span>e</text:span>"
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>заўвага</text:p></text:note-body></text:note>f"
        "<office:annotation><text:p>remark</text:p></office:annotation></text:p>"
        "<text:list><text:list-item><text:p>адзін</text:p></text:list-item><text:list-item><text:p>два</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell><table:table-cell><text:p>y</text:p></table:table-cell>"
        "</table:table-row></table:table>"
    )
    assert text_in(make_odt(tmp_path / "a.odt", body)) == "Загаловак\n\na b\tc\ndef\n\nадзін\nдва\nx\ty\n\nзаўвага"


def test_a_formula_of_an_odt_is_given_as_it_was_typed(tmp_path):
    body = '<text:p>so <draw:frame><draw:object xlink:href="./Object 1"/></draw:frame></text:p>'
    math = '<math xmlns="http://www.w3.org/1998/Math/MathML"><semantics><mi>a</mi><annotation>a over 2</annotation></semantics></math>'
    assert text_in(make_odt(tmp_path / "a.odt", body, **{"Object 1__content": math})) == "so a over 2"


def test_an_encrypted_odt_asks_for_its_password(tmp_path):
    path = make_odt(tmp_path / "a.odt", "", **{"META-INF__manifest": "<manifest><encryption-data/></manifest>"})
    (item,) = read(path)
    assert item.reason == "password_protected"


@pytest.mark.parametrize(
    ("rtf", "expected"),
    [
        (rb"{\rtf1\ansi One\par two}", "One\n\ntwo"),
        (rb"{\rtf1\ansi\ansicpg1251 \'c4\'ee\'e1\'f0\'fb}", "Добры"),
        (
            rb"{\rtf1\ansi{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset186 B;}}\f1 \'fee\f0 \'e9}",
            "žeé",
        ),
        (rb"{\rtf1\ansi{\fonttbl{\f0\fcharset136 A;}}\f0 \'a4\'a4\'a4\'e5}", "中文"),
        (rb"{\rtf1\uc1 \u1044?\u1086?}", "До"),
        (rb"{\rtf1\uc2\u1044\'c4\'c4x}", "Дx"),
        (rb"{\rtf1 \u-10179?\u-8704?}", "😀"),
        (rb"{\rtf1 a{\*\unknown hidden}b{\pict 0f0f}c{\header head}d}", "abcd"),
        (rb"{\rtf1 a\{b\}\\c\~d\_e}", "a{b}\\c\u00a0d\u2011e"),
        (rb"{\rtf1 kept{\deleted gone}{\v hidden}.{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}}", "kept.link"),
        (rb"{\rtf1 x{\bin3 }}}}y}", "xy"),
        (rb"{\rtf1 a{\super\chftn{\footnote\pard note}} b\par c}", "a b\n\nc\n\nnote"),
        (b"{\\rtf1 wrapped\r\n in the file}", "wrapped in the file"),
    ],
)
def test_rtf_is_read_in_the_code_pages_its_fonts_say(rtf, expected):
    assert text_of(rtf) == (expected, 0)


def test_a_truncated_rtf_gives_what_came_before_and_one_rejection(tmp_path):
    path = tmp_path / "a.rtf"
    path.write_bytes(b"{\\rtf1 {\\b first} {\\i second")
    first, second = read(path)
    assert first.text == "first second"
    assert isinstance(second, Rejected)
    assert second.reason == "truncated"
    assert "2 open groups" in second.detail


def test_an_rtf_of_nothing_but_braces_is_no_danger(tmp_path):
    path = tmp_path / "a.rtf"
    path.write_bytes(b"{\\rtf1" + b"{" * 200_000)
    (item,) = read(path)
    assert item.reason == "truncated"


def test_an_rtf_that_is_too_large_is_rejected(tmp_path):
    path = tmp_path / "a.rtf"
    path.write_bytes(b"{\\rtf1 " + b"x" * 2000 + b"}")
    (item,) = read(path, max_page_bytes=1024)
    assert item.reason == "page_too_large"


def test_a_real_document_with_comments_is_the_same_as_without_but_for_them(shared_data):
    folder = shared_data / "dirty" / "markitdown"
    assert text_in(folder / "test_with_comment.docx").split()[:200] == text_in(folder / "test.docx").split()[:200]
    assert "θ=mλ/a" in text_in(folder / "equations.docx")


@pytest.mark.parametrize(
    ("rtf", "text"),
    [
        (rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset204 Times;}}\'cf\'f0\'e8}", "При"),
        (rb"{\rtf1\ansi\ansicpg1251\deff0{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset161 B;}}{\f1\'e1}\'e1{\f1\plain\'e1}}", "αбб"),
        (rb"{\rtf1\ansi one {\v two\plain three} four\v five\v0 six}", "one three foursix"),
        (rb"{\rtf1\ansi one{\deleted two\plain  three}}", "one three"),
        (rb"{\rtf1\ansi{\*\other\v0 left out}one{\info\plain left out}}", "one"),
    ],
)
def test_rtf_says_by_groups_what_is_seen_and_in_which_code_page(rtf, text):
    assert text_of(rtf) == (text, 0)
