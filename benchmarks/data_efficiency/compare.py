"""Comparing two systems on the same documents: seeds and documents are both drawn anew."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from benchmarks.data_efficiency.pieces import COUNTING, MINUTES, STUDENT_MINUTES, Results, best_peer
from benchmarks.data_efficiency.recipes import PUBLISHED
from numpy.typing import NDArray

SAMPLES = 2000


@dataclass(frozen=True)
class Figure:
    """Held-out bits per byte of one system: one value a seed, and the bits of each document.

    Attributes:
        system: whose.
        values: bits per byte of each seed.
        bits_SD: of each seed and document.
        bytes_D: of each document.
        validation: mean over the seeds; by this alone the best is chosen.
    """

    system: str
    values: list[float]
    bits_SD: NDArray[np.float64]
    bytes_D: NDArray[np.int64]
    validation: float

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


@dataclass(frozen=True)
class Reduction:
    """By what share one figure lies below another, with a 95% interval."""

    share: float
    low: float
    high: float


def figure_of(results: Results, text: str, system: str, kind: str, minutes: int = 0, *, counted: bool = False) -> Figure | None:
    """Return a system's figure from all seeds there are, None where there is none; of rodna also that with counts beside the model.

    Of final trainings of all of a budget's steps and of a part of them it is those that did better on validation.
    """
    lengths: dict[float, list[dict[str, Any]]] = defaultdict(list)
    for result in results.values():
        if _is(result, text, system, kind, minutes):
            scored = result.get("with_counts", {}) if counted else result
            if "test_bits_per_byte" in scored:
                lengths[result.get("fraction", 1.0)].append(scored)
    if not lengths:
        return None
    found = min(lengths.values(), key=lambda scored: float(np.mean([result["validation_bits_per_byte"] for result in scored])))
    bits_SD = np.array([result["test_document_bits"] for result in found])
    values = [float(result["test_bits_per_byte"]) for result in found]
    validation = float(np.mean([result["validation_bits_per_byte"] for result in found]))
    return Figure(system, values, bits_SD, np.array(found[0]["test_document_bytes"]), validation)


def student_of(results: Results, text: str, *, counted: bool = False) -> Figure | None:
    """Return the figure of the one model that is released after two hours, alone or with counts beside it."""
    return figure_of(results, text, "student", "student", STUDENT_MINUTES, counted=counted)


def _is(result: dict[str, Any], text: str, system: str, kind: str, minutes: int) -> bool:
    return (result["text"], result["system"], result["kind"], result["minutes"]) == (text, system, kind, minutes)


def best_figure(results: Results, text: str, minutes: int) -> Figure | None:
    """Return the tuned peer that did best on validation, None while a peer that is to be trained is missing.

    Args:
        results: of all pieces.
        text: of which.
        minutes: of training; 0: any length.
    """
    lengths = (minutes,) if minutes else MINUTES
    for length in lengths:
        best = best_peer(length, results)
        if best is None or (best not in COUNTING and figure_of(results, text, best, "tuned", length) is None):
            return None
    found = [figure_of(results, text, system, "count") for system in COUNTING]
    found += [figure_of(results, text, system, "tuned", length) for system in PUBLISHED for length in lengths]
    if not minutes:
        found += [figure_of(results, text, system, "curve") for system in PUBLISHED]
    return min((figure for figure in found if figure), key=lambda figure: figure.validation, default=None)


def interval(figure: Figure) -> tuple[float, float]:
    """Return the 95% interval of a figure's mean: documents and seeds are resampled together."""
    random, drawn = np.random.default_rng(0), []
    for _ in range(SAMPLES):
        documents = random.integers(0, len(figure.bytes_D), size=len(figure.bytes_D))
        seeds = random.integers(0, len(figure.bits_SD), size=len(figure.bits_SD))
        drawn.append(figure.bits_SD[seeds][:, documents].sum() / len(seeds) / figure.bytes_D[documents].sum())
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def reduction(peer: Figure | None, ours: Figure | None) -> Reduction | None:
    """Return by what share ours lies below the peer's; documents, drawn for both alike, and seeds, for each its own, are resampled."""
    if peer is None or ours is None:
        return None
    random = np.random.default_rng(0)
    shares = []
    for _ in range(SAMPLES):
        documents = random.integers(0, len(peer.bytes_D), size=len(peer.bytes_D))
        sums = [figure.bits_SD[random.integers(0, len(figure.bits_SD), size=len(figure.bits_SD))][:, documents].sum() / len(figure.bits_SD)
                for figure in (peer, ours)]  # fmt: skip
        shares.append(1 - sums[1] / sums[0])
    low, high = np.quantile(shares, (0.025, 0.975))
    return Reduction(1 - ours.mean / peer.mean, float(low), float(high))
