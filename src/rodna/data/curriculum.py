"""Curricula: what comes first. Batches stay a pure function of n, and every token a target exactly once an epoch.

short_first: sentences before documents. The first epoch goes through the documents from short to long, in buckets of equal size that are
shuffled inside, so that neighbouring batches are not all of one length; all later epochs are shuffled as a whole. Sorting every epoch
would end each of them, and with the last one the decay of the learning rate, on nothing but the longest documents.
Reference: Bengio et al. 2009, "Curriculum learning", section 5: easy examples first, then the whole distribution.

context_grows: short context before long. Windows are cut into rows of a quarter, then of half of their length, then stay whole; a batch has
more rows then, and the same tokens. Which text is learned in which step does not change, only how far back a model can look; and there
are but three shapes, so that compiled code is used again. All of the usual decay happens at full length.
References: Press et al. 2021 (Shortformer), arXiv:2012.15832, section 3; Jin et al. 2023 (GrowLength), arXiv:2310.00576.

The weights of sources are no matter of batches: the corpus repeats a source's documents or leaves some out (`corpus.mix`), a repetition is
a document like any other, and an epoch is one pass over what the mix has made of the text.
"""

from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rodna.core.errors import TrainError
from rodna.data.batches import Batches, Integers, one_row, shuffled
from rodna.data.hashing import permutation

if TYPE_CHECKING:
    from rodna.data.segmentations import Segmentations
    from rodna.data.tokens import Tokens

AS_IT_IS = 0.3
"""Share of a training with BPE-dropout, at its end, that reads the tokenizer's own tokens: docs/planning.md, Other segmentations."""
LEAST_AS_IT_IS = 0.1
"""As whole epochs are read in one way, the share at the end differs; never is it smaller than this."""
NUM_BUCKETS = 16
"""Of the first epoch; each holds as many windows as any other."""
CONTEXT_STAGES: tuple[tuple[float, int], ...] = ((0.25, 4), (0.5, 2))
"""(until this share of the steps, a window is cut in so many rows)."""


class Settings(Protocol):
    """What of the training settings decides which batches there are."""

    @property
    def seed(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def curriculum(self) -> str: ...


def make_batches(
    tokens: "Tokens",
    values: Settings,
    context_length: int,
    *,
    order_seed: int | None = None,
    segmentations: "Segmentations | None" = None,
) -> Batches:
    """Return the batches of a training.

    Args:
        tokens: the training split.
        values: settings of the training.
        context_length: tokens in a window, the model's.
        order_seed: of the order of the text; None: the training's seed.
        segmentations: of `tokens`: each epoch reads other ones, but for those of the end; None: all read `tokens`.

    Raises:
        TrainError: there are no tokens, or windows that cannot be cut as the curriculum wants.
    """
    order, rows_per_window = shuffled, one_row
    if values.curriculum == "short_first":
        order = short_first
    elif values.curriculum == "context_grows":
        most = max(parts for _, parts in CONTEXT_STAGES)
        if context_length % most:
            raise TrainError(
                f"a context of {context_length} tokens cannot be cut in {most} equal rows",
                where="train.curriculum: context_grows",
                fix=f"set model.context_length to a multiple of {most}, e.g. {-(-context_length // most) * most}, or another curriculum",
            )
        rows_per_window = partial(rows_at, steps=values.steps)
    total = values.steps * values.batch_size * context_length
    epoch_text = partial(varied, segmentations, total=total) if segmentations else None
    return Batches(tokens, seed=values.seed if order_seed is None else order_seed, batch_size=values.batch_size,
                   context_length=context_length, order=order, rows_per_window=rows_per_window, epoch_text=epoch_text)  # fmt: skip


def varied(segmentations: "Segmentations", epoch: int, start: int, *, total: int) -> "Tokens":
    """Return what an epoch reads: other segmentations unless it belongs to the end of a training.

    Args:
        segmentations: of the text.
        epoch: from 0.
        start: where it begins in the endless stream of tokens.
        total: tokens that the training reads.
    """
    is_early = start < (1 - AS_IT_IS) * total and start + segmentations.tokens.num_tokens <= (1 - LEAST_AS_IT_IS) * total
    return segmentations.epoch(epoch) if is_early else segmentations.tokens


def rows_at(n: int, *, steps: int) -> int:
    """Return in how many rows batch n of a training of `steps` cuts each window."""
    return next((parts for until, parts in CONTEXT_STAGES if n < round(until * steps)), 1)


def row_lengths(values: Settings, context_length: int) -> set[int]:
    """Return the lengths of rows that a training has."""
    parts = {parts for _, parts in CONTEXT_STAGES} if values.curriculum == "context_grows" else set()
    return {context_length // number for number in parts | {1}}


def short_first(lengths_D: Integers, num_windows: int, *, seed: int, epoch: int) -> tuple[Integers, Integers]:
    """Return an epoch's order of documents and windows: in the first epoch from short to long, shuffled in buckets; later shuffled.

    Args:
        lengths_D: tokens of each document.
        num_windows: that start in this epoch.
        seed: of the shuffling.
        epoch: from 0.
    """
    documents_D, windows = shuffled(lengths_D, num_windows, seed=seed, epoch=epoch)
    if epoch:
        return documents_D, windows
    by_length_D = documents_D[np.argsort(lengths_D[documents_D], kind="stable")]
    # A bucket is a stretch of the stream, not a number of documents: a document belongs where it begins.
    starts_D = np.cumsum(lengths_D[by_length_D]) - lengths_D[by_length_D]
    bucket_D = starts_D * NUM_BUCKETS // lengths_D.sum()
    bucket_W = np.arange(num_windows) * NUM_BUCKETS // max(num_windows, 1)
    return by_length_D[_shuffled_within(bucket_D, seed, 2)], _shuffled_within(bucket_W, seed, 3)


def _shuffled_within(buckets: Integers, *key: int) -> Integers:
    """Return an order of places that leaves each in its bucket; buckets never fall."""
    chance = np.empty(len(buckets), np.int64)
    chance[permutation(len(buckets), *key)] = np.arange(len(buckets))
    return np.lexsort((chance, buckets)).astype(np.int64)
