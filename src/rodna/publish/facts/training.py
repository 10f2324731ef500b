"""How training went: loss, held-out bits per byte and speed over the tokens seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.log import read_json_lines
from rodna.core.text import human_count
from rodna.publish.charts import Point, Series, axis, finite, line_chart, thin
from rodna.publish.facts.view import number, read_json

X = "tokens_seen"


@dataclass(frozen=True)
class Chart:
    """A drawn chart; `wide` ones take the whole row."""

    svg: Markup
    wide: bool = False


@dataclass(frozen=True)
class TrainingFacts:
    """The curves."""

    lead: str
    charts: list[Chart]


def training_facts(model: Artifact | None, *, points: int) -> TrainingFacts | None:
    """Return the training curves, None where no metrics were kept."""
    records = read_json_lines(model.path / "metrics.jsonl") if model is not None else []
    loss, held_out, speed = (curve(records, key) for key in ("loss", "validation_bits_per_byte", "tokens_per_second"))
    charts = []
    if len(loss) > 1:
        charts.append(Chart(_chart([Series("training loss", "first", thin(loss, points))], "Training loss", "nats per token")))
    if len(held_out) > 1:
        series = [Series("validation", "second", thin(held_out, points), marks=len(held_out) <= 60)]
        charts.append(Chart(_chart(series, "Validation", "bits per byte of the validation split")))
    if len(speed) > 1:
        charts.append(
            Chart(
                _chart([Series("speed", "third", thin(speed, points))], "Speed of training", "tokens per second", from_zero=True), wide=True
            )
        )
    if not charts:
        return None
    return TrainingFacts(_training_lead(read_json(model, "training.json"), held_out), charts)


def curve(records: Sequence[Mapping[str, Any]], key: str) -> list[Point]:
    """Return (tokens seen, value) of every record that has both; of a step written twice, after a resumed run, the later one."""
    points = {float(record[X]): float(record[key]) for record in records if _is_number(record.get(X)) and _is_number(record.get(key))}
    return finite(sorted(points.items()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _chart(series: Sequence[Series], label: str, unit: str, *, from_zero: bool = False) -> Markup:
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    x_axis = axis([0, *xs], human_count, count=5, tight=True)
    low, high = min(ys), max(ys)
    y_axis = axis(ys, human_count if high >= 1000 else lambda value: f"{value:g}", count=5, from_zero=from_zero)
    return line_chart(
        series,
        title=label,
        label=f"{label}: from {number(ys[0])} to {number(ys[-1])}, between {number(low)} and {number(high)}",
        x_axis=x_axis,
        y_axis=y_axis,
        x_label="tokens seen",
        y_label=unit,
    )


def _training_lead(summary: Any, held_out: Sequence[Point]) -> str:
    text = "Training minimises the loss on the train split; the validation split is only looked at."
    if held_out:
        tokens, best = min(held_out, key=lambda point: point[1])
        text += f" The lowest validation figure, {best:.3f} bits per byte, came after {human_count(tokens)} tokens"
        text += ", at the very end." if tokens == held_out[-1][0] else "; the checkpoint of that moment is the model reported here."
    return text
