"""What it cost: time, arithmetic, energy, memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.text import human_bytes, human_seconds
from rodna.publish.charts import Bar, bar_list
from rodna.publish.facts.view import Number, amount, get, read_json, share

STAGES = {"corpus": "text", "tokenizer": "tokenizer", "plan": "plan", "tokens": "tokens", "model": "training", "evaluation": "evaluation"}


@dataclass(frozen=True)
class CostFacts:
    """The section about cost."""

    lead: str
    numbers: list[Number]
    stages: Markup | None
    assumption: str


def cost_facts(artifacts: Mapping[str, Artifact]) -> CostFacts | None:
    """Return what the whole job cost, None where there is no artifact."""
    seconds = {STAGES[role]: artifact.manifest.seconds for role, artifact in artifacts.items() if role in STAGES}
    if not seconds:
        return None
    summary, plan = read_json(artifacts.get("model"), "training.json"), read_json(artifacts.get("plan"), "plan.json")
    training = amount(get(summary, "seconds")) or seconds.get("training", 0.0)
    total = sum(seconds.values()) - seconds.get("training", 0.0) + training
    if "training" in seconds:
        seconds["training"] = training
    apart = {
        "members": amount(get(read_json(artifacts.get("ensemble"), "ensemble.json"), "seconds")),
        "comparison": amount(get(read_json(artifacts.get("model"), "distillation.json"), "alone_seconds")),
    }
    seconds |= {name: value for name, value in apart.items() if value}
    total += sum(apart.values())
    trained_on, planned_for = _machines(summary, plan)
    if planned_for and not get(summary, "peak_flops"):
        # A share of another machine's peak says nothing.
        summary = {**summary, "mfu": None}
    watts = amount(get(trained_on, "watts"))
    numbers = [Number("for all stages", human_seconds(total)), *_training_numbers(summary)]
    if watts:
        numbers.append(Number("of electricity, estimated", energy(total, watts)))
    return CostFacts(_lead(trained_on, planned_for), numbers, _stages(seconds), _assumption(watts, summary))


def energy(seconds: float, watts: float) -> str:
    """Return watt-hours, or kilowatt-hours where there are many."""
    hours = seconds * watts / 3600
    return f"{hours / 1000:.3g} kWh" if hours >= 1000 else f"{hours:.3g} Wh"


def scientific(value: float) -> str:
    """Return a number as people write large ones: 3.2 × 10¹⁷."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _training_numbers(summary: Any) -> list[Number]:
    shown: list[Number] = []
    if flops := amount(get(summary, "flops")):
        shown.append(Number("FLOPs of training", scientific(flops)))
    if mfu := amount(get(summary, "mfu")):
        shown.append(Number("of the machine's peak used (MFU)", share(mfu, 1)))
    if speed := amount(get(summary, "tokens_per_second")):
        shown.append(Number("tokens per second", f"{speed:,.0f}"))
    if memory := amount(get(summary, "peak_memory_bytes")):
        shown.append(Number("peak memory", human_bytes(memory)))
    return shown


def _machines(summary: Any, plan: Any) -> tuple[Mapping[str, Any], str]:
    """Return the machine that trained, and the name of the one that was planned for where that is another.

    Runs whose summary has only the name of their machine are told by the plan's, if it is the same; of another, nothing else is known.
    """
    planned = {key: get(plan, "machine", key) for key in ("name", "cores", "device", "watts")}
    name = get(summary, "device")
    if not name or (name == planned["name"] and get(plan, "machine", "at_hand") is not False):
        return planned, ""
    trained = {"name": name, "cores": get(summary, "cores"), "device": get(summary, "device_kind"), "watts": get(summary, "watts")}
    return trained, str(planned["name"] or "")


def _lead(machine: Mapping[str, Any], planned_for: str) -> str:
    name, cores = machine["name"], machine["cores"]
    if not name:
        return "Measured while the stages ran."
    lead = f"Measured on {name}, {cores} cores." if machine["device"] == "cpu" else f"Measured on {name}."
    return (
        f"{lead} The plan was made for another machine, {planned_for}: its hours, energy and money are of that one."
        if planned_for
        else lead
    )


def _assumption(watts: float, summary: Any) -> str:
    parts: list[str] = []
    if watts:
        parts.append(
            f"Electricity: {watts:.0f} W assumed while the stages ran. Nothing measured the power; a meter at the wall knows better."
        )
    if amount(get(summary, "mfu")):
        parts.append("MFU is the arithmetic that the model needs, divided by what the machine's matrix products could do in the same time.")
    return " ".join(parts)


def _stages(seconds: Mapping[str, float]) -> Markup:
    bars = [Bar(role, value, human_seconds(value), value, value, role == "training") for role, value in seconds.items()]
    return bar_list(bars, label="Time by stage")
