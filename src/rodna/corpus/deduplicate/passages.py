"""Lines and passages that stand in several documents.

Lines are compared whole. Passages are found by winnowing: of every `_GAP` windows of `WINDOW_LETTERS` letters, one after another, the one
with the smallest hash is kept, so that any run of at least `GUARANTEED_LETTERS` letters that two documents share has a kept window in
both. Windows are longer than the gaps between them, so that the windows of a shared run leave nothing out but its ends.

Reference: Schleimer, Wilkerson and Aiken 2003, Winnowing: local algorithms for document fingerprinting.
"""

from collections.abc import Callable, Sequence

import numpy as np

from rodna.corpus.config import DeduplicateConfig
from rodna.corpus.deduplicate.groups import Groups, groups_of
from rodna.corpus.deduplicate.letters import blocks, is_dense, keys_of_runs, letters_of, window_hashes
from rodna.corpus.deduplicate.spans import PASSAGE, PASSAGE_KINDS, joined
from rodna.corpus.signals import Signals

WINDOW_LETTERS = 44
"""Letters a window holds; one that is a syllable or a word counts twice."""
_GAP = 37
GUARANTEED_LETTERS = WINDOW_LETTERS + _GAP - 1
MIN_LINE_LETTERS = 16
"""Lines of fewer letters (a syllable or word counts twice) are never compared: they are headings, numbers, exclamations."""

WINDOW = np.dtype([("hash", np.uint64), ("document", np.uint32), ("start", np.uint32), ("length", np.uint16)])
"""A window, or a line, of a document: a hash of its letters, and where it is, in code points."""
_NONE = np.uint64(0xFFFFFFFFFFFFFFFF)
_TIE_GRID = 16


def windows_of(texts: Sequence[str]) -> np.ndarray:
    """Return the windows of texts by which shared passages are found; WINDOW (W,), `document` counts the texts."""
    return _of_blocks(texts, _windows)


def lines_of(texts: Sequence[str]) -> np.ndarray:
    """Return the lines, of some letters at least, of texts that have several; WINDOW (L,). A line's length includes its line break."""
    return _of_blocks(texts, _lines)


def by_hash(values: np.ndarray) -> np.ndarray:
    """Return windows or lines in the order of their hashes, in which all of a corpus are compared fastest."""
    return values[np.argsort(values["hash"], kind="stable")]


def find_passages(store: Signals, split: np.ndarray, config: DeduplicateConfig) -> np.ndarray:
    """Find lines and passages of training documents that stand in earlier training documents too.

    Each keeps its place in the first document it stands in. What one document repeats, such as a refrain, is left alone, and so is all that
    is held out.

    Args:
        store: the corpus.
        split: uint8 (D,), index into `SPLITS`, 255 for dropped documents.
        config: how much, and how often.

    Returns:
        PASSAGE (P,), sorted by document and start.
    """
    train = split == 0
    found = [np.zeros(0, PASSAGE)]
    if config.lines:
        found.extend(_repeated(group, "repeated_line", config.lines) for group in groups_of(store, "lines", train))
    if config.passages:
        parts = [_repeated(group, "repeated_passage", 2) for group in groups_of(store, "windows", train)]
        spans = joined(np.concatenate([np.zeros(0, PASSAGE), *parts]))
        found.append(spans[spans["end"].astype(np.int64) - spans["start"] >= config.passages])
    return joined(np.concatenate(found))


def _repeated(group: Groups, kind: str, min_documents: int) -> np.ndarray:
    """Return what stands in at least so many documents, except in the first of each; PASSAGE (P,)."""
    if not len(group.hashes):
        return np.zeros(0, PASSAGE)
    is_begin = np.zeros(len(group.hashes), dtype=bool)
    is_begin[group.begins] = True
    another = ~is_begin
    another[1:] &= group.documents[1:] != group.documents[:-1]
    num_documents = group.spread(1 + np.add.reduceat(another.astype(np.int64), group.begins))
    first = group.spread(group.documents[group.begins])
    which = np.flatnonzero((num_documents >= min_documents) & (group.documents != first))
    return as_passages(group, which, PASSAGE_KINDS.index(kind), first[which])


def as_passages(group: Groups, which: np.ndarray, kind: int, other: np.ndarray) -> np.ndarray:
    """Return some rows as PASSAGE (P,)."""
    result = np.zeros(len(which), PASSAGE)
    result["document"], result["start"] = group.documents[which], group.starts[which]
    result["end"], result["kind"], result["other"] = group.starts[which] + group.lengths[which], kind, other
    return result


def every_window(texts: Sequence[str]) -> np.ndarray:
    """Return all windows of texts, not only those that winnowing keeps; WINDOW (W,)."""
    return _of_blocks(texts, lambda block: _windows(block, winnowed=False))


def _of_blocks(texts: Sequence[str], function: Callable[[Sequence[str]], np.ndarray]) -> np.ndarray:
    parts = [np.zeros(0, WINDOW)]
    for first, block in blocks(texts):
        part = function(block)
        part["document"] += np.uint32(first)
        parts.append(part)
    return np.concatenate(parts)


def _windows(texts: Sequence[str], *, winnowed: bool = True) -> np.ndarray:
    letters = letters_of(texts)
    # A letter that is a syllable or a word stands twice, so that windows of all scripts say about as much.
    repeated = np.repeat(np.arange(len(letters.codes)), 1 + is_dense(letters.codes))
    offsets = np.searchsorted(repeated, letters.offsets)
    codes, positions = letters.codes[repeated], letters.positions[repeated]
    hashes = np.full(len(codes), _NONE)
    (runs,) = window_hashes(codes, WINDOW_LETTERS)
    hashes[: len(runs)] = runs
    ends = np.repeat(offsets[1:], np.diff(offsets))
    inside = np.arange(WINDOW_LETTERS, len(codes) + WINDOW_LETTERS) <= ends
    hashes[~inside] = _NONE
    chosen = _winnow(hashes, offsets) if winnowed else np.flatnonzero(inside)
    result = np.zeros(len(chosen), WINDOW)
    result["hash"], result["start"] = hashes[chosen], positions[chosen]
    result["document"] = np.searchsorted(offsets, chosen, side="right") - 1
    length = positions[chosen + WINDOW_LETTERS - 1] + 1 - positions[chosen]
    result["length"] = np.minimum(length, 0xFFFF)
    # A window spread over more than that holds hardly any letters: pages of rules or dots.
    return result[length <= 0xFFFF]


def _winnow(hashes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the places of the windows that are kept, in order; each run of `_GAP` windows inside a text has one.

    Args:
        hashes: uint64 (N,), `_NONE` where no window begins.
        offsets: int64 (D + 1,), where each text begins.
    """
    first, end = offsets[:-1], offsets[1:]
    if len(hashes) < _GAP:
        return _smallest(hashes, first, end)
    smallest = _running(np.minimum, hashes)
    # Runs of windows over the end of a text say nothing.
    ends = np.repeat(end, end - first)[: len(smallest)]
    smallest[np.arange(GUARANTEED_LETTERS, len(smallest) + GUARANTEED_LETTERS) > ends] = 0
    # Padded, so that place i sees the runs that begin at i - _GAP + 1 ... i.
    edge = np.zeros(_GAP - 1, dtype=np.uint64)
    largest = _running(np.maximum, np.concatenate((edge, smallest, edge)))
    chosen = np.flatnonzero((largest == hashes) & (hashes != _NONE))
    if len(chosen):
        # In a stretch that repeats itself all smallest windows are equal: one in so many letters is enough.
        again = (hashes[chosen[1:]] == hashes[chosen[:-1]]) & (chosen[1:] // _TIE_GRID == chosen[:-1] // _TIE_GRID)
        chosen = chosen[np.concatenate(([True], ~again))]
    few = end - first < GUARANTEED_LETTERS
    return np.union1d(chosen, _smallest(hashes, first[few], end[few]))


def _running(function: np.ufunc, values: np.ndarray) -> np.ndarray:
    """Return the minimum or maximum of every `_GAP` neighbours, (N - _GAP + 1,), by doubling."""
    size = 1
    while 2 * size <= _GAP:
        values, size = function(values[:-size], values[size:]), 2 * size
    rest = _GAP - size
    return function(values[: len(values) - rest], values[rest:])


def _smallest(hashes: np.ndarray, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the place of the smallest window of each text that has one."""
    places = [start + int(np.argmin(hashes[start:stop])) for start, stop in zip(first.tolist(), end.tolist(), strict=True) if stop > start]
    return np.array([place for place in places if hashes[place] != _NONE], dtype=np.int64)


def _lines(texts: Sequence[str]) -> np.ndarray:
    texts = [text if "\n" in text else "" for text in texts]
    letters = letters_of(texts)
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    starts = np.concatenate(([0], np.cumsum([len(text) for text in texts])))
    # A line begins at the start of a text and after each line break.
    begins = np.union1d(starts[:-1], np.flatnonzero(codes == ord("\n")) + 1)
    begins = begins[begins < len(codes)]
    if not len(begins):
        return np.zeros(0, WINDOW)
    places = letters.positions + starts[letters.documents]
    offsets = np.searchsorted(places, np.concatenate((begins, [len(codes)])))
    weights = np.concatenate(([0], np.cumsum(1 + is_dense(letters.codes))))
    enough = weights[offsets[1:]] - weights[offsets[:-1]] >= MIN_LINE_LETTERS
    documents = np.searchsorted(starts, begins, side="right") - 1
    result = np.zeros(len(begins), WINDOW)
    result["hash"], result["document"], result["start"] = keys_of_runs(letters.codes, offsets), documents, begins - starts[documents]
    length = np.diff(np.concatenate((begins, [len(codes)])))
    result["length"] = np.minimum(length, 0xFFFF)
    return result[enough & (length <= 0xFFFF)]
