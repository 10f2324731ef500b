"""Trials of a sweep as ordinary runs: one model each, trained without teachers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.cli.plan import planned_numbers
from rodna.cli.project import Project, load_project
from rodna.cli.stages import Stages
from rodna.cli.trials import MODEL, PREPARED, Whole, assignment, check_validation, facts_of
from rodna.core.artifact import Artifact
from rodna.core.errors import ConfigError
from rodna.sweep.halving import Rung

if TYPE_CHECKING:
    from rodna.plan.plan import Plan
    from rodna.plan.rules import Text

OF_THE_LENGTH = ("train.steps", "train.warmup_steps", "train.evaluations", "train.micro_batch_size")
"""Planned anew for every run: they follow its length, or change nothing but its speed."""
OF_THE_SHAPE = ("model.num_heads", "model.num_kv_heads", "model.head_width", "model.ffn_width", "train.learning_rate",
                "train.adam_learning_rate")  # fmt: skip
"""Planned anew where another shape is tried."""
OF_THE_OPTIMIZER = ("train.learning_rate", "train.adam_learning_rate", "train.weight_decay")


@dataclass
class ModelTrials:
    """The project as planned, with a few settings changed and a length of its own.

    Attributes:
        stages: of the project as it is, everything up to its tokens and its plan made.
        overrides: the `--set` assignments it was opened with.
        keys: the settings searched.
    """

    stages: Stages
    overrides: Sequence[str]
    keys: Sequence[str]

    def __post_init__(self) -> None:
        from rodna.plan.hardware import describe_machine
        from rodna.plan.plan import read_plan
        from rodna.plan.speed import will_compile

        self.plan = read_plan(self.stages.artifact("plan"))
        tokens = self.stages.artifact("tokens")
        check_validation(tokens)
        self.full_tokens = self.plan.train["steps"] * self.plan.train["batch_size"] * self.plan.model.context_length
        self.full_passes = self.full_tokens / tokens.counts["splits"]["train"]["num_tokens"]
        self._texts: dict[tuple[str, str], Text] = {}
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

    def train(self, settings: Mapping[str, Any], rung: Rung, folder: Path) -> tuple[float | None, dict[str, Any]]:
        from rodna.plan.plan import make_plan, measure_text, read_plan
        from rodna.train.stages import pretrain
        from rodna.train.timing import time_steps

        stages = self._stages_of(settings, self.plan)
        made = {name: stages.stage(name).run(stages.workspace) for name in PREPARED if name != "plan"}
        corpus, tokenizer, tokens = made["corpus"], made["tokenizer"], made["tokens"]
        if self._validation and _text_digest(corpus) != self._validation:
            raise ConfigError("its validation text is another one, so its value cannot be compared")

        def planned(project: Project, out: Path) -> Artifact:
            # Of an ensemble's project a trial is one member, whose time and money is a part of the whole.
            spent = {name: getattr(self.stages.plan_config, name) for name in ("time_budget_minutes", "money_budget")}
            config, settings = project.plan.model_copy(update=spent), {"model": project.model, "train": project.train}
            text = self._texts.get((corpus.digest, tokenizer.digest)) or measure_text(corpus, tokenizer)
            self._texts[corpus.digest, tokenizer.digest] = text
            fit = self.stages.existing_fit()
            return _existing(out, "plan") or make_plan(corpus, tokenizer, config, **settings, out=out, timer=time_steps, fit=fit, text=text)

        whole = self.plan
        if any(key.startswith("plan.") for key in settings):
            # Another way to plan is judged by what it proposes for the whole training.
            whole = read_plan(planned(stages.project, folder / "proposal-00000000"))
        project = self._stages_of(settings, whole).project
        length: dict[str, Any] = {"train.steps": self._steps(whole, project, settings, rung, tokens)}
        if project.train.warmup_steps != "planned":
            # A short run warms up for as large a part of its steps.
            length["train.warmup_steps"] = round(rung.share * int(project.train.warmup_steps))
        project = self._stages_of({**settings, **length}, whole).project
        plan, out = planned(project, folder / "plan-00000000"), folder / MODEL
        model = _existing(out, "model") or pretrain(tokens, tokenizer, plan, project.train, out, run=folder / "run")
        summary = json.loads((model.path / "training.json").read_text(encoding="utf-8"))
        return facts_of(summary, seed=model.manifest.seed)

    def _stages_of(self, settings: Mapping[str, Any], plan: "Plan") -> Stages:
        """Return the stages of the project as a plan has it, with some settings changed and nothing planned again that need not be."""
        own = any(key.startswith("plan.") for key in settings) and plan is self.plan
        free = self._free(settings)
        fixed = [
            assignment(f"{section}.{key}", value)
            for section, values in ({} if own else planned_numbers(self.stages, plan)).items()
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
        return Stages(load_project(workspace, [*self.overrides, *fixed, *changed]), workspace)

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


def _existing(path: Path, kind: str) -> Artifact | None:
    """Return what a trial that was interrupted has finished, None where it has not."""
    return Artifact.open(path, kind=kind) if (path / "manifest.json").is_file() else None


def _text_digest(corpus: Artifact) -> str:
    """Return what identifies a corpus' validation text."""
    from rodna.corpus.documents import read_documents

    digest = hashlib.sha256()
    for text in sorted(document.text for document in read_documents(corpus.path, "validation")):
        digest.update(text.encode("utf-8") + b"\0")
    return digest.hexdigest()
