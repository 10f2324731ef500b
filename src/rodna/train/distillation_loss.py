"""What a distilled student loses: cross-entropy and divergence, chunk by chunk, with their gradient.

Shapes: N positions, C rows of a chunk, D width, V vocabulary.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from rodna.data.batches import IGNORE
from rodna.models.decoder import soft_cap
from rodna.plan.memory import LOSS_CHUNK_TOKENS
from rodna.train import objectives


class Teaching(Protocol):
    """What teachers say about the N positions of a batch, a chunk of rows at a time."""

    def targets(self, rows: slice, logits_CV: Tensor) -> Tensor:
        """Return the teachers' distribution (C, V), in float32, softened by the temperature.

        Args:
            rows: which.
            logits_CV: the student's: what is known of the teachers may be of a part of the tokens only.
        """
        ...


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


def chunk_size(device: torch.device) -> int:
    """Return for how many positions logits are made at once.

    Half as many as in the plain loss: a teacher's logits stand beside the student's, and the memory shall be what the plan counted.
    """
    return max(1, LOSS_CHUNK_TOKENS["cuda" if device.type == "cuda" else "cpu"] // 2)


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
    hard_CV = plain_CV.exp().scatter(1, index_C1, torch.expm1(-cross_entropy_C1))
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
