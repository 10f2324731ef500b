"""Pilot runs: a few minutes of real training on the user's own text, from which a law is fitted.

    runs/<scaling-...>/ladder.json         what is run: decided once, so that a slower minute later changes nothing
    runs/<scaling-...>/points/*.json       one finished run each
    runs/<scaling-...>/trunks/<pilot>/     a constant-rate run on its way from branch to branch

Killed anywhere, the same call goes on with the next missing point.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from rodna.core import artifact
from rodna.core.artifact import Artifact
from rodna.core.errors import PlanError
from rodna.core.files import write_json
from rodna.core.log import say, warn
from rodna.core.text import human_count
from rodna.core.workspace import AGAIN
from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.plan import rules
from rodna.plan.fit import FIT_FILE, FORMAT_VERSION, KIND, Fit, best_batch, best_factor, fit_json, fit_points
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine, describe_machine
from rodna.plan.ladder import (
    SEARCH_BATCHES,
    SEARCH_RATES,
    Ladder,
    Pilot,
    batch_pilot,
    ladder_for,
    law_pilots,
    pilot_models,
    rate_pilot,
)
from rodna.plan.laws import Point
from rodna.plan.propose import Plan
from rodna.plan.speed import StepTimer
from rodna.train.timing import time_steps
from rodna.train.trunk import TRUNKS, Trunk, Workbench

FEW_STEPS = 60
"""Below it a loss says more about the first steps than about the text. Those of 64 to 77 steps lie near the law, beside longer ones:
benchmarks/results/plan_fit."""
LADDER, POINTS = "ladder.json", "points"
RECIPE = ("optimizer", "weight_decay", "schedule", "decay_fraction")
"""Settings that the pilots share with the planned training, told with the fit."""


def fit_scaling(
    corpus: Artifact,
    tokenizer: Artifact,
    tokens: Artifact,
    settings: Mapping[str, Any],
    out: Path,
    *,
    run: Path,
    make_target: Callable[[], Plan],
    seconds: float,
    dropouts: tuple[float, ...],
    fixed: Set[str] = frozenset(),
    timer: StepTimer = time_steps,
    again: int = 0,
) -> Artifact:
    """Make pilot runs on a text, fit a law to them, and write `scaling.json`.

    Args:
        corpus: what the tokens were made from.
        tokenizer: copied into saved states.
        tokens: the encoded corpus; the validation split scores, the test split is not touched.
        settings: recorded as the artifact's configuration.
        out: the artifact's folder.
        run: folder of finished and unfinished pilots; may be deleted once the fit is there.
        make_target: plans without a fit: recipe, passes and size that the pilots should tell about.
        seconds: to spend.
        dropouts: that may be planned, one or two: none and the recipe's, or the user's own.
        fixed: settings of the section `train` that the user gave: a learning rate or batch among them is not searched for.
        timer: measures training steps.
        again: how often it was made again from the same.

    Raises:
        PlanError: there is no validation text, the time is too short, or too few pilots ended with a loss.
        KeyboardInterrupt: the user asked to stop; finished pilots are kept, and the unfinished one's state.
    """
    inputs: dict[str, Artifact | str] = {"corpus": corpus, "tokenizer": tokenizer, **({AGAIN: str(again)} if again else {})}
    with artifact.create(out, kind=KIND, format_version=FORMAT_VERSION, inputs=inputs, config=settings) as draft:
        train_split, validation = Tokens.open(tokens.path, "train"), Tokens.open(tokens.path, "validation")
        if not validation.num_tokens:
            raise PlanError("there are no validation documents to score pilot runs by", where="corpus.split.validation",
                            fix="set it above 0 and try again")  # fmt: skip
        target, ladder = decide_ladder(run, train_split, validation, make_target, seconds=seconds, dropouts=dropouts, timer=timer)
        bench = Workbench(train_split, validation, tokenizer.path, target, machine_of(target), run)
        fit = fit_ladder(bench, ladder, fixed=fixed)
        write_json(draft.path / FIT_FILE, fit_json(fit))
        draft.counts = {"points": len(fit.points), "left_out": len(fit.left_out), "noise": fit.noise}
    return draft.result


def machine_of(target: Plan) -> Machine:
    """Return the machine at hand, its GPU left alone where the plan does."""
    return describe_machine("cpu" if target.machine.get("device") == "cpu" else "auto")


def decide_ladder(
    folder: Path,
    train_split: Tokens,
    validation: Tokens,
    make_target: Callable[[], Plan],
    *,
    seconds: float,
    dropouts: tuple[float, ...],
    timer: StepTimer,
) -> tuple[Plan, Ladder]:
    """Return what is planned and the pilots' sizes and lengths: those of the first call, so that a slower minute changes nothing."""
    file = folder / LADDER
    if file.is_file():
        kept = json.loads(file.read_text(encoding="utf-8"))
        target, ladder = kept["target"], kept["ladder"]
        ladder |= {name: tuple(ladder[name]) for name in ("token_seconds", "dropouts")}
        models = tuple(ModelConfig.model_validate(model) for model in ladder["models"])
        return (Plan(**{**target, "model": ModelConfig.model_validate(target["model"])}),
                Ladder(**{**ladder, "models": models}))  # fmt: skip
    target = make_target()
    small, large = (sizes[place] for sizes, place in zip(pilot_models(target.model)[:1] * 2, (0, -1), strict=True))
    times = [time_token(model, target, seconds=seconds, timer=timer) for model in (small, large)]
    scored = min(validation.num_tokens, int(target.train["evaluation_tokens"]) or validation.num_tokens)
    ladder = ladder_for(target, train_split.num_tokens, scored, seconds=seconds, token_seconds=between((small, large), times),
                        dropouts=dropouts)  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: getattr(target, name) for name in ("train", "estimates", "reasons", "machine")}
    write_json(file, {
        "target": {**plain, "model": target.model.model_dump(mode="json")},
        "ladder": {**vars(ladder), "models": [model.model_dump(mode="json") for model in ladder.models]},
    })  # fmt: skip
    return target, ladder


def time_token(model: ModelConfig, target: Plan, *, seconds: float, timer: StepTimer) -> float:
    """Return the time of learning from a token."""
    rows = max(1, rules.MIN_BATCH_TOKENS // model.context_length)
    values = {**target.train, "batch_size": rows, "micro_batch_size": min(rows, int(target.train["micro_batch_size"]))}
    measured = timer(model, values, machine=machine_of(target), expected_seconds=seconds / 4)
    return measured.seconds / (rows * model.context_length)


def between(models: tuple[ModelConfig, ModelConfig], times: list[float]) -> Callable[[ModelConfig], float]:
    """Return the time of a token for any size: a power of its FLOPs that gives both measured times."""
    flops = [flops_per_token(model).model for model in models]
    power = math.log(times[1] / times[0]) / math.log(flops[1] / flops[0])
    return lambda model: times[0] * (flops_per_token(model).model / flops[0]) ** power


def fit_ladder(bench: Workbench, ladder: Ladder, *, fixed: Set[str]) -> Fit:
    """Run whatever is missing of the search and of the ladder, and fit the law."""
    say(f"pilot runs of {', '.join(f'{model.width} x {model.num_layers}' for model in ladder.models)}, "
        f"{ladder.length_tokens:,} tokens and more each")  # fmt: skip
    rate_factor, batch_factor, searched = search(bench, ladder, fixed=fixed)
    pilots = law_pilots(bench.target, ladder, rate_factor=rate_factor, batch_factor=batch_factor)
    shortest = min(steps for pilot in pilots for steps in pilot.lengths)
    if shortest < FEW_STEPS:
        warn(f"the shortest pilots have {shortest} steps, where learning has hardly begun: the law is less sure than it says; "
             f"--again with {math.ceil(FEW_STEPS / shortest)} times the minutes tells more")  # fmt: skip
    records = [record for pilot in pilots for record in run_pilot(pilot, bench)]
    points = [Point(record["parameters"], record["tokens_seen"], record["unique_tokens"], loss_of(record), record["name"],
                    record["dropout"]) for record in records]  # fmt: skip
    recipe = {name: bench.target.train[name] for name in RECIPE}
    fitted = fit_points(points)
    return replace(fitted, rate_factor=rate_factor, batch_factor=batch_factor, recipe=recipe, searched=tuple(searched),
                   largest_flops=max(record["flops"] for record in records))  # fmt: skip


def search(bench: Workbench, ladder: Ladder, *, fixed: Set[str]) -> tuple[float, float, list[dict[str, Any]]]:
    """Return the best multiples of the rule's learning rate and batch at the smallest size, and what was tried.

    Another batch is tried, and returned, with a rate that grows with its square root (Malladi et al. 2022, arXiv:2205.10287), unless the
    user fixed the rate.
    """
    searched: list[dict[str, Any]] = []

    def tried(pilot: Pilot, setting: str, factor: float) -> float:
        loss = loss_of(run_pilot(pilot, bench)[0])
        searched.append({"setting": setting, "factor": factor, "bits_per_byte": loss if math.isfinite(loss) else None})
        return loss

    rates: dict[float, float] = {}
    rate_is_fixed = bool(fixed & {"learning_rate", "adam_learning_rate"})
    if not rate_is_fixed:
        rates = {factor: tried(rate_pilot(bench.target, ladder, factor), "learning_rate", factor) for factor in SEARCH_RATES}
        best = min(rates, key=lambda factor: rates[factor] if math.isfinite(rates[factor]) else math.inf)
        if best in (min(SEARCH_RATES), max(SEARCH_RATES)):
            further = best**2
            rates[further] = tried(rate_pilot(bench.target, ladder, further), "learning_rate", further)
    rate_factor = best_factor(rates)
    if "batch_size" in fixed:
        return rate_factor, 1.0, searched
    usual = min((loss for loss in rates.values() if math.isfinite(loss)), default=math.nan)
    if not rates:
        usual = tried(rate_pilot(bench.target, ladder, 1.0), "batch_size", 1.0)

    def rate_with(batch_factor: float) -> float:
        return rate_factor if rate_is_fixed else rate_factor * math.sqrt(batch_factor)

    pilots = {factor: batch_pilot(bench.target, ladder, rate_with(factor), factor) for factor in SEARCH_BATCHES}
    rows = rate_pilot(bench.target, ladder, 1.0).batch_size
    # Of one long sequence there is no half: such a pilot would try the rate again, and no other batch.
    pilots = {factor: pilot for factor, pilot in pilots.items() if pilot.batch_size != rows}
    batch_factor = best_batch(usual, {factor: tried(pilot, "batch_size", factor) for factor, pilot in pilots.items()})
    return rate_with(batch_factor), batch_factor, searched


def loss_of(record: Mapping[str, Any]) -> float:
    """Return a finished run's bits per byte, not a number where it diverged."""
    return math.nan if record["bits_per_byte"] is None else float(record["bits_per_byte"])


def run_pilot(pilot: Pilot, bench: Workbench) -> list[dict[str, Any]]:
    """Run what is missing of a pilot, and return the records of its lengths."""
    files = [bench.folder / POINTS / f"{pilot.name}-{steps}.json" for steps in pilot.lengths]
    if not all(file.is_file() for file in files):
        files[0].parent.mkdir(parents=True, exist_ok=True)
        say(f"  {pilot.name}: {human_count(pilot.model.num_parameters)} parameters, {' and '.join(map(str, pilot.lengths))} steps")
        trunk = Trunk(pilot, bench)
        try:
            for steps, file in zip(pilot.lengths, files, strict=True):
                if not file.is_file():
                    write_json(file, trunk.branch(steps))
        finally:
            trunk.close()
        shutil.rmtree(bench.folder / TRUNKS / pilot.name, ignore_errors=True)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]
