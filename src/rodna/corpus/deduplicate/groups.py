"""Going through all windows or lines of a corpus by hash, so many at a time."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rodna.corpus.signals import Column, Signals

_ROWS_AT_A_TIME = 1 << 22
"""About 300 MB with what sorting needs."""
_SAMPLE_EVERY = 256


@dataclass(frozen=True)
class Groups:
    """Windows or lines in the order of their hashes; those of one hash in the order of their documents.

    Attributes:
        hashes: uint64 (N,).
        documents: int64 (N,), counted over all shards.
        starts, lengths: int64 (N,), where they are in their documents, in code points.
        begins: int64 (G,), where each group of equal hashes begins.
    """

    hashes: np.ndarray
    documents: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    begins: np.ndarray

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return one value a group as one a row."""
        return np.repeat(values, np.diff(np.append(self.begins, len(self.hashes))))


def groups_of(store: Signals, kind: Column, wanted: np.ndarray) -> Iterator[Groups]:
    """Yield all windows or lines of the wanted documents, a range of hashes at a time.

    Args:
        store: the corpus.
        kind: which.
        wanted: bool (D,).
    """
    num_rows, sorted_columns, samples = 0, [], [np.zeros(0, dtype=np.uint64)]
    for shard in store.shards:
        column = store.column(kind, shard)
        num_rows += len(column)
        sorted_columns.append(bool((column["hash"][1:] >= column["hash"][:-1]).all()))
        samples.append(np.array(column["hash"][::_SAMPLE_EVERY]))
    bounds = _bounds(np.concatenate(samples), max(1, -(-num_rows // _ROWS_AT_A_TIME)))
    # Looked up once for all ranges: a search in a field of rows copies the whole field first.
    lows = np.array(bounds[:-1], dtype=np.uint64)
    places = [np.append(np.searchsorted(store.column(kind, shard)["hash"], lows), len(store.column(kind, shard))) for shard in store.shards]
    for number, (low, high) in enumerate(itertools.pairwise(bounds)):
        parts = []
        for shard, is_sorted, place in zip(store.shards, sorted_columns, places, strict=True):
            # Mapped anew: the pages of a file that stays mapped count as this process' memory, in the end all of them.
            column = store.column(kind, shard)
            rows = column[place[number] : place[number + 1]] if is_sorted else _range(column, low, high)
            documents = rows["document"].astype(np.int64) + shard.first
            inside = wanted[documents]
            parts.append((rows[inside], documents[inside]))
        yield _grouped(parts)


def _bounds(sample: np.ndarray, num_ranges: int) -> list[int]:
    """Return where ranges of hashes begin that hold about as many rows each, and the end of the last.

    Hashes are not spread evenly: winnowing keeps the smallest.
    """
    sample = np.sort(sample)
    inner = sample[np.arange(1, num_ranges) * len(sample) // num_ranges] if len(sample) else sample
    return [0, *sorted({int(bound) for bound in inner} - {0}), 1 << 64]


def _range(column: np.ndarray, low: int, high: int) -> np.ndarray:
    """Return the rows whose hashes are in [low, high), of a column in any order."""
    hashes = column["hash"]
    return column[(hashes >= np.uint64(low)) & (hashes <= np.uint64(high - 1))]


def _grouped(parts: list[tuple[np.ndarray, np.ndarray]]) -> Groups:
    hashes, starts, lengths = (np.concatenate([rows[name] for rows, _ in parts]) for name in ("hash", "start", "length"))
    documents = np.concatenate([documents for _, documents in parts])
    # Rows come in the order of documents and starts: sorting by hash alone keeps it, and takes a quarter of the time.
    order = np.argsort(hashes, kind="stable")
    if not _in_order(hashes[order], documents[order], starts[order]):
        order = np.lexsort((starts, documents, hashes))
    hashes = hashes[order]
    begins = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1]))) if len(hashes) else np.zeros(0, dtype=np.int64)
    return Groups(hashes, documents[order], starts[order].astype(np.int64), lengths[order].astype(np.int64), begins)


def _in_order(hashes: np.ndarray, documents: np.ndarray, starts: np.ndarray) -> bool:
    """Return whether rows of one hash, which stand together, are in the order of their documents and places."""
    same, same_document = hashes[1:] == hashes[:-1], documents[1:] == documents[:-1]
    is_late = (documents[1:] < documents[:-1]) | (same_document & (starts[1:] < starts[:-1]))
    return not bool((same & is_late).any())
