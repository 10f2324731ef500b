"""`rodna compare`: which of several evaluated models is better, at what, and how sure that is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rodna.cli.options import NOTHING, JsonOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rodna.evals.compare.ladder import Climb
    from rodna.evals.compare.read import Run
    from rodna.evals.compare.types import Comparison
    from rodna.publish.comparison.tables import Table

FILES = "Files to write"
FILE_WIDTH = 160
"""Characters of a line where the table does not go to a terminal."""


def compare(
    evaluations: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FOLDER[,FOLDER...] ...", show_default=False,
            help="Folders that rodna eval wrote. Several joined by commas are one model trained with several seeds.",
        ),
    ] = NOTHING,
    baseline: Annotated[
        str, typer.Option("--baseline", metavar="NAME", help="What the others are compared with; by default the first.")
    ] = "",
    only: Annotated[
        list[str], typer.Option("--only", metavar="TASK[:METRIC]", help="Compare only these; * stands for anything; repeatable.")
    ] = NOTHING,
    show_all: Annotated[
        bool, typer.Option("--all", help="Compare parts of tasks, too; the more is compared, the more each difference must show.")
    ] = False,
    samples: Annotated[int, typer.Option("--samples", min=1000, help="Resamples behind every interval.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the resamples.")] = 0,
    ladder: Annotated[
        list[str],
        typer.Option(
            "--ladder", metavar="[NAME=]FOLDER", rich_help_panel=FILES,
            help="Draw curves over training from what rodna eval --checkpoints wrote; repeatable.",
        ),
    ] = NOTHING,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", rich_help_panel=FILES, help="Write all of it: page, tables, pictures, JSON.")
    ] = "",
    markdown: Annotated[
        str, typer.Option("--markdown", metavar="FILE", rich_help_panel=FILES, help="Write verdicts and tables as Markdown.")
    ] = "",
    csv: Annotated[str, typer.Option("--csv", metavar="FILE", rich_help_panel=FILES, help="Write every number with all its digits.")] = "",
    latex: Annotated[str, typer.Option("--latex", metavar="FILE", rich_help_panel=FILES, help="Write the tables for LaTeX.")] = "",
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Compare evaluated models: which differences are real, and which are noise.

    Every other model is compared with the first, over the same items, by the paired bootstrap.

    For example: rodna compare evaluations/small evaluations/large --out comparison
    """
    from rodna.evals.compare.ladder import climbs, ladders_among, read_ladders
    from rodna.evals.compare.read import read_contestants
    from rodna.evals.compare.run import compare as compare_all

    ladders = read_ladders(ladder)
    contestants = read_contestants(evaluations) if evaluations or not ladders else []
    ladders |= {name: runs for name, runs in ladders_among(contestants).items() if name not in ladders}
    settings = {"baseline": baseline, "only": list(only), "show_all": show_all, "samples": samples, "seed": seed}
    comparison = compare_all(contestants, **settings) if contestants else None
    climbed = climbs(ladders, show_all=show_all)
    _write_files(comparison, {"markdown": markdown, "csv": csv, "latex": latex})
    if out:
        runs = [run for one in contestants for run in one.runs] + [run for own in ladders.values() for run in own]
        _write_folder(comparison, climbed, Path(out), runs=runs, settings=settings)
    if as_json:
        _print_json(comparison, climbed)
        return
    _print(comparison, climbed)


def _write_files(comparison: "Comparison | None", wanted: dict[str, str]) -> None:
    from rodna.core.errors import ConfigError
    from rodna.core.files import write_text
    from rodna.core.log import say
    from rodna.publish.comparison.formats import csv_text, latex, markdown

    asked = [f"--{name}" for name, file in wanted.items() if file]
    if asked and comparison is None:
        raise ConfigError(f"{asked[0]} has nothing to write: a ladder alone compares no models", where="rodna compare",
                          fix="give two evaluations, or --out FOLDER for the ladder's page")  # fmt: skip

    writers = {"markdown": markdown, "csv": csv_text, "latex": latex}
    for name, file in wanted.items():
        if file and comparison is not None:
            path = Path(file)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, writers[name](comparison))
            say(f"wrote {path}")


def _write_folder(
    comparison: "Comparison | None", climbed: "Sequence[Climb]", out: Path, *, runs: "Sequence[Run]", settings: dict[str, Any]
) -> None:
    from rodna.core.log import say
    from rodna.publish.comparison.write import write_comparison

    made = write_comparison(comparison, climbed, out, runs=runs, settings=settings)
    if not any(name.endswith(".png") for name in made.manifest.files):
        say("note: pictures are written as SVG alone; for PNG, too: pip install 'rodna[png]'")
    say(f"wrote {made.path / 'index.html'}")


def _print_json(comparison: "Comparison | None", climbed: "Sequence[Climb]") -> None:
    from dataclasses import asdict

    from rodna.cli.verbs import print_json

    print_json({"comparison": None if comparison is None else asdict(comparison), "ladder": [asdict(climb) for climb in climbed]})


def _print(comparison: "Comparison | None", climbed: "Sequence[Climb]") -> None:
    """Print verdicts and tables on stdout."""
    from rich.console import Console
    from rich.text import Text

    from rodna.cli.output import printable
    from rodna.publish.comparison.tables import notes, steps, tables
    from rodna.publish.comparison.words import summary

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    if climbed:
        console.print(_rich(steps(climbed)))
    if comparison is None:
        return
    for name in comparison.names:
        if name != comparison.baseline:
            console.print(Text(printable(summary(comparison, name))), soft_wrap=True)
    console.print()
    for table in tables(comparison):
        console.print(_rich(table))
        if table.note:
            console.print(Text(printable(table.note)), style="dim")
            console.print()
    for note in notes(comparison):
        console.print(Text(printable(f"note: {note}")))
    if comparison.num_hidden:
        console.print(f"{comparison.num_hidden:,} more results: compare them with --all")


def _rich(table: "Table") -> Any:
    from rich.text import Text

    from rodna.cli.corpus_tables import table_of
    from rodna.cli.output import printable

    numbers = [column.title for column in table.columns if column.number]
    drawn = table_of(table.title, *(column.title for column in table.columns), numbers=numbers)
    for number, row in enumerate(table.rows):
        styles = ["bold" if (number, place) in table.marks else "" for place in range(len(row.cells))]
        drawn.add_row(*(Text(printable(str(cell)), style=style) for cell, style in zip(row.cells, styles, strict=True)))
    return drawn
