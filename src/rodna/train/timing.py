"""How long a training step takes on this machine: real steps of the real loop's parts, for the plan."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from rodna.core.config import validate
from rodna.data.batches import Batch
from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.plan.hardware import Machine
from rodna.plan.speed import StepTime, will_compile
from rodna.train.averaging import WeightAverage
from rodna.train.config import TrainValues
from rodna.train.loop import first_micro_batch, learn_batch
from rodna.train.optim import build_optimizers, update
from rodna.train.runtime import compile_decoder, compute_dtype, prepare, undo_compilation
from rodna.train.several_targets import build_objective, count_for
from rodna.train.spelling import Spelling

MEASURED_SECONDS = 4.0
UPDATE_FACTOR = 1e-6
"""Of the learning rates: the weights hardly move, yet nothing is skipped for being zero."""


def time_steps(
    model: ModelConfig,
    train: Mapping[str, Any],
    *,
    machine: Machine,
    expected_seconds: float = float("inf"),
    seconds: float = MEASURED_SECONDS,
) -> StepTime:
    """Time optimizer steps as the loop would make them: its objective, optimizers, dropout and averaging, compiled if it would compile.

    A plain mean of the weights is timed as if every step were in its window: at most a percent too much.

    Args:
        model: the decoder.
        train: settings, all plain values.
        machine: this one.
        expected_seconds: of the whole training: decides whether compiling pays.
        seconds: to measure for, at least three steps.
    """
    values = validate(TrainValues, train)
    device, dtype = prepare(machine), compute_dtype(machine, values)
    decoder = Decoder(model).initialize(seed=0).to(device)
    decoder.checkpoint_activations = values.checkpoint_activations
    generator = torch.Generator().manual_seed(0)
    stream_BT = torch.randint(model.vocabulary_size, (values.batch_size, model.context_length + 1), generator=generator)
    counts = count_for(values, _as_text(stream_BT, model.vocabulary_size), device)
    spelling = Spelling.stand_in(model.vocabulary_size).to(device) if values.spelling_rate else None
    optimizers, objective = build_optimizers(decoder, values, spelling), build_objective(values, decoder, counts)
    average = WeightAverage(decoder, values)
    batch = Batch(stream_BT[:, :-1].contiguous(), stream_BT[:, 1:].contiguous(), torch.zeros_like(stream_BT[:, 1:]),
                  torch.arange(len(stream_BT)))  # fmt: skip

    started = time.perf_counter()
    compiled = will_compile(machine, train, seconds=expected_seconds) and compile_decoder(
        decoder, first_micro_batch(batch, values, device), dtype=dtype, objective=objective
    )
    startup = time.perf_counter() - started
    times: list[float] = []
    try:
        while len(times) < 3 or sum(times) < seconds:
            step_started = time.perf_counter()
            learn_batch(decoder, batch, values, device=device, step=len(times), dtype=dtype, objective=objective)
            update(decoder, optimizers, factor=UPDATE_FACTOR, clip_norm=values.clip_norm)
            average.include(values.steps)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - step_started)
    finally:
        if compiled:
            undo_compilation(decoder)
    # The first step warms caches; the median of the others is what most steps take.
    return StepTime(seconds=sorted(times[1:])[len(times[1:]) // 2], startup_seconds=startup)


def _as_text(stream_BT: torch.Tensor, vocabulary_size: int) -> Tokens:
    """Return rows as documents, so that there is something to count."""
    rows, length = stream_BT.shape
    return Tokens(stream_BT.flatten().numpy(), np.arange(rows + 1) * length, np.full(rows, length), 0, vocabulary_size)
