"""A sweep's results as rows: for JSON, CSV and Markdown."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from typing import Any

from rodna.sweep.search import Result, ranked


def rows(results: Sequence[Result], keys: Sequence[str], settings_of: Callable[[Result, str], Any]) -> list[dict[str, Any]]:
    """Return a row for each trial, best first.

    Args:
        results: of the sweep.
        keys: the settings searched.
        settings_of: (result, key) -> value, for trial 0 too.
    """
    return [
        {"place": place, "trial": result.trial, **{key: settings_of(result, key) for key in keys}, "bits_per_byte": result.bits_per_byte,
         "rung": result.rung + 1, "passes": result.facts.get("passes"), "steps": result.facts.get("steps"),
         "parameters": result.facts.get("parameters"), "seconds": round(result.seconds, 1), "note": result.reason or
         ("the project's own settings" if result.trial == 0 else "")}
        for place, result in enumerate(ranked(results), start=1)
    ]  # fmt: skip


def as_csv(table: Sequence[dict[str, Any]]) -> str:
    """Return the rows as comma-separated values."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if value is None else _written(value) for key, value in row.items()} for row in table)
    return text.getvalue()


def as_markdown(table: Sequence[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| " + " | ".join(table[0]) + " |", "|" + "---|" * len(table[0])]
    for row in table:
        cells = (cell(key, value).replace("|", "\\|").replace("\n", " ") for key, value in row.items())
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(key: str, value: Any) -> str:
    """Return a value as people read it."""
    if value is None:
        return ""
    if key == "bits_per_byte":
        return f"{value:.4f}"
    if key in ("steps", "parameters"):
        return f"{value:,}"
    return f"{value:.3g}" if key == "passes" else _written(value)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
