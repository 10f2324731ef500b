"""How numbers change while a model is trained: the evaluations of one run's checkpoints, in the order of their steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rodna.core.artifact import MANIFEST
from rodna.core.errors import EvaluationError
from rodna.evals.compare.match import is_main
from rodna.evals.compare.read import Contestant, Key, Run, parse, read_run
from rodna.evals.result import Direction

FEWEST_STEPS = 2


@dataclass(frozen=True)
class Rung:
    """A number at one step, with its 95% interval."""

    step: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Climb:
    """One number over the checkpoints of every run that has it.

    Attributes:
        task: see `Result`.
        metric: see `Result`.
        unit: see `Result`.
        direction: see `Result`.
        chance: what guessing reaches; None where that is not known.
        lines: name of the run -> its rungs, steps rising.
    """

    task: str
    metric: str
    unit: str
    direction: Direction
    chance: float | None
    lines: Mapping[str, Sequence[Rung]]


def read_ladders(given: Sequence[str]) -> dict[str, list[Run]]:
    """Read folders that hold an evaluation for every checkpoint of a run.

    Args:
        given: `FOLDER` or `NAME=FOLDER`.

    Returns:
        Name -> evaluations by rising step.

    Raises:
        EvaluationError: a folder holds fewer than two evaluations of checkpoints.
        ArtifactError: one of them is damaged.
    """
    found: dict[str, list[Run]] = {}
    for text in given:
        name, paths = parse(text)
        runs = [read_run(item) for path in paths for item in sorted(path.glob("*")) if (item / MANIFEST).is_file()]
        steps = in_order(runs)
        if len(steps) < FEWEST_STEPS:
            raise EvaluationError(
                f"no ladder: {len(runs)} evaluations, of which {len(steps)} say of which step they are",
                where=", ".join(map(str, paths)),
                fix="write one with `rodna eval --checkpoints runs/RUN --task ... --out FOLDER`",
            )
        found[_unused(name or paths[0].resolve().name, found)] = steps
    return found


def ladders_among(contestants: Sequence[Contestant]) -> dict[str, list[Run]]:
    """Return the ladders that are among evaluations: checkpoints of one run, with different steps."""
    by_run: dict[str, list[Run]] = {}
    for one in contestants:
        if len(one.runs) == 1 and one.runs[0].step is not None and one.runs[0].where:
            by_run.setdefault(str(Path(one.runs[0].where).parent), []).append(one.runs[0])
    found: dict[str, list[Run]] = {}
    for folder, runs in by_run.items():
        if len(steps := in_order(runs)) > FEWEST_STEPS:
            found[_unused(Path(folder).name, found)] = steps
    return found


def in_order(runs: Sequence[Run]) -> list[Run]:
    """Return the evaluations that have a step, one a step, by rising step."""
    steps = {run.step: run for run in runs if run.step is not None}
    return [steps[step] for step in sorted(steps)]


def climbs(ladders: Mapping[str, Sequence[Run]], *, show_all: bool = False) -> list[Climb]:
    """Return every number that a ladder has at two steps or more.

    Args:
        ladders: name -> evaluations by rising step.
        show_all: parts of tasks, too.
    """
    keys = list(dict.fromkeys(key for runs in ladders.values() for run in runs for key in run.results if show_all or is_main(run, key)))
    found = [_climb(ladders, key) for key in keys]
    return [climb for climb in found if climb.lines]


def _climb(ladders: Mapping[str, Sequence[Run]], key: Key) -> Climb:
    first = next(run.results[key] for runs in ladders.values() for run in runs if key in run.results)
    lines: dict[str, list[Rung]] = {}
    for name, runs in ladders.items():
        # Numbers that were measured in another way are no part of the same curve.
        results = [(run.step, run.results[key]) for run in runs if key in run.results]
        same = [
            Rung(step or 0, result.value, result.low, result.high)
            for step, result in results
            if (result.task_version, result.prompt_digest, result.unit) == (first.task_version, first.prompt_digest, first.unit)
        ]
        if len(same) >= FEWEST_STEPS:
            lines[name] = same
    chance = first.detail.get("chance")
    return Climb(*key, first.unit, first.direction, float(chance) if isinstance(chance, int | float) else None, lines)


def _unused(name: str, taken: Mapping[str, object]) -> str:
    number = 1
    while (f"{name} {number}" if number > 1 else name) in taken:
        number += 1
    return f"{name} {number}" if number > 1 else name
