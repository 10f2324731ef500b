"""What an identifier looks at: lines sampled from documents, each parted into letters of the language's script and of others.

Everything is done on arrays over a whole batch. Suffixes: `_P` one a code point of the sampled text, `_U` one a unit, `_D` one a document.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

SAMPLED_CHARACTERS = 768
"""Longer documents are sampled; so many characters tell a language beyond doubt, and speed no longer depends on the rest."""
NUM_PIECES = 8
"""Pieces a long document is sampled in, evenly spread, so that a change of language half way is seen."""
_FIRST_UNKNOWN = 0x20000
"""Code points from here on are CJK ideographs (planes 2 and 3)."""
SEPARATOR = 10


@dataclass(frozen=True)
class Units:
    """Parts of lines, pooled by script. A unit's letters are all in the language's script, or all in others.

    `points_P` (uint32) are the code points of all sampled lines, each line between two spaces and ended by a line feed; `unit_P` (int32)
    the unit of each, -1 where a line has no letters; `document_U` (int32, ascending); `num_letters_U`; `foreign_U`: in another script.
    """

    points_P: npt.NDArray[np.uint32]
    unit_P: npt.NDArray[np.int32]
    document_U: npt.NDArray[np.int32]
    num_letters_U: npt.NDArray[np.int32]
    foreign_U: npt.NDArray[np.bool_]

    @property
    def num_units(self) -> int:
        return len(self.document_U)

    def text(self) -> str:
        """Return the sampled lines."""
        return self.points_P.tobytes().decode("utf-32-le", "surrogatepass")


def units_of(texts: Sequence[str], scripts: tuple[str, ...]) -> Units:
    """Sample texts and part them into units.

    Args:
        texts: of documents, in Unicode's composed form.
        scripts: ISO 15924 codes of the language's scripts; empty: letters of all scripts stay together.
    """
    lines: list[str] = []
    num_lines_D: list[int] = []
    for text in texts:
        found = [_prepared(line) for line in sample(text) if line]
        lines += found
        num_lines_D.append(len(found))
    joined = "".join(f" {line} \n" for line in lines)
    points_P = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    line_P = np.cumsum(points_P == SEPARATOR, dtype=np.int32)
    line_P -= points_P == SEPARATOR
    document_of_line = np.repeat(np.arange(len(texts), dtype=np.int32), num_lines_D)
    return _part(points_P, line_P, document_of_line, _kinds(scripts)[np.minimum(points_P, _FIRST_UNKNOWN)])


def _part(
    points_P: npt.NDArray[np.uint32],
    line_P: npt.NDArray[np.int32],
    document_of_line: npt.NDArray[np.int32],
    kind_P: npt.NDArray[np.uint8],
) -> Units:
    """Give each code point a unit: its line, and whether the nearest letter before it (else after it) in the line is foreign."""
    num_lines = len(document_of_line)
    letters = np.flatnonzero(kind_P)
    before = np.maximum.accumulate(np.where(kind_P > 0, np.arange(len(kind_P)), -1)) if len(kind_P) else np.zeros(0, np.int64)
    # The letter before belongs to the line, or else the line's first letter counts.
    first = np.searchsorted(letters, before, side="right")
    after = np.append(letters, -1)[np.minimum(first, len(letters))]
    own = (before >= 0) & (line_P[np.maximum(before, 0)] == line_P)
    nearest = np.where(own, before, np.where((after >= 0) & (line_P[np.maximum(after, 0)] == line_P), after, -1))
    key_P = np.where(nearest >= 0, line_P * 2 + (kind_P[np.maximum(nearest, 0)] == 2), -1)
    num_letters = np.bincount(key_P[letters], minlength=2 * num_lines)
    used = np.flatnonzero(num_letters)
    number_of_key = np.full(2 * num_lines + 1, -1, dtype=np.int32)
    number_of_key[used] = np.arange(len(used), dtype=np.int32)
    return Units(
        points_P=points_P,
        unit_P=number_of_key[key_P],
        document_U=document_of_line[used // 2] if num_lines else np.zeros(0, np.int32),
        num_letters_U=num_letters[used].astype(np.int32),
        foreign_U=(used % 2).astype(np.bool_),
    )


def sample(text: str) -> list[str]:
    """Return a text's lines, or pieces of lines evenly spread over a long one: always the same."""
    if len(text) <= SAMPLED_CHARACTERS:
        return text.split("\n")
    lines: list[str] = []
    length = SAMPLED_CHARACTERS // NUM_PIECES
    for number in range(NUM_PIECES):
        start = number * len(text) // NUM_PIECES
        if number:
            # From the start of a line or word, where one is near: half a word misleads.
            line = text.find("\n", start, start + length)
            space = text.find(" ", start, start + length) if line < 0 else line
            start = space + 1 if space >= 0 else start
        lines += text[start : start + length].split("\n")
    return lines


def _prepared(line: str) -> str:
    """Return a line composed, and in lower case where it is all capitals: identifiers have seen little of these."""
    if line.isupper():
        line = line.lower()
    return line if line.isascii() else unicodedata.normalize("NFC", line)


@cache
def _kinds(scripts: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Return for each code point up to 0x20000: 0 no letter, 1 a letter (of these scripts), 2 a letter of another script."""
    import regex

    everything = "".join(chr(point) for point in range(_FIRST_UNKNOWN + 1))
    kinds = np.zeros(len(everything), dtype=np.uint8)
    kinds[[match.start() for match in regex.finditer(r"\p{L}", everything)]] = 2 if scripts else 1
    for script in scripts:
        kinds[
            [match.start() for match in regex.finditer(rf"[\p{{L}}&&[\p{{Script={script}}}\p{{Script=Common}}]]", everything, regex.V1)]
        ] = 1
    return kinds
