"""From items to results: the value, how sure it is, and the items themselves kept for later comparison."""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rodna.core.errors import EvaluationError, explain_disk_errors
from rodna.core.files import temporary_name
from rodna.evals.bootstrap import ratio_interval
from rodna.evals.result import Evaluation, Measurement, Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_NATS = 700.0
"""Of a perplexity's exponent; beyond it float64 ends."""
FEW_KINDS = 64
"""Distinct items up to which a resample is drawn as counts of each: accuracies over thousands of items have two or three."""


@dataclass(frozen=True)
class Items:
    """The items behind one result, as kept in `items.parquet`.

    Attributes:
        ids: of the items, unique.
        numerator_N: float64.
        denominator_N: float64.
        groups: the name of each item's group; empty: every item for itself.
        seen_N: bool, whether the item was found in the training text.
    """

    ids: list[str]
    numerator_N: "NDArray[np.float64]"
    denominator_N: "NDArray[np.float64]"
    groups: list[str]
    seen_N: "NDArray[np.bool_]"


def prompt_digest(kind: str, version: int, **what: Any) -> str:
    """Return the sha256 of everything that turns an item into what the model reads.

    Args:
        kind: of the task.
        version: of the kind.
        what: template, shots and whatever else decides; JSON values.
    """
    text = json.dumps([kind, version, what], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def result_of(measurement: Measurement, *, samples: int, seed: int, seen: Collection[str] = ()) -> Result:
    """Return a measurement's value with its 95% bootstrap interval, over groups where it has any.

    Args:
        measurement: at least one item.
        samples: resamples behind the interval.
        seed: of the resamples.
        seen: ids of items that were found in the training text; where there are any, `detail["seen"]` and `detail["unseen"]` hold
            n, value, low and high of either part.

    Raises:
        EvaluationError: there is nothing to divide by, or a number is not finite.
    """
    numerator_N = np.asarray(measurement.numerator_N, dtype=np.float64)
    denominator_N = np.asarray(measurement.denominator_N, dtype=np.float64)
    if not denominator_N.sum() > 0:
        raise EvaluationError(
            f"nothing was measured: {measurement.metric} has {len(numerator_N)} items that weigh nothing",
            where=measurement.task,
            fix="leave the task out, or give it items that are not empty",
        )
    everything = np.ones(len(numerator_N), dtype=bool)
    value, low, high = _value(measurement, everything, samples=samples, seed=seed)
    detail = dict(measurement.detail)
    if measurement.scale != "ratio":
        detail["scale"] = measurement.scale
    if measurement.groups:
        detail["num_groups"] = len(set(measurement.groups))
    seen_N = _seen(measurement, seen)
    if seen_N.any():
        for name, part_N in (("seen", seen_N), ("unseen", ~seen_N)):
            numbers = _value(measurement, part_N, samples=samples, seed=seed) if denominator_N[part_N].sum() > 0 else (None,) * 3
            detail[name] = {"n": int(part_N.sum()), **dict(zip(("value", "low", "high"), numbers, strict=True))}
    return Result(
        task=measurement.task,
        metric=measurement.metric,
        value=value,
        unit=measurement.unit,
        low=low,
        high=high,
        n=len(numerator_N),
        direction=measurement.direction,
        task_version=measurement.task_version,
        prompt_digest=measurement.prompt_digest,
        seed=seed,
        detail=detail,
    )


def all_results(evaluation: Evaluation, *, samples: int, seed: int) -> list[Result]:
    """Return an evaluation's results: those it has, then one for every measurement that has none yet."""
    made = {(result.task, result.metric) for result in evaluation.results}
    return [
        *evaluation.results,
        *(
            result_of(item, samples=samples, seed=seed, seen=evaluation.seen.get(item.task, ()))
            for item in evaluation.measurements
            if (item.task, item.metric) not in made
        ),
    ]


def write_items(path: Path, measurements: Iterable[Measurement], seen: Mapping[str, Collection[str]]) -> None:
    """Write one row for every item of every measurement, as Parquet.

    Args:
        path: by convention `items.parquet`.
        measurements: whose task and metric together are unique.
        seen: a measurement's task -> ids of its items that were found in the training text.
    """
    import pyarrow as pa
    from pyarrow import parquet

    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        [("task", text), ("metric", text), ("id", pa.string()), ("group", pa.string()), ("numerator", pa.float64()),
         ("denominator", pa.float64()), ("seen", pa.bool_())]
    )  # fmt: skip
    temporary = temporary_name(path)
    try:
        with explain_disk_errors(path):
            with parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
                for item in measurements:
                    count = len(item.ids)
                    columns = [
                        pa.array([item.task] * count, pa.string()).dictionary_encode(),
                        pa.array([item.metric] * count, pa.string()).dictionary_encode(),
                        pa.array(list(item.ids), pa.string()),
                        pa.array(list(item.groups) or [""] * count, pa.string()),
                        pa.array(np.asarray(item.numerator_N, dtype=np.float64)),
                        pa.array(np.asarray(item.denominator_N, dtype=np.float64)),
                        pa.array(_seen(item, seen.get(item.task, ()))),
                    ]
                    writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_items(path: Path) -> dict[tuple[str, str], Items]:
    """Read what `write_items` wrote: (task, metric) -> items, in the order they were written.

    Raises:
        EvaluationError: the file is missing or damaged.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        columns = parquet.read_table(path).to_pydict()
        numbers = {name: np.array(columns[name], dtype=np.float64) for name in ("numerator", "denominator")}
        seen_N = np.array(columns["seen"], dtype=bool)
        places: dict[tuple[str, str], list[int]] = {}
        for place, key in enumerate(zip(columns["task"], columns["metric"], strict=True)):
            places.setdefault(key, []).append(place)
        found: dict[tuple[str, str], Items] = {}
        for key, index in places.items():
            groups = [columns["group"][place] for place in index]
            ids = [columns["id"][place] for place in index]
            found[key] = Items(
                ids, numbers["numerator"][index], numbers["denominator"][index], groups if any(groups) else [], seen_N[index]
            )
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise EvaluationError(
            f"cannot read the items: {error}", where=str(path), fix="delete the evaluation's folder and evaluate again"
        ) from error
    return found


def _seen(measurement: Measurement, seen: Collection[str]) -> "NDArray[np.bool_]":
    wanted = frozenset(seen)
    return np.array([identity in wanted for identity in measurement.ids], dtype=bool)


def _value(measurement: Measurement, part_N: "NDArray[np.bool_]", *, samples: int, seed: int) -> tuple[float, float, float]:
    """Return the value of some items, and the ends of its interval."""
    top_N = np.asarray(measurement.numerator_N, dtype=np.float64)[part_N]
    bottom_N = np.asarray(measurement.denominator_N, dtype=np.float64)[part_N]
    ratio = float(top_N.sum() / bottom_N.sum())
    if measurement.groups:
        names = [name for name, is_in in zip(measurement.groups, part_N, strict=True) if is_in]
        top_N, bottom_N = _by_group(names, top_N), _by_group(names, bottom_N)
    low, high = _interval(top_N, bottom_N, samples=samples, seed=seed)
    if measurement.scale == "perplexity":
        ratio, low, high = (math.exp(min(number, MOST_NATS)) for number in (ratio, low, high))
    return ratio, low, high


def _by_group(names: Sequence[str], value_N: "NDArray[np.float64]") -> "NDArray[np.float64]":
    place = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.bincount([place[name] for name in names], weights=value_N, minlength=len(place)).astype(np.float64)


def _interval(top_N: "NDArray[np.float64]", bottom_N: "NDArray[np.float64]", *, samples: int, seed: int) -> tuple[float, float]:
    """Return the 95% percentile interval of the ratio of sums, items drawn with replacement.

    Where many items are alike (right or wrong), it is the same to draw how often each sort comes up, and hundreds of times faster.
    """
    kinds_2K, counts_K = np.unique(np.stack([top_N, bottom_N]), axis=1, return_counts=True)
    if kinds_2K.shape[1] > FEW_KINDS or kinds_2K.shape[1] * 2 > len(top_N):
        return ratio_interval(top_N, bottom_N, samples=samples, seed=seed)
    random = np.random.default_rng(seed)
    draws_SK = random.multinomial(len(top_N), counts_K / len(top_N), size=samples)
    top_S, bottom_S = draws_SK @ kinds_2K[0], draws_SK @ kinds_2K[1]
    low, high = np.quantile(top_S[bottom_S > 0] / bottom_S[bottom_S > 0], (0.025, 0.975))
    return float(low), float(high)
