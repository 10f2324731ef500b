"""Menus at a document's edges go; whatever the language's own text has too stays."""

import random
from pathlib import Path

import pytest

from rodna.corpus.boilerplate import strip_boilerplate
from rodna.corpus.quality.characters import CharacterModel

MENU = "Галоўная\nНавіны\nПра нас\nКантакты\nУвайсці\nПошук"
TEXT = "\n".join(f"Гэта {number}-ы сказ артыкула, які варта захаваць цалкам, і яшчэ крыху слоў." for number in range(12))


def model_of(*texts: str) -> CharacterModel:
    return CharacterModel.fit([*texts])


@pytest.fixture(scope="module")
def prose() -> CharacterModel:
    return model_of(*[TEXT] * 20)


def test_a_menu_goes_from_the_start_and_the_end(prose: CharacterModel):
    text, removed = strip_boilerplate(f"{MENU}\n\n{TEXT}\n\n{MENU}", prose)

    assert text == TEXT
    assert removed == 2 * len(MENU) + 4


def test_a_title_an_author_and_a_date_stay(prose: CharacterModel):
    text = f"Назва\nЯнка Купала\n1912\n\n{TEXT}"

    assert strip_boilerplate(text, prose)[0] is text


def test_a_menu_in_the_middle_stays(prose: CharacterModel):
    text = f"{TEXT}\n{MENU}\n{TEXT}"

    assert strip_boilerplate(text, prose) == (text, 0)


def test_a_document_that_is_mostly_menu_is_left_to_the_quality_filter(prose: CharacterModel):
    text = f"{MENU}\n" * 5 + "Адзін сказ на ўсю старонку."

    assert strip_boilerplate(text, prose) == (text, 0)


def test_where_the_language_is_written_in_short_lines_they_stay():
    source = random.Random(0)
    poem = "\n".join(" ".join(source.choices(["зорка", "ноч", "вада", "лес"], k=2)) for _ in range(40))
    text = f"{MENU}\n{TEXT}"

    assert strip_boilerplate(text, model_of(poem, poem[::-1], TEXT)) == (text, 0)


def test_no_clean_text_loses_a_line(shared_data: Path):
    for language in ("be", "is"):
        texts = [path.read_text(encoding="utf-8") for path in sorted((shared_data / "corpora" / language).glob("*.txt"))][:8]
        model = model_of(*texts)
        assert [strip_boilerplate(text, model)[1] for text in texts] == [0] * len(texts)
