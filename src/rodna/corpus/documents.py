"""Documents, dropped documents, and the zstd-compressed JSON Lines they are kept in."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import orjson
import zstandard

from rodna.core.artifact import damaged
from rodna.core.errors import CorpusError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
DROPPED = "dropped"
CUT = "cut"
EXCERPT_CHARACTERS = 200
DETAIL_CHARACTERS = 500
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Document:
    """One document of a corpus. Its licence and origin are looked up through `source`."""

    id: str
    text: str
    source: str
    language: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dropped:
    """A document that was read but not kept.

    `step` is what dropped it (`extract`, `normalize`, `deduplicate`, `filter`), `reason` one of a few words that can be counted,
    `detail` what a person needs to find and mend it.
    """

    id: str
    source: str
    step: str
    reason: str
    detail: str
    size_bytes: int
    excerpt: str


def copy_id(identity: str, number: int) -> str:
    """Return the id of a further copy that mixing makes of a document: `source/file#7~2` is the second."""
    return f"{identity}~{number}"


def original_id(identity: str) -> str:
    """Return the id of the document that a further copy is of; any other id as it is."""
    before, tilde, number = identity.rpartition("~")
    return before if tilde and number.isdigit() and before.rpartition("#")[2].isdigit() else identity


def encode(item: Any) -> bytes:
    """Return a dataclass of plain values as one line of JSON, its newline included."""
    # vars, not asdict: a copy of every field would double the cost of writing.
    try:
        return orjson.dumps(vars(item), option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # an integer of more than 64 bits, from a table or a JSON file
        return json.dumps(vars(item), ensure_ascii=False).encode("utf-8") + b"\n"


def decode(line: bytes) -> Document:
    """Return the document that a line holds."""
    return Document(**orjson.loads(line))


def excerpt_of(text: str, *, max_characters: int = EXCERPT_CHARACTERS) -> str:
    """Return the start of a text on one line, short enough for a table, safe to print and to store as UTF-8."""
    # What a hostile file holds must not reach a terminal as commands: escape sequences begin with a control character.
    short = " ".join(_CONTROLS.sub(" ", text[: max_characters * 2]).split())[:max_characters]
    return short.encode("utf-8", "replace").decode("utf-8")


class JsonLinesWriter:
    """Write dataclasses, one JSON object a line, compressed with zstd."""

    def __init__(self, path: Path, *, level: int = 6) -> None:
        self._file = path.open("wb")
        compressed = zstandard.ZstdCompressor(level=level).stream_writer(self._file, closefd=True)
        self._stream = io.BufferedWriter(compressed, 1 << 18)  # pyright: ignore[reportArgumentType]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Finish the file; on a full disk this is where it shows."""
        try:
            self._stream.close()
        finally:
            self._file.close()

    def write(self, item: Document | Dropped) -> None:
        self._stream.write(encode(item))

    def write_line(self, line: bytes) -> None:
        """Write one line as it is, its newline included."""
        self._stream.write(line)


@contextmanager
def open_lines(path: Path) -> Iterator[Iterator[bytes]]:
    """Open a compressed file as an iterator of lines, each with its newline."""
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        yield iter(io.BufferedReader(stream, 1 << 20))  # pyright: ignore[reportArgumentType]


def read_documents(artifact_path: Path, split: Split) -> Iterator[Document]:
    """Yield the documents of one split, in the order they were read from the sources.

    Raises:
        CorpusError: no such split.
        ArtifactError: the file is missing or damaged.
    """
    if split not in SPLITS:
        raise CorpusError(f"no such split: {split!r}", where=str(artifact_path), fix=f"use one of: {', '.join(SPLITS)}")
    for values in _read(artifact_path, split):
        yield Document(**values)


def read_dropped(artifact_path: Path) -> Iterator[Dropped]:
    """Yield every dropped document of a corpus."""
    for values in _read(artifact_path, DROPPED):
        yield Dropped(**values)


def read_cut(artifact_path: Path) -> Iterator[Dropped]:
    """Yield every passage that was cut from a document that was kept; `id` and `source` are the document's."""
    for values in _read(artifact_path, CUT):
        yield Dropped(**values)


def as_record(item: Document | Dropped) -> dict[str, Any]:
    """Return a document or a drop as a plain mapping, for `--json`."""
    return asdict(item)


def _read(artifact_path: Path, name: str) -> Iterator[dict[str, Any]]:
    path = artifact_path / f"{name}.jsonl.zst"
    if not path.is_file():
        raise damaged(artifact_path, f"{path.name} is missing")
    try:
        with open_lines(path) as lines:
            for line in lines:
                yield orjson.loads(line)
    except (zstandard.ZstdError, orjson.JSONDecodeError, UnicodeDecodeError) as error:
        raise damaged(artifact_path, f"{path.name} cannot be read: {error}") from error
