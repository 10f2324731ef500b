"""`rodna corpus`: build it, look at its numbers, read some of it."""

from typing import Annotated, Any

import typer

from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.cli.output import show
from rodna.cli.verbs import open_stages, print_json, stage_verb

app = typer.Typer(no_args_is_help=True, help="Turn sources into clean, de-duplicated documents with a held-out part.")


@app.command()
def build(workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Read the sources and write the corpus."""
    stage_verb(("documents", "cleaned", "corpus"), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json)


@app.command()
def inspect(workspace: WorkspaceOption = HERE, set_: SetOption = NOTHING, as_json: JsonOption = False) -> None:
    """Print what was kept, what was dropped and why."""
    from rodna.corpus.inspect import statistics_of

    statistics = statistics_of(open_stages(workspace, set_).artifact("corpus"))
    if as_json:
        print_json(statistics)
    else:
        print("\n".join(lines_of(statistics)))


def lines_of(value: Any, indent: str = "") -> list[str]:
    """Return nested numbers as indented lines; long lists are cut."""
    lines: list[str] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:20])
    for key, item in pairs:
        if isinstance(item, dict | list) and item:
            lines += [f"{indent}{key}:", *lines_of(item, indent + "  ")]
        else:
            text = (
                f"{item:,}"
                if isinstance(item, int) and not isinstance(item, bool)
                else f"{item:,.4g}"
                if isinstance(item, float)
                else str(item)
            )
            lines.append(f"{indent}{key}: {text}")
    return lines


@app.command()
def sample(
    number: Annotated[int, typer.Option("--num", "-n", min=1, help="How many documents.")] = 5,
    split: Annotated[str, typer.Option(help="train, validation, test or dropped.")] = "train",
    characters: Annotated[int, typer.Option(min=1, help="Of each document, at most.")] = 600,
    seed: Annotated[int, typer.Option(help="Another seed, other documents.")] = 0,
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Print randomly chosen documents, or dropped ones with the reason."""
    from rodna.core.errors import CorpusError
    from rodna.corpus.documents import SPLITS, as_record
    from rodna.corpus.inspect import sample_documents, sample_dropped

    artifact = open_stages(workspace, set_).artifact("corpus")
    if split == "dropped":
        records = [as_record(item) for item in sample_dropped(artifact, num_documents=number, seed=seed)]
    elif split in SPLITS:
        records = [as_record(item) for item in sample_documents(artifact, num_documents=number, seed=seed, split=split)]
    else:
        raise CorpusError(f"no such split: {split!r}", where="--split", fix=f"use {', '.join(SPLITS)} or dropped")
    if as_json:
        print_json(records)
        return
    for record in records:
        print(f"── {record['id']}" + (f" ({record['step']}: {record['reason']}; {record['detail']})" if split == "dropped" else ""))
        show(record["excerpt" if split == "dropped" else "text"][:characters] + "\n\n")
