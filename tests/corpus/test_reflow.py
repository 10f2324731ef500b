import textwrap
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rodna.corpus.config import NormalizeConfig
from rodna.corpus.normalize import normalize
from rodna.corpus.reflow import reflow

BELARUSIAN = (
    "Кніга была вялікая і цяжкая, а бабуля ўсё чытала яе ўголас, пакуль за акном не сцямнела зусім. Дзеці сядзелі на печы і слухалі, "
    "як вецер гуляе ў коміне, як рыпіць старая ліпа каля варот. Потым прыйшоў дзед з сенажаці, сеў за стол і таксама пачаў слухаць. "
    "Ніхто не казаў ні слова, толькі агеньчык у лямпе дрыжаў, калі хто-небудзь уздыхаў ад той даўняй казкі пра чужы край."
)
ENGLISH = (
    "It was a bright cold morning when the old miller walked down to the river with a basket under his arm and nothing much to do. He "
    "had looked at the sky and thought that it would not rain before the evening, though his wife had told him that it surely would. "
    "The water ran high between the stones and carried leaves and twigs along with it, and he stood there for a long while, watching."
)
ICELANDIC = (
    "Hann gekk út um morguninn og sá að snjór var kominn yfir allt landið, og hvergi sást til vegar. Þá mælti hann við konu sína að nú "
    "mundi engi maður koma til þeirra fyrr en voraði, og væri þeim best að una við það sem til var í búri og á lofti. "
    "Hún svaraði fáu en kvað það satt vera, og settust þau þá við eldinn með börnum sínum og sögðu sögur fram á kvöld."
)
CANTONESE = "今日天氣幾好，我哋一齊去咗公園行咗一陣，見到好多人喺度放紙鳶，小朋友玩得好開心，阿婆就坐喺樹下面傾偈，話以前呢度係一片田，" * 4
VERSE = """Of Mans First Disobedience, and the Fruit
Of that Forbidden Tree, whose mortal tast
Brought Death into the World, and all our woe,
With loss of Eden, till one greater Man
Restore us, and regain the blissful Seat,
Sing Heav'nly Muse, that on the secret top
Of Oreb, or of Sinai, didst inspire
That Shepherd, who first taught the chosen Seed,
In the Beginning how the Heav'ns and Earth
Rose out of Chaos: Or if Sion Hill"""
SENTENCES = """Я цябе шукаў учора ўвесь дзень.
Гарбата вельмі горкая і несмачная.
Хто глядзіць за гэтым сабакам, калі нас няма дома?
Спадзяюся, што вам хутка стане лепей.
Які фрукт жоўты?
Я дагэтуль не атрымаў твой ліст, а чакаю яго даўно."""
LIST = """- яблыкі з таго саду, што каля старой царквы на гары
- грушы, якія прывезлі ўчора вечарам з суседняй вёскі
- слівы, пра якія казала бабуля, калі мы былі ў яе там
- агрэст, парэчкі і ўсё, што яшчэ засталося на кустах
- мёд ад пчол, якія жывуць у дупле старога дуба ў лесе"""
TABLE = """год       вёска          жыхароў    двароў    школ
1897      Вялікае        1204       187       1
1909      Вялікае        1377       201       1
1921      Вялікае        980        176       2
1939      Вялікае        1105       190       2
1959      Вялікае        702        151       1"""


def wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False))


def letters(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


@pytest.mark.parametrize("text", [BELARUSIAN, ENGLISH, ICELANDIC])
@pytest.mark.parametrize("width", [40, 60, 72])
def test_prose_broken_at_any_width_becomes_one_paragraph(text, width):
    assert reflow(wrapped(text, width)) == text


def test_paragraphs_stay_apart():
    text = f"{wrapped(BELARUSIAN, 60)}\n\n{wrapped(BELARUSIAN, 60)}"
    assert reflow(text) == f"{BELARUSIAN}\n\n{BELARUSIAN}"


def test_an_indented_line_begins_a_paragraph():
    text = f"{wrapped(ENGLISH, 60)}\n    {wrapped(ENGLISH, 56)}"
    assert reflow(text) == f"{ENGLISH}\n{ENGLISH}"


def test_text_written_without_spaces_is_joined_without_any():
    lines = "\n".join(CANTONESE[i : i + 30] for i in range(0, len(CANTONESE), 30))
    assert reflow(lines) == CANTONESE


@pytest.mark.parametrize("text", [VERSE, SENTENCES, LIST, TABLE, "коратка\nі ўсё", ""])
def test_verse_lists_tables_and_sentences_stay_as_they_are(text):
    assert reflow(text) == text


@pytest.mark.parametrize("part", [VERSE, SENTENCES, LIST, TABLE])
def test_verse_lists_and_tables_stay_as_they_are_between_prose(part):
    prose = "\n\n".join([wrapped(ENGLISH, 66)] * 6)
    assert reflow(f"{prose}\n\n{part}\n\n{prose}").split("\n\n")[6] == part


def test_dialogue_keeps_its_lines():
    dialogue = "— Куды ты ідзеш так рана, суседзе?\n— На кірмаш, купіць дзецям абаранкаў.\n— Вазьмі і мяне з сабою."
    prose = "\n\n".join([wrapped(BELARUSIAN, 60)] * 3)
    assert dialogue in reflow(f"{prose}\n\n{dialogue}\n\n{prose}")


def test_a_heading_in_capitals_stays_above_its_text():
    text = f"ПЕРШЫ РАЗДЗЕЛ, У ЯКІМ БАБУЛЯ ЧЫТАЕ ДЗЕЦЯМ КНІГУ\n{wrapped(BELARUSIAN, 50)}"
    assert reflow(text).split("\n")[0] == "ПЕРШЫ РАЗДЗЕЛ, У ЯКІМ БАБУЛЯ ЧЫТАЕ ДЗЕЦЯМ КНІГУ"


def test_a_paragraph_parted_by_a_new_page_is_rejoined():
    lines = wrapped(ENGLISH, 60).split("\n")
    assert reflow("\n".join([*lines[:3], "", *lines[3:]])) == ENGLISH


@pytest.mark.parametrize(
    ("known", "broken", "expected"),
    [
        ("The watermill is old.", "water-\nmill", "watermill"),
        ("A well-known man, the well-known one.", "well-\nknown", "well-known"),
        ("No word of it elsewhere.", "zuk-\nunft", "zukunft"),
        ("We saw Anglo at first.", "Anglo-\nSaxon", "Anglo-Saxon"),
        ("Sister- and brotherhood.", "father-\nand", "father- and"),
        ("No word of it elsewhere.", "zuk¬\nunft", "zukunft"),
        (
            "A red-hot and a blue-green and a far-off thing, the half-moon, one-eyed, two-fold; here is sea, here salt.",
            "sea-\nsalt",
            "sea-salt",
        ),
    ],
)
def test_the_texts_own_words_say_whether_a_hyphen_stays(known, broken, expected):
    text = f"{wrapped(ENGLISH, 60)}\n\n{known}\n\n{wrapped(ENGLISH, 60)}\n\n{wrapped(ENGLISH[:110], 60)} and then {broken} was there."
    assert f"and then {expected} was there." in reflow(text)


def test_a_soft_hyphen_at_a_lines_end_rejoins_its_word_whatever_the_lines_are():
    assert normalize("першая кні\u00ad\nга", NormalizeConfig()).text == "першая кніга"
    assert normalize("першая кні\ufffe\n  га", NormalizeConfig()).text == "першая кніга"


def test_reflow_can_be_switched_off():
    text = wrapped(ENGLISH, 60)
    assert normalize(text, NormalizeConfig(reflow=False)).text == text
    assert normalize(text, NormalizeConfig()).changes == ("reflow",)


def test_lines_known_to_be_a_pages_need_fewer_signs():
    text = wrapped(ENGLISH[:190], 62)
    assert text.count("\n") == 3
    assert reflow(text) == text
    assert reflow(text, wrapped=True) == ENGLISH[:190]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from([BELARUSIAN, ENGLISH, ICELANDIC, CANTONESE, VERSE, LIST, TABLE]), min_size=1, max_size=3),
    st.text(alphabet="aбé你ا\u0301-‐ ¬\n\t.—A", max_size=200),
    st.integers(20, 90),
    st.booleans(),
)
def test_no_letter_is_ever_lost_or_added(texts, noise, width, known):
    text = "\n\n".join(wrapped(part, width) for part in texts) + noise
    assert letters(reflow(text, wrapped=known)) == letters(text)


def test_the_icelandic_and_english_books_are_told_from_verse(shared_data):
    def reduced(name: str) -> float:
        before = normalize((shared_data / "corpora" / name).read_text(errors="replace"), NormalizeConfig(reflow=False)).text
        after = reflow(before)
        assert letters(after) == letters(before)
        return after.count("\n") / before.count("\n")

    for book in ("en/austen-emma.txt", "en/austen-persuasion.txt", "en/carroll-alice.txt", "is/georgius2.txt", "is/marta.txt"):
        assert reduced(book) < 0.6
    for other in ("en/milton-paradise.txt", "en/blake-poems.txt", "en/shakespeare-hamlet.txt", "be/bible_maley_pd.txt", "be/tatoeba.txt"):
        assert reduced(other) == 1


@pytest.mark.parametrize(
    "text",
    ["\n".join(["ab cd efg hijk lmno pqrst uvw xyz abcd ef-"] * 20_000), "\n".join(["a" * 200_000 + " x-\nbb"] * 4)],
    ids=["a paragraph of broken words", "runs of letters without end"],
)
def test_what_no_page_looks_like_takes_no_longer_than_other_text(text):
    started = time.process_time()
    assert reflow(text, wrapped=True).count("ab") == text.count("ab")
    assert time.process_time() - started < 8
