"""The plan: what was decided before training, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.publish.facts.cost import scientific
from rodna.publish.facts.view import Column, Number, Row, amount, get, number, read_json, setting
from rodna.publish.isoflop import budget_rows, isoflop_figure

COLUMNS = (Column("Setting", "nowrap"), Column("Value", "num"), Column("Why", "why"))
BUDGETS = (
    Column("FLOPs"), Column("Time", "num"), Column("Best size", "num"), Column("Tokens", "num"), Column("Passes", "num"),
    Column("Bits per byte", "num"), Column("Text ends first"),
)  # fmt: skip

ESTIMATES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("parameters", "parameters", human_count),
    ("tokens_seen", "tokens to see", human_count),
    ("epochs", "passes over the text", number),
    ("seconds", "expected time", human_seconds),
    ("flops", "expected FLOPs", scientific),
    ("memory_bytes", "expected peak memory", human_bytes),
)


@dataclass(frozen=True)
class PlanFacts:
    """The plan section."""

    lead: str
    numbers: list[Number]
    columns: tuple[Column, ...]
    reasons: list[Row]
    figure: Markup | None
    budget_columns: tuple[Column, ...]
    budgets: list[Row]


def plan_facts(plan: Artifact | None, *, taught: bool = False) -> PlanFacts | None:
    """Return the plan section, None where there is no plan.

    Args:
        plan: of the model, or of one of its teachers.
        taught: the model has teachers: that an ensemble would do better is no news then.
    """
    values = read_json(plan, "plan.json")
    if not isinstance(values, dict):
        return None
    numbers = [
        Number(label, write(value)) for key, label, write in ESTIMATES if isinstance(value := get(values, "estimates", key), int | float)
    ]
    reasons = [
        Row([reason.get("setting", ""), setting(reason.get("value")), reason.get("reason", "")])
        for reason in values.get("reasons") or []
        if isinstance(reason, dict) and not (taught and reason.get("setting") == "ensemble")
    ]
    expected = get(values, "expected", "bits_per_byte")
    if isinstance(expected, int | float):
        low, high = (number(get(values, "expected", end)) for end in ("low", "high"))
        numbers.insert(0, Number(f"bits per byte expected, {low} to {high}", number(expected)))
    curves = get(values, "isoflop") or {}
    budgets = budget_rows(curves, train_tokens=amount(get(values, "estimates", "train_tokens")) or 1.0)
    return PlanFacts(
        _lead(values), numbers, COLUMNS, reasons, isoflop_figure(curves, unit="bits per byte"), BUDGETS, [Row(row) for row in budgets]
    )


def _lead(values: dict[str, Any]) -> str:
    if get(values, "machine", "at_hand", default=True):
        return "Worked out from the size of the text and the measured speed of the machine, before training began."
    return f"Worked out from the size of the text and the data sheet of the {get(values, 'machine', 'name')}, before training began."
