"""One measured number, with everything needed to read it, and the items behind it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from rodna.core.errors import EvaluationError
from rodna.core.files import write_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Direction = Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class Result:
    """One number. `task` and `metric` together name it within an evaluation.

    Attributes:
        task: what the model was given, such as `held_out_text`, `source:tatoeba` or `baseline:xz`.
        metric: what was measured, such as `bits_per_byte`.
        value: finite.
        unit: of `value`, in words.
        low: lower end of the 95% interval; equal to `value` where none is known.
        high: upper end of the 95% interval.
        n: how many documents or texts stand behind the number.
        direction: whether lower or higher is better.
        task_version: raised whenever the way of measuring changes; only equal versions compare.
        prompt_digest: of everything that turns an item into what the model reads; only equal ones compare.
        seed: of whatever was drawn at random, the interval included.
        detail: more numbers and words, by name; JSON values.
    """

    task: str
    metric: str
    value: float
    unit: str
    low: float
    high: float
    n: int
    direction: Direction
    task_version: int = 1
    prompt_digest: str = ""
    seed: int = 0
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bad = [f"{name} = {number}" for name in ("value", "low", "high") if not math.isfinite(number := getattr(self, name))]
        if bad:
            raise EvaluationError(
                f"{self.metric} is not a finite number: {', '.join(bad)}",
                where=self.task,
                fix="the model's weights hold NaN or infinity: train again with a lower learning rate, or choose an earlier checkpoint",
            )


@dataclass(frozen=True)
class Measurement:
    """One number and the items behind it: sum(numerator) / sum(denominator).

    Accuracy has 1, 0.5 or 0 over 1; bits per byte has bits over bytes. Keeping both for every item is what makes intervals, paired
    comparisons of two models, and a count without contaminated items possible afterwards.

    Attributes:
        task: see `Result`.
        metric: see `Result`.
        unit: see `Result`.
        direction: see `Result`.
        ids: one for each item, unique within the task.
        numerator_N: float64, one number an item.
        denominator_N: float64, one number an item.
        scale: how the ratio is told: "ratio" as it is, "perplexity" as its exponential (the numerator is nats).
        groups: where items are not independent (sentences of one document, pairs of one verb), the name of each item's group, which is
            then drawn as a whole when intervals are made; empty: every item for itself.
        task_version: see `Result`.
        prompt_digest: see `Result`.
        detail: see `Result`.
    """

    task: str
    metric: str
    unit: str
    direction: Direction
    ids: Sequence[str]
    numerator_N: "NDArray[np.float64]"
    denominator_N: "NDArray[np.float64]"
    scale: Literal["ratio", "perplexity"] = "ratio"
    groups: Sequence[str] = ()
    task_version: int = 1
    prompt_digest: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluator returns.

    Attributes:
        results: numbers that have no items worth comparing one by one.
        files: what is kept beside them, as file name -> JSON value.
        measurements: numbers with their items; those without a result of their own become one; all are kept in `items.parquet`.
        seen: a measurement's task -> ids of its items that were found in the training text.
    """

    results: list[Result]
    files: dict[str, Any] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    seen: dict[str, frozenset[str]] = field(default_factory=dict)


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write results as a JSON list.

    Raises:
        EvaluationError: two results have the same task and metric.
    """
    seen: set[tuple[str, str]] = set()
    for result in results:
        key = (result.task, result.metric)
        if key in seen:
            raise EvaluationError(
                f"two results are both named {result.metric} of {result.task}",
                where=str(path),
                fix="let the evaluator that is installed as a plugin use task names of its own",
            )
        seen.add(key)
    write_json(path, [asdict(result) for result in results])


def read_results(path: Path) -> list[Result]:
    """Read what `write_results` wrote.

    Raises:
        EvaluationError: the file is missing or is not a list of results.
    """
    names = {item.name for item in fields(Result)}
    try:
        rows = cast("list[dict[str, Any]]", json.loads(path.read_text(encoding="utf-8")))
        return [Result(**{key: value for key, value in row.items() if key in names}) for row in rows]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"cannot read the results: {error}", where=str(path), fix="delete the evaluation's folder and run `rodna run` again"
        ) from error
