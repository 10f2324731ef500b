"""What must come through a translation unchanged is found, hidden and put back, in any script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rodna.benchmark import numbers, protect
from rodna.benchmark.translators import is_mask, mask
from rodna.benchmark.translators.masks import read_masks, write_masks


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("Hello {name}, {{count}} new", ["{name}", "{{count}}"]),
        ("50% sure of %s and %(n)d, %.2f", ["%s", "%(n)d", "%.2f"]),
        ("so $x^2$ and $y$, or $$a + b$$", ["$x^2$", "$y$", "$$a + b$$"]),
        ("\\(a\\) is \\frac{1}{2} of \\[b\\]", ["\\(a\\)", "\\frac{1}{2}", "\\[b\\]"]),
        ("a line\\nAnd \\nabla, `code x` and ```two\nlines```", ["\\n", "\\nabla", "`code x`", "```two\nlines```"]),
        ("makes $<<9*2=18>>18 a day\n#### 18", ["<<9*2=18>>", "####"]),
        ("<b>bold</b>, but 3 < 4 and 5 > 4", ["<b>", "</b>"]),
        ("see https://example.org/a?b=c. Or a.b@example.org!", ["https://example.org/a?b=c", "a.b@example.org"]),
        ("The ____ sat on the ......", ["____", "......"]),
        ("ძაღლი {სახელი} და $ა_1$", ["{სახელი}", "$ა_1$"]),
    ],
)
def test_placeholders_are_found(text: str, spans: list[str]):
    assert protect.placeholders(text) == spans


@pytest.mark.parametrize(
    "text",
    ["It costs $80,000 and then $50,000 more", "$5 or 5$", "from $2-$3 a day", "50% of 20% is 10%", "a < b and c > d", "wait... what?"],
)
def test_prices_percentages_and_comparisons_are_no_placeholders(text: str):
    assert protect.placeholders(text) == []


@given(st.text(alphabet="ab{}$<>%`_\\#\ue000\ue001 \n19.", max_size=60), st.booleans(), st.booleans())
def test_what_is_masked_comes_back_exactly(text: str, numbers_too: bool, spans: bool):
    masked = protect.protect(text, numbers=numbers_too, spans=spans)

    assert masked.restore(masked.text) == text
    assert sum(map(is_mask, masked.text)) == len(masked.spans)


@given(st.text(alphabet="ab \n\t\r\u2028.", max_size=40))
def test_lines_joined_again_are_the_text(text: str):
    lines = protect.split_lines(text)

    assert lines.join(lines.bodies) == text
    assert all(body == body.strip() and "\n" not in body for body in lines.bodies)


def test_masks_that_a_translator_invents_disappear():
    masked = protect.protect("a {b}")

    assert masked.restore(f"x {mask(0)} {mask(7)}") == "x {b} "


@given(st.text(alphabet="ab[]<>#0123⟦⟧ \ue000\ue001\ue00c", max_size=30))
def test_masks_written_for_a_language_model_are_read_again(text: str):
    written, style = write_masks(text)

    if style and read_masks(text, style) == text:
        assert read_masks(written, style) == text
    if not style:
        assert written == text


def test_masks_are_read_with_spaces_that_a_model_put_into_them():
    assert read_masks("la [ 0 ] i [1 ]", "[{}]") == f"la {mask(0)} i {mask(1)}"


@pytest.mark.parametrize(
    ("source", "translation"),
    [
        ("80,000 of 50,000", "80.000 de 50.000"),
        ("80,000", "80 000"),
        ("80,000", "80\u202f000"),
        ("1.5 m", "1,5 m"),
        ("1,234,567.50", "1.234.567,5"),
        ("12,34,567", "1234567"),
        ("123", "१२३"),
        ("3.14", "٣٫١٤"),
        ("3", "三"),
        ("1,2,3", "1, 2, 3"),
        ("2 and 3", "3 a 2"),
        ("m² and ½", "м² и ½"),
        ("-5", "−5"),
        ("007", "7"),
        ("$140-$14 = $126", "140$-14$ = 126$"),
    ],
)
def test_the_same_numbers_in_another_script_or_convention_are_the_same(source: str, translation: str):
    assert numbers.lost_and_gained(source, translation) == ([], [])


@pytest.mark.parametrize(
    ("source", "translation", "lost", "gained"),
    [
        ("3 eggs", "trys", ["3"], []),
        ("16 of 61", "61 of 61", ["16"], ["61"]),
        ("1.5", "15", ["1.5"], ["15"]),
        ("-5", "5", ["-5"], ["5"]),
        ("80,000", "8,000", ["80,000"], ["8,000"]),
        ("a", "a 2", [], ["2"]),
        ("2 2", "2", ["2"], []),
    ],
)
def test_numbers_that_are_lost_or_new_are_named(source: str, translation: str, lost: list[str], gained: list[str]):
    assert numbers.lost_and_gained(source, translation) == (lost, gained)


@given(st.lists(st.integers(0, 10**7), max_size=6), st.sampled_from(["{:d}", "{:,}"]), st.sampled_from([" a ", "; ", " / "]))
def test_any_numbers_equal_themselves_written_plainly(values: list[int], form: str, between: str):
    written, plain = between.join(map(form.format, values)), between.join(map(str, values))

    assert numbers.lost_and_gained(written, plain) == ([], [])


@pytest.mark.parametrize(
    ("text", "number"),
    [("3 + 4 = 7\n#### 7", "7"), ("#### $70,000", "70,000"), ("18", "18"), ("$18", "18"), ("18 eggs", ""), ("#### ", ""), ("", "")],
)
def test_the_number_of_an_answer_is_read(text: str, number: str):
    assert numbers.final_number(text) == number
