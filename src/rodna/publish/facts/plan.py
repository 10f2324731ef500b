"""The plan: what was decided before training, and why."""

from collections.abc import Callable
from dataclasses import dataclass

from rodna.core.artifact import Artifact
from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.publish.facts.cost import scientific
from rodna.publish.facts.view import Column, Number, Row, get, number, read_json, setting

COLUMNS = (Column("Setting", "nowrap"), Column("Value", "num"), Column("Why", "why"))

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


def plan_facts(plan: Artifact | None) -> PlanFacts | None:
    """Return the plan section, None where there is no plan."""
    values = read_json(plan, "plan.json")
    if not isinstance(values, dict):
        return None
    numbers = [
        Number(label, write(value)) for key, label, write in ESTIMATES if isinstance(value := get(values, "estimates", key), int | float)
    ]
    reasons = [
        Row([reason.get("setting", ""), setting(reason.get("value")), reason.get("reason", "")])
        for reason in values.get("reasons") or []
        if isinstance(reason, dict)
    ]
    return PlanFacts(
        "Worked out from the size of the text and the measured speed of the machine, before training began.", numbers, COLUMNS, reasons
    )
