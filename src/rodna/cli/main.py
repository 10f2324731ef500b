"""The `rodna` command. Every verb's module imports what it needs when it runs, so that help and completion are quick."""

import io
import sys
from typing import Annotated

import typer

from rodna import __version__
from rodna.cli import benchmark, compare, corpus, demo, doctor, eval, generate, init, models, plan, run, status, sweep, tokenizer
from rodna.cli.edge import Edge

PROJECT, STAGES, USE = "The whole job", "Single stages", "Using a model"

app = typer.Typer(
    cls=Edge,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with `rodna demo`, or with `rodna init LANG FOLDER` and `rodna run`.",
)


@app.callback()
def _rodna(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda on: _version(on))] = False,
) -> None:
    """From a folder of a language's own text to a language model its community owns."""


def _version(on: bool) -> None:
    if on:
        typer.echo(__version__)
        raise typer.Exit


app.command("init", rich_help_panel=PROJECT)(init.init)
app.command("run", rich_help_panel=PROJECT)(run.run)
app.command("demo", rich_help_panel=PROJECT)(demo.demo)
app.command("status", rich_help_panel=PROJECT)(status.status)
app.command("trace", rich_help_panel=PROJECT)(status.trace)
app.command("doctor", rich_help_panel=PROJECT)(doctor.doctor)
app.add_typer(corpus.app, name="corpus", rich_help_panel=STAGES)
app.add_typer(tokenizer.app, name="tokenizer", rich_help_panel=STAGES)
app.add_typer(plan.app, name="plan", rich_help_panel=STAGES)
app.command("sweep", rich_help_panel=STAGES)(sweep.sweep)
app.add_typer(models.app, name="train", rich_help_panel=STAGES)
app.add_typer(eval.app, name="eval", rich_help_panel=STAGES)
app.command("compare", rich_help_panel=STAGES)(compare.compare)
app.add_typer(benchmark.app, name="benchmark", rich_help_panel=STAGES)
app.command("report", rich_help_panel=STAGES)(models.report)
app.command("generate", rich_help_panel=USE)(generate.generate)
app.command("chat", rich_help_panel=USE)(generate.chat)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        # Where the terminal cannot show a letter, a question mark is better than an error.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    app(prog_name="rodna")
