"""The ensemble stage: several members trained one after another, each a run of its own, then averaged.

    runs/<ensemble>/member-02-3f9a1c07/          the run: states, best checkpoint, metrics
    runs/<ensemble>/member-02-3f9a1c07/finished/ once it has ended: an artifact of kind "member"

A member's folder is named after all that decides its weights, so a finished one is found again whatever else changes.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rodna.core import artifact
from rodna.core.artifact import MANIFEST, Artifact
from rodna.core.files import write_json
from rodna.core.log import say
from rodna.data.tokens import Tokens
from rodna.evals.models.ensemble import EnsembleModel
from rodna.models import checkpoint
from rodna.models.config import ModelConfig
from rodna.models.counted import FILE
from rodna.models.counted import load as load_counted
from rodna.models.counted import save as save_counted
from rodna.models.decoder import Decoder
from rodna.models.ensemble import load_ensemble
from rodna.plan.config import PlanConfig
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine, describe_machine
from rodna.plan.plan import read_plan
from rodna.plan.propose import Plan
from rodna.train.counting import add_counts, validation_bits
from rodna.train.distillation import Distillation
from rodna.train.ensemble_config import DistillConfig, EnsembleConfig
from rodna.train.identity import CHAIN_SETTINGS, ENSEMBLE_FORMAT_VERSION, SPLIT, ensemble_settings
from rodna.train.session import Job, Lesson, MakeLesson, Trained, copy_checkpoint, fit, keep, plain_lesson
from rodna.train.state import RunFolder, setup_digest
from rodna.train.taught import check_reads, check_targets, fit_memory
from rodna.train.teacher_cache import TeacherCache
from rodna.train.variants import member_jobs

MEMBER_FORMAT_VERSION = 1
ENSEMBLE = "ensemble.json"


@dataclass(frozen=True)
class Workbench:
    """What every training of a stage shares.

    Attributes:
        tokens: the encoded corpus.
        tokenizer: copied into every checkpoint.
        plan: what the plan says.
        given: the training settings as the user wrote them.
        shaped: the model's settings as the user wrote them; also `preset`, a named size.
        machine: this one.
        memory_share: of its memory, the most that training may take.
    """

    tokens: Artifact
    tokenizer: Artifact
    plan: Plan
    given: Mapping[str, Any]
    shaped: Mapping[str, Any]
    machine: Machine
    memory_share: float

    @classmethod
    def open(cls, tokens: Artifact, tokenizer: Artifact, plan: Artifact) -> "Workbench":
        """Read the plan and look at the machine."""
        proposal = read_plan(plan)
        machine = describe_machine("cpu" if proposal.machine.get("device") == "cpu" else "auto")
        settings = plan.manifest.config
        asked = settings.get("plan", {})
        share = asked.get("memory_share", PlanConfig.model_fields["memory_share"].default)
        shaped = {**settings.get("model", {}), "preset": asked.get("preset", PlanConfig.model_fields["preset"].default)}
        return cls(tokens, tokenizer, proposal, settings.get("train", {}), shaped, machine, float(share))

    def setup(self, job: Job, **more: Any) -> str:
        """Return the digest of all that decides the weights of a training."""
        return setup_digest(
            tokens=self.tokens.digest, tokenizer=self.tokenizer.digest, model=job.model.model_dump(mode="json"),
            train=job.values.model_dump(mode="json"), order_seed=job.order_seed, version=MEMBER_FORMAT_VERSION, **more,
        )  # fmt: skip

    def fit(self, job: Job, folder: RunFolder, make_lesson: MakeLesson = plain_lesson) -> Trained:
        """Train, going on where it was."""
        planned = flops_per_token(self.plan.model).model * self.plan.train["batch_size"] * self.plan.model.context_length
        relative = flops_per_token(job.model).model * job.values.batch_size * job.model.context_length / planned
        seconds = float(self.plan.estimates.get("step_seconds", 0.0)) * relative * job.values.steps
        return fit(job, self.tokens, folder, machine=self.machine, speeds=self.plan.machine, seconds=seconds, make_lesson=make_lesson)

    @property
    def num_tokens(self) -> int:
        """Of the train split."""
        return Tokens.open(self.tokens.path, "train").num_tokens

    @property
    def device(self) -> str:
        return self.machine.device

    def scores(self, folders: Sequence[Path], *, counted: Path | None = None) -> dict[str, Any]:
        """Return the bits per byte of the validation split under the average of some checkpoints, and under each alone.

        Args:
            folders: of the checkpoints.
            counted: a file of counted n-grams that are mixed in, where it exists.
        """
        return validation_bits(self.opened(folders, counted), Tokens.open(self.tokens.path, "validation"))

    def opened(self, folders: Sequence[Path], counted: Path | None = None) -> EnsembleModel:
        """Return checkpoints as one model, with the counts in a file where it exists."""
        ensemble, tokenizer = load_ensemble(folders, device=self.device, counted=counted)
        dtype = torch.float32 if self.machine.bf16 == "none" or self.plan.train.get("precision") == "fp32" else torch.bfloat16
        return EnsembleModel(ensemble, tokenizer, compute_dtype=dtype)


def train_ensemble(
    tokens: Artifact,
    tokenizer: Artifact,
    plan: Artifact,
    config: EnsembleConfig,
    distill: DistillConfig,
    out: Path,
    *,
    run: Path,
    split_over: int,
) -> Artifact:
    """Train the members one after another and measure them, alone and averaged, on the validation split.

    Interrupted at any moment, the same call goes on in the member it had come to; finished members are never trained again.

    Args:
        tokens: the encoded corpus.
        tokenizer: copied into every checkpoint.
        plan: of one member.
        config: how many members, and what they differ in.
        distill: how a member learns from those before it, where `config.chain`.
        out: the artifact: `member-01`, ... with a checkpoint each, and `ensemble.json`.
        run: folder of the members' runs; may be deleted once the ensemble is there.
        split_over: over how many members the plan split the time.

    Raises:
        ConfigError: a member's settings contradict each other.
        TrainError: a loss is no longer finite, or a saved state is damaged.
        KeyboardInterrupt: the user asked to stop; the state is saved.
    """
    inputs = {"tokens": tokens, "tokenizer": tokenizer, "plan": plan}
    bench = Workbench.open(tokens, tokenizer, plan)
    jobs = member_jobs(config, bench.plan, bench.given, bench.shaped, num_tokens=bench.num_tokens)
    for job in jobs:
        checkpoint.check(job.model)
    for number, job in enumerate(jobs[1:] if config.chain else (), 1):
        _check_chained(job, [before.model for before in jobs[:number]], f"ensemble.overrides.{number}")
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / SPLIT, {"inputs": {role: item.digest for role, item in inputs.items()}, "split_over": split_over})
    members: list[Artifact] = []
    for number, job in enumerate(jobs, 1):
        members.append(_member(bench, job, number, len(jobs), run, before=members if config.chain else [], distill=distill))
    settings = ensemble_settings(config, distill, split_over=split_over)
    with artifact.create(
        out, kind="ensemble", format_version=ENSEMBLE_FORMAT_VERSION, inputs=inputs, config=settings, seed=jobs[0].values.seed
    ) as draft:
        for number, member in enumerate(members, 1):
            copy_checkpoint(member.path, draft.path / member_name(number))
        models, counted = bench.opened([member.path for member in members]), draft.path / FILE
        validation = Tokens.open(tokens.path, "validation")
        if config.ngram_order:
            say(f"  counting n-grams of up to {config.ngram_order} tokens")
            save_counted(counted, add_counts(models, Tokens.open(tokens.path, "train"), validation, order=config.ngram_order))
        summary = _summary(bench, jobs, members, validation_bits(models, validation), counted)
        write_json(draft.path / ENSEMBLE, summary)
        draft.counts = {"members": len(members), **{key: summary[key] for key in ("parameters", "seconds", "bits_per_byte", "gain")}}
    return draft.result


def member_name(number: int) -> str:
    """Return the folder of a member in an ensemble's artifact; members are counted from 1."""
    return f"member-{number:02d}"


def member_folders(ensemble: Artifact) -> list[Path]:
    """Return the checkpoints of an ensemble, in order."""
    return [ensemble.path / member_name(number) for number in range(1, int(ensemble.counts["members"]) + 1)]


def count_finished(tokens: Artifact, tokenizer: Artifact, plan: Artifact, config: EnsembleConfig, distill: DistillConfig, run: Path) -> int:
    """Return how many members of an ensemble need not be trained any more.

    Args:
        tokens: the encoded corpus.
        tokenizer: of the members.
        plan: of one member.
        config: how many members, and what they differ in.
        distill: how a member learns from those before it, where `config.chain`.
        run: folder of the members' runs.
    """
    bench, done = Workbench.open(tokens, tokenizer, plan), list[Artifact]()
    for number, job in enumerate(member_jobs(config, bench.plan, bench.given, bench.shaped, num_tokens=bench.num_tokens), 1):
        setup = _identity(bench, job, done if config.chain else [], distill)[1]
        finished = run / f"{member_name(number)}-{setup[:8]}" / "finished"
        if (finished / MANIFEST).is_file():
            done.append(Artifact.open(finished, kind="member"))
        elif config.chain:
            break
    return len(done)


def _check_chained(job: Job, before: Sequence[ModelConfig], where: str) -> None:
    """Refuse a member of a chain that could not learn from those before it."""
    check_targets(job, where)
    for number, teacher in enumerate(before, 1):
        check_reads(job, teacher, where=f"member {number}, before {where}", setting=f"{where}.model.context_length")


def _identity(bench: Workbench, job: Job, before: Sequence[Artifact], distill: DistillConfig) -> tuple[dict[str, Any], str]:
    """Return how a member is taught by those before it, and the digest of all that decides its weights."""
    teaching = distill.model_dump(mode="json", include=CHAIN_SETTINGS) if before else {}
    return teaching, bench.setup(job, teachers=[member.digest for member in before], teaching=teaching)


def _member(
    bench: Workbench, job: Job, number: int, count: int, run: Path, *, before: Sequence[Artifact], distill: DistillConfig
) -> Artifact:
    """Return a finished member, training it where it is not."""
    teaching, setup = _identity(bench, job, before, distill)
    place = run / f"{member_name(number)}-{setup[:8]}"
    finished = place / "finished"
    if (finished / MANIFEST).is_file():
        say(f"  member {number} of {count}: unchanged")
        clear_states(place)  # Killed in between, they were left.
        return Artifact.open(finished, kind="member")
    say(f"  member {number} of {count}" + (f", learning also from the {len(before)} before it" if before else ""))
    folder = RunFolder(place, tokenizer_folder=bench.tokenizer.path, setup=setup)
    make_lesson = plain_lesson
    if before:
        make_lesson = taught_by([member.path for member in before], distill, device=bench.device)
        # Which member this is does not depend on how much of a batch fits the memory at a time.
        job = fit_memory(job, [checkpoint.load_config(member.path) for member in before], bench.machine, share=bench.memory_share,
                         is_planned=bench.given.get("micro_batch_size", "planned") == "planned", cached=False)  # fmt: skip
    trained = bench.fit(job, folder, make_lesson)
    inputs = {"tokens": bench.tokens, "tokenizer": bench.tokenizer, **{f"teacher-{n:02d}": item for n, item in enumerate(before, 1)}}
    settings = {"model": job.model.model_dump(mode="json"), "train": job.values.model_dump(mode="json"), "order_seed": job.order_seed}
    with artifact.create(
        finished, kind="member", format_version=MEMBER_FORMAT_VERSION, inputs=inputs, config=settings | {"distill": teaching},
        seed=job.values.seed,
    ) as draft:  # fmt: skip
        draft.counts = keep(trained, draft.path)
    clear_states(place)
    return draft.result


def clear_states(run: Path) -> None:
    """Delete a finished run's saved states."""
    for state in [*run.glob("step-*"), *run.glob("best-*")]:
        shutil.rmtree(state, ignore_errors=True)


def taught_by(
    folders: Sequence[Path], config: DistillConfig, *, device: str, cache: TeacherCache | None = None, counted: Path | None = None
) -> MakeLesson:
    """Return what makes a lesson of teachers, and of counts where there is a file of them: all are opened only when the training begins."""

    def make(decoder: Decoder, job: Job, dtype: torch.dtype, _: Tokens) -> Lesson:
        teachers = load_ensemble(folders, average=config.average, device=device, counted=counted)[0]
        lesson = Distillation(teachers, temperature=config.temperature, alpha=config.alpha, loss=config.loss, cache=cache)
        length = job.model.context_length
        flops = lesson.flops_per_token(length, run_tokens=job.values.steps * job.values.batch_size * length)
        return Lesson(lesson, flops, end=lesson.close, summary=lambda: {"distillation": lesson.summary()})

    return make


def counts_of(ensemble: Artifact) -> Path:
    """Return where an ensemble's artifact has its counted n-grams, if it has any."""
    return ensemble.path / FILE


def _summary(
    bench: Workbench, jobs: Sequence[Job], members: Sequence[Artifact], scores: Mapping[str, Any], counted: Path
) -> dict[str, Any]:
    """Return what `ensemble.json` holds. The gain is that over the mean of the members, in bits per byte."""
    figures = [json.loads((member.path / "training.json").read_text(encoding="utf-8")) for member in members]
    alone = scores.get("members", [None] * len(members))
    mean = sum(alone) / len(alone) if scores else None
    rows = [
        {
            "name": member_name(number), "digest": member.digest, "parameters": job.model.num_parameters, "seed": job.values.seed,
            "order_seed": job.order_seed, "dropout": job.model.dropout, "width": job.model.width, "num_layers": job.model.num_layers,
            "family": job.model.family, "steps": figure["steps"], "epochs": figure["epochs"], "seconds": figure["seconds"],
            "bits_per_byte": bits,
        }
        for number, (job, member, figure, bits) in enumerate(zip(jobs, members, figures, alone, strict=True), 1)
    ]  # fmt: skip
    counts = {}
    if counted.is_file():
        model, weight = load_counted(counted)
        counts = {"counted": {"order": model.order, "ngrams": model.num_ngrams, "weight": weight, "bits_per_byte": scores.get("counted")}}
    return {
        "members": rows,
        **counts,
        "split": "validation",
        "mean_bits_per_byte": mean,
        "bits_per_byte": scores.get("ensemble"),
        "gain": mean - scores["ensemble"] if mean is not None else None,
        "parameters": sum(job.model.num_parameters for job in jobs),
        "seconds": sum(figure["seconds"] for figure in figures),
    }
