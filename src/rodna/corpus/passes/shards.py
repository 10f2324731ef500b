"""Shards of documents: files of a few ten megabytes of text each, written once, renamed when whole."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rodna.core.errors import explain_disk_errors
from rodna.core.files import sync_file
from rodna.corpus.documents import Document, Dropped, JsonLinesWriter, decode, open_lines

SHARD_BYTES = 32 << 20
SHARD_DOCUMENTS = 1 << 17
"""Of very short documents: what is known of each takes more memory than its text."""
BATCH_BYTES = 4 << 20
BATCH_DOCUMENTS = 8192
Stored = tuple[Document, bytes]


class ShardWriter:
    """Write JSON Lines under a name that appears when the file is whole."""

    def __init__(self, folder: Path, name: str, *, level: int = 1) -> None:
        self.path = folder / f"{name}.jsonl.zst"
        self._temporary = folder / f".{name}.jsonl.zst.tmp"
        self._writer = JsonLinesWriter(self._temporary, level=level)
        self.num_documents = 0
        self.num_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.close()

    def write(self, item: Document | Dropped, size_bytes: int) -> None:
        self._writer.write(item)
        self.num_documents += 1
        self.num_bytes += size_bytes

    def write_line(self, line: bytes) -> None:
        """Write a document as it was stored."""
        self._writer.write_line(line)
        self.num_documents += 1

    def close(self) -> None:
        with explain_disk_errors(self.path):
            self._writer.close()
            # A task's result, which says that this file is whole, must not survive a power cut that the file does not.
            sync_file(self._temporary)
            self._temporary.replace(self.path)


class RollingWriter:
    """Write documents to as many shards as they fill."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder, self._prefix = folder, prefix
        self._current: ShardWriter | None = None
        self._sources: dict[str, None] = {}
        self.shards: list[dict[str, Any]] = []

    def write(self, document: Document, size_bytes: int) -> None:
        if self._current is None:
            self._current = ShardWriter(self._folder, f"{self._prefix}-{len(self.shards):03d}")
        self._current.write(document, size_bytes)
        self._sources[document.source] = None
        if self._current.num_bytes >= SHARD_BYTES or self._current.num_documents >= SHARD_DOCUMENTS:
            self.close()

    def close(self) -> None:
        if self._current is not None:
            self._current.close()
            name = self._current.path.name.removesuffix(".jsonl.zst")
            about = {"documents": self._current.num_documents, "bytes": self._current.num_bytes, "sources": list(self._sources)}
            self.shards.append({"name": name, **about})
            self._current, self._sources = None, {}


def read_shard(folder: Path, name: str) -> Iterator[Stored]:
    """Yield the documents of one shard, each with the line it is stored as: what no step changes is written again as it is."""
    with open_lines(folder / f"{name}.jsonl.zst") as lines:
        for line in lines:
            yield decode(line), line


def in_batches(documents: Iterator[Stored]) -> Iterator[list[Stored]]:
    """Yield documents in lists large enough to work on at once, small enough to hold."""
    batch: list[Stored] = []
    num_characters = 0
    for stored in documents:
        batch.append(stored)
        num_characters += len(stored[0].text)
        if num_characters >= BATCH_BYTES or len(batch) >= BATCH_DOCUMENTS:
            yield batch
            batch, num_characters = [], 0
    if batch:
        yield batch
