import random
import time
from pathlib import Path

import pytest

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.html import decode_page, extract
from rodna.corpus.extractors.html_text import MAX_DEPTH, text_of

SOURCE = Source(path=".")
PROSE = "Гэта доўгі абзац пра родную мову, у якім дастаткова слоў, каб ніхто не прыняў яго за меню. " * 3
MENU = "".join(f"<li><a href='/{number}'>Пункт {number}</a></li>" for number in range(6))


def text(markup):
    return text_of(markup)[0]


@pytest.mark.parametrize(
    "around",
    [
        "<nav>{}</nav>",
        "<ul>{}</ul>",
        "<div class='site-menu'>Выберыце: {}</div>",
        "<div role='navigation'>{}</div>",
        "<footer>Усе правы абаронены {}</footer>",
        "<aside>Чытайце таксама {}</aside>",
        "<table><tr><td>{}</td></tr></table>",
        "<div class='breadcrumbs'>Вы тут: {}</div>",
        "<div hidden>{}</div>",
        "<div style='color: red; display: none'>{}</div>",
        "<div aria-hidden='true'>{}</div>",
        "<script>document.write('{}')</script>",
        "<form><select><option>{}</option></select><button>{}</button></form>",
        "<h2>Навігацыя</h2><ul>{}</ul>",
    ],
)
def test_what_surrounds_the_matter_goes(around):
    page = f"<body>{around.replace('{}', MENU)}<main><h1>Загаловак</h1><p>{PROSE}</p></main></body>"
    assert text(page) == f"Загаловак\n\n{PROSE.strip()}"


def test_a_cookie_banner_goes_even_where_it_is_longer_than_half_the_page():
    page = f"<p>{PROSE}</p><div id='cookie-consent'><p>{'Мы ўжываем печыва. ' * 25}</p></div>"
    assert text(page) == PROSE.strip()


@pytest.mark.parametrize("name", ["has-sidebar", "content-with-sidebar menu", "skip-to-content", "search"])
def test_an_element_that_holds_the_matter_stays_whatever_it_is_called(name):
    assert PROSE.strip() in text(f"<body class='{name}'><div class='{name}'><p>{PROSE}</p></div></body>")


def test_links_inside_sentences_stay():
    page = f"<p>{PROSE}</p><p>Гл. <a href='/1'>першы</a>, <a href='/2'>другі</a>, <a href='/3'>трэці</a> раздзелы кнігі.</p>"
    assert text(page).endswith("Гл. першы, другі, трэці раздзелы кнігі.")


def test_a_page_of_nothing_but_links_keeps_them():
    assert text(f"<ul>{MENU}</ul>").splitlines() == [f"Пункт {number}" for number in range(6)]


def test_a_page_that_shows_itself_by_script_keeps_its_text():
    assert text(f"<div style='visibility:hidden'><p>{PROSE}</p></div>") == PROSE.strip()


def test_poems_keep_their_lines_and_stanzas():
    page = "<p>Краю мой родны!<br>Як выгнаны Богам,<br/></p><p>Ты ў сэрцы <i>маім</i><br>застаўся</p><pre>\n  Слова\n    да слова\n</pre>"
    assert text(page) == "Краю мой родны!\nЯк выгнаны Богам,\n\nТы ў сэрцы маім\nзастаўся\n\n  Слова\n    да слова"


def test_cells_are_parted_by_tabs_rows_by_newlines_and_blocks_in_cells_by_lines():
    page = "<table><tr><th>слова</th><th>значэнне</th></tr><tr><td>хата</td><td>дом</td></tr><tr><td><p>а</p><p>б</p></td></tr></table>"
    assert text(page) == "слова\tзначэнне\nхата\tдом\n\nа\n\nб"


def test_inline_elements_neither_add_nor_lose_space():
    assert text("<p>сло<b>ва</b> <i>дру</i>гое\n  трэцяе&nbsp;&lt;4&gt; &amp;amp; R&amp;D</p>") == "слова другое трэцяе <4> &amp; R&D"


def test_the_title_is_told_apart_from_the_text():
    assert text_of(f"<title> Назва \n старонкі </title><p>{PROSE}</p>") == (PROSE.strip(), "Назва старонкі")


def test_headings_go_with_the_section_they_head_and_stay_with_text_below_them():
    page = f"<h1>Кніга</h1><h2>Змест</h2><ul>{MENU}</ul><h2>Раздзел</h2><h3>Частка</h3><p>{PROSE}</p><h3>Гл. таксама</h3><ul>{MENU}</ul>"
    assert text(page) == f"Кніга\n\nРаздзел\n\nЧастка\n\n{PROSE.strip()}"


@pytest.mark.parametrize("tag", ["div", "b", "table", "ul", "span", "blockquote", "font"])
def test_deep_nesting_costs_little_time_and_no_text(tag):
    start = time.process_time()
    assert text(f"<p>{PROSE}</p>" + f"<{tag}>" * 200_000 + "у самай глыбіні") == f"{PROSE.strip()}\n\nу самай глыбіні"
    assert time.process_time() - start < 10
    assert MAX_DEPTH < 200_000


@pytest.mark.parametrize("seed", range(20))
def test_broken_markup_never_raises_and_words_between_tags_are_not_made_up(seed):
    source = random.Random(seed)
    parts = [
        "<p>",
        "</p>",
        "<div",
        ">",
        "<!--",
        "-->",
        "<table><tr><td>",
        "</b></i>",
        "<pre>",
        "&#x110000;",
        "&",
        "\0",
        "<xmp>",
        "<plaintext>",
    ]
    parts += ["<svg><title>", "<template>", "</body>", "<a href='", "'>", "<![CDATA[", "<?xml ", 'class="', "<math><mi>", "<frameset>"]
    words = [f"слова{number}" for number in range(50)]
    page = "".join(source.choice(parts) + source.choice(words) + " " for _ in range(300))
    found = [word for word in text(page).split() if word.startswith("слова") and word[5:].isdigit()]
    assert set(found) <= set(words)


def test_a_page_of_64_megabytes_is_read_whole_and_a_larger_one_refused(tmp_path):
    path = tmp_path / "a.html"
    path.write_bytes(b"<p>" + b"word " * 100_000 + b"</p>")
    (piece,) = extract(path, SOURCE, Limits())
    assert isinstance(piece, Piece)
    assert len(piece.text) == 499_999
    (rejected,) = extract(path, SOURCE, Limits(max_page_bytes=1 << 16))
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.detail) == ("page_too_large", "500,007 bytes; a page is read whole, up to 65,536")


@pytest.mark.parametrize(
    ("data", "charset", "expected"),
    [
        ("<p>Ўсё".encode("utf-8-sig"), "", ("<p>Ўсё", "utf-8-sig")),
        ("<p>Ўсё добра".encode("utf-16"), "", ("<p>Ўсё добра", "utf-16")),
        ("<p>Ўсё".encode(), "windows-1251", ("<p>Ўсё", "utf-8")),
        ("<p>Ўсё".encode("cp1251"), "windows-1251", ("<p>Ўсё", "cp1251")),
        ('<meta charset="koi8-u"><p>Усё'.encode("koi8-u"), "", ('<meta charset="koi8-u"><p>Усё', "koi8-u")),
        ('<meta charset="nonesuch"><p>“é”'.encode("cp1252"), "iso-8859-1", ('<meta charset="nonesuch"><p>“é”', "cp1252")),
        ("<p>粵語".encode("big5hkscs"), "big5-hkscs", ("<p>粵語", "big5hkscs")),
    ],
)
def test_encodings_are_told_by_mark_by_bytes_by_server_and_by_page_in_that_order(data, charset, expected):
    decoded, encoding = decode_page(data, charset)
    assert (decoded, encoding.name) == expected


def test_a_little_damage_leaves_utf8_utf8():
    decoded, encoding = decode_page(b"<p>" + PROSE.encode() + b"\xff</p>", "windows-1251")
    assert (encoding.name, encoding.num_bad_bytes) == ("utf-8", 1)
    assert decoded == f"<p>{PROSE}\ufffd</p>"


def test_a_declared_encoding_is_noted_in_the_meta(tmp_path):
    path = tmp_path / "a.html"
    path.write_bytes('<meta charset="windows-1257"><title>Ū</title><p>Žąsis ėjo keliu'.encode("cp1257"))
    assert list(extract(path, SOURCE, Limits())) == [Piece("Žąsis ėjo keliu", {"title": "Ū", "encoding": "cp1257"})]


def test_a_binary_page_is_rejected(tmp_path):
    path = tmp_path / "a.html"
    path.write_bytes(b"<html>" + bytes(range(32)) * 20)
    (rejected,) = extract(path, SOURCE, Limits())
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "not_text"


def test_real_help_pages_lose_their_navigation_and_keep_their_text(shared_data):
    page = Path(shared_data / "dirty" / "gimp_help_lt" / "gimp-edit-menu.html").read_text(encoding="utf-8")
    found = text(page)
    assert "Šioje sekcijoje jūs rasite komandų" in found
    for word in ("Atgal", "Pirmyn", "Tęsti", "<", "&nbsp;"):
        assert word not in found


def test_what_a_page_declares_for_itself_is_no_text_and_its_entities_are_resolved():
    declared = '<!ENTITY nbsp "&#160;"><!ENTITY who "Янка"><!ENTITY bomb "&who;&who;">'
    text, _ = text_of(
        f'<?xml version="1.0"?><!DOCTYPE html [{declared}]><html><body><p>Дзень,&nbsp;&who;! &bomb;&amp; &other;</p></body></html>'
    )
    assert text.replace("\u00a0", " ") == "Дзень, Янка! & &other;"
    assert text_of("<!DOCTYPE html [ <html><body><p>тэкст</p></body></html>")[0].endswith("тэкст")


def test_a_quote_that_nothing_closes_in_raw_markup_costs_no_time():
    started = time.process_time()
    assert "слова" in text("<xmp><a " + "x" * 60 + '"</xmp><p>слова</p>')
    assert time.process_time() - started < 1
