"""The files of a task: which they are, and the raw records in each, with the line they stand on."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard

from rodna.core.errors import EvaluationError
from rodna.core.files import sha256_of
from rodna.evals.tasks.config import TaskConfig

SUFFIXES = (".jsonl", ".jsonl.zst", ".json", ".csv", ".tsv")
PARALLEL = ".txt"
MAX_BYTES = 1 << 30
"""Of one file's content; a larger one is refused, packed or not."""
MAX_LINE_BYTES = 16 << 20
Record = tuple[int, dict[str, Any] | str]
"""A line number, and the record there or why there is none."""


def locate(path: str, root: Path, *, where: str, anywhere: bool = False) -> Path:
    """Return where a task's path leads.

    Args:
        path: relative to `root`.
        root: the workspace.
        where: named in errors.
        anywhere: whether it may lead out of `root`.

    Raises:
        EvaluationError: nothing is there, or it leads out of the workspace.
    """
    given = Path(path).expanduser()
    found = root / given
    if not anywhere and (given.is_absolute() or not found.resolve().is_relative_to(root.resolve())):
        raise EvaluationError(
            f"a task's files lie outside the workspace: {path}",
            where=where,
            fix="copy them into the workspace, or name them on the command line: rodna eval --task " + path,
        )
    if not found.exists():
        raise EvaluationError(f"no such file or folder: {path}", where=where, fix=f"correct the path: it begins at {root}")
    return found


def item_files(path: Path, *, where: str) -> list[Path]:
    """Return the files of items that a path names: itself, or those in the folder, in order of name.

    Raises:
        EvaluationError: it holds none.
    """
    if path.is_file():
        if suffix_of(path) or path.suffix == PARALLEL:
            return [path]
        raise EvaluationError(
            f"no format of items is called {path.suffix or path.name!r}", where=f"{where}: {path}", fix=f"use {', '.join(SUFFIXES)}"
        )
    inside = sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
    # A table beside aligned texts tells of them (their documents' names) and is no list of items.
    texts = [item for item in inside if item.suffix == PARALLEL]
    if len(texts) > 1:
        return texts
    found = [item for item in inside if suffix_of(item)]
    if not found:
        names = ", ".join(item.name for item in inside[:5]) or "nothing"
        raise EvaluationError(
            f"the folder has no file of items: found {names}", where=f"{where}: {path}",
            fix=f"put files of items there ({', '.join(SUFFIXES)}), or two or more aligned {PARALLEL} files",
        )  # fmt: skip
    return found


def suffix_of(path: Path) -> str:
    """Return which of `SUFFIXES` a file has, empty where none."""
    return next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), "")


def part_of(path: Path) -> str:
    """Return a file's name without its suffix."""
    return path.name[: len(path.name) - len(suffix_of(path) or path.suffix)]


def digest_of_files(files: list[Path]) -> str:
    """Return a digest of the names and contents of a task's files."""
    return hashlib.sha256(json.dumps([[file.name, sha256_of(file)] for file in files]).encode("utf-8", "surrogateescape")).hexdigest()


def fingerprint_tasks(tasks: Iterable[TaskConfig], root: Path, *, anywhere: bool = False) -> str:
    """Return a digest of the files that tasks are read from, shots included.

    Raises:
        EvaluationError: some are missing, or lie outside the workspace.
    """
    found: list[str] = []
    for config in tasks:
        where = f"task {config.name}"
        for path in filter(None, (config.path, config.shots_path)):
            found.append(digest_of_files(item_files(locate(path, root, where=where, anywhere=anywhere), where=where)))
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def records(file: Path) -> Iterator[Record]:
    """Yield every record of a file with the number of its line, or in its place why it cannot be read.

    Raises:
        EvaluationError: the file as a whole cannot be read.
    """
    suffix = suffix_of(file)
    if suffix in (".csv", ".tsv"):
        yield from _table(file, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".json":
        yield from _list(file)
    else:
        yield from _json_lines(file)


def text_lines(file: Path) -> list[str]:
    """Return the lines of a text file, without their ends.

    Raises:
        EvaluationError: it is too large or not UTF-8.
    """
    # Not splitlines: U+2028 and its like stand within sentences.
    lines = _content(file).replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _json_lines(file: Path) -> Iterator[Record]:
    for number, line in enumerate(_lines(file), 1):
        if len(line) > MAX_LINE_BYTES:
            yield number, f"the line is longer than {MAX_LINE_BYTES >> 20} MB"
        elif line.strip(b"\r\n \t"):
            yield number, _parse(line)


def _lines(file: Path) -> Iterator[bytes]:
    """Yield lines without reading more of one than is allowed."""
    total = 0
    with file.open("rb") as raw:
        stream: Any = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw), 1 << 20) if file.name.endswith(".zst") else raw  # pyright: ignore[reportArgumentType]
        try:
            while line := stream.readline(MAX_LINE_BYTES + 1):
                total += len(line)
                rest = line
                while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                    rest = stream.readline(MAX_LINE_BYTES + 1)
                    total += len(rest)
                    _check_size(file, total)
                _check_size(file, total)
                yield line
        except zstandard.ZstdError as error:
            raise _unreadable(file, f"it is damaged: {error}") from error


def _parse(line: bytes) -> dict[str, Any] | str:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason} at byte {error.start}"
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at column {error.colno}"
    except (ValueError, RecursionError) as error:
        return f"not JSON that can be read: {error}"
    return value if isinstance(value, dict) else f"not an object with fields but {_kind_of(value)}"


def _list(file: Path) -> Iterator[Record]:
    """Yield the objects of a JSON list; their line is their number in it, from 1."""
    try:
        values = json.loads(_content(file))
    except json.JSONDecodeError as error:
        raise _unreadable(file, f"not JSON: {error.msg} at line {error.lineno}") from error
    except (ValueError, RecursionError) as error:
        raise _unreadable(file, f"not JSON that can be read: {error}") from error
    if not isinstance(values, list):
        raise _unreadable(file, f"a list of items was expected, but it holds {_kind_of(values)}")
    for number, value in enumerate(values, 1):
        yield number, value if isinstance(value, dict) else f"not an object with fields but {_kind_of(value)}"


def _table(file: Path, delimiter: str) -> Iterator[Record]:
    # A cell may be as long as a line; the limit of the csv module is one for the whole process, so it is put back.
    before = csv.field_size_limit(MAX_LINE_BYTES)
    try:
        reader = csv.reader(io.StringIO(_content(file), newline=""), delimiter=delimiter, strict=True)
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise _unreadable(file, f"two columns have the same name: {', '.join(header)}")
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(header):
                yield line, dict(zip(header, cells, strict=True))
            elif cells:
                yield line, f"{len(cells)} cells where the first line names {len(header)} columns"
            line = reader.line_num + 1
    except csv.Error as error:
        raise _unreadable(file, f"not a table: {error}") from error
    finally:
        csv.field_size_limit(before)


def _content(file: Path) -> str:
    _check_size(file, file.stat().st_size)
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"not UTF-8: {error.reason} at byte {error.start}") from error


def _check_size(file: Path, size: int) -> None:
    if size > MAX_BYTES:
        raise EvaluationError(f"the file holds more than {MAX_BYTES >> 30} GB", where=str(file), fix="give fewer items, or several files")


def _unreadable(file: Path, why: str) -> EvaluationError:
    return EvaluationError(f"cannot read the items: {why}", where=str(file), fix="correct the file, or give another")


def _kind_of(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "nothing")
