"""`rodna plan fit`: pilot runs on the user's own text, and the law they give."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.core.log import say

if TYPE_CHECKING:
    from pathlib import Path

    from rodna.cli.stages import Stages
    from rodna.core.artifact import Artifact
    from rodna.core.workspace import Stage
    from rodna.plan.fit import Fit
    from rodna.plan.propose import Plan

MINUTES = 4.0


def fit(
    minutes: Annotated[float, typer.Option("--minutes", min=0.05, max=60 * 24, help="Of training, for all pilot runs together.")] = MINUTES,
    again: Annotated[bool, typer.Option("--again", help="Make it anew, though there is a fit; for more minutes, too.")] = False,
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train small models on your text for some minutes; from then on, plan by what they show.

    They give a law of bits per byte, with intervals, and the learning rate and batch. Do it before training: a new fit is a new plan.

    Stop it at any moment and type it again: it goes on where it was.
    """
    import shutil

    from rodna.cli.lock import locked
    from rodna.cli.verbs import open_stages, print_json, stage_verb
    from rodna.plan.fit import fit_json, read_fit

    stages = open_stages(workspace, set_)
    if dry_run:
        made = scaling_stage(stages, minutes=minutes).existing(stages.workspace)
        state = "would be made" if again or made is None else "unchanged"
        print_json([{"stage": "scaling", "state": state}]) if as_json else say(f"scaling: {state}")
        return
    stage_verb(("tokens",), workspace=workspace, overrides=set_, dry_run=False, as_json=False, quiet=True)
    stages = open_stages(workspace, set_)
    stage = scaling_stage(stages, minutes=minutes, anew=again)
    with locked(stages.workspace):
        if again and not stage.times_again:
            # Nothing was finished: what was begun is begun again.
            shutil.rmtree(run_folder(stages, stage, minutes), ignore_errors=True)
        elif not again and stage.existing(stages.workspace) is not None:
            say(f"this is the fit that there is: `rodna plan fit --again --minutes {minutes:g}` makes another")
        made = stage.run(stages.workspace)
    found = read_fit(made)
    if as_json:
        print_json({"path": str(made.path), **{name: value for name, value in fit_json(found).items() if name != "draws"}})
    else:
        print_fit(found)


def scaling_stage(stages: "Stages", *, minutes: float = MINUTES, anew: bool = False) -> "Stage":
    """Return the stage that makes pilot runs and the fit. How many minutes they take is no part of what it depends on.

    Args:
        stages: of the project.
        minutes: for all pilots.
        anew: make another beside the fit that there is.
    """
    from rodna.cli.scaling import fit_settings
    from rodna.cli.scaling import scaling_stage as stage_of

    project = stages.project

    def make(out: "Path") -> "Artifact":
        from rodna.train.pilots import fit_scaling

        run = run_folder(stages, stage, minutes)
        fixed = {name for name, value in project.train if value != "planned"}
        return fit_scaling(
            stages.artifact("corpus"), stages.artifact("tokenizer"), stages.artifact("tokens"), fit_settings(project), out, run=run,
            make_target=lambda: target_of(stages), seconds=60 * minutes, dropouts=dropouts_of(stages), fixed=fixed, again=stage.times_again,
        )  # fmt: skip

    stage = stage_of(project, corpus=stages.stage("corpus").digest, tokenizer=stages.stage("tokenizer").digest, make=make)
    stage = (stage.anew if anew else stage.newest)(stages.workspace)
    return stage


def run_folder(stages: "Stages", stage: "Stage", minutes: float) -> "Path":
    """Return where pilots are kept: more minutes are another ladder."""
    return stages.workspace.runs / f"{stage.out(stages.workspace).name}-{minutes:g}min"


def target_of(stages: "Stages") -> "Plan":
    """Return what would be planned without a fit: pilots are smaller and shorter runs by the same recipe."""
    from rodna.plan.plan import machine_of, measure_text, plan_settings, speeds_of
    from rodna.plan.propose import propose
    from rodna.train.timing import time_steps

    project = stages.project
    config = stages.plan_config.model_copy(update={"calibration": "estimated"})
    settings = plan_settings(config, model=project.model, train=project.train)
    machine, text = machine_of(config), measure_text(stages.artifact("corpus"), stages.artifact("tokenizer"))
    return propose(
        text, machine, speeds_of(machine, config), config, model=settings["model"], train=settings["train"], timer=time_steps,
        left_open=frozenset(settings["left_open"]),
    )  # fmt: skip


def dropouts_of(stages: "Stages") -> tuple[float, ...]:
    """Return the dropouts that a plan may choose from: the user's, or none and the recipe's."""
    from rodna.data.tokens import Tokens
    from rodna.plan.candidates import PLANNED
    from rodna.plan.recipes import choose_recipe

    given = stages.project.model.dropout
    if given != PLANNED:
        return (float(given),)
    num_bytes = Tokens.open(stages.artifact("tokens").path, "train").num_bytes
    return tuple(sorted({0.0, choose_recipe(stages.project.plan.recipe, num_bytes).dropout}))


def print_fit(found: "Fit") -> None:
    """Print the pilots, the law and the best rate and batch on stdout."""
    from rich.console import Console
    from rich.table import Table

    from rodna.core.text import human_count
    from rodna.plan.fit import LARGEST_CHANGE

    table = Table("pilot", "weights of the blocks", "tokens seen", "unique tokens", "dropout", "bits/byte", "the law says")
    for point in found.points:
        counts = (human_count(value) for value in (point.parameters, point.tokens_seen, point.unique_tokens))
        expected = found.loss(point.parameters, point.tokens_seen, point.unique_tokens, point.dropout)
        table.add_row(point.name, *counts, f"{point.dropout:g}", f"{point.bits_per_byte:.3f}", f"{expected:.3f}")
    console = Console()
    console.print(table)
    for name, reason in found.left_out.items():
        console.print(f"left out: {name}: {reason}")
    constants = ", ".join(f"{name} = {value:.3g}" for name, value in found.constants.items())
    console.print(f"law: {constants}; a run scatters by {found.noise:.1%} (docs/planning.md says what each stands for)")
    # With another batch the rate differs by the square root of that already.
    at_usual_batch = found.rate_factor / math.sqrt(found.batch_factor)
    at_an_end = any(math.isclose(at_usual_batch, end) for end in (LARGEST_CHANGE, 1 / LARGEST_CHANGE))
    most = ", the most that so small runs may change it" if at_an_end else ""
    console.print(f"learning rate: {found.rate_factor:.2g} times the rule's{most}; batch: {found.batch_factor:g} times")
    console.print("Next: `rodna plan` plans by this from now on, and says what bits per byte to expect, with an interval.")
