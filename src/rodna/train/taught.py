"""What learns from teachers, a student or a later member of a chain: whether it can, and how much of it fits the memory at a time."""

import math
from collections.abc import Sequence
from dataclasses import replace

from rodna.core.errors import ConfigError, TrainError
from rodna.core.text import human_bytes
from rodna.models.config import ModelConfig
from rodna.plan.hardware import Machine
from rodna.plan.memory import teaching_memory, training_memory
from rodna.plan.speed import will_compile
from rodna.train.session import Job
from rodna.train.teacher_cache import PIECE_BYTES


def check_targets(job: Job, where: str) -> None:
    """Refuse other targets than the next token beside teachers, who have none.

    Args:
        job: of what learns from teachers.
        where: its settings stand.

    Raises:
        ConfigError: it would have some.
    """
    plain = {"future_tokens": 1, "masked_share": 0.0, "counted_share": 0.0}
    others = {name: value for name, value in plain.items() if getattr(job.values, name) != value}
    if others:
        settings = ", ".join(f"{name}: {value}" for name, value in others.items())
        raise ConfigError(f"what learns from teachers learns the next token alone, and has {', '.join(f'train.{name}' for name in others)}",
                          where=where, fix=f"give it {where}.train: {{{settings}}}")  # fmt: skip


def check_reads(job: Job, teacher: ModelConfig, *, where: str, setting: str) -> None:
    """Refuse a teacher that cannot read what is read by the one that learns.

    Args:
        job: of what learns.
        teacher: the teacher.
        where: it comes from.
        setting: the context of what learns.

    Raises:
        TrainError: its vocabulary or its context is too small or too large.
    """
    if teacher.vocabulary_size != job.model.vocabulary_size:
        raise TrainError(f"the teacher has {teacher.vocabulary_size:,} tokens, what learns from it {job.model.vocabulary_size:,}",
                         where=where, fix="use teachers trained with this project's tokenizer, without padding")  # fmt: skip
    if teacher.context_length < job.model.context_length:
        raise TrainError(
            f"the teacher reads {teacher.context_length:,} tokens at once, what learns from it {job.model.context_length:,}", where=where,
            fix=f"set {setting} to {teacher.context_length}, or leave this teacher out",
        )  # fmt: skip


def fit_memory(job: Job, teachers: Sequence[ModelConfig], machine: Machine, *, share: float, is_planned: bool, cached: bool) -> Job:
    """Return what learns with fewer sequences at a time where its teachers and their cache leave no room for as many.

    What counts is the memory that there is, not what is free just now: a run that is resumed must go on as it was.

    Args:
        job: of what learns.
        teachers: all of them.
        machine: this one.
        share: of its memory, the most that training may take.
        is_planned: the sequences at a time may be fewer; the user did not say how many.
        cached: what the teachers say is kept on disk.

    Raises:
        TrainError: not even one sequence at a time fits, or not as many as the user gave.
    """
    most = int(machine.memory_bytes * share)
    largest, whole = job.values.micro_batch_size, job.values.batch_size
    needed = 0
    for size in [largest, *(size for size in range(largest - 1, 0, -1) if is_planned and whole % size == 0)]:
        smaller = replace(job, values=job.values.model_copy(update={"micro_batch_size": size}))
        needed = memory_of(smaller, teachers, machine, cached=cached)
        if needed <= most:
            return smaller
    raise TrainError(
        f"what learns and its teachers ({len(teachers)}) need {human_bytes(needed)} of memory; {human_bytes(most)} may be used",
        where=f"plan.memory_share: {share:g}",
        fix="use fewer or smaller teachers or a smaller student, lower train.micro_batch_size, or set train.checkpoint_activations to true",
    )


def memory_of(job: Job, teachers: Sequence[ModelConfig], machine: Machine, *, cached: bool) -> int:
    """Estimate the peak memory of a training step beside teachers, in bytes, the piece of their cache included."""
    values, precision = job.values, "fp32" if machine.bf16 == "none" or job.values.precision == "fp32" else "bf16"
    training = training_memory(
        job.model, micro_batch_size=values.micro_batch_size, optimizer=values.optimizer, averaging=values.averaging, precision=precision,
        checkpoint_activations=values.checkpoint_activations, device=machine.device, spelling=values.spelling_rate > 0,
        compiled=will_compile(machine, values.model_dump(), seconds=math.inf),
    )  # fmt: skip
    taught = teaching_memory(teachers, micro_batch_size=values.micro_batch_size, sequence_length=job.model.context_length,
                             precision=precision, device=machine.device)  # fmt: skip
    return training.total + taught + (PIECE_BYTES if cached else 0)
