"""Fit the law that a plan follows where nothing has been tried on the text: one law for all texts, times what a byte of each is worth.

    python benchmarks/plan_law.py benchmarks/results

The runs: rodna's own of the data-efficiency benchmark, final ones and tries, and the pilots and long runs of `plan_fit.py`. Every
text has a factor of its own, and others where its validation documents are others (the forecasts') or tokens share what they learn of
their spelling; that of the benchmark's Belarusian, nothing shared, is 1. Prints `laws.WHOLE_RUNS`, and how far each run lies from it.
Validation only.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rodna.models.config import ModelConfig
from rodna.plan import laws
from rodna.plan.laws import Floats, Point
from rodna.plan.rules import block_parameters

REFERENCE = "be"
LONG_RUNS_COUNT = 5.0
"""A run as long as a plan's counts as so many pilots."""
NOISE = 0.006
ROUNDS = 300
OLDER = (
    ("be", Point(442_368, 5.96e6, 469_394, 1.018, "be 5 minutes, of commit 680b670", 0.2)),
    ("eu", Point(442_368, 8.936e6, 761_259, 1.447, "eu 5 minutes, seed 1, of commit 7921d28", 0.1)),
    ("eu", Point(442_368, 8.936e6, 761_259, 1.448, "eu 5 minutes, seed 2, of commit 7921d28", 0.1)),
    ("is", Point(802_816, 7.405e6, 697_379, 1.694, "is 5 minutes, of commit f2c5e0f", 0.0)),
)
"""Final trainings of older plans, named in docs/planning.md, whose results were replaced by those of other sizes or dropouts."""


def whole_runs(results: Path) -> Iterator[tuple[str, Point]]:
    """Yield (text, run) of the data-efficiency benchmark."""
    folder = results / "data_efficiency"
    for file in sorted([*folder.glob("*--rodna--rodna-*.json"), *folder.glob("tries/*.json")]):
        values = json.loads(file.read_text(encoding="utf-8"))
        if any(change.startswith("tokenizer.") for change in values.get("changed", ())):
            # Of another vocabulary, which no plan has: its tokens are others.
            continue
        if "members" in values:
            # A student of several models: the law is of what learns from the text alone.
            continue
        model, train = ModelConfig.model_validate(values["recipe"]["model"]), values["recipe"]["train"]
        # Where tokens share what they learn of their spelling, a byte takes fewer bits: as if of an easier text.
        text = f"{values['text']} (spelling)" if train.get("spelling_rate") else values["text"]
        seen = values["steps"] * train["batch_size"] * model.context_length
        unique = seen / values["epochs"]
        yield text, Point(block_parameters(model), seen, unique, values["validation_bits_per_byte"], file.stem, model.dropout)
    yield from OLDER


def pilots(results: Path) -> Iterator[tuple[str, Point]]:
    """Yield (text, run) of the forecasts: their validation documents are others, so their texts are too."""
    for file in sorted((results / "plan_fit").glob("*.json")):
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        name = f"{file.stem} (forecasts)"
        for point in values["fit"]["points"]:
            if point["unique_tokens"] >= laws.LEAST_KNOWN_TOKENS:
                yield name, Point(**point)
        seen = values["tokens_seen"]
        place = (values["block_parameters"], seen, seen / values["epochs"], values["measured"])
        yield name, Point(*place, "the long run", values["dropout"])


def fit_all(runs: Sequence[tuple[str, Point]], long: Floats) -> tuple[Floats, dict[str, float]]:
    """Return theta and each text's logarithmic factor: one after the other, until they stay.

    Args:
        runs: (text, run).
        long: how much each counts.
    """
    texts = [text for text, _ in runs]
    factors = dict.fromkeys(texts, 0.0)
    mean_P = laws.prior_mean(laws.WHOLE_RUNS_CENTRE)
    theta_FP = mean_P[None]
    for _ in range(ROUNDS):
        scaled = [replace(point, bits_per_byte=point.bits_per_byte / np.exp(factors[text])) for text, point in runs]
        theta_FP, _ = laws.minimise(
            scaled, centre=laws.WHOLE_RUNS_CENTRE, mean_FP=mean_P[None], weights_FK=long[None], noise=NOISE, start_FP=theta_FP
        )
        off = residuals(theta_FP[0], [point for _, point in runs])
        for name in factors:
            mine = np.array([text == name for text in texts])
            factors[name] = float((off * long)[mine].sum() / long[mine].sum())
        factors = {name: value - factors[REFERENCE] for name, value in factors.items()}
    return theta_FP[0], factors


def residuals(theta_P: Floats, points: Sequence[Point]) -> Floats:
    *places, losses = laws.columns(points)
    return np.log(losses) - laws.log_loss(theta_P[None], *places, centre=laws.WHOLE_RUNS_CENTRE)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    arguments = parser.parse_args()
    runs = [*whole_runs(arguments.results), *pilots(arguments.results)]
    long = np.array([1.0 if "forecasts" in text and point.name != "the long run" else LONG_RUNS_COUNT for text, point in runs])
    theta_P, factors = fit_all(runs, long)
    print("WHOLE_RUNS =", tuple(round(float(value), 4) for value in theta_P))
    off = residuals(theta_P, [point for _, point in runs]) - np.array([factors[text] for text, _ in runs])
    for (text, point), share in zip(runs, off, strict=True):
        passes = point.tokens_seen / point.unique_tokens
        place = f"{point.parameters / 1e6:.2f}M {passes:5.1f} passes of {point.unique_tokens / 1e3:5.0f}k, dropout {point.dropout:g}"
        print(f"{text:16} {place} {point.bits_per_byte:.3f} {share:+.1%}  {point.name}")
    for label, mine in (("long runs", long > 1), ("pilots", long == 1)):
        print(f"{label}: {int(mine.sum())}, off by {np.median(abs(off[mine])):.1%} in the median, {abs(off[mine]).max():.1%} at most")


if __name__ == "__main__":
    main()
