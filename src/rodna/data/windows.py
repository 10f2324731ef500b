"""Windows for evaluation: every token of every document is scored exactly once, with as much context as the stride promises.

Documents are scored one by one: the first token of each is predicted from end-of-text alone. A document longer than the context is
read through a sliding window: each further window moves on by `stride` tokens and scores only what no window before it has scored, so
every token has at least `context_length - stride` tokens of context, or all there are. Reference: Baevski and Auli 2019,
arXiv:1809.10853, section 4.3 ("context window").

Suffixes: B rows of a batch, T positions, W windows, D documents.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rodna.core.errors import EvaluationError
from rodna.data.batches import IGNORE
from rodna.data.tokens import Tokens

if TYPE_CHECKING:
    from torch import Tensor

LENGTH_MULTIPLE = 32
"""Batches are padded to a multiple of this many positions, so that compiled models see few shapes."""

Integers = NDArray[np.int64]


class WindowBatch(NamedTuple):
    """Windows of about one length.

    Attributes:
        inputs_BT: int64 token ids; padding, at the end, is end-of-text.
        targets_BT: int64, the token after each input; `IGNORE` where it is padding or scored by another window.
        document_B: int64, the document each window belongs to.
    """

    inputs_BT: "Tensor"
    targets_BT: "Tensor"
    document_B: "Tensor"


@dataclass(frozen=True)
class EvaluationWindows:
    """All windows over the documents of a split, longest first.

    Attributes:
        tokens: the split.
        context_length: longest window.
        document_W: the document of each window.
        start_W: where the window starts: its first target is this token of the document.
        length_W: how many targets it spans.
        skip_W: how many of these, from the start, are context that an earlier window has scored.
    """

    tokens: Tokens
    context_length: int
    document_W: Integers
    start_W: Integers
    length_W: Integers
    skip_W: Integers

    @property
    def num_windows(self) -> int:
        return len(self.document_W)

    @property
    def num_scored(self) -> int:
        return int((self.length_W - self.skip_W).sum())

    def batches(self, tokens_per_batch: int, *, length_multiple: int = LENGTH_MULTIPLE) -> Iterator[WindowBatch]:
        """Yield the windows, as many at a time as `tokens_per_batch` holds, at least one, padded to a multiple of `length_multiple`."""
        first = 0
        while first < self.num_windows:
            longest = int(self.length_W[first])
            padded = min(-(-longest // length_multiple) * length_multiple, self.context_length)
            rows = max(tokens_per_batch // padded, 1)
            yield self._batch(slice(first, first + rows), padded)
            first += rows

    def _batch(self, chosen: slice, padded: int) -> WindowBatch:
        import torch

        document_B, length_B, skip_B = self.document_W[chosen], self.length_W[chosen], self.skip_W[chosen]
        first_B = self.tokens.offsets[document_B] + self.start_W[chosen]
        positions_T = np.arange(padded)
        inside_BT = positions_T < length_B[:, None]
        places_BT = np.where(inside_BT, first_B[:, None] + positions_T, 0)
        targets_BT = self.tokens.tokens[places_BT].astype(np.int64)
        inputs_BT = np.full_like(targets_BT, self.tokens.end_of_text_id)
        inputs_BT[:, 1:] = np.where(inside_BT[:, 1:], targets_BT[:, :-1], self.tokens.end_of_text_id)
        # The token before a later window is its document's own; that before the first is end-of-text.
        later_B = self.start_W[chosen] > 0
        inputs_BT[later_B, 0] = self.tokens.tokens[first_B[later_B] - 1]
        targets_BT[~inside_BT | (positions_T < skip_B[:, None])] = IGNORE
        return WindowBatch(torch.from_numpy(inputs_BT), torch.from_numpy(targets_BT), torch.from_numpy(document_B.copy()))


def evaluation_windows(tokens: Tokens, *, context_length: int, stride: int, include_end: bool = True) -> EvaluationWindows:
    """Cut every document into windows.

    Args:
        tokens: the split to score.
        context_length: longest window, in tokens.
        stride: tokens a further window of the same document moves on by: from 1 (every token with the most context, slow) to
            `context_length` (no overlap).
        include_end: whether the end-of-text that closes each document is scored too.

    Raises:
        EvaluationError: the stride is out of range.
    """
    if not 1 <= stride <= context_length:
        raise EvaluationError(
            f"the stride of evaluation must be from 1 to the context of {context_length} tokens, not {stride}",
            where="eval.stride",
            fix=f"set it to a part of the context, e.g. {max(context_length // 2, 1)} tokens",
        )
    targets_D = np.diff(tokens.offsets) - (0 if include_end else 1)
    further_D = -(-np.maximum(targets_D - context_length, 0) // stride)
    count_D = np.where(targets_D > 0, 1 + further_D, 0)
    document_W = np.repeat(np.arange(len(targets_D)), count_D)
    number_W = np.arange(len(document_W)) - np.repeat(np.cumsum(count_D) - count_D, count_D)
    # The last window ends with its document, so it is as long as the others, and its tokens have all the more context.
    end_W = np.minimum(context_length + number_W * stride, targets_D[document_W])
    start_W = np.maximum(end_W - context_length, 0)
    scored_before_W = np.where(number_W > 0, context_length + (number_W - 1) * stride, 0)
    length_W, skip_W = end_W - start_W, scored_before_W - start_W
    order = np.argsort(-length_W, kind="stable")
    return EvaluationWindows(tokens, context_length, document_W[order], start_W[order], length_W[order], skip_W[order])
