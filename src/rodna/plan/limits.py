"""What limits the result, the text or the arithmetic: both published laws for the user's case, and what more of either would give."""

from dataclasses import replace
from typing import Any

from rodna.models.config import ModelConfig
from rodna.plan import rules
from rodna.plan.candidates import PLANNED
from rodna.plan.flops import flops_per_token
from rodna.plan.isoflop import BUDGETS, Curve, Size, isoflop, plain_curve
from rodna.plan.job import Job, Recipe
from rodna.plan.scaling import CHINCHILLA, DATA_CONSTRAINED

MORE = 3.0
"""How much more text, or time, is imagined."""
REACH = 30.0
"""Sizes drawn are at most so many times larger or smaller than the chosen one."""
LIKE_THE_CHOSEN = ("context_length", "tied_embeddings", "ffn")
"""Of the settings that were given, those that change what a size costs: sizes drawn have them, too."""


def what_binds(job: Job, recipe: Recipe) -> dict[str, Any]:
    """Return which of text and compute limits the result, in numbers.

    Returns:
        `limit`: "text" where `MORE` times the text would lower the expected loss more than `MORE` times the arithmetic does, else
        "compute"; `affordable_epochs` and `useful_epochs`: passes that the time allows, and those that pay; `now`, `more_text`,
        `more_compute`: expected bits per byte of the best size; `chinchilla` and `data_constrained`: what those laws would train with
        the same arithmetic, their losses in nats a token of their own.
    """
    text, flops = job.text, flops_of(job, recipe)
    now, more_text, more_compute = (
        best_of(job, recipe, flops=flops * more, unique_tokens=text.num_tokens * texts) for more, texts in ((1, 1), (1, MORE), (MORE, 1))
    )
    # More of either need not be used: rules of passes and dropout may take a worse place of the law for it.
    more_text, more_compute = min(now, more_text), min(now, more_compute)
    affordable = flops / flops_per_token(recipe.model).model / text.num_tokens
    useful = rules.max_epochs(recipe.model, text.num_tokens, job.choices)
    parameters, tokens = CHINCHILLA.compute_optimal(flops)
    repeated, epochs = DATA_CONSTRAINED.best_repeated(flops, text.num_tokens)
    return {
        "limit": "text" if more_text < more_compute or (more_text == more_compute and affordable > useful) else "compute",
        "flops": flops,
        "affordable_epochs": affordable,
        "useful_epochs": useful,
        "effective_tokens": DATA_CONSTRAINED.effective_tokens(text.num_tokens, recipe.tokens_seen / text.num_tokens),
        "more": MORE,
        "now": now,
        "more_text": more_text,
        "more_compute": more_compute,
        "chinchilla": {"parameters": parameters, "tokens": tokens, "loss": CHINCHILLA.loss(parameters, tokens)},
        "data_constrained": {
            "parameters": repeated,
            "epochs": epochs,
            "loss": DATA_CONSTRAINED.repeated_loss(repeated, text.num_tokens, epochs),
        },
    }


def flops_of(job: Job, recipe: Recipe) -> float:
    """Return the FLOPs that the time allows, whatever the text is worth."""
    steps = recipe.affordable_steps or recipe.steps
    return flops_per_token(recipe.model).model * steps * recipe.step_tokens


def best_of(job: Job, recipe: Recipe, *, flops: float, unique_tokens: float) -> float:
    """Return the lowest expected loss of any size on a budget."""
    return curve_of(job, recipe, flops=flops, unique_tokens=unique_tokens).best.loss


def isoflop_curves(job: Job, recipe: Recipe) -> dict[str, Any]:
    """Return the curves of several budgets under the law in use, that of fresh text without end, and the chosen size.

    "seconds" are what the middle budget takes, "fixed_seconds" what of it no budget changes: start-up and evaluations.
    """
    flops, unique = flops_of(job, recipe), job.text.num_tokens
    curves = [curve_of(job, recipe, flops=flops * factor, unique_tokens=unique) for factor in BUDGETS]
    fresh = isoflop(
        lambda size, tokens: job.law.loss(size.weights, tokens, max(tokens, unique)),
        [_size(model) for model in _models(job, recipe)],
        flops,
    )
    chosen = {
        "parameters": recipe.model.num_parameters,
        "tokens": recipe.tokens_seen,
        "loss": job.expected_loss(recipe.model, recipe.tokens_seen),
    }
    return {
        "budgets": [plain_curve(curve) for curve in curves], "flops": flops, "fresh": plain_curve(fresh), "chosen": chosen,
        "seconds": replace(recipe, steps=recipe.affordable_steps or recipe.steps).seconds,
        "fixed_seconds": replace(recipe, steps=0).seconds,
    }  # fmt: skip


def curve_of(job: Job, recipe: Recipe, *, flops: float, unique_tokens: float) -> Curve:
    """Return one curve, each size trained for no more passes than pay."""

    def loss(size: Size, tokens: float) -> float:
        return job.law.loss(size.weights, tokens, unique_tokens, size.dropout)

    def size_of(model: ModelConfig) -> Size:
        too_large = model != recipe.model and not rules.suits(model, unique_tokens, job.choices)
        return _size(model, max_tokens=rules.max_epochs(model, unique_tokens, job.choices) * unique_tokens, too_large=too_large)

    sizes: list[Size] = []
    for model in _models(job, recipe):
        affordable = flops / flops_per_token(model).model
        dropouts = () if model is recipe.model else job.dropouts(affordable, unique_tokens)
        variants = [size_of(model.model_copy(update={"dropout": dropout})) for dropout in dropouts] or [size_of(model)]
        sizes.append(min(variants, key=lambda size: loss(size, min(affordable, size.max_tokens))))
    return isoflop(loss, sizes, flops)


def _models(job: Job, recipe: Recipe) -> list[ModelConfig]:
    """Return the planned sizes within `REACH` times of the chosen one, and that one, smallest first."""
    chosen = recipe.model
    kept = {name: getattr(chosen, name) for name in LIKE_THE_CHOSEN if name in job.shaped or job.config.preset != PLANNED}
    shapes = [rules.shape(width, num_layers, kept) for width, num_layers in rules.SIZES]
    planned = [ModelConfig.model_validate({**shape, "vocabulary_size": chosen.vocabulary_size}) for shape in shapes]
    size = chosen.num_parameters
    others = [model for model in planned if size / REACH < model.num_parameters < size * REACH and model.num_parameters != size]
    return sorted([*others, chosen], key=lambda model: model.num_parameters)


def _size(model: ModelConfig, *, max_tokens: float = float("inf"), too_large: bool = False) -> Size:
    return Size(model.num_parameters, rules.block_parameters(model), flops_per_token(model).model, max_tokens, too_large, model.dropout)
