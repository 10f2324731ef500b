"""An evaluation as a table in the terminal."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rodna.cli.corpus_tables import add, table_of
from rodna.evals.result import Result, read_results

NUMBERS = ("value", "95% interval", "n", "chance", "skipped", "seen")
COLUMNS = ("task", "metric", *NUMBERS)
FILE_WIDTH = 160
"""Characters of a line where the table does not go to a terminal."""


def as_records(path: Path) -> dict[str, Any]:
    """Return an evaluation's results and tasks, for `--json`."""
    results = json.loads((path / "results.json").read_text(encoding="utf-8"))
    return {"results": results, "tasks": _tasks(path)}


def print_evaluation(path: Path, *, show_all: bool) -> None:
    """Print the results for a person, on stderr: stdout is for the path.

    Args:
        path: of the evaluation.
        show_all: the parts of tasks, too, such as each paradigm of minimal pairs.
    """
    from rich.console import Console
    from rich.text import Text

    results, tasks = read_results(path / "results.json"), _tasks(path)
    shown = [result for result in results if show_all or _is_main(result)]
    rows = [_cells(result, tasks.get(_task_of(result.task), {})) for result in shown]
    # Columns without a single number only make the others narrow.
    kept = [place for place in range(len(COLUMNS)) if any(row[place] for row in rows)]
    table = table_of("", *(COLUMNS[place] for place in kept), numbers=NUMBERS)
    for column in table.columns[2:]:
        column.no_wrap = True
    for row in rows:
        add(table, *(row[place] for place in kept))
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(table)
    for line in [*_hidden(results, shown), *warnings(results, tasks)]:
        console.print(Text(line), soft_wrap=True)


def warnings(results: Sequence[Result], tasks: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what has to be known to read the numbers, each once."""
    found: list[str] = []
    for result in results:
        if warning := result.detail.get("warning"):
            found.append(f"warning: {result.metric}: {warning}")
    for name, task in tasks.items():
        if task.get("refused"):
            found.append(f"warning: {name}: not asked: {task['refused']}")
            continue
        if task.get("num_skipped"):
            reasons = "; ".join(f"{item['where']}: {item['reason']}" for item in task["skipped"][:2])
            more = ", ..." if task["num_skipped"] > 2 else ""
            found.append(f"warning: {name}: items that were skipped: {task['num_skipped']:,} ({reasons}{more}); tasks.json lists them")
        contamination = task.get("contamination", {})
        if not contamination.get("is_checked"):
            found.append(f"note: {name}: not looked up in any training text: whether the model has seen the items is not known")
        elif contamination.get("seen"):
            found.append(f"warning: {name}: items that stand in the training text: {contamination['seen']:,}; tasks.json lists them")
    return list(dict.fromkeys(found))


def _is_main(result: Result) -> bool:
    """Return whether a result is shown without being asked for."""
    if result.detail.get("level") == "part" or result.task.startswith(("baseline:", "member:")):
        return False
    return result.task != "held_out_text" or result.metric == "bits_per_byte"


def _cells(result: Result, task: Mapping[str, Any]) -> list[str]:
    chance, is_share = result.detail.get("chance"), result.unit.startswith("share ")
    interval = f"{written(result.low, is_share)} - {written(result.high, is_share)}" if result.high > result.low else ""
    is_whole = "/" not in result.task
    seen = result.detail.get("seen", {}).get("n", 0)
    is_checked = task.get("contamination", {}).get("is_checked", False)
    return [
        result.task + ("" if not result.detail.get("warning") else " (!)"),
        result.metric.replace("_", " "),
        written(result.value, is_share),
        interval,
        f"{result.n:,}",
        written(chance, is_share) if isinstance(chance, int | float) else "",
        f"{task['num_skipped']:,}" if task.get("num_skipped") and is_whole else "",
        f"{seen:,}" if is_checked else "",
    ]


def written(value: float, is_share: bool) -> str:
    """Return a number as people read it, shares as percentages."""
    if is_share:
        return f"{value:.1%}"
    return f"{value:.4g}" if abs(value) >= 1000 else f"{value:.3f}"


def _hidden(results: Sequence[Result], shown: Sequence[Result]) -> list[str]:
    count = len(results) - len(shown)
    return [f"{count:,} more results: show them with --all"] if count else []


def _task_of(name: str) -> str:
    return name.partition("/")[0]


def _tasks(path: Path) -> dict[str, Any]:
    file = path / "tasks.json"
    if not file.is_file():
        return {}
    return json.loads(file.read_text(encoding="utf-8"))["tasks"]
