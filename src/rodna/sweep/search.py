"""The search: rung after rung, a line in `results.jsonl` for every finished trial, so that none is ever run twice."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rodna.core.errors import TrainError
from rodna.core.log import JsonLines, read_json_lines
from rodna.core.text import human_seconds
from rodna.sweep.halving import Rung, best_first

RESULTS = "results.jsonl"
PATIENCE = 1.1
"""A trial is begun if it should end before this many times the budget."""


@dataclass(frozen=True)
class Result:
    """What came of one trial in one rung.

    Attributes:
        trial: its number; 0 has the project's own settings.
        rung: from 0.
        settings: dotted name -> value, of those searched.
        bits_per_byte: of the validation text; None where the trial failed.
        seconds: it took.
        reason: why it failed; empty where it did not.
        facts: steps, passes over the text, parameters and the like.
    """

    trial: int
    rung: int
    settings: Mapping[str, Any]
    bits_per_byte: float | None
    seconds: float
    reason: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Train = Callable[[int, int, Mapping[str, Any], Rung], Result]
"""(trial, rung number, settings, rung) -> result. Goes on where an interrupted one was."""


def search(
    trials: Sequence[Mapping[str, Any]], rungs: Sequence[Rung], train: Train, folder: Path, *, budget_s: float, tell: Callable[[str], None]
) -> list[Result]:
    """Run the trials of every rung that have not been run yet; return all results.

    Who goes on follows from the values alone. The clock decides one thing: a trial that should end after `PATIENCE` times the budget is not
    begun, and none after it. As the better trials of a rung come first, it is the worse ones that are left out.

    Args:
        trials: the settings of each; its number is its place.
        rungs: from `plan_rungs`.
        train: runs one.
        folder: of the sweep, where results are kept.
        budget_s: seconds for everything.
        tell: receives one line for a person at a time.

    Raises:
        TrainError: every trial has failed.
    """
    results = read_results(folder)
    done = {(result.trial, result.rung): result for result in results}
    order = list(range(len(trials)))
    journal = JsonLines(folder / RESULTS)
    try:
        for number, rung in enumerate(rungs):
            tell(f"rung {number + 1} of {len(rungs)}: {rung.num_trials} trials of {rung.share:.1%} of the whole training, "
                 f"about {human_seconds(rung.seconds)} each")  # fmt: skip
            used_up = False
            for trial in order[: rung.num_trials]:
                if (trial, number) not in done:
                    spent = sum(result.seconds for result in done.values())
                    if spent + _expected(done, rungs, trial, number) > budget_s * PATIENCE:
                        tell(f"  the budget is used up after {human_seconds(spent)}: trial {trial} and what comes after it is left out")
                        used_up = True
                        break
                    result = train(trial, number, trials[trial], rung)
                    journal.write(asdict(result))
                    done[trial, number] = result
                tell("  " + describe(done[trial, number]))
            if used_up:
                break
            order = best_first([(trial, done[trial, number].bits_per_byte) for trial in order if (trial, number) in done])
    finally:
        journal.close()
    found = sorted(done.values(), key=lambda result: (result.rung, result.trial))
    if not any(result.bits_per_byte is not None for result in found):
        why = f"all {len(found)} trials failed; the first: {found[0].reason}" if found else "no trial was run"
        fix = "try smaller values, of learning rates above all; to run these trials again, delete that folder"
        raise TrainError(why, where=str(folder), fix=fix)
    return found


def _expected(done: Mapping[tuple[int, int], Result], rungs: Sequence[Rung], trial: int, number: int) -> float:
    """Return how many seconds a trial should take: by its own last rung, in the first one by those that have been run."""
    before = done.get((trial, number - 1))
    if before:
        return before.seconds * rungs[number].share / rungs[number - 1].share
    return sum(result.seconds for result in done.values()) / max(1, len(done))


def read_results(folder: Path) -> list[Result]:
    """Return the finished trials of a sweep."""
    return [Result(**record) for record in read_json_lines(folder / RESULTS)]


def describe(result: Result) -> str:
    """Return a result in one line."""
    settings = ", ".join(f"{key}={json.dumps(value)}" for key, value in result.settings.items()) or "the project's own settings"
    value = f"{result.bits_per_byte:.4f} bits per byte" if result.bits_per_byte is not None else f"failed: {result.reason}"
    return f"trial {result.trial} ({settings}): {value}, {human_seconds(result.seconds)}"


def ranked(results: Sequence[Result]) -> list[Result]:
    """Return each trial's result of its last rung, best first: trials that came further before others, failed ones at the end."""
    last: dict[int, Result] = {}
    for result in sorted(results, key=lambda result: result.rung):
        if result.bits_per_byte is not None or result.trial not in last:
            last[result.trial] = result
    return sorted(
        last.values(),
        key=lambda result: (result.bits_per_byte is None, -result.rung, result.bits_per_byte or 0.0, result.trial),
    )
