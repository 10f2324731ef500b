"""What is learned: objectives return sums of nats with the number of scored tokens, never means.

The loop divides once, by the count of the whole global batch: so a batch gives the same gradient however it is split into
micro-batches or over processes.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from rodna.data.batches import IGNORE, Batch
from rodna.models.decoder import Decoder, soft_cap
from rodna.plan.memory import LOSS_CHUNK_TOKENS


class LossSum(NamedTuple):
    """A differentiable sum of nats, and over how many targets it was taken.

    Attributes:
        nats: what is minimised.
        num_scored: targets.
        parts: name -> sum without gradient of a term that the log shows apart, such as the cross-entropy of a distillation.
    """

    nats: Tensor
    num_scored: int
    parts: Mapping[str, Tensor] = MappingProxyType({})


Objective = Callable[..., LossSum]
"""Called with (decoder, batch, compute_dtype=...)."""


def next_token(decoder: Decoder, batch: Batch, *, compute_dtype: torch.dtype) -> LossSum:
    """Score every target of a batch by its predecessors: -sum log p(target), in nats.

    Args:
        decoder: the model.
        batch: `inputs_BT` and `targets_BT`; targets that are `IGNORE` are not scored.
        compute_dtype: of activations and matrix products.
    """
    hidden_BTD = decoder(batch.inputs_BT, compute_dtype=compute_dtype)
    targets_N = batch.targets_BT.flatten()
    nats = linear_cross_entropy(
        hidden_BTD.flatten(0, 1), decoder.head.weight, decoder.head.bias, targets_N, softcap=decoder.config.logit_softcap
    )
    return LossSum(nats, int((batch.targets_BT != IGNORE).sum()))


def linear_cross_entropy(
    features_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor, *, softcap: float = 0.0
) -> Tensor:
    """Return the summed cross-entropy of `features @ weight.T + bias`, without ever holding all logits.

    Logits are made, scored and turned into gradients in chunks of rows while the forward pass runs, so neither N x V logits nor
    their gradient exist at once. Reference: Hsu et al. 2024 (Liger Kernel), arXiv:2410.10989, section 3.2.

    Args:
        features_ND: final features; their dtype is that of the matrix products.
        weight_VD: the output embedding, in any floating dtype.
        bias_V: or None.
        targets_N: int64 token ids; `IGNORE` is skipped.
        softcap: keeps the logits within plus and minus it, see `soft_cap`; 0 is off.
    """
    nats, _ = chunked_linear_loss(features_ND, weight_VD, bias_V, lambda logits_CV, rows: score(logits_CV, targets_N[rows], softcap))
    return nats


ScoreRows = Callable[[Tensor, slice], tuple[Tensor, Tensor, Tensor]]
"""Takes the logits (C, V) of some rows; returns terms () or (M,), the first of which is minimised, and that one's gradient by the logits
in two factors: slopes (C, V) in the logits' dtype and a scale (C, 1)."""


def chunked_linear_loss(features_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, score_rows: ScoreRows) -> tuple[Tensor, Tensor]:
    """Return a loss of `features @ weight.T + bias` that is a sum over rows, without ever holding all logits; see `linear_cross_entropy`.

    Args:
        features_ND: final features; their dtype is that of the matrix products.
        weight_VD: the output embedding, in any floating dtype.
        bias_V: or None.
        score_rows: the loss of a chunk of rows.

    Returns:
        What is minimised, differentiable, and all terms, which are not.
    """
    return _ChunkedLinearLoss.apply(features_ND, weight_VD, bias_V, score_rows)


class _ChunkedLinearLoss(torch.autograd.Function):
    """Gradients are computed with the loss and only scaled in the backward pass."""

    @staticmethod
    def forward(ctx, features_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, score_rows: ScoreRows) -> tuple[Tensor, Tensor]:
        wants = any(ctx.needs_input_grad)
        cast_VD = weight_VD.to(features_ND.dtype)
        terms = torch.zeros((), dtype=torch.float32, device=features_ND.device)
        d_features = torch.empty_like(features_ND) if wants else None
        d_weight = torch.zeros_like(weight_VD, dtype=torch.float32) if wants else None
        d_bias = torch.zeros_like(bias_V, dtype=torch.float32) if wants and bias_V is not None else None
        size = LOSS_CHUNK_TOKENS["cuda" if features_ND.is_cuda else "cpu"]
        for start in range(0, features_ND.shape[0], size):
            rows = slice(start, start + size)
            logits_CV = features_ND[rows] @ cast_VD.t()
            if bias_V is not None:
                logits_CV += bias_V.to(logits_CV.dtype)
            chunk_terms, slopes_CV, scale_C1 = score_rows(logits_CV, rows)
            terms = terms + chunk_terms
            if d_features is None or d_weight is None:
                continue
            torch.mul(slopes_CV @ cast_VD, scale_C1, out=d_features[rows])
            d_weight += slopes_CV.t() @ (features_ND[rows] * scale_C1).to(features_ND.dtype)
            if d_bias is not None:
                d_bias += (slopes_CV * scale_C1).sum(0)
        ctx.save_for_backward(d_features, d_weight, d_bias)
        ctx.mark_non_differentiable(terms)
        return terms.reshape(-1)[0].clone(), terms

    @staticmethod
    def backward(ctx, *grad_outputs: Tensor):
        d_nats, _ = grad_outputs
        d_features, d_weight, d_bias = ctx.saved_tensors
        return d_features.mul_(d_nats), d_weight.mul_(d_nats), None if d_bias is None else d_bias.mul_(d_nats), None


def score_and_differentiate(logits_CV: Tensor, targets_C: Tensor, softcap: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return the summed cross-entropy in float32, and its gradient by the logits in two factors.

    The gradient is `slopes_CV`, in the logits' dtype, times `scale_C1`, in float32. Kept apart, the division by the softmax's sum is done
    on C x D numbers instead of C x V.
    """
    wide_CV = soft_cap(logits_CV.float(), softcap)
    scored_C1 = (targets_C != IGNORE)[:, None]
    index_C1 = targets_C.clamp_min(0)[:, None]
    largest_C1 = wide_CV.amax(1, keepdim=True)
    weights_CV = (wide_CV - largest_C1).exp()
    total_C1 = weights_CV.sum(1, keepdim=True)
    target_C1 = wide_CV.gather(1, index_C1) - largest_C1
    nats = torch.where(scored_C1, total_C1.log() - target_C1, 0).sum()
    slopes_CV = weights_CV.to(logits_CV.dtype).scatter(1, index_C1, (target_C1.exp() - total_C1).to(logits_CV.dtype))
    if softcap:
        slopes_CV = slopes_CV * (1 - (wide_CV / softcap).square()).to(logits_CV.dtype)
    return nats, slopes_CV, scored_C1 / total_C1


score = score_and_differentiate
"""What the loss calls: compiled where `train.runtime` finds that this works."""
