"""Answers of servers, kept on disk so that none is paid for twice: one append-only file of JSON Lines."""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rodna.core.errors import explain_disk_errors

_HEAD, _TAIL = b'{"key": "', b"}\n"
_KEY_LENGTH = 64


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value, in hexadecimal; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode("ascii")).hexdigest()


class AnswerCache:
    """Answers by the digest of their question.

    Only the places of answers are held in memory. Several threads and processes may write to one file. A line that a crash cut short is
    left out, and costs nothing but its answer.

    Args:
        path: the file; made, with its folder, at the first answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}
        with self._lock:
            self._index()

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the answer to a question, or None where there is none that can be read."""
        with self._lock:
            place = self._places.get(key)
        if place is None:
            return None
        start, size = place
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                record: Any = json.loads(file.read(size))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(record, dict):
            return None
        answer = cast("dict[str, Any]", record).get("answer")
        return cast("dict[str, Any]", answer) if isinstance(answer, dict) else None

    def put(self, key: str, answer: Mapping[str, Any]) -> None:
        """Keep an answer.

        Raises:
            DiskError: the disk is full or cannot be written.
        """
        line = json.dumps({"key": key, "answer": answer}, ensure_ascii=True).encode("ascii") + b"\n"
        with self._lock, explain_disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                end = file.seek(0, os.SEEK_END)
                if end and not self._ends_a_line(end):
                    # Without the line break this answer would be lost with the one that was cut short.
                    end += file.write(b"\n")
                file.write(line)
                file.flush()
            self._places[key] = (end, len(line))

    def _ends_a_line(self, end: int) -> bool:
        with self.path.open("rb") as file:
            file.seek(end - 1)
            return file.read(1) == b"\n"

    def _index(self) -> None:
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            place = 0
            for line in file:
                if line.startswith(_HEAD) and line.endswith(_TAIL):
                    key = line[len(_HEAD) : len(_HEAD) + _KEY_LENGTH].decode("ascii", "replace")
                    self._places[key] = (place, len(line))
                place += len(line)
