"""One line on a terminal that says how much is done and how long the rest takes; nothing where stderr is a file."""

import sys
from types import TracebackType
from typing import Self


class Progress:
    """A bar that counts.

    Args:
        label: what is being done.
        total: how many there are.
        done: of these, finished in an earlier run.
        unit: what is counted.
    """

    def __init__(self, label: str, *, total: int, done: int = 0, unit: str = "tasks") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeElapsedColumn())
        self._bar = Bar(
            *columns,
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task(label, total=total, completed=done)

    def advance(self) -> None:
        self._bar.advance(self._task)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()
