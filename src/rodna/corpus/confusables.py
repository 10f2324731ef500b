"""Letters of different scripts that look the same, and the places of a text where one may stand for the other.

Latin, Cyrillic, Greek and Armenian share shapes; typists whose keyboard lacks a letter take its twin from another layout. The table holds
twins only, after Unicode's list of confusables (UTS 39) and the substitutions found in Belarusian, Caucasian, Turkic and African texts:
whether a twin is a letter of the language at all is for the corpus to say (see repair.py).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import NamedTuple

SCRIPTS: Mapping[str, str] = {
    "Latn": "A-Za-z\u00aa\u00ba\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u1e00-\u1eff\u2c60-\u2c7f\ua722-\ua7ca\uab30-\uab5a",
    "Cyrl": "\u0400-\u0481\u048a-\u052f\u1c80-\u1c8a\ua640-\ua66e\ua680-\ua69d",
    "Grek": "\u0370-\u0373\u0376-\u037d\u037f-\u03ff\u1f00-\u1fff",
    "Armn": "\u0531-\u0556\u0560-\u0588",
}
"""The letters of each script as a regular expression's class. The micro sign counts as Latin: it is the twin of a Greek letter."""

_TWINS = {
    (
        "Latn",
        "Cyrl",
    ): "AА BВ CС EЕ HН IІ IӀ JЈ KК MМ OО PР SЅ TТ XХ YУ YҮ ƏӘ ÆӔ QԚ WԜ aа cс eе hһ iі jј kк lӏ oо pр sѕ xх yу yү əә æӕ qԛ wԝ ɵө ÇҪ çҫ",
    ("Latn", "Grek"): "AΑ BΒ EΕ ZΖ HΗ IΙ KΚ MΜ NΝ OΟ PΡ TΤ YΥ XΧ oο vν iι pρ aα kκ uυ xχ µμ ɑα ɛε ɣγ ɩι ʋυ ꞵβ ßβ ꭓχ ꞷω",
    ("Cyrl", "Grek"): "АΑ ВΒ ЕΕ НΗ ІΙ КΚ МΜ ОΟ РΡ ТΤ ХΧ УΥ ПΠ ГΓ ФΦ оο рρ аα кκ хχ іι уυ",
    ("Latn", "Armn"): "OՕ SՏ LԼ UՍ oօ uս hհ nո gց qզ jյ",
    ("Cyrl", "Armn"): "ОՕ Ѕ\u054f оօ һհ ԛզ јյ",
}
MARKS = "\u0300-\u036f\u0483-\u0487"
_ALL = "".join(SCRIPTS.values())
WORD = re.compile(f"[{_ALL}][{_ALL}{MARKS}]*")
"""A word of these scripts, marks included."""
# What tells an address, a path or a piece of code from prose.
_NOT_PROSE = re.compile(r"://|www\.|[@\\_={}<>|~^$]|[A-Za-z0-9]\.[A-Za-z]|/\S*/|\(\)|::")
_SPACE = re.compile(r"\s")
_ROMAN = re.compile("(?=[IVXLCDM])M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
_STARTS_A_SENTENCE = ".!?…:;«»\"“”„‘'([—–-*•"
_BEYOND = 60


class Suspect(NamedTuple):
    """A word with a letter that may belong to another script.

    `mixed`: it holds letters of several scripts; otherwise all of it is in another script than the text and could be read in the text's,
    and `fits` says whether its place asks for that: its neighbours are of the text's script, and it is no initial, label or number.
    """

    start: int
    word: str
    mixed: bool
    script: str
    fits: bool


@cache
def twins(source: str, target: str) -> Mapping[str, tuple[str, ...]]:
    """Return letter of the one script -> its twins in the other."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for (one, other), pairs in _TWINS.items():
        for a, b in pairs.split():
            if (one, other) == (source, target):
                found[a].append(b)
            elif (other, one) == (source, target):
                found[b].append(a)
    return {letter: tuple(letters) for letter, letters in found.items()}


@cache
def script_of(letter: str) -> str:
    """Return the script of a letter, "" where it is none of these."""
    return next((script for script, letters in SCRIPTS.items() if re.match(f"[{letters}]", letter)), "")


def scripts_of(word: str) -> dict[str, int]:
    """Return script -> number of the word's letters."""
    counts: dict[str, int] = {}
    for letter in word:
        script = script_of(letter)
        if script:
            counts[script] = counts.get(script, 0) + 1
    return counts


def is_roman_numeral(word: str) -> bool:
    """Return whether a word is a Roman numeral in capital Latin letters."""
    return _ROMAN.fullmatch(word) is not None


@cache
def _other_letters(script: str) -> re.Pattern[str]:
    return re.compile("[" + "".join(letters for name, letters in SCRIPTS.items() if name != script) + "]")


_NOT_LATIN = _other_letters("Latn")


@cache
def _mixed_at(script: str) -> re.Pattern[str]:
    """Match a letter of another script than this with a letter of a third, or of this, beside it.

    It begins with the rarer letters, to which `re` skips.
    """
    beside = []
    for name, letters in SCRIPTS.items():
        if name != script:
            unlike = _other_letters(name).pattern
            beside.append(f"(?<=[{letters}])(?:(?={unlike})|(?<={unlike}.))")
    return re.compile(f"{_other_letters(script).pattern}(?:{'|'.join(beside)})")


@cache
def _readable_otherwise(script: str) -> re.Pattern[str]:
    """Match a word of one other script that could be read in this one, letter by letter."""
    words = "|".join(f"[{''.join(sorted(twins(name, script)))}]+" for name in SCRIPTS if name != script and twins(name, script))
    letters = "".join(sorted({letter for name in SCRIPTS for letter in twins(name, script)}))
    return re.compile(f"(?=[{letters}])(?<![{_ALL}{MARKS}])(?:{words})(?![{_ALL}{MARKS}])")


def main_script(text: str) -> str:
    """Return the script most of a text's first letters are in, "" unless letters of several of these scripts occur in it."""
    if text.isascii():
        return ""
    first = _NOT_LATIN.search(text)
    if first is None or _other_letters(script_of(first.group())).search(text) is None:
        return ""
    counts = {script: len(re.findall(f"[{letters}]", text[:4096])) for script, letters in SCRIPTS.items()}
    return max(counts, key=lambda script: counts[script]) if any(counts.values()) else script_of(first.group())


def suspects(text: str) -> Iterator[Suspect]:
    """Yield the words of a text with letters that may belong to another script, from the start to the end.

    Addresses, paths and code are passed over. A text in one script costs two scans.
    """
    script = main_script(text)
    if not script:
        return
    found: dict[int, str] = {}
    end = -1
    for match in _mixed_at(script).finditer(text):
        if match.start() >= end:
            start, end = _whole_word(text, match.start())
            found[start] = text[start:end]
    places = {start: Suspect(start, word, True, script, True) for start, word in found.items()}
    for match in _readable_otherwise(script).finditer(text):
        places[match.start()] = Suspect(match.start(), match.group(), False, script, _fits(text, match.start(), match.end(), script))
    for start in sorted(places):
        if not _NOT_PROSE.search(_chunk(text, start)):
            yield places[start]


def _whole_word(text: str, index: int) -> tuple[int, int]:
    start = index
    while start and WORD.match(text, start - 1) and start > index - _BEYOND:
        start -= 1
    match = WORD.match(text, start)
    return start, match.end() if match else index + 1


def _chunk(text: str, index: int) -> str:
    """Return what stands between the white space around a place."""
    before, after = text[max(0, index - _BEYOND) : index], text[index : index + 2 * _BEYOND]
    spaces = [match.end() for match in _SPACE.finditer(before)]
    space = _SPACE.search(after)
    return before[spaces[-1] if spaces else 0 :] + (after[: space.start()] if space else after)


def _fits(text: str, start: int, end: int, script: str) -> bool:
    """Return whether a word's place asks for the text's own script."""
    word = text[start:end]
    line_start = max(text.rfind("\n", 0, start) + 1, start - _BEYOND)
    line_end = text.find("\n", end, end + _BEYOND)
    left = text[line_start:start]
    right = text[end : line_end if line_end >= 0 else end + _BEYOND]
    if left[-1:].isdigit() or right[:1].isdigit():
        return False
    before = [scripts for found in WORD.findall(left)[-2:] if (scripts := _definite(found, script))]
    after = [scripts for found in WORD.findall(right)[:2] if (scripts := _definite(found, script))]
    if not before + after or "other" in before + after:
        return False
    if len(word) > 1:
        return not (is_roman_numeral(word) and set(word) <= set("IVX"))
    if right[:1] in ("-", ")", "]", "°") or left[-1:] in ("-", "№", "§") or (word.isupper() and right[:1] == "."):
        return False
    return not word.isupper() or _capital_is_due(left, right)


def _definite(word: str, script: str) -> str:
    """Return "own" for a word surely of this script, "other" for one surely not, "" where it may be either."""
    counts = scripts_of(word)
    if script in counts:
        return "own"
    return "" if all(letter in twins(name, script) for name in counts for letter in word) else "other"


def _capital_is_due(left: str, right: str) -> bool:
    """Return whether a single capital begins a sentence or stands among capitals, rather than being a number or a label."""
    stripped = left.rstrip()
    if not stripped or stripped[-1] in _STARTS_A_SENTENCE:
        return True
    near = WORD.findall(left)[-1:] + WORD.findall(right)[:1]
    return all(len(word) > 1 and word.isupper() for word in near)
