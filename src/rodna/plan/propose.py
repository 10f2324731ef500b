"""Choose a model and a training recipe for a text, a machine and a time; what the user has fixed is kept."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import ValidationError

from rodna.core.errors import PlanError
from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.models.config import ModelConfig
from rodna.models.presets import find_preset
from rodna.plan import reasons, rules
from rodna.plan.config import PlanConfig
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine, Speeds, available_memory
from rodna.plan.memory import MemoryEstimate, training_memory
from rodna.plan.rules import Text
from rodna.plan.speed import StepTime, StepTimer, estimate_step, will_compile

PLANNED = "planned"
OVERHEAD_SHARE = 0.03
"""What checkpoints, the log and other programs add to the steps."""
SURPRISE = 1.6
"""A measured step this many times slower or faster than expected makes the size be chosen again."""


@dataclass(frozen=True)
class Plan:
    """What to train and why.

    Attributes:
        model: the decoder.
        train: values of the training settings, every planned one filled in.
        estimates: seconds, tokens, FLOPs, bytes of memory, watt-hours.
        reasons: one {setting, value, reason} for each decision.
        machine: what the plan was made for, and the speeds measured on it.
    """

    model: ModelConfig
    train: dict[str, Any]
    estimates: dict[str, Any]
    reasons: list[dict[str, Any]]
    machine: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """One candidate: a size with its batch, what it needs, and how far it gets in the time.

    Attributes:
        model: the decoder.
        batch_size: sequences of one optimizer step.
        micro_batch_size: sequences of one forward and backward.
        steps: optimizer steps.
        step: what a step costs.
        memory: peak of a step.
        evaluations: how often the validation text is scored.
        evaluation_seconds: of each.
    """

    model: ModelConfig
    batch_size: int
    micro_batch_size: int
    steps: int
    step: StepTime
    memory: MemoryEstimate
    evaluations: int = 0
    evaluation_seconds: float = 0.0

    @property
    def step_tokens(self) -> int:
        return self.batch_size * self.model.context_length

    @property
    def tokens_seen(self) -> int:
        return self.steps * self.step_tokens

    @property
    def seconds(self) -> float:
        """Of the whole training."""
        steps = self.steps * self.step.seconds * (1 + OVERHEAD_SHARE)
        return self.step.startup_seconds + steps + self.evaluations * self.evaluation_seconds


def propose(
    text: Text,
    machine: Machine,
    speeds: Speeds,
    config: PlanConfig,
    *,
    model: Mapping[str, Any],
    train: Mapping[str, Any],
    timer: StepTimer,
) -> Plan:
    """Return the plan for a text on a machine of these speeds; `model` and `train` hold plain values or `planned`.

    Raises:
        PlanError: the text is too small, the time too short, or the model too large for the memory.
    """
    if text.num_tokens < rules.MIN_TRAIN_TOKENS:
        raise PlanError(
            f"too little text to train on: {text.num_tokens:,} tokens ({human_bytes(text.num_bytes)})",
            where="the train split of the corpus",
            fix=f"add text: {rules.MIN_TRAIN_TOKENS:,} tokens are the least, 1 MB is a start",
        )
    recipe = choose(text, machine, speeds, config, model, train, timer)
    values = training_values(recipe, text, train)
    duration, flops = recipe.seconds, flops_per_token(recipe.model).model * recipe.tokens_seen
    estimates = {
        "seconds": duration,
        "startup_seconds": recipe.step.startup_seconds,
        "step_seconds": recipe.step.seconds,
        "tokens_per_second": recipe.step_tokens / recipe.step.seconds,
        "parameters": recipe.model.num_parameters,
        "train_bytes": text.num_bytes,
        "train_tokens": text.num_tokens,
        "tokens_seen": recipe.tokens_seen,
        "epochs": recipe.tokens_seen / text.num_tokens,
        "flops": flops,
        "memory_bytes": recipe.memory.total,
        "watt_hours": duration / 3600 * machine.watts,
    }
    fixed = {f"model.{name}" for name, value in model.items() if value != PLANNED}
    fixed |= {f"train.{name}" for name, value in train.items() if value != PLANNED}
    why = reasons.explain(recipe.model, values, text, config, estimates, fixed=fixed, memory=asdict(recipe.memory))
    return Plan(recipe.model, values, estimates, why, asdict(machine) | asdict(speeds))


def choose(
    text: Text,
    machine: Machine,
    speeds: Speeds,
    config: PlanConfig,
    model: Mapping[str, Any],
    train: Mapping[str, Any],
    timer: StepTimer,
) -> Recipe:
    """Return the size that should end with the lowest loss in the time, its steps timed on this machine."""
    settled = {name: value for name, value in train.items() if value != PLANNED}
    best = _best(text, machine, speeds, config, model, settled, slowdown=1.0)
    if config.calibration == "estimated":
        return best
    expected_seconds = config.time_budget_minutes * 60 if "steps" not in settled else best.seconds
    measured = timer(best.model, training_values(best, text, train), machine=machine, expected_seconds=expected_seconds)
    slowdown = measured.seconds / best.step.seconds
    if not 1 / SURPRISE < slowdown < SURPRISE:
        again = _best(text, machine, speeds, config, model, settled, slowdown=slowdown)
        if (again.model, again.batch_size) != (best.model, best.batch_size):
            best = again
            measured = timer(best.model, training_values(best, text, train), machine=machine, expected_seconds=expected_seconds)
    return with_steps(replace(best, step=measured), text, config, settled)


def _best(
    text: Text,
    machine: Machine,
    speeds: Speeds,
    config: PlanConfig,
    model: Mapping[str, Any],
    settled: Mapping[str, Any],
    *,
    slowdown: float,
) -> Recipe:
    """Return the candidate with the lowest expected loss, steps taking `slowdown` times their estimate."""
    sizes = candidates(text, config, model)
    sizes = [size for size in sizes if rules.suits(size, text)] or [min(sizes, key=lambda size: size.num_parameters)]
    dropout_is_planned = config.preset == PLANNED and model.get("dropout", PLANNED) == PLANNED
    found = [recipe_for(size, text, machine, speeds, config, settled, slowdown, dropout_is_planned=dropout_is_planned) for size in sizes]
    possible = [recipe for recipe in found if isinstance(recipe, Recipe)]
    if not possible:
        raise next(error for error in found if isinstance(error, PlanError))
    return min(possible, key=lambda recipe: rules.expected_loss(recipe.model, text, recipe.tokens_seen))


def recipe_for(
    candidate: ModelConfig,
    text: Text,
    machine: Machine,
    speeds: Speeds,
    config: PlanConfig,
    settled: Mapping[str, Any],
    slowdown: float,
    *,
    dropout_is_planned: bool,
) -> Recipe | PlanError:
    """Return the recipe of one size, or why there is none."""
    optimizer = settled.get("optimizer", "muon")

    def step_of(batch_size: int) -> StepTime:
        step = estimate_step(candidate, speeds, batch_size=batch_size, optimizer=optimizer, device=machine.device)
        return StepTime(seconds=step.seconds * slowdown, startup_seconds=step.startup_seconds)

    rate = rules.MAX_BATCH_TOKENS / step_of(max(1, rules.MAX_BATCH_TOKENS // candidate.context_length)).seconds
    reach = rate * config.time_budget_minutes * 60
    if dropout_is_planned:
        candidate = candidate.model_copy(update={"dropout": rules.dropout(reach / text.num_tokens)})
    reach = min(reach, rules.max_epochs(candidate) * text.num_tokens)
    batch_size = int(settled.get("batch_size", max(1, round(rules.batch_tokens(reach) / candidate.context_length))))
    try:
        micro_batch_size, memory = fit_memory(candidate, machine, config, settled, batch_size=batch_size)
        step = step_of(batch_size)
        return with_steps(Recipe(candidate, batch_size, micro_batch_size, 0, step, memory), text, config, settled)
    except PlanError as error:
        return error


def with_steps(recipe: Recipe, text: Text, config: PlanConfig, settled: Mapping[str, Any]) -> Recipe:
    """Return the recipe with as many steps as the time allows and the text is worth.

    Raises:
        PlanError: the time is too short for training to begin.
    """
    seconds = config.time_budget_minutes * 60
    step = recipe.step.seconds * (1 + OVERHEAD_SHARE)
    each = rules.evaluation_seconds(text, int(settled.get("evaluation_tokens", 0)), recipe.step.seconds / recipe.step_tokens)
    times = int(settled.get("evaluations", rules.evaluations(seconds, each)))
    if "steps" in settled:
        steps = int(settled["steps"])
    else:
        most = math.ceil(rules.max_epochs(recipe.model) * text.num_tokens / recipe.step_tokens)
        steps = min(most, int((seconds - recipe.step.startup_seconds - times * each) / step))
    if steps < rules.MIN_STEPS and "steps" not in settled:
        need = recipe.step.startup_seconds + rules.MIN_STEPS * step + times * each
        raise PlanError(
            f"the time is too short for {human_count(recipe.model.num_parameters)} parameters: a step takes "
            f"{human_seconds(recipe.step.seconds)}, {rules.MIN_STEPS} steps about {human_seconds(need)}",
            where=f"plan.time_budget_minutes: {config.time_budget_minutes:g}",
            fix=f"set plan.time_budget_minutes to {math.ceil(need / 6) / 10:g} or more, or choose a smaller model",
        )
    return replace(recipe, steps=steps, evaluations=times, evaluation_seconds=each)


def candidates(text: Text, config: PlanConfig, model: Mapping[str, Any]) -> list[ModelConfig]:
    """Return the sizes to choose from: the planned ones with the user's fields laid over, or the preset alone.

    Raises:
        PlanError: the user's fields contradict each other.
    """
    kept = {name: value for name, value in model.items() if value != PLANNED}
    if config.preset != PLANNED:
        shapes = [{**find_preset(config.preset).fields, **kept}]
    else:
        shapes = [rules.shape(width, num_layers, kept) for width, num_layers in rules.SIZES]
    try:
        found = [ModelConfig.model_validate({**fields, "vocabulary_size": text.vocabulary_size}) for fields in shapes]
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(("model", *map(str, problem["loc"])))
        raise PlanError(
            f"the model settings do not fit together: {problem['msg'].removeprefix('Value error, ')}",
            where=f"project.yaml, {name}",
            fix="correct them, or leave some of them out: they are planned around the others",
        ) from error
    return list(dict.fromkeys(found))


def fit_memory(
    model: ModelConfig, machine: Machine, config: PlanConfig, settled: Mapping[str, Any], *, batch_size: int
) -> tuple[int, MemoryEstimate]:
    """Return the micro-batch to use, and the memory it takes: the user's, or the largest useful one that fits.

    Raises:
        PlanError: not even one sequence at a time fits.
    """
    free = int(available_memory(machine) * config.memory_share)
    given = settled.get("micro_batch_size")
    sizes = [int(given)] if given else rules.micro_batch_sizes(batch_size, model, device=machine.device)
    memory = None
    for size in sizes:
        memory = training_memory(
            model,
            micro_batch_size=size,
            optimizer=settled.get("optimizer", "muon"),
            precision="fp32" if machine.bf16 == "none" or settled.get("precision") == "fp32" else "bf16",
            checkpoint_activations=settled.get("checkpoint_activations", False) is True,
            compiled=will_compile(machine, settled, seconds=config.time_budget_minutes * 60),
            device=machine.device,
        )
        if memory.total <= free:
            return size, memory
    assert memory is not None, "there is at least one micro-batch size"
    raise PlanError(
        f"training {human_count(model.num_parameters)} parameters with {sizes[-1]} sequences at a time needs {human_bytes(memory.total)} "
        f"of memory; {human_bytes(free)} may be used",
        where=f"plan.memory_share: {config.memory_share:g}",
        fix="choose a smaller model or micro-batch, set train.checkpoint_activations to true, or use a machine with more memory",
    )


def training_values(recipe: Recipe, text: Text, train: Mapping[str, Any]) -> dict[str, Any]:
    """Return every training setting as a plain value: the user's own, and proposals for the rest."""
    epochs = recipe.tokens_seen / text.num_tokens
    proposals = {
        "batch_size": recipe.batch_size,
        "micro_batch_size": recipe.micro_batch_size,
        "steps": max(1, recipe.steps),
        "learning_rate": rules.learning_rate(recipe.model, optimizer=train.get("optimizer", "muon")),
        "adam_learning_rate": rules.adam_learning_rate(recipe.model),
        "weight_decay": rules.weight_decay(epochs),
        "warmup_steps": rules.warmup_steps(recipe.steps),
        "decay_fraction": rules.DECAY_FRACTION,
        "evaluations": max(1, min(recipe.evaluations, recipe.steps)),
        "checkpoint_activations": False,
    }
    values = dict(train)
    for name, value in proposals.items():
        if values.get(name, PLANNED) == PLANNED:
            values[name] = value
    return values
