"""What a fitted law depends on, and where it is kept: what `plan fit` makes and a plan looks for."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core.artifact import Artifact
from rodna.core.workspace import Result, Stage, Workspace

if TYPE_CHECKING:
    from rodna.cli.project import Project

SHAPE = frozenset(
    ("context_length", "width", "num_layers", "num_heads", "num_kv_heads", "head_width", "ffn_width", "tied_embeddings", "dropout")
)
"""Settings of the model that a plan fills in."""
WITHOUT_EFFECT = frozenset(
    ("seed", "compile", "evaluation_tokens", "patience", "log_every", "save_minutes", "keep_checkpoints", "trackers", "ngram_order")
)
"""Settings of training that say nothing about how well a model learns."""


def existing_fit(project: "Project", workspace: Workspace, *, corpus: str, tokenizer: str) -> Artifact | None:
    """Return the latest fit for the project's text and settings, None where `rodna plan fit` was not run.

    Args:
        project: whose.
        workspace: where it is looked for.
        corpus: digest.
        tokenizer: digest.
    """
    return Result(**_identity(project, corpus=corpus, tokenizer=tokenizer)).newest(workspace).existing(workspace)


def scaling_stage(project: "Project", *, corpus: str, tokenizer: str, make: Callable[[Path], Artifact]) -> Stage:
    """Return the stage whose result is a fit for this text and these settings."""
    return Stage(**_identity(project, corpus=corpus, tokenizer=tokenizer), make=make)


def _identity(project: "Project", *, corpus: str, tokenizer: str) -> dict[str, Any]:
    from rodna.plan.fit import FORMAT_VERSION, KIND

    inputs = {"corpus": corpus, "tokenizer": tokenizer}
    return {"kind": KIND, "name": project.name, "format_version": FORMAT_VERSION, "inputs": inputs, "config": fit_settings(project)}


def fit_settings(project: "Project") -> dict[str, Any]:
    """Return the settings a fit depends on: what model and training are like, whatever their size and length.

    What a plan fills in is left out: the law is for any size and length, and `plan --write` must not throw the fit away.
    """
    from rodna.plan.plan import plan_settings
    from rodna.train.config import TrainConfig

    settings = plan_settings(project.plan, model=project.model, train=project.train)
    planned = {name for name, field in TrainConfig.model_fields.items() if field.default == "planned"}
    return {
        "model": {name: value for name, value in settings["model"].items() if name not in SHAPE},
        "train": {name: value for name, value in settings["train"].items() if name not in planned | WITHOUT_EFFECT},
        "plan": {name: settings["plan"][name] for name in ("recipe", "preset", "device")},
    }
