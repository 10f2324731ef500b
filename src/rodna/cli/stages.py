"""What every stage needs: the one place that knows how rooms are wired together.

Digests are computed before anything is built, from the sources' fingerprint onwards, so `status` and `--dry-run` say exactly what
`run` would do.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel

from rodna.cli.project import Project
from rodna.core.artifact import Artifact, Manifest
from rodna.core.errors import ArtifactError
from rodna.core.workspace import Stage, Workspace

if TYPE_CHECKING:
    from rodna.plan.config import PlanConfig

StageName = Literal[
    "documents", "cleaned", "corpus", "tokenizer", "plan", "tokens", "pretrain", "ensemble", "distill", "evaluate",
    "evaluate_ensemble", "report",
]  # fmt: skip
ALL_STAGES: tuple[StageName, ...] = get_args(StageName)
STAGES: tuple[StageName, ...] = tuple(name for name in ALL_STAGES if name not in ("ensemble", "distill", "evaluate_ensemble"))
"""Those of a project that trains one model."""
CORPUS_STAGES: tuple[StageName, ...] = ("documents", "cleaned", "corpus")
VERBS: dict[StageName, str] = {
    "documents": "corpus build", "cleaned": "corpus build", "corpus": "corpus build", "tokenizer": "tokenizer train", "plan": "plan",
    "tokens": "train tokens", "pretrain": "train pretrain", "ensemble": "train ensemble",
    "distill": "train distill", "evaluate": "eval", "evaluate_ensemble": "eval --ensemble", "report": "report",
}  # fmt: skip
"""Stage -> the command that does it alone."""


def stages_of(project: Project) -> tuple[StageName, ...]:
    """Return what `rodna run` does: with teachers, the model is a student of theirs."""
    from rodna.train.ensemble_config import wants_ensemble, wants_student

    if not wants_student(project.ensemble, project.distill):
        return STAGES
    left_out = {"pretrain", "evaluate_ensemble"} | (set() if wants_ensemble(project.ensemble) else {"ensemble"})
    return tuple(name for name in ALL_STAGES if name not in left_out)


def model_stage(project: Project) -> StageName:
    """Return the stage that makes the model to evaluate and use."""
    return "distill" if "distill" in stages_of(project) else "pretrain"


class Stages:
    """The stages of one project in one workspace, each made once and remembered."""

    def __init__(self, project: Project, workspace: Workspace) -> None:
        self.project, self.workspace = project, workspace
        self._stages: dict[StageName, Stage] = {}

    def stage(self, name: StageName) -> Stage:
        """Return a stage, with the digest its result has or will have."""
        if name not in self._stages:
            self._stages[name] = getattr(self, f"_{name}")()
        return self._stages[name]

    def artifact(self, name: StageName) -> Artifact:
        """Return a stage's finished result.

        Raises:
            ArtifactError: it does not exist yet, or is damaged.
        """
        found = self.stage(name).existing(self.workspace)
        if found is None:
            raise ArtifactError(
                f"the {self.stage(name).kind} does not exist yet, or was made from other texts or settings",
                where=str(self.workspace.root),
                fix=f"run `rodna {VERBS[name]}` first, or `rodna run` for everything",
            )
        return found

    def run_folder(self, name: StageName = "pretrain") -> Path:
        """Return the folder where a training keeps its log and what it needs to go on."""
        if name == "ensemble":
            # Members are found again by what decides their weights, whatever else of the ensemble changes.
            return self.workspace.runs / f"{self.project.name}-ensemble"
        return self.workspace.runs / self.stage(name).out(self.workspace).name

    def _announced(self, name: StageName) -> Artifact:
        """Return a stand-in that has nothing but the digest of a result that need not exist."""
        stage = self.stage(name)
        manifest = Manifest(
            kind=stage.kind, name=stage.name, digest=stage.digest, format_version=stage.format_version, inputs={}, config={}
        )
        return Artifact(stage.out(self.workspace), manifest)

    def _make(
        self, kind: str, format_version: int, inputs: Mapping[str, Artifact | str], config: BaseModel | Mapping[str, Any], make: Any
    ) -> Stage:
        return Stage(kind=kind, name=self.project.name, format_version=format_version, inputs=inputs, config=config, make=make)

    def _documents(self) -> Stage:
        from rodna.corpus.build import check_sources, make_documents
        from rodna.corpus.sources import fingerprint

        check_sources(self.project.sources)
        digest = fingerprint(self.project.sources, self.workspace.root)
        return self._corpus_part("documents", digest, lambda out: make_documents(out=out, digest=digest, **self._corpus_arguments()))

    def _cleaned(self) -> Stage:
        from rodna.corpus.build import make_cleaned

        before = self._announced("documents")
        return self._corpus_part(
            "cleaned", before, lambda out: make_cleaned(self.artifact("documents"), out=out, **self._corpus_arguments())
        )

    def _corpus(self) -> Stage:
        from rodna.corpus.build import make_corpus

        before = self._announced("cleaned")
        return self._corpus_part("corpus", before, lambda out: make_corpus(self.artifact("cleaned"), out=out, **self._corpus_arguments()))

    def _corpus_arguments(self) -> dict[str, Any]:
        project = self.project
        return {"sources": project.sources, "config": project.corpus, "language": project.language, "root": self.workspace.root}

    def _corpus_part(self, kind: str, before: Artifact | str, make: Callable[[Path], Artifact]) -> Stage:
        from rodna.corpus import build

        arguments = self._corpus_arguments()
        root = arguments.pop("root")
        inputs = build.inputs_of(kind, before, config=self.project.corpus, root=root)
        return self._make(kind, build.FORMAT_VERSION, inputs, build.settings_of(kind, **arguments), make)

    def _tokenizer(self) -> Stage:
        from rodna.tokenizer import train

        return self._make(
            "tokenizer",
            train.FORMAT_VERSION,
            {"corpus": self._announced("corpus")},
            self.project.tokenizer,
            lambda out: train.train_tokenizer(self.artifact("corpus"), self.project.tokenizer, out),
        )

    def _plan(self) -> Stage:
        return self._plan_for(self._split_over())

    def existing_fit(self) -> Artifact | None:
        """Return the law fitted to pilot runs on this text, None where there is none."""
        from rodna.cli.scaling import existing_fit

        digests = {name: self._announced(name).digest for name in ("corpus", "tokenizer")}
        return existing_fit(self.project, self.workspace, **digests)

    def plan_anew(self) -> Stage:
        """Return the planning that `rodna plan --again` does: for the machine at hand, beside the plan that there is."""
        return self._plan_for(self._split_over(), anew=True)

    def _plan_for(self, split_over: int, *, anew: bool = False) -> Stage:
        """Return the planning of one model: the only one, or one member of an ensemble whose time is split over so many.

        A plan that was made on another machine is kept where only the machine differs: moving a workspace must not throw the trained model
        away.
        """
        from rodna.plan import plan

        project, fit = self.project, self.existing_fit()
        config = self._plan_config(split_over)

        def make_plan(out: Path) -> Artifact:
            from rodna.plan.propose import TooShortError
            from rodna.train.timing import time_steps

            made = (self.artifact("corpus"), self.artifact("tokenizer"))
            given = {"model": project.model, "train": project.train, "fit": fit, "again": stage.times_again}
            try:
                return plan.make_plan(*made, config, **given, out=out, timer=time_steps)
            except TooShortError as error:
                if not split_over:
                    raise
                raise TooShortError(error.what, error.need, project.plan, share=project.ensemble.share / split_over) from error

        settings = plan.plan_settings(config, model=project.model, train=project.train)
        inputs = plan.plan_inputs(self._announced("corpus"), self._announced("tokenizer"), config, fit=fit)
        stage = self._make("plan", plan.FORMAT_VERSION, inputs, settings, make_plan)
        stage = (stage.anew if anew else stage.newest)(self.workspace, whatever=("machine",))
        return stage

    @property
    def plan_config(self) -> "PlanConfig":
        """What is spent on one model: the whole time, or a member's part of it."""
        return self._plan_config(self._split_over())

    def _plan_config(self, split_over: int) -> "PlanConfig":
        from rodna.train.identity import member_minutes

        config = self.project.plan
        if not split_over:
            return config
        minutes = member_minutes(self.project.ensemble, config.minutes, split_over)
        return config.model_copy(update={"time_budget_minutes": minutes, "money_budget": 0.0})

    def _tokens(self) -> Stage:
        from rodna.data import tokens

        return self._make(
            "tokens",
            tokens.FORMAT_VERSION,
            {"corpus": self._announced("corpus"), "tokenizer": self._announced("tokenizer")},
            self.project.data,
            lambda out: tokens.write_tokens(self.artifact("corpus"), self.artifact("tokenizer"), self.project.data, out),
        )

    def _pretrain(self) -> Stage:
        from rodna.train.config import FORMAT_VERSION

        def pretrain(out: Path) -> Artifact:
            from rodna.train import stages

            made = (self.artifact("tokens"), self.artifact("tokenizer"), self.artifact("plan"))
            return stages.pretrain(*made, self.project.train, out, run=self.run_folder())

        inputs = {"tokens": self._announced("tokens"), "tokenizer": self._announced("tokenizer"), "plan": self._announced("plan")}
        return self._make("model", FORMAT_VERSION, inputs, self.project.train, pretrain)

    def _ensemble(self) -> Stage:
        from rodna.train.identity import ENSEMBLE_FORMAT_VERSION, ensemble_settings

        project, split_over = self.project, self._split_over()

        def train_ensemble(out: Path) -> Artifact:
            from rodna.train import members

            made = (self.artifact("tokens"), self.artifact("tokenizer"), self.artifact("plan"))
            run = self.run_folder("ensemble")
            return members.train_ensemble(*made, project.ensemble, project.distill, out, run=run, split_over=split_over)

        settings = ensemble_settings(project.ensemble, project.distill, split_over=split_over)
        return self._make("ensemble", ENSEMBLE_FORMAT_VERSION, self._training_inputs(), settings, train_ensemble)

    def finished_members(self) -> int:
        """Return how many members are finished, before all of the ensemble is."""
        run = self.run_folder("ensemble")
        if not list(run.glob("member-*/finished")):
            return 0
        tokens, tokenizer, plan = (self.stage(name).existing(self.workspace) for name in ("tokens", "tokenizer", "plan"))
        if tokens is None or tokenizer is None or plan is None:
            return 0
        from rodna.train.members import count_finished

        return count_finished(tokens, tokenizer, plan, self.project.ensemble, self.project.distill, run)

    def time_split(self) -> dict[str, float]:
        """Return how the time is split between members and student; empty without an ensemble."""
        from rodna.train.identity import time_split

        return time_split(self.project.ensemble, self.project.plan.minutes, self._split_over())

    def _split_over(self) -> int:
        """Return over how many members the members' time is split, 0 where there are none.

        Where members are added to an ensemble that was begun, the others keep the time that they had: they are not trained again.
        """
        from rodna.train.identity import begun_splits

        config = self.project.ensemble
        if not config.members or config.split_over != "planned":
            return config.members and int(config.split_over)
        for split_over, inputs in begun_splits(self.workspace, self.project.name, self.run_folder("ensemble")):
            plan = self._plan_for(split_over).digest
            if split_over < config.members and plan == inputs.get("plan") and self.stage("tokens").digest == inputs.get("tokens"):
                return split_over
        return config.members

    def _training_inputs(self) -> dict[str, Artifact | str]:
        return {"tokens": self._announced("tokens"), "tokenizer": self._announced("tokenizer"), "plan": self._announced("plan")}

    def _distill(self) -> Stage:
        from rodna.train.config import FORMAT_VERSION
        from rodna.train.ensemble_config import wants_ensemble
        from rodna.train.identity import distill_settings, teacher_fingerprint, teacher_folders

        project = self.project
        inputs = self._training_inputs()
        if wants_ensemble(project.ensemble):
            inputs["ensemble"] = self._announced("ensemble")
        for number, folder in enumerate(teacher_folders(project.distill, self.workspace.root), 1):
            inputs[f"teacher-{number:02d}"] = teacher_fingerprint(folder)
        settings = distill_settings(project.distill, project.ensemble, project.train, split_over=self._split_over())

        def distill(out: Path) -> Artifact:
            from rodna.train import distill_stage

            made = (self.artifact("tokens"), self.artifact("tokenizer"), self.artifact("plan"))
            ensemble = self.artifact("ensemble") if "ensemble" in inputs else None
            return distill_stage.distill(
                *made, ensemble, project.distill, out, run=self.run_folder("distill"), root=self.workspace.root, inputs=inputs,
                settings=settings,
            )  # fmt: skip

        return self._make("model", FORMAT_VERSION, inputs, settings, distill)

    def check_teachers(self) -> None:
        """Refuse teachers that cannot teach here, a cache of no use and a student that could not learn, as early as that can be known."""
        distill, ensemble = self.project.distill, self.project.ensemble
        if not distill.teachers and not ensemble.members:
            return
        from rodna.train.distill_stage import check_cache, check_student, check_teachers
        from rodna.train.identity import distill_settings, teacher_folders
        from rodna.train.members import Workbench

        tokenizer = self.stage("tokenizer").existing(self.workspace)
        check_cache(distill, self.project.train.curriculum)
        check_teachers(teacher_folders(distill, self.workspace.root), tokenizer)
        plan, tokens = (self.stage(name).existing(self.workspace) for name in ("plan", "tokens"))
        if plan is not None and tokens is not None and tokenizer is not None:
            shared = distill_settings(distill, ensemble, self.project.train, split_over=self._split_over())["ensemble"]
            check_student(Workbench.open(tokens, tokenizer, plan), ensemble, distill, root=self.workspace.root, shared=shared)

    def _evaluate(self) -> Stage:
        return self._evaluation_of(model_stage(self.project))

    def _evaluate_ensemble(self) -> Stage:
        return self._evaluation_of("ensemble")

    def _evaluation_of(self, model: StageName) -> Stage:
        from rodna.evals.config import FORMAT_VERSION
        from rodna.evals.tasks.files import fingerprint_tasks

        roles: dict[str, StageName] = {"model": model, "tokens": "tokens", "corpus": "corpus"}

        def evaluate(out: Path) -> Artifact:
            from rodna.evals.evaluate import evaluate_model

            made = (self.artifact(model), self.artifact("tokens"), self.artifact("corpus"))
            return evaluate_model(*made, self.project.eval, out, root=self.workspace.root)

        inputs: dict[str, Artifact | str] = {role: self._announced(name) for role, name in roles.items()}
        if self.project.eval.tasks:
            inputs["tasks"] = fingerprint_tasks(self.project.eval.tasks, self.workspace.root)
        return self._make("evaluation", FORMAT_VERSION, inputs, self.project.eval, evaluate)

    def _report(self) -> Stage:
        from rodna.publish import report

        project = self.project
        roles: dict[str, StageName] = {
            "corpus": "corpus", "tokenizer": "tokenizer", "plan": "plan", "tokens": "tokens", "model": model_stage(project),
            "evaluation": "evaluate",
        }  # fmt: skip
        if "ensemble" in stages_of(project):
            roles["ensemble"] = "ensemble"
        announced = {role: self._announced(name) for role, name in roles.items()}
        return self._make(
            "report",
            report.REPORT_FORMAT_VERSION,
            report.report_inputs(language=project.language, name=project.name, **announced),
            project.report,
            lambda out: report.write_report(
                language=project.language,
                name=project.name,
                config=project.report,
                out=out,
                **{role: self.artifact(name) for role, name in roles.items()},
            ),
        )
