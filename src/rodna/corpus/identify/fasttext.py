"""A user's own fastText model (`.bin` or `.ftz`), such as GlotLID, served by the package fasttext-predict."""

import struct
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from rodna.core.errors import ConfigError
from rodna.corpus.identify.units import Units

PREFIX = "__label__"
_MAGIC = 793712314
_HEAD = struct.Struct("<2i12id3i2q")
"""Magic number and version; the arguments; the dictionary's sizes."""
LEAST = 1e-6
"""The least probability believed: models are surer than they should be, and lines add up."""


class FastText:
    """A fastText classifier. Several times slower than the built-in identifier: each line is a call."""

    def __init__(self, path: Path) -> None:
        try:
            import fasttext
        except ImportError as error:
            raise ConfigError(
                "fastText models need the package fasttext-predict", where=str(path), fix="pip install 'rodna[fasttext]'"
            ) from error
        names = read_labels(path)
        try:
            self._model = fasttext.load_model(str(path))
        except (ValueError, RuntimeError, MemoryError) as error:
            raise ConfigError(f"not a fastText classifier: {error}", where=str(path), fix="give a `.bin` or `.ftz` file") from error
        self.labels = tuple(sorted(name.removeprefix(PREFIX) for name in names))
        self._index = {PREFIX + name: number for number, name in enumerate(self.labels)}

    def score(self, units: Units) -> npt.NDArray[np.float32]:
        """Return log-probabilities times letters, so that long lines count more, shape (units, labels)."""
        scores = np.full((units.num_units, len(self.labels)), np.log(LEAST), dtype=np.float32)
        for number, text in enumerate(texts_of(units)):
            for probability, label in self._model.f.predict(text + "\n", -1, LEAST, "strict"):
                scores[number, self._index[label]] = np.log(min(probability, 1.0))
        return scores * units.num_letters_U[:, None]

    def probabilities(self, scores: npt.NDArray[np.float32], num_letters: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return the geometric mean of the lines' probabilities, weighted by their letters."""
        found = np.exp(scores / np.maximum(num_letters, 1)[:, None])
        return found / np.maximum(found.sum(axis=1, keepdims=True), 1e-9)


def read_labels(path: Path) -> list[str]:
    """Return a classifier's labels, from the dictionary at the start of its file: the library tells only those it predicts.

    Raises:
        ConfigError: it is no fastText classifier.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD.size)
        if len(head) == _HEAD.size:
            magic, *_, num_entries, _num_words, num_labels, _num_tokens, _num_pruned = _HEAD.unpack(head)
            if magic == _MAGIC and 0 < num_labels <= num_entries < 1 << 31:
                labels = _read_entries(file, num_entries)
                if len(labels) == num_labels:
                    return labels
    raise ConfigError("not a fastText classifier", where=str(path), fix="give the `.bin` or `.ftz` file of a supervised model")


def _read_entries(file: BinaryIO, num_entries: int) -> list[str]:
    """Return the labels among a dictionary's entries: a word ended by a zero byte, how often it occurs, and its kind."""
    labels, data, place = [], b"", 0
    for _ in range(num_entries):
        end = data.find(b"\0", place)
        while end < 0 or end + 10 > len(data):
            more = file.read(1 << 20)
            if not more or len(data) - place > 1 << 20:
                return []
            data, place = data[place:] + more, 0
            end = data.find(b"\0", place)
        if data[end + 9] == 1:
            labels.append(data[place:end].decode("utf-8", "replace"))
        place = end + 10
    return labels


def texts_of(units: Units) -> list[str]:
    """Return each unit's text."""
    order = np.argsort(units.unit_P, kind="stable")
    sorted_units = units.unit_P[order]
    data = units.points_P[order]
    # Line feeds end a prediction's input.
    data = np.where(data == 10, 32, data)
    edges = np.searchsorted(sorted_units, np.arange(units.num_units + 1)).tolist()
    return [data[start:end].tobytes().decode("utf-32-le", "replace").strip() for start, end in pairwise(edges)]
