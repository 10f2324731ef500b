import pytest

from rodna.evals.text import count_letters, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Аб’ява: п'ять слоў, 3.14!", ["Аб’ява", "п'ять", "слоў", "3.14"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("ߒߞߏ ߞߊ߲", ["ߒߞߏ", "ߞߊ߲"]),
        ("我哋 OK", ["我", "哋", "OK"]),
        ("ɗan'uwa e\u0301te\u0301 _x_", ["ɗan'uwa", "e\u0301te\u0301", "x_"]),
        ("— … 🙂\n", []),
    ],
)
def test_words_follow_unicode_boundaries_in_any_script(text, expected):
    assert words(text) == expected


def test_letters_are_counted_by_script():
    assert count_letters("Мова i мова", ["Cyrl"]) == (9, 8)
    assert count_letters("食べる 123!", ["Hani", "Hira"]) == (3, 3)
    assert count_letters("123", ["Latn"]) == (0, 0)
