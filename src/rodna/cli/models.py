"""`rodna train` and `rodna report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.cli.verbs import stage_verb
from rodna.train.recipes import RECIPES

if TYPE_CHECKING:
    from rodna.cli.stages import StageName

app = typer.Typer(no_args_is_help=True, help="Encode the corpus; train a model, an ensemble of several, or a student of them.")


@app.command()
def tokens(
    workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Encode the corpus with the tokenizer."""
    stage_verb(("tokens",), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json)


@app.command()
def pretrain(
    workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Train a model on the corpus, as planned; interrupted training goes on where it was."""
    stage_verb(("tokens", "pretrain"), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json)


PresetOption = Annotated[
    str,
    typer.Option("--preset", help=f"Start from published settings ({', '.join(RECIPES)}); project.yaml and --set override them."),
]


@app.command()
def ensemble(
    preset: PresetOption = "",
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train several models that differ, and measure each of them and their average.

    Needs ensemble.members or a preset. Does what has to come before, too. Adding members later trains only the new ones.
    """
    _up_to("ensemble", preset, workspace, set_, dry_run=dry_run, as_json=as_json)


@app.command()
def distill(
    preset: PresetOption = "",
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a student: one model that learns from the text and from other models.

    Teachers are the ensemble's members (ensemble.members), other checkpoints (distill.teachers), or both. How it learns from them: --set
    distill.alpha=0.5 (the text's weight), distill.temperature=2, distill.loss=scaled or babyllama; distill.compare=true trains the same
    student alone, too.

    Does what has to come before, too: corpus, tokenizer, plan, tokens, members. plan.time_budget_minutes is for all of it; a preset has its
    own numbers of epochs instead, however long they take.
    """
    _up_to("distill", preset, workspace, set_, dry_run=dry_run, as_json=as_json)


def _up_to(stage: "StageName", preset: str, workspace: Path, overrides: list[str], *, dry_run: bool, as_json: bool) -> None:
    """Make a stage's result and everything that it needs.

    Raises:
        ConfigError: the project has no such stage.
    """
    from rodna.cli.stages import stages_of
    from rodna.cli.verbs import open_project
    from rodna.core.errors import ConfigError
    from rodna.core.log import say

    overrides = [f"distill.preset={preset}", *overrides] if preset else overrides
    project, found = open_project(workspace, overrides)
    names = stages_of(project)
    if stage not in names:
        alone = stage == "ensemble"
        more = ", or to 1 with ensemble.ngram_order" if alone else ", name checkpoints in distill.teachers"
        raise ConfigError(
            "there is no ensemble to train: ensemble.members is 0" if alone
            else "there are no teachers: ensemble.members is 0 and distill.teachers is empty",
            where=str(found.project_file),
            fix=f"set ensemble.members to 2 or more{more}, or give --preset",
        )  # fmt: skip
    stage_verb(names[: names.index(stage) + 1], workspace=workspace, overrides=overrides, dry_run=dry_run, as_json=as_json)
    if preset and not dry_run:
        say(f"note: `rodna run`, eval and chat use it once project.yaml has `distill: {{preset: {preset}}}`")


def report(
    workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Write the report: one page that shows everything."""
    stage_verb(("report",), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json)
