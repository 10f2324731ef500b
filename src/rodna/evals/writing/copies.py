"""Which stretches of a text stand in the training text, found by comparing hashes of all windows of a length.

Shapes: N characters of the training text, M windows of one text.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BASE = 0x9E3779B97F4A7C15
"""Odd, so that it has an inverse modulo 2^64."""
SEPARATOR = 0x110000
"""Stands between training documents; no character has this number, so no window matches across documents."""
BUCKET_BITS = 20
AROUND = 40
"""Characters shown before and after a copy, to recognise the place by."""


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

    def hashes_at(self, starts_M: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
        """Return the hashes of the windows that begin there; all must end within the text."""
        return (self._sums[starts_M + length] - self._sums[starts_M]) * self._inverse[starts_M]

    def __len__(self) -> int:
        return len(self._inverse)

    def hashes(self, length: int) -> NDArray[np.uint64]:
        count = max(0, len(self._inverse) - length + 1)
        return (self._sums[length : length + count] - self._sums[:count]) * self._inverse[:count]


@dataclass(frozen=True)
class Copy:
    """The longest stretch of a text that stands in the training text.

    Attributes:
        text: the stretch.
        start: its first character's place in the text.
        document: number of the training document that holds it, the first of them.
        at: its first character's place there.
        around: that place with what stands before and after.
    """

    text: str
    start: int
    document: int
    at: int
    around: str


class TrainingText:
    """The training text, ready to be searched."""

    def __init__(self, texts: Sequence[str]) -> None:
        separator = np.array([SEPARATOR], dtype=np.uint32)
        codes = [_codes(text) for text in texts]
        self.texts = texts
        # Of each document's first character; a separator stands before it.
        self._begins = (np.cumsum([1, *(len(item) + 1 for item in codes)])).tolist()
        self._windows = _Windows(np.concatenate([separator, *(part for item in codes for part in (item, separator))]))

    def seen(self, texts: Sequence[str], length: int) -> list[NDArray[np.bool_]]:
        """Return, for every window of `length` characters of each text, whether the training text holds it."""
        wanted = [_Windows(_codes(text)).hashes(length) for text in texts]
        flat = np.concatenate([np.zeros(0, np.uint64), *wanted])
        places = self._places(flat, length)
        found = np.isin(flat, self._windows.hashes_at(places, length))
        return np.split(found, np.cumsum([len(hashes) for hashes in wanted])[:-1])

    def longest(self, texts: Sequence[str]) -> list[Copy | None]:
        """Return, for each text, the longest stretch of it that the training text holds; nothing where not one character is there."""
        windows = [_Windows(_codes(text)) for text in texts]
        size_of, length = [0] * len(texts), 1
        active = list(range(len(texts)))
        while active:
            active = [index for index in active if len(windows[index]) >= length]
            if not active:
                break
            found = self.seen([texts[index] for index in active], length)
            active = [index for index, seen in zip(active, found, strict=True) if seen.any()]
            for index in active:
                size_of[index] = length
            length *= 2
        copies: list[Copy | None] = [None] * len(texts)
        for size in sorted({size for size in size_of if size}):
            own = [index for index, found in enumerate(size_of) if found == size]
            wanted = np.concatenate([windows[index].hashes(size) for index in own])
            places = self._places(wanted, size)
            hashes = self._windows.hashes_at(places, size)
            for index in own:
                mine = windows[index].hashes(size)
                starts, theirs = np.flatnonzero(np.isin(mine, hashes)), places[np.isin(hashes, mine)]
                copies[index] = self._copy(texts[index], *self._extend(windows[index], starts, theirs, size))
        return copies

    def _places(self, wanted: NDArray[np.uint64], length: int) -> NDArray[np.int64]:
        """Return where in the training text a window begins whose hash is wanted."""
        # A table of leading bits discards nearly all of the many training windows before the exact comparison.
        is_wanted = np.zeros(1 << BUCKET_BITS, dtype=bool)
        shift = np.uint64(64 - BUCKET_BITS)
        is_wanted[(wanted >> shift).astype(np.int64)] = True
        have = self._windows.hashes(length)
        places = np.flatnonzero(is_wanted[(have >> shift).astype(np.int64)])
        return places[np.isin(have[places], wanted)]

    def _extend(self, text: _Windows, starts: NDArray[np.int64], places: NDArray[np.int64], size: int) -> tuple[int, int, int]:
        """Return start, place and length of the longest match, known to be at least `size` and less than twice that, by halving."""
        low, high = size, 2 * size - 1
        start, place = _first_match(text, starts, self._windows, places, size)
        while low < high:
            middle = (low + high + 1) // 2
            near = starts[starts + middle <= len(text)], places[places + middle <= len(self._windows)]
            matched = np.isin(text.hashes_at(near[0], middle), self._windows.hashes_at(near[1], middle))
            if matched.any():
                low, starts, places = middle, near[0][matched], near[1]
                start, place = _first_match(text, starts, self._windows, places, middle)
            else:
                high = middle - 1
        return start, place, low

    def _copy(self, text: str, start: int, place: int, length: int) -> Copy:
        document = bisect.bisect_right(self._begins, place) - 1
        at = place - self._begins[document]
        around = self.texts[document][max(0, at - AROUND) : at + length + AROUND]
        return Copy(text[start : start + length], start, document, at, around)


def _first_match(text: _Windows, starts: NDArray[np.int64], train: _Windows, places: NDArray[np.int64], length: int) -> tuple[int, int]:
    """Return the first of the starts whose window stands at one of the places, and the first such place."""
    hashes = train.hashes_at(places, length)
    mine = text.hashes_at(starts, length)
    first = int(np.flatnonzero(np.isin(mine, hashes))[0])
    return int(starts[first]), int(places[np.flatnonzero(hashes == mine[first])[0]])


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


def _codes(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)
