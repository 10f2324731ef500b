"""What a text costs a decoder, in nats.

Shapes: B rows of a batch, T positions, D width, V vocabulary, N scored positions, S documents, W windows.

A document is scored by itself, after one end_of_text. Where it is longer than the context, overlapping windows cover it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from rodna.core.progress import Progress
from rodna.data.batches import IGNORE
from rodna.data.tokens import Tokens
from rodna.data.windows import EvaluationWindows, evaluation_windows
from rodna.evals.likelihood.encoding import Encoded
from rodna.evals.likelihood.prefixes import plant
from rodna.evals.likelihood.processes import ReaderPool
from rodna.evals.likelihood.reader import LOGITS_AT_ONCE, Reader, token_in_pairs
from rodna.evals.likelihood.readings import Reading, plan
from rodna.models.decoder import soft_cap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rodna.models.decoder import Decoder

CPU_TOKENS_AT_ONCE = 2048
"""Measured: 1,000 to 2,000 tokens of a 10M-parameter model are read 10% to 20% faster at a time than 4,000 and more."""
READ_TOKENS = 1024 * 1024
"""Tokens of documents that are laid out at a time."""
LENGTH_MULTIPLE = 4
"""Windows are padded to a multiple of this many positions: nothing here is compiled, so shapes may vary and little is wasted."""


def document_nats(
    decoder: "Decoder", tokens: Tokens, *, stride: float, batch_size: int, compute_dtype: torch.dtype
) -> "NDArray[np.float64]":
    """Return the nats of each document, shape (S,): of all its tokens and of the end_of_text that closes it.

    Args:
        decoder: the model.
        tokens: what to score.
        stride: how far windows move, as a fraction of the context length.
        batch_size: full-length windows at once; it changes the result by rounding only.
        compute_dtype: of matrix products.
    """
    windows = split_windows(tokens, context_length=decoder.config.context_length, stride=stride)
    return window_nats(decoder, windows, batch_size=batch_size, compute_dtype=compute_dtype)


def read_token_nats(reader: Reader | ReaderPool, tokens: Tokens, *, stride: float, batch_size: int) -> "NDArray[np.float64]":
    """Return the nats of each token of a split, shape (tokens,), each document read by itself; on a CPU faster than `token_nats`."""
    nats_N = np.zeros(tokens.num_tokens)
    # Parts of the split, so that memory does not grow with it.
    bounds = np.searchsorted(tokens.offsets, np.arange(0, tokens.num_tokens, READ_TOKENS))
    for first, last in itertools.pairwise([*np.unique(bounds).tolist(), tokens.num_documents]):
        places = range(first, last)
        documents = [tokens.tokens[tokens.offsets[place] : tokens.offsets[place + 1]].tolist() for place in places]
        pairs = [Encoded((tokens.end_of_text_id,), document) for document in documents]
        parts, _ = continuation_nats(reader, pairs, stride=stride, batch_size=batch_size)
        nats_N[tokens.offsets[first] : tokens.offsets[last]] = np.concatenate([np.zeros(0), *parts])
    return nats_N


def continuation_nats(
    reader: Reader | ReaderPool, pairs: Sequence[Encoded], *, stride: float, batch_size: int
) -> "tuple[list[NDArray[np.float64]], list[bool]]":
    """Return for each pair the nats of each token of its continuation, and whether the model saw less than all of it.

    What pairs begin with alike is read once, and equal pairs cost the same to the last bit, whatever stands beside them.

    Args:
        reader: of the model.
        pairs: as tokens.
        stride: how far windows over a continuation longer than the context move, as a fraction of it.
        batch_size: full-length windows at once; it changes the result by rounding only.
    """
    context_length = reader.config.context_length
    step = max(1, round(stride * context_length))
    plans = [plan(pair, context_length=context_length, step=step) for pair in pairs]
    readings = sorted({reading for item in plans for reading in item.readings})
    tokens_at_once = num_tokens_at_once(reader.device, batch_size * context_length)
    found = dict(zip(readings, _reading_nats(reader, readings, tokens_at_once), strict=True))
    nothing = np.zeros(0)
    parts = [np.concatenate([found[reading] for reading in item.readings] or [nothing]) for item in plans]
    return parts, [item.is_cut for item in plans]


def _reading_nats(reader: Reader | ReaderPool, readings: Sequence[Reading], tokens_at_once: int) -> "list[NDArray[np.float64]]":
    """Return the nats of each scored token of each of some sorted readings."""
    if not readings:
        return []
    forest = plant(readings, token_in_pairs=token_in_pairs(reader.config))
    batches = list(forest.batches(tokens_at_once))
    nats_N = np.zeros(len(forest.token_N))
    with Progress("scoring", total=len(batches), unit="batches") as progress:
        for batch, nats_C in zip(batches, reader.map(batches), strict=True):
            nats_N[batch.nodes_C] = nats_C
            progress.advance()
    paths = zip(forest.path_starts[:-1], forest.path_starts[1:], strict=True)
    return [nats_N[forest.paths[start + reading.first : stop]] for reading, (start, stop) in zip(readings, paths, strict=True)]


def num_tokens_at_once(device: torch.device, most: int) -> int:
    """Return how many tokens to read at once: on a CPU no more than its caches hold the features of."""
    return min(most, CPU_TOKENS_AT_ONCE) if device.type == "cpu" else most


def validation_bits_per_byte(
    decoder: "Decoder", tokens: Tokens, *, batch_size: int, compute_dtype: torch.dtype, max_tokens: int = 0
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
    windows = split_windows(tokens, context_length=decoder.config.context_length, stride=1.0)
    num_tokens = windows.num_scored
    if 0 < max_tokens < num_tokens:
        count = max(1, round(windows.num_windows * max_tokens / num_tokens))
        # Windows are sorted by length: even steps take short and long ones in proportion.
        windows = take(windows, np.linspace(0, windows.num_windows - 1, count).round().astype(np.int64))
    nats = float(window_nats(decoder, windows, batch_size=batch_size, compute_dtype=compute_dtype).sum())
    nats_per_token = nats / windows.num_scored
    return nats_per_token * num_tokens / tokens.num_bytes / math.log(2), nats_per_token


def window_nats(decoder: "Decoder", windows: EvaluationWindows, *, batch_size: int, compute_dtype: torch.dtype) -> "NDArray[np.float64]":
    """Return the nats of each document's scored positions, shape (S,), summed in float64.

    Args:
        decoder: used in evaluation mode, and left in the mode it was in.
        windows: what to score.
        batch_size: windows of full length at once; of shorter ones as many more as make the same number of tokens.
        compute_dtype: of matrix products; the softmax is always float32.
    """
    nats_N = token_nats(decoder, windows, batch_size=batch_size, compute_dtype=compute_dtype)
    return sum_documents(nats_N, windows.tokens)


def token_nats(decoder: "Decoder", windows: EvaluationWindows, *, batch_size: int, compute_dtype: torch.dtype) -> "NDArray[np.float64]":
    """Return the nats of each token of the windows' split, shape (tokens,); 0 where no window scores it. See `window_nats`."""
    nats_N = np.zeros(windows.tokens.num_tokens, dtype=np.float64)
    was_training = decoder.training
    decoder.eval()
    try:
        with torch.inference_mode():
            score = _Scorer(decoder, compute_dtype)
            first = 0
            tokens_at_once = num_tokens_at_once(score.device, batch_size * windows.context_length)
            for inputs_BT, targets_BT, document_B in windows.batches(tokens_at_once, length_multiple=LENGTH_MULTIPLE):
                start_B = windows.tokens.offsets[document_B.numpy()] + windows.start_W[first : first + len(document_B)]
                row_N, column_N = (targets_BT != IGNORE).numpy().nonzero()
                nats_N[start_B[row_N] + column_N] = score(inputs_BT, targets_BT)
                first += len(document_B)
    finally:
        decoder.train(was_training)
    return nats_N


def sum_documents(nats_N: "NDArray[np.float64]", tokens: Tokens) -> "NDArray[np.float64]":
    """Return the sum over each document, shape (S,)."""
    if not tokens.num_documents:
        return np.zeros(0)
    # Every document has at least its end, so no two offsets are equal.
    return np.add.reduceat(nats_N, tokens.offsets[:-1])


def take(windows: EvaluationWindows, index: "NDArray[np.int64]") -> EvaluationWindows:
    """Return some of the windows."""
    return replace(
        windows,
        document_W=windows.document_W[index],
        start_W=windows.start_W[index],
        length_W=windows.length_W[index],
        skip_W=windows.skip_W[index],
    )


def split_windows(tokens: Tokens, *, context_length: int, stride: float, include_end: bool = True) -> EvaluationWindows:
    """Cut every document into windows that move by a fraction of the context length."""
    step = max(1, round(stride * context_length))
    return evaluation_windows(tokens, context_length=context_length, stride=step, include_end=include_end)


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

    def __call__(self, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> "NDArray[np.float64]":
        """Return the nats of each scored target, row by row."""
        hidden_BTD = self.decoder(inputs_BT.to(self.device), compute_dtype=self.dtype)
        scored_BT = targets_BT != IGNORE
        return self._nats(hidden_BTD[scored_BT.to(self.device)], targets_BT[scored_BT].to(self.device))

    def _nats(self, hidden_ND: torch.Tensor, targets_N: torch.Tensor) -> "NDArray[np.float64]":
        parts: list[torch.Tensor] = []
        for hidden, targets in zip(hidden_ND.split(self.rows), targets_N.split(self.rows), strict=True):
            logits = torch.mm(hidden.to(self.dtype), self.head_DV).float()
            if self.bias_V is not None:
                logits += self.bias_V
            logits = soft_cap(logits, self.decoder.config.logit_softcap)
            parts.append(logits.logsumexp(-1) - logits.gather(-1, targets[:, None]).squeeze(-1))
        return torch.cat(parts).double().cpu().numpy()
