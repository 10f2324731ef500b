"""`rodna train`, `rodna eval` and `rodna report`."""

import typer

from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.cli.verbs import stage_verb

app = typer.Typer(no_args_is_help=True, help="Encode the corpus and train a model.")


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


@app.command()
def ensemble(
    workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Train the members of an ensemble (ensemble.members), and measure them alone and averaged."""
    stage_verb(("tokens", "ensemble"), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json)


@app.command()
def distill(
    workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Train a student from the ensemble's members, from other checkpoints (distill.teachers), or both."""
    from rodna.cli.stages import stages_of
    from rodna.cli.verbs import open_project

    names = stages_of(open_project(workspace, set_)[0])
    stage_verb(
        names[names.index("tokens") : names.index("distill") + 1], workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json
    )


def evaluate(
    workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Measure the model on the held-out test split."""
    stage_verb(("evaluate",), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json)


def report(
    workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False
) -> None:
    """Write the report: one page that shows everything."""
    stage_verb(("report",), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json)
