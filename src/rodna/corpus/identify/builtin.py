"""The identifier that comes with rodna: py3langid's model, run over whole batches with numpy.

The model (naive Bayes over byte n-grams that an automaton finds; Lui and Baldwin 2012, ACL, "langid.py") is py3langid's own, 140
languages. What is ours: all lines of a batch go through the automaton side by side, and evidence is added up over lines.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rodna.corpus.identify.units import SEPARATOR, Units

LANE_BYTES = 256
"""The text is cut into so many bytes a lane; lanes take each step of the automaton together."""
WARM_UP = 8
"""Bytes before a lane's own that bring the automaton into the state it would be in: more than its longest n-gram."""
SCALE = 1.5
LONG = 100
"""Fitted to words, word pairs, sentences and paragraphs of 72 languages (benchmarks/corpus/language_id.py shows how far off it is)."""
BREAK = 255
"""A byte that no text has: it brings the automaton back to its start."""


class Builtin:
    """py3langid's model as arrays. Tables of about 130 MB are shared by all identifiers of a process."""

    def __init__(self) -> None:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        model = LanguageIdentifier.from_model_file(MODEL_FILE)
        row = np.asarray(model.tk_row).astype(np.int32)
        moves = np.asarray(model.tk_nextmove)
        self._next = row[moves] << 8
        self._feature = np.asarray(model.tk_output, dtype=np.int32)[moves]
        self._start = int(row[0]) << 8
        names = [str(name) for name in model.nb_classes]
        self.labels = tuple(dict.fromkeys(names))
        # A language written in two scripts has a column for each.
        self._label_of_column = np.array([self.labels.index(name) for name in names])
        self._weights = np.asarray(model.nb_ptc).astype(np.float32)

    def score(self, units: Units) -> npt.NDArray[np.float32]:
        """Return log-likelihoods, shape (units, labels)."""
        data, unit_B = _bytes_of(units)
        feature_B = self._walk(data)
        columns = np.zeros((units.num_units, self._weights.shape[1]), dtype=np.float32)
        hit = np.flatnonzero((feature_B >= 0) & (unit_B >= 0))
        num_features = len(self._weights)
        number = np.uint32 if units.num_units * num_features < 1 << 32 else np.uint64
        key = unit_B[hit].astype(number) * number(num_features) + feature_B[hit].astype(number)
        key.sort()
        new = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, np.int64)
        # An n-gram weighs the logarithm of how often it occurs in its unit.
        weight = np.log1p(np.diff(new, append=len(key)).astype(np.float32))
        unit, feature = np.divmod(key[new], number(num_features))
        starts = np.searchsorted(unit, np.arange(units.num_units + 1, dtype=number)).tolist()
        for index, (start, end) in enumerate(pairwise(starts)):
            np.dot(weight[start:end], self._weights[feature[start:end]], out=columns[index])
        return self._by_label(columns)

    def _walk(self, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
        """Return the n-gram the automaton finds at each byte, -1 for none."""
        num_lanes = -(-len(data) // LANE_BYTES)
        padded = np.full(num_lanes * LANE_BYTES + WARM_UP, BREAK, dtype=np.uint8)
        padded[WARM_UP : WARM_UP + len(data)] = data
        lanes = np.lib.stride_tricks.sliding_window_view(padded, LANE_BYTES + WARM_UP)[::LANE_BYTES]
        steps = np.ascontiguousarray(lanes.T).astype(np.int32)
        state = np.full(num_lanes, self._start, dtype=np.int32)
        taken = np.empty((LANE_BYTES, num_lanes), dtype=np.int32)
        for number in range(LANE_BYTES + WARM_UP):
            move = state + steps[number]
            if number >= WARM_UP:
                taken[number - WARM_UP] = move
            np.take(self._next, move, out=state)
        return np.take(self._feature, taken).T.ravel()[: len(data)]

    def _by_label(self, columns: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        scores = np.full((len(columns), len(self.labels)), -np.inf, dtype=np.float32)
        for column, label in enumerate(self._label_of_column.tolist()):
            np.maximum(scores[:, label], columns[:, column], out=scores[:, label])
        return scores

    def probabilities(self, scores: npt.NDArray[np.float32], num_letters: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return probabilities."""
        return softmax(scores * (SCALE * damping(num_letters))[:, None])


def damping(num_letters: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Return by what evidence is multiplied so that it is worth what it seems: n-grams near each other say much the same.

    By the root of the length up to `LONG` letters (as py3langid has it), from there on by the length.
    """
    letters = np.maximum(num_letters, 1).astype(np.float32)
    return (1 / np.sqrt(letters * np.maximum(letters / LONG, 1))).astype(np.float32)


def softmax(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Return probabilities of rows of log-odds."""
    found = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def _bytes_of(units: Units) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Return the sampled text as UTF-8, line feeds as `BREAK`, and the unit of each byte."""
    data = np.frombuffer(units.text().encode("utf-8", "surrogatepass"), dtype=np.uint8)
    if len(data) == len(units.unit_P):
        unit_B = units.unit_P
    else:
        points = units.points_P
        width = 1 + (points >= 0x80).astype(np.int8) + (points >= 0x800) + (points >= 0x10000)
        unit_B = np.repeat(units.unit_P, width)
    return np.where(data == SEPARATOR, np.uint8(BREAK), data), unit_B


@cache
def builtin() -> Builtin:
    """Return the model, read once a process."""
    return Builtin()
