"""Which items of a task stand in the training text: exactly, or nearly.

Only letters, marks and digits count, in lower case (see `corpus.deduplicate.letters`), so copies that differ in punctuation, case, spaces
or line breaks are found, in any script. An item's windows of letters are indexed; the training text streams past once.

Shapes: N items, W windows of items, U different hashes of windows, P places in the training text, L units. A unit is a letter; one that
stands for a syllable or a word makes two.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rodna.corpus.deduplicate.letters import blocks, is_dense, letters_of, window_hashes
from rodna.corpus.deduplicate.passages import MIN_LINE_LETTERS

WINDOW_LETTERS = 24
"""Letters of a window: four or five words of an alphabet. Measured on 16,700 lines of news and BLiMP in six languages against corpora of
0.5 to 12 MB that do not hold them: 4 are called seen, each a short sentence that the corpus has by chance; with 16 letters it is 21."""
MIN_LETTERS = MIN_LINE_LETTERS
"""An item of fewer letters cannot be judged: "Yes" stands in every corpus. One of fewer than a window's must be found whole."""
SEEN_SHARE = 0.8
"""An item counts as seen when this share of its letters lies in windows that the training text has. Reference: Touvron et al. 2023 (Llama
2), arXiv:2307.09288, appendix A.6, which calls such samples dirty."""
_BUCKET_BITS = 20
_PIECE, _OVERLAP = 1 << 20, 1 << 12
"""Longer documents are read in pieces of so many characters, which overlap by so many."""
_PAIRS_AT_ONCE = 1 << 20
"""Most pairs, of a place in some training text and a place in an item, that passages are followed through at once. Where there are more, a
set phrase of many items is repeated there: the windows that most items share count, but no passage is followed through them."""


@dataclass(frozen=True)
class Seen:
    """What the training text holds of one item.

    Attributes:
        verdict: `seen` from a share of `SEEN_SHARE` on, `unseen` below, `unknown` where there are too few letters to judge.
        share: of its letters that lie in windows the training text has, in one document or in several; 0 where unknown.
        passage: the longest stretch of it found in one training document; empty where nothing was found.
        document: number of that training document, in the order they came; -1 for none.
    """

    verdict: Literal["seen", "unseen", "unknown"]
    share: float
    passage: str
    document: int


@dataclass(frozen=True)
class _Units:
    """Letters of several texts, those that stand for a syllable or a word doubled: codes_L, positions_L in their text, offsets of texts."""

    codes_L: NDArray[np.uint32]
    positions_L: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def windows(self, length: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return the hashes of all windows of so many units, and where they begin; none crosses the end of a text."""
        (hashes,) = window_hashes(self.codes_L, length)
        ends = np.repeat(self.offsets[1:], np.diff(self.offsets))[: len(hashes)]
        begins = np.flatnonzero(np.arange(length, len(hashes) + length) <= ends)
        return hashes[begins], begins

    def texts_of(self, begins: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the text that each unit belongs to."""
        return np.searchsorted(self.offsets, begins, side="right") - 1


def _units(texts: Sequence[str]) -> _Units:
    letters = letters_of(texts)
    repeated = np.repeat(np.arange(len(letters.codes)), 1 + is_dense(letters.codes))
    return _Units(letters.codes[repeated], letters.positions[repeated], np.searchsorted(repeated, letters.offsets))


class _Index:
    """The windows of one length of all items that are cut into windows of that length."""

    def __init__(self, length: int, hashes_W: NDArray[np.uint64], item_W: NDArray[np.int64], place_W: NDArray[np.int64]) -> None:
        self.length = length
        order = np.argsort(hashes_W, kind="stable")
        self.item_W, self.place_W = item_W[order], place_W[order]
        self.hashes_U, first_U = np.unique(hashes_W[order], return_index=True)
        self.bounds = np.append(first_U, len(hashes_W))
        self.found_U = np.zeros(len(self.hashes_U), dtype=bool)
        # A table of leading bits discards nearly all of the many training windows before the exact comparison.
        self._shift = np.uint64(64 - _BUCKET_BITS)
        self._is_wanted = np.zeros(1 << _BUCKET_BITS, dtype=bool)
        self._is_wanted[(self.hashes_U >> self._shift).astype(np.int64)] = True

    def match(self, hashes_P: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which training windows are among the items', and the number of each one's hash; notes that those were found."""
        which = np.flatnonzero(self._is_wanted[(hashes_P >> self._shift).astype(np.int64)])
        number = np.minimum(np.searchsorted(self.hashes_U, hashes_P[which]), len(self.hashes_U) - 1)
        is_equal = self.hashes_U[number] == hashes_P[which]
        self.found_U[number[is_equal]] = True
        return which[is_equal], number[is_equal]

    @property
    def found_W(self) -> NDArray[np.bool_]:
        return np.repeat(self.found_U, np.diff(self.bounds))


class _Passages:
    """The longest passage of each item so far, in units of the item."""

    def __init__(self, num_items: int) -> None:
        self.size_N = np.zeros(num_items, dtype=np.int64)
        self.place_N = np.zeros(num_items, dtype=np.int64)
        self.document_N = np.full(num_items, -1, dtype=np.int64)

    def add(self, index: _Index, begins_P: NDArray[np.int64], number_P: NDArray[np.int64], document_P: NDArray[np.int64]) -> None:
        """Follow matches that go on side by side in a training document and in an item."""
        counts_P = index.bounds[number_P + 1] - index.bounds[number_P]
        rarest = np.argsort(counts_P, kind="stable")
        kept = rarest[np.cumsum(counts_P[rarest]) <= _PAIRS_AT_ONCE]
        begins_P, number_P, document_P, counts_P = begins_P[kept], number_P[kept], document_P[kept], counts_P[kept]
        if not len(begins_P):
            return
        steps = np.arange(counts_P.sum()) - np.repeat(np.cumsum(counts_P) - counts_P, counts_P)
        window = np.repeat(index.bounds[number_P], counts_P) + steps
        item, place, begin = index.item_W[window], index.place_W[window], np.repeat(begins_P, counts_P)
        document = np.repeat(document_P, counts_P)
        order = np.lexsort((begin, begin - place, document, item))
        item, place, begin, document = item[order], place[order], begin[order], document[order]
        goes_on = np.ones(len(item), dtype=bool)
        goes_on[0] = False
        for values, step in ((item, 0), (document, 0), (begin, 1), (place, 1)):
            goes_on[1:] &= values[1:] == values[:-1] + step
        starts = np.flatnonzero(~goes_on)
        sizes = np.diff(np.append(starts, len(item))) + index.length - 1
        # Longest first, then the earliest document: of each item the first row is the best.
        best = np.lexsort((starts, document[starts], -sizes, item[starts]))
        _, first = np.unique(item[starts[best]], return_index=True)
        chosen, size = starts[best[first]], sizes[best[first]]
        better = size > self.size_N[item[chosen]]
        chosen, size = chosen[better], size[better]
        self.size_N[item[chosen]], self.place_N[item[chosen]], self.document_N[item[chosen]] = size, place[chosen], document[chosen]


def find_seen(texts: Mapping[str, str], training: Iterable[str]) -> dict[str, Seen]:
    """Say of each item how much of it stands in the training text.

    Args:
        texts: item id -> what the training text must not hold: of a multiple-choice item the question and the right answer, of a minimal
            pair the good sentence.
        training: documents; read once, and never held all at once.

    Returns:
        One for each item, in the items' order.
    """
    items = list(texts.values())
    offsets = np.concatenate(([0], np.cumsum([len(_units([text]).codes_L) for text in items]))).astype(np.int64)
    indexes = _index(items, np.diff(offsets))
    passages = _Passages(len(items))
    if indexes:
        for numbers, pieces in _pieces(training):
            units = _units(pieces)
            for index in indexes:
                hashes, begins = units.windows(index.length)
                which, number = index.match(hashes)
                passages.add(index, begins[which], number, numbers[units.texts_of(begins[which])])
    shares = _shares(indexes, offsets)
    return {key: _judge(text, int(size), passages, row, float(shares[row]))
            for row, (key, text, size) in enumerate(zip(texts, items, np.diff(offsets), strict=True))}  # fmt: skip


def _index(items: Sequence[str], sizes_N: NDArray[np.int64]) -> list[_Index]:
    """Cut items into windows; one shorter than a window is one by itself."""
    length_N = np.where(sizes_N >= MIN_LETTERS, np.minimum(sizes_N, WINDOW_LETTERS), 0)
    found: dict[int, list[tuple[NDArray[Any], ...]]] = {int(length): [] for length in np.unique(length_N) if length}
    for first, block in blocks(items):
        units = _units(block)
        for length, parts in found.items():
            hashes, begins = units.windows(length)
            text = units.texts_of(begins)
            own = length_N[first + text] == length
            parts.append((hashes[own], first + text[own], (begins - units.offsets[text])[own]))
    return [_Index(length, *(np.concatenate(columns) for columns in zip(*parts, strict=True))) for length, parts in found.items()]


def _pieces(training: Iterable[str]) -> Iterator[tuple[NDArray[np.int64], list[str]]]:
    """Yield the training text in runs of pieces of documents, with the number of each piece's document."""
    numbers: list[int] = []
    pieces: list[str] = []
    size = 0
    for number, text in enumerate(training):
        for start in range(0, max(1, len(text) - _OVERLAP), _PIECE - _OVERLAP):
            piece = text[start : start + _PIECE]
            numbers.append(number)
            pieces.append(piece)
            size += len(piece)
            if size >= _PIECE // 4:
                yield np.array(numbers), pieces
                numbers, pieces, size = [], [], 0
    if pieces:
        yield np.array(numbers), pieces


def _shares(indexes: Sequence[_Index], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of each item's units that lie in windows that were found, (N,)."""
    edges = np.zeros(offsets[-1] + 1, dtype=np.int64)
    for index in indexes:
        found = index.found_W
        begins = offsets[index.item_W[found]] + index.place_W[found]
        np.add.at(edges, begins, 1)
        np.add.at(edges, begins + index.length, -1)
    covered = np.concatenate(([0], np.cumsum(np.cumsum(edges[:-1]) > 0)))
    return (covered[offsets[1:]] - covered[offsets[:-1]]) / np.maximum(np.diff(offsets), 1)


def _judge(text: str, size: int, passages: _Passages, row: int, share: float) -> Seen:
    if size < MIN_LETTERS:
        return Seen("unknown", 0.0, "", -1)
    passage, length = "", int(passages.size_N[row])
    if length:
        positions, place = _units([text]).positions_L, int(passages.place_N[row])
        passage = text[int(positions[place]) : int(positions[place + length - 1]) + 1]
    return Seen("seen" if share >= SEEN_SHARE else "unseen", share, passage, int(passages.document_N[row]))
