"""What rodna says: lines for people on stderr, one JSON object a line in the run's log."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def say(text: str) -> None:
    """Print one line for a person, on stderr: stdout is for data."""
    print(text, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning for a person, on stderr."""
    say(f"warning: {text}")


class JsonLines:
    """An append-only file of JSON objects, one a line; a line cut short by a crash is ignored by `read`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()

    def event(self, name: str, **fields: Any) -> None:
        """Write a timed event."""
        self.write({"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": name, **fields})

    def close(self) -> None:
        self._file.close()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSON Lines file, leaving out lines that a crash cut short."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
