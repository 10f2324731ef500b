"""Evaluations as they are found: one folder each, several of them one model where only the seed of its training differs."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rodna.core.artifact import MANIFEST, Artifact
from rodna.core.errors import ArtifactError, ConfigError, EvaluationError
from rodna.evals.measure import Items, read_items
from rodna.evals.result import Result, read_results

Key = tuple[str, str]
"""Task and metric."""
RESULTS, ITEMS, TASKS, PREDICTIONS = "results.json", "items.parquet", "tasks.json", "predictions.jsonl"
STEP = re.compile(r"step[-_]?0*(\d+)$")
"""How the folder of a run's checkpoint ends."""


@dataclass(frozen=True)
class Answers:
    """What one method of a classification said, run by run.

    Attributes:
        gold: id of a test item -> its class.
        predicted: id of a test item -> what was said in each run.
    """

    gold: Mapping[str, str]
    predicted: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Run:
    """One evaluation.

    Attributes:
        path: of its folder.
        model: digest of the model.
        corpus: digest of the corpus whose held-out text was measured; empty where none was.
        description: of the model, as it gave it; empty in old folders.
        results: by task and metric.
        items: by task and metric; None in old folders, which kept no items.
        tasks: name -> what `tasks.json` says of it.
        answers: task of a classification's method -> what it said.
    """

    path: Path
    model: str
    corpus: str
    description: Mapping[str, Any]
    results: Mapping[Key, Result]
    items: Mapping[Key, Items] | None
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    answers: Mapping[str, Answers] = field(default_factory=dict)
    digest: str = ""

    @property
    def where(self) -> str:
        """Where the model was, empty where it is not known."""
        return str(self.description.get("where", ""))

    @property
    def tokenizer(self) -> str:
        """What tells tokenizers apart, empty where it is not known."""
        found = self.description.get("tokenizer")
        return str(found.get("digest", "")) if isinstance(found, Mapping) else ""

    @property
    def step(self) -> int | None:
        """The training step of a run's checkpoint, None of other models."""
        for name in (self.where.rstrip("/").rpartition("/")[2], self.path.name):
            if found := STEP.search(name):
                return int(found[1])
        return None


@dataclass(frozen=True)
class Contestant:
    """A model, trained once or with several seeds."""

    name: str
    runs: Sequence[Run]


def read_contestants(given: Sequence[str]) -> list[Contestant]:
    """Read what is to be compared.

    Args:
        given: `FOLDER`, `NAME=FOLDER`, or `NAME=FOLDER,FOLDER,...` for one model trained with several seeds.

    Raises:
        ArtifactError: a folder is no complete evaluation.
        ConfigError: fewer than two, one folder twice, or two of one name.
        EvaluationError: a file is damaged.
    """
    parsed = [parse(text) for text in given]
    if len(parsed) < 2:
        raise ConfigError(
            f"{'nothing' if not parsed else 'only one evaluation'} to compare", where="rodna compare",
            fix="give two or more folders that `rodna eval` wrote",
        )  # fmt: skip
    _check_once([path for _, paths in parsed for path in paths])
    found = [Contestant(name, [read_run(path) for path in paths]) for name, paths in parsed]
    for one in found:
        _check_seeds(one)
    return _named(found)


def parse(text: str) -> tuple[str, list[Path]]:
    """Return the name, which may be empty, and the folders. What exists as it is written is a folder, whatever its name."""
    if Path(text).expanduser().exists():
        return "", [Path(text).expanduser()]
    name, equals, rest = text.partition("=")
    if not equals:
        name, rest = "", text
    folders = [rest] if rest and Path(rest).expanduser().exists() else [part for part in rest.split(",") if part]
    if not folders or (equals and not name.strip()):
        raise ConfigError(f"cannot read {text!r}", where="rodna compare", fix="write NAME=FOLDER, or NAME=FOLDER,FOLDER for several seeds")
    return name.strip(), [Path(folder).expanduser() for folder in folders]


def read_run(path: Path) -> Run:
    """Read one evaluation.

    Raises:
        ArtifactError: the folder is no complete evaluation.
        EvaluationError: a file is damaged.
    """
    if not (path / MANIFEST).is_file():
        raise ArtifactError("no evaluation here: there is no manifest.json", where=str(path), fix="give a folder that `rodna eval` wrote")
    artifact = Artifact.open(path, kind="evaluation")
    results = read_results(path / RESULTS)
    record = _json(path / TASKS)
    tasks = record.get("tasks")
    return Run(
        path=path,
        model=artifact.manifest.inputs.get("model", ""),
        corpus=artifact.manifest.inputs.get("corpus", ""),
        description=record.get("model") or {},
        results={(result.task, result.metric): result for result in results},
        items=read_items(path / ITEMS) if (path / ITEMS).is_file() else None,
        tasks=tasks if isinstance(tasks, dict) else {},
        answers=_answers(path / PREDICTIONS, [result.task for result in results if result.metric == "macro_f1"]),
        digest=artifact.digest,
    )


def name_of(run: Run) -> str:
    """Return what a model is called: the last part of where it was, or of where its evaluation is."""
    where = run.where
    last = where.rpartition("#")[2] if "://" in where else where.rstrip("/").rpartition("/")[2]
    return last or run.path.resolve().name


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"cannot read the tasks: {error}", where=str(path), fix="delete the evaluation's folder and evaluate again"
        ) from error
    return found if isinstance(found, dict) else {}


def _answers(path: Path, tasks: Sequence[str]) -> dict[str, Answers]:
    if not path.is_file() or not tasks:
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        gold = {str(row["id"]): str(row["label"]) for row in rows}
        methods = {task: task.rpartition("/")[2] for task in tasks}
        return {
            task: Answers(gold, {str(row["id"]): [str(label) for label in row["predicted"][method]] for row in rows})
            for task, method in methods.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"cannot read the predictions: {error!r}", where=str(path), fix="delete the evaluation's folder and evaluate again"
        ) from error


def _check_once(paths: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ConfigError("the same evaluation is given twice", where=str(path), fix="give each folder once")
        seen.add(path.resolve())


def _check_seeds(one: Contestant) -> None:
    """Refuse one model's evaluations as if they were seeds: their spread would look like none."""
    models = [run.model for run in one.runs if run.model]
    if len(one.runs) > 1 and len(set(models)) < len(models):
        raise ConfigError(
            f"two of the evaluations grouped as {one.name or 'one model'} are of the same weights: no two seeds",
            where=", ".join(str(run.path) for run in one.runs),
            fix="give evaluations of models that were trained with different seeds",
        )


def _named(found: Sequence[Contestant]) -> list[Contestant]:
    """Give names where none were given; where two models are called the same, that of the evaluation's folder is added."""
    names = [one.name or name_of(one.runs[0]) for one in found]
    twice = {name for name in names if names.count(name) > 1}
    names = [
        f"{name} ({one.runs[0].path.resolve().name})" if name in twice and not one.name else name
        for one, name in zip(found, names, strict=True)
    ]
    if again := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two models are called {again[0]}", where="rodna compare", fix="name them: NAME=FOLDER")
    return [replace(one, name=name) for one, name in zip(found, names, strict=True)]
