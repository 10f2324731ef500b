"""Minimal pairs: does the model find the acceptable sentence likelier than the other, from which it differs in one thing?

Each sentence costs what its tokens cost after one end_of_text; the pair is right where the acceptable one costs less. Reference: Warstadt
et al. 2020, BLiMP, arXiv:1912.00582, whose full-sentence method this is, as lm-evaluation-harness' `blimp` asks it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rodna.evals.config import EvalConfig
from rodna.evals.measure import prompt_digest
from rodna.evals.model import LanguageModel
from rodna.evals.result import Measurement
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import Outcome, Row, Skipped, Task

FIELDS = frozenset({"good", "bad"})
VERSION = 1
UNIT = "share of pairs"


@dataclass(frozen=True)
class _Pair:
    row: Row
    right: float
    paradigm: str


def evaluate(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    """Return the accuracy of each paradigm, of each phenomenon and of all.

    Args:
        model: any that can score.
        task: rows with `good` and `bad`; `paradigm` where they name one, else the file does.
        config: `category` names the field of the phenomenon.
        settings: unused: nothing is drawn.
    """
    rows, skipped = _usable(task.rows)
    scores = model.score([""] * (2 * len(rows)), [str(row.fields[name]) for row in rows for name in ("good", "bad")])
    pairs = [
        _Pair(row, _right(good.nats, bad.nats), str(row.fields.get("paradigm") or row.part))
        for row, good, bad in zip(rows, scores[::2], scores[1::2], strict=True)
    ]
    digest = prompt_digest("minimal_pairs", VERSION)
    measurements = [_measure(task.name, pairs, digest)] if pairs else []
    return Outcome(measurements, skipped, {row.id: str(row.fields["good"]) for row in rows})


def _usable(rows: Sequence[Row]) -> tuple[list[Row], list[Skipped]]:
    usable = [row for row in rows if row.fields["good"] != row.fields["bad"]]
    same = [Skipped(row.id, row.where, "both sentences are the same") for row in rows if row.fields["good"] == row.fields["bad"]]
    return usable, same


def _right(good_nats: float, bad_nats: float) -> float:
    return 0.5 if good_nats == bad_nats else float(good_nats < bad_nats)


def _measure(name: str, pairs: Sequence[_Pair], digest: str) -> Measurement:
    right_N = np.array([pair.right for pair in pairs])
    detail = {"ties": int((right_N == 0.5).sum()), "chance": 0.5}
    return Measurement(
        name, "accuracy", UNIT, "higher", [pair.row.id for pair in pairs], right_N, np.ones(len(pairs)),
        task_version=VERSION, prompt_digest=digest, detail=detail,
    )  # fmt: skip
