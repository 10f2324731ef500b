"""From the plan and what one model has otherwise to everything its training needs, as plain numbers."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from rodna.core.config import merge, validate
from rodna.core.errors import ConfigError
from rodna.models.config import ModelConfig
from rodna.models.presets import find_preset
from rodna.plan import rules
from rodna.plan.flops import flops_per_token
from rodna.plan.propose import Plan
from rodna.plan.together import expected_of_student
from rodna.train.config import TrainValues
from rodna.train.ensemble_config import Difference, EnsembleConfig, Variant
from rodna.train.session import Job

PLANNED = "planned"
DROPOUT_STEP = 0.05
"""Members that differ in dropout have the planned rate, one step more, two steps more, and again."""
RATES = ("learning_rate", "adam_learning_rate")
LIKE_PLANNED = 0.5
"""Members that differ in architecture have about as many weights as the plan; whole layers and heads make a difference of so much."""
SHAPES = ((1.0, 1.0), (1.5, 2 / 3), (2 / 3, 1.5))
"""Members that differ in architecture have these multiples of the planned layers and of the planned width squared, in turn: each has
about as many parameters in its blocks."""


def member_jobs(config: EnsembleConfig, plan: Plan, given: Mapping[str, Any], shaped: Mapping[str, Any], *, num_tokens: int) -> list[Job]:
    """Return what each member is. Those of a chain that are taught have less dropout (`rules.TAUGHT_DROPOUT`).

    Args:
        config: the ensemble's settings.
        plan: of one member.
        given: the training settings as the user wrote them: those that are not `planned` are kept.
        shaped: the model's settings likewise.
        num_tokens: of the train split: an epoch is one pass over them.

    Raises:
        ConfigError: a member's settings contradict each other, or two members would be the same model.
        ModelError: there is no such preset.
    """
    jobs: list[Job] = []
    for index, variant in enumerate(config.all_overrides):
        # A named size is taken as it is; its member differs from the others by that.
        vary = set(config.vary) - (set() if variant.preset == PLANNED else {"dropout", "architecture"})
        varied = merge(_varied(vary, index, plan), {"model": variant.model, "train": variant.train})
        if config.chain and index and variant.preset == PLANNED and "dropout" not in vary and shaped.get("dropout", PLANNED) == PLANNED:
            varied["model"] = {"dropout": rules.TAUGHT_DROPOUT * plan.model.dropout, **varied["model"]}
        chosen = variant.model_copy(update=varied)
        order = int(plan.train["seed"]) + (index if "order" in config.vary else 0)
        where = f"ensemble.overrides.{index}"
        job = job_of(chosen, plan, given, num_tokens=num_tokens, order_seed=order, where=where)
        if config.chain and jobs:
            # Its steps also take the forward passes of those before it.
            own, length = flops_per_token(job.model).model, job.model.context_length
            pace = own / (own + sum(flops_per_token(before.model, sequence_length=length).forward for before in jobs))
            job = job_of(chosen, plan, given, num_tokens=num_tokens, order_seed=order, where=where, pace=pace)
        jobs.append(job)
    if not config.chain:
        _check_all_differ(jobs)
    return jobs


def _check_all_differ(jobs: Sequence[Job]) -> None:
    for number, job in enumerate(jobs):
        if job in jobs[:number]:
            raise ConfigError(
                f"members {jobs.index(job) + 1} and {number + 1} would be the same model: nothing that they are trained with differs",
                where="ensemble.vary", fix="add seed or order to ensemble.vary, or tell them apart in ensemble.overrides",
            )  # fmt: skip


def _varied(vary: Set[Difference], index: int, plan: Plan) -> dict[str, Any]:
    """Return the settings that make a member differ from the others."""
    model: dict[str, Any] = {}
    train: dict[str, Any] = {}
    if "seed" in vary:
        train["seed"] = int(plan.train["seed"]) + index
    if "dropout" in vary:
        model["dropout"] = min(0.9, plan.model.dropout + DROPOUT_STEP * (index % 3))
    if "architecture" in vary and index % len(SHAPES):
        deeper, wider = SHAPES[index % len(SHAPES)]
        heads = max(1, round(plan.model.num_heads * math.sqrt(wider)))
        model |= {
            "num_layers": max(1, round(plan.model.num_layers * deeper)), "num_heads": heads, "num_kv_heads": heads,
            "width": heads * plan.model.head_width, "ffn_width": max(32, round(plan.model.ffn_width * math.sqrt(wider) / 32) * 32),
        }  # fmt: skip
    return {"model": model, "train": train}


def job_of(
    variant: Variant, plan: Plan, given: Mapping[str, Any], *, num_tokens: int, order_seed: int, where: str, pace: float = 1.0
) -> Job:
    """Return one training: the plan's settings with the variant's laid over.

    Planned steps are made `pace` times as many and fewer for what takes longer than the planned model; steps that the user gave are kept.
    Planned sequences of a step become more where they become shorter: a step has as many tokens.

    Args:
        variant: what is otherwise.
        plan: model and settings.
        given: the training settings as the user wrote them.
        num_tokens: of the train split.
        order_seed: of the order of the text.
        where: the settings stand, for errors.
        pace: how many of the plan's steps there is time for, for a model as fast as the planned one.

    Raises:
        ConfigError: the settings contradict each other.
        ModelError: there is no such preset.
    """
    shape = plan.model.model_dump()
    if variant.preset != PLANNED:
        shape = {"vocabulary_size": plan.model.vocabulary_size, **find_preset(variant.preset).fields}
    if shape.get("rotary_width") == shape.get("head_width"):
        # Whole heads are rotated, however wide the variant's are.
        shape.pop("rotary_width", None)
    model = _model({**shape, **variant.model}, where)
    values = {**plan.train, **variant.train}
    free = {name for name, value in given.items() if value == PLANNED and name not in variant.train}
    if "batch_size" in free:
        values["batch_size"] = max(1, round(values["batch_size"] * plan.model.context_length / model.context_length))
    if "micro_batch_size" in free:
        values["micro_batch_size"] = min(
            values["batch_size"], max(1, round(values["micro_batch_size"] * relative_memory(plan.model, model)))
        )
    step_tokens = values["batch_size"] * model.context_length
    if "steps" in free:
        planned = int(plan.train["steps"])
        if variant.epochs == PLANNED:
            work = flops_per_token(plan.model).model * plan.train["batch_size"] * plan.model.context_length
            steps = planned * pace * work / (flops_per_token(model).model * step_tokens)
        else:
            steps = variant.epochs * num_tokens / step_tokens
        values["steps"] = max(1, round(steps))
    for name in {"warmup_steps"} & free:
        values[name] = round(values[name] * min(1.0, values["steps"] / int(plan.train["steps"])))
    for name in {"evaluations"} & free:
        values[name] = min(values[name], values["steps"])
    try:
        return Job(model, validate(TrainValues, values), order_seed)
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{where}.train", fix=error.fix) from error


def relative_memory(planned: ModelConfig, model: ModelConfig) -> float:
    """Return how many sequences of a model fit where one of the planned model does, at most as many tokens as before."""
    tokens = planned.context_length / model.context_length
    features = (planned.num_layers * planned.width + planned.vocabulary_size) / (model.num_layers * model.width + model.vocabulary_size)
    return tokens * min(1.0, features)


def _model(fields: Mapping[str, Any], where: str) -> ModelConfig:
    try:
        return ModelConfig.model_validate(dict(fields))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: ".removeprefix(": ") + problem["msg"].removeprefix("Value error, ")
            for problem in error.errors()
        )
        raise ConfigError(f"the model's settings do not fit together: {problems}", where=f"{where}.model",
                          fix="correct them, or leave some of them out: the plan's are used then") from error  # fmt: skip


def student_job(
    variant: Variant,
    plan: Plan,
    given: Mapping[str, Any],
    shaped: Mapping[str, Any],
    *,
    num_tokens: int,
    time: float,
    teachers: Sequence[ModelConfig],
) -> Job:
    """Return what a student is: where nobody says otherwise the largest that has time for the passes that the plan has.

    It may be larger than a model that learns alone, and has less dropout (`rules.TAUGHT_SIZES`, `rules.TAUGHT_DROPOUT`).

    Args:
        variant: what the user wants of the student.
        plan: of one member, or without members of the student.
        given: the training settings as the user wrote them.
        shaped: the model's settings likewise, and `preset`.
        num_tokens: of the train split.
        time: that the student has, in times of the planned training; see `time_of_student`.
        teachers: whose forward passes its steps take, too.

    Raises:
        ConfigError: the settings contradict each other.
        ModelError: there is no such preset.
    """
    where, planned, named = "distill.student", plan.model, variant.preset != PLANNED
    asked = {name for name, value in shaped.items() if value != PLANNED} | set(variant.model)
    own = {} if named or "dropout" in asked else {"dropout": rules.TAUGHT_DROPOUT * planned.dropout}
    free = {name for name in RATES if given.get(name) == PLANNED} - set(variant.train)
    alone, epochs = flops_per_token(planned).model, float(plan.estimates.get("epochs", 1.0))
    useful = max(1.0, float(plan.binds.get("useful_epochs", epochs)) / epochs)

    def job(size: Mapping[str, Any], pace: float) -> Job:
        rate = rules.rate_at(size.get("width", planned.width)) / rules.rate_at(planned.width)
        slower = {name: rules.two_digits(plan.train[name] * rate) for name in free} if size else {}
        chosen = variant.model_copy(update={"model": {**size, **own, **variant.model}, "train": {**slower, **variant.train}})
        return job_of(chosen, plan, given, num_tokens=num_tokens, order_seed=int(plan.train["seed"]), where=where, pace=pace)

    sizes = [{}] if named else rules.student_shapes(planned, asked)
    while True:
        size, *sizes = sizes
        model = job(size, 1.0).model
        own_work, length = flops_per_token(model).model, model.context_length
        work = own_work + sum(flops_per_token(teacher, sequence_length=length).forward for teacher in teachers)
        passes = time * alone / work
        if passes >= 1 or not sizes:
            return job(size, min(passes, useful) * own_work / alone)


def expected_of(student: Job, plan: Plan, *, teachers: Sequence[ModelConfig]) -> dict[str, float] | None:
    """Return the held-out bits per byte that a student of an ensemble should take, and the ends of the 95% interval.

    None where our own students say nothing of it: it is smaller than its teachers, or they are not as large as the plan has them.

    Args:
        student: to be trained.
        plan: of one member.
        teachers: all of them, members of an ensemble.
    """
    own, planned = (rules.block_parameters(model) for model in (student.model, plan.model))
    as_planned = all(abs(rules.block_parameters(teacher) / planned - 1) < LIKE_PLANNED for teacher in teachers)
    if not teachers or not plan.expected or not as_planned or own < planned:
        return None
    return expected_of_student(plan.expected, len(teachers), larger=own > planned)


def untaught(job: Job, variant: Variant, plan: Plan) -> Job:
    """Return what a student is compared with: the same model without teachers, with the dropout that is planned for such.

    Args:
        job: the student.
        variant: what the user wanted of it; a dropout that was asked for is that of both.
        plan: of a model that learns alone.
    """
    if variant.preset != PLANNED or "dropout" in variant.model:
        return job
    return replace(job, model=job.model.model_copy(update={"dropout": plan.model.dropout}))


def time_of_student(shared: Mapping[str, Any], plan: Plan) -> float:
    """Return the time that the student has, in times of the planned training.

    With an ensemble the plan is for one member, which has `share / split_over` of the time; the student has `1 - share`. A plan that the
    text limits ends before its time does.

    Args:
        shared: `share` and `split_over`; empty without members: the plan is the student's own then.
        plan: of one member, or without members of the student.
    """
    epochs = float(plan.estimates.get("epochs", 1.0))
    spare = max(1.0, float(plan.binds.get("affordable_epochs", epochs)) / epochs)
    return spare * ((1 - shared["share"]) * shared["split_over"] / shared["share"] if shared else 1.0)
