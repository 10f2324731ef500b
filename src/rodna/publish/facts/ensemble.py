"""The ensemble and the student: what averaging gains, and how much of that one released model keeps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.text import human_count, human_seconds
from rodna.publish.charts import Bar, bar_list
from rodna.publish.facts.view import Column, Number, Row, amount, get, number, plural, read_json, share

COLUMNS = (
    Column("Model"),
    Column("Bits per byte", "num"),
    Column("Parameters", "num"),
    Column("Shape"),
    Column("Dropout", "num"),
    Column("Seed", "num"),
    Column("Order", "num"),
    Column("Passes", "num"),
    Column("Time", "num"),
)
LOSSES = {"scaled": "the divergence a mean per token", "babyllama": "as BabyLlama published it, the divergence times the context length"}


@dataclass(frozen=True)
class EnsembleFacts:
    """The section about ensemble and student."""

    lead: str
    numbers: list[Number]
    bars: Markup | None
    columns: tuple[Column, ...]
    rows: list[Row]
    note: str


def ensemble_facts(ensemble: Artifact | None, model: Artifact | None) -> EnsembleFacts | None:
    """Return the section, None where the model has no teachers."""
    members, student = read_json(ensemble, "ensemble.json"), read_json(model, "distillation.json")
    members = members if isinstance(members, dict) else None
    student = student if isinstance(student, dict) else None
    if members is None and student is None:
        return None
    bars = list(_bars(members, student))
    return EnsembleFacts(
        " ".join(_sentences(members, student)),
        list(_numbers(members, student)),
        bar_list(bars, label="Bits per byte of the validation split, shorter is better") if bars else None,
        COLUMNS,
        list(_rows(members, student, read_json(model, "training.json"))),
        " ".join(_notes(members, student)),
    )


def _sentences(members: Mapping[str, Any] | None, student: Mapping[str, Any] | None) -> Iterator[str]:
    gain = get(members, "gain")
    if members is not None:
        number = len(get(members, "members") or [])
        yield f"{plural(number, 'model')} {'was' if number == 1 else 'were'} trained on the same text" + (
            " and their probabilities averaged." if number > 1 else "."
        )
        if order := get(members, "counted", "order"):
            weight, bits = get(members, "counted", "weight"), get(members, "counted", "bits_per_byte")
            alone = f": alone they need {bits:.3f} bits per byte" if isinstance(bits, float) else ""
            yield f"Counted n-grams of up to {order} tokens have {share(weight, 1)} of the probability{alone}."
        if isinstance(gain, float):
            verdict = f"{abs(gain):.3f} {'fewer' if gain > 0 else 'more'} bits per byte"
            yield f"Together they need {verdict} of validation text than one of them does on average."
    if student is None:
        return
    teachers = plural(len(get(student, "teachers") or []), "teacher")
    yield f"The model of this report is a student of {teachers}: it learned from the text and from them."
    difference, kept = get(student, "difference"), get(student, "share_of_gain")
    if isinstance(difference, float):
        alone = f"{abs(difference):.3f} bits per byte {'fewer' if difference > 0 else 'more'}"
        yield f"It needs {alone} than the same model trained alone for as many steps" + (
            f": {share(kept, 1)} of what its teachers together are better." if isinstance(kept, float) and kept > 0 else "."
        )


def _numbers(members: Mapping[str, Any] | None, student: Mapping[str, Any] | None) -> Iterator[Number]:
    for values, key, label in (
        (members, "gain", "bits per byte gained by averaging"),
        (student, "student_bits_per_byte", "bits per byte of the student"),
        (student, "difference", "bits per byte gained by being taught"),
    ):
        if isinstance(value := get(values, key), float):
            yield Number(label, f"{value:.3f}")
    if isinstance(kept := get(student, "share_of_gain"), float):
        yield Number("of its teachers' gain kept", share(kept, 1) if kept > 0 else "none")


def _bars(members: Mapping[str, Any] | None, student: Mapping[str, Any] | None) -> Iterator[Bar]:
    together = get(members, "bits_per_byte") or get(student, "teachers_bits_per_byte")
    found = (
        ("one member, on average", get(members, "mean_bits_per_byte"), False),
        ("all teachers together", together, False),
        ("the student", get(student, "student_bits_per_byte"), True),
        ("the same alone", get(student, "alone_bits_per_byte"), False),
    )
    for label, value, strong in found:
        if isinstance(value, float):
            yield Bar(label, value, f"{value:.3f}", value, value, strong)


def _rows(members: Mapping[str, Any] | None, student: Mapping[str, Any] | None, training: Any) -> Iterator[Row]:
    trained = get(members, "members") or []
    for row in trained:
        shape = f"{plural(row.get('num_layers', 0), 'layer')} of {row.get('width')}, {row.get('family') or 'no standard family'}"
        differences = [shape, number(row.get("dropout")), str(row.get("seed", "")), str(row.get("order_seed", ""))]
        yield _row(str(row.get("name", "")), row, differences)
    for row in (get(student, "teachers") or [])[len(trained) :]:
        yield _row(f"teacher {row.get('path', '')}", row)
    if student is None:
        return
    size = {"parameters": get(training, "parameters"), "epochs": get(training, "epochs")}
    yield _row(
        "the student", size | {"bits_per_byte": get(student, "student_bits_per_byte"), "seconds": get(student, "seconds")}, total=True
    )
    if isinstance(alone := get(student, "alone_bits_per_byte"), float):
        yield _row("the same alone", size | {"bits_per_byte": alone, "seconds": get(student, "alone_seconds")})


def _row(name: str, values: Mapping[str, Any], differences: Sequence[str] = ("–",) * 4, *, total: bool = False) -> Row:
    seconds = amount(values.get("seconds"))
    return Row(
        [
            name,
            f"{bits:.3f}" if isinstance(bits := values.get("bits_per_byte"), float) else "–",
            human_count(amount(values.get("parameters"))),
            *differences,
            number(values.get("epochs")),
            human_seconds(seconds) if seconds else "–",
        ],
        total=total,
    )


def _notes(members: Mapping[str, Any] | None, student: Mapping[str, Any] | None) -> Iterator[str]:
    yield "Measured on the whole validation split, with overlapping windows."
    if members is not None:
        yield "The plan is that of one member."
    if student is None:
        return
    alpha, temperature, loss = (get(student, key) for key in ("alpha", "temperature", "loss"))
    yield (
        f"Learned: {share(amount(alpha), 1)} the text, the rest the divergence from the teachers' averaged {get(student, 'average')} at "
        f"temperature {number(temperature)}, {LOSSES.get(str(loss), '')}."
    )
    if get(student, "average") == "logits":
        yield "All teachers together are measured with their probabilities averaged, whatever they taught with."
    cache = get(student, "cache")
    if isinstance(cache, dict):
        yield (
            f"The teachers' {cache.get('top_k')} likeliest tokens were kept on disk: {share(amount(cache.get('mass_mean')), 1)} of their "
            f"probability at temperature {number(temperature)} on average."
        )
