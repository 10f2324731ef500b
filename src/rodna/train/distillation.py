"""Distillation: a student learns the text, and what its teachers make of it.

The loss is `alpha * cross-entropy + (1 - alpha) * temperature^2 * KL(teachers || student)`, both distributions softened by the
temperature. Reference: Hinton et al. 2015, arXiv:1503.02531, section 2.

Shapes: B rows, T positions, N = B x T, C rows of a chunk, D width, V vocabulary.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from rodna.core.errors import TrainError
from rodna.data.batches import IGNORE, Batch
from rodna.data.curriculum import CONTEXT_STAGES
from rodna.models.decoder import Decoder
from rodna.models.ensemble import Ensemble, add_member
from rodna.plan.flops import flops_per_token
from rodna.train import objectives
from rodna.train.distillation_loss import Teaching, Weights, chunk_size, linear_distillation
from rodna.train.objectives import LossSum
from rodna.train.runtime import ROW_COUNTS, allow_shapes, kinds_of_layers
from rodna.train.teacher_cache import TeacherCache, TopK, top_k

Loss = Literal["scaled", "babyllama"]


class Distillation:
    """An objective: cross-entropy on the text and divergence from the teachers.

    The teachers' forward passes cost `flops_per_token` on top of the student's training; they keep no activations.

    Args:
        teachers: of any architecture, with the student's tokenizer; they become this objective's own, see `Ensemble.freeze`. None where a
            cache holds all they would say.
        temperature: softens both distributions.
        alpha: weight of the text; 1 - alpha is that of the teachers.
        loss: `scaled`: the divergence is a mean per token, as Hinton's. `babyllama`: as its published code, where
            `KLDivLoss(reduction="batchmean")` divides the sum over B x T x V by B alone, so that the divergence weighs T times as much,
            T being the length of the windows. Reference: Timiryasov & Tastet 2023, arXiv:2308.02019, section 3.
        cache: of what the teachers say, read before they are asked, and filled by what they say.

    Raises:
        TrainError: a setting is out of range, or not the cache's.
    """

    def __init__(
        self,
        teachers: Ensemble | None,
        *,
        temperature: float = 2.0,
        alpha: float = 0.5,
        loss: Loss = "scaled",
        cache: TeacherCache | None = None,
    ) -> None:
        if not temperature > 0 or not 0 <= alpha <= 1:
            raise TrainError(f"no distillation has temperature {temperature} and alpha {alpha}",
                             fix="the temperature is above 0, and alpha from 0 (teachers only) to 1 (text only)")  # fmt: skip
        if teachers is None and cache is None:
            raise TrainError("there is nothing to distill: neither teachers nor a cache of what they said", fix="name teachers")
        if cache is not None:
            _check_cache(cache, teachers, temperature)
        self.teachers, self.temperature, self.alpha, self.loss, self.cache = teachers, temperature, alpha, loss, cache
        self._compiled = False

    @property
    def vocabulary_size(self) -> int:
        return self.teachers.vocabulary_size if self.teachers is not None else self._cached.setup.vocabulary_size

    @property
    def _cached(self) -> TeacherCache:
        assert self.cache is not None
        return self.cache

    def flops_per_token(self, sequence_length: int, *, run_tokens: int) -> float:
        """Return what the teachers' forward passes take, to be added to the student's training.

        Nothing where the cache holds all of the run already; where it holds a part, that may be this run's own, and all is counted.

        Args:
            sequence_length: of the rows.
            run_tokens: of the whole training.
        """
        if self.teachers is None or (self.cache is not None and self.cache.kept_tokens >= run_tokens):
            return 0.0
        members = self.teachers.members
        return sum(flops_per_token(member.config, sequence_length=sequence_length).forward for member in members)

    def summary(self) -> dict[str, Any]:
        """Return what the summary of a run says of its distillation."""
        found: dict[str, Any] = {"temperature": self.temperature, "alpha": self.alpha, "loss": self.loss}
        if self.teachers is not None:
            members = self.teachers.members
            found |= {"teachers": len(members), "teacher_parameters": [member.config.num_parameters for member in members]}
            found["average"] = self.teachers.average
        if self.cache is not None:
            found["cache"] = self.cache.summary()
        return found

    def close(self) -> None:
        """Write to the cache what is only in memory; to be called when the run ends, also by an error."""
        if self.cache is not None:
            self.cache.flush()

    def __call__(self, decoder: Decoder, batch: Batch, *, compute_dtype: torch.dtype) -> LossSum:
        """Return the weighted sum in nats; its parts `cross_entropy` and `divergence` are not weighted.

        Raises:
            TrainError: the student's vocabulary is not the teachers'.
        """
        if decoder.config.vocabulary_size != self.vocabulary_size:
            raise TrainError(
                f"the student has {decoder.config.vocabulary_size:,} tokens, its teachers {self.vocabulary_size:,}",
                fix="train student and teachers with one tokenizer",
            )
        teaching = self.teach(batch, compute_dtype=compute_dtype)
        weights = self.weights(batch.inputs_BT.shape[1], softcap=decoder.config.logit_softcap)
        hidden_BTD = decoder(batch.inputs_BT, compute_dtype=compute_dtype)
        nats, cross_entropy, divergence = linear_distillation(
            hidden_BTD.flatten(0, 1), decoder.head.weight, decoder.head.bias, batch.targets_BT.flatten(), teaching, weights
        )
        return LossSum(nats, int((batch.targets_BT != IGNORE).sum()), {"cross_entropy": cross_entropy, "divergence": divergence})

    def teach(self, batch: Batch, *, compute_dtype: torch.dtype) -> Teaching:
        """Ask the cache, where there is one, and otherwise the teachers.

        With a cache, teachers that are asked now are read through it: the loss does not depend on what the cache happened to hold.

        Raises:
            TrainError: the cache lacks a row, and there are no teachers to ask.
        """
        if self.cache is None:
            return self._ask(batch, compute_dtype)
        kept = self.cache.read(batch.slot_B, batch.inputs_BT)
        if kept is None:
            if self.teachers is None:
                slots = batch.slot_B.tolist()
                raise TrainError(f"the teacher cache lacks rows among {slots[0]} to {slots[-1]}", where=str(self.cache.folder),
                                 fix="give the teachers too, or fill the cache with a run that has them")  # fmt: skip
            live, count = self._ask(batch, compute_dtype), self.cache.setup.top_k
            size = chunk_size(batch.inputs_BT.device)
            parts = [top_k(live.probabilities(slice(start, start + size)), count) for start in range(0, batch.inputs_BT.numel(), size)]
            kept = TopK(*(torch.cat(columns) for columns in zip(*parts, strict=True)))
            self.cache.write(batch.slot_B, batch.inputs_BT, kept)
        return _Kept(kept, self.temperature)

    def _ask(self, batch: Batch, compute_dtype: torch.dtype) -> "_Live":
        assert self.teachers is not None
        compiled = objectives.score is not objectives.score_and_differentiate
        if compiled != self._compiled:
            (_compile if compiled else _undo_compilation)(self.teachers)
            self._compiled = compiled
        return _Live(self.teachers, batch, self.temperature, compute_dtype)

    def weights(self, length: int, *, softcap: float = 0.0) -> Weights:
        """Return the weights for windows of some length, and a student whose logits are capped or, with 0, are not."""
        factor = length if self.loss == "babyllama" else 1
        return Weights(self.alpha, (1 - self.alpha) * factor, self.temperature, softcap)


class _Live:
    """Teachers that are asked while the student learns."""

    def __init__(self, teachers: Ensemble, batch: Batch, temperature: float, compute_dtype: torch.dtype) -> None:
        teachers.freeze(compute_dtype)
        self._teachers, self._temperature = teachers, temperature
        # What counts say of a place in the text that was counted must not come from that place.
        self._features = teachers.features(batch.inputs_BT, compute_dtype=compute_dtype, left_out_BT=batch.targets_BT)

    def probabilities(self, rows: slice) -> Tensor:
        return self._teachers.probabilities(self._features, rows, temperature=self._temperature)

    def targets(self, rows: slice, logits_CV: Tensor) -> Tensor:
        return self.probabilities(rows)


class _Kept:
    """What teachers said before."""

    def __init__(self, kept: TopK, temperature: float) -> None:
        self._kept, self._temperature = kept, temperature

    def targets(self, rows: slice, logits_CV: Tensor) -> Tensor:
        return self._kept.targets(rows, (logits_CV.float() / self._temperature).softmax(-1))


def _compile(teachers: Ensemble) -> None:
    """Compile the teachers' blocks and averaging, as `train.runtime` has the student's blocks and loss."""
    # Each reads rows of all the lengths that a curriculum has.
    lengths = 1 + len(CONTEXT_STAGES)
    configs = {member.config.model_dump_json(): member.config for member in teachers.members}
    allow_shapes(sum(kinds_of_layers(config) for config in configs.values()) * lengths * ROW_COUNTS)
    teachers.add = torch.compile(add_member, dynamic=False)
    for member in teachers.members:
        for block in member.blocks:
            block.compile(dynamic=False)


def _undo_compilation(teachers: Ensemble) -> None:
    """Let the teachers run as plain Python again: where compiling the student or them has failed."""
    teachers.add = add_member
    for member in teachers.members:
        for block in member.blocks:
            block._compiled_call_impl = None


def _check_cache(cache: TeacherCache, teachers: Ensemble | None, temperature: float) -> None:
    expected: dict[str, Any] = {"temperature": temperature}
    if teachers is not None:
        expected |= {"vocabulary_size": teachers.vocabulary_size, "average": teachers.average}
    wrong = [f"{name} {getattr(cache.setup, name)}, not {value}" for name, value in expected.items() if getattr(cache.setup, name) != value]
    if wrong:
        raise TrainError(f"the teacher cache is of {', '.join(wrong)}", where=str(cache.folder), fix="use another folder for the cache")
