"""`rodna run`: the whole job."""

from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.cli.verbs import open_project, stage_verb


def run(workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Do everything from text to report; what is unchanged is not done again.

    Stop it at any moment and run it again: it goes on where it was.
    """
    from rodna.cli.stages import stages_of
    from rodna.cli.summary import print_summary

    names = stages_of(open_project(workspace, set_)[0])
    results = stage_verb(names, workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json, quiet=True)
    if results and not as_json:
        print_summary(*open_project(workspace, set_), results)
