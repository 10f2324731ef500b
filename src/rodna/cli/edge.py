"""The edge of the program: where errors become messages and exit codes.

Exit codes: 0 done, 1 a problem the message explains, 2 a command that was typed wrongly, 130 stopped with Ctrl-C, 143 ended by a signal.
"""

import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from rodna import __version__
from rodna.core.errors import RodnaError, explain_disk_errors
from rodna.core.log import say

INTERRUPTED, TERMINATED = 130, 143


class Edge(TyperGroup):
    """A command group whose commands never end in a traceback."""

    def invoke(self, ctx: Any) -> Any:
        with errors_for_people():
            return super().invoke(ctx)


@contextmanager
def errors_for_people() -> Generator[None]:
    """Turn every exception of a command into a message on stderr and an exit code."""
    try:
        with unwinding_on_terminate(), explain_disk_errors(Path.cwd()):
            yield
    except KeyboardInterrupt:
        say("\nStopped. Finished work is kept; type the same command again to go on where it was.")
        raise typer.Exit(INTERRUPTED) from None
    except RodnaError as error:
        say(f"error: {error}")
        raise typer.Exit(1) from None
    except BrokenPipeError:
        # The reader of our output has gone (`rodna trace | head`). Python would complain once more when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except MemoryError as error:
        say("error: out of memory\n  fix:   close other programs, or choose a smaller model (`--set plan.preset=...`) or batch")
        raise typer.Exit(1) from error
    except Exception as error:
        if is_usage(error):
            raise
        say(f"error: rodna failed unexpectedly: {type(error).__name__}: {error}\n  where: {_write_traceback()}")
        say("  fix:   this is a mistake in rodna, not in your text: please report it with that file")
        raise typer.Exit(1) from None


def is_usage(error: Exception) -> bool:
    """Return whether an exception is the argument parser's own: a usage message or an exit, which it prints itself."""
    names = {base.__name__ for base in type(error).__mro__}
    return bool(names & {"ClickException", "Exit", "Abort"})


@contextmanager
def unwinding_on_terminate() -> Generator[None]:
    """Make `kill` unwind the program like Ctrl-C does, so that temporary files are removed."""

    def leave(*_: object) -> None:
        say("\nEnded by a signal. Finished work is kept; type the same command again to go on where it was.")
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_traceback() -> Path:
    """Write the current exception to a file in the system's temporary folder; return its path."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    lines = [f"rodna {__version__}", f"command: {' '.join(sys.argv)}", f"python: {sys.version}", f"platform: {sys.platform}", ""]
    with tempfile.NamedTemporaryFile("w", prefix=f"rodna-{stamp}-", suffix=".log", delete=False, encoding="utf-8") as file:
        file.write("\n".join(lines) + traceback.format_exc())
    return Path(file.name)
