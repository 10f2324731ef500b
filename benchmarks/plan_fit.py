"""Does `rodna plan fit` foresee a run ten times its largest pilot? Fit a law to a few minutes of pilots, predict, train, compare.

    python benchmarks/plan_fit.py ../shared/data/corpora/be FOLDER --language be --minutes 4 --factor 10 --out RESULT.json

Killed anywhere, the same command goes on. The prediction is written to --out before the run begins. Corpus, tokenizer and tokens are made
once by rodna's own stages, in FOLDER. Only the validation split is looked at.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from prepared import prepare_text

from rodna.core.artifact import MANIFEST, Artifact
from rodna.core.config import validate
from rodna.core.files import write_json
from rodna.data.tokens import Tokens
from rodna.plan import rules
from rodna.plan.config import ModelSection, PlanConfig
from rodna.plan.fit import Fit, fit_json, read_fit
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import describe_machine
from rodna.plan.plan import machine_of, measure_text, plan_settings, speeds_of
from rodna.plan.propose import Plan, propose
from rodna.plan.recipes import DATA_LIMITED
from rodna.train.config import TrainConfig, TrainValues
from rodna.train.pilots import LADDER, decide_ladder, fit_scaling
from rodna.train.session import Job
from rodna.train.session import fit as train_job
from rodna.train.state import RunFolder, setup_digest
from rodna.train.timing import time_steps

DROPOUTS = (0.0, DATA_LIMITED.dropout)
LARGEST_PILOT_SHARE = 0.25
"""About what the largest pilot takes of all pilots' time: so long a run is planned for that its recipe is the large run's."""


def plan_for(corpus: Artifact, tokenizer: Artifact, config: PlanConfig, train: TrainConfig) -> Plan:
    """Return what is planned for a budget without a fit."""
    settings, machine = plan_settings(config, model=ModelSection(), train=train), machine_of(config)
    return propose(
        measure_text(corpus, tokenizer), machine, speeds_of(machine, config), config, model=settings["model"], train=settings["train"],
        timer=time_steps, left_open=frozenset(settings["left_open"]),
    )  # fmt: skip


def large_run(target: Plan, fit: Fit, *, factor: float, seed: int) -> tuple[Plan, TrainValues]:
    """Return the planned model with as many steps as make `factor` times the largest pilot's FLOPs, and its settings."""
    model = target.model
    batch_size = max(1, round(int(target.train["batch_size"]) * fit.batch_factor))
    steps = max(1, round(factor * fit.largest_flops / (flops_per_token(model).model * batch_size * model.context_length)))
    changes = {name: float(target.train[name]) * fit.rate_factor for name in ("learning_rate", "adam_learning_rate")}
    values = validate(TrainValues, {
        **target.train, **changes, "batch_size": batch_size, "micro_batch_size": min(batch_size, int(target.train["micro_batch_size"])),
        "steps": steps, "warmup_steps": rules.warmup_steps(steps), "evaluations": 8, "trackers": (), "seed": seed,
    })  # fmt: skip
    return replace(target, train=values.model_dump(mode="json")), values


def foresee(fit: Fit, target: Plan, values: TrainValues, unique_tokens: int, *, factor: float) -> dict[str, Any]:
    """Return the prediction for the large run."""
    tokens_seen = values.steps * values.batch_size * target.model.context_length
    expected, low, high = fit.predict(rules.block_parameters(target.model), tokens_seen, unique_tokens, target.model.dropout)
    return {
        "predicted": expected, "low": low, "high": high, "tokens_seen": tokens_seen, "epochs": tokens_seen / unique_tokens,
        "width": target.model.width, "num_layers": target.model.num_layers, "parameters": target.model.num_parameters,
        "block_parameters": rules.block_parameters(target.model), "dropout": target.model.dropout, "steps": values.steps,
        "learning_rate": values.learning_rate, "weight_decay": values.weight_decay, "batch_size": values.batch_size,
        "flops_over_largest_pilot": factor, "seed": values.seed,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--language", required=True)
    parser.add_argument("--minutes", type=float, default=4.0, help="of all pilots together")
    parser.add_argument("--factor", type=float, default=10.0, help="FLOPs of the run over those of the largest pilot")
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0, help="of the large run")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    corpus, tokenizer, tokens = prepare_text(given.language, given.data, given.folder, given.vocabulary)
    folder = tokens.path.parent
    budget = given.minutes * given.factor * LARGEST_PILOT_SHARE
    config, train = PlanConfig(time_budget_minutes=budget, calibration="estimated", device=given.device), TrainConfig()
    pilots = folder / f"pilots-{given.minutes:g}min-{given.factor:g}x"
    seconds = 60 * given.minutes
    if not (folder / f"{pilots.name}-fit" / MANIFEST).is_file():
        fit_scaling(corpus, tokenizer, tokens, {"minutes": given.minutes}, folder / f"{pilots.name}-fit", run=pilots, seconds=seconds,
                    make_target=lambda: plan_for(corpus, tokenizer, config, train), dropouts=DROPOUTS)  # fmt: skip
    fit = read_fit(Artifact.open(folder / f"{pilots.name}-fit", kind="scaling"))
    assert (pilots / LADDER).is_file(), f"{pilots} was deleted: its ladder says what the pilots were for"
    text, validation = Tokens.open(tokens.path, "train"), Tokens.open(tokens.path, "validation")
    planned, _ = decide_ladder(
        pilots, text, validation, lambda: plan_for(corpus, tokenizer, config, train), seconds=seconds, dropouts=DROPOUTS, timer=time_steps
    )  # fmt: skip
    target, values = large_run(planned, fit, factor=given.factor, seed=given.seed)
    result = {
        "command": {key: str(value) for key, value in vars(given).items()},
        **foresee(fit, target, values, text.num_tokens, factor=given.factor),
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.out, result)
    run = RunFolder(folder / f"run-{pilots.name}-seed{given.seed}", tokenizer_folder=tokenizer.path,
                    setup=setup_digest(train=target.train, model=target.model.model_dump(mode="json"), tokens=tokens.digest))  # fmt: skip
    machine = describe_machine(given.device)
    trained = train_job(Job(target.model, values, values.seed), tokens, run, machine=machine, speeds=target.machine, seconds=60 * budget)
    records = [json.loads(line) for line in trained.metrics.read_text(encoding="utf-8").splitlines()]
    final = [record["validation_bits_per_byte"] for record in records if "validation_bits_per_byte" in record][-1]
    error = 100 * (result["predicted"] / final - 1)
    result |= {
        "measured": final, "best": trained.progress.best_bits_per_byte, "error_percent": round(error, 3),
        "within_interval": result["low"] <= final <= result["high"], "within_3_percent": abs(error) <= 3,
        "run_seconds": trained.progress.seconds, "fit": {name: value for name, value in fit_json(fit).items() if name != "draws"},
    }  # fmt: skip
    write_json(given.out, result)
    print(json.dumps({key: value for key, value in result.items() if key != "fit"}, indent=2))


if __name__ == "__main__":
    main()
