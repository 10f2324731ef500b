"""`rodna status` and `rodna trace`."""

from typing import Annotated

import typer

from rodna.cli.options import HERE, NOTHING, JsonOption, SetOption, WorkspaceOption
from rodna.cli.verbs import open_stages, print_json


def status(workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, as_json: JsonOption = False) -> None:
    """Say what exists, what is out of date and what to type next."""
    from rodna.cli.pipeline import look, next_command
    from rodna.cli.stages import model_stage
    from rodna.core.text import human_bytes

    stages = open_stages(workspace, set_)
    steps = look(stages)
    command = next_command(steps)
    if as_json:
        print_json({"workspace": str(stages.workspace.root), "stages": [step.as_json() for step in steps], "next": command})
        return
    print(f"{stages.project.name} ({stages.project.language}) in {stages.workspace.root}")
    for step in steps:
        mark = {"done": "done   ", "stale": "stale  ", "missing": "to do  ", "damaged": "damaged"}[step.state]
        print(f"  {mark}  {step.name:<{max(len(step.name) for step in steps)}}  {step.detail}".rstrip())
    model = next(step for step in steps if step.name == model_stage(stages.project))
    if model.state == "done":
        print(f"the model is in {model.path}")
    size = sum(file.stat().st_size for file in stages.workspace.artifacts.rglob("*") if file.is_file())
    print(f"artifacts take {human_bytes(size)}; next: {command}")


def trace(
    artifact: Annotated[
        str, typer.Argument(help="A folder, a digest's beginning or a stage's name; without it, whatever was made last in the job.")
    ] = "",
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Print what an artifact was made from, down to the sources and their licences."""
    from rodna.cli.ancestry import ancestry, find, render

    stages = open_stages(workspace, set_)
    tree = ancestry(find(stages, artifact), stages)
    if as_json:
        print_json(tree)
    else:
        print(render(tree))
