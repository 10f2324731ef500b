"""Intervals: how much a number would change, had other documents been held out."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

WEIGHTS_AT_ONCE = 4_000_000


def ratio_interval(numerator_D: "ArrayLike", denominator_D: "ArrayLike", *, samples: int, seed: int) -> tuple[float, float]:
    """Return the 95% percentile interval of sum(numerator) / sum(denominator) over documents drawn with replacement.

    Documents are the unit because text within one is not independent. With a difference of two models' bits as the numerator
    it is the paired bootstrap: both models meet the same resampled documents. Reference: Efron & Tibshirani 1993, chapter 13;
    Koehn 2004, "Statistical significance tests for machine translation evaluation".

    Args:
        numerator_D: one number a document, such as bits.
        denominator_D: one number a document, such as bytes; a resample in which all are 0 is left out.
        samples: number of resamples.
        seed: of the draws.
    """
    values_2D = np.array([numerator_D, denominator_D], dtype=np.float64)
    num_documents = values_2D.shape[1]
    random = np.random.default_rng(seed)
    at_once = max(1, WEIGHTS_AT_ONCE // max(1, num_documents))
    sums: list[NDArray[np.float64]] = []
    for begin in range(0, samples, at_once):
        draws = random.integers(0, num_documents, size=(min(at_once, samples - begin), num_documents))
        sums.append(values_2D[:, draws].sum(axis=2))
    top_S, bottom_S = np.concatenate(sums, axis=1)
    ratios = top_S[bottom_S > 0] / bottom_S[bottom_S > 0]
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high)
