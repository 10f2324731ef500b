"""What the model answered to the user's own tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rodna.core.artifact import Artifact
from rodna.evals.result import Result
from rodna.publish.facts.results import interval_of, words_of, written
from rodna.publish.facts.view import Column, Row, amount, get, plural, read_json

COLUMNS = (
    Column("What"), Column("Measure"), Column("Value", "num"), Column("95% interval", "num"), Column("Chance", "num"),
    Column("Unseen items only", "num"), Column("n", "num"),
)  # fmt: skip
NUM_REASONS = 3


@dataclass(frozen=True)
class OneTask:
    """One task: its numbers, and what has to be known to read them."""

    title: str
    columns: tuple[Column, ...]
    rows: list[Row]
    warnings: list[str]
    note: str


@dataclass(frozen=True)
class TasksFacts:
    """Every task there is."""

    lead: str
    tasks: list[OneTask]


def task_names(evaluation: Artifact | None) -> set[str]:
    """Return the names of an evaluation's tasks."""
    tasks = get(read_json(evaluation, "tasks.json"), "tasks", default={})
    return {str(name) for name in tasks} if isinstance(tasks, Mapping) else set()


def is_of(result: Result, names: set[str]) -> bool:
    """Return whether a result is one of these tasks'."""
    return result.task.partition("/")[0] in names


def tasks_facts(evaluation: Artifact | None, results: Sequence[Result]) -> TasksFacts | None:
    """Return every task with its whole and its groups; their parts, such as each of 67 paradigms, stay in results.json.

    Args:
        evaluation: with its `tasks.json`.
        results: all of it.
    """
    records = get(read_json(evaluation, "tasks.json"), "tasks", default={})
    tasks = [
        _task(name, record if isinstance(record, Mapping) else {}, own)
        for name, record in (records.items() if isinstance(records, Mapping) else ())
        if (own := [result for result in results if is_of(result, {name})])
    ]
    if not tasks:
        return None
    lead = (
        "Items from files of the project's own. The interval says how far a number might move had other items been asked; chance is what "
        "guessing would reach."
    )
    return TasksFacts(lead, tasks)


def _task(name: str, record: Mapping[str, Any], results: Sequence[Result]) -> OneTask:
    shown = [result for result in results if result.detail.get("level") != "part"]
    hidden = len(results) - len(shown)
    rows = [_cells(name, result) for result in shown]
    # A column that says nothing of any row only makes the page wide.
    kept = [place for place, column in enumerate(COLUMNS) if column.title == "What" or any(row[place] != "–" for row in rows)]
    note = f"{words_of(str(record.get('kind', '')))}, {plural(int(amount(record.get('num_items'))), 'item')}."
    if hidden:
        note += f" {plural(hidden, 'more result')} in results.json."
    return OneTask(
        name, tuple(COLUMNS[place] for place in kept), [Row([row[place] for place in kept]) for row in rows], _warnings(record, shown), note
    )


def _cells(name: str, result: Result) -> list[str]:
    chance, unseen = result.detail.get("chance"), result.detail.get("unseen")
    part = result.task.removeprefix(name).removeprefix("/")
    arrow = {"lower": ", lower is better", "higher": ", higher is better"}.get(result.direction, "")
    without = f"{written(result, get(unseen, 'value'))} of {get(unseen, 'n', default=0):,}" if isinstance(unseen, Mapping) else "–"
    return [
        part or "All",
        words_of(result.metric) + arrow,
        written(result, result.value),
        interval_of(result),
        written(result, chance) if isinstance(chance, int | float) else "–",
        without,
        f"{result.n:,}",
    ]


def _warnings(record: Mapping[str, Any], results: Sequence[Result]) -> list[str]:
    found = [f"{words_of(result.metric)}: {result.detail['warning']}." for result in results if result.detail.get("warning")]
    skipped = int(amount(record.get("num_skipped")))
    if skipped:
        listed = record.get("skipped")
        reasons = [f"{get(item, 'where')}: {get(item, 'reason')}" for item in (listed if isinstance(listed, list) else [])[:NUM_REASONS]]
        found.append(f"{plural(skipped, 'item')} could not be used ({'; '.join(reasons)}{'; …' if skipped > len(reasons) else ''}).")
    seen = int(amount(get(record, "contamination", "seen")))
    if seen:
        found.append(f"{plural(seen, 'item')} stood in the training text: read the number of the unseen ones.")
    elif not get(record, "contamination", "is_checked", default=False):
        found.append("Whether the model has seen the items was not looked up.")
    return list(dict.fromkeys(found))
