"""Choose a model and a training recipe for a text, a machine and a time; what the user has fixed is kept."""

import math
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rodna.core.errors import PlanError
from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.models.config import ModelConfig
from rodna.plan import reasons, rules
from rodna.plan.candidates import PLANNED, candidates, fit_memory
from rodna.plan.config import PlanConfig
from rodna.plan.expect import anchored_law
from rodna.plan.fit import Fit
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine, Speeds
from rodna.plan.job import OVERHEAD_SHARE, Job, Recipe
from rodna.plan.limits import isoflop_curves, what_binds
from rodna.plan.recipes import choose_recipe
from rodna.plan.rules import Text
from rodna.plan.speed import STARTUP_SECONDS, StepTime, StepTimer, estimate_step, will_compile
from rodna.plan.together import best_together

SURPRISE = 1.6
"""A measured step this many times slower or faster than expected makes the size be chosen again."""
SPARE = 1.1
"""So does one that leaves a tenth of the time over once the text has been read as often as pays, and one that allows so few or so many
passes that another dropout is called for."""
MOST_SECOND_THOUGHTS = 2
TOLD_APART = ("learning_rate", "adam_learning_rate", "batch_size", "weight_decay", "decay_fraction")
FAR = 2.0
"""A given number of these, so many times what is usual, makes a run that nothing was measured of."""


@dataclass(frozen=True)
class Plan:
    """What to train and why.

    Attributes:
        model: the decoder.
        train: values of the training settings, every planned one filled in.
        estimates: seconds, tokens, FLOPs, bytes of memory, watt-hours, money.
        reasons: one {setting, value, reason} for each decision.
        machine: what the plan was made for, and the speeds measured on it.
        expected: held-out bits per byte with the ends of the 95% interval, and where the expectation comes from.
        binds: whether the text or the time is what limits the result, and what more of either would give.
        isoflop: expected loss by size on several budgets: what the picture draws.
    """

    model: ModelConfig
    train: dict[str, Any]
    estimates: dict[str, Any]
    reasons: list[dict[str, Any]]
    machine: dict[str, Any]
    expected: dict[str, Any] = field(default_factory=dict)
    binds: dict[str, Any] = field(default_factory=dict)
    isoflop: dict[str, Any] = field(default_factory=dict)

    def of_one(self) -> "Plan":
        """Return the plan without the ensemble that it proposes: of a model that is to be a member or a student of one already."""
        ensemble = {name: type(value)() for name, value in self.estimates.items() if name.startswith("ensemble_")}
        reasons = [row for row in self.reasons if row["setting"] != "ensemble"]
        return replace(self, estimates=self.estimates | ensemble, reasons=reasons)


def propose(
    text: Text,
    machine: Machine,
    speeds: Speeds,
    config: PlanConfig,
    *,
    model: Mapping[str, Any],
    train: Mapping[str, Any],
    timer: StepTimer,
    fit: Fit | None = None,
    left_open: Set[str] = frozenset(),
) -> Plan:
    """Return the plan for a text on a machine of these speeds.

    Args:
        text: what there is to learn from.
        machine: where.
        speeds: of the machine.
        config: time or money, recipe, preset.
        model: shape, plain values or `planned`.
        train: training settings, likewise.
        timer: measures training steps, where the machine is at hand.
        fit: of pilot runs on this text, where there were any.
        left_open: training settings whose value is a default that the recipe may replace.

    Raises:
        PlanError: the text is too small, the time too short, or the model too large for the memory.
    """
    if text.num_tokens < rules.MIN_TRAIN_TOKENS:
        raise PlanError(
            f"too little text to train on: {text.num_tokens:,} tokens ({human_bytes(text.num_bytes)})",
            where="the train split of the corpus",
            fix=f"add text: {rules.MIN_TRAIN_TOKENS:,} tokens are the least, 1 MB is a start",
        )
    choices = choose_recipe(config.recipe, text.num_bytes)
    settings = {**train, **{name: value for name, value in choices.train.items() if name in left_open}}
    if text.num_tokens > rules.MOST_COUNTED_TOKENS and "ngram_order" in left_open:
        settings["ngram_order"] = 0
    factors = (fit.rate_factor, fit.batch_factor) if fit else (1.0, 1.0)
    job = Job(text, machine, speeds, config, model, settings, choices, fit or anchored_law(text), *factors)
    recipe = choose(job, timer)
    values, estimates = training_values(recipe, job), estimates_of(recipe, job)
    expected = expectation(recipe, job, fit=fit)
    binds = what_binds(job, recipe)
    fixed = {f"model.{name}" for name, value in model.items() if value != PLANNED}
    fixed |= {f"train.{name}" for name, value in train.items() if value != PLANNED and name not in left_open}
    why = reasons.explain(job, recipe.model, values, estimates, expected, binds, fixed=fixed, memory=asdict(recipe.memory))
    curves = isoflop_curves(job, recipe)
    return Plan(recipe.model, values, estimates, why, asdict(machine) | asdict(speeds), expected, binds, curves)


def estimates_of(recipe: Recipe, job: Job) -> dict[str, Any]:
    """Return the figures of the whole training, and the ensemble that would do better in the time, if one would."""
    duration, text = recipe.seconds, job.text
    together = best_together(job, recipe)
    return {
        "seconds": duration,
        "startup_seconds": recipe.step.startup_seconds,
        "step_seconds": recipe.step.seconds,
        "tokens_per_second": recipe.step_tokens / recipe.step.seconds,
        "parameters": recipe.model.num_parameters,
        "train_bytes": text.num_bytes,
        "train_tokens": text.num_tokens,
        "tokens_seen": recipe.tokens_seen,
        "epochs": recipe.tokens_seen / text.num_tokens,
        "flops": flops_per_token(recipe.model).model * recipe.tokens_seen,
        "memory_bytes": recipe.memory.total,
        "watt_hours": duration / 3600 * job.machine.watts,
        "money": duration / 3600 * job.config.price_per_hour,
        "ensemble_members": together.members if together else 0,
        "ensemble_share": math.ceil(100 * together.share) / 100 if together else 0.0,
        "ensemble_bits_per_byte": together.bits_per_byte if together else 0.0,
    }


def expectation(recipe: Recipe, job: Job, *, fit: Fit | None) -> dict[str, Any]:
    """Return the expected held-out bits per byte, its interval and its source, and as `unlike` the given settings that it does not know."""
    model = recipe.model
    value, low, high = job.law.predict(rules.block_parameters(model), recipe.tokens_seen, job.text.num_tokens, model.dropout)
    source = "pilots" if fit else "ngram" if job.text.ngram_bits_per_byte else "recorded"
    return {"bits_per_byte": value, "low": low, "high": high, "source": source, "ngram_bits_per_byte": job.text.ngram_bits_per_byte,
            "unlike": unlike(proposals_of(recipe, job), job, fit)}  # fmt: skip


def unlike(proposals: Mapping[str, Any], job: Job, fit: Fit | None) -> dict[str, list[float]]:
    """Return setting -> [given, usual] of those that the user gave far from what the runs had that the expectation rests on."""
    usual = {**proposals, **(fit.recipe if fit else {})}
    found = {}
    for name in TOLD_APART:
        given = job.train.get(name, PLANNED)
        if given != PLANNED and given != usual[name] and not (usual[name] and 1 / FAR <= given / usual[name] <= FAR):
            found[f"train.{name}"] = [given, usual[name]]
    return found


def choose(job: Job, timer: StepTimer) -> Recipe:
    """Return the size that should end with the lowest loss in the time, its steps timed on this machine."""
    best = _best(job, slowdown=1.0)
    if job.config.calibration == "estimated" or not job.machine.at_hand:
        return with_steps(replace(best, step=with_startup(best.step, job)), job)
    expected_seconds = job.seconds if "steps" not in job.settled else best.seconds

    def timed(recipe: Recipe) -> StepTime:
        return timer(recipe.model, training_values(recipe, job), machine=job.machine, expected_seconds=expected_seconds)

    measured = timed(best)
    for _ in range(MOST_SECOND_THOUGHTS):
        again = _second_thought(best, job, measured)
        if (again.model, again.batch_size) == (best.model, best.batch_size):
            break
        best, measured = again, timed(again)
    return with_steps(replace(best, step=measured), job)


def _second_thought(chosen: Recipe, job: Job, measured: StepTime) -> Recipe:
    """Return the candidate to take now that steps of the chosen one are measured: itself, unless they are a surprise."""
    slowdown = measured.seconds / step_of(chosen.model, job, 1.0, batch_size=chosen.batch_size).seconds
    tokens = max(0.0, job.seconds - measured.startup_seconds) / measured.seconds * chosen.step_tokens
    unique, dropout = job.text.num_tokens, chosen.model.dropout
    takes_another = dropout not in (job.dropouts(tokens, unique) or (dropout,))
    ends_early = tokens > SPARE * rules.max_epochs(chosen.model, unique, job.choices) * unique
    if 1 / SURPRISE < slowdown < SURPRISE and not takes_another and not ends_early:
        return chosen
    return _best(job, slowdown=tokens_in_time(chosen.model, job, 1.0) / max(tokens, 1.0))


def _best(job: Job, *, slowdown: float) -> Recipe:
    """Return the candidate with the lowest expected loss, steps taking `slowdown` times their estimate."""
    sizes = candidates(job.text, job.config, job.model)
    sizes = [size for size in sizes if rules.suits(size, job.text.num_tokens, job.choices)] or [
        min(sizes, key=lambda size: size.num_parameters)
    ]
    found = [recipe_for(variant, job, slowdown) for size in sizes for variant in variants_of(size, job, slowdown)]
    possible = [recipe for recipe in found if isinstance(recipe, Recipe)]
    if not possible:
        raise next(error for error in found if isinstance(error, PlanError))
    return min(possible, key=lambda recipe: job.expected_loss(recipe.model, recipe.tokens_seen))


def variants_of(size: ModelConfig, job: Job, slowdown: float) -> list[ModelConfig]:
    """Return a size with each dropout that it may be trained with."""
    dropouts = job.dropouts(tokens_in_time(size, job, slowdown), job.text.num_tokens)
    return [size.model_copy(update={"dropout": dropout}) for dropout in dropouts] or [size]


def step_of(model: ModelConfig, job: Job, slowdown: float, *, batch_size: int) -> StepTime:
    """Return the estimated time of a step."""
    step = estimate_step(model, job.speeds, batch_size=batch_size, train=job.settled)
    return StepTime(seconds=step.seconds * slowdown, startup_seconds=step.startup_seconds)


def with_startup(step: StepTime, job: Job) -> StepTime:
    """Return an estimated step with what compiling is assumed to take, where training will compile."""
    will = will_compile(job.machine, job.settled, seconds=job.seconds)
    return StepTime(seconds=step.seconds, startup_seconds=STARTUP_SECONDS[job.machine.device] if will else 0.0)


def tokens_in_time(model: ModelConfig, job: Job, slowdown: float) -> float:
    """Return about how many tokens the time is enough for, in large batches."""
    batch_size = max(1, rules.MAX_BATCH_TOKENS // model.context_length)
    return rules.MAX_BATCH_TOKENS / step_of(model, job, slowdown, batch_size=batch_size).seconds * job.seconds


def recipe_for(candidate: ModelConfig, job: Job, slowdown: float) -> Recipe | PlanError:
    """Return the recipe of one size, or why there is none."""
    choices, settled, unique = job.choices, job.settled, job.text.num_tokens
    reach = min(tokens_in_time(candidate, job, slowdown), rules.max_epochs(candidate, unique, choices) * unique)
    batch = rules.batch_tokens(reach, unique, choices)
    planned = batch * job.batch_factor
    batch_size = int(settled.get("batch_size", max(1, round(planned / candidate.context_length))))
    try:
        micro_batch_size, memory = fit_memory(candidate, job.machine, job.config, settled, batch_size=batch_size)
        step = step_of(candidate, job, slowdown, batch_size=batch_size)
        drawn = Recipe(candidate, batch_size, micro_batch_size, 0, step, memory)
        # Where the text is short, and its batch therefore small, the rate is lower by the square root: of a batch that was given, too.
        usual = max(1, round(batch / candidate.context_length))
        used = batch if "batch_size" not in settled or batch_size == usual else batch_size * candidate.context_length
        share = min(1.0, math.sqrt(used / rules.batch_tokens(reach, math.inf, choices)))
        return with_steps(replace(drawn, rate_share=share), job)
    except PlanError as error:
        return error


def with_steps(recipe: Recipe, job: Job) -> Recipe:
    """Return the recipe with as many steps as the time allows and the text is worth.

    Raises:
        PlanError: the time is too short for training to begin.
    """
    settled, step = job.settled, recipe.step.seconds * (1 + OVERHEAD_SHARE)
    each = rules.evaluation_seconds(job.text, int(settled.get("evaluation_tokens", 0)), recipe.step.seconds / recipe.step_tokens)
    times = int(settled.get("evaluations", rules.evaluations(job.seconds, each)))
    if "steps" in settled:
        return replace(recipe, steps=int(settled["steps"]), evaluations=times, evaluation_seconds=each)
    affordable = int((job.seconds - recipe.step.startup_seconds - times * each) / step)
    unique = job.text.num_tokens
    most = math.ceil(rules.max_epochs(recipe.model, unique, job.choices) * unique / recipe.step_tokens)
    if affordable < rules.MIN_STEPS:
        raise too_short(recipe, job, need=recipe.step.startup_seconds + rules.MIN_STEPS * step + times * each)
    return replace(recipe, steps=min(most, affordable), affordable_steps=affordable, evaluations=times, evaluation_seconds=each)


def too_short(recipe: Recipe, job: Job, *, need: float) -> "TooShortError":
    """Return the error that says how much time, or money, would do."""
    what = (
        f"the time is too short for {human_count(recipe.model.num_parameters)} parameters: a step takes "
        f"{human_seconds(recipe.step.seconds)}, {rules.MIN_STEPS} steps about {human_seconds(need)}"
    )
    return TooShortError(what, need, job.config)


class TooShortError(PlanError):
    """The time, or the money, is not enough.

    Attributes:
        need: seconds of one model that would do.
    """

    def __init__(self, what: str, need: float, config: PlanConfig, *, share: float = 1.0) -> None:
        """Say how much would do.

        Args:
            what: takes so long.
            need: seconds of one model that would do.
            config: the whole time or money.
            share: of it, that one model has.
        """
        self.need = need
        minutes = math.ceil(need / share / 6) / 10
        has = f", of which one member has {human_seconds(60 * config.minutes * share)}" if share < 1 else ""
        if config.money_budget:
            where = f"plan.money_budget: {config.money_budget:g}, which pays {human_seconds(60 * config.minutes)}{has}"
            fix = f"set plan.money_budget to {_rounded_up(minutes / 60 * config.price_per_hour)} or more, or choose a smaller model"
        else:
            where = f"plan.time_budget_minutes: {config.time_budget_minutes:g}{has}"
            fix = f"set plan.time_budget_minutes to {minutes:g} or more, or choose a smaller model"
        super().__init__(what, where=where, fix=f"{fix}; or train fewer members" if share < 1 else fix)


def _rounded_up(amount: float) -> str:
    """Return an amount of money with two digits, never less than it is."""
    unit = 10.0 ** (math.floor(math.log10(amount)) - 1)
    return f"{math.ceil(amount / unit) * unit:.2g}"


def training_values(recipe: Recipe, job: Job) -> dict[str, Any]:
    """Return every training setting as a plain value: the user's own, and proposals for the rest."""
    values = dict(job.train)
    for name, value in proposals_of(recipe, job).items():
        if values.get(name, PLANNED) == PLANNED:
            values[name] = value
    return values


def proposals_of(recipe: Recipe, job: Job) -> dict[str, Any]:
    """Return what is proposed for every training setting that a plan fills in, whatever the user gave."""
    choices, epochs = job.choices, recipe.tokens_seen / job.text.num_tokens
    most = rules.max_epochs(recipe.model, job.text.num_tokens, choices)
    rate = recipe.rate_share * rules.learning_rate(recipe.model, optimizer=job.train.get("optimizer", "muon"), recipe=choices)
    adam_rate = recipe.rate_share * rules.adam_learning_rate(recipe.model, recipe=choices)
    return {
        "batch_size": recipe.batch_size,
        "micro_batch_size": recipe.micro_batch_size,
        "steps": max(1, recipe.steps),
        "learning_rate": rules.two_digits(rate * job.rate_factor),
        "adam_learning_rate": rules.two_digits(adam_rate * job.rate_factor),
        "bpe_dropout": rules.bpe_dropout(epochs, most, choices) if job.text.has_merges else 0.0,
        "weight_decay": rules.weight_decay(epochs, choices),
        "warmup_steps": rules.warmup_steps(recipe.steps),
        "decay_fraction": choices.decay_fraction,
        "evaluations": max(1, min(recipe.evaluations, recipe.steps)),
        "checkpoint_activations": False,
    }
