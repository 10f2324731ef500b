"""Pictures of the results: bits per byte of every system, trainings' curves, and the curve over the amount of text."""

from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.data_efficiency.compare import best_figure, figure_of, student_of
from benchmarks.data_efficiency.multiplier import curve_points, fit_power_law
from benchmarks.data_efficiency.pieces import MINUTES, Results
from benchmarks.data_efficiency.results import read_results
from benchmarks.data_efficiency.texts import LONG, MAIN, BenchmarkError, Place

FAR = 8.0
"""How many times the whole text the extrapolation is drawn to."""
SHARES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, FAR)


def draw(place: Place, out: Path) -> list[Path]:
    """Write every picture the results suffice for, as SVG and PNG; return the files.

    Raises:
        BenchmarkError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise BenchmarkError("pictures need matplotlib", fix="pip install matplotlib") from error
    mpl.use("agg")
    # The same picture is the same file.
    mpl.rcParams.update({"svg.hashsalt": "rodna", "axes.spines.top": False, "axes.spines.right": False})
    results = read_results(place)
    out.mkdir(parents=True, exist_ok=True)
    made = _equal_time(results, out)
    for text in LONG:
        made += _amount(results, text, out)
    return made


def _equal_time(results: Results, out: Path) -> list[Path]:
    from matplotlib import pyplot

    found = [(text, f"{minutes} min", best_figure(results, text, minutes), figure_of(results, text, "rodna", "rodna", minutes))
             for text in MAIN for minutes in MINUTES]  # fmt: skip
    found += [(text, "2 h", best_figure(results, text, MINUTES[-1]), student_of(results, text)) for text in LONG]
    rows = [(text, time, peer.mean, ours.mean) for text, time, peer, ours in found if peer and ours]
    rows.sort(key=lambda row: MAIN.index(row[0]))
    if not rows:
        return []
    figure, axes = pyplot.subplots(figsize=(10, 4))
    places = np.arange(len(rows))
    axes.bar(places - 0.2, [peer for *_, peer, _ in rows], 0.4, label="best tuned peer", color="#9aa5b1")
    bars = axes.bar(places + 0.2, [ours for *_, ours in rows], 0.4, label="rodna, the checkpoint alone", color="#0b6e4f")
    axes.bar_label(bars, [f"\u2212{1 - ours / peer:.0%}" for *_, peer, ours in rows], padding=2, fontsize=8)
    axes.set_xticks(places, [f"{text}\n{time}" for text, time, _, _ in rows])
    axes.set_ylabel("held-out bits per byte")
    axes.set_ylim(top=1.2 * max(peer for *_, peer, _ in rows))
    axes.legend(frameon=False, ncols=2, loc="upper left")
    return _save(figure, out / "equal-time")


def _amount(results: Results, text: str, out: Path) -> list[Path]:
    from matplotlib import pyplot

    points = curve_points(results, text)
    if len(points) < 3:
        return []
    shares, values = np.array([share for share, _ in points]), np.array([point.mean for _, point in points])
    figure, axes = pyplot.subplots(figsize=(6, 4))
    axes.plot(shares, values, "o", color="#52606d", label="nanoGPT, tuned")
    line = np.geomspace(shares.min(), FAR, 100)
    for name, floor_share, style in (("pure power law", 0.0, "-"), ("above a floor", None, "--")):
        floor, scale, exponent = fit_power_law(shares, values, floor_share)
        axes.plot(line, floor + scale * line**-exponent, style, color="#9aa5b1", label=name)
    short = figure_of(results, text, "rodna", "rodna", MINUTES[-1])
    for name, ours, style in ((f"{MINUTES[-1]} minutes", short, ":"), ("student", student_of(results, text), "-")):
        if ours:
            axes.axhline(ours.mean, color="#0b6e4f", linestyle=style, label=f"rodna, {name}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(SHARES, [f"1/{round(1 / share)}" if share < 1 else f"{share:g}" for share in SHARES])
    axes.set_xlabel(f"text, in times of all there is ({text})")
    axes.set_ylabel("held-out bits per byte")
    axes.legend(frameon=False)
    return _save(figure, out / f"amount-{text}")


def _save(figure: Any, path: Path) -> list[Path]:
    figure.tight_layout()
    files = [path.with_name(f"{path.name}.{kind}") for kind in ("svg", "png")]
    for file in files:
        figure.savefig(file, dpi=144, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files
