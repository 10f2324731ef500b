"""`rodna demo`: the whole job on text that is at hand."""

from pathlib import Path
from typing import Annotated

import typer

from rodna.cli.options import NOTHING, DryRunOption, JsonOption, SetOption
from rodna.core.log import say

MINUTES = 3.5
"""Of training: with it the whole job takes at most six minutes on two cores."""


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to make the demo's workspace.")] = Path("rodna-demo"),
    minutes: Annotated[float, typer.Option(help="Of training.")] = MINUTES,
    set_: SetOption = NOTHING,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a small model of real Cantonese, from text to report, in about five minutes."""
    from rodna.cli.run import run
    from rodna.core.workspace import PROJECT_FILE

    if not (folder / PROJECT_FILE).is_file():
        if dry_run:
            say(f"would make the workspace {folder} with the demo's Cantonese text, and do every stage")
            return
        make_demo(folder, minutes)
    elif minutes != MINUTES:
        set_ = [*set_, f"plan.time_budget_minutes={minutes}"]
    say(f"the demo's workspace is {folder}; its project.yaml can be edited")
    run(workspace=folder, set_=set_, dry_run=dry_run, as_json=as_json)


def make_demo(folder: Path, minutes: float) -> None:
    """Write the demo's text and project file."""
    from rodna.cli.projectfile import NewSource, create_workspace
    from rodna.corpus.embedded import DEMO_LANGUAGE, write_demo_sources

    sources = write_demo_sources(folder)
    create_workspace(
        folder,
        language=DEMO_LANGUAGE,
        name="demo",
        sources={name: NewSource(source.model_dump(mode="json", exclude_defaults=True), {}) for name, source in sources.items()},
        facts=["Cantonese that comes with the Python package pycantonese: dialogues (HKCanCor) and sentences (Common Voice)."],
        sections={"plan": {"time_budget_minutes": minutes}},
    )
