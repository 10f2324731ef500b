"""Which pilot runs to make in a few minutes: small sizes, each at several lengths, some on a part of the text so that it is repeated.

A pilot is one run at a constant learning rate; at each of its lengths a decay branches off. Three lengths L, 2L and 4L so cost 5.2 L steps
instead of 7, and each is what a run of that length alone would have given. Where a run's beginning
depends on its length, nothing branches. Reference: Hägele et al. 2024, arXiv:2405.18392, section 4.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rodna.core.errors import PlanError
from rodna.models.config import ModelConfig
from rodna.plan import rules
from rodna.plan.propose import Plan

SEARCH_RATES = (0.5, 1.0, 2.0)
"""Multiples of the rule's learning rate; where the best is at an end, the next one out is tried too."""
SEARCH_BATCHES = (0.5, 2.0)
SEARCH_RUNS = len(SEARCH_RATES) + 1 + len(SEARCH_BATCHES)
LENGTHS: tuple[tuple[int, ...], ...] = ((1, 2, 4, 8), (2,), (2, 4))
"""Of the three sizes, smallest first, in units of the shortest: what length is worth is most of what a law says about a run ten times as
long, and cheapest to see at the smallest size."""
DROPOUT_LENGTHS = (4,)
"""Of the smallest size with dropout, on all of the text, and on the repeated part."""
REPEATED_LENGTHS = (2, 4)
TARGET_TO_PILOT = 2.5
"""The largest pilot has at least so many times fewer weights than what is planned, the smaller ones as many times fewer again."""
MIN_STEPS = 40
"""Of the shortest pilot: below, a loss says more about the first steps than about the text."""
MIN_PART_TOKENS = 5_000
REPEATING_SHARE = 0.6
"""A part of the text larger than this would not be repeated much more often than all of it."""


@dataclass(frozen=True)
class Pilot:
    """One constant-rate run with its branches.

    Attributes:
        name: unique within a ladder; of files.
        model: the decoder.
        share: of the documents it learns from.
        batch_size: sequences of a step.
        lengths: steps of each branch, the decay included; ascending.
        rate_factor: multiple of the rule's learning rate.
        batch_factor: multiple of the rule's batch that `batch_size` is.
        seconds: it is expected to take.
    """

    name: str
    model: ModelConfig
    share: float
    batch_size: int
    lengths: tuple[int, ...]
    rate_factor: float = 1.0
    batch_factor: float = 1.0
    seconds: float = 0.0


@dataclass(frozen=True)
class Ladder:
    """Sizes, smallest first, and lengths of all pilots.

    Attributes:
        models: three decoders.
        length_tokens: of the shortest run.
        part: share of the documents that the repeating pilots learn from; 0 where none is needed.
        token_seconds: time of a token, for each size.
        dropouts: that may be planned; the pilots learn with the first of them, some with the second.
    """

    models: tuple[ModelConfig, ...]
    length_tokens: int
    part: float
    token_seconds: tuple[float, ...]
    dropouts: tuple[float, ...]


def pilot_shape(target: ModelConfig, width: int, num_layers: int) -> ModelConfig:
    """Return a smaller decoder of the target's kind: its heads, norms and context, another width and depth."""
    fields = rules.shape(width, num_layers, {})
    ffn_width = max(32, round(width * target.ffn_width / target.width / 32) * 32)
    head_width = fields["head_width"]
    rotary_width = head_width if target.position == "rotary" else 0
    changed = {name: fields[name] for name in ("width", "num_layers", "head_width", "num_heads", "num_kv_heads")}
    return ModelConfig.model_validate({**target.model_dump(), **changed, "ffn_width": ffn_width, "rotary_width": rotary_width})


def pilot_models(target: ModelConfig) -> list[tuple[ModelConfig, ...]]:
    """Return triples of sizes, best first: each later one is smaller, for when there is no time."""
    sizes = [pilot_shape(target, *size) for size in rules.SIZES]
    weights = [rules.block_parameters(model) for model in sizes]

    def below(limit: float, least: int) -> int:
        return max([number for number, count in enumerate(weights) if count <= limit], default=0) if limit > weights[least] else least

    triples: list[tuple[int, ...]] = []
    for top in range(below(rules.block_parameters(target) / TARGET_TO_PILOT, 3), 2, -1):
        middle = min(top - 1, below(weights[top] / TARGET_TO_PILOT, 1))
        triples.append((min(middle - 1, below(weights[middle] / TARGET_TO_PILOT, 0)), middle, top))
    return [tuple(sizes[number] for number in triple) for triple in triples]


def ladder_for(
    target: Plan,
    unique_tokens: int,
    validation_tokens: int,
    *,
    seconds: float,
    token_seconds: Callable[[ModelConfig], float],
    dropouts: tuple[float, ...],
) -> Ladder:
    """Return the largest ladder that the time allows.

    Args:
        target: what is planned; its weight decay and passes are what the pilots should tell about.
        unique_tokens: of the training split.
        validation_tokens: scored at the end of each run.
        seconds: for everything.
        token_seconds: time of learning from one token by a decoder of this size.
        dropouts: one or two, see `Ladder`.

    Raises:
        PlanError: not even the smallest pilots fit.
    """
    step_tokens = batch_rows(target, target.model, 0.0, 1.0) * target.model.context_length
    own = own_share(target.train)
    length = needed = 0.0
    for models in pilot_models(target.model):
        costs = [token_seconds(model) for model in models]
        more = [REPEATED_LENGTHS, *(2 * [DROPOUT_LENGTHS] if len(dropouts) > 1 else [])]
        units = costs[0] * (SEARCH_RUNS + sum(relative_cost(lengths, own) for lengths in more))
        units += sum(cost * relative_cost(lengths, own) for cost, lengths in zip(costs, LENGTHS, strict=True))
        runs = SEARCH_RUNS + sum(map(len, [*more, *LENGTHS]))
        evaluations = runs * rules.EVALUATION_COST * validation_tokens * costs[0]
        length, needed = (seconds - evaluations) / units, MIN_STEPS * step_tokens * units + evaluations
        if length >= MIN_STEPS * step_tokens:
            part = part_for(target, unique_tokens, length * max(REPEATED_LENGTHS))
            return Ladder(models, int(length), part, tuple(costs), dropouts)
    raise PlanError(
        f"the time is too short for pilot runs: the shortest would have {max(0, int(length / step_tokens))} steps, "
        f"{MIN_STEPS} are the least",
        where=f"rodna plan fit --minutes {seconds / 60:.2g}",
        fix=f"give it {math.ceil(needed / 6) / 10:g} minutes or more",
    )


def relative_cost(lengths: tuple[int, ...], own_share: float) -> float:
    """Return the steps of one run from which each length branches off for the last `own_share` of its steps."""
    return (1 - own_share) * max(lengths) + own_share * sum(lengths)


def own_share(train: Mapping[str, Any]) -> float:
    """Return the share of a run that is its own: the decay, or all of it where the beginning depends on the length."""
    return float(train["decay_fraction"]) if can_branch(train) else 1.0


def can_branch(train: Mapping[str, Any]) -> bool:
    """Return whether a run's beginning is the same whatever its length: else each length is a run of its own."""
    averaging, fraction = train.get("averaging", "none"), float(train.get("averaging_fraction", 0.0))
    averages_in_decay = averaging == "none" or (averaging == "swa" and fraction <= float(train["decay_fraction"]))
    constant = train.get("schedule", "wsd") in ("wsd", "sqrt") and train.get("weight_decay_schedule", "constant") == "constant"
    return constant and averages_in_decay and train.get("curriculum", "none") == "none" and train.get("future_tokens", 1) == 1


def part_for(target: Plan, unique_tokens: int, longest: float) -> float:
    """Return the share of the text that the longest pilot reads as often as the planned training reads all of it; 0: none is needed."""
    epochs = float(target.estimates["epochs"])
    share = max(longest / (max(epochs, 1e-9) * unique_tokens), MIN_PART_TOKENS / unique_tokens)
    return share if epochs > 1.2 and share <= REPEATING_SHARE else 0.0


def batch_rows(target: Plan, model: ModelConfig, tokens_seen: float, factor: float) -> int:
    """Return the sequences of a pilot's step: the plan's, fewer for shorter runs by the square root, as `rules.batch_tokens` has it."""
    planned = int(target.train["batch_size"]) * target.model.context_length
    wanted = planned * math.sqrt(max(tokens_seen, 1.0) / max(float(target.estimates["tokens_seen"]), 1.0))
    least = min(planned, rules.MIN_BATCH_TOKENS)
    tokens = min(planned, max(least, 2 ** round(math.log2(wanted))))
    return max(1, round(tokens * factor / model.context_length))


def _pilot(target: Plan, ladder: Ladder, number: int, lengths: tuple[int, ...], name: str, **changes: Any) -> Pilot:
    dropout, factor = changes.pop("dropout", ladder.dropouts[0]), changes.get("batch_factor", 1.0)
    model = ladder.models[number].model_copy(update={"dropout": dropout})
    tokens = ladder.length_tokens * max(lengths)
    rows = batch_rows(target, model, tokens, factor)
    steps = tuple(max(2, round(ladder.length_tokens * length / (rows * model.context_length))) for length in lengths)
    seconds = relative_cost(steps, own_share(target.train)) * rows * model.context_length * ladder.token_seconds[number]
    return Pilot(name, model, changes.pop("share", 1.0), rows, steps, seconds=seconds, **changes)


def rate_pilot(target: Plan, ladder: Ladder, factor: float) -> Pilot:
    """Return the run that tries a learning rate."""
    return _pilot(target, ladder, 0, (1,), f"rate-{factor:g}", rate_factor=factor)


def batch_pilot(target: Plan, ladder: Ladder, rate_factor: float, factor: float) -> Pilot:
    """Return the run that tries a batch, at the rate that goes with it."""
    return _pilot(target, ladder, 0, (1,), f"batch-{factor:g}", rate_factor=rate_factor, batch_factor=factor)


def law_pilots(target: Plan, ladder: Ladder, *, rate_factor: float, batch_factor: float) -> list[Pilot]:
    """Return the runs that the law is fitted to."""
    factors = {"rate_factor": rate_factor, "batch_factor": batch_factor}
    pilots = [
        _pilot(target, ladder, number, LENGTHS[number], f"size-{model.width}x{model.num_layers}", **factors)
        for number, model in enumerate(ladder.models)
    ]
    if ladder.part:
        pilots.append(_pilot(target, ladder, 0, REPEATED_LENGTHS, "repeated", share=ladder.part, **factors))
    for dropout in ladder.dropouts[1:]:
        pilots.append(_pilot(target, ladder, 0, DROPOUT_LENGTHS, "dropout", dropout=dropout, **factors))
        if ladder.part:
            pilots.append(_pilot(target, ladder, 0, DROPOUT_LENGTHS, "repeated-dropout", share=ladder.part, dropout=dropout, **factors))
    return pilots


def learning_rates(target: Plan, pilot: Pilot) -> Mapping[str, float]:
    """Return the pilot's peaks: the plan's, carried to its width by the rule, times its factor."""
    optimizer = str(target.train.get("optimizer", "muon"))
    ratio = rules.learning_rate(pilot.model, optimizer=optimizer) / rules.learning_rate(target.model, optimizer=optimizer)
    return {name: float(target.train[name]) * ratio * pilot.rate_factor for name in ("learning_rate", "adam_learning_rate")}
