"""Objectives that score each position against several targets: tokens beyond the next one, drawn ones, and masked text.

Every position's logits are made once, by the model's own head, and scored against columns of targets, each with its weight. So neither
adds a parameter, and the checkpoint that is released is the same as after next-token training.

Shapes: B rows, T positions, D width, V vocabulary, N positions of all rows, C positions of a chunk, K columns of targets.
"""

import torch
from torch import Tensor

from rodna.data.batches import IGNORE, Batch
from rodna.data.tokens import Tokens
from rodna.models.decoder import INITIAL_STD, Decoder, Masking, soft_cap
from rodna.models.ngram import NgramModel
from rodna.train.config import TrainValues
from rodna.train.objectives import LossSum, Objective, chunked_linear_loss, next_token

FUTURE_UNTIL = 2 / 3
"""Share of the steps over which the weight of tokens beyond the next one falls to zero, linearly. One distribution cannot be that of
two tokens: the end of the run belongs to the next one alone. Reference: modded-nanogpt, whose multi-token prediction ends there."""

COUNTED_ORDER = 4
"""Of the n-grams that are counted for drawing."""
DRAW_SEED = 0x64726177
MASK_SEED = 0x6D61736B
"""Of the vector that stands for a masked token: random, the same for every model of a width, and in no checkpoint."""


def count_for(values: TrainValues, text: Tokens, device: torch.device) -> NgramModel | None:
    """Return the counts that a run's settings ask for, None where they ask for none."""
    return NgramModel.count(text, order=COUNTED_ORDER).to(device) if values.counted_share else None


def build_objective(values: TrainValues, decoder: Decoder, counts: NgramModel | None = None) -> Objective:
    """Return what a run learns: the next token, and others as well, as its settings say.

    Args:
        values: the settings.
        decoder: what learns.
        counts: of `count_for`.
    """
    is_plain = values.future_tokens == 1 and values.masked_share == 0 and values.counted_share == 0
    return next_token if is_plain else SeveralTargets(values, decoder, counts)


class SeveralTargets:
    """Learns the next token, and with it tokens beyond it (future_tokens > 1), drawn ones (counted_share > 0) or masked text.

    Future tokens: position i also predicts token i + k for k = 2 to future_tokens, with the same features and head, as long as that token
    is of the same document as token i + 1; the weight is future_weight^(k - 1), times what the schedule leaves of it. References: Gloeckle
    et al. 2024, arXiv:2404.19737, in the variant of modded-nanogpt, which shares the head.

    Drawn tokens: position i also predicts a token drawn from what counted n-grams of the text say of it, this one place left out; that has
    the weight counted_share, the next token what is left of 1. On average the gradient is that of the counts' whole distribution. A text
    that is read many times teaches what follows in like places, not only what followed here. References: Xie et al. 2017, "Data noising
    as smoothing in neural network language models", arXiv:1703.02573; Malagutti et al. 2024, "The role of n-gram smoothing in the age of
    neural networks", arXiv:2403.17240.

    Masked text: of every batch's rows a fixed share is read in both directions, with `mask_rate` of the inputs hidden; position i then
    predicts token i + 1 where that is hidden. Such a row weighs as much as a causal one. Reference: Charpentier & Samuel 2024 (GPT-BERT),
    arXiv:2410.24159, section 2; unlike there, a hidden token is never shown or swapped, and the rate does not change.

    Which rows and which tokens is a hash of the seed and their place in the sequence of batches: it does not depend on the micro-batches.
    """

    def __init__(self, values: TrainValues, decoder: Decoder, counts: NgramModel | None = None) -> None:
        assert counts is not None or not values.counted_share, "tokens are drawn from counts"
        self.values, self.counts = values, counts
        vector_D = torch.empty(decoder.config.width).normal_(0, INITIAL_STD, generator=torch.Generator().manual_seed(MASK_SEED))
        self.vector_D = vector_D.to(decoder.embedding.weight.device)

    def __call__(self, decoder: Decoder, batch: Batch, *, compute_dtype: torch.dtype) -> LossSum:
        """Return the weighted sum of all terms; `parts` has each term alone, for the log a mean over its own targets."""
        masking = self._masking(batch) if self.values.masked_share else None
        hidden_BTD = decoder(batch.inputs_BT, compute_dtype=compute_dtype, masking=masking)
        targets_NK, weights_K = self._columns(batch, masking)
        cap = decoder.config.logit_softcap
        total, terms = chunked_linear_loss(
            hidden_BTD.flatten(0, 1), decoder.head.weight, decoder.head.bias,
            lambda logits_CV, rows: score(logits_CV, targets_NK[rows], weights_K, cap),
        )  # fmt: skip
        return LossSum(total, int((batch.targets_BT != IGNORE).sum()), self._parts(batch, targets_NK, terms[1:]))

    def _masking(self, batch: Batch) -> Masking:
        values, length = self.values, batch.inputs_BT.shape[1]
        slot_B = batch.slot_B
        # Every 1/share-th row of the endless sequence, so that each batch has its share whatever its micro-batches are.
        open_B = self._num_open(slot_B + 1) > self._num_open(slot_B)
        hidden_BT = uniform(slot_B, length, seed=values.seed) < values.mask_rate
        return Masking(hidden_BT & open_B[:, None], open_B, self.vector_D)

    def _columns(self, batch: Batch, masking: Masking | None) -> tuple[Tensor, Tensor]:
        """Return the targets (N, K) and weights (K,): the next token, the ones beyond, and masked ones."""
        values, targets_BT, document_BT = self.values, batch.targets_BT, batch.document_BT
        causal_BT = targets_BT if masking is None else targets_BT.masked_fill(masking.open_B[:, None], IGNORE)
        columns, step = [causal_BT], batch.slot_B[0] // values.batch_size
        left = (1 - step / (FUTURE_UNTIL * values.steps)).clamp_min(0)
        weights = [torch.ones_like(left)]
        for ahead in range(1, values.future_tokens):
            column_BT = torch.full_like(causal_BT, IGNORE)
            same_BT = document_BT[:, ahead:] == document_BT[:, :-ahead]
            column_BT[:, :-ahead] = causal_BT[:, ahead:].masked_fill(~same_BT, IGNORE)
            columns.append(column_BT)
            weights.append(values.future_weight**ahead * left)
        if self.counts is not None:
            # The first has what this leaves.
            weights[0] = torch.full_like(left, 1 - values.counted_share)
            columns.append(self._drawn(batch, causal_BT))
            weights.append(torch.full_like(left, values.counted_share))
        if masking is not None:
            # The token after the row is in no input: hidden in any case.
            shown_BT = ~torch.cat((masking.hidden_BT[:, 1:], masking.open_B[:, None]), 1)
            columns.append(targets_BT.masked_fill(shown_BT, IGNORE))
            weights.append(torch.full_like(left, 1 / self._masked_rate(targets_BT.shape[1])))
        return torch.stack(columns, -1).flatten(0, 1), torch.stack(weights)

    def _drawn(self, batch: Batch, causal_BT: Tensor) -> Tensor:
        """Return a token for each scored position, drawn anew whenever its text is read."""
        assert self.counts is not None
        length = batch.inputs_BT.shape[1]
        chances = [uniform(batch.slot_B, length, seed=self.values.seed ^ DRAW_SEED + part) for part in range(self.counts.order + 1)]
        drawn_N = self.counts.sample(self.counts.contexts(batch.inputs_BT), causal_BT.flatten(), torch.stack(chances, -1).flatten(0, 1))
        return drawn_N.view_as(causal_BT).where(causal_BT != IGNORE, IGNORE)

    def _masked_rate(self, length: int) -> float:
        """Return the expected share of a masked row's targets that are scored."""
        return (self.values.mask_rate * (length - 1) + 1) / length

    def _num_open(self, slots: Tensor) -> Tensor:
        """Return how many of the first so many rows of the sequence of batches are masked."""
        return (slots.double() * self.values.masked_share).floor()

    def _parts(self, batch: Batch, targets_NK: Tensor, nats_K: Tensor) -> dict[str, Tensor]:
        """Return each kind's nats, times the targets of the whole batch over its own: divided by all targets they are means."""
        values = self.values
        first = batch.slot_B[0] // values.batch_size * values.batch_size
        num_open = self._num_open(first + values.batch_size) - self._num_open(first)
        causal = (values.batch_size / (values.batch_size - num_open).clamp_min(1)).float()
        parts = {"cross_entropy": nats_K[0] * causal}
        if values.future_tokens > 1:
            last = values.future_tokens
            scored_K = (targets_NK[:, :last] != IGNORE).sum(0)
            means_K = nats_K[1:last] * scored_K[0] / scored_K[1:].clamp_min(1)
            parts["future_cross_entropy"] = means_K.mean() * causal
        if values.counted_share:
            parts["counted_cross_entropy"] = nats_K[values.future_tokens] * causal
        if values.masked_share:
            rate = self._masked_rate(batch.inputs_BT.shape[1])
            parts["masked_cross_entropy"] = nats_K[-1] * (values.batch_size / num_open.clamp_min(1)).float() / rate
        return parts


def score_columns(logits_CV: Tensor, targets_CK: Tensor, weights_K: Tensor, softcap: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weighted sum of all cross-entropies with the sum of each column (1 + K,), and the weighted sum's gradient.

    See `objectives.score_and_differentiate`, whose two factors these are.
    """
    wide_CV = soft_cap(logits_CV.float(), softcap)
    scored_CK, index_CK = targets_CK != IGNORE, targets_CK.clamp_min(0)
    largest_C1 = wide_CV.amax(1, keepdim=True)
    weights_CV = (wide_CV - largest_C1).exp()
    total_C1 = weights_CV.sum(1, keepdim=True)
    target_CK = wide_CV.gather(1, index_CK) - largest_C1
    nats_K = torch.where(scored_CK, total_C1.log() - target_CK, 0).sum(0)
    share_CK = scored_CK * weights_K
    slopes_CV = (weights_CV * share_CK.sum(1, keepdim=True)).scatter_add(1, index_CK, -share_CK * total_C1)
    if softcap:
        slopes_CV = slopes_CV * (1 - (wide_CV / softcap).square())
    return torch.cat(((nats_K * weights_K).sum(0, keepdim=True), nats_K)), slopes_CV.to(logits_CV.dtype), 1 / total_C1


score = score_columns
"""What the loss calls: compiled where `train.runtime` finds that this works."""


def uniform(slots_B: Tensor, length: int, *, seed: int) -> Tensor:
    """Return numbers (B, length) in [0, 1) that depend on the seed, the slot and the position in its window alone.

    Rows next to each other that share a slot are cut from one window: each goes on where the one before ends.

    Reference: Steele et al. 2014, "Fast splittable pseudorandom number generators" (SplitMix64).
    """
    row_B = torch.arange(len(slots_B), device=slots_B.device) - torch.searchsorted(slots_B, slots_B)
    positions_BT = row_B[:, None] * length + torch.arange(length, device=slots_B.device)
    keys_B1 = _mix(_mix(torch.full_like(slots_B, seed)) ^ slots_B)[:, None]
    return ((_mix(keys_B1 + positions_BT) >> 11) & ((1 << 53) - 1)).double() / (1 << 53)


def _mix(values: Tensor) -> Tensor:
    """Hash int64 numbers; products wrap around."""
    values = values + _signed(0x9E3779B97F4A7C15)
    values = (values ^ _shifted(values, 30)) * _signed(0xBF58476D1CE4E5B9)
    values = (values ^ _shifted(values, 27)) * _signed(0x94D049BB133111EB)
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, bits: int) -> Tensor:
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number
