"""Which stretches of a text stand in the training text, found by comparing hashes of all windows of a length.

Shapes: N characters of the training text, M windows of one text.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BASE = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2^64."""
SEPARATOR = 0x110000
"""Stands between training documents; no character has this number, so no window matches across documents."""
BUCKET_BITS = 20


class _Windows:
    """Hashes of all windows of any length: a polynomial in `BASE` modulo 2^64 (Karp & Rabin 1987), from one cumulative sum."""

    def __init__(self, codes_N: NDArray[np.uint32]) -> None:
        base = np.full(len(codes_N), BASE, dtype=np.uint64)
        # Mixed, so that neighbouring characters do not give neighbouring terms.
        terms = codes_N.astype(np.uint64) + np.uint64(1)
        terms *= np.uint64(0xD6E8FEB86659FD93)
        terms ^= terms >> np.uint64(32)
        terms *= np.cumprod(base)
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)])
        base[:] = pow(BASE, -1, 1 << 64)
        self._inverse = np.cumprod(base)

    def hashes(self, length: int) -> NDArray[np.uint64]:
        count = max(0, len(self._inverse) - length + 1)
        return (self._sums[length : length + count] - self._sums[:count]) * self._inverse[:count]


class TrainingText:
    """The training text, ready to be searched."""

    def __init__(self, texts: Sequence[str]) -> None:
        separator = np.array([SEPARATOR], dtype=np.uint32)
        self._windows = _Windows(np.concatenate([separator, *(part for text in texts for part in (_codes(text), separator))]))

    def seen(self, texts: Sequence[str], length: int) -> list[NDArray[np.bool_]]:
        """Return, for every window of `length` characters of each text, whether the training text holds it."""
        wanted = [_Windows(_codes(text)).hashes(length) for text in texts]
        flat = np.concatenate([np.zeros(0, np.uint64), *wanted])
        # A table of leading bits discards nearly all of the many training windows before the exact comparison.
        is_wanted = np.zeros(1 << BUCKET_BITS, dtype=bool)
        shift = np.uint64(64 - BUCKET_BITS)
        is_wanted[(flat >> shift).astype(np.int64)] = True
        have = self._windows.hashes(length)
        have = have[is_wanted[(have >> shift).astype(np.int64)]]
        found = np.isin(flat, have)
        return np.split(found, np.cumsum([len(hashes) for hashes in wanted])[:-1])


def unseen_windows(train: TrainingText, texts: Sequence[str], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each text, how many of its windows the training text does not hold, and how many it has."""
    seen = train.seen(texts, length)
    return np.array([np.count_nonzero(~item) for item in seen], np.int64), np.array([len(item) for item in seen], np.int64)


def copied_characters(train: TrainingText, texts: Sequence[str], length: int) -> NDArray[np.int64]:
    """Return, for each text, how many characters lie inside stretches of at least `length` that the training text holds."""
    counts: list[int] = []
    for text, seen in zip(texts, train.seen(texts, length), strict=True):
        edges = np.zeros(len(text) + 1, dtype=np.int64)
        starts = np.flatnonzero(seen)
        np.add.at(edges, starts, 1)
        np.add.at(edges, starts + length, -1)
        counts.append(int(np.count_nonzero(np.cumsum(edges[:-1]))))
    return np.array(counts, dtype=np.int64)


def longest_copy(train: TrainingText, texts: Sequence[str]) -> str:
    """Return the longest stretch of any of the texts that the training text holds."""
    best, low, high = "", 0, max((len(text) for text in texts), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        hits = ((text, np.flatnonzero(seen)) for text, seen in zip(texts, train.seen(texts, middle), strict=True))
        hit = next(((text, int(where[0])) for text, where in hits if len(where)), None)
        if hit is None:
            high = middle - 1
        else:
            text, start = hit
            best, low = text[start : start + middle], middle
    return best


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)
