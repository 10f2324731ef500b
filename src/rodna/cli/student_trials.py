"""Trials of a sweep as students: the project's own teachers, and a few settings of how a student learns from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.cli.project import Project
from rodna.cli.stages import stages_of
from rodna.cli.trials import MODEL, STUDENT, Trials, Whole, assignment, existing, outcome_of
from rodna.core.artifact import Artifact
from rodna.core.config import load
from rodna.core.errors import ConfigError
from rodna.plan import rules
from rodna.sweep.halving import Rung
from rodna.train.ensemble_config import wants_student
from rodna.train.identity import distill_settings, teacher_fingerprint, teacher_folders

if TYPE_CHECKING:
    from rodna.train.session import Job

LENGTH = ("distill.student.train.steps", "distill.student.epochs")


def is_of_students(project: Project, keys: Sequence[str]) -> bool:
    """Return whether the settings searched are those of a student.

    Raises:
        ConfigError: some are and others are not, or there is nothing to learn from.
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
    return True


class StudentTrials(Trials):
    """What all trials of a student share: its teachers, which are trained once, before the first."""

    def __post_init__(self) -> None:
        from rodna.plan.plan import read_plan
        from rodna.train.members import Workbench

        stages = self.stages
        self._counts()
        self.plan = read_plan(stages.artifact("plan"))
        self._ensemble = stages.artifact("ensemble") if "ensemble" in stages_of(stages.project) else None
        self._made = {name: stages.artifact(name) for name in ("tokens", "tokenizer", "plan")}
        self._bench = Workbench.open(*self._made.values())
        self._job = self._job_of(stages.project)

    @property
    def whole(self) -> Whole:
        """The project's own student: its steps also take its teachers' forward passes."""
        from rodna.models.checkpoint import load_config
        from rodna.plan.flops import flops_per_token

        model, values, estimates = self._job.model, self._job.values, self.plan.estimates
        teachers = [flops_per_token(load_config(folder), sequence_length=model.context_length).forward for folder in self._teachers()]
        work = (flops_per_token(model).model + sum(teachers)) * values.batch_size * model.context_length
        planned = flops_per_token(self.plan.model).model * self.plan.train["batch_size"] * self.plan.model.context_length
        startup = float(estimates["startup_seconds"])
        return Whole(values.steps, startup + estimates["step_seconds"] * work / planned * values.steps, startup)

    def value_of(self, settings: Mapping[str, Any], key: str) -> Any:
        """Return what a student has for a setting: the trial's, the project's, or what follows from the plan."""
        section, _, name = key.removeprefix("distill.student.").partition(".")
        own = {"model": self._job.model, "train": self._job.values}.get(section)
        found = super().value_of(settings, key)
        return getattr(own, name, None) if found is None and own is not None else found

    def _job_of(self, project: Project) -> "Job":
        from rodna.train.distill_stage import student_job

        return student_job(self._bench, project.distill, self._shared(project)["ensemble"], self._teachers(project))

    def _teachers(self, project: Project | None = None) -> list[Path]:
        from rodna.train.members import member_folders

        config = (project or self.stages.project).distill
        members = member_folders(self._ensemble) if self._ensemble else []
        return [*members, *teacher_folders(config, self.stages.workspace.root)]

    def _shared(self, project: Project) -> dict[str, Any]:
        return distill_settings(
            project.distill, project.ensemble, project.train, split_over=int(self.stages.time_split().get("split_over", 0))
        )

    def _train(self, settings: Mapping[str, Any], rung: Rung, folder: Path) -> tuple[float | None, dict[str, Any]]:
        from rodna.train.distill_stage import distill

        project = self._project({**settings, **self._length(settings, rung)})
        inputs: dict[str, Artifact | str] = dict(self._made)
        if self._ensemble is not None:
            inputs["ensemble"] = self._ensemble
        root = self.stages.workspace.root
        for number, teacher in enumerate(teacher_folders(project.distill, root), 1):
            inputs[f"teacher-{number:02d}"] = teacher_fingerprint(teacher)
        made, out = (*self._made.values(), self._ensemble, project.distill), folder / MODEL
        more = {"run": folder / "run", "root": root, "inputs": inputs, "settings": self._shared(project)}
        return outcome_of(existing(out, "model") or distill(*made, out, **more))

    def _project(self, settings: Mapping[str, Any]) -> Project:
        # Neither the student trained alone nor counts beside it change what a trial is judged by.
        fixed = {"distill.compare": False, "distill.student.train.ngram_order": 0}
        changed = [assignment(key, value) for key, value in (fixed | dict(settings)).items()]
        return load(Project, self.stages.workspace.project_file, overrides=[*self.overrides, *changed])

    def _length(self, settings: Mapping[str, Any], rung: Rung) -> dict[str, Any]:
        """Return the settings of a run's length: as many passes over the text as every run of the rung, unless they are searched."""
        job = self._job_of(self._project(settings))
        share = rung.share
        if not set(LENGTH) & set(settings):
            own = self._job.values.steps * self._job.values.batch_size * self._job.model.context_length
            share *= own / (job.values.steps * job.values.batch_size * job.model.context_length)
        steps = max(1, round(share * job.values.steps))
        given = self._project(settings).distill.student.train
        follows = {"steps": steps, "warmup_steps": rules.warmup_steps(steps), "evaluations": min(job.values.evaluations, steps)}
        return {f"distill.student.train.{name}": value for name, value in follows.items() if name == "steps" or name not in given}
