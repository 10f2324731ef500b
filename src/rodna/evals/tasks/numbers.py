"""Numbers in answers: digits of any script, thousands however they are parted."""

import unicodedata

import regex

MARK = "####"
"""Stands before the final answer of a worked solution. Reference: GSM8K, Cobbe et al. 2021, arXiv:2110.14168."""

_SPACES = "\u0020\u00a0\u2009\u202f"
_UNSIGNED = rf"(?:\p{{Nd}}{{1,3}}(?:[{_SPACES}]\p{{Nd}}{{3}}(?!\p{{Nd}}))+|\p{{Nd}}+)(?:[.,\u066b\u066c'\u2019]\p{{Nd}}+)*"
_NUMBER = regex.compile(rf"[-\u2212]?\p{{Sc}}?{_UNSIGNED}")
_MARKED = regex.compile(rf"{MARK}[{_SPACES}]*([-\u2212]?{_UNSIGNED})")
_THOUSANDS = regex.compile(r"-?[1-9]\d{0,2}[.,]\d{3}")
_AS_WRITTEN_HERE = str.maketrans({"\u2212": "-", "\u066b": ".", "\u066c": ",", "'": None, "\u2019": None} | dict.fromkeys(_SPACES))


def last_number(text: str) -> str:
    """Return the last number of a text as it is written, "" where there is none."""
    found = [match[0] for match in _NUMBER.finditer(text)]
    return found[-1] if found else ""


def marked_number(text: str) -> str:
    """Return the first number that follows a `####`, "" where there is none."""
    match = _MARKED.search(text)
    return match[1] if match else ""


def is_number(text: str) -> bool:
    """Return whether a text is one number and nothing else."""
    return _NUMBER.fullmatch(text.strip()) is not None


def readings(number: str) -> list[str]:
    """Return what a written number may mean, the likelier first, in ASCII with a decimal point.

    No language is assumed: `1.500` and `1,500` may each be fifteen hundred or one and a half. Digits are compared, not values: `18.00` is
    not `18`, as in lm-evaluation-harness.
    """
    digits = "".join(str(unicodedata.decimal(sign, sign)) for sign in number if unicodedata.category(sign) != "Sc")
    plain = digits.translate(_AS_WRITTEN_HERE)
    points, commas = plain.count("."), plain.count(",")
    grouped = plain.replace(",", "").replace(".", "")
    if points + commas == 0:
        found = [plain]
    elif points and commas:
        last = max(plain.rfind("."), plain.rfind(","))
        whole = plain[:last].replace(",", "").replace(".", "")
        found = [f"{whole}.{plain[last + 1 :]}" if plain.count(plain[last]) == 1 else grouped]
    elif points + commas > 1:
        found = [grouped]
    elif _THOUSANDS.fullmatch(plain):
        found = [grouped, plain.replace(",", ".")]
    else:
        found = [plain.replace(",", ".")]
    if " " in digits:
        # Two numbers, or one whose thousands are parted by a space.
        found += readings(number.rpartition(" ")[2])
    return found


def is_same_number(given: str, wanted: str) -> bool:
    """Return whether a number that a model wrote may mean the one that is wanted."""
    return bool(given) and readings(wanted)[0] in readings(given)
