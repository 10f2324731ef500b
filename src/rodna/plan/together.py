"""Whether several smaller models and a student of theirs would do better in the time than one model.

One model of a small text has soon learned what it can: more time, or a larger model, only learns the text by heart. What members take less
of the time costs them little then, and the student of several is better than any model alone (docs/ensembles.md).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rodna.plan import rules
from rodna.plan.flops import flops_per_token
from rodna.plan.job import Job, Recipe
from rodna.plan.limits import best_of, flops_of


@dataclass(frozen=True)
class Together:
    """What to do with the time.

    Attributes:
        members: of the ensemble.
        share: of the time, for all of them; the student has the rest.
        bits_per_byte: expected of the student.
    """

    members: int
    share: float
    bits_per_byte: float


def best_together(job: Job, recipe: Recipe) -> Together | None:
    """Return the ensemble whose student should end with the lowest loss; None where one model should do about as well.

    Members have equal times, the student as much as it takes to make as many passes beside its teachers.
    """
    if not recipe.affordable_steps:
        return None  # The user gave the steps.
    largest = rules.student_work(recipe.model, job.shaped)
    students = [(1.0, False), *([(largest, True)] if largest > 1 else [])]
    found: list[Together] = []
    for members in range(2, rules.MOST_MEMBERS + 1):
        for work, larger in students:
            part = 1 / (members + work + rules.TEACHER_SHARE * members)
            taught = _expected(job, recipe, part) * (1 - rules.taught_gain(members, larger=larger))
            found.append(Together(members, members * part, taught))
    best = min(found, key=lambda together: together.bits_per_byte)
    alone = job.expected_loss(recipe.model, recipe.tokens_seen)
    return best if best.bits_per_byte < (1 - rules.WORTH_AN_ENSEMBLE) * alone else None


def expected_of_student(expected: Mapping[str, Any], members: int, *, larger: bool) -> dict[str, float]:
    """Return the held-out bits per byte of a student, with the ends of the 95% interval.

    Args:
        expected: of one of its teachers, likewise.
        members: how many teach it.
        larger: the student is larger than they are.
    """
    kept = 1 - rules.taught_gain(members, larger=larger)
    middle, *ends = (float(expected[name]) for name in ("bits_per_byte", "low", "high"))
    low, high = (math.hypot(math.log(end / middle), rules.TAUGHT_SPREAD) for end in ends)
    return {"bits_per_byte": kept * middle, "low": kept * middle * math.exp(-low), "high": kept * middle * math.exp(high)}


def _expected(job: Job, recipe: Recipe, part: float) -> float:
    """Return the loss that the best model of the user's size should end with in a part of the time; each is compiled anew."""
    startup = recipe.step.startup_seconds
    left = max(0.0, job.seconds * part - startup) / max(job.seconds - startup, 1e-9)
    flops = flops_of(job, recipe) * left
    if flops <= 0:
        return float("inf")
    if not job.shaped & rules.SIZED:
        return best_of(job, recipe, flops=flops, unique_tokens=job.text.num_tokens)
    most = rules.max_epochs(recipe.model, job.text.num_tokens, job.choices) * job.text.num_tokens
    return job.expected_loss(recipe.model, min(most, flops / flops_per_token(recipe.model).model))
