"""Evaluations beside the workspace's own: which models, which tasks, where to, and with whose text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rodna.core.artifact import Artifact
from rodna.core.config import Section, merge, parse_override, validate
from rodna.core.errors import ArtifactError, ConfigError, EvaluationError
from rodna.core.log import say
from rodna.evals.config import EvalConfig
from rodna.evals.finished import digest_of_evaluation, existing_evaluation
from rodna.evals.tasks.config import Kind, TaskConfig
from rodna.train.config import KEPT

if TYPE_CHECKING:
    from rodna.cli.stages import Stages

FOLDER = "evaluations"


@dataclass(frozen=True)
class Found:
    """What shall be measured.

    Attributes:
        models: where they are.
        outs: the folder of each one's evaluation.
        config: how, and the tasks.
        root: folder that the tasks' paths begin at.
        corpus: whose held-out text is measured; None for none.
        is_ladder: whether the models are one run's checkpoints.
        is_given: whether the tasks were given on the command line, so that they may lie anywhere.
    """

    models: list[str]
    outs: list[Path]
    config: EvalConfig
    root: Path
    corpus: Artifact | None
    is_ladder: bool
    is_given: bool


class _Settings(Section):
    eval: EvalConfig = EvalConfig()


def find(
    model: str, checkpoints: str, tasks: Sequence[TaskConfig], out: str, *, workspace: Path, overrides: Sequence[str], with_corpus: bool,
    of_ensemble: bool = False,
) -> Found:  # fmt: skip
    """Return what a command line asks for.

    Args:
        model: where it is; empty for the workspace's.
        checkpoints: a folder of them, instead.
        tasks: without any, those of the workspace.
        out: folder to write; empty for one below `evaluations/`.
        workspace: any folder in it, or none.
        overrides: `--set` assignments.
        with_corpus: whether its held-out and training text are used.
        of_ensemble: whether the workspace's model is its ensemble.

    Raises:
        ConfigError: there is nothing to measure, or settings are wrong.
        EvaluationError: a folder has no checkpoints.
    """
    if model and checkpoints:
        raise ConfigError("both --model and --checkpoints", where="rodna eval", fix="give one of them")
    stages = stages_around(workspace, overrides)
    config = stages.project.eval if stages else eval_settings(overrides)
    root = stages.workspace.root if stages else Path.cwd()
    if tasks:
        # Typed paths begin where the user stands, as those of any command do.
        config = config.model_copy(update={"tasks": list(tasks)})
    corpus = corpus_of(stages) if with_corpus else None
    if not config.tasks and corpus is None:
        raise ConfigError("nothing to measure: no task, and no held-out text", where="rodna eval", fix="give --task FILE, or a workspace")
    models = checkpoints_in(Path(checkpoints)) if checkpoints else [model or own_model(stages, of_ensemble=of_ensemble)]
    check_model(models[0])
    found = Found(models, [], config, Path.cwd() if tasks else root, corpus, bool(checkpoints), bool(tasks))
    return Found(**{**found.__dict__, "outs": _outs(found, out, root)})


def look(found: Found) -> list[dict[str, Any]]:
    """Return for each model whether its evaluation is there already, without doing anything."""
    return [
        {"model": model, "path": str(out), "state": "missing" if existing_evaluation(out, _digest(found, model)) is None else "done"}
        for model, out in zip(found.models, found.outs, strict=True)
    ]


def measure(found: Found, model: str) -> Artifact:
    """Return the evaluation of one of the models, made where it is not there yet."""
    from rodna.evals.evaluate import evaluate_any

    out = found.outs[found.models.index(model)]
    existing = existing_evaluation(out, _digest(found, model))
    say(f"{model}: {'unchanged' if existing else 'measuring ...'}")
    return existing or evaluate_any(
        model, found.config, out, root=found.root, corpus=found.corpus, is_quick=found.is_ladder, anywhere=found.is_given
    )


def parse_tasks(given: Sequence[str], changes: Mapping[str, Any]) -> list[TaskConfig]:
    """Return tasks named after their files.

    Args:
        given: `FILE[:KIND]`.
        changes: other settings, the same for all.

    Raises:
        ConfigError: there is no such kind, or a setting is wrong.
    """
    tasks: list[TaskConfig] = []
    for text in given:
        path, kind = _split(text)
        name = _name(path)
        count = sum(task.name.partition("~")[0] == name for task in tasks)
        values = {"name": f"{name}-{count + 1}" if count else name, "kind": kind or "by_fields", "path": path, **changes}
        tasks.append(validate(TaskConfig, values))
    return tasks


def _split(text: str) -> tuple[str, str]:
    """Return path and kind; a colon in the name of a file that exists is part of it."""
    path, colon, kind = text.rpartition(":")
    if not colon or Path(text).expanduser().exists():
        return text, ""
    if kind not in get_args(Kind):
        if Path(path).expanduser().exists():
            raise ConfigError(f"no kind of task is called {kind!r}", where=f"--task {text}", fix=f"use one of: {', '.join(get_args(Kind))}")
        return text, ""
    return path, kind


def _name(path: str) -> str:
    """Return a file's name as one of a task: other letters than the pattern allows become hyphens."""
    from rodna.evals.tasks.files import part_of

    # A folder has no suffix: `my.tasks` is its whole name.
    whole = Path(path).expanduser()
    plain = whole.resolve().name if whole.is_dir() else part_of(whole)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:60] or "task"


def checkpoints_in(folder: Path) -> list[str]:
    """Return the checkpoints in a folder, in the order of the numbers in their names.

    Raises:
        EvaluationError: there are none.
    """
    # Where weights were averaged a run keeps its best state beside the steps, under a name of its own: it is no rung of the ladder.
    found = [item for item in folder.glob("*") if (item / "config.json").is_file() and not item.name.startswith((".", "best-"))]
    # The last state is a kept checkpoint too, and holds the weights before any averaging.
    found = [item for item in found if item.name.startswith(KEPT)] or found
    if not found:
        raise EvaluationError("no checkpoints here", where=str(folder), fix="give the folder of a run trained with train.keep_checkpoints")
    return [str(item) for item in sorted(found, key=lambda item: [int(part) for part in re.findall(r"\d+", item.name)])]


def stages_around(workspace: Path, overrides: Sequence[str]) -> "Stages | None":
    """Return the stages of the workspace around a folder, None where there is none."""
    from rodna.cli.verbs import open_stages
    from rodna.core.workspace import PROJECT_FILE

    start = workspace.resolve()
    if any((folder / PROJECT_FILE).is_file() for folder in (start, *start.parents)):
        return open_stages(workspace, overrides)
    return None


def eval_settings(overrides: Sequence[str]) -> EvalConfig:
    """Return the settings of an evaluation without a workspace: the defaults, and what `--set` changes."""
    values: dict[str, Any] = {}
    for override in overrides:
        values = merge(values, parse_override(override))
    return validate(_Settings, values, overrides=overrides).eval


def corpus_of(stages: "Stages | None") -> Artifact | None:
    """Return the workspace's corpus, None where there is none yet."""
    if stages is None:
        return None
    try:
        return stages.artifact("corpus")
    except ArtifactError as error:
        say(f"note: no held-out text, and items are not looked up: {error.what}")
        return None


def own_model(stages: "Stages | None", *, of_ensemble: bool) -> str:
    """Return where the workspace's model is.

    Raises:
        ConfigError: there is no workspace.
    """
    from rodna.cli.stages import model_stage

    if stages is None:
        raise ConfigError("no model to measure", where="rodna eval", fix="give --model FOLDER, or name the workspace with --workspace")
    return str(stages.artifact("ensemble" if of_ensemble else model_stage(stages.project)).path)


def check_model(where: str) -> None:
    """Check that a model is an address or a folder that exists.

    Raises:
        ArtifactError: it is neither.
    """
    if "://" not in where and not Path(where).expanduser().is_dir():
        raise ArtifactError("no such checkpoint", where=where, fix="give the folder of a model, or http://host:port/v1#model")


def _outs(found: Found, out: str, root: Path) -> list[Path]:
    if out and not found.is_ladder:
        return [Path(out)]
    top = Path(out) if out else root / FOLDER
    if found.is_ladder and not out:
        top /= _name(str(Path(found.models[0]).resolve().parent))
    if found.is_ladder:
        return [top / Path(model).name for model in found.models]
    model = found.models[0]
    return [top / f"{name_of_model(model)}-{_digest(found, model)[:8]}"]


def name_of_model(where: str) -> str:
    """Return what a model's folder or address is called, fit for a file's name."""
    return re.sub(r"[^\w.-]+", "-", where.rpartition("#")[2] if "://" in where else Path(where).resolve().name).strip("-.") or "model"


def _digest(found: Found, model: str) -> str:
    from rodna.evals.evaluate import evaluation_inputs, identity_of

    inputs = evaluation_inputs(found.config, found.root, model=identity_of(model), corpus=found.corpus, anywhere=found.is_given)
    return digest_of_evaluation(inputs, found.config)
