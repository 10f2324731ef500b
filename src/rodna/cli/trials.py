"""Trials of a sweep as ordinary runs: the project as planned, with a few settings changed and a length of its own."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rodna.cli.plan import numbers_of
from rodna.cli.project import Project
from rodna.cli.stages import STAGES, StageName, Stages
from rodna.core.artifact import Artifact
from rodna.core.config import load, section_types
from rodna.core.errors import ConfigError, CorpusError, ModelError, PlanError, RodnaError, TokenizerError, TrainError
from rodna.core.workspace import Workspace
from rodna.plan.config import PlanConfig
from rodna.sweep.halving import Rung
from rodna.sweep.search import Result

if TYPE_CHECKING:
    from rodna.plan.plan import Plan

PREPARED: tuple[StageName, ...] = STAGES[: STAGES.index("tokens") + 1]
STUDENT = "distill"
SEARCHED = ("corpus", "tokenizer", "data", "model", "plan", "train", STUDENT)
"""Sections whose settings change what is learned."""
NOT_OF_A_STUDENT = {"distill.compare", "distill.cache_top_k", "distill.preset"}
"""They change nothing about what a student learns, or so much that nothing is left to compare."""
WAYS_TO_PLAN = {"recipe", "preset"}
"""Of the section `plan`: the others say what time, money and machine there are."""
OF_THE_LENGTH = ("train.steps", "train.warmup_steps", "train.evaluations", "train.micro_batch_size")
"""Planned anew for every run: they follow its length, or change nothing but its speed."""
OF_THE_SHAPE = ("model.num_heads", "model.num_kv_heads", "model.head_width", "model.ffn_width", "train.learning_rate",
                "train.adam_learning_rate")  # fmt: skip
"""Planned anew where another shape is tried."""
OF_THE_OPTIMIZER = ("train.learning_rate", "train.adam_learning_rate", "train.weight_decay")
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
    for value in values:
        try:
            load(Project, workspace.project_file, overrides=[*overrides, assignment(key, value)])
        except ConfigError as error:
            raise ConfigError(error.what.replace("(--set)", "(sweep.over)"), where=error.where, fix=error.fix) from error


def takes_whole_numbers(key: str) -> bool:
    """Return whether a setting of the project takes whole numbers, and no others."""
    annotation: Any = Project
    for part in key.removeprefix(f"{STUDENT}.student.").split("."):
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


@dataclass
class Trials:
    """What all trials of a project's own model share.

    Attributes:
        stages: of the project as it is, everything up to its tokens and its plan made.
        overrides: the `--set` assignments it was opened with.
        keys: the settings searched.
        folder: of the sweep.
    """

    stages: Stages
    overrides: Sequence[str]
    keys: Sequence[str]
    folder: Path

    def __post_init__(self) -> None:
        from rodna.plan.hardware import describe_machine
        from rodna.plan.plan import read_plan
        from rodna.plan.speed import will_compile

        self.plan = read_plan(self.stages.artifact("plan"))
        counts = self._counts()
        self.full_tokens = self.plan.train["steps"] * self.plan.train["batch_size"] * self.plan.model.context_length
        self.full_passes = self.full_tokens / counts["train"]["num_tokens"]
        self._fixed: list[str] = []
        if any(key.startswith(("tokenizer.", "corpus.")) or key == "model.context_length" for key in self.keys):
            # What is compared must be scored on the same bytes: a sample of tokens is not, where tokens or windows differ.
            self._fixed.append(assignment("train.evaluation_tokens", 0))
        machine = describe_machine(self.stages.project.plan.device)
        if self.stages.project.train.compile == "auto" and will_compile(machine, self.plan.train, seconds=self.plan.estimates["seconds"]):
            # As the whole training does, for its speed is what the lengths of the rungs are worked out from.
            self._fixed.append(assignment("train.compile", "on"))
        self._validation = _text_digest(self.stages.artifact("corpus")) if any(key.startswith("corpus.") for key in self.keys) else ""

    @property
    def whole(self) -> Whole:
        """The training that trials are shares of."""
        estimates = self.plan.estimates
        return Whole(self.plan.train["steps"], float(estimates["seconds"]), float(estimates["startup_seconds"]))

    def _counts(self) -> Mapping[str, Any]:
        """Return the counts of the splits' tokens.

        Raises:
            ConfigError: there is no validation text.
        """
        counts = self.stages.artifact("tokens").counts["splits"]
        if not counts["validation"]["num_tokens"]:
            raise ConfigError("there is no validation text to judge the trials by", where="corpus.split",
                              fix="set corpus.split.validation above 0, or add text")  # fmt: skip
        return counts

    def value_of(self, settings: Mapping[str, Any], key: str) -> Any:
        """Return what a trial has for a setting: its own, or the project's, planned ones included."""
        if key in settings:
            return settings[key]
        section, _, rest = key.partition(".")
        planned = {"train": self.plan.train, "model": self.plan.model.model_dump(mode="json")}.get(section, {})
        value: Any = self.stages.project.model_dump(mode="json")
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if key == "tokenizer.vocabulary_size":
            return self.plan.model.vocabulary_size
        return planned.get(rest, value)

    def differ(self, settings: Mapping[str, Any]) -> bool:
        """Return whether settings are others than the project's own."""
        return any(self.value_of({}, key) != value for key, value in settings.items())

    def train(self, trial: int, number: int, settings: Mapping[str, Any], rung: Rung) -> Result:
        """Run one trial, or go on with it; a failure that is its own fault becomes a result with a reason."""
        import torch

        folder = self.folder / f"trial-{trial:03d}" / f"rung-{number + 1}"
        self.remove_weights(but=folder)
        started = time.perf_counter()
        try:
            value, facts = self._train(settings, rung, folder)
            reason = "" if value is not None else "no validation text was scored"
        except (ConfigError, CorpusError, TokenizerError, ModelError, PlanError, TrainError, torch.OutOfMemoryError) as error:
            # Of the disk, the lock or a damaged artifact no settings are guilty: those errors end the sweep.
            value, facts, reason = None, {}, error.what if isinstance(error, RodnaError) else "it needs more memory than there is"
        seconds = max(time.perf_counter() - started, float(facts.get("training_seconds", 0.0)))
        return Result(trial, number, dict(settings), value, round(seconds, 3), reason, facts)

    def remove_weights(self, *, but: Path | None = None) -> None:
        """Leave of finished runs their plans and metrics; weights are large, and the best settings are trained in full later."""
        for folder in self.folder.glob("trial-*/rung-*"):
            weights = [folder / MODEL, *folder.glob("run/step-*"), *folder.glob("run/best-*"), *folder.glob("teachers-*")]
            for path in weights if folder != but else []:
                shutil.rmtree(path, ignore_errors=True)

    def _train(self, settings: Mapping[str, Any], rung: Rung, folder: Path) -> tuple[float | None, dict[str, Any]]:
        from rodna.plan.plan import make_plan, read_plan
        from rodna.train.stages import pretrain
        from rodna.train.timing import time_steps

        stages = self._stages_of(settings, self.plan)
        made = {name: stages.stage(name).run(stages.workspace) for name in PREPARED if name != "plan"}
        corpus, tokenizer, tokens = made["corpus"], made["tokenizer"], made["tokens"]
        if self._validation and _text_digest(corpus) != self._validation:
            raise ConfigError("its validation text is another one, so its value cannot be compared")

        def planned(project: Project, out: Path) -> Artifact:
            made, settings = (corpus, tokenizer, project.plan), {"model": project.model, "train": project.train}
            return existing(out, "plan") or make_plan(*made, **settings, out=out, timer=time_steps, fit=self.stages.existing_fit())

        whole = self.plan
        if any(key.startswith("plan.") for key in settings):
            # Another way to plan is judged by what it proposes for the whole training.
            whole = read_plan(planned(stages.project, folder / "proposal-00000000"))
        steps = self._steps(whole, self._stages_of(settings, whole).project, settings, rung, tokens)
        project = self._stages_of({**settings, "train.steps": steps}, whole).project
        plan, out = planned(project, folder / "plan-00000000"), folder / MODEL
        model = existing(out, "model") or pretrain(tokens, tokenizer, plan, project.train, out, run=folder / "run")
        return outcome_of(model)

    def _stages_of(self, settings: Mapping[str, Any], plan: "Plan") -> Stages:
        """Return the stages of the project as a plan has it, with some settings changed and nothing planned again that need not be."""
        own = any(key.startswith("plan.") for key in settings) and plan is self.plan
        free = self._free(settings)
        fixed = [
            assignment(f"{section}.{key}", value)
            for section, values in ({} if own else numbers_of(self.stages, plan)).items()
            for key, value in values.items()
            if section != "tokenizer" and f"{section}.{key}" not in free
        ]
        # Counts beside a model change nothing that a trial is judged by.
        fixed += [assignment("plan.calibration", "estimated"), assignment("train.ngram_order", 0), *self._fixed]
        if "model.context_length" in settings and "train.batch_size" not in settings:
            step_tokens = plan.train["batch_size"] * plan.model.context_length
            fixed.append(assignment("train.batch_size", max(1, round(step_tokens / settings["model.context_length"]))))
        changed = [assignment(key, value) for key, value in settings.items()]
        workspace = self.stages.workspace
        return Stages(load(Project, workspace.project_file, overrides=[*self.overrides, *fixed, *changed]), workspace)

    def _free(self, settings: Mapping[str, Any]) -> set[str]:
        """Return the settings that are planned anew for a trial."""
        free = set(OF_THE_LENGTH) | set(settings)
        if any(key.startswith("model.") and key != "model.dropout" for key in settings):
            free.update(OF_THE_SHAPE)
        if "train.optimizer" in settings:
            free.update(OF_THE_OPTIMIZER)
        return free

    def _steps(self, plan: "Plan", project: Project, settings: Mapping[str, Any], rung: Rung, tokens: Artifact) -> int:
        """Return the steps of a run: as many passes over the text as every run of the rung."""
        if "train.steps" in settings:
            return max(1, round(rung.share * settings["train.steps"]))

        def number(value: Any, planned: int) -> int:
            return planned if value == "planned" else int(value)

        context_length = number(project.model.context_length, plan.model.context_length)
        step_tokens = number(project.train.batch_size, plan.train["batch_size"]) * context_length
        return max(1, round(rung.share * self.full_passes * tokens.counts["splits"]["train"]["num_tokens"] / step_tokens))


def outcome_of(model: Artifact) -> tuple[float | None, dict[str, Any]]:
    """Return a trained model's bits per byte of the validation text, and the facts that the table shows."""
    summary = json.loads((model.path / "training.json").read_text(encoding="utf-8"))
    facts = {"steps": summary["steps"], "passes": summary["epochs"], "parameters": summary["parameters"],
             "training_seconds": summary["seconds"], "seed": model.manifest.seed,
             "interruptions": summary["interruptions"]}  # fmt: skip
    return summary["best_validation_bits_per_byte"], facts


def existing(path: Path, kind: str) -> Artifact | None:
    """Return what a trial that was interrupted has finished, None where it has not."""
    return Artifact.open(path, kind=kind) if (path / "manifest.json").is_file() else None


def _text_digest(corpus: Artifact) -> str:
    """Return what identifies a corpus' validation text."""
    from rodna.corpus.documents import read_documents

    digest = hashlib.sha256()
    for text in sorted(document.text for document in read_documents(corpus.path, "validation")):
        digest.update(text.encode("utf-8") + b"\0")
    return digest.hexdigest()
