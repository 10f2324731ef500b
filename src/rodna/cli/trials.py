"""Trials of a sweep: what may be searched, and how one trial becomes a result, whatever it is that is trained."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

from rodna.cli.project import Project, load_project
from rodna.cli.stages import STAGES, StageName
from rodna.core.artifact import Artifact
from rodna.core.config import section_types
from rodna.core.errors import ConfigError, CorpusError, ModelError, PlanError, RodnaError, StateError, TokenizerError, TrainError
from rodna.core.workspace import Workspace
from rodna.models.config import ModelConfig
from rodna.plan.config import PlanConfig
from rodna.sweep.halving import Rung
from rodna.sweep.search import Result
from rodna.train.config import TrainValues

PREPARED: tuple[StageName, ...] = STAGES[: STAGES.index("tokens") + 1]
STUDENT = "distill"
SEARCHED = ("corpus", "tokenizer", "data", "model", "plan", "train", STUDENT)
"""Sections whose settings change what is learned."""
NOT_OF_A_STUDENT = {"distill.compare", "distill.cache_top_k", "distill.preset"}
"""They say what is kept, not what is learned, or stand for many settings at once."""
WAYS_TO_PLAN = {"recipe", "preset"}
"""Of the section `plan`: the others say what time, money and machine there are."""
NOT_LEARNED_FROM = {"log_every", "save_minutes", "keep_checkpoints", "trackers", "ngram_order"}
"""Settings of training that change nothing of what a trial is judged by."""
MODEL = "model-00000000"
MIN_STEPS = 20
"""Fewer optimizer steps than this tell nothing apart."""


def assignment(key: str, value: Any) -> str:
    """Return `key=value` as `--set` takes it."""
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def check_setting(workspace: Workspace, overrides: Sequence[str], key: str, values: Sequence[Any]) -> None:
    """Check that a setting exists, changes what is learned, and takes these values.

    Raises:
        ConfigError: it does not.
    """
    section = key.partition(".")[0]
    if section in Project.model_fields and section not in SEARCHED:
        raise ConfigError(f"{key} is no setting of a trial: each is one model or one student", where="sweep.over",
                          fix=f"choose settings of these sections: {', '.join(SEARCHED)}")  # fmt: skip
    if section == "plan" and key.removeprefix("plan.") in set(PlanConfig.model_fields) - WAYS_TO_PLAN:
        raise ConfigError(f"{key} is the same for all trials", where="sweep.over", fix="set it in project.yaml, or with --set")
    if key in NOT_OF_A_STUDENT:
        raise ConfigError(f"{key} is the same for all students", where="sweep.over", fix="set it in project.yaml, or with --set")
    if key.rpartition(".")[0] in ("train", f"{STUDENT}.student.train") and key.rpartition(".")[2] in NOT_LEARNED_FROM:
        raise ConfigError(
            f"{key} changes nothing that a trial is judged by", where="sweep.over", fix="set it in project.yaml, or with --set"
        )
    for value in values:
        try:
            load_project(workspace, [*overrides, assignment(key, value)])
        except ConfigError as error:
            raise ConfigError(error.what.replace("(--set)", "(sweep.over)"), where=error.where, fix=error.fix) from error


def takes_whole_numbers(key: str) -> bool:
    """Return whether a setting of the project takes whole numbers, and no others."""
    annotation: Any = Project
    if key.startswith(f"{STUDENT}.student.") and key.count(".") == 3:
        key, annotation = key.rpartition(".")[2], ModelConfig if ".model." in key else TrainValues
    for part in key.split("."):
        sections = section_types(annotation)
        field = sections[0].model_fields.get(part) if sections else None
        annotation = field.annotation if field else (sections[0] if sections else annotation)
    kinds = _kinds(annotation)
    return int in kinds and float not in kinds


def _kinds(annotation: Any) -> set[Any]:
    return {annotation} | {kind for item in get_args(annotation) for kind in _kinds(item)}


@dataclass(frozen=True)
class Whole:
    """The training that trials are shares of.

    Attributes:
        steps: of the optimizer.
        seconds: it takes, its start included.
        startup_seconds: before the first step.
    """

    steps: int
    seconds: float
    startup_seconds: float


class Kind(Protocol):
    """What is trained by the trials of one sweep."""

    @property
    def whole(self) -> Whole:
        """The training that trials are shares of."""
        ...

    def value_of(self, settings: Mapping[str, Any], key: str) -> Any:
        """Return what a trial has for a setting: its own, or the project's, planned ones included."""
        ...

    def train(self, settings: Mapping[str, Any], rung: Rung, folder: Path) -> tuple[float | None, dict[str, Any]]:
        """Train one, going on where it was; return bits per byte of the validation text, and the facts that the table shows."""
        ...


@dataclass(frozen=True)
class Trials:
    """The trials of one sweep.

    Attributes:
        kind: what is trained.
        folder: of the sweep.
    """

    kind: Kind
    folder: Path

    def differ(self, settings: Mapping[str, Any]) -> bool:
        """Return whether settings are others than the project's own."""
        return any(self.kind.value_of({}, key) != value for key, value in settings.items())

    def train(self, trial: int, number: int, settings: Mapping[str, Any], rung: Rung) -> Result:
        """Run one trial, or go on with it; a failure that is its own fault becomes a result with a reason."""
        import torch

        folder = self.folder / f"trial-{trial:03d}" / f"rung-{number + 1}"
        self.remove_weights(but=folder)
        started = time.perf_counter()
        try:
            value, facts = self.kind.train(settings, rung, folder)
            reason = "" if value is not None else "no validation text was scored"
        except StateError:
            raise
        except (ConfigError, CorpusError, TokenizerError, ModelError, PlanError, TrainError, torch.OutOfMemoryError) as error:
            # Of the disk, the lock, a damaged artifact or state no settings are guilty: those errors end the sweep.
            value, facts, reason = None, {}, error.what if isinstance(error, RodnaError) else "it needs more memory than there is"
        seconds = max(time.perf_counter() - started, float(facts.get("training_seconds", 0.0)))
        return Result(trial, number, dict(settings), value, round(seconds, 3), reason, facts)

    def remove_weights(self, *, but: Path | None = None) -> None:
        """Leave of finished runs their plans and metrics; weights are large, and the best settings are trained in full later."""
        for cache in self.folder.glob("teachers-*") if but is None else []:
            shutil.rmtree(cache, ignore_errors=True)
        for folder in self.folder.glob("trial-*/rung-*"):
            weights = [folder / MODEL, *(path for kind in ("step", "best", "kept") for path in folder.glob(f"run/{kind}-*"))]
            for path in weights if folder != but else []:
                shutil.rmtree(path, ignore_errors=True)


def check_validation(tokens: Artifact) -> None:
    """Refuse to search where nothing can judge.

    Raises:
        ConfigError: there is no validation text.
    """
    if not tokens.counts["splits"]["validation"]["num_tokens"]:
        raise ConfigError("there is no validation text to judge the trials by", where="corpus.split",
                          fix="set corpus.split.validation above 0, or add text")  # fmt: skip


def facts_of(summary: Mapping[str, Any], *, seed: int) -> tuple[float | None, dict[str, Any]]:
    """Return bits per byte of the validation text and the table's facts, from the figures of a finished training."""
    facts = {name: summary[name] for name in ("steps", "parameters", "interruptions")}
    facts |= {"passes": summary["epochs"], "training_seconds": summary["seconds"], "seed": seed}
    return summary["best_validation_bits_per_byte"], facts
