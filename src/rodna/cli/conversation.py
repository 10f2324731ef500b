"""A conversation in the terminal: what was said, commands, and the loop that reads and answers."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import TYPE_CHECKING

from rodna.cli.output import show
from rodna.core.errors import RodnaError

if TYPE_CHECKING:
    from rodna.models.generate import Sampling

WELCOME = (
    "This model has learned to continue text; it has not been taught to answer questions. Write a beginning, and it goes on.\n"
    "An empty line lets it go on once more. Commands: /reset  /quit  /set temperature=0.7  /help. Ctrl-C stops an answer."
)


class Conversation:
    """The text so far, and who writes next.

    Args:
        write: yields the continuation of a text.
        sampling: how; `/set` changes it.
        tell: receives pieces of output as they are written.
    """

    def __init__(
        self, write: "Callable[[str, Sampling], Iterator[str]]", sampling: "Sampling", *, tell: Callable[[str], None] | None = None
    ) -> None:
        self.write, self.sampling, self.text = write, sampling, ""
        self.turn = 0
        self._tell = tell or show

    def run(self) -> None:
        """Read lines and answer them until /quit or the end of input."""
        _prepare_input()
        self._tell(f"{WELCOME}\n")
        while True:
            try:
                line = input("> " if sys.stdin.isatty() else "")
            except EOFError:
                self._tell("\n" if sys.stdin.isatty() else "")
                return
            except KeyboardInterrupt:
                self._tell("\nType /quit to leave.\n")
                continue
            if not self.answer(line):
                return

    def answer(self, line: str) -> bool:
        """React to one line; return False when the conversation is over."""
        if line.startswith("/"):
            return self._obey(line)
        self.text += ("\n" if self.text and line else "") + line
        try:
            # Every turn has a seed of its own: the same words twice need not give the same answer.
            for piece in self.write(self.text, replace(self.sampling, seed=self.sampling.seed + self.turn)):
                self.text += piece
                self._tell(piece)
        except KeyboardInterrupt:
            self._tell(" ...")
        self.turn += 1
        self._tell("\n")
        return True

    def _obey(self, line: str) -> bool:
        command, _, argument = line.partition(" ")
        if command in ("/quit", "/exit", "/q"):
            return False
        if command == "/reset":
            self.text, self.turn = "", 0
            self._tell("Forgotten. Write a new beginning.\n")
        elif command == "/set":
            self._set(argument)
        elif command == "/help":
            self._tell(f"{WELCOME}\n")
        else:
            self._tell(f"unknown command {command}; there are /reset, /quit, /set name=value and /help\n")
        return True

    def _set(self, argument: str) -> None:
        name, equals, value = (part.strip() for part in argument.partition("="))
        current = {field.name: getattr(self.sampling, field.name) for field in fields(self.sampling)}
        if not equals or name not in current:
            listing = ", ".join(f"{key}={value!r}" for key, value in current.items())
            self._tell(f"write /set name=value; now: {listing}\n")
            return
        try:
            kind = type(current[name])
            self.sampling = replace(self.sampling, **{name: (value,) if kind is tuple else kind(value)})
            self._tell(f"{name} is now {getattr(self.sampling, name)!r}\n")
        except (RodnaError, ValueError) as error:
            self._tell(f"{name}={value} is not possible: {error}\n")


def _prepare_input() -> None:
    """Give `input` line editing and history, and let any bytes in: what is not UTF-8 is replaced, not refused."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401
    reconfigure = getattr(sys.stdin, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(encoding="utf-8", errors="replace")
