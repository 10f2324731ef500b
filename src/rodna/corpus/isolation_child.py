"""The child process of `rodna.corpus.isolation`: reads requests, extracts, answers with frames; and the form of both.

A request is a length and JSON. A frame is a kind, the lengths of a JSON header and of UTF-8 text, then both. Never pickle: what comes from
a process that a hostile file may have taken over is data, not code.
"""

import contextlib
import errno
import json
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from rodna.core.errors import DiskError, RodnaError
from rodna.core.registry import PluginError
from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.unpacking import MAX_RATIO

REQUEST = struct.Struct("<I")
FRAME = struct.Struct("<BII")
PIECE, REJECTED, FAILED, RAISED, DONE = range(5)
NOTES = struct.Struct("<QQQI")
"""In the map shared with the parent: how many documents the child has made of this file; how many members of it it has entered; how many
documents it had made when it entered the last; the length of that one's name, which follows."""
NOTES_BYTES = 4096
BUFFER_BYTES = 1 << 20
OUT_OF_MEMORY = "it took more memory than allowed (extract.memory_mb)"
_CHECK_BYTES = 64 << 20
"""After so much text, look whether the file is still the same: one that grows as it is read would never end."""
WRITABLE_BYTES = 1 << 30
"""A file that a parser writes may always grow so large. Smaller limits hit the sound: the language identifier that judges legacy encodings
unpacks its model into one."""
State = tuple[int, int, int, int]


def file_state(path: Path) -> State:
    """Return what changes when a file does: its size, time of change in nanoseconds, inode and mode.

    Raises:
        OSError: it cannot be looked at.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_mode


def is_unchanged(path: Path, state: State) -> bool:
    """Return whether a file is there and as it was."""
    try:
        return file_state(path) == tuple(state)
    except OSError:
        return False


class _Answer:
    """The frames about one file, gathered to be sent by the megabyte, and the notes beside them."""

    def __init__(self, pipe: int, notes: mmap.mmap, request: dict[str, Any]) -> None:
        self._pipe, self._notes = pipe, notes
        self._drop, self._skip = int(request["drop"]), frozenset(request["skip"])
        self._buffer = bytearray()
        self._num_entered = 0
        self.num_documents = 0
        self.is_flushed = self._drop > 0
        NOTES.pack_into(notes, 0, 0, 0, 0, 0)

    def enter(self, name: str) -> bool:
        """Note that a member is about to be parsed; False where an earlier child did not survive it."""
        data = name.encode("utf-8", "replace")[: NOTES_BYTES - NOTES.size]
        self._num_entered += 1
        self._notes[NOTES.size : NOTES.size + len(data)] = data
        NOTES.pack_into(self._notes, 0, self.num_documents, self._num_entered, self.num_documents, len(data))
        return self._num_entered not in self._skip

    def add(self, item: Piece | Rejected) -> int:
        """Send, soon, what an extractor made; return its size in bytes. What an earlier child has sent already is not sent again."""
        self.num_documents += 1
        struct.pack_into("<Q", self._notes, 0, self.num_documents)
        if isinstance(item, Piece):
            kind, header, text = PIECE, json.dumps(dict(item.meta)).encode() if item.meta else b"", item.text
        else:
            kind, header, text = REJECTED, json.dumps([item.reason, item.detail, item.size_bytes]).encode(), item.excerpt
        body = text.encode("utf-8", "surrogatepass")
        if self.num_documents > self._drop:
            self.frame(kind, header, body)
        return len(header) + len(body)

    def frame(self, kind: int, header: bytes, body: bytes = b"") -> None:
        if len(self._buffer) + len(body) > BUFFER_BYTES:
            self.flush()
        self._buffer += FRAME.pack(kind, len(header), len(body))
        self._buffer += header
        if len(body) > BUFFER_BYTES:
            self.flush()
            self._write(body)
        else:
            self._buffer += body

    def flush(self) -> None:
        self.is_flushed = True
        self._write(self._buffer)
        self._buffer.clear()

    def take_back(self) -> None:
        """Forget what has not been sent."""
        self._buffer.clear()

    def _write(self, data: bytes | bytearray) -> None:
        with memoryview(data) as view:
            start = 0
            while start < len(view):
                start += os.write(self._pipe, view[start:])


def _answer(request: dict[str, Any], answer: _Answer) -> bool:
    """Extract one file; return whether this process is still sound."""
    path, state = Path(request["path"]), request["state"]
    limits = Limits(**request["limits"], enter=answer.enter)
    is_sound = True
    writable = _limit_files(max(WRITABLE_BYTES, MAX_RATIO * state[0]))
    try:
        _extract(path, Source.model_validate(request["source"]), limits, request, answer)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except MemoryError:
        is_sound = False
        answer.frame(FAILED, _failure("parser_out_of_memory", OUT_OF_MEMORY))
    except (PluginError, DiskError) as error:
        answer.frame(RAISED, json.dumps([type(error).__name__, error.what, error.where, error.fix]).encode())
    except RodnaError as error:
        answer.frame(FAILED, _failure("unreadable_file", "; ".join(part for part in (error.what, error.fix) if part)))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what = f"no space for temporary files: {error.strerror}"
            answer.frame(RAISED, json.dumps(["DiskError", what, str(error.filename or ""), ""]).encode())
        elif error.errno == errno.EFBIG:
            answer.frame(FAILED, _failure("parser_wrote_too_much", f"it wrote a file of more than {writable:,} bytes"))
        elif error.errno == errno.ENOMEM:
            is_sound = False
            answer.frame(FAILED, _failure("parser_out_of_memory", OUT_OF_MEMORY))
        else:
            answer.frame(FAILED, _failure("unreadable_file", error.strerror or str(error)))
    except Exception as error:  # whatever a parser throws at a file nobody foresaw is that file's problem
        answer.frame(FAILED, _failure("parser_failed", f"{type(error).__name__}: {error}"[:400]))
    if not is_unchanged(path, state):
        if not answer.is_flushed:
            answer.take_back()
        answer.frame(FAILED, _failure("file_changed", "the file changed or vanished while it was read"))
    answer.frame(DONE, b"")
    answer.flush()
    return is_sound


def _extract(path: Path, source: Source, limits: Limits, request: dict[str, Any], answer: _Answer) -> None:
    # Not at the top: only the child needs it, and it brings the parsers' own modules with it.
    from rodna.corpus.extractors.dispatch import extract_file

    stop, num_bytes, next_check = int(request["stop"]), 0, _CHECK_BYTES
    for item in extract_file(path, source, limits):
        num_bytes += answer.add(item)
        if answer.num_documents == stop:
            return
        if num_bytes > next_check:
            if not is_unchanged(path, request["state"]):
                return
            if num_bytes > limits.max_unpacked_bytes:
                detail = f"more than {limits.max_unpacked_bytes:,} bytes of text; the rest is left out"
                answer.add(Rejected("too_much_text", detail, 0))
                return
            next_check = num_bytes + _CHECK_BYTES


def _failure(reason: str, detail: str) -> bytes:
    return json.dumps([reason, detail]).encode()


def _set_limits(memory_bytes: int, file_bytes: int) -> None:
    """Die with the parent; take no more memory than allowed; write no endless file and no core."""
    import resource

    if sys.platform == "linux":
        import ctypes
        import signal

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):
        limit = max(file_bytes, WRITABLE_BYTES)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    # macOS knows this limit but does not enforce it.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _limit_files(num_bytes: int) -> int:
    """Let no file that is written grow beyond so many bytes, and beyond what is allowed at all; return the limit."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    if hard != resource.RLIM_INFINITY:
        num_bytes = min(num_bytes, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    return num_bytes


def _address_space() -> int:
    """Return the bytes of address space that Python and its modules have taken."""
    import psutil

    return int(psutil.Process().memory_info().vms)


def _requests(stream: BinaryIO) -> Iterator[dict[str, Any]]:
    while len(head := stream.read(REQUEST.size)) == REQUEST.size:
        yield json.loads(stream.read(REQUEST.unpack(head)[0]))


def serve(notes_fd: int, memory_bytes: int, file_bytes: int) -> None:
    """Answer requests until there are no more, or this process is not to be trusted any further."""
    pipe, requests = os.dup(1), os.fdopen(os.dup(0), "rb")
    # What parsers print goes to where errors go; what programs they start read is empty.
    os.dup2(2, 1)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, BUFFER_BYTES)
    notes = mmap.mmap(notes_fd, NOTES_BYTES)
    _set_limits(memory_bytes + _address_space(), file_bytes)
    for request in _requests(requests):
        if not _answer(request, _Answer(pipe, notes, request)):
            return


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        serve(*(int(argument) for argument in sys.argv[1:4]))
    # Destructors of parsers that a file has led astray are better not run.
    os._exit(0)
