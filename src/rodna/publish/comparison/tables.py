"""A comparison as tables, for any way of writing them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rodna.evals.compare.ladder import Climb, Rung
from rodna.evals.compare.types import Comparison, Match
from rodna.publish.comparison.words import measure_of, p_words, signed, signed_with_unit, with_interval, written
from rodna.publish.facts.results import words_of
from rodna.publish.facts.view import Column, Row


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        title: above it.
        columns: in order.
        rows: as many cells as columns each.
        note: what has to be known to read it.
        marks: row and column of cells that stand out.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str = ""
    marks: frozenset[tuple[int, int]] = field(default_factory=frozenset)


def tables(comparison: Comparison) -> list[Table]:
    """Return every table that has a row."""
    found = [differences(comparison), values(comparison), ranking(comparison), listed(comparison), not_compared(comparison)]
    return [table for table in found if table is not None and table.rows]


def compared(comparison: Comparison) -> list[Match]:
    """Return the numbers of which at least one difference is known."""
    return [match for match in comparison.matches if match.differences]


def differences(comparison: Comparison) -> Table:
    """Return every difference with its verdict."""
    columns = [
        Column("Task"), Column("Measure"), Column("Model"), Column("Verdict", "verdict"), Column("Difference", "num"),
        Column("95% interval", "num"), Column("p", "num"), Column("Corrected", "num"),
    ]  # fmt: skip
    pairs = [(match, item) for match in compared(comparison) for item in match.differences]
    rows = [
        [
            match.task, measure_of(match), item.name, item.verdict, signed_with_unit(match, item.value),
            f"{signed(match, item.low)} to {signed(match, item.high)}", p_words(item.p), p_words(item.p_holm),
        ]
        for match, item in pairs
    ]  # fmt: skip
    title = f"Differences from {comparison.baseline}"
    if len(comparison.names) == 2:
        # The one model is named in the title.
        title = f"{comparison.names[1]} less {comparison.baseline}"
        columns, rows = _without(columns, 2), [_without(row, 2) for row in rows]
    note = (
        f"Difference: the model's number less that of {comparison.baseline}; ↑ higher is better, ↓ lower is better. Verdicts go by the "
        f"corrected p (Holm, {comparison.num_tests} comparisons), intervals are those of each difference by itself; "
        f"{comparison.samples:,} resamples, seed {comparison.seed}."
    )
    return Table(title, columns, [Row(row) for row in rows], note)


def _without(items: Sequence[Any], place: int) -> list[Any]:
    return [*items[:place], *items[place + 1 :]]


def values(comparison: Comparison) -> Table:
    """Return every model's number and its own interval; see `best_of` for what is marked."""
    columns = (Column("Task"), Column("Measure"), Column("n", "num"), *(Column(name, "num") for name in comparison.names))
    rows: list[Row] = []
    marks: set[tuple[int, int]] = set()
    for place, match in enumerate(compared(comparison)):
        rows.append(Row([match.task, measure_of(match), f"{match.n:,}", *_estimates(comparison, match)]))
        best = best_of(comparison, match)
        if best:
            marks.add((place, 3 + comparison.names.index(best)))
    note = (
        "In brackets the 95% interval of each number by itself. Two that overlap may yet differ: the items are the same, and what is hard "
        "in them is hard for both."
    )
    if marks:
        note += " Marked is the best where its difference from the baseline, or the baseline's from all others, is more than chance."
    return Table("Every number", columns, rows, note, frozenset(marks))


def _estimates(comparison: Comparison, match: Match) -> list[str]:
    found = (match.estimates.get(name) for name in comparison.names)
    return ["–" if item is None else with_interval(match, item, between="\n") for item in found]


def best_of(comparison: Comparison, match: Match) -> str:
    """Return the name of the best model where that is more than chance, empty otherwise."""
    if match.direction == "none" or not match.differences:
        return ""
    sign = 1 if match.direction == "higher" else -1
    best = max(match.estimates, key=lambda name: sign * match.estimates[name].value)
    if best == comparison.baseline:
        return best if all(item.verdict == "worse" for item in match.differences) else ""
    return best if any(item.name == best and item.verdict == "better" for item in match.differences) else ""


def ranking(comparison: Comparison) -> Table | None:
    """Return the models by their mean rank over tasks; None where there are only two."""
    ranked = [match for match in comparison.matches if match.is_whole and len(match.estimates) == len(comparison.names)]
    if len(comparison.names) < 3 or not ranked:
        return None
    places = {name: [rank_of(match, name) for match in ranked] for name in comparison.names}
    order = sorted(comparison.names, key=lambda name: sum(places[name]))
    columns = (
        Column("Model"),
        Column("Mean rank", "num"),
        *(Column(f"{match.task}, {words_of(match.metric).lower()}", "num") for match in ranked),
    )
    rows = [
        Row(
            [
                name,
                f"{sum(places[name]) / len(ranked):.2f}",
                *(_rank(match, name, place) for match, place in zip(ranked, places[name], strict=True)),
            ]
        )
        for name in order
    ]
    left = len({match.task.partition("/")[0] for match in comparison.matches}) - len(ranked)
    note = "Of each task its first measure, each task with the same weight. In brackets: the ranks that the model has in 95% of resamples."
    if left:
        note += " Tasks that not all models have, or that have no better and worse, are left out."
    return Table("Ranking", columns, rows, note)


def rank_of(match: Match, name: str) -> int:
    """Return 1 plus the number of models that are better."""
    sign = 1 if match.direction == "higher" else -1
    own = sign * match.estimates[name].value
    return 1 + sum(sign * item.value > own for item in match.estimates.values())


def _rank(match: Match, name: str, place: int) -> str:
    item = match.estimates[name]
    return f"{place}" if item.best_rank == item.worst_rank else f"{place} ({item.best_rank}–{item.worst_rank})"


def listed(comparison: Comparison) -> Table:
    """Return numbers that several models have and that cannot be given a verdict."""
    found = [match for match in comparison.matches if not match.differences and match.estimates]
    columns = (Column("Task"), Column("Measure"), *(Column(name, "num") for name in comparison.names), Column("Why no verdict", "why"))
    rows = [
        Row([
            match.task, measure_of(match), *_estimates(comparison, match), _why(comparison, match),
        ])
        for match in found
        if len(match.estimates) > 1 or match.is_per_token
    ]  # fmt: skip
    return Table("Listed without a verdict", columns, rows)


def _why(comparison: Comparison, match: Match) -> str:
    if match.is_per_token and match.warnings:
        return match.warnings[0]
    return "; ".join(match.notes) or f"{comparison.baseline} has no such number"


def not_compared(comparison: Comparison) -> Table:
    """Return what models were left out of, and why."""
    columns = (Column("Task"), Column("Measure"), Column("Model"), Column("Its number", "num"), Column("Why it is not compared", "why"))
    rows = [
        Row([match.task, measure_of(match), name, _own(match, name), reason])
        for match in comparison.matches
        for name, reason in match.excluded.items()
    ]
    return Table("Not compared", columns, rows)


def _own(match: Match, name: str) -> str:
    value = match.left_out.get(name)
    return "–" if value is None else written(match, value)


def steps(climbs: Sequence[Climb]) -> Table:
    """Return the numbers of every checkpoint, a column for each number."""
    lines = list(dict.fromkeys(name for climb in climbs for name in climb.lines))
    columns = (
        Column("Run"),
        Column("Step", "num"),
        *(Column(f"{climb.task}, {words_of(climb.metric).lower()}", "num") for climb in climbs),
    )
    rows: list[Row] = []
    for name in lines:
        taken = sorted({rung.step for climb in climbs for rung in climb.lines.get(name, ())})
        for step in taken:
            found = [next((rung for rung in climb.lines.get(name, ()) if rung.step == step), None) for climb in climbs]
            cells = (_rung(climb, rung) for climb, rung in zip(climbs, found, strict=True))
            rows.append(Row([name, f"{step:,}", *cells]))
    return Table("Over training", columns, rows)


def _rung(climb: Climb, rung: Rung | None) -> str:
    if rung is None:
        return "–"
    return f"{rung.value:.1%}" if climb.unit.startswith("share ") else f"{rung.value:.3f}"


def notes(comparison: Comparison) -> list[str]:
    """Return what has to be known to read the numbers, each once, with the tasks it is about."""
    about: dict[str, list[str]] = {}
    for match in comparison.matches:
        if match.differences:
            for note in [*match.notes, *match.warnings]:
                about.setdefault(note, []).append(match.task.partition("/")[0])
            for item in match.with_seen:
                ends = f"{signed(match, item.low)} to {signed(match, item.high)}"
                note = f"with the items that were seen, {item.name} differs by {signed(match, item.value)} ({ends})"
                about.setdefault(note, []).append(f"{match.task}, {words_of(match.metric).lower()}")
    return [f"{', '.join(dict.fromkeys(tasks))}: {note}" for note, tasks in about.items()]
