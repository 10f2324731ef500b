"""Distillation: a student learns the text, and what its teachers make of it.

The loss is `alpha * cross-entropy + (1 - alpha) * temperature^2 * KL(teachers || student)`, both distributions softened by the
temperature. Reference: Hinton et al. 2015, arXiv:1503.02531, section 2.

Shapes: B rows, T positions, N = B x T, C rows of a chunk, D width, V vocabulary.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from rodna.core.errors import TrainError
from rodna.data.batches import IGNORE, Batch, Batches
from rodna.models.decoder import Decoder, soft_cap
from rodna.models.ensemble import Ensemble
from rodna.plan.flops import flops_per_token
from rodna.plan.memory import LOSS_CHUNK_TOKENS
from rodna.train import objectives
from rodna.train.objectives import LossSum
from rodna.train.teacher_cache import TeacherCache, TopK, top_k

Loss = Literal["scaled", "babyllama"]


class Teaching(Protocol):
    """What teachers say about the N positions of a batch, a chunk of rows at a time."""

    def targets(self, rows: slice, logits_CV: Tensor) -> Tensor:
        """Return the teachers' distribution (C, V), in float32, softened by the temperature.

        Args:
            rows: which.
            logits_CV: the student's: what is known of the teachers may be of a part of the tokens only.
        """
        ...


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

    @property
    def vocabulary_size(self) -> int:
        return self.teachers.vocabulary_size if self.teachers is not None else self._cached.setup.vocabulary_size

    @property
    def _cached(self) -> TeacherCache:
        assert self.cache is not None
        return self.cache

    def flops_per_token(self, sequence_length: int) -> float:
        """Return what the teachers' forward passes take, to be added to the student's training; a cached token takes none of it."""
        members = [] if self.teachers is None else self.teachers.members
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
        return _Live(self.teachers, batch.inputs_BT, self.temperature, compute_dtype)

    def weights(self, length: int, *, softcap: float = 0.0) -> "Weights":
        """Return the weights for windows of some length, and a student whose logits are capped or, with 0, are not."""
        factor = length if self.loss == "babyllama" else 1
        return Weights(self.alpha, (1 - self.alpha) * factor, self.temperature, softcap)


class Weights(NamedTuple):
    """How the two terms count, and what they are of.

    Attributes:
        text: of the cross-entropy.
        teachers: of temperature^2 times the divergence.
        temperature: of the divergence.
        softcap: of the student's logits; 0 is off.
    """

    text: float
    teachers: float
    temperature: float
    softcap: float = 0.0


class _Live:
    """Teachers that are asked while the student learns."""

    def __init__(self, teachers: Ensemble, inputs_BT: Tensor, temperature: float, compute_dtype: torch.dtype) -> None:
        teachers.freeze(compute_dtype)
        self._teachers, self._temperature = teachers, temperature
        self._features = teachers.features(inputs_BT, compute_dtype=compute_dtype)

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


def chunk_size(device: torch.device) -> int:
    """Return for how many positions logits are made at once."""
    return LOSS_CHUNK_TOKENS["cuda" if device.type == "cuda" else "cpu"]


def fill(
    distillation: Distillation, batches: Batches, steps: range, *, rows: int, device: torch.device, compute_dtype: torch.dtype
) -> None:
    """Let the teachers fill the cache ahead of any run.

    Args:
        distillation: with teachers and a cache.
        batches: of the runs to come.
        steps: which batches.
        rows: read at once; runs whose micro-batches have as many rows get the same numbers bit by bit.
        device: of the teachers.
        compute_dtype: of the teachers' matrix products.
    """
    try:
        for step in steps:
            batch = batches.batch(step)
            for start in range(0, batch.inputs_BT.shape[0], rows):
                micro = Batch(*(part[start : start + rows].to(device) for part in batch))
                distillation.teach(micro, compute_dtype=compute_dtype)
    finally:
        distillation.close()


def _check_cache(cache: TeacherCache, teachers: Ensemble | None, temperature: float) -> None:
    expected: dict[str, Any] = {"temperature": temperature}
    if teachers is not None:
        expected |= {"vocabulary_size": teachers.vocabulary_size, "average": teachers.average}
    wrong = [f"{name} {getattr(cache.setup, name)}, not {value}" for name, value in expected.items() if getattr(cache.setup, name) != value]
    if wrong:
        raise TrainError(f"the teacher cache is of {', '.join(wrong)}", where=str(cache.folder), fix="use another folder for the cache")


def linear_distillation(
    features_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, teaching: Teaching, weights: Weights
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weighted sum, and the plain sums of cross-entropy and divergence, without ever holding all logits.

    As `objectives.linear_cross_entropy`: logits of student and teachers exist for one chunk of rows, and are turned into gradients
    while the forward pass runs.

    Args:
        features_ND: the student's final features; their dtype is that of the matrix products.
        weight_VD: its output embedding, in any floating dtype.
        bias_V: or None.
        targets_N: int64 token ids; positions that are `IGNORE` count in neither term.
        teaching: the teachers.
        weights: of the terms.
    """
    return _LinearDistillation.apply(features_ND, weight_VD, bias_V, targets_N, teaching, weights)


class _LinearDistillation(torch.autograd.Function):
    """Gradients are computed with the loss and only scaled in the backward pass."""

    @staticmethod
    def forward(
        ctx, features_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, teaching: Teaching, weights: Weights
    ):
        wants = any(ctx.needs_input_grad)
        cast_VD = weight_VD.to(features_ND.dtype)
        sums_2 = torch.zeros(2, dtype=torch.float32, device=features_ND.device)
        d_features = torch.empty_like(features_ND) if wants else None
        d_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if wants else None
        d_bias = torch.zeros_like(bias_V, dtype=torch.float32) if wants and bias_V is not None else None
        size, score = chunk_size(features_ND.device), _score()
        for start in range(0, features_ND.shape[0], size):
            rows = slice(start, start + size)
            logits_CV = features_ND[rows] @ cast_VD.t()
            if bias_V is not None:
                logits_CV += bias_V.to(logits_CV.dtype)
            capped_CV = soft_cap(logits_CV, weights.softcap)
            chunk_2, slopes_CV = score(capped_CV, targets_N[rows], teaching.targets(rows, capped_CV), weights)
            sums_2 += chunk_2
            if d_features is None or d_weight is None:
                continue
            torch.mm(slopes_CV, cast_VD, out=d_features[rows])
            d_weight += slopes_CV.t() @ features_ND[rows]
            if d_bias is not None:
                d_bias += slopes_CV.sum(0)
        ctx.save_for_backward(d_features, d_weight, d_bias)
        cross_entropy, divergence = sums_2.unbind()
        ctx.mark_non_differentiable(cross_entropy, divergence)
        return weights.text * cross_entropy + weights.teachers * weights.temperature**2 * divergence, cross_entropy, divergence

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor):
        d_nats = grad_outputs[0]
        d_features, d_weight, d_bias = ctx.saved_tensors
        d_bias = None if d_bias is None else d_bias.mul_(d_nats)
        return d_features.mul_(d_nats), d_weight.mul_(d_nats), d_bias, None, None, None


def score_and_differentiate(logits_CV: Tensor, targets_C: Tensor, teacher_CV: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Return the sums of cross-entropy and divergence in float32, and the weighted loss' gradient by the logits in their dtype.

    The gradient of temperature^2 * KL(q || p) by the logits is temperature * (p - q), p and q being softened.

    Args:
        logits_CV: already capped; the gradient is by what they were before.
        targets_C: int64 token ids; `IGNORE` is skipped.
        teacher_CV: float32, the teachers' softened distribution.
        weights: of the terms.
    """
    wide_CV = logits_CV.float()
    scored_C1 = (targets_C != IGNORE)[:, None]
    index_C1 = targets_C.clamp_min(0)[:, None]
    plain_CV = wide_CV.log_softmax(-1)
    soft_CV = (wide_CV / weights.temperature).log_softmax(-1)
    cross_entropy_C1 = -plain_CV.gather(1, index_C1)
    divergence_C1 = (torch.xlogy(teacher_CV, teacher_CV) - teacher_CV * soft_CV).sum(1, keepdim=True)
    sums_2 = torch.cat([cross_entropy_C1, divergence_C1], 1).where(scored_C1, 0).sum(0)
    # Subtracting one at the target, in float32: p - 1 of a sure student is lost in bfloat16.
    hard_CV = plain_CV.exp().scatter_add(1, index_C1, -torch.ones_like(cross_entropy_C1))
    slopes_CV = weights.text * hard_CV + weights.teachers * weights.temperature * (soft_CV.exp() - teacher_CV)
    if weights.softcap:
        slopes_CV = slopes_CV * (1 - (wide_CV / weights.softcap).square())
    return sums_2, slopes_CV.where(scored_C1, 0).to(logits_CV.dtype)


def _score() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return what the loss calls: compiled where `train.runtime` has found that compiling the plain loss works."""
    return score_and_differentiate if objectives.score is objectives.score_and_differentiate else _compiled()


@cache
def _compiled() -> Callable[..., tuple[Tensor, Tensor]]:
    return torch.compile(score_and_differentiate, dynamic=False)
