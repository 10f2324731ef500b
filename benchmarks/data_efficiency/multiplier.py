"""How many times more text the tuned nanoGPT recipe needs for rodna's bits per byte: its curve over the amount of text, extrapolated."""

from dataclasses import dataclass

import numpy as np
from benchmarks.data_efficiency.compare import Figure, figure_of, interval, student_of
from benchmarks.data_efficiency.pieces import CURVE_SYSTEM, MINUTES, Results
from benchmarks.data_efficiency.texts import SHARES
from numpy.typing import NDArray

BAR = 3.0
SAMPLES = 1000
FLOORS = np.linspace(0.0, 0.95, 96)
"""Tried for the constant of the power law, as shares of the lowest point."""


@dataclass(frozen=True)
class Multiplier:
    """How many times more text is needed, with a 95% interval; infinite where the curve never comes so low."""

    value: float
    low: float
    high: float


def curve_points(results: Results, text: str) -> list[tuple[float, Figure]]:
    """Return (share of the text, figure) for every amount there is, smallest first."""
    found = [(1 / part, figure_of(results, f"{text}-1of{part}", CURVE_SYSTEM, "curve")) for part in SHARES]
    # The whole text's is the better of what was learned on it as on half, and of the best of its search over time, where there is one.
    whole = [figure_of(results, text, CURVE_SYSTEM, "curve"), figure_of(results, text, CURVE_SYSTEM, "tuned", MINUTES[-1])]
    found.append((1.0, min((figure for figure in whole if figure), key=lambda figure: figure.validation, default=None)))
    return [(share, figure) for share, figure in found if figure]


def fit_power_law(shares: NDArray[np.float64], values: NDArray[np.float64], floor_share: float | None = None) -> tuple[float, float, float]:
    """Fit value = floor + scale * share^-exponent by least squares of logarithms; return floor, scale, exponent.

    Args:
        shares: of the text.
        values: bits per byte.
        floor_share: the floor as a share of the lowest value; None: the best of many.
    """
    best = (np.inf, 0.0, 0.0, 0.0)
    for part in FLOORS if floor_share is None else [floor_share]:
        floor = part * values.min()
        slope, intercept = np.polyfit(np.log(shares), np.log(values - floor), 1)
        error = float(np.square(floor + np.exp(intercept) * shares**slope - values).sum())
        if error < best[0]:
            best = (error, floor, float(np.exp(intercept)), float(-slope))
    return best[1:]


def needed(floor: float, scale: float, exponent: float, target: float) -> float:
    """Return the share of the text at which the law reaches a value."""
    if target <= floor or exponent <= 0:
        return float("inf")
    return float(((target - floor) / scale) ** (-1 / exponent))


def multiplier(points: list[tuple[float, Figure]], ours: Figure, *, floor_share: float | None) -> Multiplier:
    """Return the multiplier; the bootstrap draws documents, the same for all, and seeds, of each point its own."""
    shares = np.array([share for share, _ in points])
    value = needed(*fit_power_law(shares, np.array([figure.mean for _, figure in points]), floor_share), ours.mean)
    random, drawn = np.random.default_rng(0), []
    for _ in range(SAMPLES):
        documents = random.integers(0, len(ours.bytes_D), size=len(ours.bytes_D))
        rates = [_resampled(figure, documents, random) for _, figure in points]
        drawn.append(needed(*fit_power_law(shares, np.array(rates), floor_share), _resampled(ours, documents, random)))
    low, high = np.quantile(drawn, (0.025, 0.975), method="nearest")
    return Multiplier(value, float(low), float(high))


def _resampled(figure: Figure, documents: NDArray[np.int64], random: np.random.Generator) -> float:
    seeds = random.integers(0, len(figure.bits_SD), size=len(figure.bits_SD))
    return float(figure.bits_SD[seeds][:, documents].sum() / len(seeds) / figure.bytes_D[documents].sum())


def multiplier_section(results: Results, text: str) -> str:
    """Return the curve and the multiplier as Markdown."""
    head = f"### How much more text nanoGPT would need: {text}\n\n"
    points = curve_points(results, text)
    lines = ["| {:g} | {:.3f} ({}) | {:.3f} to {:.3f} |".format(share, figure.mean, len(figure.values), *interval(figure))
             for share, figure in points]  # fmt: skip
    table = "\n".join(["| share of the text | bits per byte | 95% interval |", "| --- | --- | --- |", *lines])
    ours = student_of(results, text) or figure_of(results, text, "rodna", "rodna", 20)
    if len(points) < 3 or ours is None:
        return f"{head}{table}\n\nMissing: {'the curve has fewer than three points' if len(points) < 3 else 'a figure of rodna'}."
    said = []
    for name, floor_share in (("pure power law", 0.0), ("power law above a floor", None)):
        if floor_share is None and len(points) < 4:
            continue
        found = multiplier(points, ours, floor_share=floor_share)
        said.append(f"{name}: **{found.value:.1f}** times ({found.low:.1f} to {found.high:.1f})")
    return f"{head}{table}\n\nFor the {ours.mean:.3f} bits per byte of rodna ({ours.system}): {'; '.join(said)}.\nThe goal is {BAR:g}."
