"""Hashed character n-grams of units, in any script."""

from functools import cache

import numpy as np
import numpy.typing as npt

from rodna.corpus.identify.units import SEPARATOR, Units

MAX_ORDER = 4
"""Longest n-grams, in characters. From 500 lines each of be and three neighbours, or lt and three, 3 and 5 are within 1%."""
HASH_BITS = 18


def ngrams_of(units: Units) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which n-gram occurs in which unit how often: three arrays of one length, by ascending unit.

    An n-gram is of up to `MAX_ORDER` characters of one line, in lower case, digits alike; it counts for the unit of its last character.
    """
    points_P = _folded()[np.minimum(units.points_P, len(_folded()) - 1)]
    place = np.arange(len(points_P))
    separators = units.points_P == SEPARATOR
    # How many characters of the same line stand before each.
    before = place - np.maximum.accumulate(np.where(separators, place, -1)) - 1
    usable = (units.unit_P >= 0) & ~separators
    hashed = np.zeros(len(points_P), dtype=np.uint32)
    keys = []
    for order in range(MAX_ORDER):
        reached = np.zeros(len(points_P), dtype=np.uint32)
        reached[order:] = points_P[: len(points_P) - order]
        hashed = (hashed ^ (reached + np.uint32(order * 7919))) * np.uint32(0x9E3779B1)
        hashed ^= hashed >> np.uint32(15)
        here = np.flatnonzero(usable & (before >= order))
        keys.append((units.unit_P[here].astype(np.int64) << HASH_BITS) | (hashed[here] >> np.uint32(32 - HASH_BITS)))
    key = np.concatenate(keys)
    key.sort()
    new = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, np.int64)
    return key[new] >> HASH_BITS, key[new] & ((1 << HASH_BITS) - 1), np.diff(new, append=len(key))


@cache
def _folded() -> npt.NDArray[np.uint32]:
    """Return each code point in lower case; digits as 0. Planes beyond the second have no case."""
    folded = np.arange(0x110000, dtype=np.uint32)
    for point in range(0x20000):
        lower = chr(point).lower()
        folded[point] = ord(lower) if len(lower) == 1 else point
    folded[ord("0") : ord("9") + 1] = ord("0")
    return folded
