"""Two commands never write in one workspace at a time, and a dead one never stands in the way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rodna.cli.lock import LockedError, locked
from rodna.core.workspace import Workspace

HOLD = """
import sys, time, os
from pathlib import Path
from rodna.cli.lock import locked
from rodna.core.workspace import Workspace
with locked(Workspace(Path(sys.argv[1]))):
    if len(sys.argv) > 2:
        if os.fork() == 0:
            # Said by the child itself, so that what it does on its start is behind it.
            print(os.getpid(), flush=True)
            time.sleep(20)
            os._exit(0)
        time.sleep(60)
    print("held", flush=True)
    time.sleep(60)
"""


def holder(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLD, str(root), *arguments], stdout=subprocess.PIPE, text=True)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)


def test_a_second_command_is_refused_and_told_who_holds_the_lock(tmp_path):
    process = holder(tmp_path)
    assert read_line(process) == "held"
    try:
        with pytest.raises(LockedError) as caught, locked(Workspace(tmp_path)):
            pass
    finally:
        end(process)

    assert f"process {process.pid}" in str(caught.value)
    assert "wait for it to end" in str(caught.value)


def test_the_lock_of_a_killed_process_is_taken_over_at_once(tmp_path):
    process = holder(tmp_path)
    assert read_line(process) == "held"
    end(process)

    with locked(Workspace(tmp_path)):
        assert str(os.getpid()) in (tmp_path / ".lock").read_text(encoding="utf-8")


def test_a_worker_that_outlives_its_parent_does_not_keep_the_lock(tmp_path):
    process = holder(tmp_path, "fork")
    child = int(read_line(process))
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    try:
        with locked(Workspace(tmp_path)):
            os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate(timeout=10)


def test_the_lock_can_be_taken_again_after_it_is_released(tmp_path):
    for _ in range(2):
        with locked(Workspace(tmp_path)):
            assert (tmp_path / ".lock").is_file()


def test_a_damaged_lock_file_does_not_confuse_the_message(tmp_path):
    process = holder(tmp_path)
    assert read_line(process) == "held"
    (tmp_path / ".lock").write_text("not json", encoding="utf-8")
    try:
        with pytest.raises(LockedError, match="it has just begun"), locked(Workspace(tmp_path)):
            pass
    finally:
        end(process)
