"""What every stage verb does: read the project, run or announce stages, print."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core.log import say

if TYPE_CHECKING:
    from rodna.cli.project import Project
    from rodna.cli.stages import StageName, Stages
    from rodna.core.workspace import Workspace


def open_project(workspace: Path, overrides: Sequence[str]) -> tuple["Project", "Workspace"]:
    """Return the project around a folder.

    Raises:
        ConfigError: there is none, or its file has problems.
    """
    from rodna.cli.project import load_project
    from rodna.core.workspace import Workspace

    found = Workspace.find(workspace)
    return load_project(found, overrides), found


def open_stages(workspace: Path, overrides: Sequence[str]) -> "Stages":
    """Return the stages of the project around a folder."""
    from rodna.cli.stages import Stages

    return Stages(*open_project(workspace, overrides))


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def stage_verb(
    names: tuple["StageName", ...], *, workspace: Path, overrides: Sequence[str], dry_run: bool, as_json: bool, quiet: bool = False
) -> dict[str, Any]:
    """Run stages, or announce them, and print the outcome: paths on stdout, the rest on stderr.

    Args:
        names: of the stages, in order.
        workspace: any folder in it.
        overrides: `--set` assignments.
        dry_run: only announce.
        as_json: print everything on stdout as JSON.
        quiet: print nothing on stdout: the caller does.

    Returns:
        What `run_stages` returns; empty after a dry run.
    """
    from rodna.cli.pipeline import look, run_stages
    from rodna.cli.stages import Stages

    project, found = open_project(workspace, overrides)
    if dry_run:
        steps = look(Stages(project, found), names)
        if as_json:
            print_json([step.as_json() for step in steps])
        else:
            for step in steps:
                say(
                    f"{step.name}: {'unchanged' if step.state == 'done' else 'would be made'}"
                    + (f" ({step.detail})" if step.detail else "")
                )
        return {}
    results = run_stages(project, found, names)
    if as_json:
        print_json(results)
    elif not quiet:
        print(results[names[-1]]["path"])
    return results
