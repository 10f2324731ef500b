"""Tokens in memory, without a corpus or a tokenizer."""

from collections.abc import Sequence

import numpy as np

from rodna.data.tokens import Tokens

END = 0


def tokens_of(lengths: Sequence[int]) -> Tokens:
    """Return documents of these lengths; every token but the ends is a number of its own."""
    parts, following = [], 1
    for length in lengths:
        parts += [np.arange(following, following + length), [END]]
        following += length
    offsets = np.concatenate([[0], np.cumsum([length + 1 for length in lengths])]).astype(np.int64)
    joined = np.concatenate(parts).astype("<u2") if parts else np.empty(0, "<u2")
    return Tokens(joined, offsets, np.array(lengths, dtype=np.int64), END, following)
