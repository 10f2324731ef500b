"""One writer in a workspace at a time.

The lock is the kernel's (`flock`): it ends with its process however that dies, so there is no stale lock to clean up. What the file
holds is only for the message.
"""

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from rodna.core.errors import RodnaError, explain_disk_errors
from rodna.core.log import warn
from rodna.core.workspace import Workspace

LOCK_FILE = ".lock"


class LockedError(RodnaError):
    """Another rodna is writing in this workspace."""


@contextmanager
def locked(workspace: Workspace) -> Generator[None]:
    """Hold the workspace's lock.

    Raises:
        LockedError: another process holds it.
    """
    path = workspace.root / LOCK_FILE
    with explain_disk_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    # A forked worker that outlives us must not keep the lock.
    closing = _CloseInChild(descriptor)
    os.register_at_fork(after_in_child=closing)
    try:
        _acquire(descriptor, workspace)
        os.ftruncate(descriptor, 0)
        holder = {
            "pid": os.getpid(),
            "command": " ".join(["rodna", *sys.argv[1:]]),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.pwrite(descriptor, json.dumps(holder, ensure_ascii=False).encode("utf-8"), 0)
        yield
    finally:
        closing.descriptor = -1
        os.close(descriptor)


class _CloseInChild:
    """Closes a descriptor in forked children; -1 means that there is nothing to close."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __call__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _acquire(descriptor: int, workspace: Workspace) -> None:
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LockedError(
            f"another rodna is at work in this workspace: {_holder(descriptor)}",
            where=str(workspace.root),
            fix="wait for it to end, or stop it; `rodna status` shows how far it is",
        ) from error
    except OSError:
        warn(f"this file system has no locks: do not run two commands in {workspace.root} at once")


def _holder(descriptor: int) -> str:
    try:
        found = json.loads(os.pread(descriptor, 65536, 0))
        return f"`{found['command']}`, process {found['pid']}, since {found['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has just begun"
