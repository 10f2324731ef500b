"""What a person and the metrics file see of a run, step by step."""

import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from rodna.core.errors import TrainError
from rodna.core.files import write_text
from rodna.core.log import JsonLines, read_json_lines, say
from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.train.config import TrainValues
from rodna.train.state import Progress

QUIET_SECONDS = 30.0
"""Between two lines where stderr is no terminal."""


class Metrics:
    """Every number of a run: `metrics.jsonl`, and the trackers that were asked for.

    Records of steps that a crash undid are removed when the run goes on, so no step appears twice.
    """

    def __init__(self, path: Path, values: TrainValues, *, step: int) -> None:
        self._board = self._wandb = None
        if "tensorboard" in values.trackers:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(path.parent / "tensorboard"), purge_step=step + 1)
        if "wandb" in values.trackers:
            try:
                import wandb  # pyright: ignore[reportMissingImports]
            except ImportError as error:
                raise TrainError(
                    "the tracker wandb is not installed", where="train.trackers", fix="pip install wandb, or leave it out"
                ) from error
            self._wandb = wandb.init(project="rodna", name=path.parent.name, dir=str(path.parent), resume="allow", id=path.parent.name)
        if path.exists():
            kept = [record for record in read_json_lines(path) if record.get("step", 0) <= step]
            write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
        self._file = JsonLines(path)

    def write(self, record: dict[str, Any]) -> None:
        """Write one record with its `step`; numbers that are not finite are left out, and trackers get no text."""
        record = {key: value for key, value in record.items() if not isinstance(value, float) or math.isfinite(value)}
        self._file.write(record)
        numbers = {key: value for key, value in record.items() if key != "step" and not isinstance(value, str)}
        if self._board is not None:
            for key, value in numbers.items():
                self._board.add_scalar(key, value, record["step"])
        if self._wandb is not None:
            self._wandb.log(numbers, step=record["step"])

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


LOSS_PARTS = {"cross_entropy": "text", "divergence": "teachers"}
"""Parts of the loss, as `train.distillation` names them and as people are told them; in nats a token."""


class Display:
    """A live panel on a terminal; elsewhere a line now and then. Always on stderr: stdout is for data."""

    def __init__(self, values: TrainValues, progress: Progress, *, parameters: int) -> None:
        self._values, self._progress, self._parameters = values, progress, parameters
        self._shown: dict[str, Any] = {}
        self._started, self._first_step = time.perf_counter(), progress.step
        self._last_line = self._started
        console = Console(stderr=True)
        self._live = Live(console=console, refresh_per_second=2, transient=False) if console.is_terminal else None

    def __enter__(self) -> "Display":
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*details)
        elif self._shown:
            self._say_line()

    def update(self, record: dict[str, Any]) -> None:
        """Show the newest numbers."""
        self._shown |= record
        if self._live is not None:
            self._live.update(self._panel())
        elif time.perf_counter() - self._last_line > QUIET_SECONDS:
            self._say_line()

    def _say_line(self) -> None:
        self._last_line = time.perf_counter()
        say(f"  step {self._progress.step:,}/{self._values.steps:,}  " + "  ".join(f"{name} {text}" for name, text in self._facts()))

    def _facts(self) -> Iterator[tuple[str, str]]:
        shown = self._shown
        if "loss" in shown:
            # Of a student the loss is a mixture; what it takes of the text and how far it is from its teachers are told apart.
            parts = [f"{name} {shown[key]:.3f}" for key, name in LOSS_PARTS.items() if key in shown]
            yield "loss", f"{shown['loss']:.3f}" + (f" ({', '.join(parts)})" if parts else "")
        if "validation_bits_per_byte" in shown:
            averaged = f" of the {shown['weights'].upper()}" if "weights" in shown else ""
            yield (
                f"validation bits/byte{averaged}",
                f"{shown['validation_bits_per_byte']:.3f} (best {self._progress.best_bits_per_byte:.3f})",
            )
        if "tokens_per_second" in shown:
            yield "tokens/s", human_count(shown["tokens_per_second"])
        if shown.get("mfu"):
            yield "MFU", f"{shown['mfu']:.0%}"
        if "memory_bytes" in shown:
            yield "memory", human_bytes(shown["memory_bytes"])
        done = self._progress.step - self._first_step
        if done > 0 and self._progress.step < self._values.steps:
            left = (self._values.steps - self._progress.step) * (time.perf_counter() - self._started) / done
            yield "left", human_seconds(left)

    def _panel(self) -> Table:
        table = Table.grid(padding=(0, 2))
        share = self._progress.step / self._values.steps
        width = 30
        bar = "━" * round(width * share) + "─" * (width - round(width * share))
        table.add_row(f"[bold]training[/] {human_count(self._parameters)} parameters", f"[green]{bar}[/] {share:.0%}",
                      f"step {self._progress.step:,}/{self._values.steps:,}")  # fmt: skip
        facts = [f"{name} [bold]{text}[/]" for name, text in self._facts()]
        for row in range(0, len(facts), 3):
            table.add_row(*facts[row : row + 3])
        return table


class Stop:
    """Whether the user has asked to stop."""

    requested = False


@contextmanager
def stop_on_interrupt() -> Iterator[Stop]:
    """Turn the first Ctrl-C into a request that the loop grants after the current step; a second one stops at once."""
    stop = Stop()

    def ask(signum: int, frame: object) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True
        print("\nstopping after this step; the state will be saved", file=sys.stderr, flush=True)

    try:
        previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        # Not in the main thread: whoever runs us there has a way of their own to stop.
        previous = {}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
