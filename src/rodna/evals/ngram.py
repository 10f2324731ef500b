"""A byte n-gram model: what can be learned from the training text by counting alone.

Shapes: N symbols of the training stream, E symbols of the held-out stream, U different n-grams of one order, C contexts, D documents.

The 256 symbols are the bytes, of which 0xFF, that UTF-8 never uses, marks where a document ends; contexts begin with the mark
before their document and never reach over it. Counts are kept as sorted arrays, one order at a time: an n-gram is the number of
its context among the (n-1)-grams, and a symbol.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rodna.core.errors import EvaluationError

END = 0xFF
Smoothing = Literal["kneser_ney", "witten_bell"]
SMOOTHINGS: tuple[Smoothing, ...] = get_args(Smoothing)
POSITION_BITS = 28
"""Positions and context numbers share 64 bits while sorting; so the training stream is shorter than 2^28 symbols."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ngram:
    """The n-gram model that did best on validation, and what the held-out documents cost it."""

    order: int
    smoothing: Smoothing
    bits_D: Floats
    validation_bits_per_byte: dict[str, list[float]]


def best_ngram(train: Sequence[bytes], validation: Sequence[bytes], held_out: Sequence[bytes], *, max_order: int) -> Ngram:
    """Choose order and smoothing on validation, and return the cost of each held-out document, its end included.

    Args:
        train: documents that are counted.
        validation: documents on which order and smoothing are chosen.
        held_out: documents that are reported.
        max_order: longest n-gram tried.
    """
    documents = [*validation, *held_out]
    starts = np.cumsum([0, *(len(document) + 1 for document in documents[:-1])])
    num_bytes = sum(map(len, validation))
    curves: dict[str, list[float]] = {smoothing: [] for smoothing in SMOOTHINGS}
    best: tuple[float, int, Smoothing, Floats] | None = None
    for order, bits in ngram_bits(train, documents, max_order=max_order):
        for smoothing in SMOOTHINGS:
            bits_D = np.add.reduceat(bits[smoothing], starts)
            mean = float(bits_D[: len(validation)].sum() / max(1, num_bytes))
            curves[smoothing].append(round(mean, 5))
            if best is None or mean < best[0]:
                best = (mean, order, smoothing, bits_D[len(validation) :])
    assert best is not None, "max_order is at least 1"
    return Ngram(best[1], best[2], best[3], curves)


def ngram_bits(train: Sequence[bytes], held_out: Sequence[bytes], *, max_order: int) -> Iterator[tuple[int, dict[Smoothing, Floats]]]:
    """Yield, for every order from 1, the bits of each held-out symbol under both smoothings.

    Interpolated modified Kneser-Ney (Chen & Goodman 1999, section 2.8 and equation 17 for the discounts; n-grams that begin a
    document keep their plain counts, as in Heafield et al. 2013) and interpolated Witten-Bell (Bell, Cleary & Witten 1990, method C).
    The order below the first is uniform over the 256 symbols, so every symbol has a probability.

    Args:
        train: documents that are counted.
        held_out: documents that are scored, each symbol followed by the next, each document by its end.
        max_order: longest n-gram.

    Raises:
        EvaluationError: the training text is too long.
    """
    stream, depth_N = _join(train or [b""])
    scored, depth_E = _join(held_out)
    if len(stream) >= 1 << POSITION_BITS:
        raise EvaluationError(
            f"{len(stream):,} bytes are too many for the n-gram baseline", where="eval.baseline_bytes", fix="set it to 200000000 or less"
        )
    empty = _Order(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(len(stream), np.int32), 1)
    previous, matched = empty, _Matched(np.zeros(len(scored), np.int64), np.full(len(scored), -1, np.int64))
    kneser_ney = witten_bell = np.full(len(scored), 1 / 256)
    for order in range(1, max_order + 1):
        current = _count(stream, depth_N, previous, order)
        current_matched = _match(scored, depth_E, current, matched, order)
        if order > 1:
            # One order up, the counts of this one are needed as numbers of different symbols before them.
            adjusted_U = _continuations(depth_N, current, previous, order - 1)
            kneser_ney = _kneser_ney(adjusted_U, previous, matched, kneser_ney)
        highest = _kneser_ney(current.counts_U, current, current_matched, kneser_ney)
        witten_bell = _witten_bell(current, current_matched, witten_bell)
        # The stream begins with a mark that nothing predicts.
        yield order, {"kneser_ney": -np.log2(highest[1:]), "witten_bell": -np.log2(witten_bell[1:])}
        previous, matched = current, current_matched


@dataclass(frozen=True)
class _Order:
    """The n-grams of one order: sorted keys (context << 8 | symbol), their counts, one position of each, and each position's n-gram."""

    keys_U: Ints
    counts_U: Ints
    position_U: Ints
    gram_N: NDArray[np.int32]
    num_contexts: int


@dataclass(frozen=True)
class _Matched:
    """For each held-out symbol, the n-gram that ends there and its context's number; -1 where training never saw it."""

    gram_E: Ints
    context_E: Ints


def _join(documents: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return all symbols, and how many of those before each one belong to its document, the mark that begins it included."""
    mark = bytes([END])
    symbols = np.frombuffer(mark + b"".join(document + mark for document in documents), dtype=np.uint8)
    depth = np.zeros(len(symbols), dtype=np.int32)
    last_mark = np.maximum.accumulate(np.where(symbols == END, np.arange(len(symbols), dtype=np.int32), 0))
    depth[1:] = np.arange(1, len(symbols), dtype=np.int32) - last_mark[:-1]
    return symbols, depth


def _ending_at(depth: NDArray[np.int32], order: int) -> Ints:
    """Return the positions where an n-gram of this order ends that lies within one document and its first mark."""
    positions = np.flatnonzero(depth + 1 >= order)
    return positions[positions > 0]


def _count(stream: NDArray[np.uint8], depth_N: NDArray[np.int32], shorter: _Order, order: int) -> _Order:
    position = _ending_at(depth_N, order)
    packed = (shorter.gram_N[position - 1].astype(np.uint64) << np.uint64(8)) | stream[position]
    packed <<= np.uint64(POSITION_BITS)
    packed |= position.astype(np.uint64)
    packed.sort()
    position = (packed & np.uint64((1 << POSITION_BITS) - 1)).astype(np.int64)
    packed >>= np.uint64(POSITION_BITS)
    is_first = np.ones(len(packed), dtype=bool)
    np.not_equal(packed[1:], packed[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    gram_N = np.full(len(stream), -1, dtype=np.int32)
    gram_N[position] = np.cumsum(is_first, dtype=np.int32) - 1
    if order == 1:
        gram_N[0] = gram_N[-1]
    counts_U = np.diff(np.append(starts, len(packed)))
    return _Order(packed[starts].astype(np.int64), counts_U, position[starts], gram_N, len(shorter.keys_U))


def _match(scored: NDArray[np.uint8], depth_E: NDArray[np.int32], grams: _Order, shorter: _Matched, order: int) -> _Matched:
    position = _ending_at(depth_E, order)
    position = position[shorter.gram_E[position - 1] >= 0]
    context = shorter.gram_E[position - 1]
    keys = (context << 8) | scored[position]
    found = np.minimum(np.searchsorted(grams.keys_U, keys), len(grams.keys_U) - 1)
    gram_E, context_E = np.full(len(scored), -1, dtype=np.int64), np.full(len(scored), -1, dtype=np.int64)
    gram_E[position] = np.where(grams.keys_U[found] == keys, found, -1)
    context_E[position] = context
    if order == 1:
        gram_E[0] = gram_E[-1]
    return _Matched(gram_E, context_E)


def _continuations(depth_N: NDArray[np.int32], longer: _Order, grams: _Order, order: int) -> Ints:
    """Return how many different symbols precede each n-gram; those that begin a document, which nothing precedes, count plainly."""
    size = len(grams.keys_U)
    counts = np.bincount(grams.gram_N[longer.position_U], minlength=size)
    at_start = np.flatnonzero(depth_N + 1 == order)
    return counts + np.bincount(grams.gram_N[at_start[at_start > 0]], minlength=size)


def discounts(counts_U: Ints) -> Floats:
    """Return what is taken from n-grams seen 0, 1, 2 and 3 or more times.

    Where a text is so small that one of the numbers the estimate needs is 0, one half.
    """
    seen = [int(np.count_nonzero(counts_U == times)) for times in (1, 2, 3, 4)]
    if min(seen) == 0:
        return np.array([0, 0.5, 0.5, 0.5])
    share = seen[0] / (seen[0] + 2 * seen[1])
    estimates = [times - (times + 1) * share * seen[times] / seen[times - 1] for times in (1, 2, 3)]
    # Kept inside (0, count), where the estimate of a strange text may leave it, so that probabilities stay positive.
    return np.array([0, *(min(max(estimate, 0.01), times - 0.01) for times, estimate in enumerate(estimates, start=1))])


def _kneser_ney(counts_U: Ints, grams: _Order, matched: _Matched, lower_E: Floats) -> Floats:
    context_U = grams.keys_U >> 8
    taken = discounts(counts_U)
    total_C = np.bincount(context_U, weights=counts_U, minlength=grams.num_contexts)
    freed_C = np.bincount(context_U, weights=taken[np.minimum(counts_U, 3)], minlength=grams.num_contexts)
    known = (matched.context_E >= 0) & (total_C[matched.context_E] > 0)
    context, gram = matched.context_E[known], matched.gram_E[known]
    count = np.where(gram >= 0, counts_U[gram], 0)
    kept = count - taken[np.minimum(count, 3)]
    result = lower_E.copy()
    result[known] = (kept + freed_C[context] * lower_E[known]) / total_C[context]
    return result


def _witten_bell(grams: _Order, matched: _Matched, lower_E: Floats) -> Floats:
    context_U = grams.keys_U >> 8
    total_C = np.bincount(context_U, weights=grams.counts_U, minlength=grams.num_contexts)
    different_C = np.bincount(context_U, minlength=grams.num_contexts)
    known = (matched.context_E >= 0) & (total_C[matched.context_E] > 0)
    context, gram = matched.context_E[known], matched.gram_E[known]
    count = np.where(gram >= 0, grams.counts_U[gram], 0)
    result = lower_E.copy()
    result[known] = (count + different_C[context] * lower_E[known]) / (total_C[context] + different_C[context])
    return result
