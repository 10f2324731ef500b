"""What rodna says: lines for people on stderr, one JSON object a line in the run's log."""

import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from rodna.core.errors import explain_disk_errors


def say(text: str) -> None:
    """Print one line for a person, on stderr: stdout is for data."""
    print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning for a person, on stderr."""
    say(f"warning: {text}")


class JsonLines:
    """An append-only file of JSON objects, one a line; a line cut short by a crash is ignored by `read_json_lines`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with explain_disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
            if _is_cut_short(path):
                # Without the line break the next record would be lost with the broken one.
                self._file.write("\n")

    def write(self, record: Mapping[str, Any]) -> None:
        with explain_disk_errors(self._path):
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()

    def event(self, name: str, **fields: Any) -> None:
        """Write a timed event."""
        self.write({"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": name, **fields})

    def close(self) -> None:
        self._file.close()


def _is_cut_short(path: Path) -> bool:
    """Return whether a file ends in the middle of a line."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSON Lines file, leaving out lines that a crash cut short."""
    records: list[dict[str, Any]] = []
    # Not str.splitlines: it also breaks at U+2028 and U+0085, which JSON strings may hold as they are.
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []:
        try:
            record: Any = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            records.append(cast("dict[str, Any]", record))
    return records
