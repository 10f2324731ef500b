"""`rodna corpus langid`: make an identifier for languages that are mixed up, and try it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rodna.cli.options import HERE, NOTHING, JsonOption, SetOption, WorkspaceOption

app = typer.Typer(no_args_is_help=True, help="Tell languages apart that ready-made identifiers mix up.")

FilesArgument = Annotated[list[str], typer.Argument(metavar="LANG=FILE...", help="A language tag, and UTF-8 text of one example a line.")]


@app.command()
def train(
    files: FilesArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder to write; name it in `corpus.language.identifier`.")],
    seed: Annotated[int, typer.Option(help="Another seed divides the lines differently.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Make an identifier from a few hundred lines of each language; `other=FILE` gives lines in none of them."""
    from rodna.cli.verbs import print_json
    from rodna.core.log import say
    from rodna.corpus.identify.train import train_identifier

    artifact = train_identifier(parse_files(files), out, seed=seed)
    if as_json:
        print_json({"path": str(artifact.path), **artifact.counts})
        return
    for name, accuracy in artifact.counts["accuracy"].items():
        say(f"{name}: {artifact.counts['lines'][name]:,} lines, {accuracy:.1%} right of lines and their beginnings not learnt from")
    print(artifact.path)


@app.command("test")
def try_out(
    files: FilesArgument,
    identifier: Annotated[str, typer.Option(help="`builtin`, a folder from `train`, or a fastText file; else the project's.")] = "",
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Count how many lines of each file an identifier puts in the right language, and what it takes the others for."""
    from rodna.cli.verbs import open_project, print_json
    from rodna.corpus.config import LanguageConfig
    from rodna.corpus.identify.measure import measure_identifier

    if identifier:
        config, root = LanguageConfig(identifier=identifier), Path.cwd()
    else:
        project, found = open_project(workspace, set_)
        config, root = project.corpus.language, found.root
    rows = measure_identifier(parse_files(files), config, root=root)
    if as_json:
        print_json(rows)
    else:
        _print_table(rows)


def parse_files(arguments: list[str]) -> dict[str, Path]:
    """Return language -> file of `LANG=FILE` arguments.

    Raises:
        ConfigError: one is not of that form, or a language is named twice.
    """
    from rodna.core.errors import ConfigError

    files: dict[str, Path] = {}
    for argument in arguments:
        language, equals, file = argument.partition("=")
        if not (language and equals and file):
            raise ConfigError(f"not of the form LANG=FILE: {argument!r}", where="LANG=FILE", fix="write, for example, be=belarusian.txt")
        if language in files:
            raise ConfigError(f"{language} is named twice", where="LANG=FILE", fix="put all its lines into one file")
        files[language] = Path(file)
    return files


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("language", "lines", "found", "of those so named, right", "mostly taken for")
    for row in rows:
        others = ", ".join(f"{label or 'unknown'} {count:,}" for label, count in row["mistaken_for"].items())
        table.add_row(row["language"], f"{row['lines']:,}", f"{row['recall']:.1%}", f"{row['precision']:.1%}", others)
    Console().print(table)
