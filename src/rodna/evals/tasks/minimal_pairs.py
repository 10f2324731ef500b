"""Minimal pairs: does the model find the acceptable sentence likelier than the other, from which it differs in one thing?

Each sentence costs what its tokens cost after one end_of_text; the pair is right where the acceptable one costs less, and half right where
both cost the same. Reference: Warstadt et al. 2020, BLiMP, arXiv:1912.00582, whose full-sentence method this is, as lm-evaluation-harness'
`blimp` asks it; there a tie counts as right, which `detail["accuracy_ties_right"]` gives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rodna.core.errors import EvaluationError
from rodna.evals.config import EvalConfig
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel
from rodna.evals.result import Measurement
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import Outcome, Row, Task
from rodna.evals.tasks.prompts import UnusableItemError, ask, fill, find, placeholders, text_of, usable

FIELDS = frozenset({"good", "bad"})
VERSION = 1
UNIT = "share of pairs"
PROMPT = " {sentence}"
"""What the model reads: lm-evaluation-harness parts whatever it asks from what stands before, even from nothing, with a space."""
TIE = 1e-6
"""Costs that differ by less than this share of them are the same: rounding alone, which depends on the batch, makes as much."""


@dataclass(frozen=True)
class _Pair:
    """One pair: which sentences, and what they tell about."""

    row: Row
    good: str
    bad: str
    paradigm: str
    phenomenon: str
    group: str


@dataclass(frozen=True)
class _Judged:
    pair: _Pair
    right: float
    """1, 0.5 for a tie, or 0."""


def evaluate(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    """Return the accuracy of all pairs, of each phenomenon and of each paradigm.

    Where there are several paradigms, an accuracy over them is the mean of theirs, each with the same weight, as BLiMP reports it and
    lm-evaluation-harness groups it; where their sizes differ, `accuracy_pooled` gives each pair the same weight.

    Args:
        model: any that can score.
        task: rows with `good` and `bad`; `paradigm`, without which the file's name is one, and `phenomenon`; pairs with the same `group`,
            such as a verb, are drawn together when the interval is made.
        config: `category` names another field to group paradigms by, such as `field`; `prompt` holds {sentence}.
        settings: unused: nothing is drawn.
    """
    pairs, skipped = usable(task.rows, _reader(config))
    template = config.prompt or PROMPT
    if "sentence" not in placeholders(template):
        raise EvaluationError(
            f"the prompt does not hold the sentence: {template!r}", where=f"task {task.name}: prompt", fix="write {sentence} in it"
        )
    sentences = [fill(template, {"sentence": sentence}) for pair in pairs for sentence in (pair.good, pair.bad)]
    scores = ask(model, [""] * len(sentences), sentences, task=task.name)
    judged = [_Judged(pair, _right(good.nats, bad.nats)) for pair, good, bad in zip(pairs, scores[::2], scores[1::2], strict=True)]
    digest = prompt_digest("minimal_pairs", VERSION, prompt=template)
    return Outcome(_measurements(task.name, judged, digest), skipped, {pair.row.id: pair.good for pair in pairs})


def _reader(config: TaskConfig) -> Callable[[Row], _Pair]:
    def read(row: Row) -> _Pair:
        good, bad = text_of(row.fields, "good"), text_of(row.fields, "bad")
        if good == bad:
            raise UnusableItemError("both sentences are the same")
        phenomenon = find(row.fields, config.category or "phenomenon")
        names = (row.fields.get("paradigm") or row.part, phenomenon or "", row.fields.get("group") or "")
        paradigm, phenomenon, group = (str(name) for name in names)
        return _Pair(row, good, bad, paradigm, phenomenon, group)

    return read


def _right(good_nats: float, bad_nats: float) -> float:
    if abs(good_nats - bad_nats) <= TIE * max(abs(good_nats), abs(bad_nats)):
        return 0.5
    return float(good_nats < bad_nats)


def _measurements(name: str, judged: Sequence[_Judged], digest: str) -> list[Measurement]:
    """Return the accuracy of all, then of each phenomenon with its paradigms."""
    if not judged:
        return []
    found = _over_paradigms(name, judged, digest, level="task")
    tree: dict[str, dict[str, list[_Judged]]] = {}
    for item in judged:
        tree.setdefault(item.pair.phenomenon, {}).setdefault(item.pair.paradigm, []).append(item)
    if len({paradigm for paradigms in tree.values() for paradigm in paradigms}) < 2:
        return found
    for phenomenon, paradigms in sorted(tree.items()):
        prefix = f"{name}/{phenomenon}" if phenomenon else name
        if phenomenon:
            found += _over_paradigms(prefix, [item for members in paradigms.values() for item in members], digest, level="group")
        for paradigm, members in sorted(paradigms.items()):
            found.append(_measure(f"{prefix}/{paradigm}", "accuracy", members, np.ones(len(members)), digest, level="part"))
    return found


def _over_paradigms(name: str, judged: Sequence[_Judged], digest: str, *, level: str) -> list[Measurement]:
    """Return the mean over paradigms and, where their sizes differ, over pairs."""
    places = {paradigm: place for place, paradigm in enumerate(dict.fromkeys(item.pair.paradigm for item in judged))}
    index_N = np.array([places[item.pair.paradigm] for item in judged])
    sizes = np.bincount(index_N)
    # Numerator and denominator are divided by the paradigm's size, so that the ratio of the sums is the mean over paradigms.
    detail = {"paradigms": len(sizes), "mean_over": "paradigms" if len(sizes) > 1 else "pairs"}
    found = [_measure(name, "accuracy", judged, 1 / sizes[index_N] * len(judged) / len(sizes), digest, level=level, **detail)]
    if len(set(sizes.tolist())) > 1:
        ones = np.ones(len(judged))
        found.append(_measure(name, "accuracy_pooled", judged, ones, digest, level=level, paradigms=len(sizes), mean_over="pairs"))
    return found


def _measure(name: str, metric: str, judged: Sequence[_Judged], weight_N: Any, digest: str, **detail: Any) -> Measurement:
    right_N = np.array([item.right for item in judged])
    ties_N = right_N == 0.5
    groups = [item.pair.group for item in judged]
    return Measurement(
        task=name,
        metric=metric,
        unit=UNIT,
        direction="higher",
        ids=[item.pair.row.id for item in judged],
        numerator_N=right_N * weight_N,
        denominator_N=np.asarray(weight_N, dtype=np.float64),
        groups=groups if all(groups) else (),
        task_version=VERSION,
        prompt_digest=digest,
        detail={
            "chance": 0.5,
            "ties": int(ties_N.sum()),
            "accuracy_ties_right": float(((right_N + ties_N * 0.5) * weight_N).sum() / weight_N.sum()),
            **detail,
        },
    )
