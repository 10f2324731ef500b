"""How long a training on a CPU compiles before its first step: one C++ file for each graph, as rodna asks for, beside torch's default.

    python benchmarks/compile_speed.py --width 96 --layers 4 --vocabulary 5696 --rounds 3 --out benchmarks/results/compile_speed.json

Each round runs both in turn, each in a process of its own that begins with an empty cache of compiled code, then takes some steps.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

STEPS = 60
WAYS = ("default", "few files")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("width", 96), ("layers", 4), ("vocabulary", 5696), ("context", 256), ("rows", 8), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", choices=WAYS, help="what a round's process does")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(compile_once(given)))
        return
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as cache:
                done = subprocess.run(
                    [sys.executable, *sys.argv, "--one", way], capture_output=True, text=True, check=True,
                    env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
                )  # fmt: skip
            runs[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{way}: {runs[way][-1]}", flush=True)
    figures = {way: {key: median(run[key] for run in runs[way]) for key in runs[way][0]} for way in WAYS}
    ratios = {key: figures["few files"][key] / figures["default"][key] for key in figures["default"]}
    print(f"ratios, few files over default: {ratios}")
    if given.out:
        from rodna.plan.hardware import describe_machine

        settings = {name: value for name, value in vars(given).items() if name not in ("out", "one")}
        found: dict[str, Any] = {
            "machine": describe_machine("cpu").name,
            "settings": settings,
            "median": figures,
            "ratios": ratios,
            "runs": runs,
        }
        known = json.loads(given.out.read_text(encoding="utf-8")) if given.out.is_file() else []
        given.out.write_text(json.dumps([*known, found], indent=1) + "\n", encoding="utf-8")


def compile_once(given: argparse.Namespace) -> dict[str, float]:
    """Return seconds from nothing to a compiled decoder, and of a step afterwards."""
    import torch

    from rodna.models.config import ModelConfig
    from rodna.models.decoder import Decoder
    from rodna.plan import rules
    from rodna.plan.hardware import describe_machine
    from rodna.train import runtime
    from rodna.train.objectives import next_token

    machine = describe_machine("cpu")
    runtime.prepare(machine)
    dtype = torch.float32 if machine.bf16 == "none" else torch.bfloat16
    shape = rules.shape(given.width, given.layers, {}) | {
        "context_length": given.context,
        "dropout": given.dropout,
        "tied_embeddings": True,
    }
    config = ModelConfig.model_validate({**shape, "vocabulary_size": given.vocabulary})
    decoder = Decoder(config).initialize(seed=0).train()
    tokens_BT = torch.randint(0, given.vocabulary, (given.rows, given.context))
    if given.one == "default":
        runtime._set_up_compiler = lambda **_: None
    started = time.perf_counter()
    assert runtime.compile_decoder(decoder, tokens_BT, dtype=dtype)
    ready = time.perf_counter()
    ends = [ready]
    for _ in range(STEPS):
        next_token(decoder, runtime._batch_of(tokens_BT), compute_dtype=dtype).nats.backward()
        decoder.zero_grad(set_to_none=True)
        ends.append(time.perf_counter())
    return {"compile_seconds": ready - started, "step_seconds": median(after - before for before, after in itertools.pairwise(ends))}


if __name__ == "__main__":
    main()
