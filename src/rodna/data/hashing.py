"""Random numbers that depend on a key and a place alone, and not on numpy's version."""

import numpy as np
from numpy.typing import NDArray


def hashes(size: int, *key: int) -> NDArray[np.uint64]:
    """Return `size` numbers, even over all 64 bits.

    Every place is hashed (Steele et al. 2014, "Fast splittable pseudorandom number generators", SplitMix64), after every part of the key.
    """
    state = np.zeros(1, np.uint64)
    for part in key:
        state = _mix(state ^ np.uint64(part % (1 << 64)))
    return _mix(state + np.arange(size, dtype=np.uint64))


def uniform(size: int, *key: int) -> NDArray[np.float64]:
    """Return `size` numbers in [0, 1)."""
    return (hashes(size, *key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(size: int, *key: int) -> NDArray[np.int64]:
    """Return 0..size-1 in an order that depends on the key alone: every number is hashed, then sorted by its hash."""
    return np.argsort(hashes(size, *key), kind="stable").astype(np.int64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
