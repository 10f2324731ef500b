"""`rodna plan`: what to train, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rodna.cli.fit import fit
from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.cli.verbs import open_stages, print_json, stage_verb
from rodna.core.log import say, warn

if TYPE_CHECKING:
    from rodna.plan.plan import Plan

app = typer.Typer()
app.command()(fit)


@app.callback(invoke_without_command=True)
def plan(
    context: typer.Context,
    write: Annotated[bool, typer.Option("--write", help="Put the proposed numbers into project.yaml, keeping its comments.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Plan anew, though there is a plan, perhaps of another machine.")] = False,
    figure: Annotated[
        Path | None, typer.Option("--figure", metavar="FILE.svg", help="Draw bits per byte to expect against size, for several budgets.")
    ] = None,
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Propose size, batch, passes and learning rate, and say what result to expect, with reasons.

    For a GPU to rent: --set plan.hardware=h100 --set plan.price_per_hour=2 --set plan.money_budget=10
    """
    from rodna.cli.plan_together import models_of, sentences
    from rodna.core.errors import ConfigError
    from rodna.plan.plan import read_plan
    from rodna.train.ensemble_config import wants_student

    if context.invoked_subcommand:
        lost = [f"--{name}" for name, given in (("write", write), ("again", again), ("figure", figure), ("set", set_), ("dry-run", dry_run),
                                                ("json", as_json), ("workspace", workspace != HERE)) if given]  # fmt: skip
        if lost:
            name = context.invoked_subcommand
            raise ConfigError(f"{', '.join(lost)} before `{name}` would be of no effect", where=f"rodna plan {name}",
                              fix=f"write what `{name}` takes after it (rodna plan {name} --help), and leave out the rest")  # fmt: skip
        return
    if again and not dry_run:
        plan_anew(workspace, set_)
    if stage_verb(("plan",), workspace=workspace, overrides=set_, dry_run=dry_run, as_json=as_json and dry_run, quiet=True) == {}:
        return
    stages = open_stages(workspace, set_)
    proposed, split = read_plan(stages.artifact("plan")), stages.time_split()
    if not stages.project.leaves_ensemble_open:
        proposed = proposed.of_one()
    together = models_of(stages, proposed, split) if wants_student(stages.project.ensemble, stages.project.distill) else {}
    warn_of_fixed_steps(stages, proposed)
    if as_json:
        values = {**vars(proposed), "model": proposed.model.model_dump(mode="json")}
        if together:
            values["ensemble" if split else "student"] = {**split, **together} if split else together["student"]
        print_json({"path": str(stages.artifact("plan").path), **values})
    else:
        print_plan(proposed)
        if together:
            print("\n".join(sentences(together, split, proposed, stages.project.plan)))
    if figure:
        draw(proposed, figure)
    if write:
        changed = write_into(stages.workspace.project_file, proposal_of(stages, proposed))
        say(f"wrote {len(changed)} settings into {stages.workspace.project_file}: {', '.join(changed) or 'all were there already'}")
        if "ensemble.members" in changed:
            say("the members' own plan follows from it: `rodna plan` shows it")


def warn_of_fixed_steps(stages: Any, proposed: "Plan") -> None:
    """Say so where the steps that the user gave leave most of the time unused: more time changes nothing then."""
    minutes = stages.time_split().get("member_minutes", stages.project.plan.minutes)
    if stages.project.train.steps != "planned" and proposed.estimates["seconds"] < 30 * minutes:
        warn(f"train.steps is fixed at {stages.project.train.steps:,}, which takes {proposed.estimates['seconds'] / 60:.2g} of {minutes:g} "
             "minutes; for a plan that uses the time, set what is fixed under model and train to planned, or delete it")  # fmt: skip


def draw(proposed: "Plan", file: Path) -> None:
    """Write the picture of a plan.

    Raises:
        PlanError: the plan keeps no curves.
        DiskError: the file cannot be written.
    """
    from rodna.core.errors import PlanError, explain_disk_errors
    from rodna.core.files import write_text
    from rodna.publish.isoflop import isoflop_svg

    svg = isoflop_svg(proposed.isoflop, unit="bits per byte")
    if not svg:
        raise PlanError("this plan was made before curves were kept", where="--figure", fix="run `rodna plan --again`")
    with explain_disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, svg)
    say(f"wrote {file}")


def plan_anew(workspace: Path, overrides: list[str]) -> None:
    """Make the plan again; the earlier one stays, as does what was trained by it."""
    from rodna.cli.lock import locked

    stage_verb(("tokenizer",), workspace=workspace, overrides=overrides, dry_run=False, as_json=False, quiet=True)
    stages = open_stages(workspace, overrides)
    with locked(stages.workspace):
        stages.plan_anew().run(stages.workspace)


def print_plan(proposed: "Plan") -> None:
    """Print settings, values and reasons as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    from rodna.core.text import human_bytes, human_count, human_seconds

    table = Table("setting", "value", "why")
    for row in proposed.reasons:
        value = row["value"]
        table.add_row(row["setting"], f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value), row["reason"])
    estimates = proposed.estimates
    console = Console()
    console.print(table)
    console.print(
        f"{human_count(proposed.model.num_parameters)} parameters, about {human_seconds(estimates['seconds'])} of training, "
        f"{human_bytes(estimates['memory_bytes'])} of memory, {estimates['flops']:.2g} FLOPs"
    )
    if proposed.isoflop:
        print_budgets(proposed)


def print_budgets(proposed: "Plan") -> None:
    """Print the best size for several budgets of arithmetic on stdout."""
    from rich.console import Console
    from rich.table import Table

    from rodna.publish.isoflop import budget_rows

    estimates, curves = proposed.estimates, proposed.isoflop
    table = Table("FLOPs", "time", "best size", "tokens", "passes", "bits per byte", "text ends first")
    for row in budget_rows(curves, train_tokens=estimates["train_tokens"]):
        table.add_row(*row)
    Console().print(table)


def proposal_of(stages: Any, proposed: "Plan") -> dict[str, dict[str, Any]]:
    """Return section -> key -> number that a plan proposes to write down: its ensemble, where one would do better, or its own numbers."""
    from rodna.plan.rules import SIZED
    from rodna.train.ensemble_config import wants_student
    from rodna.train.variants import RATES

    if proposed.estimates.get("ensemble_members") and stages.project.leaves_ensemble_open:
        # Its members have a plan of their own, for the time of one, and their student follows from it.
        return {"ensemble": {name: proposed.estimates[f"ensemble_{name}"] for name in ("members", "share")}}
    numbers = planned_numbers(stages, proposed)
    if wants_student(stages.project.ensemble, stages.project.distill):
        # Size, dropout, rates and steps are those of a member: written down they would be the student's too, which has its own.
        numbers["model"] = {key: value for key, value in numbers["model"].items() if key not in {*SIZED, "dropout"}}
        numbers["train"] = {key: value for key, value in numbers["train"].items() if key not in {*RATES, "steps", "warmup_steps"}}
    return numbers


def planned_numbers(stages: Any, proposed: "Plan") -> dict[str, dict[str, Any]]:
    """Return section -> key -> number for every setting of the project that says `planned`, or that the recipe chose otherwise.

    Behaviour of the model that is as ever is left out: a file need not say what it does not have. So is the vocabulary's size: it is the
    tokenizer's, which would be trained again for having it written down.
    """
    from rodna.models.config import ModelConfig
    from rodna.plan.config import BEHAVIOUR
    from rodna.plan.plan import plan_settings

    project = stages.project
    proposals = {"model": (project.model, proposed.model.model_dump(mode="json")), "train": (project.train, proposed.train)}
    found = {
        section: {key: values[key] for key, value in settings if value == "planned" and values.get(key, "planned") != "planned"}
        for section, (settings, values) in proposals.items()
    }
    for name in BEHAVIOUR:
        if found["model"].get(name) == ModelConfig.model_fields[name].default:
            del found["model"][name]
    for key in plan_settings(project.plan, model=project.model, train=project.train)["left_open"]:
        if proposed.train.get(key) != getattr(project.train, key):
            found["train"][key] = proposed.train[key]
    return found


def write_into(file: Path, sections: dict[str, dict[str, Any]]) -> list[str]:
    """Set values in a YAML file, keeping its comments, order and everything else.

    Returns:
        The dotted names of the settings that changed.
    """
    from ruamel.yaml.comments import CommentedMap

    from rodna.cli.projectfile import edited

    changed: list[str] = []
    with edited(file) as tree:
        for section, values in sections.items():
            if values and tree.get(section) is None:
                tree[section] = CommentedMap()
            for key, value in values.items():
                if tree[section].get(key) != value:
                    tree[section][key] = value
                    changed.append(f"{section}.{key}")
    return changed
