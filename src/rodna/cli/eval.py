"""`rodna eval`: what a model can do, on held-out text and on tasks, in a workspace or anywhere."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rodna.cli.classify import classify
from rodna.cli.harness import AS_DEFINED, check_options, run_harness_verb
from rodna.cli.make_pairs import make_pairs
from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.core.errors import ConfigError

if TYPE_CHECKING:
    from rodna.cli.elsewhere import Found
    from rodna.cli.stages import StageName
    from rodna.core.artifact import Artifact

app = typer.Typer(help="Measure a model on held-out text and on tasks.")
app.command()(classify)
app.command("make-pairs")(make_pairs)
OTHER = "Other models and tasks"
HARNESS = "lm-evaluation-harness"


@app.callback(invoke_without_command=True)
def evaluate(
    ctx: typer.Context,
    of_ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Measure the ensemble as one model, its members averaged, instead of the model.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", metavar="WHERE", rich_help_panel=OTHER,
            help="Any checkpoint folder, ours or Hugging Face's, or http://host:port/v1#model; without it, the workspace's model.",
        ),
    ] = "",
    task: Annotated[
        list[str],
        typer.Option(
            "--task", "-t", metavar="FILE[:KIND]", rich_help_panel=OTHER,
            help="Items to ask, a file or a folder of them, instead of the workspace's eval.tasks; repeatable.",
        ),
    ] = NOTHING,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="FOLDER", rich_help_panel=OTHER, help="Where to write; by default below evaluations/.")
    ] = "",
    corpus: Annotated[
        bool,
        typer.Option(
            "--corpus/--no-corpus", rich_help_panel=OTHER,
            help="Measure held-out text of the workspace, too, and look items up in its training text.",
        ),
    ] = True,
    checkpoints: Annotated[
        str,
        typer.Option(
            "--checkpoints", metavar="FOLDER", rich_help_panel=OTHER,
            help="Measure all checkpoints in a folder, such as runs/<run> (see train.keep_checkpoints), each into a folder below --out.",
        ),
    ] = "",
    harness: Annotated[
        list[str],
        typer.Option(
            "--harness", metavar="NAME[=PATH]", rich_help_panel=HARNESS,
            help="Ask tasks of lm-evaluation-harness, offline: blimp=FOLDER, gsm8k=FILE, arc_easy=FILE, mmlu=FILE, ...; repeatable.",
        ),
    ] = NOTHING,
    harness_path: Annotated[
        str, typer.Option("--harness-path", metavar="FOLDER", rich_help_panel=HARNESS, help="Of task files (YAML) of your own.")
    ] = "",
    prompt: Annotated[
        str,
        typer.Option(
            "--prompt", metavar="TEXT", rich_help_panel=OTHER,
            help="Of every --task: what comes before an answer, with {question} and other fields, {options}, and \\n for a new line.",
        ),
    ] = "",
    shots: Annotated[
        int,
        typer.Option(
            "--shots", rich_help_panel=OTHER, show_default=False,
            help="Of every --task or --harness: solved items shown first; by default none, or as the harness defines.",
        ),
    ] = AS_DEFINED,
    limit: Annotated[
        int, typer.Option("--limit", min=0, rich_help_panel=OTHER, help="Of every --task or --harness: most items; 0: all.")
    ] = 0,
    harness_backend: Annotated[
        str, typer.Option("--harness-backend", rich_help_panel=HARNESS, help="Whose code runs the model: rodna, or the harness' own hf.")
    ] = "rodna",
    show_all: Annotated[bool, typer.Option("--all", help="Show every result, not only the whole of each task and its groups.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of intervals and of every draw; by default eval.seed.", show_default=False)] = -1,
    processes: Annotated[
        int, typer.Option("--processes", min=0, help="That score side by side on a CPU; by default eval.processes.", show_default=False)
    ] = 0,
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Measure a model on held-out text and on tasks.

    In a workspace: the project's model, on the text that training never saw and on eval.tasks. With --model or --task: any model on
    any tasks, with or without a workspace.

    For example: rodna eval --model my-model --task blimp --task questions.jsonl:multiple_choice --out my-model-evaluation
    """
    if ctx.invoked_subcommand:
        return
    overrides = [*set_, *([f"eval.seed={seed}"] if seed >= 0 else [])]
    overrides += [f"eval.processes={processes}"] if processes else []
    check_options(
        harness, {"--task": bool(task), "--checkpoints": bool(checkpoints), "--ensemble": of_ensemble, "--prompt": bool(prompt)},
        {"--harness-path": bool(harness_path), "--harness-backend": harness_backend != "rodna"},
    )  # fmt: skip
    changes = {"prompt": prompt.replace("\\n", "\n"), "shots": max(shots, 0), "max_items": limit}
    if any(changes.values()) and not (task or harness):
        what = "--prompt, --shots and --limit change tasks that are given"
        raise ConfigError(what, where="rodna eval", fix="give --task or --harness")
    if harness:
        run_harness_verb(
            harness, model=model, path=harness_path, shots=shots, limit=limit, backend=harness_backend, out=out, workspace=workspace,
            overrides=overrides, with_corpus=corpus, show_all=show_all, dry_run=dry_run, as_json=as_json,
        )  # fmt: skip
        return
    if not (model or task or checkpoints):
        _project(workspace, overrides, of_ensemble=of_ensemble, show_all=show_all, dry_run=dry_run, as_json=as_json)
        return
    from rodna.cli.elsewhere import find, look, measure, parse_tasks

    found = find(
        model,
        checkpoints,
        parse_tasks(task, changes),
        out,
        workspace=workspace,
        overrides=overrides,
        with_corpus=corpus,
        of_ensemble=of_ensemble,
    )
    if dry_run:
        _announce(look(found), as_json=as_json)
        return
    made = [measure(found, one) for one in found.models]
    _print(made, found, show_all=show_all, as_json=as_json)


def _project(workspace: Path, overrides: list[str], *, of_ensemble: bool, show_all: bool, dry_run: bool, as_json: bool) -> None:
    """Make the workspace's own evaluation."""
    from rodna.cli.eval_table import print_evaluation
    from rodna.cli.verbs import print_json, stage_verb

    name: StageName = "evaluate_ensemble" if of_ensemble else "evaluate"
    results = stage_verb((name,), workspace=workspace, overrides=overrides, dry_run=dry_run, as_json=dry_run and as_json, quiet=True)
    if not results:
        return
    path = Path(results[name]["path"])
    if as_json:
        print_json(results)
    else:
        print_evaluation(path, show_all=show_all)
        print(path)


def _announce(steps: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    from rodna.cli.verbs import print_json
    from rodna.core.log import say

    if as_json:
        print_json(list(steps))
        return
    for step in steps:
        say(f"{step['model']}: {'unchanged' if step['state'] == 'done' else 'would be measured'}, in {step['path']}")


def _print(made: Sequence["Artifact"], found: "Found", *, show_all: bool, as_json: bool) -> None:
    from rodna.cli.eval_table import as_records, print_evaluation
    from rodna.cli.verbs import print_json

    if as_json:
        records = [{"model": one, "path": str(item.path), **as_records(item.path)} for one, item in zip(found.models, made, strict=True)]
        print_json(records if found.is_ladder else records[0])
        return
    for item in made:
        print_evaluation(item.path, show_all=show_all)
        print(item.path)
