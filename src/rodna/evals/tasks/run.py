"""Tasks, one after another: read, score, look for their items in the training text, make results."""

import importlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core.errors import EvaluationError
from rodna.evals.config import EvalConfig
from rodna.evals.measure import result_of
from rodna.evals.model import LanguageModel
from rodna.evals.result import Evaluation, Measurement, Result
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import TEXT_OF, Outcome, Task
from rodna.evals.tasks.reading import read_task

if TYPE_CHECKING:
    from rodna.evals.contamination import Seen

TASKS = "tasks.json"


def run_tasks(
    model: LanguageModel,
    tasks: Sequence[TaskConfig],
    settings: EvalConfig,
    *,
    root: Path,
    training: Iterable[str] | None = None,
    anywhere: bool = False,
) -> Evaluation:
    """Ask the model every task.

    Args:
        model: any.
        tasks: whose names differ.
        settings: resamples and seed.
        root: folder that relative paths begin at.
        training: the training text, document by document, where it is known: items found in it are listed and counted apart.
        anywhere: whether paths may lead out of `root`.

    Raises:
        EvaluationError: two tasks of one name, a task cannot be read, has no usable item, or its kind refuses it.
    """
    _check_names(tasks)
    # All are read before the first is scored: a misspelt path shows at once, not after hours.
    read = [read_task(config, root, seed=settings.seed, anywhere=anywhere) for config in tasks]
    outcomes = [_ask(model, task, config, settings) for task, config in zip(read, tasks, strict=True)]
    seen = _look_up({task.name: outcome.texts for task, outcome in zip(read, outcomes, strict=True)}, training)
    results: list[Result] = []
    measurements: list[Measurement] = []
    files: dict[str, Any] = {}
    seen_of: dict[str, frozenset[str]] = {}
    records: dict[str, Any] = {}
    for task, config, outcome in zip(read, tasks, outcomes, strict=True):
        ids = frozenset(identity for identity, what in seen.get(task.name, {}).items() if what.verdict == "seen")
        for item in outcome.measurements:
            results.append(result_of(item, samples=settings.bootstrap_samples, seed=settings.seed, seen=ids))
            if ids:
                seen_of[item.task] = ids
        measurements += outcome.measurements
        clash = sorted(files.keys() & outcome.files)
        files |= {f"{task.name}-{name}" if name in clash else name: value for name, value in outcome.files.items()}
        records[task.name] = _record(task, config, outcome, seen.get(task.name, {}), is_checked=training is not None)
    return Evaluation(results, {**files, TASKS: {"model": model.description, "tasks": records}}, measurements, seen_of)


def _check_names(tasks: Sequence[TaskConfig]) -> None:
    names = [config.name for config in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EvaluationError(
            f"two tasks have the same name: {', '.join(twice)}", where="eval.tasks", fix="give each a name of its own: it names the results"
        )


def _ask(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    kind = importlib.import_module(f"rodna.evals.tasks.{task.kind}")
    outcome: Outcome = kind.evaluate(model, task, config.model_copy(update={"kind": task.kind}), settings)
    if not outcome.measurements:
        skipped = [*task.skipped, *outcome.skipped]
        raise EvaluationError(
            f"no item of the task could be scored: {len(skipped)} skipped"
            + "".join(f"\n    {item.where}: {item.reason}" for item in skipped[:3]),
            where=f"task {task.name}",
            fix="correct the items, or map their fields with `fields`",
        )
    return outcome


def _look_up(texts: Mapping[str, Mapping[str, str]], training: Iterable[str] | None) -> dict[str, dict[str, "Seen"]]:
    """Return task -> id -> what of the item was found in the training text, which is read once."""
    keyed = {f"{task}\t{identity}": text for task, items in texts.items() for identity, text in items.items()}
    if training is None or not keyed:
        return {}
    from rodna.evals.contamination import find_seen

    found: dict[str, dict[str, Seen]] = {}
    for key, what in find_seen(keyed, training).items():
        task, _, identity = key.partition(TEXT_OF)[0].partition("\t")
        other = found.setdefault(task, {}).get(identity)
        found[task][identity] = what if other is None or what.share > other.share else other
    return found


def _record(task: Task, config: TaskConfig, outcome: Outcome, found: Mapping[str, "Seen"], *, is_checked: bool) -> dict[str, Any]:
    skipped = [*task.skipped, *outcome.skipped]
    verdicts = Counter(what.verdict for what in found.values())
    return {
        "kind": task.kind,
        "config": config.model_dump(mode="json"),
        "digest": task.digest,
        "num_items": len(task.rows),
        "num_skipped": len(skipped),
        "skipped": [asdict(item) for item in skipped],
        "contamination": {"is_checked": is_checked, **{verdict: verdicts[verdict] for verdict in ("seen", "unseen", "unknown")}},
        "seen": {identity: asdict(what) for identity, what in found.items() if what.verdict == "seen"},
    }
