"""Extraction in a child process, so that a file no parser survives costs one document and never the run.

One child serves a worker for all of its files. Beside the pipe that the text comes through there is a small shared map in which the child
notes, without a system call, how far it is and which member of a container it is at. When it dies, spins or runs out of memory, that
member (or the file) is the culprit: another child reads the same file again, leaving out the culprit and what has already arrived.
"""

import contextlib
import fcntl
import json
import mmap
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Never

import psutil

from rodna.core.errors import DiskError
from rodna.core.registry import PluginError
from rodna.corpus.config import ExtractConfig, Source
from rodna.corpus.extractors import Piece, Rejected
from rodna.corpus.isolation_child import (
    BUFFER_BYTES,
    DONE,
    FAILED,
    FRAME,
    NOTES,
    NOTES_BYTES,
    OUT_OF_MEMORY,
    PIECE,
    RAISED,
    REJECTED,
    REQUEST,
    file_state,
    is_unchanged,
)

MAX_CULPRITS = 50
"""Where more members of one file than this fail its parser, the rest of it is given up."""
BYTES_PER_EXTRA_SECOND = 50_000_000
"""A file's time grows with its size: some formats are looked through as a whole before their first document."""
PATIENCE = 4.0
"""The time limit is on the processor's time, so that a busy machine drops nothing; a parser that only waits has this many times as long."""
MAX_ERROR_BYTES = 16 << 20
_PREFIX = "rodna-extract-"
_SETTLED_SECONDS = 10.0
_NO_MEMORY = (b"MemoryError", b"bad_alloc", b"memory allocation of", b"out of memory", b"Out of memory", b"Cannot allocate memory")


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    notes: mmap.mmap
    errors: IO[bytes]
    folder: Path
    received: bytearray = field(default_factory=bytearray)


@dataclass
class _Reading:
    """How far reading one file has come: what a new child needs to go on where the last one failed.

    `drop`: how many documents have arrived, as the next child counts them; `stop`: how many it is to make; `skip`: members, counted from
    1, that it is to leave out.
    """

    path: Path
    source: Source
    state: tuple[int, int, int, int]
    drop: int = 0
    stop: int = -1
    skip: list[int] = field(default_factory=list)


class _Stopped(Exception):
    """The child is of no more use. Arguments: reason, detail."""


class Isolated:
    """Extracts files in a child process. Not for several threads at once; close it, or use it in a `with`.

    Args:
        config: what a parser may cost.
        max_document_bytes: longer documents are cut.
    """

    def __init__(self, config: ExtractConfig, *, max_document_bytes: int) -> None:
        self._config = config
        self._limits = {
            "max_document_bytes": max_document_bytes,
            "max_page_bytes": config.max_page_bytes,
            "max_unpacked_bytes": config.max_unpacked_bytes,
            "depth": config.max_depth,
            "ocr": config.ocr,
        }
        self._child: _Child | None = None
        self._is_busy = False

    def __enter__(self) -> "Isolated":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def extract(self, path: Path, source: Source) -> Generator[Piece | Rejected]:
        """Yield what a file holds: at least one item, whatever the file is.

        A failing parser is a `Rejected`: `parser_failed`, `parser_crashed`, `parser_timed_out`, `parser_out_of_memory`; a file that cannot
        be read `unreadable_file`, `file_too_large`, `file_changed`, `too_much_text`, `no_text`.

        Args:
            path: a file of any kind, format or state.
            source: its `document` says what one document is, its `format` who reads it.

        Raises:
            DiskError: there is no space for temporary files.
            PluginError: `source.format` names no extractor, or one that cannot be loaded.
        """
        if self._is_busy:
            # The last file was left half read: what its child still has to say must not be taken for this one's.
            self.close()
        rejected, state = self._look_at(path)
        if rejected or not state:
            yield from rejected
            return
        num_items = 0
        for item in self._read(_Reading(path, source, state)):
            num_items += 1
            yield item
        self._is_busy = False
        if not num_items:
            yield Rejected("no_text", "nothing in the file is text" if state[0] else "the file is empty", state[0])

    def _look_at(self, path: Path) -> tuple[list[Rejected], tuple[int, int, int, int] | None]:
        try:
            state = file_state(path)
        except OSError as error:
            return [Rejected("unreadable_file", error.strerror or str(error), 0)], None
        size_bytes = state[0]
        if not stat.S_ISREG(state[3]):
            return [Rejected("unreadable_file", "not a regular file but a folder, pipe or device", 0)], None
        if size_bytes > self._config.max_file_bytes:
            detail = f"{size_bytes:,} bytes; extract.max_file_bytes is {self._config.max_file_bytes:,}"
            return [Rejected("file_too_large", detail, size_bytes)], None
        return [], state

    def _read(self, reading: _Reading) -> Iterator[Piece | Rejected]:
        """Read a file with as many children as it takes."""
        while True:
            failure = yield from self._attempt(reading)
            if failure is None:
                return
            reason, detail = failure
            num_documents, num_entered, num_before, name = self._notes()
            if reason == "parser_out_of_memory" or (self._child is not None and self._child.process.poll() is not None):
                self.close()
            if reason == "file_changed" or reading.stop >= 0:
                yield Rejected(reason, detail, reading.state[0])
                return
            if num_entered and num_entered not in reading.skip and len(reading.skip) < MAX_CULPRITS:
                reading.skip.append(num_entered)
                reading.drop = min(reading.drop, num_before)
                yield Rejected(reason, f"{name}: {detail}", 0)
                continue
            if num_documents > reading.drop:
                # Nothing more to leave out: have the documents made before the failure once more, and stop there.
                yield from self._rest(reading, num_documents)
            where = f"after document {num_documents:,}: " if num_documents else ""
            yield Rejected(reason, where + detail, reading.state[0])
            return

    def _rest(self, reading: _Reading, num_documents: int) -> Iterator[Piece | Rejected]:
        reading.stop = num_documents
        yield from self._attempt(reading)

    def _attempt(self, reading: _Reading) -> Generator[Piece | Rejected, None, tuple[str, str] | None]:
        """Have one child read a file; return why it did not get to the end, if so."""
        failure = None
        try:
            child = self._request(reading)
            for kind, header, text in self._frames(child, self._config.seconds + reading.state[0] / BYTES_PER_EXTRA_SECOND):
                if kind == PIECE:
                    reading.drop += 1
                    yield Piece(text, header)
                elif kind == REJECTED:
                    reading.drop += 1
                    yield Rejected(header[0], header[1], header[2], text)
                elif kind == FAILED:
                    # The last one counts: that the file changed explains whatever a parser made of it.
                    failure = (header[0], header[1])
                elif kind == RAISED:
                    _raise(header)
        except _Stopped as stopped:
            if not is_unchanged(reading.path, reading.state):
                return "file_changed", "the file changed or vanished while it was read"
            return stopped.args[0], stopped.args[1]
        return failure

    def _request(self, reading: _Reading) -> _Child:
        data = json.dumps(
            {
                "path": str(reading.path),
                "source": reading.source.model_dump(),
                "limits": self._limits,
                "state": reading.state,
                "drop": reading.drop,
                "stop": reading.stop,
                "skip": reading.skip,
            }
        ).encode()
        self._is_busy = True
        for _ in range(2):
            child = self._child = self._child or self._start()
            try:
                if child.process.stdin is not None:
                    child.process.stdin.write(REQUEST.pack(len(data)) + data)
                    child.process.stdin.flush()
                return child
            except BrokenPipeError:
                # It died between two files, which is no file's fault.
                self.close()
                self._is_busy = True
        raise _Stopped("parser_crashed", "the process for parsers cannot be started")

    def _frames(self, child: _Child, seconds: float) -> Iterator[tuple[int, Any, str]]:
        """Yield the answer to a request: kind, header, text.

        Raises:
            _Stopped: it is not complete.
        """
        received = child.received
        while True:
            start = 0
            while start + FRAME.size <= len(received):
                kind, header_bytes, text_bytes = FRAME.unpack_from(received, start)
                middle = start + FRAME.size + header_bytes
                if middle + text_bytes > len(received):
                    break
                header = json.loads(received[start + FRAME.size : middle]) if header_bytes else {}
                start = middle + text_bytes
                yield kind, header, str(received[middle:start], "utf-8", "surrogatepass") if text_bytes else ""
                if kind == DONE:
                    del received[:start]
                    return
            del received[:start]
            received += self._receive(child, seconds)

    def _receive(self, child: _Child, seconds: float) -> bytes:
        """Wait for the child to say something, as long as it is getting on."""
        pipe = child.process.stdout.fileno() if child.process.stdout is not None else -1
        poll = select.poll()
        poll.register(pipe, select.POLLIN | select.POLLHUP)
        since, seen, spent = time.monotonic(), b"", 0.0
        while not poll.poll(int(1000 * min(1.0, seconds / 10))):
            now, notes = time.monotonic(), child.notes[: NOTES.size]
            if child.errors.seek(0, os.SEEK_END) > MAX_ERROR_BYTES:
                # A parser that never stops complaining must not fill the disk.
                child.errors.truncate(0)
            with contextlib.suppress(psutil.Error):
                used = sum(psutil.Process(child.process.pid).cpu_times()[:4])
                if notes != seen:
                    since, seen, spent = now, notes, used
                elif used - spent > seconds or now - since > PATIENCE * seconds:
                    self._kill(child)
                    raise _Stopped("parser_timed_out", f"no progress in {seconds:.3g} seconds (extract.seconds)")
        data = os.read(pipe, BUFFER_BYTES)
        if not data:
            raise _Stopped(*_cause_of_death(child))
        return data

    def _notes(self) -> tuple[int, int, int, str]:
        """Return how many documents the child had made, how many members entered, how many documents made before the last, its name."""
        if self._child is None:
            return 0, 0, 0, ""
        num_documents, num_entered, num_before, name_bytes = NOTES.unpack_from(self._child.notes)
        name = self._child.notes[NOTES.size : NOTES.size + min(name_bytes, NOTES_BYTES - NOTES.size)]
        return num_documents, num_entered, num_before, name.decode("utf-8", "replace")

    def _start(self) -> _Child:
        _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with tempfile.TemporaryFile() as file:
            file.truncate(NOTES_BYTES)
            notes = mmap.mmap(file.fileno(), NOTES_BYTES)
            errors = (folder / "errors").open("a+b", buffering=0)
            # The child holds it too: the folder is in use as long as either lives.
            fcntl.flock(errors, fcntl.LOCK_EX)
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path),
                "TMPDIR": str(folder),
                "OMP_NUM_THREADS": "1",
                "MALLOC_ARENA_MAX": "2",
                "ARROW_DEFAULT_MEMORY_POOL": "system",
            }
            arguments = (file.fileno(), self._config.memory_mb << 20, min(self._config.max_unpacked_bytes, 1 << 62))
            process = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", "-m", "rodna.corpus.isolation_child", *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                pass_fds=(file.fileno(),),
                start_new_session=True,
            )
        return _Child(process, notes, errors, folder)

    def _kill(self, child: _Child) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            # The whole group: a parser may have started programs of its own.
            os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()

    def close(self) -> None:
        """End the child and remove its temporary files."""
        child, self._child, self._is_busy = self._child, None, False
        if child is None:
            return
        self._kill(child)
        for stream in (child.process.stdin, child.process.stdout, child.errors):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()
        child.notes.close()
        shutil.rmtree(child.folder, ignore_errors=True)


def _remove_abandoned() -> None:
    """Remove what processes that were killed have left behind: an archive's members may be gigabytes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another user's, or just being made or removed.
        with contextlib.suppress(OSError), (folder / "errors").open("rb") as errors:
            if time.time() - folder.stat().st_mtime > _SETTLED_SECONDS:
                fcntl.flock(errors, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def _cause_of_death(child: _Child) -> tuple[str, str]:
    """Return reason and detail for a child that died by itself."""
    code = child.process.wait()
    child.errors.seek(0)
    said = child.errors.read(1 << 20)
    if code == -signal.SIGKILL or any(sign in said for sign in _NO_MEMORY):
        return "parser_out_of_memory", OUT_OF_MEMORY
    if code < 0:
        with contextlib.suppress(ValueError):
            return "parser_crashed", f"ended by {signal.Signals(-code).name}"
    return "parser_crashed", f"ended with exit status {code}"


def _raise(header: list[str]) -> Never:
    name, what, where, fix = header
    if name == "PluginError":
        raise PluginError(what, where=where, fix=fix)
    raise DiskError(what, where=where, fix="free some space, or set TMPDIR to a larger disk; then run the same command again")
