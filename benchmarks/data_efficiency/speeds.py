"""How fast each training is on this machine, measured once while it is quiet: it decides how many steps a budget is worth.

The rule, for every system: the budget holds everything after imports and the preparation of data, so building, compiling, training and the
evaluations while training. A run then makes a fixed number of steps, however busy or fast the machine it is run on.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from benchmarks.data_efficiency.hf_peers import train_hf
from benchmarks.data_efficiency.ours import ensemble_of, plan_for
from benchmarks.data_efficiency.peers import EVALUATIONS, GLANCE_TOKENS, Trained, train_plain
from benchmarks.data_efficiency.pieces import ALONE, SEEDS, Piece, settings_to_come
from benchmarks.data_efficiency.recipes import PeerRecipe
from benchmarks.data_efficiency.results import Speeds, no_speeds, read_machines, read_results, write_speeds
from benchmarks.data_efficiency.scoring import glance
from benchmarks.data_efficiency.texts import ROOT, BenchmarkError, Place, find_text, tokens_of

from rodna.core.artifact import Artifact
from rodna.data.tokens import Tokens
from rodna.plan.hardware import describe_machine, measure_speeds

MEASURED_SECONDS = 8.0
WARM_STEPS = 2
MANY_STEPS = 1_000_000
VOCABULARY_ROUNDED_TO = 512
"""Vocabularies that differ by less are taken to be equally fast."""
SMALLEST_STEPS = 5


def key_of(recipe: PeerRecipe, vocabulary: int) -> str:
    """Return under which name a speed is kept."""
    return f"{recipe.speed_key}-V{math.ceil(vocabulary / VOCABULARY_ROUNDED_TO) * VOCABULARY_ROUNDED_TO}"


def vocabulary_name(text: str, recipe: PeerRecipe) -> str:
    """Return under which name the size of a vocabulary is kept."""
    return f"{text}/{recipe.algorithm}-{recipe.vocabulary or 'planned'}"


def variants_of(speeds: Speeds, piece: Piece) -> dict[str, Any]:
    """Return the measured speeds of a piece's training, eager and compiled; empty where there are none."""
    assert piece.recipe is not None, "peers have recipes"
    vocabulary = speeds["vocabularies"].get(vocabulary_name(piece.text, piece.recipe), {}).get("size", 0)
    return speeds["steps"].get(key_of(piece.recipe, vocabulary), {}) if vocabulary else {}


def steps_of(speeds: Speeds, piece: Piece) -> tuple[int, bool]:
    """Return how many steps a peer's piece makes, and whether its owner would compile: whichever gives more steps.

    Raises:
        BenchmarkError: its speed has not been measured.
    """
    recipe = piece.recipe
    assert recipe is not None, "peers have recipes"
    tokens = speeds["vocabularies"].get(vocabulary_name(piece.text, recipe), {}).get("tokens", 0)
    per_epoch = tokens / recipe.tokens_per_step
    if piece.epochs and tokens:
        return max(SMALLEST_STEPS, round(piece.epochs * per_epoch)), False
    variants = variants_of(speeds, piece)
    if not variants:
        raise BenchmarkError(f"the speed of {piece.name} has not been measured", fix="on the quiet machine run: "
                             "python -m benchmarks.data_efficiency speeds --machine LABEL")  # fmt: skip
    reach = {name: _steps_in(60 * piece.minutes, speed) for name, speed in variants.items() if speed}
    name = max(reach, key=reach.__getitem__)
    most = min(reach[name], recipe.max_epochs * per_epoch) if recipe.max_epochs else reach[name]
    return max(SMALLEST_STEPS, round(piece.fraction * most)), name == "compiled"


def _steps_in(seconds: float, speed: dict[str, float]) -> float:
    left = seconds - speed["startup_seconds"] - EVALUATIONS * speed["evaluation_seconds"]
    return max(0.0, left) / speed["step_seconds"]


def expected_seconds(speeds: Speeds, piece: Piece) -> float:
    """Return about how long a piece takes on the machine the speeds were measured on; nan where unknown."""
    if piece.kind in ("count", "ensemble"):
        return 60.0
    if piece.recipe is None:
        plan = speeds["plans"].get(piece.plan_key)
        if plan is None or piece.kind == "student" or ensemble_of(plan):
            return 60.0 * piece.minutes
        return plan["estimates"]["seconds"] + 20
    variants = variants_of(speeds, piece)
    if not variants:
        return math.nan
    steps, _ = steps_of(speeds, piece)
    fastest = min((speed for speed in variants.values() if speed), key=lambda speed: speed["step_seconds"])
    # The last scoring reads all of validation, and test, twice: windows overlap by half.
    scoring = 6 * fastest["evaluation_seconds"]
    return steps * fastest["step_seconds"] + fastest["startup_seconds"] + EVALUATIONS * fastest["evaluation_seconds"] + scoring


def measure_missing(place: Place, pieces: list[Piece], *, label: str, again: bool) -> None:
    """Measure, each in a process of its own, every speed that pieces need and that is not known; keep each at once.

    What is compared was measured on one machine: texts that another has measured are passed over.
    """
    machines = read_machines(place)
    speeds = machines.pop(label, None) or no_speeds()
    elsewhere = {text: other for other, measured in machines.items() for text in measured["texts"] if text not in speeds["texts"]}
    for text in sorted({piece.text for piece in pieces} & set(elsewhere)):
        print(f"{text}: its trainings were measured on {elsewhere[text]}, and are on no other machine")
    pieces = [piece for piece in pieces if piece.text not in elsewhere]
    machine = describe_machine("cpu")
    if again or not speeds["machine"]:
        peak = measure_speeds(machine)
        speeds["machine"] = {"name": machine.name, "cores": machine.cores, "fp32_flops": peak.fp32_flops, "bf16_flops": peak.bf16_flops}
    wanted = [piece for piece in pieces if piece.recipe is not None or piece.minutes]
    results = read_results(place)
    wanted += [Piece("search", piece.text, recipe.system, recipe, piece.minutes)
               for piece in pieces if piece.kind == "rodna" and piece.seed == SEEDS[0]
               for recipe in settings_to_come(piece.text, piece.minutes, results)]  # fmt: skip
    done: set[str] = set()
    for number, piece in enumerate(wanted, 1):
        text = find_text(piece.text)
        speeds["texts"] = sorted({*speeds["texts"], text.name})
        if piece.recipe is None:
            key = piece.plan_key
            if key in done or (key in speeds["plans"] and not again):
                continue
            speeds["plans"][key] = _in_own_process(place, {"plan": key})
        else:
            tokens, _ = tokens_of(place, text, piece.recipe.algorithm, piece.recipe.vocabulary)
            train = Tokens.open(tokens.path, "train")
            speeds["vocabularies"][vocabulary_name(piece.text, piece.recipe)] = {"size": train.vocabulary_size, "tokens": train.num_tokens}
            key = key_of(piece.recipe, train.vocabulary_size)
            if key in done or (key in speeds["steps"] and not again):
                write_speeds(place, label, speeds)
                continue
            speeds["steps"][key] = {
                name: _in_own_process(place, {"recipe": asdict(piece.recipe), "text": piece.text, "compiled": name == "compiled"})
                for name in ("eager", "compiled")
            }
        done.add(key)
        write_speeds(place, label, speeds)
        print(f"[{number}/{len(wanted)}] {key}: {_said(speeds['plans'].get(key) or speeds['steps'][key])}", flush=True)


def _said(entry: dict[str, Any]) -> str:
    if "estimates" in entry:
        return f"{entry['estimates']['tokens_per_second']:,.0f} tokens/s, {entry['train']['steps']:,} steps"
    return ", ".join(f"{name} {speed['tokens_per_second']:,.0f} tokens/s" if speed else f"{name} fails" for name, speed in entry.items())


def _in_own_process(place: Place, what: dict[str, Any]) -> dict[str, Any]:
    """Run `measure_one` in a fresh Python, with a compiler cache of its own: users compile once, from nothing."""
    command = [sys.executable, "-m", "benchmarks.data_efficiency", "--corpora", str(place.corpora), "--work", str(place.work),
               "--results", str(place.results), "speed-of", json.dumps(what)]  # fmt: skip
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    if done.returncode and not what.get("compiled"):
        raise BenchmarkError(f"the speed could not be measured: {done.stderr[-1500:]}", where=json.dumps(what))
    # A recipe that cannot be compiled here is run as it is.
    return json.loads(done.stdout.splitlines()[-1]) if not done.returncode else {}


def measure_one(place: Place, what: dict[str, Any]) -> dict[str, Any]:
    """Make rodna's plan, or time some real steps of a peer."""
    if "plan" in what:
        name, _, minutes = what["plan"].partition("/")
        alone = minutes.endswith(f"-{ALONE}")
        return plan_for(place, find_text(name), float(minutes.removesuffix(f"-{ALONE}")), alone=alone)
    text = find_text(what["text"])
    values = dict(what["recipe"])
    recipe = PeerRecipe(**{**values, "betas": tuple(values["betas"])})
    tokens, _ = tokens_of(place, text, recipe.algorithm, recipe.vocabulary)
    return time_peer(recipe, tokens, compiled=what["compiled"])


def time_peer(recipe: PeerRecipe, tokens: Artifact, *, compiled: bool, seconds: float = MEASURED_SECONDS) -> dict[str, Any]:
    """Return seconds of the start (building, compiling, the first step), of a step, and of an evaluation."""
    train, validation = Tokens.open(tokens.path, "train"), Tokens.open(tokens.path, "validation")
    device, ends = torch.device("cpu"), []
    started = time.perf_counter()

    def clock(step: int) -> bool:
        ends.append(time.perf_counter())
        return step > WARM_STEPS + 2 and ends[-1] - ends[WARM_STEPS] > seconds

    trained = train_peer(
        recipe, train, validation, steps=MANY_STEPS, seed=0, device=device, compiled=compiled, evaluations=0, on_step=clock
    )
    step = float(np.median(np.diff(ends[WARM_STEPS:])))
    before = time.perf_counter()
    glance(trained.logits, validation, context=recipe.context, device=device, max_tokens=GLANCE_TOKENS)
    evaluation = time.perf_counter() - before
    startup = max(0.0, ends[WARM_STEPS] - started - (WARM_STEPS + 1) * step)
    return {"startup_seconds": round(startup, 2), "step_seconds": step, "evaluation_seconds": round(evaluation, 2),
            "tokens_per_second": recipe.tokens_per_step / step,
            "threads": torch.get_num_threads(), "steps_timed": len(ends) - WARM_STEPS - 1}  # fmt: skip


def train_peer(recipe: PeerRecipe, train: Tokens, validation: Tokens, **how: Any) -> Trained:
    """Train a peer by its own trainer."""
    return (train_hf if recipe.trainer == "hf" else train_plain)(recipe, train, validation, **how)


def plan_of(speeds: Speeds, key: str) -> dict[str, Any]:
    """Return rodna's recorded plan.

    Args:
        speeds: of the text's machine.
        key: of the plan, see `Piece.plan_key`.

    Raises:
        BenchmarkError: it has not been made.
    """
    plan = speeds["plans"].get(key)
    if plan is None:
        raise BenchmarkError(f"rodna's plan {key} (text, minutes) has not been made",
                             fix="on the quiet machine run: python -m benchmarks.data_efficiency speeds --machine LABEL")  # fmt: skip
    return plan
