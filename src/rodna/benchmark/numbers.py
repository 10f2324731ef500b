"""Numbers in texts of any script: their digits, separators and signs, read without knowing the language's conventions."""

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

_GROUPING = "'’\u00a0\u202f\u2009٬ "
_DECIMAL = "٫"
_EITHER = ".,"
_SEPARATORS = _GROUPING.strip(" ") + _DECIMAL + _EITHER
_SIGN = r"(?:(?<![^\s(\[{=,;:<>«“\"])[-−])?"
_SINGLE = "¼-¾⅐-⅞⁰¹²³⁴-⁹₀-₉"
NUMBER = re.compile(rf"{_SIGN}\d+(?:[{_SEPARATORS}]\d+)*|[{_SINGLE}]")
_WITH_SPACES = re.compile(rf"{_SIGN}(?:(?<!\d)\d{{1,3}}(?: \d{{3}}(?!\d))+(?:[.,]\d+)?|\d+(?:[{_SEPARATORS}]\d+)*)|[{_SINGLE}]")
_PART = re.compile(r"(\D)")
_ANSWER_MARK = "####"

Value = frozenset[str]
"""What a written number may mean: `1,500` is one and a half in some languages and fifteen hundred in others."""


def numbers(text: str, *, spaced: bool = False) -> list[str]:
    """Return the numbers of a text as they are written.

    Args:
        text: of any script.
        spaced: take a space between groups of three digits for a part of the number.
    """
    found: list[str] = (_WITH_SPACES if spaced else NUMBER).findall(text)
    # Marks that make no number, as in `1,2,3` or a date, part several.
    return [number for written in found for number in ([written] if value_of(written) else re.findall(r"\d+", written))]


def value_of(written: str) -> Value:
    """Return what a written number may mean, in plain decimal notation; nothing where it is several numbers."""
    if len(written) == 1 and not written.isdecimal():
        return frozenset({str(Fraction(unicodedata.numeric(written)).limit_denominator(1000))})
    sign = "-" if written[0] in "-−" else ""
    plain = "".join(str(unicodedata.decimal(character)) if character.isdecimal() else character for character in written.lstrip("-−"))
    parts = _PART.split(plain)
    return frozenset(reading if reading == "0" else sign + reading for reading in _readings(parts[::2], parts[1::2]))


def _readings(digits: Sequence[str], marks: Sequence[str]) -> list[str]:
    """Return the numbers that groups of digits and the marks between them may stand for; none where they are several numbers."""
    if not marks:
        return [_plain(digits[0])]
    found = []
    # The last mark may part whole from decimals: where it is a mark that can, and the ones before it group.
    if marks[-1] in _DECIMAL + _EITHER and marks[-1] not in marks[:-1] and _are_groups(digits[:-1], marks[:-1]):
        found.append(_plain(f"{''.join(digits[:-1])}.{digits[-1]}"))
    if _are_groups(digits, marks) and digits[0] != "0":
        found.append(_plain("".join(digits)))
    return found


def _are_groups(digits: Sequence[str], marks: Sequence[str]) -> bool:
    """Return whether digits are grouped by one mark: by threes, or by twos before the last three as in India."""
    if not marks:
        return True
    sizes = [len(part) for part in digits]
    middle = set(sizes[1:-1])
    return len(set(marks)) == 1 and marks[0] not in _DECIMAL and sizes[0] <= 3 and sizes[-1] == 3 and (middle <= {3} or middle <= {2})


def _plain(number: str) -> str:
    normal = Decimal(number).normalize()
    return f"{normal:f}"


def lost_and_gained(source: str, translation: str) -> tuple[list[str], list[str]]:
    """Return the numbers of the source that the translation lacks, and those it has beyond the source's, as they are written.

    Of the readings of `80 000`, one number or two, the one that loses least counts. Numerals that are letters (as in Chinese) may stand
    for digits.
    """
    outcomes: list[tuple[list[str], list[str]]] = []
    for first, second in ((False, False), (True, True), (True, False), (False, True)):
        outcomes.append(_compare(source, translation, first, second))
        if outcomes[-1] == ([], []):
            return [], []
    lost, gained = min(outcomes, key=lambda outcome: len(outcome[0]) + len(outcome[1]))
    return _without(lost, _letters(translation)), _without(gained, _letters(source))


def _compare(source: str, translation: str, spaced_source: bool, spaced_translation: bool) -> tuple[list[str], list[str]]:
    before, after = numbers(source, spaced=spaced_source), numbers(translation, spaced=spaced_translation)
    lost = _without(before, [value_of(written) for written in after])
    return lost, _without(after, [value_of(written) for written in before])


def _without(written: Sequence[str], values: Sequence[Value]) -> list[str]:
    """Return the numbers that find no partner among the values; each value serves once, and equals go before those that may be equal."""
    free = list(values)
    rest = []
    for number in written:
        value = value_of(number)
        if value in free:
            free.remove(value)
        else:
            rest.append(number)
    unmatched = []
    for number in rest:
        value = value_of(number)
        partner = next((other for other in free if other & value), None)
        if partner is None:
            unmatched.append(number)
        else:
            free.remove(partner)
    return unmatched


def _letters(text: str) -> list[Value]:
    """Return the values of letters that are numerals."""
    return [
        frozenset({_plain(str(Decimal(unicodedata.numeric(character))))})
        for character in text
        if unicodedata.category(character) in ("Lo", "Nl") and unicodedata.numeric(character, -1) >= 0
    ]


def final_number(text: str) -> str:
    """Return the last number after `####`; where that does not stand, a text that is nothing but a number; else ""."""
    _, mark, after = text.rpartition(_ANSWER_MARK)
    if mark:
        found = numbers(after, spaced=True)
        return found[-1] if found else ""
    stripped = text.strip().strip("$€£¥₹%").strip()
    found = numbers(stripped, spaced=True)
    return stripped if found == [stripped] else ""


def same_number(first: str, second: str) -> bool:
    """Return whether two written numbers may mean the same."""
    return bool(value_of(first) & value_of(second))
