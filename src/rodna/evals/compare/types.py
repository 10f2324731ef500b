"""What a comparison finds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rodna.evals.result import Direction

Verdict = Literal["better", "worse", "higher", "lower", "cannot be told apart", ""]
"""Of another model, against the baseline; empty where none can be given."""
How = Literal["paired", "unpaired", "none"]
"""Over the same items; from two intervals alone; not at all."""


@dataclass(frozen=True)
class Estimate:
    """One model's number.

    Attributes:
        value: over the items that all compared models have.
        low: lower end of the 95% interval; equal to `value` where none is known.
        high: upper end.
        seeds: of how many trainings it is the mean.
        best_rank: the best rank that this model has in 95% of resamples; 0 where models are not ranked.
        worst_rank: the worst.
    """

    value: float
    low: float
    high: float
    seeds: int = 1
    best_rank: int = 0
    worst_rank: int = 0


@dataclass(frozen=True)
class Difference:
    """Another model's number less the baseline's.

    Attributes:
        name: of the other model.
        value: of the difference.
        low: lower end of its 95% interval.
        high: upper end.
        p: of the difference by itself.
        p_holm: corrected for all comparisons that are shown together.
        verdict: on the other model.
    """

    name: str
    value: float
    low: float
    high: float
    p: float
    p_holm: float = 1.0
    verdict: Verdict = ""


@dataclass(frozen=True)
class Match:
    """One task and metric.

    Attributes:
        task: see `Result`.
        metric: see `Result`.
        unit: see `Result`.
        direction: see `Result`.
        how: models were compared.
        n: items behind the comparison.
        num_units: of these or of their groups, which are drawn.
        estimates: model -> its number.
        differences: of every other model and the baseline.
        excluded: model -> why it is not compared.
        left_out: model that is not compared -> its number, where it has one.
        notes: what has to be known to read the numbers.
        with_seen: the differences over all items, where some were found in training text and the others are compared.
        warnings: that the numbers themselves carry.
        is_per_token: whether the number tells something only among models of one tokenizer.
        is_whole: whether it is a task's first number, by which models are ranked.
    """

    task: str
    metric: str
    unit: str
    direction: Direction
    how: How
    n: int
    num_units: int
    estimates: dict[str, Estimate]
    differences: Sequence[Difference] = ()
    excluded: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    with_seen: Sequence[Difference] = ()
    warnings: Sequence[str] = ()
    is_per_token: bool = False
    is_whole: bool = False


@dataclass(frozen=True)
class Comparison:
    """All that was compared.

    Attributes:
        names: of the models, the baseline first.
        baseline: name of the model that the others are compared with.
        matches: in the order of the evaluations.
        num_hidden: results that are compared only when asked for.
        samples: resamples behind every interval.
        seed: of these.
        num_tests: comparisons that the p values are corrected for.
        about: model -> what is known of it, in words.
    """

    names: list[str]
    baseline: str
    matches: list[Match]
    num_hidden: int
    samples: int
    seed: int
    num_tests: int
    about: dict[str, str]
