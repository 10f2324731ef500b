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
