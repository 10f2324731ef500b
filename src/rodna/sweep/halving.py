"""Successive halving: all trials train a little, the best of them longer.

Reference: Jamieson & Talwalkar 2016, "Non-stochastic best arm identification and hyperparameter optimization", arXiv:1502.07943.

A rung here is no early part of one long run. Under a schedule that decays, a run stopped early has never had its decay, and which
settings look best then is mostly a matter of their learning rate. So every rung is made of complete runs with a schedule of their own,
each `eta` times longer than those of the rung before, trained from the start. That costs 1/(eta - 1) more than going on would.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rodna.core.errors import PlanError
from rodna.core.text import human_seconds


@dataclass(frozen=True)
class Rung:
    """One round of a sweep.

    Attributes:
        num_trials: that take part.
        share: of the length of the project's own training.
        seconds: each should take.
    """

    num_trials: int
    share: float
    seconds: float


def plan_rungs(num_trials: int, *, eta: int, budget_s: float, full_s: float, startup_s: float, least_share: float) -> list[Rung]:
    """Return the rungs that use a budget best: as few as bring the last one to the full length, else as many as there can be.

    Args:
        num_trials: of the first rung.
        eta: of so many trials one goes on, to train so many times longer.
        budget_s: seconds for everything.
        full_s: seconds of the project's own training, its start included.
        startup_s: seconds each run takes before its first step.
        least_share: the shortest training worth making, as a share of the full one.

    Raises:
        PlanError: the budget is too small for the trials to learn anything, or the whole training is.
    """
    if least_share > 1:
        raise PlanError(
            "the whole training has too few steps to tell settings apart by a part of it", where="train.steps",
            fix="make it longer: raise train.steps, or leave them to a plan with more minutes, or lower train.batch_size",
        )  # fmt: skip
    sizes = rung_sizes(num_trials, eta)
    found: list[Rung] = []
    for count in range(1, len(sizes) + 1):
        growth = [eta**index for index in range(count)]
        units = sum(size * factor for size, factor in zip(sizes[:count], growth, strict=True))
        left_s = budget_s - startup_s * sum(sizes[:count])
        first = min(left_s / units / (full_s - startup_s), 1 / growth[-1])
        rungs = [Rung(size, first * factor, startup_s + first * factor * (full_s - startup_s))
                 for size, factor in zip(sizes[:count], growth, strict=True)]  # fmt: skip
        if first >= least_share or not found:
            found = rungs
        if first * growth[-1] >= 1 - 1e-9:
            break
    if found[0].share < least_share:
        needed_s = num_trials * (startup_s + least_share * (full_s - startup_s))
        raise PlanError(
            f"{human_seconds(budget_s)} are too little for {num_trials} trials: the shortest that learn anything take "
            f"{human_seconds(needed_s)} together",
            where="sweep.minutes",
            fix=f"allow {math.ceil(needed_s / 6) / 10:g} minutes or more, or try fewer settings",
        )
    return found


def rung_sizes(num_trials: int, eta: int) -> list[int]:
    """Return how many trials each rung has; a rung of one would choose nothing, so there is none but the first."""
    sizes = [num_trials]
    while (following := math.ceil(sizes[-1] / eta)) > 1 and following < sizes[-1]:
        sizes.append(following)
    return sizes


def best_first(values: Sequence[tuple[int, float | None]]) -> list[int]:
    """Return the numbers of trials with a value, lowest value first; of equals, the lower number."""
    return [number for _, number in sorted((value, number) for number, value in values if value is not None and math.isfinite(value))]
