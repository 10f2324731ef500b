"""Texts as one array of folded letters: what shingles, lines and windows are hashed from.

Only letters, marks and digits count, in lower case: spaces, punctuation and line breaks differ between copies of one text, and scripts
without spaces have none. No language is assumed.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

_BLOCK_LETTERS = 1 << 17
"""Texts are hashed in blocks of about this many characters, so that numpy's temporaries stay in a core's cache."""
_TABLE_SIZE = 0x110000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True)
class Letters:
    """The folded letters of several texts, one after another.

    Attributes:
        codes: uint32 (N,), folded code points.
        positions: int64 (N,), where each letter is in its own text, in code points.
        offsets: int64 (D + 1,), where each text's letters begin in `codes`.
    """

    codes: np.ndarray
    positions: np.ndarray
    offsets: np.ndarray

    @property
    def documents(self) -> np.ndarray:
        """The text each letter belongs to, int64 (N,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def letters_of(texts: Sequence[str]) -> Letters:
    """Return the letters, marks and digits of texts, in lower case."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    starts = np.concatenate(([0], np.cumsum(lengths)))
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    folded = _fold_table()[codes]
    kept = np.flatnonzero(folded)
    offsets = np.searchsorted(kept, starts)
    positions = kept - np.repeat(starts[:-1], np.diff(offsets))
    return Letters(folded[kept], positions, offsets)


def blocks(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield runs of texts of a size that suits a core's cache, each with the index of its first text."""
    first = size = 0
    for index, text in enumerate(texts):
        if size and size + len(text) > _BLOCK_LETTERS:
            yield first, texts[first:index]
            first, size = index, 0
        size += len(text)
    if first < len(texts):
        yield first, texts[first:]


def mix(values: np.ndarray) -> np.ndarray:
    """Return well-spread 64-bit hashes of 64-bit values (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = values ^ (values >> np.uint64(30))
    values *= _MIX_A
    values ^= values >> np.uint64(27)
    values *= _MIX_B
    values ^= values >> np.uint64(31)
    return values


def window_hashes(codes: np.ndarray, *lengths: int) -> list[np.ndarray]:
    """Hash every run of so many letters, for each of some lengths; uint64 (N - length + 1,) each, empty where there are fewer.

    Runs of 1, 2, 4, 8 ... letters are hashed by doubling; any other length is joined from those. Runs are hashed across the ends of texts
    too: whoever calls this leaves those out.
    """
    results: list[np.ndarray | None] = [None] * len(lengths)
    covered = [0] * len(lengths)
    level, size = mix(codes.astype(np.uint64) + _GOLDEN), 1
    while True:
        for number, length in enumerate(lengths):
            if length & size and len(codes) >= length:
                so_far, done = results[number], covered[number]
                results[number] = level if so_far is None else _join(so_far, level[done:])
                covered[number] = done + size
        if 2 * size > max(lengths) or len(level) <= size:
            break
        level, size = _join(level, level[size:]), 2 * size
    return [
        mix(result[: max(0, len(codes) - length + 1)]) if result is not None and done == length else np.zeros(0, dtype=np.uint64)
        for result, done, length in zip(results, covered, lengths, strict=True)
    ]


def _join(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Hash pairs of runs, as many as both have."""
    size = min(len(left), len(right))
    joined = left[:size] * _GOLDEN
    joined ^= joined >> np.uint64(29)
    joined += right[:size]
    return joined


@cache
def _fold_table() -> np.ndarray:
    """Return code point -> lower-case code point, 0 where it is no letter, mark or digit; uint32."""
    table = np.zeros(_TABLE_SIZE, dtype=np.uint32)
    for code in range(0x20000):
        character = chr(code)
        if unicodedata.category(character)[0] in "LMN":
            lower = character.lower()
            table[code] = ord(lower) if len(lower) == 1 else code
    table[0x20000:0x323B0] = np.arange(0x20000, 0x323B0)
    return table


def is_dense(codes: np.ndarray) -> np.ndarray:
    """Return which letters stand for a syllable or a word: half as many of them say about as much as letters of an alphabet; bool (N,)."""
    return _dense_table()[codes]


@cache
def _dense_table() -> np.ndarray:
    """Hangul, Ethiopic, Cherokee and Canadian syllabics, kana, Bopomofo, Yi, Vai, and the ideographs."""
    table = np.zeros(_TABLE_SIZE, dtype=bool)
    for first, last in (
        (0x1100, 0x139F), (0x13A0, 0x167F), (0x2D80, 0x2DDF), (0x3040, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x9FFF), (0xA000, 0xA4CF),
        (0xA500, 0xA63F), (0xAB00, 0xAB2F), (0xAB70, 0xABBF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF), (0x20000, 0x323AF),
    ):  # fmt: skip
        table[first : last + 1] = True
    return table


def keys_of_runs(codes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Hash runs of letters of any length: the sums of hashes of (letter, place in its run) pairs; uint64 (R,).

    Args:
        codes: uint32 (N,).
        offsets: int64 (R + 1,), where each run begins; the last one's end.
    """
    places = np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
    sums = np.concatenate(([np.uint64(0)], np.cumsum(mix(places.astype(np.uint64) << np.uint64(21) | codes[offsets[0] : offsets[-1]]))))
    return sums[offsets[1:] - offsets[0]] - sums[offsets[:-1] - offsets[0]]
