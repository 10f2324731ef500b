import time
import unicodedata

import lxml.etree
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rodna.corpus.config import NormalizeConfig, Source
from rodna.corpus.cutting import cut, documents_of, place_to_cut
from rodna.corpus.extractors.html_text import text_of as html_text_of
from rodna.corpus.extractors.subtitles import clean_line
from rodna.corpus.extractors.wikitext import plain
from rodna.corpus.extractors.xml import text_of as xml_text_of
from rodna.corpus.normalize import normalize

MENDING = NormalizeConfig()
PLAIN = NormalizeConfig(mend_mojibake=False, reflow=False)

SCRIPTS = {
    "Devanagari": "मानव अधिकारों की सार्वभौम घोषणा। ",
    "Ethiopic": "ሰብአዊ መብቶች። ",
    "N'Ko": "ߊߟߎ߫ ߛߓߍߣߍ߲ ߕߏ߫. ",
    "Arabic": "الإعلان العالمي لحقوق الإنسان. ",
    "Cantonese": "你老公有冇平機票啊？噉就好。",
    "stacked diacritics": "x\u0323\u0302\u0301y\u0323\u0302 ",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_cutting_loses_nothing_and_never_parts_a_mark_from_its_letter(script):
    text = SCRIPTS[script] * 400
    parts = list(cut(text, 1000))
    assert "".join(parts) == text
    assert max(len(part.encode()) for part in parts) <= 1000
    assert not any(unicodedata.combining(part[0]) for part in parts)


def test_a_text_is_cut_at_the_best_place_there_is():
    assert place_to_cut("aaaa aaaa. bbbb\n\ncccc dddd", 20) == len("aaaa aaaa. bbbb\n\n")
    assert place_to_cut("aaaa aaaa bbbb\ncccc dddd eeee", 20) == len("aaaa aaaa bbbb\n")
    assert place_to_cut("aaaa aaaa. bbbb cccc dddd", 18) == len("aaaa aaaa. ")
    assert place_to_cut("aaaa aaaa bbbb cccc", 17) == len("aaaa aaaa bbbb ")
    assert place_to_cut("a" * 50, 17) == 17
    assert place_to_cut("你好嗎？" + "好" * 20, 18) in (4, 6)


def test_adding_text_at_the_end_moves_no_earlier_cut():
    text = SCRIPTS["Arabic"] * 200
    source = Source(path=".", document="section", section_bytes=512)
    before = list(documents_of([text], source, max_bytes=1 << 20))
    after = list(documents_of([text[:777], text[777:] + text], source, max_bytes=1 << 20))
    assert after[: len(before) - 1] == before[:-1]


def test_one_endless_line_is_cut_while_it_is_read():
    chunks = (("слова " * 20_000) for _ in range(20))
    lengths = [len(text.encode()) for text in documents_of(chunks, Source(path=".", document="line"), max_bytes=65536)]
    assert max(lengths) <= 65536
    assert sum(lengths) == 20 * 20_000 * len("слова ".encode())


@given(st.lists(st.text(alphabet="ab \n\u0301é你", max_size=30), max_size=8), st.sampled_from(["file", "blank_line", "line", "section"]))
def test_no_letter_is_ever_lost_however_the_text_arrives(chunks, unit):
    source = Source(path=".", document=unit, section_bytes=256)
    found = "".join(documents_of(chunks, source, max_bytes=1024))
    assert "".join(found.split()) == "".join("".join(chunks).split())


@given(st.text(max_size=200))
def test_normalizing_twice_changes_nothing_more(text):
    once = normalize(text, PLAIN).text
    assert normalize(once, PLAIN).text == once
    assert unicodedata.is_normalized("NFC", once)


def test_newlines_controls_and_compositions_take_one_form():
    done = normalize("e\u0301\r\nx\x00y\rz  \n\n\n\n\ufeffw\u00adu\u2028v\t", MENDING)
    assert done.text == "é\nxy\nz\n\nwu\nv"
    assert set(done.changes) == {"nfc", "controls"}


@pytest.mark.parametrize(
    "text", ["«Так», — сказаў ён…", "，。！？ＡＢＣ", "“quoted” ‘it’s’", "می‌خواهم", "क्‍ष", "ʻOkina ñ œ Œ ß þ ð", "São Tomé É tão"]
)
def test_what_is_right_stays_as_it_is(text):
    assert normalize(text, MENDING).text == text


@pytest.mark.parametrize("text", ["Ці добра табе?", "Žemaitija – gražus kraštas", "Það er gott veður í dag", "ὁ λόγος ἦν πρὸς τὸν θεόν"])
@pytest.mark.parametrize("wrong", ["latin-1", "cp1252"])
def test_mojibake_is_mended(text, wrong):
    try:
        broken = text.encode("utf-8").decode(wrong)
    except UnicodeDecodeError:
        broken = text.encode("utf-8").decode("latin-1")
    done = normalize(f"Good line.\n{broken}", MENDING)
    assert done.text == f"Good line.\n{text}"
    assert "mojibake" in done.changes
    assert normalize(broken, PLAIN).text != text


@pytest.mark.parametrize(
    ("given_text", "wanted", "change"),
    [
        ("a\xa0b\u202fc\u2009d", "a b c d", "spaces"),
        ("a\u180eb ᠠ\u180e ", "ab ᠠ", "controls"),
        ("a\u200bb\ufeff\u2060c\ufffc", "abc", "controls"),
        ("сло\u200cва\u200d", "слова", "joiners"),
        ("ab\u200ec \u202ad\u202c", "abc d", "directions"),
        ("كتاب \u202eabc", "كتاب abc", "directions"),
        ("кнı\ufb01", "кнıfi", "presentation"),
        ("\ufeb3\ufefc\ufee1", "سلام", "presentation"),
        ("ﻣﺮﺣﺒﺎ \ufe70", "مرحبا \u064b", "presentation"),
        ("⽇本", "日本", "presentation"),
    ],
)
def test_invisible_characters_spaces_and_a_fonts_forms_take_one_form(given_text, wanted, change):
    done = normalize(given_text, MENDING)
    assert done.text == wanted
    assert done.changes == (change,)


@pytest.mark.parametrize(
    "text",
    [
        "می‌خواهم و ه‌",
        "क्‍ष श्‌र",
        "ᠬᠠᠷ\u180eᠠ ᠮᠣᠩᠭᠣᠯ",
        "👨‍👩‍👧 ❤️‍🔥 🏴\U000e0067\U000e007f",
        "العربية \u202aabc\u202c و\u200f",
        "全形　空格，ＡＢＣ！",
        "x² ½ ™ № ﷺ ㎏ µ",
        "a  b\tc",
        "daß“ Spaß… HVAÐ… „É é“",
    ],
)
def test_what_a_script_needs_stays(text):
    assert normalize(text, MENDING) == (text, ())


def test_each_part_of_normalizing_can_be_switched_off():
    text = "a\xa0b\u200b Ã©"
    assert normalize(text, NormalizeConfig(unicode=False, mend_mojibake=False)).text == text
    assert normalize(text, NormalizeConfig(unicode=False)).changes == ("mojibake",)
    assert normalize(text, PLAIN).text == "a b Ã©"


@example("\u0301\xad\ufe70\u200c")  # the mark that ends up first says that the joiner may stay
@example("\u0301\u200c\u0323\u064b\u200c")
@example("a" + 20 * "\u0301" + "\u200b" + 20 * "\u0301")
@example(40 * "\ufe70")
@example(25 * "\u0344")
@example("\u1820\u0301\u18a9\u180e\u1820 \u0301\u180e\u0323")
@given(st.text(alphabet="aя ا\u200c\u200d\u200e\u202a\u202c\u061c\u200b\xad\n\xa0क😀\ufe0f\ufe70\u0301", max_size=40))
def test_normalizing_invisible_characters_twice_changes_nothing_more(text):
    once = normalize(text, PLAIN).text
    assert normalize(once, PLAIN) == (once, ())


@pytest.mark.parametrize("codec", ["cp1251", "cp866", "koi8-r", "mac-cyrillic"])
def test_utf8_read_in_an_encoding_of_cyrillic_is_read_again(codec):
    text = "Прывітанне, як справы? Ён і сёння Іхні."
    broken = "".join(bytes([byte]).decode(codec, "ignore") or chr(byte) for byte in text.encode())
    assert broken != text
    assert normalize(broken, NormalizeConfig()) == (text, ("mojibake",))
    assert normalize(f"{text}\n{broken}\n{text}", NormalizeConfig()).text == f"{text}\n{text}\n{text}"


def test_good_text_with_pairs_that_could_be_mojibake_stays():
    for text in ("Сіні Пётр і Рџсскій", "пёс яё — А", "Р° і С€"):
        assert normalize(text, NormalizeConfig()).text == text


def test_the_ideographic_space_of_a_poem_stays_whatever_its_file():
    poem = "古池や\u3000蛙飛びこむ\u3000水の音"
    assert html_text_of(f"<p>\u3000 {poem}\n</p>")[0] == poem
    assert plain(f" {poem} ") == poem
    assert xml_text_of(lxml.etree.fromstring(f"<poem><l>\n{poem} </l><l>a \n b</l></poem>")) == f"{poem}\na b"
    assert clean_line(f"<i>{poem}</i>") == poem


def test_marks_without_end_cost_no_more_than_other_text():
    marks = "\u0301" * 50_000 + "\u0323" * 50_000
    started = time.process_time()
    done = normalize(f"a{marks} e\u0301", MENDING).text
    assert time.process_time() - started < 5
    assert done.replace("\u034f", "").endswith("\u0323 é")
    assert normalize(done, MENDING).text == done
