"""What was measured on text that the model never saw."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.errors import EvaluationError
from rodna.evals.result import Result, read_results
from rodna.publish.charts import Bar, bar_list
from rodna.publish.facts.view import Column, Row, number, plural

HEADLINE = ("held_out_text", "bits_per_byte")
BASELINE = "baseline:"
UNIFORM = "baseline:uniform"
"""Not drawn: it is 8 bits and a little, and would make every other bar short."""
NAMES = {
    "uniform": "guessing", "xz": "xz", "xz_given_train": "xz, training text first", "zstd": "zstd", "zstd_given_train": "zstd, training text first",
    "ngram": "n-gram model",
}  # fmt: skip


@dataclass(frozen=True)
class HeadlineFacts:
    """The first thing seen: one number, its neighbours, what it means."""

    value: str
    interval: str
    n: str
    chart: Markup
    has_intervals: bool
    sentence: str


@dataclass(frozen=True)
class Group:
    """Results of one task."""

    title: str
    note: str
    rows: list[Row]


@dataclass(frozen=True)
class ResultsFacts:
    """Every result there is."""

    lead: str
    columns: tuple[Column, ...]
    groups: list[Group]


def results_of(evaluation: Artifact | None) -> list[Result]:
    """Return an evaluation's results, none where there is no readable evaluation."""
    if evaluation is None:
        return []
    try:
        return read_results(evaluation.path / "results.json")
    except EvaluationError:
        return []


def headline_facts(results: Sequence[Result]) -> HeadlineFacts | None:
    """Return the headline, None where held-out bits per byte was not measured."""
    main = next((result for result in results if (result.task, result.metric) == HEADLINE), None)
    if main is None:
        return None
    baselines = [result for result in results if result.task.startswith(BASELINE) and result.metric == main.metric]
    drawn = sorted((result for result in baselines if result.task != UNIFORM), key=lambda result: result.value)
    bars = [_bar(main, "this model", strong=True), *(_bar(result, *baseline_name(result)) for result in drawn)]
    return HeadlineFacts(
        value=f"{main.value:.2f}",
        interval=f"{main.low:.2f} to {main.high:.2f}" if main.high > main.low else "",
        n=plural(main.n, "document"),
        chart=bar_list(bars, label="Bits per byte of held-out text, shorter is better"),
        has_intervals=any(bar.high > bar.low for bar in bars),
        sentence=sentence(main, drawn, results),
    )


def sentence(main: Result, baselines: Sequence[Result], results: Sequence[Result]) -> str:
    """Say in plain words what the headline number means, whether the news is good or bad.

    Args:
        main: held-out bits per byte.
        baselines: best first.
        results: all, among them the paired differences between the model and each baseline.
    """
    opening = (
        f"To write down text that it has never seen, this model needs {main.value:.2f} bits for each byte. A byte stored as it is takes 8; "
        "the better a model knows the language, the fewer it needs."
    )
    if not baselines:
        return opening
    best = baselines[0]
    name = baseline_name(best)[0]
    paired = next((result for result in results if (result.task, result.metric) == (best.task, "model_minus_baseline")), None)
    low, high = (paired.low, paired.high) if paired else (main.low - best.high, main.high - best.low)
    if high < 0:
        verdict = f"The best simple method tried here, {name}, needs {best.value:.2f}: the model does with {1 - main.value / best.value:.0%} less."
    elif low > 0:
        verdict = f"The best simple method tried here, {name}, needs only {best.value:.2f}: there is more in this text than the model has learned."
    else:
        verdict = f"The best simple method tried here, {name}, needs {best.value:.2f}: too close to call on this much held-out text."
    return f"{opening} {verdict}"


def baseline_name(result: Result) -> tuple[str, str]:
    """Return a short name, and the description that the evaluation gives."""
    key = result.task.removeprefix(BASELINE)
    return NAMES.get(key, key.replace("_", " ")), str(result.detail.get("description", ""))


def _bar(result: Result, label: str, note: str = "", *, strong: bool = False) -> Bar:
    return Bar(label, result.value, f"{result.value:.2f}", result.low, result.high, strong, note)


COLUMNS = (
    Column("Measure"),
    Column("Value", "num"),
    Column("95% interval", "num"),
    Column("Unit", "soft"),
    Column("n", "num"),
    Column("Better", "soft"),
)


def results_facts(results: Sequence[Result]) -> ResultsFacts | None:
    """Return the table of every result, None where there is none."""
    if not results:
        return None
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.task, []).append(result)
    return ResultsFacts(
        "Every number measured on the test split, which nothing looked at before the end of training. An interval says how far the number "
        "would move had other documents been held out; n counts the documents or texts behind it.",
        COLUMNS,
        [_group(task, members) for task, members in groups.items()],
    )


def _group(task: str, members: Sequence[Result]) -> Group:
    family, colon, name = task.partition(":")
    title = f"{_words(family)}: {name}" if colon else _words(family)
    return Group(title, "", [_row(result) for result in members])


def _row(result: Result) -> Row:
    interval = f"{number(result.low)} to {number(result.high)}" if result.high > result.low else "–"
    better = {"lower": "lower", "higher": "higher"}.get(result.direction, "–")
    return Row([_words(result.metric), number(result.value), interval, result.unit, f"{result.n:,}", better])


def _words(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]
