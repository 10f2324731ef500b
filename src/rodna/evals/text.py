"""Words and letters of any script, by Unicode's rules."""

from collections.abc import Sequence
from functools import cache

import regex

from rodna.corpus.unspaced import UNSPACED, UNSPACED_LETTER

WORD_RULE = "Unicode word boundaries (UAX #29), segments that hold a letter or a digit"
"""What a word is here. Scripts without spaces have no such boundaries: in Han or Thai a word is one character with its marks."""

UNIT_RULE = f"{WORD_RULE}; in scripts written without spaces, single characters with their marks"
"""What n-grams are made of, so that they mean about the same in any script."""

_WORD = regex.compile(r"(?w)[\p{L}\p{N}](?:\B.)*", regex.V1 | regex.DOTALL)
_LETTER = regex.compile(r"\p{L}")
_RUN = regex.compile(rf"[{UNSPACED}][{UNSPACED}\p{{M}}]*")
_CHARACTER = regex.compile(r"\X")


def words(text: str) -> list[str]:
    """Return the words of a text. Reference: Unicode Standard Annex 29, section 4."""
    return _WORD.findall(text)


def units(text: str) -> list[str]:
    """Return the words of a text; of scripts written without spaces, its characters with their marks."""
    if not UNSPACED_LETTER.search(text):
        return words(text)
    found: list[str] = []
    for word in words(text):
        if UNSPACED_LETTER.search(word):
            found += characters(word)
        else:
            found.append(word)
    return found


def characters(text: str) -> list[str]:
    """Return the characters of a text, marks with what they stand on. Reference: Unicode Standard Annex 29, section 3."""
    return _CHARACTER.findall(text)


def unspaced_runs(text: str) -> list[str]:
    """Return the stretches of a text that are in scripts written without spaces."""
    return _RUN.findall(text)


@cache
def _letter_of(scripts: tuple[str, ...]) -> "regex.Pattern[str]":
    if not scripts:
        return regex.compile(r"(?!)")
    any_script = "".join(rf"\p{{Script_Extensions={script}}}" for script in scripts)
    return regex.compile(rf"[\p{{L}}&&[{any_script}]]", regex.V1)


def count_letters(text: str, scripts: Sequence[str]) -> tuple[int, int]:
    """Return the number of letters in a text, and how many of them belong to the scripts.

    Args:
        text: any.
        scripts: ISO 15924 codes, such as `Cyrl`.
    """
    return len(_LETTER.findall(text)), len(_letter_of(tuple(scripts)).findall(text))
