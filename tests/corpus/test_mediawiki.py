import bz2
import gzip
import lzma
import time
import tracemalloc

import pytest
import zstandard
from tests.corpus.markup import leftovers

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.dispatch import extract_file
from rodna.corpus.extractors.formulas import plain_formula
from rodna.corpus.extractors.mediawiki import extract
from rodna.corpus.extractors.wikitext import plain

NAMESPACES = {"файл": 6, "катэгорыя": 14, "удзельнік": 2}
SITE = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="be"><siteinfo><base>https://be.example.org/wiki/Галоўная</base>
<namespaces><namespace key="0" /><namespace key="2">Удзельнік</namespace><namespace key="6">Файл</namespace>
<namespace key="14">Катэгорыя</namespace></namespaces></siteinfo>
"""


def page(title, text, *, ns=0, extra="", model="wikitext"):
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>1</id>{extra}<revision><id>5</id><timestamp>2024-05-06T07:08:09Z</timestamp>"
        f"<contributor><username>N</username></contributor><comment>[[x]]</comment><model>{model}</model>"
        f'<text bytes="1">{text}</text></revision></page>\n'
    )


def read(path, **limits):
    return list(extract(path, Source(path="."), Limits(**limits)))


def write(path, *pages, encoding="utf-8"):
    data = (SITE + "".join(pages) + "</mediawiki>").encode(encoding)
    path.write_bytes(bz2.compress(data) if path.suffix == ".bz2" else data)
    return path


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("'''Мова''' — ''сродак''.", "Мова — сродак."),
        ("Сям'я і l''''arbre''' тут.", "Сям'я і l'arbre тут."),
        ("[[Мінск]]у і [[Мінск|сталіца]]м", "Мінску і сталіцам"),
        ("[[Слова (значэнне)|]] тут", "Слова тут"),
        ("[[:Катэгорыя:Мова|усё]] пра [[Удзельнік:Н|яго]]", "усё пра яго"),
        ("Тэкст.\n[[Катэгорыя:Мова]]\n[[Category:Мова]]\n[[en:Language]]\n[[zh-yue:話]]", "Тэкст."),
        ("Гл. [[wikt:слова]] там", "Гл. слова там"),
        ("Функцыя main() і іншыя.", "Функцыя main() і іншыя."),
        ("Слова<ref>Крыніца, с. 3</ref> тут<ref name='a'/>.", "Слова тут."),
        ("Слова<ref name=a>{{cite|title=x}}</ref>, яно.", "Слова, яно."),
        ("[https://x.example/a?b=c назва] і [https://x.example]", "назва і"),
        ("== Загаловак ==\nТэкст.\n\n== Спасылкі ==\n{{reflist}}", "Загаловак\n\nТэкст."),
        ("* адзін\n# два\n:: тры\n; чатыры", "адзін\nдва\nтры\nчатыры"),
        ("А&nbsp;б &lt;br&gt; &amp; в", "А б <br> & в"),
        ("А<br/>б <sup>2</sup> <span style='x'>в</span> <!-- схавана --> г", "А\nб 2 в г"),
        ("<nowiki>[[а]] ''б''</nowiki> тут", "[[а]] ''б'' тут"),
        ("__NOTOC__ __БЕЗЗМЕСТУ__ Тэкст __init__", "Тэкст __init__"),
        ("Даўжыня — {{convert|5|км|миль}} уздоўж.", "Даўжыня — 5 км уздоўж."),
        ("Назва ({{lang-la|lingua}}; {{lang|fr|langue}}) тут", "Назва (lingua; langue) тут"),
        ("Назва ({{audio|}}) тут{{няма крыніцы|дата=май}}.", "Назва тут."),
        ("1990{{ndash}}2000", "1990–2000"),
        ("{{Картка\n| назва = Мова\n| від = [[мова]]\n| лік = {{formatnum:5}}\n| d = x\n| e = y\n}}\nТэкст.", "Тэкст."),
        (
            "{{quote|Гэта доўгая цытата, якая складаецца з многіх слоў.|Аўтар}}\nТэкст.",
            "Гэта доўгая цытата, якая складаецца з многіх слоў.\n\nТэкст.",
        ),
        ("Ваду <chem>H2O</chem> і <math>E = mc^2</math> і <math>\\alpha \\le \\frac{1}{2}</math>.", "Ваду H2O і E = mc^2 і α ≤ 1/2."),
        ("-{zh-hans:软件; zh-hant:軟體}- 同 -{字}-", "软件 同 字"),
        ("{{{1|змоўчанае}}} слова", "змоўчанае слова"),
        ("<pre>x = [[1]]\n</pre>Пасля.", "x = [[1]]\n\nПасля."),
    ],
)
def test_markup_is_resolved_to_what_a_reader_sees(markup, text):
    found = plain(markup, NAMESPACES)
    assert "\n".join(line for line in found.split("\n") if line) == "\n".join(line for line in text.split("\n") if line)


def test_a_caption_that_reads_as_text_is_a_paragraph_of_its_own_and_an_option_is_nothing():
    found = plain(
        "[[Файл:А.jpg|міні|справа|Від на [[стары]] горад увечары ў маі 1900 года]]Тэкст.\n[[File:B.png|250px|міні]]\n[[Выява:C.svg|злева]]",
        NAMESPACES,
    )
    assert found == "Тэкст.\n\nВід на стары горад увечары ў маі 1900 года"
    gallery = "<gallery>\nFile:A.jpg|Гэта доўгі подпіс пад здымкам нашага старога горада\nFile:B.jpg|кот\n</gallery>\nТэкст."
    assert plain(gallery, NAMESPACES).split("\n\n") == ["Гэта доўгі подпіс пад здымкам нашага старога горада", "Тэкст."]


def test_a_table_keeps_its_sentences_and_no_rows():
    table = (
        'Да.\n{| class="wikitable"\n|+ Лічбы\n! Год !! Колькасць\n|-\n| 1900 || style="x" | 25\n|-\n| 1901\n'
        "| У гэтым годзе пачалася вялікая [[вайна]], якая многае змяніла.\n{|\n| дом\n|}\n|}\nПасля."
    )
    assert plain(table) == "Да.\n\nУ гэтым годзе пачалася вялікая вайна, якая многае змяніла.\n\nПасля."


@pytest.mark.parametrize(
    "broken",
    ["{{Картка\n| а = б", "[[Файл:A.jpg|міні|", "{|\n| а", "<ref>без канца ", "<!-- без канца ", "<nowiki>", "[[", "-{", "]] }} |}"],
)
def test_what_is_never_closed_hides_no_sentence(broken):
    found = plain(f"Першы сказ тут.\n\n{broken}\n\n== Раздзел ==\nГэта апошні сказ, які нельга згубіць.\n", NAMESPACES)
    assert found.startswith("Першы сказ тут.")
    assert found.endswith("Гэта апошні сказ, які нельга згубіць.")
    assert not leftovers(found)


HOSTILE = [
    "{{",
    "[[",
    "{{a|",
    "[[a|",
    "}}",
    "]]",
    "<ref>",
    "<!--",
    "<ref ",
    "\n{|\n| ",
    "|",
    "'",
    "\n== a ==\n",
    "[http://a ",
    "( ",
    "-{",
    "{{a}} ",
    "[[File:a|",
    "\n:",
    "= ",
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_wikitext_costs_time_in_proportion_to_its_length(unit):
    start = time.process_time()
    plain(unit * 40_000)
    plain("x" + " " * 40_000 + unit + " " * 40_000 + "y")
    assert time.process_time() - start < 6  # quadratic time would be minutes


@pytest.mark.parametrize("name", ["dump.xml", "dump.xml.bz2"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_dump_gives_its_articles_with_address_and_date_and_counts_the_rest(tmp_path, name, encoding):
    path = write(
        tmp_path / name,
        page("Родная мова", "'''Родная мова''' — першая мова."),
        page("Мова", "#REDIRECT [[Родная мова]]", extra='<redirect title="Родная мова" />'),
        page("Старая", "#перанакіраванне [[Родная мова]]"),
        page("Удзельнік:Н", "Пра мяне.", ns=2),
        page("Удзельнік:М", "Пра мяне.", ns=2),
        page("Код", "{}", model="json"),
        page("Пустая", "{{картка}}"),
        encoding=encoding,
    )
    first, empty, redirects, others = read(path)
    assert first == Piece(
        "Родная мова — першая мова.",
        {
            "title": "Родная мова",
            "url": "https://be.example.org/wiki/%D0%A0%D0%BE%D0%B4%D0%BD%D0%B0%D1%8F_%D0%BC%D0%BE%D0%B2%D0%B0",
            "date": "2024-05-06T07:08:09Z",
        },
    )
    assert (empty.reason, empty.detail) == ("no_text", "Пустая: nothing but templates, tables and references")
    assert (redirects.reason, redirects.detail) == ("redirect", "2 pages: 2 redirects")
    assert (others.reason, others.detail) == ("not_an_article", "3 pages: 2 Удзельнік, 1 json")
    assert redirects.size_bytes > 0


def test_only_the_last_revision_of_a_page_is_read(tmp_path):
    old = page("А", "Старое.").replace(
        "</page>\n", "<revision><timestamp>2025-01-01T00:00:00Z</timestamp><text>Новае.</text></revision></page>"
    )
    (piece,) = read(write(tmp_path / "a.xml", old))
    assert (piece.text, piece.meta["date"]) == ("Новае.", "2025-01-01T00:00:00Z")


def test_a_page_that_is_not_entered_or_too_large_costs_only_itself(tmp_path):
    path = write(tmp_path / "a.xml", page("А", "Адзін."), page("Б", "два " * 3000), page("В", "Тры."))
    one, large, three = read(path, max_page_bytes=5000)
    assert (one.text, three.text) == ("Адзін.", "Тры.")
    assert (large.reason, large.detail) == ("page_too_large", "Б: 21,000 bytes; a page is read whole, up to 5,000")
    assert [item.text for item in read(path, enter=lambda name: name != "Б")] == ["Адзін.", "Тры."]


def test_a_truncated_dump_gives_what_came_before_and_says_so(tmp_path):
    path = write(tmp_path / "a.xml.bz2", *(page(f"С{n}", f"Сказ нумар {n}. {n**9}") for n in range(400)))
    path.write_bytes(path.read_bytes()[:-400])
    *_, last = read(path)
    assert last.reason == "truncated"
    assert last.detail == "after 0 pages: the bzip2 data end too early; what came before is read"
    plain_path = write(tmp_path / "b.xml", page("А", "Адзін."), page("Б", "Два."))
    plain_path.write_bytes(plain_path.read_bytes()[:-100])
    first, rest = read(plain_path)
    assert first.text == "Адзін."
    assert rest.reason == "damaged_xml"
    assert rest.detail == "after 1 pages: unclosed token: line 5, column 154"
    assert read(write(tmp_path / "c.xml.bz2", page("А", "Адзін. " * 100)), max_unpacked_bytes=100)[-1].reason == "too_large_unpacked"
    path.write_bytes(b"BZh91AY&SY" + bytes(range(256)))
    assert [item.reason for item in read(path)] == ["damaged"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_a_dump_is_read_however_it_is_packed(tmp_path, pack):
    path = tmp_path / "dump.xml.packed"
    path.write_bytes(pack(write(tmp_path / "a.xml", page("А", "Адзін."), page("Б", "Два.")).read_bytes()))
    assert [item.text for item in extract_file(path, Source(path="."), Limits())] == ["Адзін.", "Два."]


def test_a_dump_that_unpacks_to_out_of_all_proportion_is_a_bomb(tmp_path):
    path = write(tmp_path / "a.xml.bz2", page("А", "Адзін."), page("Б", "[[Б]]", extra='<redirect title="А"/>'), " " * (65 << 20))
    one, rest, redirects = extract_file(path, Source(path="."), Limits())
    assert one.text == "Адзін."
    assert rest.reason == "archive_bomb"
    assert rest.detail.startswith("after 2 pages: ")
    assert redirects.reason == "redirect"


def test_a_dump_with_entities_of_its_own_is_refused(tmp_path):
    path = tmp_path / "a.xml"
    bomb = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE m [<!ENTITY l0 "lol">{bomb}]><mediawiki><page><title>&l9;</title></page></mediawiki>',
        encoding="utf-8",
    )
    (rejected,) = read(path)
    assert (rejected.reason, rejected.detail) == ("damaged_xml", "after 0 pages: it declares an entity (l0), as no dump does")


def test_memory_does_not_grow_with_the_dump(tmp_path):
    def peak(num_pages):
        path = write(tmp_path / f"{num_pages}.xml", *(page(f"С{n}", f"Сказ {n}. " * 300) for n in range(num_pages)))
        tracemalloc.start()
        num = sum(isinstance(item, Piece) for item in extract(path, Source(path="."), Limits()))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert num == num_pages
        return most

    peak(5)
    assert peak(200) < 2 * peak(50) + 500_000


@pytest.mark.parametrize(
    ("tex", "text"),
    [("x^{2}", "x^2"), ("\\Omega_{0}", "Ω_0"), ("\\begin{matrix}a\\end{matrix}", ""), ("\\unknowncommand x", ""), ("a" * 90, "")],
)
def test_short_formulas_are_typed_and_displays_left_out(tex, text):
    assert plain_formula(tex) == text


def test_real_dumps_keep_their_sentences_and_leave_no_markup(shared_data):
    found: dict[str, str] = {}
    for path in sorted((shared_data / "dirty" / "mediawiki_xml").glob("*.bz2")):
        items = read(path)
        assert not [item for item in items if isinstance(item, Rejected) and item.reason not in ("redirect", "not_an_article")]
        found.update({str(item.meta["title"]): item.text for item in items if isinstance(item, Piece)})
    assert len(found) == 111  # of 112 articles two have the same title
    assert not {title: marks for title, text in found.items() if (marks := leftovers(text))}
    assert (
        "Григорианският календар е слънчев календар, зависим от периода на завъртането на Земята около Слънцето"
        in found["Григориански календар"]
    )
    assert found["Anarchism"].startswith(
        "Anarchism is a political philosophy that advocates self-governed societies based on voluntary institutions."
    )
    assert "Francium has a slightly higher ionization energy than caesium" in found["Alkali metal"]
    assert "Woodcut from a Diggers document by William Everard" in found["Anarchism"].split("\n")
