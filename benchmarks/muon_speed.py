"""The time of an optimizer update: torch's Muon against ours, its variants, and the average of the weights, alternating in one run.

    python benchmarks/muon_speed.py                          # shapes S and G, twenty rounds
    python benchmarks/muon_speed.py --shapes S --rounds 5 --out muon.json

Every side has the matrices of the same blocks and the same gradients, and takes one step in turn, so what else the machine does falls on
all alike. Shown: the median milliseconds of a step, that as a multiple of torch's, and the FLOPs of its products.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.plan.hardware import describe_machine
from rodna.train.muon import Muon
from rodna.train.runtime import prepare

SHAPES: dict[str, dict[str, Any]] = {
    "S": {"width": 256, "num_layers": 8, "num_heads": 8, "ffn_width": 768},
    "G": {"width": 512, "num_layers": 8, "num_heads": 8, "ffn_width": 1536},
}
COMMON: dict[str, Any] = {"lr": 1e-3, "weight_decay": 0.1, "momentum": 0.95}
OPTIMIZERS: dict[str, Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]] = {
    "torch": lambda matrices: torch.optim.Muon(matrices, adjust_lr_fn="match_rms_adamw", **COMMON),
    "muon": lambda matrices: Muon(matrices, **COMMON),
    "polar_express": lambda matrices: Muon(matrices, **COMMON, orthogonalization="polar_express"),
    "normuon": lambda matrices: Muon(matrices, **COMMON, normalize_rows=True),
    "normuon, cautious": lambda matrices: Muon(matrices, **COMMON, normalize_rows=True, cautious=True),
    "adamw": lambda matrices: torch.optim.AdamW(matrices, lr=1e-3, fused=True),
}


def sides_of(shape: dict[str, Any], device: torch.device) -> dict[str, Callable[[], object]]:
    """Return one step of every side, each with weights of its own."""
    model = ModelConfig(vocabulary_size=64, num_kv_heads=shape["num_heads"], head_width=shape["width"] // shape["num_heads"],
                        context_length=64, **shape)  # fmt: skip
    sides: dict[str, Callable[[], object]] = {}
    for name, make in OPTIMIZERS.items():
        decoder = Decoder(model).initialize(seed=0).to(device)
        matrices = [p for key, p in decoder.named_parameters() if p.ndim == 2 and key.startswith("blocks.")]
        generator = torch.Generator().manual_seed(0)
        for matrix in matrices:
            matrix.grad = torch.empty(matrix.shape).normal_(0, 1e-3, generator=generator).to(device)
        sides[name] = make(matrices).step
        if name == "muon":
            averages = [matrix.detach().clone() for matrix in matrices]
            sides["averaging"] = lambda weights=matrices, averages=averages: [
                average.lerp_(weight.detach(), 0.01) for average, weight in zip(averages, weights, strict=True)
            ]
    return sides


def measure(shape: dict[str, Any], rounds: int, device: torch.device) -> list[dict[str, Any]]:
    """Return a row for each side."""
    sides = sides_of(shape, device)
    flops: dict[str, int] = {}
    for name, step in sides.items():
        with FlopCounterMode(display=False) as counter:
            step()
        flops[name] = counter.get_total_flops()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, step in sides.items():
            started = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number:
                seconds[name].append(time.perf_counter() - started)
    base = statistics.median(seconds["torch"])
    return [
        {"side": name, "milliseconds": round(1e3 * statistics.median(values), 2), "fastest": round(1e3 * min(values), 2),
         "of_torch": round(statistics.median(values) / base, 3), "gflops": round(flops[name] / 1e9, 2)}
        for name, values in seconds.items()
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["S", "G"], choices=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--out", type=Path, help="also write the results here, as JSON")
    given = parser.parse_args()
    device = prepare(describe_machine("auto"))
    rows = []
    for name in given.shapes:
        for row in measure(SHAPES[name], given.rounds, device):
            rows.append({"shape": name, **row})
            print(json.dumps(rows[-1]), flush=True)
    if given.out:
        given.out.write_text(json.dumps({"command": sys.argv, "threads": torch.get_num_threads(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
