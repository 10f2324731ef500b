"""Groups of documents that are linked by pairs."""

import numpy as np


def components(num_documents: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the first document of each document's group, int64 (D,); documents without a pair are their own.

    Args:
        num_documents: D.
        left: int64 (P,), one side of each pair.
        right: int64 (P,), the other.
    """
    label = np.arange(num_documents)
    while len(left):
        # Each group takes the smallest label that it touches, and every document the label of its label.
        low, high = np.minimum(label[left], label[right]), np.maximum(label[left], label[right])
        open_pairs = low != high
        left, right, low, high = left[open_pairs], right[open_pairs], low[open_pairs], high[open_pairs]
        np.minimum.at(label, high, low)
        while True:
            above = label[label]
            if np.array_equal(above, label):
                break
            label = above
    return label


def keep_first(rank_left: np.ndarray, rank_right: np.ndarray, num_ranks: int) -> np.ndarray:
    """Choose what to keep by rank: a document goes where one before it that is kept is linked to it; int64 (num_ranks,).

    A link is to a document that is kept, never through one that goes: a chain of small changes does not carry away what has become
    another text.

    Args:
        rank_left: int64 (P,), the earlier document of each pair.
        rank_right: int64 (P,), the later one, that may go.
        num_ranks: how many documents there are.

    Returns:
        The rank of the document kept in its place, the first there is; -1 where a document is kept itself.
    """
    kept = np.full(num_ranks, -1, dtype=np.int64)
    order = np.lexsort((rank_left, rank_right))
    gone: dict[int, int] = {}
    for earlier, later in zip(rank_left[order].tolist(), rank_right[order].tolist(), strict=True):
        if later not in gone and earlier not in gone:
            gone[later] = earlier
    if gone:
        kept[np.fromiter(gone.keys(), dtype=np.int64, count=len(gone))] = np.fromiter(gone.values(), dtype=np.int64, count=len(gone))
    return kept
