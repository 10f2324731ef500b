"""Writing files so that a crash never leaves half of one."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from rodna.core.errors import explain_disk_errors


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path` at once: temporary file, fsync, rename."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` at once: a reader sees the old file or the new one, never a part."""
    temporary = temporary_name(path)
    with explain_disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, at once."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Flush the content of `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal; memory use does not grow with the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replace_folder(temporary: Path, final: Path) -> None:
    """Put a finished folder in place; an older one there is first moved aside, so that no crash leaves half of it."""
    aside = temporary_name(final, suffix="old")
    if final.exists():
        final.replace(aside)
    temporary.replace(final)
    sync_folder(final.parent)
    if aside.exists():
        shutil.rmtree(aside)


def temporary_name(path: Path, *, suffix: str = "new") -> Path:
    """Return where this process prepares `path`: beside it, hidden, and with the process id in its name."""
    return path.with_name(f".{path.name}.{suffix}.{os.getpid()}.tmp")


def is_abandoned(temporary: Path) -> bool:
    """Return whether the process that made a `temporary_name` is gone, so that the name is rubbish.

    A name of this very process is rubbish too: the id was used before, by a process that died.
    """
    pid = temporary.name.split(".")[-2]
    if not pid.isdigit() or int(pid) == os.getpid():
        return True
    return not process_is_alive(int(pid))


def process_is_alive(pid: int) -> bool:
    """Return whether a process with this id runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
