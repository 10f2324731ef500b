"""From what lm-evaluation-harness returns to our results: each number with its items, so that models can be compared item by item."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rodna.evals.measure import prompt_digest
from rodna.evals.result import Direction, Measurement, Result
from rodna.evals.tasks.multiple_choice import credit

if TYPE_CHECKING:
    from rodna.evals.contamination import Seen

MOST_RESAMPLES = 100
"""Of numbers that are worked out anew from all items each time, such as BLEU; the harness draws as few."""
CHOICE_METRICS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
UNITS = {
    "bits_per_byte": "bits per UTF-8 byte",
    "byte_perplexity": "perplexity per byte",
    "word_perplexity": "perplexity per word",
    "perplexity": "perplexity",
}
_UNREAD = ("dataset_kwargs", "dataset_path", "dataset_name", "metadata", "task", "task_alias", "tag", "unsafe_code")
"""Of a task's definition: what does not change what a model reads of an item, such as where the data lies."""


@dataclass(frozen=True)
class Found:
    """What one task of the harness found.

    Attributes:
        name: the harness' own.
        shown: ours: `root`, or `root/part`.
        level: see `eval_table`: "task" or "part".
        task: the harness' object.
        rows: one for each item and filter, in the harness' form.
        reported: "metric,filter" -> the harness' own number.
        higher: metric -> whether more is better; None where unknown.
        fewshot_seed: of the draw of solved items.
    """

    name: str
    shown: str
    level: str
    task: Any
    rows: Sequence[Mapping[str, Any]]
    reported: Mapping[str, float]
    higher: Mapping[str, bool | None]
    fewshot_seed: int

    @property
    def version(self) -> Any:
        return self.task.VERSION


@dataclass
class Made:
    """Numbers with their items, and those that have none."""

    measurements: list[Measurement] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)


def ids_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return an id for each item: its own where all have one and they differ, else its place in the data."""
    own = [row["doc"].get("id") if isinstance(row["doc"], Mapping) else None for row in rows]
    if all(isinstance(identity, str | int) and str(identity).strip() for identity in own) and len(set(map(str, own))) == len(own):
        return [str(identity) for identity in own]
    return [str(row["doc_id"]) for row in rows]


def numbers_of(found: Found, *, samples: int, seed: int) -> Made:
    """Return every number of a task."""
    made = Made()
    digest = _digest(found)
    filters = dict.fromkeys(str(row["filter"]) for row in found.rows)
    for name in filters:
        rows = [row for row in found.rows if str(row["filter"]) == name]
        for metric in dict.fromkeys(metric for row in rows for metric in row["metrics"]):
            own = [row for row in rows if metric in row["metrics"]]
            _add(made, found, own, metric, name, digest=digest, samples=samples, seed=seed)
    return made


def _add(
    made: Made, found: Found, rows: Sequence[Mapping[str, Any]], metric: str, filter_name: str, *, digest: str, samples: int, seed: int
) -> None:
    values = [row[metric] for row in rows]
    detail = {**_detail(found, rows, metric, digest), "harness_value": found.reported.get(f"{metric},{filter_name}")}
    common: dict[str, Any] = {
        "task": found.shown,
        "metric": metric if filter_name == "none" else f"{metric},{filter_name}",
        "direction": _direction(found.higher.get(metric)),
        "task_version": _whole(found.version),
        "prompt_digest": digest,
    }
    ratio = _as_ratio(found.task.aggregation().get(metric), values)
    if ratio is None:
        made.results.append(_resampled(found, metric, values, common, detail, samples=min(samples, MOST_RESAMPLES), seed=seed))
        return
    top, bottom, scale = ratio
    is_share = scale == "ratio" and metric not in UNITS and all(value in (0.0, 1.0) for value in top)
    made.measurements.append(
        Measurement(
            **common, unit=UNITS.get(metric, "share of items" if is_share else f"mean {metric}"), ids=ids_of(rows),
            numerator_N=np.array(top, dtype=np.float64), denominator_N=np.array(bottom, dtype=np.float64), scale=scale, detail=detail,
        )
    )  # fmt: skip


def _as_ratio(aggregation: Callable[..., Any] | None, values: Sequence[Any]) -> tuple[list[float], list[float], Any] | None:
    """Return numerators, denominators and scale of an aggregation that is a ratio of sums; None of any other."""
    from lm_eval.api import metrics

    # What has no aggregation of its own is averaged, as the harness does.
    is_plain = all(isinstance(value, bool | int | float | np.number) for value in values)
    if aggregation in (None, metrics.mean) and is_plain:
        return [float(value) for value in values], [1.0] * len(values), "ratio"
    if aggregation is metrics.perplexity and is_plain:
        return [-float(value) for value in values], [1.0] * len(values), "perplexity"
    if aggregation in (metrics.bits_per_byte, metrics.weighted_perplexity):
        unit = math.log(2) if aggregation is metrics.bits_per_byte else 1.0
        scale = "ratio" if aggregation is metrics.bits_per_byte else "perplexity"
        return [-float(value[0]) / unit for value in values], [float(value[1]) for value in values], scale
    return None


def _resampled(
    found: Found, metric: str, values: Sequence[Any], common: Mapping[str, Any], detail: Mapping[str, Any], *, samples: int, seed: int
) -> Result:
    """Return a number that is no ratio of sums, worked out anew from every resample of the items."""
    work_out = found.task.aggregation().get(metric, np.mean)
    random = np.random.default_rng(seed)
    drawn = [float(work_out([values[place] for place in random.integers(0, len(values), len(values))])) for _ in range(samples)]
    low, high = np.quantile([value for value in drawn if math.isfinite(value)] or [math.nan], (0.025, 0.975))
    value = float(work_out(list(values)))
    return Result(
        **common, value=value, unit=UNITS.get(metric, metric), low=float(low), high=float(high), n=len(values), seed=seed,
        detail={**detail, "resamples": samples},
    )  # fmt: skip


def _detail(found: Found, rows: Sequence[Mapping[str, Any]], metric: str, digest: str) -> dict[str, Any]:
    task = found.task
    detail: dict[str, Any] = {"level": found.level, "harness_task": found.name, "version": found.version, "shots": task.config.num_fewshot}
    if task.config.num_fewshot:
        detail["fewshot_seed"] = found.fewshot_seed
    if task.OUTPUT_TYPE == "multiple_choice" and metric in CHOICE_METRICS and not task.multiple_target and not task.multiple_input:
        counts = [len(task.doc_to_choice(row["doc"])) for row in rows]
        detail["chance"] = float(np.mean([1 / count for count in counts]))
        if metric == "acc":
            likelihoods = [[float(answer[0][0]) for answer in row["resps"][:count]] for row, count in zip(rows, counts, strict=True)]
            # The harness takes the first of equally likely options; ours share the point.
            detail["ties"] = sum(credit(item, 0)[1] for item in likelihoods)
    return detail


def look_up(parts: Sequence[Found], training: Iterable[str] | None) -> dict[str, dict[str, "Seen"]]:
    """Return a task's name -> item -> what of it stands in the training text, which is read once; nothing where there is none."""
    if training is None:
        return {}
    from rodna.evals.contamination import find_seen

    texts = {f"{one.name}\t{identity}": text for one in parts for identity, text in _texts_of(one).items()}
    found: dict[str, dict[str, Seen]] = {one.name: {} for one in parts}
    for key, what in find_seen(texts, training).items():
        name, _, identity = key.partition("\t")
        found[name][identity] = what
    return found


def _texts_of(found: Found) -> dict[str, str]:
    """Return what the training text must not hold of each item: the question with its answer."""
    task = found.task
    rows = [row for row in found.rows if row["filter"] == found.rows[0]["filter"]]
    texts: dict[str, str] = {}
    for identity, row in zip(ids_of(rows), rows, strict=True):
        answer = row["target"]
        if task.OUTPUT_TYPE == "multiple_choice" and isinstance(answer, int):
            answer = task.doc_to_choice(row["doc"])[answer]
        asked = "" if task.OUTPUT_TYPE == "loglikelihood_rolling" else task.doc_to_text(row["doc"])
        texts[identity] = f"{asked}\n{answer}"
    return texts


def group_numbers(
    name: str, members: Sequence[Made], metrics: Sequence[Mapping[str, Any]], version: Any, reported: Any
) -> list[Measurement]:
    """Return a group's numbers: the mean over its tasks, or over all their items where the group says so.

    Args:
        name: the group's, ours.
        members: of every task below it.
        metrics: `metric`, `weight_by_size` and `filter_list` of each number, as the group defines it.
        version: of the group.
        reported: "metric,filter" -> the harness' own number.
    """
    made: list[Measurement] = []
    for wanted in metrics:
        parts: dict[str, list[Measurement]] = {}
        for member in members:
            for item in member.measurements:
                if item.metric.partition(",")[0] == wanted["metric"] and item.scale == "ratio" and (item.denominator_N == 1).all():
                    parts.setdefault(item.metric, []).append(item)
        for metric, items in parts.items():
            key = metric if "," in metric else f"{metric},none"
            made.append(_joined(name, items, by_size=bool(wanted["weight_by_size"]), version=version, reported=reported.get(key)))
    return made


def _joined(name: str, items: Sequence[Measurement], *, by_size: bool, version: Any, reported: Any) -> Measurement:
    total = sum(len(item.ids) for item in items)
    weights = [1.0 if by_size else total / len(items) / len(item.ids) for item in items]
    detail: dict[str, Any] = {
        "level": "task", "version": version, "tasks": len(items), "mean_over": "items" if by_size else "tasks",
        "shots": items[0].detail.get("shots"), "harness_value": reported,
    }  # fmt: skip
    if all("chance" in item.detail for item in items):
        detail["chance"] = float(
            np.average([item.detail["chance"] for item in items], weights=[len(i.ids) if by_size else 1 for i in items])
        )
    if all("ties" in item.detail for item in items):
        detail["ties"] = sum(item.detail["ties"] for item in items)
    return replace(
        items[0],
        task=name,
        unit="share of items" if all(item.unit == "share of items" for item in items) else items[0].unit,
        ids=[f"{item.task.rpartition('/')[2]}/{identity}" for item in items for identity in item.ids],
        numerator_N=np.concatenate([item.numerator_N * weight for item, weight in zip(items, weights, strict=True)]),
        denominator_N=np.concatenate([item.denominator_N * weight for item, weight in zip(items, weights, strict=True)]),
        task_version=_whole(version),
        prompt_digest=hashlib.sha256("".join(item.prompt_digest for item in items).encode()).hexdigest(),
        detail=detail,
    )


def _digest(found: Found) -> str:
    """Return the digest of everything that turns an item into what the model reads, the solved items it may see included."""
    task = found.task
    config = {name: value for name, value in task.dump_config().items() if name not in _UNREAD}
    solved = ""
    if task.config.num_fewshot:
        rows = [json.dumps(row, ensure_ascii=False, sort_keys=True, default=str) for row in task.fewshot_docs()]
        solved = hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()
    text = json.dumps(config, ensure_ascii=False, sort_keys=True, default=str)
    return prompt_digest("harness", _whole(found.version), config=text, defined=str(found.version), solved=solved, seed=found.fewshot_seed)


def _direction(is_higher: bool | None) -> Direction:
    if is_higher is None:
        return "none"
    return "higher" if is_higher else "lower"


def _whole(version: Any) -> int:
    """Return a version as a whole number: of 2.1, 2; `detail` and the prompt's digest hold all of it."""
    try:
        return int(float(version))
    except (TypeError, ValueError):
        return 0
