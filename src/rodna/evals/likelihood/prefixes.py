"""Readings laid out as trees, so that beginnings they share are read once.

Sorted readings that begin alike stand side by side. A row is a run of them, as a tree in depth-first order: a token that several readings
have after the same tokens is one node. A node sees its ancestors and itself, at the position it has in its readings. In depth-first order
everything below node j is j to `end` - 1, so that i sees j exactly if j <= i < end[j]. A cost is that of a node: readings
that share it share its number to the last bit.

Shapes: R readings, N nodes, B rows of a batch, T positions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rodna.evals.likelihood.readings import Reading

Integers = NDArray[np.int64]
MOST_NODES = 1024
"""Of a row of several readings: its mask has the square of that many entries."""


class TreeBatch(NamedTuple):
    """Rows of about one length.

    Attributes:
        inputs_BT: token ids, padded at the end with 0.
        positions_BT: of the tokens in their readings.
        end_BT: one past the last place that sees this one; None where every row is one reading, so that attention is plainly causal.
        places_H: of the positions whose successors are scored, in the flattened batch; each once.
        head_C: for each scored node, which of `places_H` precedes it.
        targets_C: for each scored node, its token.
        nodes_C: which nodes these are.
    """

    inputs_BT: Integers
    positions_BT: Integers
    end_BT: Integers | None
    places_H: Integers
    head_C: Integers
    targets_C: Integers
    nodes_C: Integers


@dataclass(frozen=True)
class Forest:
    """Many readings as rows of nodes.

    Attributes:
        token_N: the token of each node.
        depth_N: its position in its readings.
        parent_N: the node before it, itself for the first of a reading.
        end_N: one past the last node below it.
        is_run_N: whether anything follows it, so that the model must read it.
        is_scored_N: whether some reading scores it.
        row_starts: the first node of every row, and the number of nodes.
        is_tree: for every row, whether it holds several readings.
        paths: the nodes of every reading, one after another.
        path_starts: where those of each reading begin, and their number.
    """

    token_N: Integers
    depth_N: Integers
    parent_N: Integers
    end_N: Integers
    is_run_N: NDArray[np.bool_]
    is_scored_N: NDArray[np.bool_]
    row_starts: Integers
    is_tree: NDArray[np.bool_]
    paths: Integers
    path_starts: Integers

    def batches(self, tokens_at_once: int) -> Iterator[TreeBatch]:
        """Yield all rows, longest first, as many at a time as `tokens_at_once` holds, at least one."""
        rank_N = np.concatenate([[0], np.cumsum(self.is_run_N)])
        run_N = np.flatnonzero(self.is_run_N)
        first_B = rank_N[self.row_starts[:-1]]
        length_B = rank_N[self.row_starts[1:]] - first_B
        for tree in (False, True):
            rows = np.flatnonzero(self.is_tree == tree)
            rows = rows[np.argsort(-length_B[rows], kind="stable")]
            start = 0
            while start < len(rows):
                stop = start + max(1, tokens_at_once // int(length_B[rows[start]]))
                yield self._batch(rows[start:stop], run_N, rank_N, first_B, length_B)
                start = stop

    def _batch(self, rows: Integers, run_N: Integers, rank_N: Integers, first_B: Integers, length_B: Integers) -> TreeBatch:
        first, length = first_B[rows], length_B[rows]
        longest = int(length[0])
        columns_T = np.arange(longest)
        inside_BT = columns_T < length[:, None]
        nodes_BT = run_N[np.where(inside_BT, first[:, None] + columns_T, 0)]
        end_BT = None
        if self.is_tree[rows[0]]:
            # Padding sees itself, since a softmax over nothing is not a number.
            end_BT = np.where(inside_BT, rank_N[self.end_N[nodes_BT]] - first[:, None], longest)
        starts, stops = self.row_starts[rows], self.row_starts[rows + 1]
        scored = [start + np.flatnonzero(self.is_scored_N[start:stop]) for start, stop in zip(starts, stops, strict=True)]
        nodes_C = np.concatenate(scored)
        row_C = np.repeat(np.arange(len(rows)), [len(part) for part in scored])
        place_C = row_C * longest + rank_N[self.parent_N[nodes_C]] - first[row_C]
        places_H, head_C = np.unique(place_C, return_inverse=True)
        inputs_BT = np.where(inside_BT, self.token_N[nodes_BT], 0)
        positions_BT = np.where(inside_BT, self.depth_N[nodes_BT], 0)
        return TreeBatch(inputs_BT, positions_BT, end_BT, places_H, head_C, self.token_N[nodes_C], nodes_C)


def plant(readings: Sequence[Reading], *, token_in_pairs: float) -> Forest:
    """Lay readings out as trees.

    Args:
        readings: sorted, so that those which begin alike are neighbours, and no two the same.
        token_in_pairs: how many pairs of positions attention compares in the time that the rest of the model takes for one token. A
            reading joins a row only where what it shares is worth more than the longer row costs.
    """
    builder = _Builder()
    before: tuple[int, ...] = ()
    for reading in readings:
        shared = _shared(before, reading.tokens) if builder.rows else 0
        builder.add(reading, shared, new_row=not builder.is_worth(shared, len(reading.tokens), token_in_pairs))
        before = reading.tokens
    return builder.build(readings)


def _shared(first: tuple[int, ...], second: tuple[int, ...]) -> int:
    """Return the number of tokens that two readings begin with alike."""
    most = min(len(first), len(second))
    if first[:most] == second[:most]:
        return most
    return next(index for index in range(most) if first[index] != second[index])


class _Builder:
    """Readings as they are added: where their own nodes begin, and how many they share with the one before."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.shared: list[int] = []
        self.size = 0

    def is_worth(self, shared: int, length: int, token_in_pairs: float) -> bool:
        """Return whether a reading costs less in the present row than in one of its own."""
        new = length - shared
        if not shared or self.size + new > MOST_NODES:
            return False
        return token_in_pairs * shared + length**2 > 2 * self.size * new + new**2

    def add(self, reading: Reading, shared: int, *, new_row: bool) -> None:
        if new_row:
            self.rows.append(len(self.shared))
            self.size = shared = 0
        self.size += len(reading.tokens) - shared
        self.shared.append(shared)

    def build(self, readings: Sequence[Reading]) -> Forest:
        """Number the nodes in the order they are met, which is depth-first."""
        lengths = np.array([len(reading.tokens) for reading in readings], dtype=np.int64)
        shared = np.array(self.shared, dtype=np.int64)
        own = lengths - shared
        path_starts, node_starts = _starts(lengths), _starts(own)
        total = int(node_starts[-1])
        paths = np.zeros(int(path_starts[-1]), dtype=np.int64)
        token_N, depth_N, parent_N, end_N = (np.zeros(total, dtype=np.int64) for _ in range(4))
        is_scored_N, is_run_N = np.zeros(total, dtype=np.bool_), np.zeros(total, dtype=np.bool_)
        previous = paths[:0]
        for index, reading in enumerate(readings):
            start, stop, kept = node_starts[index], node_starts[index + 1], shared[index]
            path = paths[path_starts[index] : path_starts[index + 1]]
            path[:kept] = previous[:kept]
            path[kept:] = np.arange(start, stop)
            token_N[start:stop] = reading.tokens[kept:]
            depth_N[start:stop] = np.arange(kept, lengths[index])
            parent_N[start:stop] = path[np.maximum(np.arange(kept, lengths[index]) - 1, 0)]
            is_run_N[path[:-1]] = True
            is_scored_N[path[reading.first :]] = True
            previous = path
        rows = np.array(self.rows, dtype=np.int64)
        self._find_ends(end_N, lengths, shared, node_starts, set(self.rows))
        sizes = np.diff(np.append(rows, len(readings)))
        row_starts = np.append(node_starts[rows], total)
        return Forest(token_N, depth_N, parent_N, end_N, is_run_N, is_scored_N, row_starts, sizes > 1, paths, path_starts)

    def _find_ends(self, end_N: Integers, lengths: Integers, shared: Integers, node_starts: Integers, rows: set[int]) -> None:
        """Fill in where the nodes below each node end: where a later reading of the row leaves its path above it, or with the row."""
        ends = np.zeros(int(lengths.max(initial=0)), dtype=np.int64)
        ends[:] = node_starts[-1]
        for index in reversed(range(len(lengths))):
            start, stop = node_starts[index], node_starts[index + 1]
            end_N[start:stop] = ends[shared[index] : lengths[index]]
            if index in rows:
                ends[:] = start
            else:
                ends[shared[index] :] = start


def _starts(sizes: Integers) -> Integers:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
