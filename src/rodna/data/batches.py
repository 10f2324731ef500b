"""Batches for training: batch n is a pure function of (tokens, seed, n).

Every epoch puts the documents in an order of its own, joins them, and cuts what results into windows, which it puts in an order of their
own. The cuts do not start anew with an epoch: all epochs together are one endless stream of tokens, cut every `context_length`. So
every token is a target exactly once an epoch, nothing is cropped or padded, and a run that is resumed, or spread over another number
of processes, sees the same batches: there is nothing to save but the step.

A curriculum (`data.curriculum`) may put another order in place of the shuffle, or cut windows into shorter rows. It too is a function of
n alone, and every token stays a target exactly once an epoch.

An epoch need not read the tokens of the one before, only the same documents: they may be cut otherwise (`data.segmentations`).

Suffixes: B rows of a batch, T positions, W windows, S spans (stretches of one window that lie in one epoch), P pieces (stretches of one
span that lie in one document), N tokens.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rodna.core.errors import TrainError
from rodna.data.hashing import permutation
from rodna.data.tokens import Tokens

if TYPE_CHECKING:
    from torch import Tensor

IGNORE = -100
"""The target of a position that is not scored."""

Integers = NDArray[np.int64]

Order = Callable[..., tuple[Integers, Integers]]
"""(lengths_D, num_windows, *, seed, epoch) -> the order of an epoch's documents, and that of its windows."""

EpochText = Callable[[int, int], Tokens]
"""(epoch, where it begins in the endless stream) -> what it reads: always the same documents, not always as many tokens; at least one."""


class Batch(NamedTuple):
    """What a model reads and what it should predict.

    Attributes:
        inputs_BT: int64 token ids.
        targets_BT: int64, the token after each input; `IGNORE` marks positions that are not scored.
        document_BT: int64, the document each *target* belongs to, for attention that does not cross documents: the end-of-text before a
            document counts as its beginning. A number within the endless stream, not the corpus: repetitions of a document differ.
        slot_B: int64, the place of the row's window in the endless sequence of windows: batch n holds slots n x batch_size and on. Rows
            that a curriculum cuts from one window share its slot.
    """

    inputs_BT: "Tensor"
    targets_BT: "Tensor"
    document_BT: "Tensor"
    slot_B: "Tensor"


def shuffled(lengths_D: Integers, num_windows: int, *, seed: int, epoch: int) -> tuple[Integers, Integers]:
    """Return an order of documents and one of windows that depend on seed and epoch alone."""
    return permutation(len(lengths_D), seed, epoch, 0), permutation(num_windows, seed, epoch, 1)


def one_row(n: int) -> int:
    """Return in how many rows batch n cuts a window: it stays whole."""
    return 1


@dataclass(frozen=True)
class _Epoch:
    """One epoch: what it reads, the order of its documents, where each starts in the epoch's stream, and the order of its windows."""

    tokens: Tokens
    documents: Integers
    starts: Integers
    windows: Integers


class Batches:
    """Batch n of an endless sequence, for any n, in any order."""

    def __init__(
        self,
        tokens: Tokens,
        *,
        seed: int,
        batch_size: int,
        context_length: int,
        order: Order = shuffled,
        rows_per_window: Callable[[int], int] = one_row,
        epoch_text: EpochText | None = None,
    ) -> None:
        """Describe the batches; nothing is read yet.

        Args:
            tokens: the training split.
            seed: of the orders; another seed, other batches.
            batch_size: windows in a batch, over all processes together.
            context_length: tokens in a window.
            order: of the documents and windows of an epoch.
            rows_per_window: in how many rows of equal length batch n cuts each of its windows; divisors of `context_length`.
            epoch_text: what each epoch reads; None: `tokens`.

        Raises:
            TrainError: there are no tokens.
        """
        if tokens.num_tokens == 0:
            raise TrainError("there is nothing to train on: the split has no tokens", fix="put text into the corpus' training split")
        if batch_size < 1 or context_length < 1:
            raise TrainError(f"no batch can have {batch_size} windows of {context_length} tokens", fix="give positive numbers")
        self._tokens, self._seed = tokens, seed
        self.batch_size, self.context_length = batch_size, context_length
        self._order, self._rows_per_window = order, rows_per_window
        self._epoch_text = epoch_text or (lambda epoch, start: tokens)
        # Where the epochs that are known begin in the endless stream, and the next one after them.
        self._starts = [0]
        # An instance's own cache: the current epoch and the one it runs into.
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    @property
    def tokens_per_batch(self) -> int:
        return self.batch_size * self.context_length

    def epochs(self, batches: int) -> float:
        """Return how often so many batches read the text."""
        place = batches * self.tokens_per_batch
        epoch = self._epoch_at(place)
        return epoch + (place - self._start(epoch)) / (self._start(epoch + 1) - self._start(epoch))

    def batch(self, n: int, *, rank: int = 0, world_size: int = 1) -> Batch:
        """Return batch n, or the rows of it that process `rank` of `world_size` computes.

        Raises:
            TrainError: the batch cannot be shared out evenly, or there is no such batch or process.
        """
        import torch

        if n < 0 or not 0 <= rank < world_size:
            raise TrainError(f"there is no batch {n} for process {rank} of {world_size}", fix="count from 0")
        if self.batch_size % world_size:
            raise TrainError(
                f"{self.batch_size} windows cannot be shared evenly by {world_size} processes",
                where="train.batch_size",
                fix=f"set it to a multiple of {world_size}, or use another number of processes",
            )
        share = self.batch_size // world_size
        first = n * self.batch_size + rank * share
        slots_W = np.arange(first, first + share, dtype=np.int64)
        stream_WT, document_WT = self._read(self._windows(slots_W))
        parts = self._rows_per_window(n)
        rows = (-1, self.context_length // parts)
        inputs_BT, targets_BT, document_BT = (part.reshape(rows) for part in (stream_WT[:, :-1], stream_WT[:, 1:], document_WT))
        return Batch(*map(torch.from_numpy, (inputs_BT.copy(), targets_BT.copy(), document_BT, slots_W.repeat(parts))))

    def _windows(self, slots_W: Integers) -> Integers:
        """Return which windows of the stream the slots of the sequence of batches hold: each epoch has them in its own order.

        Windows of one long document would otherwise follow each other, and fill a batch with the same text.
        """
        epochs_W = np.array([self._epoch_at(place) for place in (slots_W * self.context_length).tolist()])
        windows_W = slots_W.copy()
        for epoch in np.unique(epochs_W):
            chosen = epochs_W == epoch
            first = self._first_window(int(epoch))
            windows_W[chosen] = first + self._epoch(int(epoch)).windows[slots_W[chosen] - first]
        return windows_W

    def _start(self, epoch: int) -> int:
        """Return where an epoch begins in the endless stream."""
        while len(self._starts) <= epoch:
            self._starts.append(self._starts[-1] + self._epoch_text(len(self._starts) - 1, self._starts[-1]).num_tokens)
        return self._starts[epoch]

    def _epoch_at(self, place: int) -> int:
        """Return in which epoch a place of the endless stream lies."""
        while self._starts[-1] <= place:
            self._start(len(self._starts))
        return bisect_right(self._starts, place) - 1

    def _first_window(self, epoch: int) -> int:
        """Return the first window that starts in an epoch."""
        return -(-self._start(epoch) // self.context_length)

    def _make_epoch(self, epoch: int) -> _Epoch:
        tokens = self._epoch_text(epoch, self._start(epoch))
        lengths = np.diff(tokens.offsets)
        num_windows = self._first_window(epoch + 1) - self._first_window(epoch)
        documents, windows = self._order(lengths, num_windows, seed=self._seed, epoch=epoch)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[documents])])
        return _Epoch(tokens, documents, starts, windows)

    def _read(self, windows_W: Integers) -> tuple[Integers, Integers]:
        """Return the tokens of some windows, with the one before each, and the documents they belong to.

        Returns:
            int64 tokens (W, T + 1), and document numbers (W, T) of all but the first column.
        """
        length = self.context_length
        stream_WT = np.empty((len(windows_W), length + 1), np.int64)
        document_WT = np.empty((len(windows_W), length), np.int64)
        starts_W = windows_W * length
        # What precedes a window at the start of an epoch is the end of the last epoch's last document, or the beginning of all.
        stream_WT[:, 0] = self._tokens.end_of_text_id
        for epoch in range(self._epoch_at(int(starts_W.min())), self._epoch_at(int(starts_W.max()) + length - 1) + 1):
            begin, total = self._start(epoch), self._start(epoch + 1) - self._start(epoch)
            # The positions of each window, its predecessor included, that lie in this epoch.
            low_S = np.maximum(starts_W - 1 - begin, 0)
            high_S = np.minimum(starts_W + length - begin, total)
            rows = np.flatnonzero(high_S > low_S)
            low_S, high_S = low_S[rows], high_S[rows]
            columns_S = low_S + begin - (starts_W[rows] - 1)
            places, sources, ordinals = self._pieces(epoch, low_S, high_S, rows * (length + 1) + columns_S)
            stream_WT.reshape(-1)[places] = self._epoch(epoch).tokens.tokens[sources]
            row, column = np.divmod(places, length + 1)
            inside = column > 0
            document_WT[row[inside], column[inside] - 1] = ordinals[inside]
        return stream_WT, document_WT

    def _pieces(self, epoch: int, low_S: Integers, high_S: Integers, places_S: Integers) -> tuple[Integers, Integers, Integers]:
        """Find the tokens of spans of one epoch's stream.

        Args:
            epoch: which one.
            low_S: where each span starts in it.
            high_S: where each ends.
            places_S: where each goes.

        Returns:
            For every token: where it goes, where it is read, and its document's number in the endless stream.
        """
        order = self._epoch(epoch)
        first_S = np.searchsorted(order.starts, low_S, side="right") - 1
        count_S = np.searchsorted(order.starts, high_S, side="left") - first_S
        span_P = np.repeat(np.arange(len(low_S)), count_S)
        document_P = ranges(first_S, count_S)
        low_P = np.maximum(order.starts[document_P], low_S[span_P])
        size_P = np.minimum(order.starts[document_P + 1], high_S[span_P]) - low_P
        source_P = order.tokens.offsets[order.documents[document_P]] + low_P - order.starts[document_P]
        places = ranges(places_S, high_S - low_S)
        return places, ranges(source_P, size_P), np.repeat(document_P + epoch * self._tokens.num_documents, size_P)


def ranges(starts: Integers, sizes: Integers) -> Integers:
    """Join ranges: starts [3, 8], sizes [2, 3] give [3, 4, 8, 9, 10]."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - (ends - sizes), sizes) + np.arange(ends[-1] if len(ends) else 0, dtype=np.int64)
