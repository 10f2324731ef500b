"""The options that every stage verb shares."""

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="Folder of the project, or any folder inside it.", rich_help_panel="Common options")
]
SetOption = Annotated[
    list[str],
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override a setting; repeatable.", rich_help_panel="Common options"),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.", rich_help_panel="Common options")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.", rich_help_panel="Common options")]

HERE = Path()
NOTHING: list[str] = []
