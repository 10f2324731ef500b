"""The characters of a language's text as small numbers, with what kind of character each is."""

import unicodedata
from collections import Counter
from functools import cache

import numpy as np

from rodna.corpus.stats import script_of

OWN, OTHER, DIGIT, PUNCTUATION, SYMBOL, SPACE, NEWLINE = range(7)
"""Kinds: letters of the text's scripts, letters of other scripts, digits, punctuation, everything else that is seen, space, line end."""
NUM_KINDS = 7
MAX_CHARACTERS = 60_000
OWN_SCRIPT_SHARE = 0.01
"""A script with this share of the seed's letters is one of the language's scripts (Latin in Cantonese, Han in Korean)."""
_NUM_CODES = 0x110000
_KIND_OF_CATEGORY = {"L": OWN, "M": OWN, "N": SYMBOL, "P": PUNCTUATION, "S": SYMBOL, "Z": SPACE, "C": SYMBOL}
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u061c\u200e\u200f"


class Alphabet:
    """Numbers the characters of a text: 0 to 6 are the kinds, for characters it lacks; 7 and up its own, most frequent first.

    All digits share a number, as do all spaces. `ids`: code point -> number, uint16, shape (0x110000,); `kinds`: number -> kind,
    uint8, shape (size,); `final`: number -> whether the text's lines end in it, bool.
    """

    def __init__(self, characters: str, scripts: tuple[str, ...], final: str) -> None:
        self.characters, self.scripts, self.final_characters = characters, scripts, final
        by_code = kinds_of_codes(scripts)
        self.ids = by_code.astype(np.uint16)
        codes = code_points(characters)
        self.ids[codes] = np.arange(NUM_KINDS, NUM_KINDS + len(codes), dtype=np.uint16)
        self.kinds = np.concatenate([np.arange(NUM_KINDS, dtype=np.uint8), by_code[codes]])
        self.size = len(self.kinds)
        self.final = np.zeros(self.size, dtype=bool)
        self.final[self.ids[code_points(final)]] = True
        self.final[:NUM_KINDS] = False

    @classmethod
    def of(cls, counts: Counter[int], line_ends: Counter[int]) -> "Alphabet":
        """Make the alphabet of a text from how often each code point occurs, and how often each ends a line."""
        scripts: Counter[str] = Counter()
        for code, number in counts.items():
            scripts[script_of(chr(code))] += number
        del scripts[""]
        total = sum(scripts.values())
        own = tuple(sorted(script for script, number in scripts.items() if number >= OWN_SCRIPT_SHARE * total))
        kinds = kinds_of_codes(own)
        visible = [code for code, _ in counts.most_common() if kinds[code] in (OWN, OTHER, PUNCTUATION, SYMBOL)][:MAX_CHARACTERS]
        ends = {code: number for code, number in line_ends.items() if kinds[code] == PUNCTUATION}
        least = 0.02 * sum(ends.values())
        final = sorted(code for code, number in ends.items() if number >= least)
        return cls("".join(map(chr, visible)), own, "".join(map(chr, final)))


def code_points(text: str) -> np.ndarray:
    """Return the code points of a text, uint32, shape (characters,)."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


@cache
def kinds_of_codes(scripts: tuple[str, ...]) -> np.ndarray:
    """Return the kind of every code point for a text in these scripts (ISO 15924), uint8, shape (0x110000,)."""
    kinds = _kinds_without_script().copy()
    letters = np.flatnonzero(kinds == OWN)
    own = _in_scripts(scripts)
    kinds[letters[~own[letters]]] = OTHER
    return kinds


@cache
def _kinds_without_script() -> np.ndarray:
    kinds = np.full(_NUM_CODES, SYMBOL, dtype=np.uint8)
    for code in range(_NUM_CODES):
        category = unicodedata.category(chr(code))
        if category != "Cn":
            kinds[code] = DIGIT if category == "Nd" else _KIND_OF_CATEGORY[category[0]]
    kinds[code_points(_INVISIBLE)] = OWN
    kinds[code_points("\t\r\v\f\x85")] = SPACE
    kinds[ord("\n")] = NEWLINE
    kinds.setflags(write=False)
    return kinds


def _in_scripts(scripts: tuple[str, ...]) -> np.ndarray:
    """Return which code points are written in one of the scripts, or in any (shared letters and marks)."""
    import regex

    kinds = _kinds_without_script()
    candidates = "".join(chr(code) for code in np.flatnonzero(kinds == OWN) if not 0xD800 <= code < 0xE000)
    found = np.zeros(_NUM_CODES, dtype=bool)
    names = "".join(rf"\p{{Script={script}}}" for script in (*scripts, "Zyyy", "Zinh"))
    found[code_points("".join(regex.findall(f"[{names}]+", candidates)))] = True
    return found
