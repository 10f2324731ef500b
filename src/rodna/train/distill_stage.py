"""The distill stage: one student of a standard family, from the ensemble's members and any other teachers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rodna.core import artifact
from rodna.core.artifact import Artifact
from rodna.core.errors import RodnaError, TrainError
from rodna.core.files import write_json
from rodna.core.log import say
from rodna.models.checkpoint import load_config
from rodna.models.config import ModelConfig
from rodna.models.ensemble import tokenizer_digest
from rodna.models.hf import family_of
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.train import variants
from rodna.train.config import FORMAT_VERSION
from rodna.train.counting import keep_counts
from rodna.train.ensemble_config import DistillConfig, EnsembleConfig
from rodna.train.identity import teacher_fingerprint, teacher_folders
from rodna.train.members import Workbench, clear_states, counts_of, member_folders, taught_by
from rodna.train.runtime import compute_dtype
from rodna.train.session import Job, Trained, copy_checkpoint, keep
from rodna.train.state import RunFolder
from rodna.train.taught import check_reads, check_targets, fit_memory
from rodna.train.teacher_cache import CacheSetup, TeacherCache
from rodna.train.variants import member_jobs

DISTILLATION = "distillation.json"
ALONE = "alone"


def distill(
    tokens: Artifact,
    tokenizer: Artifact,
    plan: Artifact,
    ensemble: Artifact | None,
    config: DistillConfig,
    out: Path,
    *,
    run: Path,
    root: Path,
    inputs: dict[str, Artifact | str],
    settings: dict[str, Any],
) -> Artifact:
    """Train the student that is released, from all its teachers at once.

    Interrupted at any moment, the same call goes on from the last saved state and ends with bit-identical weights.

    Args:
        tokens: the encoded corpus.
        tokenizer: of student and teachers.
        plan: of one member, or without members of the student.
        ensemble: whose members teach; None where there is none.
        config: further teachers, and how the student learns.
        out: the model artifact; with `config.compare` also the student trained alone, below `alone`.
        run: folder of states and metrics; may be deleted once the model is there.
        root: folder that the teachers' paths start from.
        inputs: of the artifact: those above, and a fingerprint of each teacher given by path.
        settings: of the artifact, see `identity.distill_settings`.

    Raises:
        TrainError: a teacher has another tokenizer, the loss is no longer finite, or the saved state is damaged.
        ModelError: the student is of no standard family.
        KeyboardInterrupt: the user asked to stop; the state is saved.
    """
    bench = Workbench.open(tokens, tokenizer, plan)
    job, teachers = prepare_student(bench, ensemble, config, root=root, shared=settings["ensemble"])
    setup = bench.setup(
        job, inputs={role: item if isinstance(item, str) else item.digest for role, item in inputs.items()}, config=settings
    )
    say(f"  student of {len(teachers)} teacher{'s' if len(teachers) > 1 else ''}")
    student = teach(bench, job, teachers, ensemble, config, RunFolder(run, tokenizer_folder=tokenizer.path, setup=setup), caches=run.parent)
    alone = _alone(bench, variants.untaught(job, config.student, bench.plan), run / ALONE) if config.compare else None
    with artifact.create(out, kind="model", format_version=FORMAT_VERSION, inputs=inputs, config=settings, seed=job.values.seed) as draft:
        beside = keep_counts(
            student.checkpoint, tokens, draft.path, order=job.values.ngram_order, device=bench.device,
            compute_dtype=compute_dtype(bench.machine, job.values),
        )  # fmt: skip
        draft.counts = keep(student, draft.path, **beside)
        if alone is not None:
            copy_checkpoint(alone.checkpoint, draft.path / ALONE)
        counted = counts_of(ensemble) if ensemble else None
        write_json(draft.path / DISTILLATION, _summary(bench, job, config, teachers, student, alone, counted))
    if alone is not None:
        clear_states(run / ALONE)
    return draft.result


def prepare_student(
    bench: Workbench, ensemble: Artifact | None, config: DistillConfig, *, root: Path, shared: Mapping[str, Any]
) -> tuple[Job, list[Path]]:
    """Return what a student is, and the folders of its teachers, all of it checked.

    Args:
        bench: the plan and the corpus.
        ensemble: whose members teach; None where there is none.
        config: further teachers, and how the student learns.
        root: folder that the teachers' paths start from.
        shared: how the time is shared with an ensemble; empty where there is none.

    Raises:
        TrainError: a teacher is missing or does not suit, or all of them need more memory than there is.
        ModelError: the student is of no standard family.
    """
    folders = [*(member_folders(ensemble) if ensemble else []), *teacher_folders(config, root)]
    check_teachers(folders, bench.tokenizer)
    check_cache(config, bench.plan.train.get("curriculum", "none"))
    return suited_student(bench, config, shared, {str(folder): load_config(folder) for folder in folders}), folders


def check_student(bench: Workbench, ensemble: EnsembleConfig, config: DistillConfig, *, root: Path, shared: Mapping[str, Any]) -> None:
    """Refuse a student that could not learn from the members, before any of these is trained.

    Args:
        bench: the plan and the corpus.
        ensemble: the members' settings.
        config: further teachers, and how the student learns.
        root: folder that the teachers' paths start from.
        shared: how the time is shared with the ensemble; empty where there is none.

    Raises:
        TrainError: a member or another teacher does not suit, or all of them need more memory than there is.
        ModelError: the student is of no standard family.
        ConfigError: settings contradict each other.
    """
    members = member_jobs(ensemble, bench.plan, bench.given, bench.shaped, num_tokens=bench.num_tokens) if shared else []
    teachers = {f"member {number} of {len(members)}": job.model for number, job in enumerate(members, 1)}
    suited_student(bench, config, shared, teachers | {str(folder): load_config(folder) for folder in teacher_folders(config, root)})


def suited_student(bench: Workbench, config: DistillConfig, shared: Mapping[str, Any], teachers: Mapping[str, ModelConfig]) -> Job:
    """Return the student as the memory allows it; see `prepare_student`. `teachers` are named as errors are to name them."""
    job = student_job(bench, config, shared, list(teachers.values()))
    family_of(job.model)  # What is released opens everywhere.
    check_targets(job, "distill.student")
    for name, teacher in teachers.items():
        check_reads(job, teacher, where=name, setting="distill.student.model.context_length")
    is_planned = bench.given.get("micro_batch_size", "planned") == "planned" and "micro_batch_size" not in config.student.train
    return fit_memory(job, list(teachers.values()), bench.machine, share=bench.memory_share, is_planned=is_planned,
                      cached=bool(config.cache_top_k))  # fmt: skip


def teach(
    bench: Workbench,
    job: Job,
    teachers: Sequence[Path],
    ensemble: Artifact | None,
    config: DistillConfig,
    folder: RunFolder,
    *,
    caches: Path,
) -> Trained:
    """Train a student, going on from the last saved state.

    Args:
        bench: the plan and the corpus.
        job: the student.
        teachers: folders of all of them.
        ensemble: some of them are members of, with its counts where it has any.
        config: how the student learns.
        folder: of the run.
        caches: where the folders of what teachers say lie, if `config` wants it kept.
    """
    counted = counts_of(ensemble) if ensemble else None
    # With counts, the ensemble's own folder is a teacher too.
    sources = [*teachers, ensemble.path] if ensemble and counted and counted.is_file() else teachers
    cache = _cache(bench, job, config, sources, caches) if config.cache_top_k else None
    return bench.fit(job, folder, taught_by(teachers, config, device=bench.device, cache=cache, counted=counted))


def _cache(bench: Workbench, job: Job, config: DistillConfig, teachers: Sequence[Path], runs: Path) -> TeacherCache:
    """Return the cache of what these teachers say of this text: shared by all students that read it in the same order."""
    curriculum = job.values.curriculum
    is_plain = curriculum == "none" and not job.values.bpe_dropout
    # Other segmentations are read up to a share of the training's rows.
    rows = job.values.steps * job.values.batch_size
    setup = CacheSetup(
        teachers=tuple(teacher_fingerprint(folder) for folder in teachers), average=config.average, temperature=config.temperature,
        tokens=bench.tokens.digest, seed=job.order_seed, context_length=job.model.context_length,
        vocabulary_size=job.model.vocabulary_size, top_k=min(config.cache_top_k, job.model.vocabulary_size),
        computed=f"{bench.device} {compute_dtype(bench.machine, job.values)}".replace("torch.", ""),
        order="" if is_plain else f"{curriculum}, BPE-dropout {job.values.bpe_dropout:g} of {rows} rows",
    )  # fmt: skip
    name = hashlib.sha256(json.dumps(asdict(setup), sort_keys=True).encode()).hexdigest()[:8]
    return TeacherCache(runs / f"teachers-{name}", setup)


def _alone(bench: Workbench, job: Job, run: Path) -> Trained:
    """Train a model of the student's size from the text alone, for as many steps."""
    say("  the same student, alone")
    return bench.fit(job, RunFolder(run, tokenizer_folder=bench.tokenizer.path, setup=bench.setup(job)))


def student_job(bench: Workbench, config: DistillConfig, shared: Mapping[str, Any], teachers: Sequence[ModelConfig]) -> Job:
    """Return what the student is, its size and steps fitting the time that it has.

    Args:
        bench: the plan and the corpus.
        config: the student's settings.
        shared: how the time is shared with an ensemble; empty where there is none.
        teachers: all of them: their forward passes take time too.
    """
    time = variants.time_of_student(shared, bench.plan)
    return variants.student_job(config.student, bench.plan, bench.given, bench.shaped, num_tokens=bench.num_tokens, time=time,
                                teachers=teachers)  # fmt: skip


def check_teachers(folders: Sequence[Path], tokenizer: Artifact | None) -> None:
    """Refuse teachers that cannot teach, before anything is trained for them.

    Args:
        folders: of checkpoints.
        tokenizer: the student's; None while there is none yet: then only what each teacher is by itself is looked at.

    Raises:
        TrainError: a teacher is missing, of an unknown architecture, or has another tokenizer.
    """
    expected = tokenizer_digest(Tokenizer.load(tokenizer.path)) if tokenizer is not None else ""
    for folder in folders:
        try:
            load_config(folder)
            found = tokenizer_digest(Tokenizer.load(folder))
        except RodnaError as error:
            raise TrainError(f"the teacher cannot be opened: {error.what}", where=str(folder),
                             fix="correct distill.teachers: folders of checkpoints, seen from the project file") from error  # fmt: skip
        if expected and found != expected:
            raise TrainError(
                "the teacher has another tokenizer than this project: what it says of its tokens means nothing here",
                where=str(folder), fix="use a teacher trained with this project's tokenizer, or leave it out of distill.teachers",
            )  # fmt: skip


def check_cache(config: DistillConfig, curriculum: str) -> None:
    """Refuse a cache of what teachers say where rows have more than one length.

    Args:
        config: with the cache, and the student's own curriculum where it has one.
        curriculum: of the project or its plan.

    Raises:
        TrainError: sequences grow.
    """
    own = "distill.student.train.curriculum" if "curriculum" in config.student.train else "train.curriculum"
    if config.cache_top_k and config.student.train.get("curriculum", curriculum) == "context_grows":
        raise TrainError(
            "what teachers say is kept on disk for rows of one length, and the curriculum context_grows cuts them shorter at first",
            where=f"distill.cache_top_k: {config.cache_top_k}, {own}: context_grows",
            fix="set distill.cache_top_k to 0: teachers are asked every time then; or set the curriculum to none or short_first",
        )


def _summary(
    bench: Workbench,
    job: Job,
    config: DistillConfig,
    teachers: Sequence[Path],
    student: Trained,
    alone: Trained | None,
    counted: Path | None,
) -> dict[str, Any]:
    """Return what `distillation.json` holds: figures of the whole validation split, in bits per byte, and the student's settings.

    The share of the gain is (alone - student) / (alone - teachers together).
    """
    teaching = bench.scores(teachers, counted=counted)
    folders = [student.checkpoint] + ([alone.checkpoint] if alone is not None else [])
    scores = bench.scores(folders).get("members", [None] * len(folders))
    # As the user named them: where a workspace lies is nobody's business.
    names = [folder.name for folder in teachers[: len(teachers) - len(config.teachers)]] + list(config.teachers)
    rows = [
        {"path": name, "parameters": load_config(folder).num_parameters, "bits_per_byte": bits}
        for name, folder, bits in zip(names, teachers, teaching.get("members", [None] * len(teachers)), strict=True)
    ]
    found: dict[str, Any] = {
        "split": "validation", "teachers": rows, "teachers_bits_per_byte": teaching.get("ensemble"), "student_bits_per_byte": scores[0],
        "temperature": config.temperature, "alpha": config.alpha, "loss": config.loss, "average": config.average,
        "steps": student.progress.step, "seconds": student.progress.seconds,
        "student": {"model": job.model.model_dump(mode="json"), "train": job.values.model_dump(mode="json")},
        "expected": None if config.teachers else variants.expected_of(job, bench.plan, teachers=[load_config(path) for path in teachers]),
    }  # fmt: skip
    cache = student.summary.get("distillation", {}).get("cache")
    if cache:
        found["cache"] = cache
    if alone is not None and scores[0] is not None:
        possible = scores[1] - teaching["ensemble"]
        found |= {"alone_bits_per_byte": scores[1], "alone_seconds": alone.progress.seconds, "difference": scores[1] - scores[0],
                  "share_of_gain": (scores[1] - scores[0]) / possible if possible > 0 else None}  # fmt: skip
    return found
