"""One training from its settings to its best checkpoint: what the stages do alike around the loop."""

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from rodna.core.artifact import Artifact
from rodna.core.files import write_json
from rodna.data.batches import Batches
from rodna.data.curriculum import make_batches, row_lengths
from rodna.data.segmentations import segmentations_for
from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine, measure_speeds
from rodna.plan.speed import will_compile
from rodna.train.config import TrainValues
from rodna.train.loop import Objective, Speedometer, first_micro_batch, train
from rodna.train.optim import build_optimizers, spelling_for
from rodna.train.runtime import compile_decoder, compute_dtype, prepare, undo_compilation
from rodna.train.several_targets import build_objective, count_for
from rodna.train.state import RESUMING, Progress, RunFolder


@dataclass(frozen=True)
class Job:
    """What is trained.

    Attributes:
        model: the decoder.
        values: the settings.
        order_seed: of the order of the text; `values.seed` is that of fresh weights and dropout.
    """

    model: ModelConfig
    values: TrainValues
    order_seed: int


@dataclass(frozen=True)
class Lesson:
    """What is learned.

    Attributes:
        objective: the loss.
        flops_per_token: what it takes besides the decoder's own forward and backward, such as teachers' forward passes.
        end: to be called when the training ends, also by an error.
        summary: what the run's summary says of it, asked at the end.
    """

    objective: Objective
    flops_per_token: float = 0.0
    end: Callable[[], None] = lambda: None
    summary: Callable[[], Mapping[str, Any]] = dict


MakeLesson = Callable[[Decoder, Job, torch.dtype, Tokens], Lesson]
"""Called once the decoder is on its device, with the text that is learned."""


@dataclass(frozen=True)
class Trained:
    """What a finished training leaves.

    Attributes:
        progress: how it went.
        checkpoint: the folder with the lowest validation loss, or the last one where none was scored.
        metrics: the log.
        summary: figures for the report.
    """

    progress: Progress
    checkpoint: Path
    metrics: Path
    summary: dict[str, Any]


def plain_lesson(decoder: Decoder, job: Job, dtype: torch.dtype, text: Tokens) -> Lesson:
    """Return what is learned without teachers."""
    return Lesson(build_objective(job.values, decoder, count_for(job.values, text, decoder.embedding.weight.device)))


def fit(
    job: Job,
    tokens: Artifact,
    folder: RunFolder,
    *,
    machine: Machine,
    speeds: Mapping[str, Any],
    seconds: float,
    make_lesson: MakeLesson = plain_lesson,
) -> Trained:
    """Train, going on from the last saved state in `folder`.

    Args:
        job: what is trained.
        tokens: the encoded corpus.
        folder: of the run.
        machine: this one.
        speeds: of the plan's machine, for MFU; measured anew where that was another one.
        seconds: the training is expected to take: decides whether compiling pays.
        make_lesson: gives what is learned.

    Raises:
        TrainError: the loss is no longer finite, or the saved state is damaged.
        KeyboardInterrupt: the user asked to stop; the state is saved.
    """
    model, values = job.model, job.values
    device, dtype = prepare(machine), compute_dtype(machine, values)
    decoder = Decoder(model).initialize(seed=values.seed).to(device)
    decoder.checkpoint_activations = values.checkpoint_activations
    optimizers = build_optimizers(decoder, values, spelling_for(values, folder.tokenizer_folder, decoder))
    text = Tokens.open(tokens.path, "train")
    segmentations = segmentations_for(text, folder.tokenizer_folder, dropout=values.bpe_dropout, seed=job.order_seed)
    batches = make_batches(text, values, model.context_length, order_seed=job.order_seed, segmentations=segmentations)
    progress = folder.resume(decoder, optimizers)
    lesson = make_lesson(decoder, job, dtype, text)
    if progress.lesson_flops < 0:
        # Later attempts find what this run itself has kept of its teachers, and would count nothing for asking them.
        progress.lesson_flops = lesson.flops_per_token
    speedometer = Speedometer(flops_per_token(model).model + progress.lesson_flops, peak_flops(speeds_here(speeds, machine), dtype))
    compiled = False
    try:
        if will_compile(machine, values.model_dump(), seconds=seconds):
            example = first_micro_batch(batches.batch(min(progress.step, values.steps - 1)), values, device)
            lengths = len(row_lengths(values, model.context_length))
            compiled = compile_decoder(decoder, example, dtype=dtype, objective=lesson.objective, row_lengths=lengths)
        train(
            decoder, optimizers, batches, Tokens.open(tokens.path, "validation"), values, folder=folder, progress=progress, dtype=dtype,
            speedometer=speedometer, objective=lesson.objective,
        )  # fmt: skip
    finally:
        lesson.end()
        if compiled:
            # What is trained next in this process, a member that is not compiled, must be what it is by itself.
            undo_compilation(decoder)
    summary = summarize(progress, batches, model, machine, dtype=dtype, compiled=compiled, speedometer=speedometer)
    summary |= lesson.summary()
    return Trained(progress, folder.released(progress), folder.metrics, summary)


def keep(trained: Trained, out: Path, **more: Any) -> dict[str, Any]:
    """Put the checkpoint, its log and its figures into an artifact's folder; return the figures that describe it in one line."""
    copy_checkpoint(trained.checkpoint, out)
    shutil.copyfile(trained.metrics, out / "metrics.jsonl")
    write_json(out / "training.json", trained.summary | more)
    return {key: trained.summary[key] for key in ("parameters", "steps", "tokens_seen", "epochs")}


def copy_checkpoint(checkpoint: Path, out: Path) -> None:
    """Copy a checkpoint's files, without what only resuming needs. Nobody writes into files of either place, so they share the disk."""
    out.mkdir(parents=True, exist_ok=True)
    for file in checkpoint.iterdir():
        if file.name in RESUMING or not file.is_file():
            continue
        with suppress(OSError):
            os.link(file, out / file.name)
            continue
        shutil.copyfile(file, out / file.name)


def speeds_here(planned: Mapping[str, Any], machine: Machine) -> Mapping[str, Any]:
    """Return the speeds of the machine at hand: the plan's where it was made here, else measured now, which takes a second."""
    here = asdict(machine)
    if planned.get("at_hand", True) and all(planned.get(name, here[name]) == here[name] for name in ("name", "device", "cores")):
        return planned
    return here | asdict(measure_speeds(machine))


def peak_flops(speeds: Mapping[str, Any], dtype: torch.dtype) -> float:
    """Return the matrix-product speed to compare with: the maker's for a GPU it is known of, else the measured one."""
    if speeds.get("peak_bf16_tflops") and dtype is torch.bfloat16:
        return float(speeds["peak_bf16_tflops"]) * 1e12
    return float(speeds.get("bf16_flops" if dtype is torch.bfloat16 else "fp32_flops", 0.0))


def summarize(
    progress: Progress,
    batches: Batches,
    model: ModelConfig,
    machine: Machine,
    *,
    dtype: torch.dtype,
    compiled: bool,
    speedometer: Speedometer,
) -> dict[str, Any]:
    """Return the figures of a finished run, for the report."""
    rate = progress.tokens / progress.seconds if progress.seconds else 0.0
    return {
        "steps": progress.step,
        "tokens_seen": progress.tokens,
        "epochs": batches.epochs(progress.step),
        "seconds": progress.seconds,
        "flops": progress.tokens * speedometer.flops_per_token,
        "parameters": model.num_parameters,
        "best_step": progress.best_step or progress.step,
        "best_validation_bits_per_byte": progress.best_bits_per_byte if progress.best_step else None,
        "stopped_early": progress.stopped_early,
        "peak_memory_bytes": progress.peak_memory_bytes,
        "device": machine.name,
        "device_kind": machine.device,
        "cores": machine.cores,
        "watts": machine.watts,
        "peak_flops": speedometer.peak_flops,
        "dtype": str(dtype).removeprefix("torch."),
        "compiled": compiled,
        "threads": torch.get_num_threads(),
        "tokens_per_second": rate,
        "mfu": speedometer.mfu(rate),
        "interruptions": progress.interruptions,
    }
