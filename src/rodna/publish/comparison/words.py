"""A comparison in words and numbers as people read them."""

from rodna.evals.compare.types import Comparison, Difference, Estimate, Match
from rodna.publish.facts.results import words_of
from rodna.publish.facts.view import MINUS, number, plural

EN_DASH = "\N{EN DASH}"
APART = "cannot be told apart"


def is_share(match: Match) -> bool:
    """Return whether a number is told in percent."""
    return match.unit.startswith("share ")


def written(match: Match, value: float) -> str:
    """Return a number of a match: a share in percent, anything else with three decimals or, where it is large, fewer."""
    if is_share(match):
        return f"{100 * value:.1f}%"
    return f"{value:.3f}" if abs(value) < 100 else number(value, digits=4)


def with_interval(match: Match, estimate: Estimate, *, between: str = " ") -> str:
    """Return a number with its interval, and what stands between the two."""
    if not estimate.high > estimate.low:
        return written(match, estimate.value)
    ends = (written(match, end).rstrip("%") for end in (estimate.low, estimate.high))
    return f"{written(match, estimate.value)}{between}({EN_DASH.join(ends)})"


def signed(match: Match, value: float) -> str:
    """Return a difference with its sign; one of shares in percentage points, without the word."""
    scaled, decimals = (100 * value, 1) if is_share(match) else (value, 3 if abs(value) < 100 else 0)
    text = f"{abs(scaled):,.{decimals}f}"
    is_zero = not float(text.replace(",", ""))
    return text if is_zero else (MINUS if scaled < 0 else "+") + text


def signed_with_unit(match: Match, value: float) -> str:
    """Return a difference with its sign, and the word "points" where it is one of shares."""
    return signed(match, value) + (" points" if is_share(match) else "")


def unit_of(match: Match) -> str:
    """Return what a difference is counted in."""
    return "percentage points" if is_share(match) else match.unit


def amount_of(match: Match, value: float) -> str:
    """Return by how much, without a sign."""
    text = signed(match, abs(value)).lstrip("+")
    return f"{text} {'points' if is_share(match) else match.unit}"


def p_words(p: float) -> str:
    """Return a p value as it is written in papers."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def measure_of(match: Match) -> str:
    """Return the name of a measure, and an arrow that says which way is better."""
    return words_of(match.metric) + {"lower": "\N{NO-BREAK SPACE}↓", "higher": "\N{NO-BREAK SPACE}↑"}.get(match.direction, "")


def arrow(match: Match) -> str:
    """Return which way is better."""
    return {"lower": "lower is better", "higher": "higher is better"}.get(match.direction, "neither way is better")


def sentence(comparison: Comparison, match: Match, difference: Difference) -> str:
    """Return one verdict in words.

    Args:
        comparison: whose baseline the difference is to.
        match: the task and metric.
        difference: of another model.
    """
    other, base = difference.name, comparison.baseline
    ends = f"{signed(match, difference.low)} to {signed(match, difference.high)}"
    over = plural(match.n, "item") if match.how == "paired" else "two intervals, without pairing"
    if match.how == "paired" and match.num_units != match.n:
        over += f" in {plural(match.num_units, 'group')}"
    p = f"p {p_words(difference.p)}"
    if comparison.num_tests > 1:
        p += f", corrected {p_words(difference.p_holm)}"
    evidence = f"95% interval {ends}; {p}; {over}"
    if difference.verdict == APART:
        value = f"the difference is {signed(match, difference.value)} {'points' if is_share(match) else match.unit}"
        alone = ""
        if difference.p < 0.05:
            alone = "; by itself it would count, but one in twenty comparisons of equal models does"
        return f"{other} and {base} cannot be told apart: {value} ({evidence}){alone}."
    return f"{other} is {difference.verdict} than {base} by {amount_of(match, difference.value)} ({evidence})."


def verdict_line(comparison: Comparison, match: Match, difference: Difference) -> str:
    """Return what was measured, and the verdict."""
    return f"{match.task}, {words_of(match.metric).lower()}: {sentence(comparison, match, difference)}"


def summary(comparison: Comparison, name: str) -> str:
    """Return how often another model was better, worse, or not to be told apart.

    Args:
        comparison: all of it.
        name: of the other model.
    """
    verdicts = [item.verdict for match in comparison.matches for item in match.differences if item.name == name]
    if not verdicts:
        return f"{name} and {comparison.baseline}: nothing can be compared."
    better, worse = verdicts.count("better"), verdicts.count("worse")
    other = verdicts.count("higher") + verdicts.count("lower")
    parts = [f"better in {better}", f"worse in {worse}"]
    if other:
        parts.append(f"different in {other} where neither way is better")
    count = f"{len(verdicts)} comparisons" if len(verdicts) > 1 else "the one comparison"
    return f"{name}, beside {comparison.baseline}: of {count} {', '.join(parts)}; in {verdicts.count(APART)} the two cannot be told apart."
