"""What is known of every cleaned document: one row each, and the columns that copies and shared passages are found by.

Written shard by shard, read back as memory maps: a choice over all documents never needs all of them in memory.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from rodna.core.artifact import damaged
from rodna.core.files import sync_file, write_json

Column = Literal["sketches", "windows", "lines"]
INDEX = "shards.json"

IDENTITY = [("key", np.uint64, (2,)), ("size_bytes", np.uint32), ("num_characters", np.uint32), ("source", np.uint16)]
"""The first fields of a row: 128 bits that identify the text, its length in UTF-8 bytes and in code points, the source's number."""


@dataclass(frozen=True)
class Shard:
    """A stretch of the corpus: documents `first` to `first + num_documents`, counted over all shards."""

    name: str
    first: int
    num_documents: int


class Signals:
    """The rows and columns of all shards of a folder.

    `row_dtype` has the fields of `IDENTITY`, those of language identification, and `measures` of shape (M,).
    """

    def __init__(self, folder: Path, shards: tuple[Shard, ...]) -> None:
        self.folder, self.shards = folder, shards

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `write_index` finished.

        Raises:
            ArtifactError: the index is missing or damaged.
        """
        try:
            entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))["shards"]
            shards, first = [], 0
            for entry in entries:
                shards.append(Shard(str(entry["name"]), first, int(entry["documents"])))
                first += int(entry["documents"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise damaged(folder, f"{INDEX} cannot be read: {error}") from error
        return cls(folder, tuple(shards))

    @cached_property
    def num_documents(self) -> int:
        return sum(shard.num_documents for shard in self.shards)

    def rows(self, shard: Shard) -> np.ndarray:
        """Return the rows of one shard, memory-mapped, shape (documents,)."""
        return self._load(shard, "rows")

    def field(self, name: str, kind: Literal["rows", "sketches"] = "rows") -> np.ndarray:
        """Return one field of all rows, or of all sketches, in memory, shape (D, ...)."""
        result = np.zeros(0)
        for shard in self.shards:
            # Copied shard by shard: while a view of a mapped file is held, all pages that were looked at count as this process' memory.
            values = self._load(shard, kind)[name]
            if shard.first == 0:
                result = np.empty((self.num_documents, *values.shape[1:]), dtype=values.dtype)
            result[shard.first : shard.first + shard.num_documents] = values
        return result

    def column(self, kind: Column, shard: Shard) -> np.ndarray:
        """Return a column of one shard, memory-mapped.

        Of `sketches` there is one entry a document; `windows` and `lines` name theirs in a field `document`, counted within the shard.
        """
        return self._load(shard, kind)

    def _load(self, shard: Shard, kind: str) -> np.ndarray:
        path = self.folder / f"{shard.name}.{kind}.npy"
        try:
            # An empty array cannot be mapped.
            return np.load(path, mmap_mode="r" if path.stat().st_size > 256 else None, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise damaged(self.folder, f"{path.name} cannot be read: {error}") from error


def write_column(folder: Path, shard: str, kind: str, values: np.ndarray) -> None:
    """Write one array of a shard; an unfinished file never has its final name."""
    temporary = folder / f".{shard}.{kind}.npy.tmp"
    with temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(values), allow_pickle=False)
    sync_file(temporary)
    temporary.replace(folder / f"{shard}.{kind}.npy")


def write_index(folder: Path, shards: list[Mapping[str, Any]]) -> None:
    """Write the list of shards, in the documents' order; each has a `name` and a number of `documents`."""
    write_json(folder / INDEX, {"shards": [dict(shard) for shard in shards]})
