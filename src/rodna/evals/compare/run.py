"""Every number that models have in common, compared.

Shapes: R runs, N items, U units (items, or their groups), S resamples, C models.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from rodna.core.errors import ConfigError, EvaluationError
from rodna.evals.compare.draw import Drawn, draw
from rodna.evals.compare.match import check_notes, common_ids, has_items, is_main, is_per_token, other_texts, why_not
from rodna.evals.compare.read import Contestant, Key, Run
from rodna.evals.compare.resample import SAMPLES, holm, interval, p_value, ranks
from rodna.evals.compare.types import Comparison, Difference, Estimate, Match, Verdict
from rodna.evals.result import Direction

if TYPE_CHECKING:
    pass

LEVEL = 0.05
FEWEST_UNITS = 6
"""Fewer independent items cannot differ by more than chance: all five on one side happen in one case of sixteen."""
Z95 = NormalDist().inv_cdf(0.975)


def compare(
    contestants: Sequence[Contestant], *, baseline: str = "", only: Sequence[str] = (), show_all: bool = False, samples: int = SAMPLES,
    seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare every other model with the baseline in every number they share.

    Args:
        contestants: at least two.
        baseline: name of one of them; empty for the first.
        only: `TASK` or `TASK:METRIC`, with * for anything; empty for all.
        show_all: compare parts of tasks and further measures of the same, too; p values are then corrected for more comparisons.
        samples: resamples.
        seed: of the resamples.

    Raises:
        ConfigError: no model is called so.
        EvaluationError: they have nothing in common.
    """
    ordered = _baseline_first(contestants, baseline)
    first = ordered[0]
    keys = list(dict.fromkeys(key for one in ordered for key in one.runs[0].results))
    keys = [key for key in keys if not only or any(_fits(key, pattern) for pattern in only)]
    shown = [key for key in keys if show_all or any(is_main(one.runs[0], key) for one in ordered if key in one.runs[0].results)]
    matches = [_match(ordered, key, samples=samples, seed=seed) for key in shown]
    if not any(len(match.estimates) > 1 for match in matches):
        raise EvaluationError(
            "the evaluations have no result in common" + "".join(f"\n    {line}" for line in _what_each_has(ordered, matches)),
            where=", ".join(str(one.runs[0].path) for one in ordered),
            fix="evaluate the models on the same tasks: `rodna eval --model ... --task ...` with the same files",
        )
    matches = _ranked(_corrected(_without_doubles(matches)))
    num_tests = sum(len(match.differences) for match in matches)
    return Comparison(
        [one.name for one in ordered], first.name, matches, len(keys) - len(matches), samples, seed, num_tests,
        {one.name: _about(one) for one in ordered},
    )  # fmt: skip


def _baseline_first(contestants: Sequence[Contestant], baseline: str) -> list[Contestant]:
    if not baseline:
        return list(contestants)
    first = [one for one in contestants if one.name == baseline]
    if not first:
        raise ConfigError(
            f"no model here is called {baseline!r}", where="--baseline", fix=f"choose one of: {', '.join(one.name for one in contestants)}"
        )
    return [*first, *(one for one in contestants if one.name != baseline)]


def _fits(key: Key, pattern: str) -> bool:
    """Return whether a task, or task and metric, are meant. A task's name may itself hold a colon."""
    task, metric = key
    return any(fnmatchcase(name, pattern) for name in (task, f"{task}:{metric}"))


def _match(ordered: Sequence[Contestant], key: Key, *, samples: int, seed: int) -> Match:
    """Compare one number."""
    first = next(one for one in ordered if key in one.runs[0].results)
    result = first.runs[0].results[key]
    excluded: dict[str, str] = {}
    for one in ordered:
        if reason := next((reason for run in one.runs if (reason := why_not(first.runs[0], run, key))), ""):
            excluded[one.name] = reason
    taken = [one for one in ordered if one.name not in excluded]
    warned = [f"{run.results[key].detail['warning']}" for one in taken for run in one.runs if run.results[key].detail.get("warning")]
    empty = Match(
        *key, result.unit, result.direction, "none", result.n, result.n, {}, excluded=excluded, left_out=_left_out(ordered, key, excluded),
        warnings=list(dict.fromkeys(warned)), is_per_token=is_per_token(first.runs[0], key),
    )  # fmt: skip
    if all(has_items(run, key) for one in taken for run in one.runs):
        taken, ids = _same_items(taken, key, excluded)
        empty = replace(empty, left_out=_left_out(ordered, key, excluded))
        if ids:
            found = _paired(empty, taken, key, ids, samples=samples, seed=seed)
            return found if taken[0] is ordered[0] else replace(found, differences=(), with_seen=())
    return _from_results(empty, taken, key, has_baseline=taken[0] is ordered[0])


def _left_out(ordered: Sequence[Contestant], key: Key, excluded: Mapping[str, str]) -> dict[str, float]:
    return {
        one.name: float(np.mean([run.results[key].value for run in one.runs]))
        for one in ordered
        if one.name in excluded and all(key in run.results for run in one.runs)
    }


def _same_items(taken: Sequence[Contestant], key: Key, excluded: dict[str, str]) -> tuple[list[Contestant], list[str]]:
    """Return the models whose items are those of the first, and the ids that all have. Reasons against the others are added."""
    first, kept = taken[0], [taken[0]]
    for one in taken[1:]:
        ids = common_ids([*first.runs, *one.runs], key)
        reason = next((reason for run in one.runs if ids and (reason := other_texts(first.runs[0], run, key, ids))), "")
        if not ids:
            reason = "other items: not one of the same name"
        if reason:
            excluded[one.name] = reason
        else:
            kept.append(one)
    return kept, common_ids([run for one in kept for run in one.runs], key)


def _paired(empty: Match, taken: Sequence[Contestant], key: Key, ids: Sequence[str], *, samples: int, seed: int) -> Match:
    """Compare over the same items; where some were found in training text, over the others."""
    seen = _seen([run for one in taken for run in one.runs], key)
    unseen = [identity for identity in ids if identity not in seen]
    num_seen = len(ids) - len(unseen)
    notes: list[str] = []
    counts = {one.name: one.runs[0].results[key].n for one in taken}
    if any(count != len(ids) for count in counts.values()):
        had = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        notes.append(f"over the {len(ids):,} items that all have ({had})")
    if len({run.corpus for one in taken for run in one.runs if run.corpus}) > 1 and key[0].partition("/")[0] not in taken[0].runs[0].tasks:
        notes.append("the evaluations are of several corpora: items of the same name and length are taken for the same")
    used = ids
    if num_seen and unseen:
        used = unseen
        notes.append(f"{num_seen:,} items that stand in a model's training text are left out")
    elif num_seen:
        notes.append("every item stands in a model's training text: what was learnt by heart cannot be told from what was understood")
    notes += check_notes(taken, key)
    drawn = draw(taken, key, used, samples=samples, seed=seed)
    if drawn.num_units < FEWEST_UNITS:
        what = "items" if drawn.num_units == len(used) else "groups of items"
        notes.append(f"only {drawn.num_units} {what}: too few for a verdict")
    notes += _alone(taken)
    with_seen = draw(taken, key, ids, samples=samples, seed=seed) if used is unseen else None
    return replace(
        empty, how="paired", n=len(used), num_units=drawn.num_units, estimates=_estimates(taken, drawn, empty.direction),
        differences=_differences(taken, drawn), notes=notes, with_seen=_differences(taken, with_seen) if with_seen else (),
    )  # fmt: skip


def _alone(taken: Sequence[Contestant]) -> list[str]:
    """Return a note where some models were trained with several seeds and others with one."""
    single = [one.name for one in taken if len(one.runs) == 1]
    if single and len(single) < len(taken):
        return [f"of {', '.join(single)} only one training is known: how far another seed would move it is not in the interval"]
    return []


def _seen(runs: Sequence[Run], key: Key) -> set[str]:
    accuracy = (key[0], "accuracy")
    return {
        identity
        for run in runs
        if run.items is not None and (items := run.items.get(key) or run.items.get(accuracy)) is not None
        for identity, is_seen in zip(items.ids, items.seen_N, strict=True)
        if is_seen
    }


def _estimates(taken: Sequence[Contestant], drawn: Drawn, direction: Direction) -> dict[str, Estimate]:
    places = ranks(drawn.drawn_CS, lower_is_better=direction == "lower") if direction != "none" and len(taken) > 1 else None
    found: dict[str, Estimate] = {}
    for number, one in enumerate(taken):
        best, worst = (0, 0) if places is None else np.quantile(places[number], (0.025, 0.975), method="inverted_cdf")
        low, high = interval(drawn.drawn_CS[number])
        found[one.name] = Estimate(drawn.value_C[number], low, high, drawn.seeds_C[number], int(best), int(worst))
    return found


def _differences(taken: Sequence[Contestant], drawn: Drawn) -> list[Difference]:
    found: list[Difference] = []
    for number, one in enumerate(taken[1:], 1):
        value = drawn.value_C[number] - drawn.value_C[0]
        drawn_S = drawn.drawn_CS[number] - drawn.drawn_CS[0]
        low, high = interval(drawn_S)
        is_smooth = drawn.seeds_C[number] == 1 and drawn.seeds_C[0] == 1
        p = p_value(value, drawn_S, is_smooth=is_smooth) if drawn.num_units >= FEWEST_UNITS else 1.0
        found.append(Difference(one.name, value, low, high, p))
    return found


def _from_results(empty: Match, taken: Sequence[Contestant], key: Key, *, has_baseline: bool) -> Match:
    """Compare what has no items: two intervals where a folder is too old to have kept any; nothing where the number never has them."""
    estimates: dict[str, Estimate] = {}
    for one in taken:
        own = [run.results[key] for run in one.runs]
        value = float(np.mean([result.value for result in own]))
        low, high = (float(np.mean(numbers)) for numbers in ([result.low for result in own], [result.high for result in own]))
        estimates[one.name] = Estimate(value, low, high, len(own))
    match = replace(empty, estimates=estimates)
    if not has_baseline:
        return match
    if all(run.items is not None for one in taken for run in one.runs):
        return replace(match, notes=["no items are kept for this number: it is listed without a verdict"]) if len(taken) > 1 else match
    old = [one.name for one in taken if any(run.items is None for run in one.runs)]
    note = f"without pairing: the evaluation of {', '.join(old)} kept no items, so smaller differences than need be are lost"
    differences: list[Difference] = []
    first = estimates[taken[0].name]
    for one in taken[1:]:
        other = estimates[one.name]
        errors = [(item.high - item.low) / 2 / Z95 for item in (first, other)]
        if not all(errors):
            return replace(match, notes=["no interval is known: it is listed without a verdict"])
        value, error = other.value - first.value, math.hypot(*errors)
        p = math.erfc(abs(value) / error / math.sqrt(2))
        differences.append(Difference(one.name, value, value - Z95 * error, value + Z95 * error, p))
    return replace(match, how="unpaired", differences=differences, notes=[note])


def _without_doubles(matches: Sequence[Match]) -> list[Match]:
    """Leave out the only part of a group, which is the group again: p values must not be corrected for one comparison twice."""
    kept: list[Match] = []
    for match in matches:
        above = (other for other in kept if match.task.startswith(f"{other.task}/") and other.metric == match.metric and other.n == match.n)
        if not any(match.differences and other.estimates == match.estimates for other in above):
            kept.append(match)
    return kept


def _corrected(matches: Sequence[Match]) -> list[Match]:
    """Correct the p values of all comparisons together, and give verdicts by them."""
    adjusted = iter(holm([item.p for match in matches for item in match.differences]))
    found: list[Match] = []
    for match in matches:
        own = [replace(item, p_holm=(p := next(adjusted)), verdict=_verdict(item.value, p, match.direction)) for item in match.differences]
        found.append(replace(match, differences=own))
    return found


def _verdict(value: float, p_holm: float, direction: Direction) -> Verdict:
    if p_holm >= LEVEL:
        return "cannot be told apart"
    if direction == "none":
        return "higher" if value > 0 else "lower"
    return "better" if (value < 0) == (direction == "lower") else "worse"


def _ranked(matches: Sequence[Match]) -> list[Match]:
    """Mark the one number of each task that models are ranked by: its first that has a better and a worse."""
    done: set[str] = set()
    found: list[Match] = []
    for match in matches:
        task = match.task.partition("/")[0]
        counts = match.how == "paired" and match.direction != "none" and not match.is_per_token
        # What is the same for all, such as a classification's baselines, ranks none.
        counts = counts and len({item.value for item in match.estimates.values()}) > 1
        is_whole = counts and task not in done
        if is_whole:
            done.add(task)
        found.append(replace(match, is_whole=is_whole))
    return found


def _what_each_has(ordered: Sequence[Contestant], matches: Sequence[Match]) -> list[str]:
    lines = []
    for one in ordered:
        tasks = list(dict.fromkeys(task.partition("/")[0] for task, _ in one.runs[0].results))
        lines.append(f"{one.name}: {', '.join(tasks[:6])}{', ...' if len(tasks) > 6 else ''}")
    reasons = dict.fromkeys(f"{match.task}, {name}: {reason}" for match in matches for name, reason in match.excluded.items()
                            if not reason.startswith("was not"))  # fmt: skip
    return [*lines, *list(reasons)[:4]]


def _about(one: Contestant) -> str:
    """Return what is known of a model, in words."""
    run = one.runs[0]
    found = [str(run.description.get("kind", ""))]
    parameters = run.description.get("parameters")
    if isinstance(parameters, int):
        found.append(f"{parameters:,} parameters")
    if len(one.runs) > 1:
        found.append(f"{len(one.runs)} seeds")
    return ", ".join(part for part in found if part)
