"""`rodna init`: a new workspace for a folder of text."""

import os
from pathlib import Path
from typing import Annotated

import typer

from rodna.cli.options import JsonOption
from rodna.cli.verbs import print_json
from rodna.core.log import say, warn


def init(
    language: Annotated[str, typer.Argument(metavar="LANG", help="BCP-47 tag of the language: be, yue, ckb-Arab, ...")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder (or file) of text.")],
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="Folder to make the project in.")] = Path(),
    name: Annotated[str, typer.Option(help="What to call the project; by default, the language tag.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the project file, and write nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Look at a folder of text and write a project file for it, with reasons."""
    from rodna.cli.detection import describe_folder
    from rodna.cli.projectfile import create_workspace, render

    found = describe_folder(language, folder, workspace)
    if dry_run:
        print(render(language=found.language, name=name or found.language, sources=found.sources, facts=found.facts, sections={}))
        return
    made = create_workspace(workspace, language=found.language, name=name or found.language, sources=found.sources, facts=found.facts)
    if as_json:
        print_json({"workspace": str(made.root), "project_file": str(made.project_file), "language": found.language, "facts": found.facts,
                    "warnings": found.warnings})  # fmt: skip
        return
    for fact in found.facts:
        say(fact)
    for name, source in found.sources.items():
        say(f"  {name}: {source.reasons['document']}")
    for warning in found.warnings:
        warn(warning)
    where = os.path.relpath(made.root)
    print(made.project_file)
    say(f"next: rodna run{'' if where == '.' else f' --workspace {where}'}")
