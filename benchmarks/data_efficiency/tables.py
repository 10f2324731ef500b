"""Markdown tables from whatever results exist, saying what is missing."""

import json
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.data_efficiency.compare import Figure, Reduction, best_figure, figure_of, interval, reduction, student_of
from benchmarks.data_efficiency.multiplier import multiplier_section
from benchmarks.data_efficiency.ours import ensemble_of
from benchmarks.data_efficiency.pieces import COUNTING, MINUTES, PUBLISHED_MINUTES, Results, all_pieces, budgets_of
from benchmarks.data_efficiency.recipes import PUBLISHED
from benchmarks.data_efficiency.results import Speeds, read_results, read_speeds
from benchmarks.data_efficiency.texts import LONG, MAIN, Place

BAR_EQUAL_TIME, BAR_STUDENT = 0.08, 0.15
PAGE_WIDTH = 150
MIN_INTERVAL = 1e-6
RODNA = {False: "rodna", True: "rodna, with counts"}
"""The checkpoint alone, which runs everywhere, and with n-grams of the training text beside it."""
HEAD = (
    "In parentheses the number of seeds, ± their standard deviation; ranges are 95% intervals. A figure is made again by `python -m "
    "benchmarks.data_efficiency run PIECE`; pieces are named as their files in `benchmarks/results/data_efficiency`, such as "
    "`be--rodna--rodna-20min--seed1`."
)
SPEED = (
    "Where several models are planned, parameters, epochs, tokens/s and MFU are a member's. MFU as trained is of what came of it, "
    "mostly on one core of a machine that did other work beside."
)
STUDIES = ("ablations", "teachers")
"""Folders of other results, beside this benchmark's."""


def report(place: Place) -> str:
    """Return all tables as Markdown."""
    results = read_results(place)
    parts = [
        textwrap.fill(HEAD, PAGE_WIDTH), _peers_on_be(results), _counting(results), _equal_time(results), _twenty_in_five(results),
        _students(results), *(multiplier_section(results, text) for text in LONG), _costs(read_speeds(place), results),
        _looks(place, results), _missing(results),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _peers_on_be(results: Results) -> str:
    rows = []
    for system in COUNTING:
        rows.append([system, "", *[_figure_cell(figure_of(results, "be", system, "count"))] * len(MINUTES)])
    for system in PUBLISHED:
        for kind, budgets in (("published", (PUBLISHED_MINUTES,)), ("tuned", budgets_of("be", system, results))):
            figures = [figure_of(results, "be", system, kind, minutes) for minutes in MINUTES]
            cells = [_figure_cell(figure) if minutes in budgets else "not run" for figure, minutes in zip(figures, MINUTES, strict=True)]
            rows.append([system, kind, *cells])
    for counted, name in RODNA.items():
        figures = (figure_of(results, "be", "rodna", "rodna", minutes, counted=counted) for minutes in MINUTES)
        rows.append([f"**{name}**", "planned", *map(_figure_cell, figures)])
    return "### All systems on Belarusian\n\n" + _table(["system", "recipe", *(f"{minutes} minutes" for minutes in MINUTES)], rows)


def _counting(results: Results) -> str:
    """What takes seconds, beside the shortest training."""
    rows = []
    for text in MAIN:
        counted = [_cell(figure_of(results, text, system, "count")) for system in COUNTING]
        rows.append(
            [text, *counted, *(_cell(figure_of(results, text, "rodna", "rodna", MINUTES[0], counted=with_counts)) for with_counts in RODNA)]
        )
    header = ["text", *COUNTING, *(f"{name}, {MINUTES[0]} minutes" for name in RODNA.values())]
    return "### Counting alone\n\n" + _table(header, rows)


def _equal_time(results: Results) -> str:
    rows = []
    for text in MAIN:
        for minutes in MINUTES:
            peer = best_figure(results, text, minutes)
            for counted, name in RODNA.items():
                ours = figure_of(results, text, "rodna", "rodna", minutes, counted=counted)
                gain = reduction(peer, ours)
                rows.append([text, str(minutes), peer.system if peer else "", _cell(peer), name, _cell(ours), _gain(gain),
                             _verdict(gain, BAR_EQUAL_TIME)])  # fmt: skip
    header = [
        "text",
        "minutes",
        "best tuned peer",
        "its bits per byte",
        "ours",
        "bits per byte",
        "fewer by",
        f"at least {BAR_EQUAL_TIME:.0%}",
    ]
    return "### Equal time on two cores\n\n" + _table(header, rows)


def _twenty_in_five(results: Results) -> str:
    rows = []
    for text in MAIN:
        peer = best_figure(results, text, MINUTES[-1])
        for counted, name in RODNA.items():
            ours = figure_of(results, text, "rodna", "rodna", MINUTES[0], counted=counted)
            gain = reduction(peer, ours)
            rows.append([text, _cell(peer), name, _cell(ours), _gain(gain), _verdict(gain, 0.0)])
    header = ["text", f"best tuned peer, {MINUTES[-1]} minutes", "ours", f"in {MINUTES[0]} minutes", "fewer by", "reached"]
    return f"### The peer's {MINUTES[-1]}-minute figure in {MINUTES[0]}\n\n" + _table(header, rows)


def _students(results: Results) -> str:
    rows = []
    for text in LONG:
        peer = best_figure(results, text, 0)
        for counted, name in RODNA.items():
            together, alone = figure_of(results, text, "ensemble", "ensemble", counted=counted), student_of(results, text, counted=counted)
            for system, ours in (("ensemble", together), ("student", alone)):
                gain = reduction(peer, ours)
                verdict = _verdict(gain, BAR_STUDENT) if system == "student" else ""
                rows.append([text, name.replace("rodna", system), _cell(peer), _figure_cell(ours), _gain(gain), verdict])
    header = ["text", "rodna", "best tuned peer of all lengths tried", "bits per byte", "fewer by", f"at least {BAR_STUDENT:.0%}"]
    return "### About two hours in all\n\n" + _table(header, rows)


def _costs(speeds: dict[str, Speeds], results: Results) -> str:
    rows = []
    for text in MAIN:
        for minutes in MINUTES:
            key = f"{text}/{minutes}"
            plan = speeds[text]["plans"].get(key)
            if plan:
                # Not the plan's own measure of it, which may be of a busy moment.
                peak = speeds[text]["measured_on"][key]["bf16_flops"]
                estimates = plan["estimates"]
                mfu = estimates["flops"] / estimates["tokens_seen"] * estimates["tokens_per_second"] / peak
                ensemble = ensemble_of(plan)
                models = f"{ensemble.members} and a student" if ensemble else "1"
                made = (text, "rodna", minutes)
                trained = [result["mfu"] for result in results.values()
                           if (result["text"], result["kind"], result["minutes"]) == made and result.get("mfu")]  # fmt: skip
                rows.append([text, str(minutes), models, f"{estimates['parameters'] / 1e6:.1f}M",
                             f"{estimates['epochs']:.1f}", f"{estimates['tokens_per_second']:,.0f}", f"{mfu:.0%}",
                             f"{min(trained):.0%} to {max(trained):.0%}" if trained else ""])  # fmt: skip
    head = f"### rodna's plans, and their speed on the measured machine\n\n{textwrap.fill(SPEED, PAGE_WIDTH)}\n\n"
    return head + _table(["text", "minutes", "models", "parameters", "epochs", "tokens/s", "MFU", "MFU as trained"], rows)


def _looks(place: Place, results: Results) -> str:
    """Count how often held-out and validation text was looked at, by the tries and by the ablations, too."""
    lines = _lines(place.results / "test-looks.jsonl")
    tries = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(place.results.glob("tries/*.json"))]
    rows = []
    for text in sorted({*(line["text"] for line in lines), *(result["text"] for result in results.values())}):
        own = [result for result in results.values() if result["text"] == text]
        looked = [line["piece"] for line in lines if line["text"] == text]
        # Results of another machine come without its list of looks: each has looked once at least.
        looked += [result["piece"] for result in own if "test_bits_per_byte" in result and result["piece"] not in looked]
        tried = [result for result in tries if result["text"] == text]
        on_validation = sum(result.get("validation_looks", 0) for result in [*own, *tried])
        rows.append([text, str(len(set(looked))), str(len(looked)), str(on_validation),
                     str(sum(result["system"] != "rodna" for result in own)),
                     str(sum(result["system"] == "rodna" for result in own)), str(len(tried))])  # fmt: skip
    header = [
        "text",
        "final trainings scored on test",
        "looks at test, repeated ones counted",
        "looks at validation",
        "peers' runs",
        "rodna's runs",
        "rodna's tries",
    ]
    forecasts = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(place.results.parent.glob("plan_fit/**/*.json"))]
    others = [line for study in STUDIES for file in sorted(place.results.parent.glob(f"{study}/*.jsonl")) for line in _lines(file)]
    said = (
        "No choice was made from a look at test; the figures that the plan expects, from which it chooses nothing, are set by those of the "
        "trainings above. Results made again replace those before, whose looks at validation are not counted. Ablations and studies of "
        f"teachers looked at validation text of the same languages besides: {len(others)} trainings, "
        f"{sum(len(line.get('curve', ())) + 1 for line in others)} looks; and so did {len(forecasts)} forecasts, of splits of their own: "
        f"{sum(len(forecast['fit']['points']) + len(forecast['fit']['searched']) + 1 for forecast in forecasts)} trainings. Not counted: "
        "the first runs of planning, of which no results are kept, and the demo, whose Cantonese is in part that of yue."
    )
    return f"### Looks\n\n{textwrap.fill(said, PAGE_WIDTH)}\n\n{_table(header, rows)}"


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def _missing(results: Results) -> str:
    pieces, waiting = all_pieces(results)
    missing = [piece for piece in {piece.name: piece for piece in pieces}.values() if piece.name not in results]
    counts = Counter((piece.text, piece.system, piece.kind) for piece in missing)
    lines = [f"* {', '.join(key)}: {count} pieces" for key, count in sorted(counts.items())]
    lines += [f"* waiting: {line}" for line in waiting]
    return "### Missing\n\n" + ("\n".join(lines) if lines else "Nothing.")


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return "missing"
    spread = f" ± {np.std(figure.values, ddof=1):.3f}" if len(figure.values) > 1 else ""
    return f"{figure.mean:.3f}{spread} ({len(figure.values)})"


def _figure_cell(figure: Figure | None) -> str:
    low, high = interval(figure) if figure else (0.0, 0.0)
    # xz packs all documents together: none has bits of its own.
    return _cell(figure) + (f", {low:.3f} to {high:.3f}" if high - low > MIN_INTERVAL else "")


def _gain(gain: Reduction | None) -> str:
    return "missing" if gain is None else f"{gain.share:.1%} ({gain.low:.1%} to {gain.high:.1%})"


def _verdict(gain: Reduction | None, bar: float) -> str:
    return "missing" if gain is None else "yes" if gain.share >= bar else "**no**"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
