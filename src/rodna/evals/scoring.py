"""What a text costs a decoder, in nats.

Shapes: B rows of a batch, T positions, D width, V vocabulary, N scored positions, S sequences, W windows.

A sequence is scored by itself, after one end_of_text that stands for the beginning of a document. Where it is longer than the
context, overlapping windows cover it: each position is scored once, by the window in which the most precedes it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rodna.data.tokens import Tokens
    from rodna.models.decoder import Decoder

LOGITS_AT_ONCE = 8 * 1024 * 1024
"""Most logits held at once: 32 MB in float32, small enough to be reused by the allocator."""


@dataclass(frozen=True)
class Sequences:
    """Sequences laid end to end.

    Attributes:
        stream: token ids; each sequence is preceded by the end_of_text that begins it.
        starts_S: where each sequence's first input stands in `stream`; its first target is the next token.
        lengths_S: number of targets.
        first_scored_S: targets before this one are context only.
    """

    stream: "NDArray[np.int64]"
    starts_S: "NDArray[np.int64]"
    lengths_S: "NDArray[np.int64]"
    first_scored_S: "NDArray[np.int64]"


@dataclass(frozen=True)
class Windows:
    """Pieces of sequences that fit the context; the last `num_scored_W` positions of each are scored."""

    sequence_W: "NDArray[np.int64]"
    start_W: "NDArray[np.int64]"
    length_W: "NDArray[np.int64]"
    num_scored_W: "NDArray[np.int64]"

    def take(self, index: "NDArray[np.int64]") -> "Windows":
        return Windows(self.sequence_W[index], self.start_W[index], self.length_W[index], self.num_scored_W[index])


def documents_of(tokens: "Tokens") -> Sequences:
    """Return the documents of a tokens artifact; every token is scored, the end_of_text that ends each document too."""
    offsets = np.asarray(tokens.offsets, dtype=np.int64)
    body = np.asarray(tokens.tokens, dtype=np.int64)
    # Every document but the first is already preceded by an end_of_text: that of the document before it.
    stream = np.concatenate([body[offsets[1] - 1 : offsets[1]], body]) if len(offsets) > 1 else body
    return Sequences(stream, offsets[:-1], np.diff(offsets), np.zeros(len(offsets) - 1, dtype=np.int64))


def cut_windows(sequences: Sequences, *, context_length: int, stride: int) -> Windows:
    """Cover every scored position of every sequence once.

    Args:
        sequences: what to cover.
        context_length: longest window, in tokens.
        stride: tokens a window moves on by; those it scores see at least `context_length - stride` tokens before them.
    """
    rows: list[tuple[int, int, int, int]] = []
    for sequence, (start, length, first) in enumerate(
        zip(sequences.starts_S.tolist(), sequences.lengths_S.tolist(), sequences.first_scored_S.tolist(), strict=True)
    ):
        done = first
        while done < length:
            stop = min(length, context_length if done < context_length else done + stride)
            begin = max(0, stop - context_length)
            rows.append((sequence, start + begin, stop - begin, stop - done))
            done = stop
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return Windows(*table.T)


def window_nats(
    decoder: "Decoder", stream: "NDArray[np.int64]", windows: Windows, *, batch_size: int, compute_dtype: torch.dtype
) -> "NDArray[np.float64]":
    """Return the nats of each window's scored positions, summed in float64.

    Windows of like length share a batch; padding stands to the right, where causal attention cannot see it.

    Args:
        decoder: used in evaluation mode, and left in the mode it was in.
        stream: token ids the windows point into.
        windows: what to score.
        batch_size: windows of full context length at once; of shorter ones as many more as make the same number of tokens.
        compute_dtype: of matrix products; the softmax is always float32.
    """
    nats_W = np.zeros(len(windows.start_W), dtype=np.float64)
    was_training = decoder.training
    decoder.eval()
    try:
        with torch.inference_mode():
            score = _Scorer(decoder, compute_dtype)
            for index in _batches(windows.length_W, batch_size * decoder.config.context_length):
                nats_W[index] = score(stream, windows.take(index))
    finally:
        decoder.train(was_training)
    return nats_W


def _batches(length_W: "NDArray[np.int64]", num_tokens: int) -> Iterator["NDArray[np.int64]"]:
    """Yield windows by falling length, as many as pad to `num_tokens` tokens; the first batch needs the most memory."""
    order = np.argsort(-length_W, kind="stable")
    begin = 0
    while begin < len(order):
        rows = max(1, num_tokens // int(length_W[order[begin]]))
        yield order[begin : begin + rows]
        begin += rows


class _Scorer:
    """Scores batches of windows with one decoder.

    The head's weight is laid out once for its use: `mm` on a contiguous (D, V) matrix is several times faster on CPU than a
    linear layer into a large vocabulary.
    """

    def __init__(self, decoder: "Decoder", compute_dtype: torch.dtype) -> None:
        self.decoder, self.dtype = decoder, compute_dtype
        self.device = decoder.head.weight.device
        self.head_DV = decoder.head.weight.to(compute_dtype).t().contiguous()
        self.bias_V = None if decoder.head.bias is None else decoder.head.bias.float()
        self.rows = max(1, LOGITS_AT_ONCE // decoder.config.vocabulary_size)

    def __call__(self, stream: "NDArray[np.int64]", windows: Windows) -> "NDArray[np.float64]":
        length = int(windows.length_W.max())
        positions_T = np.arange(length)
        # Padding repeats the last token of the stream where a window would reach past it; it is never scored.
        index_BT = np.minimum(windows.start_W[:, None] + positions_T, len(stream) - 1)
        targets_BT = stream[np.minimum(index_BT + 1, len(stream) - 1)]
        ends_B1 = windows.length_W[:, None]
        scored_BT = (positions_T < ends_B1) & (positions_T >= ends_B1 - windows.num_scored_W[:, None])
        inputs_BT = torch.from_numpy(stream[index_BT]).to(self.device)
        hidden_BTD = self.decoder(inputs_BT, compute_dtype=self.dtype)
        hidden_ND = hidden_BTD[torch.from_numpy(scored_BT).to(self.device)]
        nats_N = self._nats(hidden_ND, torch.from_numpy(targets_BT[scored_BT]).to(self.device))
        rows_N = np.nonzero(scored_BT)[0]
        return np.bincount(rows_N, weights=nats_N, minlength=len(windows.start_W)).astype(np.float64)

    def _nats(self, hidden_ND: torch.Tensor, targets_N: torch.Tensor) -> "NDArray[np.float64]":
        parts: list[torch.Tensor] = []
        for hidden, targets in zip(hidden_ND.split(self.rows), targets_N.split(self.rows), strict=True):
            logits = torch.mm(hidden.to(self.dtype), self.head_DV).float()
            if self.bias_V is not None:
                logits += self.bias_V
            parts.append(logits.logsumexp(-1) - logits.gather(-1, targets[:, None]).squeeze(-1))
        return torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)


def sequence_nats(
    decoder: "Decoder", sequences: Sequences, *, stride: float, batch_size: int, compute_dtype: torch.dtype
) -> "NDArray[np.float64]":
    """Return the nats of each sequence's scored targets, shape (S,).

    Args:
        decoder: the model.
        sequences: what to score.
        stride: as a fraction of the context length.
        batch_size: full-length windows at once; it does not change the result beyond rounding.
        compute_dtype: of matrix products.
    """
    context_length = decoder.config.context_length
    windows = cut_windows(sequences, context_length=context_length, stride=max(1, round(stride * context_length)))
    nats_W = window_nats(decoder, sequences.stream, windows, batch_size=batch_size, compute_dtype=compute_dtype)
    return np.bincount(windows.sequence_W, weights=nats_W, minlength=len(sequences.lengths_S)).astype(np.float64)


def validation_bits_per_byte(
    decoder: "Decoder", tokens: "Tokens", *, batch_size: int, compute_dtype: torch.dtype, max_tokens: int = 0
) -> tuple[float, float]:
    """Return bits per byte and nats per token of a split, fast enough to be asked for while training.

    Windows do not overlap, so the number lies a little above that of `evals.bits_per_byte`, whose windows do.

    Args:
        decoder: the model, not compiled: the shapes vary.
        tokens: the split, by convention `validation`.
        batch_size: full-length windows at once.
        compute_dtype: of matrix products.
        max_tokens: score about this many tokens at most, from windows spread evenly over the split, the same ones every time;
            bytes are then taken to be spread over tokens as in the whole split. 0 scores everything.
    """
    sequences = documents_of(tokens)
    context_length = decoder.config.context_length
    windows = cut_windows(sequences, context_length=context_length, stride=context_length)
    num_tokens = int(windows.num_scored_W.sum())
    if 0 < max_tokens < num_tokens:
        count = max(1, round(len(windows.start_W) * max_tokens / num_tokens))
        windows = windows.take(np.linspace(0, len(windows.start_W) - 1, count).round().astype(np.int64))
    nats_W = window_nats(decoder, sequences.stream, windows, batch_size=batch_size, compute_dtype=compute_dtype)
    nats_per_token = float(nats_W.sum() / windows.num_scored_W.sum())
    return nats_per_token * num_tokens / int(tokens.num_bytes) / math.log(2), nats_per_token
