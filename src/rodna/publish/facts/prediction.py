"""The prediction made before training, beside what training and the evaluation found."""

from collections.abc import Sequence
from dataclasses import dataclass

from rodna.core.artifact import Artifact
from rodna.evals.result import Result
from rodna.publish.facts.results import HEADLINE
from rodna.publish.facts.view import MINUS, Column, Row, amount, get, read_json

COLUMNS = (Column("Text"), Column("Predicted", "num"), Column("Interval", "num"), Column("Measured", "num"), Column("Error", "num"))
SOURCES = {
    "pilots": "pilot runs on this text",
    "ngram": "an n-gram model of this text, and runs on other texts",
    "recorded": "runs on other texts",
}
OTHER_LENGTH = 0.02
"""A training that saw more than this share of tokens more or less than planned is not the one that was predicted."""


@dataclass(frozen=True)
class PredictionFacts:
    """The prediction section."""

    lead: str
    columns: tuple[Column, ...]
    rows: list[Row]


def prediction_facts(plan: Artifact | None, model: Artifact | None, results: Sequence[Result]) -> PredictionFacts | None:
    """Return the prediction section, None where nothing was predicted or nothing was trained.

    The validation text is what the prediction is about: it was scored after the pilots, too. The test text has other documents, so its
    figure also differs by what these are.

    A student is predicted from its teachers' plan, by what students of ours were better than their teachers.

    Args:
        plan: with what it expected; of a student's teachers, where it has any.
        model: with the figures of its training, and a student's own expectation.
        results: of the evaluation.
    """
    values, summary, taught = read_json(plan, "plan.json"), read_json(model, "training.json"), read_json(model, "distillation.json")
    promised = get(taught if isinstance(taught, dict) else values, "expected")
    expected, low, high = (amount(get(promised, name)) for name in ("bits_per_byte", "low", "high"))
    validation = amount(get(summary, "best_validation_bits_per_byte"))
    if not (expected and validation):
        return None
    test = next((result.value for result in results if (result.task, result.metric) == HEADLINE), 0.0)
    interval = f"{low:.3f} to {high:.3f}"
    measured = [("validation", validation), *([("test", test)] if test else [])]
    rows = [Row([name, f"{expected:.3f}", interval, f"{value:.3f}", _percent(expected, value)]) for name, value in measured]
    source = SOURCES.get(str(get(values, "expected", "source")), "the plan")
    if isinstance(taught, dict):
        source += ", less what students of ours were better than one of their teachers,"
    lead = (
        f"Before training, {source} promised {expected:.3f} bits per byte of the validation text, with 95% confidence {interval}. "
        f"{_verdict(expected, low, high, validation)}"
    )
    planned, seen = amount(get(values, "estimates", "tokens_seen")), amount(get(summary, "tokens_seen"))
    if not taught and planned and seen and abs(seen / planned - 1) > OTHER_LENGTH:
        lead += f" But training saw {seen:,.0f} tokens, not the {planned:,.0f} that were planned: it is not the run that was predicted."
    return PredictionFacts(lead, COLUMNS, rows)


def _verdict(expected: float, low: float, high: float, measured: float) -> str:
    """Say plainly whether the prediction held."""
    off = f"{abs(expected / measured - 1):.1%}"
    if low <= measured <= high:
        return f"It came out at {measured:.3f}: the prediction held, and was {off} off."
    side = "worse" if measured > high else "better"
    return f"It came out at {measured:.3f}: the prediction failed. It was {off} off, and the model is {side} than the interval allows."


def _percent(expected: float, measured: float) -> str:
    """Return how much too high the prediction was, in percent of what was measured."""
    error = 100 * (expected / measured - 1)
    return f"{'+' if error >= 0 else MINUS}{abs(error):.1f}%"
