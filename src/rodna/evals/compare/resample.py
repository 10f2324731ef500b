"""The paired bootstrap: how far the difference of two models might move, had other items been asked and other seeds been drawn.

Shapes: R runs (one evaluation each), U units (items, or groups of items that belong together), S resamples, K kinds of units.

References: Efron & Tibshirani 1993, "An introduction to the bootstrap", chapters 13 and 15; Koehn 2004, "Statistical significance tests for
machine translation evaluation"; Hesterberg 2015, "What teachers should know about the bootstrap", arXiv:1411.5279, section 5.3, for samples
that are small; Holm 1979, "A simple sequentially rejective multiple test procedure".
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 10_000
FEW_BEYOND = 10
"""Resamples beyond zero below which a share of them says little: the tail is then read from the normal distribution of their spread."""
MANY_UNITS = 4000
"""Units from which on a resample may be drawn as counts of each kind; below, of each unit, so that a further model changes no draw."""
FEW_KINDS = 256
"""Distinct units up to which kinds are counted: thousands of answers are right or wrong in few ways."""
WEIGHTS_AT_ONCE = 4_000_000
_NORMAL = NormalDist()


def resampled_ratios(top_RU: "NDArray[np.float64]", bottom_RU: "NDArray[np.float64]", *, samples: int, seed: int) -> "NDArray[np.float64]":
    """Return sum(top) / sum(bottom) of every run over units drawn with replacement, the same for all runs, (R, S).

    A run that drew nothing to divide by has NaN there. What is drawn does not depend on the order of the runs.
    """
    num_runs, num_units = top_RU.shape
    both = np.concatenate([top_RU, bottom_RU])
    random = np.random.default_rng(seed)
    kinds, counts_K = _kinds(both) if num_units > MANY_UNITS else (both, np.ones(num_units, dtype=np.int64))
    if num_units > MANY_UNITS and kinds.shape[1] <= FEW_KINDS:
        draws_SK = random.multinomial(num_units, counts_K / num_units, size=samples)
        sums = kinds @ draws_SK.T
    else:
        at_once = max(1, WEIGHTS_AT_ONCE // num_units)
        sums = np.concatenate(
            [both @ _counts(random, min(at_once, samples - begin), num_units).T for begin in range(0, samples, at_once)], axis=1
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(sums[num_runs:] > 0, sums[:num_runs] / sums[num_runs:], np.nan)


def _kinds(both: "NDArray[np.float64]") -> "tuple[NDArray[np.float64], NDArray[np.int64]]":
    """Return the distinct columns and how often each comes, in the order in which they are first met, whatever the order of rows."""
    kinds, first_K, counts_K = np.unique(both, axis=1, return_index=True, return_counts=True)
    order = np.argsort(first_K)
    return kinds[:, order], counts_K[order]


def _counts(random: np.random.Generator, rows: int, num_units: int) -> "NDArray[np.float64]":
    """Return how often each unit is drawn in each of some resamples, (rows, U)."""
    draws = random.integers(0, num_units, size=(rows, num_units))
    draws += np.arange(rows)[:, None] * num_units
    return np.bincount(draws.ravel(), minlength=rows * num_units).reshape(rows, num_units).astype(np.float64)


def spread(value: float, drawn_S: "NDArray[np.float64]", *, num_units: int) -> "NDArray[np.float64]":
    """Return resamples of a number, moved away from it as far as so few units ask for.

    The bootstrap of few units is too narrow: by sqrt((U - 1) / U), as every variance that is not divided by U - 1 is, and by the ratio of
    Student's to the normal distribution. Reference: Hesterberg 2015, section 5.3.
    """
    if num_units < 2:
        return drawn_S
    factor = math.sqrt(num_units / (num_units - 1)) * student_quantile(num_units - 1) / _NORMAL.inv_cdf(0.975)
    return value + factor * (drawn_S - value)


def seed_noise(values_R: Sequence[float], *, samples: int, seed: Sequence[int]) -> "NDArray[np.float64]":
    """Return how far the mean of a model over other training seeds might lie from the mean over these, (S,); zeros for one seed.

    Two to five seeds are too few to be drawn from: resampling them gives three values, or ten. Their mean is known to lie about theirs as
    Student's distribution with one degree of freedom less says.
    """
    count = len(values_R)
    if count < 2:
        return np.zeros(samples)
    error = float(np.std(values_R, ddof=1)) / math.sqrt(count)
    return error * np.random.default_rng(list(seed)).standard_t(count - 1, size=samples)


def interval(drawn_S: "NDArray[np.float64]") -> tuple[float, float]:
    """Return the 95% percentile interval."""
    low, high = np.quantile(drawn_S, (0.025, 0.975))
    return float(low), float(high)


def p_value(value: float, drawn_S: "NDArray[np.float64]", *, is_smooth: bool = True) -> float:
    """Return how probable so large a difference would be, were there none: twice the share of resamples on the other side of zero.

    Below 0.05 where, and only where, the 95% interval leaves out zero. Where fewer than `FEW_BEYOND` resamples lie beyond zero, the tail
    is that of the normal distribution.

    Args:
        value: the difference.
        drawn_S: its resamples.
        is_smooth: whether their tail may be taken for a normal one.
    """
    if not np.any(drawn_S != value) and value == 0:
        return 1.0
    count = len(drawn_S)
    beyond = min(int((drawn_S <= 0).sum()), int((drawn_S >= 0).sum()))
    share = (beyond + 1) / (count + 1)
    if beyond < FEW_BEYOND and is_smooth and (error := float(np.std(drawn_S))) > 0:
        least = -_NORMAL.inv_cdf((FEW_BEYOND + 1) / (count + 1))
        share = min(share, 0.5 * math.erfc(max(least, abs(value) / error) / math.sqrt(2)))
    return min(1.0, 2 * share)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values such that, at any level, the chance of even one false alarm among all of them is at most that level."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def student_quantile(degrees: int) -> float:
    """Return what Student's t exceeds with a probability of 0.025. Reference: Hill 1970, algorithm 396, Comm. ACM 13."""
    probability = 0.05
    if degrees == 1:
        return 1 / math.tan(probability * math.pi / 2)
    if degrees == 2:
        return math.sqrt(2 / (probability * (2 - probability)) - 2)
    a = 1 / (degrees - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * degrees
    y = (d * probability) ** (2 / degrees)
    if y > 0.05 + a:
        x = _NORMAL.inv_cdf(probability / 2)
        y = x * x
        if degrees < 5:
            c += 0.3 * (degrees - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
        y = math.expm1(a * y * y)
    else:
        y = ((1 / (((degrees + 6) / (degrees * y) - 0.089 * d - 0.822) * (degrees + 2) * 3) + 0.5 / (degrees + 4)) * y - 1) * (
            degrees + 1
        ) / (degrees + 2) + 1 / y
    return math.sqrt(degrees * y)


def ranks(values_CS: "NDArray[np.float64]", *, lower_is_better: bool) -> "NDArray[np.int64]":
    """Return 1 plus the number of models that are better, in each resample, (C, S)."""
    signed = values_CS if lower_is_better else -values_CS
    return 1 + (signed[None] < signed[:, None]).sum(axis=1)
