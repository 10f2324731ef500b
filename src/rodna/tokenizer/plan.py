"""How large a vocabulary a corpus should have."""

import math
from collections import Counter
from collections.abc import Iterable

from rodna.core.text import human_bytes, human_count
from rodna.tokenizer.config import SMALLEST_VOCABULARY

MULTIPLE = 64
"""Planned sizes are multiples of this: matrix units work in tiles."""
LARGEST_PLANNED = 65_536
"""Ids below it fit 16 bits, which halves the tokens on disk."""
SIZE_AT_A_MEGABYTE = 4096
"""Doubled for every tenfold of text: 8k at 10 MB, 16k at 100 MB. At this size the vocabulary's matrices dominate both the parameters
and the work of a small model."""
BYTES_PER_LEARNED_TOKEN = 512
"""Below 3 MB a text supports fewer tokens than that: one that is seen seldom is learned by heart (docs/planning.md, "Vocabulary")."""
TOKENS_PER_CHARACTER = 1.5
"""A character of three bytes takes up to two merges; those of one script share many of the first ones."""
FREQUENT_SHARE = 0.995
"""The characters that make up this share of a text are its frequent ones."""


def planned_vocabulary_size(num_bytes: int, *, num_characters: int = 0) -> tuple[int, str]:
    """Propose the size of a BPE or Unigram vocabulary, special tokens and bytes included.

    Args:
        num_bytes: UTF-8 bytes of the training text.
        num_characters: distinct characters that are frequent in it (`frequent_characters`); in scripts with thousands of them, such as
            Han, each should be a token of its own where there is text enough.

    Returns:
        The size, a multiple of 64, and the reason for it.
    """
    by_amount = SIZE_AT_A_MEGABYTE * 2 ** math.log10(max(num_bytes, 1) / 1e6)
    supported = SMALLEST_VOCABULARY + num_bytes / BYTES_PER_LEARNED_TOKEN
    for_characters = SMALLEST_VOCABULARY + TOKENS_PER_CHARACTER * num_characters
    size = by_amount
    reason = f"{human_bytes(num_bytes)} of text: about 8k tokens at 10 MB, twice as many for ten times the text"
    if for_characters > size:
        size, reason = for_characters, f"its {num_characters:,} frequent characters shall each be a token"
    if supported < size:
        size, reason = (
            supported,
            f"{human_bytes(num_bytes)} of text: a token for every {BYTES_PER_LEARNED_TOKEN} bytes, each to be seen often",
        )
    if size > LARGEST_PLANNED:
        size, reason = LARGEST_PLANNED, f"{human_count(LARGEST_PLANNED)} tokens still fit 16 bits each"
    smallest = -(-SMALLEST_VOCABULARY // MULTIPLE) * MULTIPLE
    return max(round(size / MULTIPLE) * MULTIPLE, smallest), reason


def frequent_characters(counts: Counter[str]) -> int:
    """Return how many distinct characters make up 99.5% of a text."""
    needed, number = counts.total() * FREQUENT_SHARE, 0
    for _, count in counts.most_common():
        if needed <= 0:
            break
        needed -= count
        number += 1
    return number


def count_characters(texts: Iterable[str]) -> Counter[str]:
    """Count the characters of some texts."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    return counts
