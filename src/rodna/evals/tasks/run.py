"""Tasks, one after another: read, score, look for their items in the training text, make results."""

import importlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core.errors import CannotScoreError, EvaluationError
from rodna.core.log import say, warn
from rodna.evals.config import EvalConfig
from rodna.evals.measure import result_of
from rodna.evals.models.model import LanguageModel, Score
from rodna.evals.result import Evaluation, Measurement, Result
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import TEXT_OF, Outcome, Task
from rodna.evals.tasks.reading import read_task

if TYPE_CHECKING:
    from rodna.evals.contamination import Seen
    from rodna.models.generate import Sampling

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
    asked = [_ask(model, task, config, settings) for task, config in zip(read, tasks, strict=True)]
    seen = _look_up({one.task.name: one.outcome.texts for one in asked}, training)
    results: list[Result] = []
    measurements: list[Measurement] = []
    files: dict[str, Any] = {}
    seen_of: dict[str, frozenset[str]] = {}
    records: dict[str, Any] = {}
    for one in asked:
        found = seen.get(one.task.name, {})
        ids = frozenset(identity for identity, what in found.items() if what.verdict == "seen")
        for item in one.outcome.measurements:
            results.append(result_of(item, samples=settings.bootstrap_samples, seed=settings.seed, seen=ids))
            if ids:
                seen_of[item.task] = ids
        measurements += one.outcome.measurements
        files |= {f"{one.task.name}-{name}" if name in files else name: value for name, value in one.outcome.files.items()}
        records[one.task.name] = _record(one, found, is_checked=training is not None)
    return Evaluation(results, {**files, TASKS: {"model": model.description, "tasks": records}}, measurements, seen_of)


def _check_names(tasks: Sequence[TaskConfig]) -> None:
    names = [config.name for config in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EvaluationError(
            f"two tasks have the same name: {', '.join(twice)}", where="eval.tasks", fix="give each a name of its own: it names the results"
        )


@dataclass(frozen=True)
class _Asked:
    """A task, and what came of it.

    Attributes:
        task: as it was read.
        config: with the kind that was found.
        outcome: empty where the model cannot be asked.
        example: the first thing the model was given, as JSON.
        refused: why the model cannot be asked this; empty where it can.
    """

    task: Task
    config: TaskConfig
    outcome: Outcome
    example: dict[str, str]
    refused: str = ""


def _ask(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> _Asked:
    """Ask one task; a model that says nothing of costs is no reason to lose what it wrote for the others."""
    kind = importlib.import_module(f"rodna.evals.tasks.{task.kind}")
    say(f"{task.name}: {len(task.rows):,} items ...")
    known, watched = config.model_copy(update={"kind": task.kind}), _Watched(model)
    try:
        outcome: Outcome = kind.evaluate(watched, task, known, settings)
    except CannotScoreError as error:
        warn(f"{task.name} was not asked: {error.what}")
        return _Asked(task, known, Outcome([]), {}, error.what)
    if not outcome.measurements:
        skipped = [*task.skipped, *outcome.skipped]
        raise EvaluationError(
            f"no item of the task could be scored: {len(skipped)} skipped"
            + "".join(f"\n    {item.where}: {item.reason}" for item in skipped[:3]),
            where=f"task {task.name}",
            fix="correct the items, or map their fields with `fields`",
        )
    return _Asked(task, known, outcome, watched.example)


class _Watched:
    """A model that remembers the first thing it was given, so that the evaluation can show what a prompt looked like."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self.example: dict[str, str] = {}

    @property
    def description(self) -> dict[str, Any]:
        return self._model.description

    def score(self, contexts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        if contexts and not self.example:
            self.example = {"context": contexts[0], "continuation": continuations[0]}
        return self._model.score(contexts, continuations)

    def score_documents(self, texts: Sequence[str]) -> list[Score]:
        if texts and not self.example:
            self.example = {"context": "", "continuation": texts[0]}
        return self._model.score_documents(texts)

    def generate(self, prompts: Sequence[str], sampling: "Sampling") -> list[str]:
        written = self._model.generate(prompts, sampling)
        if prompts and not self.example:
            self.example = {"prompt": prompts[0], "written": written[0]}
        return written


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


def _record(one: _Asked, found: Mapping[str, "Seen"], *, is_checked: bool) -> dict[str, Any]:
    skipped = [*one.task.skipped, *one.outcome.skipped]
    verdicts = Counter(what.verdict for what in found.values())
    return {
        "kind": one.task.kind,
        "config": one.config.model_dump(mode="json"),
        "digest": one.task.digest,
        "refused": one.refused,
        "example": one.example,
        "num_items": len(one.task.rows),
        "num_skipped": len(skipped),
        "skipped": [asdict(item) for item in skipped],
        "contamination": {"is_checked": is_checked, **{verdict: verdicts[verdict] for verdict in ("seen", "unseen", "unknown")}},
        "seen": {identity: asdict(what) for identity, what in found.items() if what.verdict == "seen"},
    }
