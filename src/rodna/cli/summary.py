"""How a finished job ends: the number that matters beside simple baselines, some lines the model wrote, and what to type next."""

import json
import os
from pathlib import Path
from typing import Any

from rodna.cli.output import printable
from rodna.cli.project import Project
from rodna.core.text import human_seconds
from rodna.core.workspace import Workspace

OURS = {"held_out_text": "this model", "with_counts": "this model with counted n-grams, as it writes"}
NUM_SAMPLES = 3
SAMPLE_CHARACTERS = 120


def print_summary(project: Project, workspace: Workspace, results: dict[str, Any]) -> None:
    """Print how good the model is and what can be done with it.

    Args:
        project: its settings.
        workspace: where everything lies.
        results: what `run_stages` returned for all stages.
    """
    from rich.console import Console
    from rich.text import Text

    evaluation = Path(results["evaluate"]["path"])
    console = Console(highlight=False)
    console.print()
    console.print(_table(json.loads((evaluation / "results.json").read_text(encoding="utf-8"))))
    console.print("What the model writes:")
    for sample in _samples(evaluation / "samples.json"):
        console.print(Text("  " + sample), no_wrap=True, overflow="ellipsis")
    console.print()
    spent = sum(item["seconds"] for item in results.values())
    console.print(
        Text(f"Report: {_shown(workspace.report / 'index.html')}" + (f"   (this run took {human_seconds(spent)})" if spent > 1 else ""))
    )
    console.print("Worth typing next:")
    where = "" if Path.cwd().resolve() == workspace.root else f" -w {_shown(workspace.root)}"
    for command, why in (("chat", "write with the model"), ("trace", "what it was made from, down to the licences"),
                         ("plan", "what was decided, and why")):  # fmt: skip
        console.print(Text(f"  rodna {command}{where}".ljust(34) + f"  {why}"))


def _table(rows: list[dict[str, Any]]) -> Any:
    """Return held-out bits per byte of the model, with and without counts where it has any, and of the baselines, best first."""
    from rich.table import Table

    table = Table("bits per byte of held-out text (lower is better)", title_justify="left")
    table.add_column("value", justify="right")
    table.add_column("95% interval", justify="right")
    found = [row for row in rows if row["metric"] == "bits_per_byte" and (row["task"] in OURS or row["task"].startswith("baseline:"))]
    for row in sorted(found, key=lambda row: row["value"]):
        ours = row["task"] in OURS
        name = OURS.get(row["task"]) or row["detail"].get("description", row["task"].removeprefix("baseline:"))
        interval = f"{row['low']:.3f} - {row['high']:.3f}" if row["high"] > row["low"] else ""
        table.add_row(name, f"{row['value']:.3f}", interval, style="bold" if ours else "")
    return table


def _samples(file: Path) -> list[str]:
    """Return a few continuations, each on one line with its prompt."""
    if not file.is_file():
        return []
    samples = json.loads(file.read_text(encoding="utf-8"))
    rows = samples["samples"] if isinstance(samples, dict) else samples
    lines = [" ".join(printable(f"{row.get('prompt', '')}{row.get('text', '')}").split()) for row in rows]
    return [line[:SAMPLE_CHARACTERS] for line in lines if line][:NUM_SAMPLES]


def _shown(path: Path) -> str:
    """Return a path as short as possible."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
