"""How well classes are told apart, and how sure that is.

Shapes: N test items, C classes, R runs of one method, S resamples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WEIGHTS_AT_ONCE = 4_000_000


def confusion(gold_N: NDArray[np.int64], predicted_N: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Return how often each class (row) was taken for each class (column), (C, C)."""
    return np.bincount(gold_N * num_classes + predicted_N, minlength=num_classes**2).reshape(num_classes, num_classes)


def macro_f1(gold_N: NDArray[np.int64], predicted_N: NDArray[np.int64], num_classes: int) -> float:
    """Return the mean over classes of F1: 2 TP / (2 TP + FP + FN). A class neither asked about nor answered is left out."""
    table = confusion(gold_N, predicted_N, num_classes)
    return float(_macro(np.diag(table)[None], table.sum(axis=1)[None], table.sum(axis=0)[None])[0])


def _macro(hits_SC: NDArray[Any], gold_SC: NDArray[Any], predicted_SC: NDArray[Any]) -> NDArray[np.float64]:
    total_SC = gold_SC + predicted_SC
    f1_SC = 2 * hits_SC / np.maximum(total_SC, 1)
    return f1_SC.sum(axis=1) / np.maximum((total_SC > 0).sum(axis=1), 1)


def resampled_macro_f1(
    gold_N: NDArray[np.int64], predicted_RN: NDArray[np.int64], num_classes: int, *, samples: int, seed: int
) -> NDArray[np.float64]:
    """Return macro-F1, averaged over a method's runs, on test items drawn with replacement, (S,).

    The same seed draws the same items, so the difference of two methods' results is the paired bootstrap. Reference: Efron & Tibshirani
    1993, chapter 13.
    """
    num_items = len(gold_N)
    random = np.random.default_rng(seed)
    classes = np.arange(num_classes)
    is_gold_NC = (gold_N[:, None] == classes).astype(np.float64)
    found: list[NDArray[np.float64]] = []
    at_once = max(1, WEIGHTS_AT_ONCE // num_items)
    for begin in range(0, samples, at_once):
        weights_SN = random.multinomial(num_items, np.full(num_items, 1 / num_items), size=min(at_once, samples - begin)).astype(np.float64)
        gold_SC = weights_SN @ is_gold_NC
        runs: list[NDArray[np.float64]] = []
        for predicted_N in predicted_RN:
            is_predicted_NC = (predicted_N[:, None] == classes).astype(np.float64)
            runs.append(_macro(weights_SN @ (is_gold_NC * is_predicted_NC), gold_SC, weights_SN @ is_predicted_NC))
        found.append(np.mean(runs, axis=0))
    return np.concatenate(found)


def interval(values_S: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95% percentile interval."""
    low, high = np.quantile(values_S, (0.025, 0.975))
    return float(low), float(high)


def by_class(table_CC: NDArray[np.int64], labels: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and n of each class. What is 0 divided by 0 is 0."""
    hits, gold, predicted = np.diag(table_CC), table_CC.sum(axis=1), table_CC.sum(axis=0)
    return {
        label: {
            "precision": float(hits[c] / max(predicted[c], 1)),
            "recall": float(hits[c] / max(gold[c], 1)),
            "f1": float(2 * hits[c] / max(gold[c] + predicted[c], 1)),
            "n": int(gold[c]),
        }
        for c, label in enumerate(labels)
    }
