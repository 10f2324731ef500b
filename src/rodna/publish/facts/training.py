"""How training went: loss, held-out bits per byte and speed over the tokens seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.log import read_json_lines
from rodna.core.text import human_count
from rodna.publish.charts import Point, Series, axis, finite, line_chart, thin
from rodna.publish.facts.view import amount, get, number, read_json

X = "tokens"
MOST_MARKS = 60
"""More points than this are drawn as a line alone."""


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
    keys = ("loss", "validation_loss", "validation_bits_per_byte", "tokens_per_second")
    loss, validation_loss, held_out, speed = (thin(curve(records, key), points) for key in keys)
    text, divergence = (thin(curve(records, key), points) for key in ("cross_entropy", "divergence"))
    # Of a student the loss is a weighted sum: what compares with the validation loss is its cross-entropy.
    losses = [Series("training", "first", text or loss), Series("validation", "second", validation_loss, marks=True)]
    charts = [
        _chart([series for series in losses if len(series.points) > 1], "Cross-entropy" if text else "Loss", "nats per token"),
        _chart([Series("validation", "second", held_out, marks=True)], "Validation", "bits per byte of the validation split"),
        _chart([Series("divergence", "third", divergence)], "Teachers", "nats per token of divergence from the teachers", wide=True),
        _chart([Series("speed", "third", speed)], "Speed", "tokens per second", from_zero=True, wide=True),
    ]
    drawn = [chart for chart in charts if chart is not None]
    if not drawn:
        return None
    return TrainingFacts(_lead(read_json(model, "training.json"), held_out), drawn)


def curve(records: Sequence[Mapping[str, Any]], key: str) -> list[Point]:
    """Return (tokens seen, value) of every record that has both; of a step written twice, after a resumed run, the later one."""
    points = {float(record[X]): float(record[key]) for record in records if _is_number(record.get(X)) and _is_number(record.get(key))}
    return finite(sorted(points.items()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _chart(series: Sequence[Series], title: str, unit: str, *, from_zero: bool = False, wide: bool = False) -> Chart | None:
    """Draw lines over the tokens seen; None where no line has two points."""
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    if len(xs) < 2:
        return None
    series = [replace(line, marks=line.marks and len(line.points) <= MOST_MARKS) for line in series]
    x_axis = axis([0, *xs], human_count, count=5, tight=True)
    y_axis = axis(ys, human_count if max(ys) >= 1000 else lambda value: f"{value:g}", count=5, from_zero=from_zero)
    said = "; ".join(f"{line.name} from {number(line.points[0][1])} to {number(line.points[-1][1])}" for line in series)
    svg = line_chart(series, title=title, label=f"{title}: {said}", x_axis=x_axis, y_axis=y_axis, x_label="tokens seen", y_label=unit)
    return Chart(svg, wide)


def _lead(summary: Any, held_out: Sequence[Point]) -> str:
    text = "Training lowers the loss on the train split; the validation split is only looked at."
    best, step, last = (amount(get(summary, key)) for key in ("best_validation_bits_per_byte", "best_step", "steps"))
    if not held_out or not best:
        return text
    text += f" The lowest validation figure, {best:.3f} bits per byte, came at step {step:,.0f} of {last:,.0f}"
    text += ", the very last." if step == last else ": that checkpoint is the model reported here."
    return text + (" Training stopped early, since it got no better." if get(summary, "stopped_early") else "")
