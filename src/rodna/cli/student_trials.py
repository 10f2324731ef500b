"""Trials of a sweep as students: the project's own teachers, and a few settings of how a student learns from them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.cli.project import Project, load_project
from rodna.cli.stages import StageName, Stages, stages_of
from rodna.cli.trials import STUDENT, Whole, assignment, check_validation, facts_of
from rodna.core.errors import ConfigError
from rodna.sweep.halving import Rung
from rodna.train.ensemble_config import wants_student
from rodna.train.identity import CHAIN_SETTINGS, distill_settings, teacher_fingerprint, teacher_folders

if TYPE_CHECKING:
    from rodna.train.session import Job

STEPS, EPOCHS, CONTEXT = "distill.student.train.steps", "distill.student.epochs", "distill.student.model.context_length"


def is_of_students(project: Project, keys: Sequence[str]) -> bool:
    """Return whether the settings searched are those of a student.

    Raises:
        ConfigError: some are and others are not, there is nothing to learn from, or a setting would have no effect or too much of it.
    """
    own = [key for key in keys if key.startswith(f"{STUDENT}.")]
    if not own:
        return False
    if len(own) < len(keys):
        others = ", ".join(key for key in keys if key not in own)
        raise ConfigError(f"a student's settings ({', '.join(own)}) cannot be searched together with {others}", where="sweep.over",
                          fix="search the teachers' settings first, then the student's; its own model is distill.student")  # fmt: skip
    if not wants_student(project.ensemble, project.distill):
        raise ConfigError("there is no student to search settings for", where="sweep.over",
                          fix="name teachers in distill.teachers, or set ensemble.members")  # fmt: skip
    chained = [key for key in own if project.ensemble.chain and key.removeprefix(f"{STUDENT}.") in CHAIN_SETTINGS]
    if chained:
        raise ConfigError(f"{', '.join(chained)}: members learn by that too, each from those before it, so every trial would need others",
                          where="sweep.over", fix="set ensemble.chain to false, or search other settings")  # fmt: skip
    if EPOCHS in own and (STEPS in own or "steps" in project.distill.student.train or project.train.steps != "planned"):
        raise ConfigError(f"{EPOCHS} has no effect where the steps are given", where="sweep.over",
                          fix=f"search {STEPS}, or leave the steps to the plan")  # fmt: skip
    return True


class StudentTrials:
    """What all trials of a student share: its teachers, which are trained once, before the first."""

    def __init__(self, stages: Stages, overrides: Sequence[str], keys: Sequence[str], folder: Path) -> None:
        """Open what the trials need.

        Args:
            stages: of the project as it is, everything up to its tokens, its plan and its ensemble made.
            overrides: the `--set` assignments it was opened with.
            keys: the settings searched.
            folder: of the sweep.
        """
        from rodna.plan.speed import will_compile
        from rodna.train.members import Workbench

        made = (stages.artifact("tokens"), stages.artifact("tokenizer"), stages.artifact("plan"))
        check_validation(made[0])
        self._stages, self._folder = stages, folder
        self._ensemble = stages.artifact("ensemble") if "ensemble" in stages_of(stages.project) else None
        self._bench = Workbench.open(*made)
        # Neither the student trained alone nor counts beside it change what a trial is judged by.
        fixed: dict[str, Any] = {"distill.compare": False, "distill.student.train.ngram_order": 0}
        if CONTEXT in keys:
            # What is compared must be scored on the same bytes: a sample of tokens is not, where windows differ.
            fixed["distill.student.train.evaluation_tokens"] = 0
        self._overrides = [*overrides, *(assignment(key, value) for key, value in fixed.items())]
        self._job = self._job_of(self._project({}))
        if self._job.values.compile == "auto" and will_compile(
            self._bench.machine, self._job.values.model_dump(), seconds=self.whole.seconds
        ):
            # As the whole training does, for its speed is what the lengths of the rungs are worked out from.
            self._overrides.append(assignment("distill.student.train.compile", "on"))

    @property
    def whole(self) -> Whole:
        """The project's own student: its steps also take its teachers' forward passes."""
        from rodna.models.checkpoint import load_config
        from rodna.plan.flops import flops_per_token

        model, values, plan = self._job.model, self._job.values, self._bench.plan
        teachers = [flops_per_token(load_config(folder), sequence_length=model.context_length).forward for folder in self._teachers()]
        work = (flops_per_token(model).model + sum(teachers)) * values.batch_size * model.context_length * values.steps
        planned = flops_per_token(plan.model).model * plan.train["batch_size"] * plan.model.context_length * plan.train["steps"]
        startup = float(plan.estimates["startup_seconds"])
        return Whole(values.steps, startup + (plan.estimates["seconds"] - startup) * work / planned, startup)

    def value_of(self, settings: Mapping[str, Any], key: str) -> Any:
        """Return what a student has for a setting: the trial's, the project's, or what follows from the plan."""
        if key in settings:
            return settings[key]
        section, _, name = key.removeprefix("distill.student.").partition(".")
        if section in ("model", "train") and name:
            return getattr(self._job.model if section == "model" else self._job.values, name)
        if key == EPOCHS:
            return round(self._tokens_of(self._job) / self._bench.num_tokens, 4)
        value: Any = self._stages.project.model_dump(mode="json")
        for part in key.split("."):
            value = value[part]
        return value

    def train(self, settings: Mapping[str, Any], rung: Rung, folder: Path) -> tuple[float | None, dict[str, Any]]:
        """Train one student, going on where it was."""
        from rodna.train.distill_stage import prepare_student, teach
        from rodna.train.state import RunFolder

        project, root = self._project({**settings, **self._length(settings, rung)}), self._stages.workspace.root
        config, shared, bench = project.distill, self._shared(project), self._bench
        job, teachers = prepare_student(bench, self._ensemble, config, root=root, shared=shared["ensemble"])
        setup = bench.setup(job, inputs=student_inputs(self._stages, project), config=shared)
        run = RunFolder(folder / "run", tokenizer_folder=bench.tokenizer.path, setup=setup)
        trained = teach(bench, job, teachers, self._ensemble, config, run, caches=self._folder)
        return facts_of(trained.summary, seed=job.values.seed)

    def _length(self, settings: Mapping[str, Any], rung: Rung) -> dict[str, Any]:
        """Return the settings of a run's length: as many passes over the text as every run of the rung, unless they are searched."""
        job, share = self._job_of(self._project(settings)), rung.share
        if STEPS not in settings and EPOCHS not in settings:
            share *= self._tokens_of(self._job) / self._tokens_of(job)
        steps = max(1, round(share * job.values.steps))
        warmup = round(job.values.warmup_steps * min(1.0, steps / job.values.steps))
        values = {"steps": steps, "warmup_steps": warmup, "evaluations": min(job.values.evaluations, steps)}
        return {f"distill.student.train.{name}": value for name, value in values.items()}

    def _project(self, settings: Mapping[str, Any]) -> Project:
        changed = [assignment(key, value) for key, value in settings.items()]
        return load_project(self._stages.workspace, [*self._overrides, *changed])

    def _job_of(self, project: Project) -> "Job":
        from rodna.models.checkpoint import load_config
        from rodna.train.distill_stage import student_job

        teachers = [load_config(folder) for folder in self._teachers(project)]
        return student_job(self._bench, project.distill, self._shared(project)["ensemble"], teachers)

    def _tokens_of(self, job: "Job") -> int:
        return job.values.steps * job.values.batch_size * job.model.context_length

    def _teachers(self, project: Project | None = None) -> list[Path]:
        from rodna.train.members import member_folders

        config = (project or self._stages.project).distill
        return [*(member_folders(self._ensemble) if self._ensemble else []), *teacher_folders(config, self._stages.workspace.root)]

    def _shared(self, project: Project) -> dict[str, Any]:
        return _settings(self._stages, project)


def student_inputs(stages: Stages, project: Project) -> dict[str, str]:
    """Return what the project's student, and so every trial, depends on, as digests.

    Args:
        stages: of the project, everything before its student made.
        project: it, or as a trial has it.
    """
    names: list[StageName] = ["tokens", "tokenizer", "plan"]
    if "ensemble" in stages_of(stages.project):
        names.append("ensemble")
    found = {str(name): stages.artifact(name).digest for name in names}
    settings = json.dumps(_settings(stages, project), sort_keys=True)
    found["student"] = hashlib.sha256(settings.encode()).hexdigest()
    for number, folder in enumerate(teacher_folders(project.distill, stages.workspace.root), 1):
        found[f"teacher-{number:02d}"] = teacher_fingerprint(folder)
    return found


def _settings(stages: Stages, project: Project) -> dict[str, Any]:
    split_over = int(stages.time_split().get("split_over", 0))
    return distill_settings(project.distill, project.ensemble, project.train, split_over=split_over)
