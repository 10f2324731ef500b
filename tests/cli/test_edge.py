"""Every way a command can end, as a person and as a shell sees it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from rodna.cli.edge import errors_for_people
from rodna.core.errors import RodnaError


def ending(error: BaseException) -> int:
    with pytest.raises(typer.Exit) as caught, errors_for_people():
        raise error
    return caught.value.exit_code


def test_an_error_of_the_user_is_printed_as_what_where_and_fix_without_a_traceback(capsys):
    code = ending(RodnaError("the folder is empty", where="texts", fix="put text there"))

    assert code == 1
    assert capsys.readouterr().err == "error: the folder is empty\n  where: texts\n  fix:   put text there\n"


def test_ctrl_c_ends_with_130_and_one_calm_line(capsys):
    assert ending(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err.strip() == "Stopped. Finished work is kept; type the same command again to go on where it was."


def test_an_unexpected_error_says_where_its_log_is_and_shows_no_traceback(capsys):
    assert ending(KeyError("surprise")) == 1
    told = capsys.readouterr().err
    log = Path(told.partition("where: ")[2].partition("\n")[0])

    assert told.startswith("error: rodna failed unexpectedly: KeyError: 'surprise'")
    assert "Traceback" not in told
    assert "Traceback" in log.read_text(encoding="utf-8")
    log.unlink()


def test_a_full_disk_anywhere_is_explained(capsys):
    assert ending(OSError(28, "No space left on device", "/somewhere/file")) == 1
    told = capsys.readouterr().err

    assert "the disk is full" in told
    assert "/somewhere/file" in told
    assert "free some space" in told


def test_running_out_of_memory_is_explained(capsys):
    assert ending(MemoryError()) == 1
    assert "choose a smaller model" in capsys.readouterr().err


def test_a_command_typed_wrongly_exits_with_2_and_names_the_closest(rodna):
    unknown_option = rodna("status", "--jsn")
    unknown_verb = rodna("stauts")

    assert (unknown_option.exit_code, unknown_verb.exit_code) == (2, 2)
    assert "--json" in unknown_option.stderr
    assert "status" in unknown_verb.stderr


def test_a_closed_pipe_ends_quietly(workspace):
    command = f"{sys.executable} -m rodna.cli corpus build --help | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_kill_unwinds_and_exits_with_143():
    script = (
        "import time, sys, pathlib\nfrom rodna.cli.edge import errors_for_people\n"
        "with errors_for_people():\n    try:\n        print('ready', flush=True); time.sleep(60)\n"
        "    finally:\n        print('cleaned', flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 143
    assert out == "cleaned\n"
    assert "Finished work is kept" in err
