"""`rodna sweep`: search settings with short runs of many and longer runs of the best."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.cli.verbs import open_stages, print_json
from rodna.core.log import say

if TYPE_CHECKING:
    from rodna.cli.stages import Stages
    from rodna.cli.trials import Trials
    from rodna.sweep.config import SweepConfig
    from rodna.sweep.halving import Rung
    from rodna.sweep.search import Result
    from rodna.sweep.space import Space

FOLDER = "sweeps"
FILES_ONLY, WIDE = ("rung", "steps", "parameters"), 100
"""Columns that a terminal narrower than this leaves to the files."""


def sweep(
    over: Annotated[
        list[str], typer.Option("--over", metavar="SECTION.KEY=VALUES", help="What to try: a,b,c or a range low:high; repeatable.")
    ] = NOTHING,
    method: Annotated[str | None, typer.Option(help="random: some combinations; grid: all of them.", show_default="random")] = None,
    trials: Annotated[
        int | None, typer.Option(help="Combinations to try, the project's own settings among them.", show_default="12; of a grid: all")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Of training, for all trials together.", show_default="30")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the best settings into project.yaml, keeping its comments.")] = False,
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Find better settings by trying them, judged by the validation text.

    For example: rodna sweep --over train.learning_rate=0.003,0.01,0.03 --over model.dropout=0:0.3

    Many train a little, the best of them longer. Options not given are read from `sweep` in project.yaml. What the trials share (corpus,
    tokenizer, tokens, plan; of a student its teachers) is made first, and takes its own time.

    Stop it at any moment and type it again: it goes on where it was.
    """
    from rodna.cli.lock import locked
    from rodna.cli.student_trials import is_of_students

    given = {"method": method, "trials": trials, "minutes": minutes}
    assignments = [f"sweep.{key}={value}" for key, value in given.items() if value is not None]
    stages = open_stages(workspace, [*set_, *assignments])
    config, space = _space(stages, over, set_)
    of_students = is_of_students(stages.project, list(space))
    chosen = _combinations(config, space)
    if dry_run:
        _announce(config, space, chosen, as_json=as_json)
        return
    with locked(stages.workspace):
        outcome = _run(stages, config, space, chosen, set_, of_students=of_students)
    if write:
        outcome["written"] = write_settings(stages.workspace.project_file, outcome["best"])
        say(f"wrote {', '.join(outcome['written'])} into {stages.workspace.project_file}" if outcome["written"]
            else "nothing to write: the project has the best settings already")  # fmt: skip
    if as_json:
        print_json(outcome)
    else:
        _print(outcome)


def _space(stages: "Stages", over: list[str], overrides: list[str]) -> "tuple[SweepConfig, Space]":
    """Return the section with what the command line adds, and the settings to search, checked.

    Raises:
        ConfigError: a setting does not exist, or a value does not suit it.
    """
    from rodna.cli.trials import check_setting, takes_whole_numbers
    from rodna.core.errors import ConfigError
    from rodna.sweep.space import Choices, dimension, parse_over

    config = stages.project.sweep
    if over:
        given = [parse_over(text) for text in over]
        keys = [key for key, _ in given]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ConfigError(f"{', '.join(twice)} is given more than once", where="--over",
                              fix="name each setting once, with all of its values: --over section.key=value,value")  # fmt: skip
        config = config.model_copy(update={"over": dict(given)})
    if not config.over:
        raise ConfigError("there is nothing to search", where="sweep.over",
                          fix="name settings and values: rodna sweep --over train.learning_rate=0.003,0.01,0.03")  # fmt: skip
    space = {}
    for key, values in config.over.items():
        check_setting(stages.workspace, overrides, key, [])
        space[key] = dimension(key, values, whole=takes_whole_numbers(key))
        dim = space[key]
        check_setting(stages.workspace, overrides, key, dim.values if isinstance(dim, Choices) else (dim.at(0.0), dim.at(1.0)))
    return config, space


def _combinations(config: "SweepConfig", space: "Space") -> list[dict[str, Any]]:
    from rodna.sweep.config import MOST_TRIALS
    from rodna.sweep.space import combinations

    trials = MOST_TRIALS if config.method == "grid" and "trials" not in config.model_fields_set else config.trials
    return combinations(space, method=config.method, trials=trials, seed=config.seed)


def _announce(config: "SweepConfig", space: "Space", chosen: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"over": {key: str(dim) for key, dim in space.items()}, "minutes": config.minutes, "trials": chosen})
        return
    for key, dim in space.items():
        say(f"{key}: {dim}")
    say(f"{len(chosen)} trials in {config.minutes:g} minutes:")
    for number, settings in enumerate(chosen):
        say(f"  {number}: " + (", ".join(f"{key}={value}" for key, value in settings.items()) or "the project's own settings"))


def _run(
    stages: "Stages", config: "SweepConfig", space: "Space", chosen: list[dict[str, Any]], overrides: list[str], *, of_students: bool
) -> dict[str, Any]:
    """Make what the trials share, run them, and write what came of it into the sweep's folder."""
    from rodna.cli.model_trials import ModelTrials
    from rodna.cli.stages import StageName, stages_of
    from rodna.cli.student_trials import StudentTrials, student_inputs
    from rodna.cli.trials import MIN_STEPS, PREPARED, Trials
    from rodna.core.artifact import digest_of
    from rodna.core.files import write_json
    from rodna.core.workspace import remove_unfinished
    from rodna.sweep.halving import plan_rungs
    from rodna.sweep.search import search

    workspace = stages.workspace
    remove_unfinished(workspace)
    if of_students:
        stages.check_teachers()
    teaching: tuple[StageName, ...] = ("ensemble",) if of_students and "ensemble" in stages_of(stages.project) else ()
    for name in (*PREPARED, *teaching):
        stages.stage(name).run(workspace)
    inputs = student_inputs(stages, stages.project) if of_students else {name: stages.artifact(name).digest for name in ("plan", "tokens")}
    digest = digest_of("sweep", format_version=1, inputs=inputs, config=config)
    folder = workspace.root / FOLDER / f"{stages.project.name}-{digest[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    kind = StudentTrials(stages, overrides, list(space), folder) if of_students else ModelTrials(stages, overrides, list(space))
    trials = Trials(kind, folder)
    chosen = [chosen[0], *(settings for settings in chosen[1:] if trials.differ(settings))]
    whole = kind.whole
    rungs = plan_rungs(len(chosen), eta=config.eta, budget_s=config.minutes * 60, full_s=whole.seconds, startup_s=whole.startup_seconds,
                       least_share=MIN_STEPS / whole.steps)  # fmt: skip
    write_json(folder / "sweep.json", _description(config, space, chosen, rungs, inputs))
    results = search(chosen, rungs, trials.train, folder, budget_s=config.minutes * 60, tell=say)
    trials.remove_weights()
    return _conclude(results, space, trials, folder)


def _conclude(results: "list[Result]", space: "Space", trials: "Trials", folder: Path) -> dict[str, Any]:
    """Write table and picture; return what the command prints."""
    from rodna.core.files import write_json, write_text
    from rodna.sweep import picture, table
    from rodna.sweep.search import describe, ranked

    def value_of(result: "Result", key: str) -> Any:
        return trials.kind.value_of(result.settings, key)

    best, rows = ranked(results)[0], table.rows(results, list(space), value_of)
    outcome = {"folder": str(folder), "best": dict(best.settings), "best_trial": describe(best),
               "seconds": round(sum(result.seconds for result in results), 1), "trials": rows}  # fmt: skip
    write_json(folder / "results.json", outcome)
    write_text(folder / "results.csv", table.as_csv(rows))
    write_text(folder / "results.md", table.as_markdown(rows))
    write_text(folder / "sweep.svg", picture.draw(results, space, value_of))
    return outcome


def _description(
    config: "SweepConfig", space: "Space", chosen: list[dict[str, Any]], rungs: "list[Rung]", inputs: Mapping[str, str]
) -> dict[str, Any]:
    from dataclasses import asdict

    return {"config": config.model_dump(mode="json"), "over": {key: str(dim) for key, dim in space.items()}, "inputs": dict(inputs),
            "trials": chosen, "rungs": [asdict(rung) for rung in rungs]}  # fmt: skip


def _print(outcome: Mapping[str, Any]) -> None:
    """Print the table on stdout."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from rodna.core.text import human_seconds
    from rodna.sweep.table import cell

    console, rows = Console(highlight=False), outcome["trials"]
    names = [name for name in rows[0] if name not in FILES_ONLY or console.width >= WIDE]
    cells = {name: [cell(name, row[name]) for row in rows] for name in names}
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        # Numbers that are compared stay whole, whatever the width; headers and notes take lines.
        whole = None if name == "note" else max(map(len, cells[name]))
        shown.add_column(name.replace(".", ".\n") if "." in name else name.replace("_", " "), min_width=whole, overflow="fold")
    for index in range(len(rows)):
        shown.add_row(*(cells[name][index] for name in names), style="bold" if index == 0 else "")
    console.print(shown)
    console.print(f"best: {outcome['best_trial']}; {human_seconds(outcome['seconds'])} for all")
    console.print(f"table and picture: {outcome['folder']}", soft_wrap=True)


def write_settings(file: Path, settings: Mapping[str, Any]) -> list[str]:
    """Set dotted settings in a YAML file, keeping its comments, order and everything else; return those that changed."""
    from ruamel.yaml.comments import CommentedMap

    from rodna.cli.projectfile import edited

    if not settings:
        return []
    changed: list[str] = []
    with edited(file) as tree:
        for key, value in settings.items():
            *sections, last = key.split(".")
            place = tree
            for section in sections:
                if place.get(section) is None:
                    place[section] = CommentedMap()
                place = place[section]
            if place.get(last) != value:
                place[last] = value
                changed.append(key)
    return changed
