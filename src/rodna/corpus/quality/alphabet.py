"""The characters of a language's text as small numbers, with what kind of character each is."""

import unicodedata
from functools import cache

import numpy as np

from rodna.corpus.stats import script_of

OWN, OTHER, DIGIT, PUNCTUATION, SYMBOL, SPACE, NEWLINE = range(7)
"""Kinds: letters of the text's scripts, letters of other scripts, digits, punctuation, everything else that is seen, space, line end."""
NUM_KINDS = 7
MAX_CHARACTERS = 60_000
OWN_SCRIPT_SHARE, MIXED_SCRIPT_SHARE = 0.1, 0.01
"""Shares of the letters from which on a script is one of the language's: of all, and of those in documents mostly in the main script
(Latin in Cantonese, Han in Korean)."""
FINAL_SHARE = 0.02
"""Punctuation that ends this share of the lines that end in any is an end of lines."""
_NUM_CODES = 0x110000
_KIND_OF_CATEGORY = {"L": OWN, "M": OWN, "N": SYMBOL, "P": PUNCTUATION, "S": SYMBOL, "Z": SPACE, "C": SYMBOL}
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u061c\u200e\u200f"


class Alphabet:
    """Numbers the characters of a text: 0 to 6 are the kinds, for characters it lacks; 7 and up its own, most frequent first.

    All digits share a number, as do all spaces, and an upper-case letter has its lower-case letter's: a headline is not unlikely text.
    `ids`: code point -> number, uint16, shape (0x110000,); `kinds`: number -> kind, uint8, shape (size,); `final`: number -> whether the
    text's lines end in it, bool; `scripts`: ISO 15924 codes.
    """

    def __init__(self, characters: str, scripts: tuple[str, ...], final: str) -> None:
        self.characters, self.scripts, self.final_characters = characters, scripts, final
        by_code = kinds_of_codes(scripts)
        self.ids = by_code.astype(np.uint16)
        codes = code_points(characters)
        self.ids[codes] = np.arange(NUM_KINDS, NUM_KINDS + len(codes), dtype=np.uint16)
        upper, lower = _cases()
        known = self.ids[lower] >= NUM_KINDS
        self.ids[upper[known]] = self.ids[lower[known]]
        self.kinds = np.concatenate([np.arange(NUM_KINDS, dtype=np.uint8), by_code[codes]])
        self.size = len(self.kinds)
        self.final = np.zeros(self.size, dtype=bool)
        self.final[self.ids[code_points(final)]] = True
        self.final[:NUM_KINDS] = False

    def ends_line(self, line: str) -> bool:
        """Whether a line ends as the text's lines do; behind it may stand a closing quotation mark or bracket."""
        return line[-1:] in self.final_characters or (
            line[-2:-1] in self.final_characters and len(line) > 1 and unicodedata.category(line[-1])[0] == "P"
        )

    @classmethod
    def of(cls, codes: np.ndarray, document: np.ndarray) -> "Alphabet":
        """Make the alphabet of a text.

        Args:
            codes: its code points, uint32, shape (N,).
            document: which document each belongs to, shape (N,).
        """
        counts = np.bincount(codes, minlength=1)
        present = np.flatnonzero(counts)
        scripts = own_scripts(codes, document, present)
        kinds = kinds_of_codes(scripts)
        upper, lower = _cases()
        counts = np.bincount(codes, minlength=_NUM_CODES)
        np.add.at(counts, lower, counts[upper])
        counts[upper] = 0
        present = np.flatnonzero(counts)
        by_count = present[np.argsort(-counts[present], kind="stable")]
        visible = by_count[kinds[by_count] < SPACE]
        visible = visible[kinds[visible] != DIGIT][:MAX_CHARACTERS]
        ends = np.flatnonzero((codes[1:] == ord("\n")) & (kinds[codes[:-1]] == PUNCTUATION))
        at_end = np.bincount(codes[ends], minlength=1)
        final = np.flatnonzero(at_end > FINAL_SHARE * len(ends))
        return cls("".join(map(chr, visible)), scripts, "".join(map(chr, final)))


def own_scripts(codes: np.ndarray, document: np.ndarray, present: np.ndarray) -> tuple[str, ...]:
    """Return the scripts a text is written in: its main one, and those that have a large share of it or are mixed with the main one.

    Other scripts in documents of their own are someone else's text, unless they are many.
    """
    names = [script_of(chr(code)) for code in present]
    scripts = sorted({name for name in names if name})
    if not scripts:
        return ()
    number = np.full(int(present[-1]) + 1, len(scripts), dtype=np.int64)
    number[present] = [scripts.index(name) if name else len(scripts) for name in names]
    width = len(scripts) + 1
    table = np.bincount(document * width + number[codes], minlength=width).reshape(-1, width)[:, :-1]
    total = max(1, int(table.sum()))
    main = int(table.sum(axis=0).argmax())
    mixed = table[table[:, main] >= 0.2 * table.sum(axis=1)].sum(axis=0)
    own = (table.sum(axis=0) >= OWN_SCRIPT_SHARE * total) | (mixed >= MIXED_SCRIPT_SHARE * total)
    own[main] = True
    return tuple(script for script, chosen in zip(scripts, own, strict=True) if chosen)


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


@cache
def _cases() -> tuple[np.ndarray, np.ndarray]:
    """Return all upper-case letters that have one lower-case letter, and those."""
    pairs = [(code, ord(chr(code).lower())) for code in range(_NUM_CODES) if len(chr(code).lower()) == 1 and chr(code).lower() != chr(code)]
    upper, lower = np.array(pairs).T
    return upper, lower


def _in_scripts(scripts: tuple[str, ...]) -> np.ndarray:
    """Return which code points are written in one of the scripts, or in any (shared letters and marks)."""
    import regex

    kinds = _kinds_without_script()
    candidates = "".join(chr(code) for code in np.flatnonzero(kinds == OWN) if not 0xD800 <= code < 0xE000)
    found = np.zeros(_NUM_CODES, dtype=bool)
    names = "".join(rf"\p{{Script={script}}}" for script in (*scripts, "Zyyy", "Zinh"))
    found[code_points("".join(regex.findall(f"[{names}]+", candidates)))] = True
    return found
