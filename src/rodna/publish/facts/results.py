"""What was measured on text that the model never saw."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.errors import EvaluationError
from rodna.evals.result import Result, read_results
from rodna.publish.charts import Bar, bar_list
from rodna.publish.facts.view import Column, Row, amount, number, plural, share

HEADLINE = ("held_out_text", "bits_per_byte")
WITH_COUNTS = ("with_counts", "bits_per_byte")
BASELINE = "baseline:"
UNIFORM = "baseline:uniform"
"""Not drawn: it is 8 bits and a little, and would make every other bar short."""
NAMES = {
    "uniform": "guessing",
    "xz": "xz",
    "xz_given_train": "xz given the training text",
    "zstd": "zstd",
    "zstd_given_train": "zstd given the training text",
    "ngram": "n\N{NON-BREAKING HYPHEN}gram model",
}
TITLES = {"held_out_text": "Held-out text", "with_counts": "With counted n-grams beside the model",
          "counted": "Counted n-grams alone", "source": "Held-out text by source", "baseline": "Simple methods on the same text",
          "generation": "Text written by the model"}  # fmt: skip


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
    """Results of one kind of task."""

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: list[Row]


@dataclass(frozen=True)
class ResultsFacts:
    """Every result there is."""

    lead: str
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
    together = _together(results)
    own = [_bar(together, "with counts beside it", strong=True)] if together else []
    bars = [*own, _bar(main, "this model", strong=True), *(_bar(result, baseline_name(result)[0]) for result in drawn)]
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
    if together := _together(results):
        opening += f" With the n-grams of its training text counted beside it, as rodna writes with it, {together.value:.2f} are enough."
    if not baselines:
        return opening
    best = baselines[0]
    tried = f"The best of the simple methods tried ({baseline_name(best)[0]})"
    paired = next((result for result in results if (result.task, result.metric) == (best.task, "model_minus_baseline")), None)
    low, high = (paired.low, paired.high) if paired else (main.low - best.high, main.high - best.low)
    if high < 0:
        verdict = f"{tried} needs {best.value:.2f}: the model does with {1 - main.value / best.value:.0%} less."
    elif low > 0:
        verdict = f"{tried} needs only {best.value:.2f}: there is more to learn in this text than the model has learned."
    else:
        verdict = f"{tried} needs {best.value:.2f}: too close to call on this much held-out text."
    return f"{opening} {verdict}"


def _together(results: Sequence[Result]) -> Result | None:
    return next((result for result in results if (result.task, result.metric) == WITH_COUNTS), None)


def baseline_name(result: Result) -> tuple[str, str]:
    """Return a short name, and the description that the evaluation gives."""
    key = result.task.removeprefix(BASELINE)
    return NAMES.get(key, key.replace("_", " ")), str(result.detail.get("description", ""))


def _bar(result: Result, label: str, *, strong: bool = False) -> Bar:
    return Bar(label, result.value, f"{result.value:.2f}", result.low, result.high, strong)


def results_facts(results: Sequence[Result]) -> ResultsFacts | None:
    """Return the table of every result, None where there is none."""
    if not results:
        return None
    families: dict[str, list[Result]] = {}
    for result in results:
        families.setdefault(result.task.partition(":")[0], []).append(result)
    return ResultsFacts(
        "Measured on the test split, which nothing looks at before the end of training. The interval says how far a number might "
        "move had other documents been held out; n counts the documents or texts behind it.",
        [_group(family, members) for family, members in families.items()],
    )


def _group(family: str, members: Sequence[Result]) -> Group:
    title = TITLES.get(family, words_of(family))
    if family == "baseline":
        return _baselines(title, members)
    if any("reference" in result.detail for result in members):
        columns = (*PLAIN[:2], Column("People", "num"), *PLAIN[2:])
        rows = [Row([*_cells(result)[:2], written(result, result.detail.get("reference")), *_cells(result)[2:]]) for result in members]
        return Group(title, "People: the same measure of held-out text that people wrote, of the same length.", columns, rows)
    return Group(title, "", PLAIN, [Row(_cells(result)) for result in members])


def _cells(result: Result) -> list[str]:
    name = result.task.partition(":")[2]
    label = f"{name}: {result.metric.replace('_', ' ')}" if name else words_of(result.metric)
    arrow = {"lower": ", lower is better", "higher": ", higher is better"}.get(result.direction, "")
    warning = f"; {result.detail['warning']}" if result.detail.get("warning") else ""
    return [label, written(result, result.value), interval_of(result), f"{result.n:,}", f"{result.unit}{arrow}{warning}"]


def _baselines(title: str, members: Sequence[Result]) -> Group:
    """Return one row a baseline: its number, and what the model needs more or less."""
    differences = {result.task: result for result in members if result.metric == "model_minus_baseline"}
    rows: list[Row] = []
    for result in sorted(members, key=lambda result: result.value):
        if result.metric == "model_minus_baseline":
            continue
        paired = differences.get(result.task)
        difference = [number(paired.value), interval_of(paired)] if paired else ["–", "–"]
        name, description = baseline_name(result)
        rows.append(Row([name, number(result.value), interval_of(result), *difference, f"{result.n:,}", description]))
    note = "In bits per byte. Model: what the model needs more, or with a minus less, and the interval of that over the same documents."
    return Group(title, note, BASELINES, rows)


def interval_of(result: Result) -> str:
    """Return the ends of the interval, a dash where there is none."""
    return f"{written(result, result.low)} to {written(result, result.high)}" if result.high > result.low else "–"


def written(result: Result, value: object) -> str:
    """Return a value of a result in its unit: shares as percentages, counts as whole numbers."""
    if result.unit.startswith("share ") and isinstance(value, int | float):
        return share(amount(value), 1)
    counted = isinstance(value, float) and value.is_integer() and " per " not in result.unit
    return number(int(amount(value)) if counted else value)


def words_of(name: str) -> str:
    """Return `bits_per_byte` as people write it."""
    text = name.replace("_grams", "-grams").replace("_", " ").strip()
    return text[:1].upper() + text[1:]


PLAIN = (Column("Measure"), Column("Value", "num"), Column("95% interval", "num"), Column("n", "num"), Column("Unit", "why"))
BASELINES = (
    Column("Method"), Column("Value", "num"), Column("95% interval", "num"), Column("Model", "num"), Column("95% interval", "num"),
    Column("n", "num"), Column("How", "why"),
)  # fmt: skip
