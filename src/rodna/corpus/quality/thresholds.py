"""Thresholds of the measures, fitted to the language's own text, and the judgement by them.

Without a seed, the text may hold garbage: its middle half is not moved by it, and only what lies far beyond is bad. With one, the text is
known to be clean, and what lies beyond almost all of it is bad too.

Short documents vary more than long ones, so that each range of lengths has thresholds of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, get_args

import numpy as np

from rodna.corpus.config import QualityConfig, QualityReason
from rodna.corpus.quality.measures import MEASURES, TABLE, Measure

QUALITY_REASONS: tuple[str, ...] = ("", *get_args(QualityReason))
"""Index 0: keep. Where several apply, the first is given."""
LENGTHS = np.array([2**power for power in range(4, 16)])
"""Where ranges of lengths, in characters, begin; the first is of documents shorter than all of these."""
MIN_DOCUMENTS = 100
"""Fewer documents of about one length do not say what is usual; shorter ones, which vary more, then help out."""
NORMAL_QUARTILE = 0.6745
"""The upper quartile of a normal distribution, in standard deviations above its median."""


@dataclass(frozen=True)
class Thresholds:
    """Bounds by length: `bounds` float64, shape (len(LENGTHS) + 1, len(TABLE)); NaN where nothing is judged."""

    bounds: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """Return the thresholds as plain values, by measure, one for each range of lengths."""
        columns = [[None if np.isnan(value) else round(float(value), 6) for value in column] for column in self.bounds.T]
        return {"lengths": LENGTHS.tolist(), "bounds": dict(zip((measure.name for measure in TABLE), columns, strict=True))}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_json` made."""
        columns = [[np.nan if value is None else value for value in values["bounds"][measure.name]] for measure in TABLE]
        return cls(np.array(columns, dtype=np.float64).T)


def fit_thresholds(measures: np.ndarray, config: QualityConfig) -> Thresholds:
    """Fit thresholds.

    Args:
        measures: of the seed's documents, where the configuration names a seed, else of all; float32, shape (D, len(MEASURES)).
        config: says how far out is too far.
    """
    bounds = np.full((len(LENGTHS) + 1, len(TABLE)), np.nan)
    ranges = np.searchsorted(LENGTHS, measures[:, 0], side="right")
    for number, measure in enumerate(TABLE):
        values = measures[:, number + 1]
        measured = ~np.isnan(values)
        nearest = np.zeros(0)
        slack = np.ones(len(LENGTHS) + 1) if measure.reason == "too_repetitive" else 1 + 4 / np.sqrt(np.append(LENGTHS[0] / 2, LENGTHS))
        for place in range(len(LENGTHS) + 1):
            here = values[measured & (ranges == place)]
            # Too few of this length: with shorter documents the threshold is farther out than it needs to be, and safe.
            nearest = here if len(here) >= MIN_DOCUMENTS else np.concatenate([nearest, here])[-10 * MIN_DOCUMENTS :]
            if len(nearest) >= MIN_DOCUMENTS:
                bounds[place, number] = _bound(nearest.astype(np.float64), measure, config, least=measure.least * slack[place])
        if measure.reason != "too_repetitive":
            # Longer documents vary less. Where few long ones are clean, garbage cannot set their threshold.
            column = bounds[:, number] if measure.bad == "high" else -bounds[:, number]
            tightest = np.fmin.accumulate(column)
            bounds[:, number] = np.where(np.isnan(column), np.nan, tightest if measure.bad == "high" else -tightest)
    return Thresholds(bounds)


def _bound(values: np.ndarray, measure: Measure, config: QualityConfig, *, least: float) -> float:
    sign = 1.0 if measure.bad == "high" else -1.0
    median, quartile, farthest = np.quantile(values * sign, [0.5, 0.75, 1 - config.tail])
    far = median + max(least, config.distance * (quartile - median) / NORMAL_QUARTILE)
    if config.seed:
        far = min(far, max(farthest, median + least))
    return float(sign * far)


def judge_quality(measures: np.ndarray, thresholds: Thresholds, config: QualityConfig) -> np.ndarray:
    """Return why each document is dropped: int8 index into `QUALITY_REASONS`, shape (D,); 0: it is kept.

    Args:
        measures: float32, shape (D, len(MEASURES)).
        thresholds: what `fit_thresholds` made.
        config: `filter` and `ignore` say what is judged.
    """
    reasons = np.zeros(len(measures), dtype=np.int8)
    if not config.filter:
        return reasons
    ranges = np.searchsorted(LENGTHS, measures[:, 0], side="right")
    judged = measures[:, 0] >= config.min_characters
    # From the last reason to the first, so that the first stands.
    for index in range(len(QUALITY_REASONS) - 1, 0, -1):
        reason = QUALITY_REASONS[index]
        if reason in config.ignore:
            continue
        for number, measure in enumerate(TABLE):
            if measure.reason == reason:
                reasons[judged & _beyond(measures[:, number + 1], thresholds.bounds[ranges, number], measure)] = index
    return reasons


def _beyond(values: Any, bounds: Any, measure: Measure) -> Any:
    # A comparison with NaN is false: what is not measured or has no threshold is not bad.
    return values > bounds if measure.bad == "high" else values < bounds


def explain_quality(row: np.ndarray, thresholds: Thresholds, reason: str) -> str:
    """Say what tripped a document: every measure that did, its value and its threshold.

    Args:
        row: the document's measures, shape (len(MEASURES),).
        thresholds: what it was judged by.
        reason: one of `QUALITY_REASONS`.
    """
    bounds = thresholds.bounds[np.searchsorted(LENGTHS, row[0], side="right")]
    parts = []
    for number, measure in enumerate(TABLE):
        value, bound = float(row[MEASURES.index(measure.name)]), float(bounds[number])
        if measure.reason == reason and _beyond(value, bound, measure):
            side = "above" if measure.bad == "high" else "below"
            parts.append(f"{measure.says} {value:.3g}, {side} {bound:.3g}")
    return "; ".join(parts)
