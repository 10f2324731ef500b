"""`rodna tokenizer`: train one, compare several."""

from pathlib import Path
from typing import Annotated, Any

import typer

from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.cli.verbs import open_project, print_json, stage_verb

app = typer.Typer(no_args_is_help=True, help="Learn how to cut text into tokens.")


@app.command()
def train(workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Train the tokenizer on the corpus."""
    stage_verb(("tokenizer",), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json)


@app.command()
def compare(
    algorithms: Annotated[list[str], typer.Option("--algorithm", "-a", help="bpe, unigram or character; repeatable.")] = ["bpe", "unigram"],  # noqa: B006
    sizes: Annotated[list[str], typer.Option("--vocabulary-size", "-v", help="A number or `planned`; repeatable.")] = ["planned"],  # noqa: B006
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Train several tokenizers and print their measures side by side; each is kept, so the second time is quick."""
    import json

    from rodna.cli.pipeline import run_stages
    from rodna.cli.stages import CORPUS_STAGES
    from rodna.tokenizer.config import MEASURES

    rows: list[dict[str, Any]] = []
    for algorithm in algorithms:
        # Characters are as many as the text has; a number could only be too large, or leave some out.
        for size in ["planned"] if algorithm == "character" else sizes:
            settings = [*set_, f"tokenizer.algorithm={algorithm}", f"tokenizer.vocabulary_size={size}"]
            project, found = open_project(workspace, settings)
            made = run_stages(project, found, (*CORPUS_STAGES, "tokenizer"))["tokenizer"]
            measures = json.loads((Path(made["path"]) / MEASURES).read_text(encoding="utf-8"))
            rows.append({"algorithm": algorithm, "vocabulary_size": size, "path": made["path"], "measures": measures})
    if as_json:
        print_json(rows)
    else:
        _print_table(rows)


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "algorithm", "tokens", "bytes a token", "tokens a word", "whole characters", "never used", title="measured on the validation text"
    )
    for row in rows:
        held_out, train = row["measures"]["validation"], row["measures"]["train"]
        table.add_row(
            row["algorithm"],
            f"{row['measures']['vocabulary']['size']:,}",
            f"{held_out['bytes_per_token']:.3f}",
            # Words cannot be counted in scripts written without spaces.
            f"{held_out['fertility']:.3f}" if held_out["fertility"] is not None else "-",
            f"{held_out['whole_character_share']:.2%}",
            f"{train['unused_share']:.1%}",
        )
    Console().print(table)
