"""Evaluations written without a model: numbers of one's choice for items of one's choice."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rodna.core.artifact import Artifact, create
from rodna.evals.evaluate import ITEMS, RESULTS
from rodna.evals.measure import result_of, write_items
from rodna.evals.result import Measurement, Result, write_results


def measured(
    task: str, values: Sequence[float], *, metric: str = "accuracy", weights: Sequence[float] = (), ids: Sequence[str] = (), **more: Any
) -> Measurement:
    """Return a measurement: an accuracy, or where the metric is another, bits per byte."""
    numbers = np.asarray(values, dtype=np.float64)
    weight = np.asarray(weights, dtype=np.float64) if len(weights) else np.ones(len(numbers))
    unit, direction = ("share of pairs", "higher") if metric == "accuracy" else ("bits per UTF-8 byte", "lower")
    given = {"unit": unit, "direction": direction, "prompt_digest": "p" * 64, **more}
    return Measurement(
        task=task, metric=metric, ids=list(ids) or [f"item{number}" for number in range(len(numbers))], numerator_N=numbers,
        denominator_N=weight, **given,
    )  # fmt: skip


def write_made(
    folder: Path,
    measurements: Sequence[Measurement],
    *,
    where: str = "",
    results: Sequence[Result] = (),
    seen: Mapping[str, frozenset[str]] | None = None,
    digests: Mapping[str, str] | None = None,
    tokenizer: str = "t",
    corpus: str = "",
    is_checked: bool = False,
    with_items: bool = True,
    predictions: Sequence[Mapping[str, Any]] = (),
    refused: str = "",
    kind: str = "minimal_pairs",
) -> Artifact:
    """Write an evaluation's folder.

    Args:
        folder: to be made.
        measurements: with their items.
        where: of the model; by default the folder's name.
        results: numbers without items.
        seen: task -> ids of items that stood in the training text.
        digests: task -> digest of its file; by default all are the same.
        tokenizer: its digest.
        corpus: its digest; empty for none.
        is_checked: whether items were looked up in the training text.
        with_items: write no items where false, as old versions did.
        predictions: of a classification.
        refused: why the task `refused` was not asked.
        kind: of the tasks.
    """
    model = where or f"models/{folder.name}"
    inputs = {"model": f"{model} {folder.name}", **({"corpus": corpus} if corpus else {})}
    made = [result_of(item, samples=200, seed=0, seen=(seen or {}).get(item.task, ())) for item in measurements]
    names = dict.fromkeys(item.task.partition("/")[0] for item in [*made, *results])
    tasks = {
        name: {"digest": (digests or {}).get(name, "d" * 64), "contamination": {"is_checked": is_checked}, "refused": "", "kind": kind}
        for name in names
        if name != "held_out_text"
    }
    if refused:
        tasks["refused"] = {"refused": refused, "digest": ""}
    with create(folder, kind="evaluation", format_version=1, inputs=inputs, config={}) as draft:
        write_results(draft.path / RESULTS, [*made, *results])
        if with_items:
            write_items(draft.path / ITEMS, measurements, seen or {})
            about = {"model": {"where": model, "kind": "decoder", "parameters": 1234, "tokenizer": {"digest": tokenizer}}, "tasks": tasks}
            (draft.path / "tasks.json").write_text(json.dumps(about), encoding="utf-8")
        if predictions:
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)
            (draft.path / "predictions.jsonl").write_text(lines, encoding="utf-8")
    return draft.result


def answers(count: int, right: float, *, seed: int) -> list[float]:
    """Return 1 for right and 0 for wrong, of items that are as hard for every seed."""
    hardness = np.random.default_rng(0).random(count)
    return (np.random.default_rng(seed).random(count) < 0.5 * (right + (hardness < right))).astype(float).tolist()
