"""Each check says what is wrong with a translation, and says nothing where it cannot know."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.items import Item, read_items
from rodna.benchmark.language import check_languages
from rodna.benchmark.validate import (
    SHORT,
    check_answer_key,
    check_chrf,
    check_copied,
    check_distinct,
    check_empty,
    check_length,
    check_numbers,
    check_options,
    check_placeholders,
    check_untranslated,
    chrf,
    copied_share,
    fences,
    fit_lengths,
)

ENGLISH = "The children walked home from school through the cold rain, and their mother gave them warm bread with butter and honey."
CATALAN = "Els nens van tornar de l'escola a casa sota la pluja freda, i la seva mare els va donar pa calent amb mantega i mel."
OCCITAN = "Los enfants tornèron de l'escòla a l'ostal jos la pluèja freja, e lor maire lor donèt de pan caud amb de burre e de mèl."


def config(**more: object) -> BenchmarkConfig:
    return BenchmarkConfig.model_validate({"source_language": "en", "language": "ca", "fields": ("question", "choices"), **more})


def an_item(folder: Path, *choices: str, answer: object = "A") -> Item:
    file = folder / "b.jsonl"
    file.write_text(json.dumps({"question": "Which?", "choices": choices, "answer": answer}) + "\n", encoding="utf-8")
    return read_items(file, config())[0]


@pytest.mark.parametrize(("translation", "passed"), [("", False), (" \n", False), ("x", True)])
def test_an_empty_translation_fails(translation: str, passed: bool):
    assert check_empty("text", translation).passed is passed


@pytest.mark.parametrize(
    ("source", "translation", "detail"),
    [
        ("Hello {name}", "Hola {nom}", "lost {name}; new {nom}"),
        ("`print(1)`", "imprimir(1)", "lost `print(1)`"),
        ("a\nb", "a b", "lost 1 line breaks, now 0"),
        ("$x^2$ is", "x^2 és", "lost $x^2$"),
        ("the ____ is", "el és", "lost ____"),
    ],
)
def test_lost_and_new_placeholders_are_named(source: str, translation: str, detail: str):
    check = check_placeholders(source, translation)

    assert (check.passed, check.detail) == (False, detail)
    assert check_placeholders(source, source).passed


def test_lost_numbers_are_named():
    assert check_numbers("16 of 20", "16 de 200").detail == "lost 20; new 200"
    assert check_numbers("16 of 20,000", "20.000 i 16").passed


def test_the_fences_of_lengths_are_tukeys_of_the_residuals():
    pairs = [("a" * (30 + 7 * number), "b" * (33 + 7 * number + number % 5)) for number in range(50)]
    fit = fit_lengths(pairs, 3.0)
    ratios = [math.log(len(after) / len(before)) for before, after in pairs]
    median = float(np.median(ratios))
    residuals = [(ratio - median) / math.sqrt(1 + SHORT / len(before)) for ratio, (before, _) in zip(ratios, pairs, strict=True)]
    low, high = np.percentile(residuals, [25, 75])

    assert fit.median == pytest.approx(median)
    assert fit.low == pytest.approx(low - 3 * max(high - low, 0.05))
    assert fit.high == pytest.approx(high + 3 * max(high - low, 0.05))
    assert check_length("a" * 100, "b" * 107, fit).passed
    assert check_length("a" * 100, "b" * 250, fit).passed is False
    assert check_length("a" * 100, "b" * 40, fit).passed is False
    # Of two letters anything may become three or four.
    assert check_length("aa", "bbbb", fit).passed


def test_texts_without_words_do_not_make_lengths_look_regular():
    pairs = [("a" * 80, "b" * (80 + number)) for number in range(30)]

    assert fit_lengths([*pairs, *[("50 + 3", "50 + 3")] * 200], 3.0) == fit_lengths(pairs, 3.0)


def test_lengths_of_a_few_texts_are_not_judged():
    fit = fit_lengths([("abc", "abcd")] * 19, 3.0)

    assert check_length("a", "b" * 1000, fit).passed is None


def test_a_long_text_that_stayed_as_it_was_fails_and_names_do_not():
    assert check_untranslated([ENGLISH], [ENGLISH]).passed is False
    assert check_untranslated(
        ["Pluto", "`for x in the_whole_of_this_long_list`"], ["Pluto", "`for x in the_whole_of_this_long_list`"]
    ).passed


def test_copied_words_are_counted_without_names():
    assert copied_share(["I see brownies of Tom"], ["Veig brownies de Tom"]) == pytest.approx(8 / 15)
    assert copied_share(["a"], [""]) == 0
    assert check_copied(0.4, 0.3, 200).passed is False
    assert check_copied(0.4, 0.3, 50).passed is None


def test_options_that_say_the_same_fail_and_the_right_one_is_named(tmp_path: Path):
    item = an_item(tmp_path, "large", "small", "great")
    same = check_distinct(item, {"choices.0": "Gran", "choices.1": "petit", "choices.2": "gran."})

    assert same.passed is False
    assert same.detail == "2 options say the same as the right answer: 'gran'"
    assert check_distinct(item, {"choices.0": "gran", "choices.1": "petit", "choices.2": "enorme"}).passed
    assert check_options(item, {"choices.0": "gran", "choices.1": " ", "choices.2": "x"}).detail == "3 in the source"


def key(item: Item, texts: list[str], back: list[str], second: list[str]) -> object:
    named = [dict(zip(item.options, one, strict=False)) for one in (texts, back, second)]
    return check_answer_key(item, {"question": "Quin?", **named[0]}, named[1], named[2], config())


def test_a_right_answer_that_comes_back_as_another_option_fails(tmp_path: Path):
    item = an_item(tmp_path, "the roots", "the stem", "the leaves")
    texts = ["les arrels", "la tija", "les fulles"]

    assert key(item, texts, ["the roots", "the stem", "the sheets"], []).passed  # type: ignore[attr-defined]
    swapped = key(item, texts, ["the stem", "the roots", "the leaves"], [])
    assert swapped.passed is False  # type: ignore[attr-defined]
    assert "nearer to 'the stem'" in swapped.detail  # type: ignore[attr-defined]
    # The stem comes back as itself: it has the better claim.
    assert key(item, texts, ["the stems", "the stem", "the leaves"], []).passed  # type: ignore[attr-defined]


def test_a_second_translation_that_says_another_option_fails(tmp_path: Path):
    item = an_item(tmp_path, "the roots", "the stem")
    check = key(item, ["les arrels", "la tija"], [], ["la tija", "les arrels"])

    assert check.passed is False  # type: ignore[attr-defined]
    assert "second translation" in check.detail  # type: ignore[attr-defined]


def test_fences_say_nothing_about_a_small_batch():
    assert fences([1.0] * 19, 3.0) == (-math.inf, math.inf)
    assert fences([float(number) for number in range(1, 101)], 3.0) == pytest.approx((25.75 - 148.5, 75.25 + 148.5))


def test_chrf_is_sacrebleus_and_what_was_not_measured_is_not_judged():
    assert chrf("the roots", "the roots") == pytest.approx(100)
    assert chrf("abc", "xyz") == 0
    assert check_chrf("round_trip", None, 50).passed is None
    assert check_chrf("round_trip", 49.9, 50).passed is False


def test_another_language_fails_and_a_few_letters_are_not_judged():
    checks = check_languages([CATALAN] * 4 + [ENGLISH, "pa", "12 + 3", ENGLISH[:50]], config())

    assert [check.passed for check in checks] == [True] * 4 + [False, None, None, False]
    assert checks[4].detail == "looks like English"


def test_a_neighbour_that_the_identifier_takes_the_language_for_is_no_mistake():
    """The identifier has no Franco-Provençal: it takes it for its neighbours, which is then what the batch looks like."""
    checks = check_languages([OCCITAN] * 3 + [ENGLISH], config(language="frp"))

    assert [check.passed for check in checks[:3]] == [True] * 3
    assert checks[3].passed is False


def test_identification_can_be_off():
    assert [check.passed for check in check_languages([ENGLISH], config(identifier="off"))] == [None]
