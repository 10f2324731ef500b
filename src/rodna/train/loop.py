"""THE loop: every stage that trains uses it.

Resuming is exact: batch n, the dropout of step n and the learning rate of step n are pure functions of n, so weights, their average and
optimizer state are all there is to restore. Nothing that changes a number depends on the clock.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rodna.core.errors import TrainError
from rodna.data.batches import IGNORE, Batch, Batches
from rodna.data.tokens import Tokens
from rodna.evals.likelihood.scoring import validation_bits_per_byte
from rodna.models.decoder import Decoder
from rodna.train.averaging import WeightAverage
from rodna.train.config import TrainValues
from rodna.train.objectives import LossSum, next_token
from rodna.train.optim import Optimizers, update
from rodna.train.progress import Display, Metrics, stop_on_interrupt
from rodna.train.runtime import PeakMemory, eager
from rodna.train.schedule import learning_rate_factor, weight_decay_factor
from rodna.train.state import Progress, RunFolder

Objective = Callable[..., LossSum]
EVALUATION_TOKENS_AT_ONCE = 8192


class DivergedError(TrainError):
    """The loss is no longer finite."""


@dataclass(frozen=True)
class Speedometer:
    """What turns tokens per second into MFU.

    Attributes:
        flops_per_token: forward and backward, without recomputation.
        peak_flops: of the device's matrix products; 0 where unknown.
    """

    flops_per_token: float
    peak_flops: float

    def mfu(self, tokens_per_second: float) -> float:
        """Return the share of the peak. Reference: Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, appendix B."""
        return tokens_per_second * self.flops_per_token / self.peak_flops if self.peak_flops else 0.0


def train(
    decoder: Decoder,
    optimizers: Optimizers,
    batches: Batches,
    validation: Tokens,
    values: TrainValues,
    *,
    folder: RunFolder,
    progress: Progress,
    dtype: torch.dtype,
    speedometer: Speedometer,
    objective: Objective = next_token,
) -> Progress:
    """Train until the last step, or until patience is exhausted.

    Args:
        decoder: on its device, perhaps compiled; changed in place.
        optimizers: of its parameters.
        batches: what to learn from; batch n is learned in step n.
        validation: scored now and then, with the averaged weights where there are any; decides which checkpoint is the best and when to
            stop early. Empty: never.
        values: the settings.
        folder: states, best checkpoint and metrics.
        progress: where to go on; changed in place and returned.
        dtype: of activations and matrix products.
        speedometer: for MFU.
        objective: what is learned.

    Raises:
        TrainError: the loss is no longer finite.
        KeyboardInterrupt: the user asked to stop; the state is saved.
    """
    decoder.train()
    run = _Run(decoder, optimizers, values, folder, progress, dtype)
    metrics = Metrics(folder.metrics, values, step=progress.step)
    with stop_on_interrupt() as stop, Display(values, progress, parameters=decoder.config.num_parameters) as display:

        def tell(record: dict[str, Any]) -> None:
            metrics.write(record)
            display.update(record)

        try:
            while progress.step < values.steps and not progress.stopped_early:
                started, factor = time.perf_counter(), learning_rate_factor(progress.step, values)
                norm = run.learn(batches, objective, factor=factor)
                if is_due(progress.step, values.log_every, values.steps):
                    tell(run.record(norm, factor=factor, speedometer=speedometer))
                if validation.num_tokens and is_evaluation_due(progress.step, values):
                    tell(evaluate_average(decoder, run.average, validation, values, progress, folder, dtype=dtype))
                progress.seconds += time.perf_counter() - started
                run.save(interrupted=stop.requested)
                if stop.requested and not run.ended:
                    raise KeyboardInterrupt
        finally:
            metrics.close()
    return progress


class _Run:
    """What the steps of one training share."""

    def __init__(
        self, decoder: Decoder, optimizers: Optimizers, values: TrainValues, folder: RunFolder, progress: Progress, dtype: torch.dtype
    ) -> None:
        self.decoder, self.optimizers, self.values, self.folder, self.progress = decoder, optimizers, values, folder, progress
        self.dtype, self.device = dtype, decoder.embedding.weight.device
        self._memory, self._saved_at, self._window = PeakMemory(self.device), time.perf_counter(), _Window(self.device)
        self.average = WeightAverage(decoder, values, step=progress.step, tensors=folder.average(progress))

    @property
    def ended(self) -> bool:
        """Whether the step just made was the last."""
        return self.progress.step == self.values.steps or self.progress.stopped_early

    def learn(self, batches: Batches, objective: Objective, *, factor: float) -> Tensor:
        """Make one step and return the norm of its gradient."""
        started, progress, values = time.perf_counter(), self.progress, self.values
        loss = learn_batch(self.decoder, batches.batch(progress.step), values, device=self.device, step=progress.step, dtype=self.dtype,
                           objective=objective)  # fmt: skip
        norm = update(self.decoder, self.optimizers, factor=factor, clip_norm=values.clip_norm,
                      decay_factor=weight_decay_factor(progress.step, values))  # fmt: skip
        progress.step += 1
        self.average.include(progress.step)
        progress.tokens += loss.num_scored
        self._window.add(loss, time.perf_counter() - started)
        return norm

    def record(self, norm: Tensor, *, factor: float, speedometer: Speedometer) -> dict[str, Any]:
        """Return the line for the metrics of the steps since the last one."""
        record: dict[str, Any] = self._window.record(
            self.progress, norm=norm, learning_rate=factor * self.values.learning_rate, speedometer=speedometer
        )
        self.progress.peak_memory_bytes = max(self.progress.peak_memory_bytes, self._memory.read())
        return record | {"memory_bytes": self.progress.peak_memory_bytes}

    def save(self, *, interrupted: bool) -> None:
        """Save what is due: the state at the end, at the best so far, on interruption and now and then; checkpoints to keep."""
        progress = self.progress
        if self.ended and not progress.best_step and self.average.differs(progress.step):
            with self.average.in_place():
                self.folder.save_best(self.decoder, progress)
        if is_spread(progress.step, self.values.keep_checkpoints, self.values.steps):
            with self.average.in_place():
                self.folder.keep(self.decoder, progress)
        late = time.perf_counter() - self._saved_at > self.values.save_minutes * 60
        if progress.best_step == progress.step or self.ended or interrupted or late:
            self.folder.save(self.decoder, self.optimizers, progress, average=self.average.tensors)
            self._saved_at = time.perf_counter()


def is_due(step: int, every: int, last: int) -> bool:
    """Return whether something done every so many steps, and at the end, is due after `step` steps."""
    return step % every == 0 or step == last


def is_evaluation_due(step: int, values: TrainValues) -> bool:
    """Return whether one of `values.evaluations` is due after `step` steps."""
    return is_spread(step, values.evaluations, values.steps)


def is_spread(step: int, count: int, last: int) -> bool:
    """Return whether one of `count` things, spread evenly over the steps with one at the end, is due after `step` steps."""
    return step * count // last > (step - 1) * count // last


def learn_batch(
    decoder: Decoder, batch: Batch, values: TrainValues, *, device: torch.device, step: int, dtype: torch.dtype, objective: Objective
) -> LossSum:
    """Add the gradient of a batch's mean loss to the parameters, a micro-batch at a time.

    Returns:
        The sums of the whole batch, without gradient, still on the device.
    """
    # Seeded by the step, dropout needs no saved state; 2**32 keeps steps of different seeds apart.
    torch.manual_seed(values.seed * 2**32 + step)
    total = int((batch.targets_BT != IGNORE).sum())
    nats, parts = torch.zeros((), device=device), defaultdict[str, Tensor](lambda: torch.zeros((), device=device))
    for micro in micro_batches(batch, values):
        loss = objective(decoder, Batch(*(part.to(device, non_blocking=True) for part in micro)), compute_dtype=dtype)
        (loss.nats / total).backward()
        nats += loss.nats.detach()
        for name, part in loss.parts.items():
            parts[name] += part
    return LossSum(nats, total, parts)


def micro_batches(batch: Batch, values: TrainValues) -> Iterator[Batch]:
    """Yield a batch in pieces that are learned at once.

    Rows that a curriculum cuts from one window stay together: a micro-batch has as many tokens as ever.
    """
    size = values.micro_batch_size * max(1, len(batch.slot_B) // values.batch_size)
    for start in range(0, batch.inputs_BT.shape[0], size):
        yield Batch(*(part[start : start + size] for part in batch))


def first_micro_batch(batch: Batch, values: TrainValues, device: torch.device) -> Batch:
    """Return the piece of a batch that is learned first, on its device."""
    return Batch(*(part.to(device) for part in next(micro_batches(batch, values))))


def evaluate(decoder: Decoder, validation: Tokens, values: TrainValues, progress: Progress, *, dtype: torch.dtype) -> dict[str, float]:
    """Score the validation text and note in `progress` whether it is the best so far; return the record for the metrics."""
    batch_size = max(1, EVALUATION_TOKENS_AT_ONCE // decoder.config.context_length)
    with eager():
        bits_per_byte, nats = validation_bits_per_byte(
            decoder, validation, batch_size=batch_size, compute_dtype=dtype, max_tokens=values.evaluation_tokens
        )
    if not math.isfinite(nats):
        raise diverged(progress.step, "the validation loss", nats)
    if bits_per_byte < progress.best_bits_per_byte:
        progress.best_bits_per_byte, progress.best_step, progress.worse_evaluations = bits_per_byte, progress.step, 0
    else:
        progress.worse_evaluations += 1
        progress.stopped_early = 0 < values.patience <= progress.worse_evaluations
    return {"step": progress.step, "tokens": progress.tokens, "validation_bits_per_byte": bits_per_byte, "validation_loss": nats}


def evaluate_average(
    decoder: Decoder, average: WeightAverage, validation: Tokens, values: TrainValues, progress: Progress, folder: RunFolder, *,
    dtype: torch.dtype,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate what would be released now, save it if it is the best so far, and return the record, which names averaged weights."""
    with average.in_place():
        record: dict[str, Any] = evaluate(decoder, validation, values, progress, dtype=dtype)
        if progress.best_step == progress.step:
            folder.save_best(decoder, progress)
    return record | ({"weights": values.averaging} if average.differs(progress.step) else {})


def diverged(step: int, what: str, value: float) -> DivergedError:
    """Return the error for a loss that is no longer a number."""
    return DivergedError(
        f"training has diverged: {what} is {value} at step {step:,}",
        fix="lower train.learning_rate (a third is a good try) or raise train.warmup_steps; the last good checkpoint is kept",
    )


class _Window:
    """Sums since the last line of the metrics. The loss stays on the device until it is read, so a GPU never waits for the log."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._clear()

    def _clear(self) -> None:
        self._nats = torch.zeros((), device=self._device)
        self._parts: dict[str, Tensor] = {}
        self._scored, self._seconds = 0, 0.0

    def add(self, loss: LossSum, seconds: float) -> None:
        self._nats += loss.nats
        for name, part in loss.parts.items():
            self._parts[name] = self._parts[name] + part if name in self._parts else part
        self._scored += loss.num_scored
        self._seconds += seconds

    def record(self, progress: Progress, *, norm: Tensor, learning_rate: float, speedometer: Speedometer) -> dict[str, float]:
        """Return the line for the metrics and begin anew.

        Raises:
            TrainError: the loss is not finite.
        """
        waited = time.perf_counter()
        loss = float(self._nats) / self._scored
        seconds = self._seconds + time.perf_counter() - waited
        if not math.isfinite(loss):
            raise diverged(progress.step, "the loss", loss)
        rate = self._scored / seconds
        record = {"step": progress.step, "tokens": progress.tokens, "seconds": round(progress.seconds, 3), "loss": loss,
                  "learning_rate": learning_rate, "grad_norm": float(norm), "tokens_per_second": rate,
                  "mfu": speedometer.mfu(rate)}  # fmt: skip
        record |= {name: float(part) / self._scored for name, part in self._parts.items()}
        self._clear()
        return record
