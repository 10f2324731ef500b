"""Training speed and memory against the Hugging Face Trainer: the same architecture, batch and machine, alternating in one run.

    python benchmarks/train_speed.py                     # shapes S and G, three rounds
    python benchmarks/train_speed.py --shapes S --rounds 1

Each side of each round is a fresh process, so neither keeps the other's memory. The Trainer runs as its users run it: bf16 autocast,
torch.compile, its own data loader. rodna runs its own loop's parts, set up by itself. Both train with AdamW, clip at 1 and read the loss
as they normally do. Shown: median tokens per second, peak resident memory, and the share of the measured matrix-product peak.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, int]] = {
    "S": {"width": 256, "num_layers": 8, "num_heads": 8, "ffn_width": 768, "vocabulary_size": 16_000, "context": 256, "batch": 32},
    "G": {"width": 512, "num_layers": 8, "num_heads": 8, "ffn_width": 1536, "vocabulary_size": 30_000, "context": 256, "batch": 16},
}
MICRO_BATCH = {"S": 8, "G": 8}
"""Sequences at once: what the plan chooses for these shapes (2,048 tokens)."""


def run_trainer(shape: dict[str, int], steps: int, *, compiled: bool) -> list[float]:
    """Train with transformers' Trainer; return the seconds of each step."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=shape["vocabulary_size"], hidden_size=shape["width"], intermediate_size=shape["ffn_width"],
        num_hidden_layers=shape["num_layers"], num_attention_heads=shape["num_heads"], num_key_value_heads=shape["num_heads"],
        max_position_embeddings=shape["context"], tie_word_embeddings=True,
    ))  # fmt: skip

    class RandomTokens(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return shape["batch"] * (steps + 1)

        def __getitem__(self, index: int) -> dict[str, Any]:
            ids = torch.randint(shape["vocabulary_size"], (shape["context"],), generator=torch.Generator().manual_seed(index))
            return {"input_ids": ids, "labels": ids}

    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=shape["batch"], max_steps=steps, bf16=True,
            use_cpu=not torch.cuda.is_available(),
            torch_compile=compiled, report_to=[], save_strategy="no", logging_steps=10, disable_tqdm=True, learning_rate=1e-4,
        )  # fmt: skip
        Trainer(model=model, args=arguments, train_dataset=RandomTokens(), callbacks=[Clock()]).train()
    return [later - earlier for earlier, later in itertools.pairwise(ends)]


def run_rodna(shape: dict[str, int], steps: int, *, compiled: bool, micro_batch: int, optimizer: str) -> list[float]:
    """Train with rodna's own parts; return the seconds of each step."""
    import numpy as np

    from rodna.data.batches import Batches
    from rodna.data.tokens import Tokens
    from rodna.models.config import ModelConfig
    from rodna.models.decoder import Decoder
    from rodna.plan.hardware import describe_machine
    from rodna.train.config import TrainValues
    from rodna.train.loop import learn_batch
    from rodna.train.objectives import next_token
    from rodna.train.optim import build_optimizers, update
    from rodna.train.runtime import compile_decoder, compute_dtype, prepare

    machine = describe_machine("auto")
    values = TrainValues(
        steps=steps, batch_size=shape["batch"], micro_batch_size=micro_batch, optimizer=optimizer, learning_rate=1e-4,
        adam_learning_rate=1e-4, weight_decay=0.0, warmup_steps=0, decay_fraction=0.0, checkpoint_activations=False, evaluations=1,
    )  # fmt: skip
    config = ModelConfig(
        vocabulary_size=shape["vocabulary_size"], width=shape["width"], num_layers=shape["num_layers"], num_heads=shape["num_heads"],
        num_kv_heads=shape["num_heads"], head_width=shape["width"] // shape["num_heads"], ffn_width=shape["ffn_width"],
        context_length=shape["context"], qk_norm=False, tied_embeddings=True,
    )  # fmt: skip
    device, dtype = prepare(machine), compute_dtype(machine, values)
    decoder = Decoder(config).initialize(seed=0).to(device).train()
    optimizers = build_optimizers(decoder, values)
    source = np.random.default_rng(0)
    length = 2000
    documents = (steps + 1) * shape["batch"] * shape["context"] // length + 1
    stream = source.integers(shape["vocabulary_size"], size=documents * length).astype("<u2")
    offsets = np.arange(documents + 1, dtype=np.int64) * length
    tokens = Tokens(stream, offsets, np.full(documents, 4 * length, np.int64), 0, shape["vocabulary_size"])
    batches = Batches(tokens, seed=0, batch_size=shape["batch"], context_length=shape["context"])
    if compiled and not compile_decoder(decoder, batches.batch(0).inputs_BT[:micro_batch].to(device), dtype=dtype):
        raise SystemExit("compilation failed: no comparison")
    seconds = []
    for step in range(steps):
        started = time.perf_counter()
        nats, count, _ = learn_batch(decoder, batches.batch(step), values, device=device, step=step, dtype=dtype, objective=next_token)
        update(decoder, optimizers, factor=1.0, clip_norm=1.0)
        float(nats) / count
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def measure(side: str, name: str, steps: int, optimizer: str, micro_batch: int) -> dict[str, Any]:
    """Run one side in this process and return its figures; the first two steps are warm-up."""
    started, shape = time.perf_counter(), SHAPES[name]
    compiled = not side.endswith("eager")
    if side.startswith("trainer"):
        seconds = run_trainer(shape, steps, compiled=compiled)
    else:
        seconds = run_rodna(shape, steps, compiled=compiled, micro_batch=micro_batch or MICRO_BATCH[name], optimizer=optimizer)
    step = statistics.median(seconds[1:])
    return {
        "side": side, "shape": name, "tokens_per_second": shape["batch"] * shape["context"] / step,
        "first_step_seconds": round(time.perf_counter() - started - sum(seconds), 1),
        "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }  # fmt: skip


def flops_per_token(name: str) -> float:
    """Return forward and backward FLOPs, attention over all positions included, for the share of the peak."""
    shape = SHAPES[name]
    weights = shape["num_layers"] * (4 * shape["width"] ** 2 + 3 * shape["width"] * shape["ffn_width"])
    weights += shape["vocabulary_size"] * shape["width"]
    return 6.0 * weights + 12.0 * shape["num_layers"] * shape["context"] * shape["width"]


def measured_peak() -> float:
    """Return the FLOP/s of bf16 matrix products now, in a process of its own."""
    code = ("from rodna.plan.hardware import describe_machine, measure_speeds; from rodna.train.runtime import prepare; "
            "m = describe_machine('auto'); prepare(m); print(measure_speeds(m).bf16_flops)")  # fmt: skip
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["S", "G"], choices=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "muon"])
    parser.add_argument("--micro-batch", type=int, default=0)
    parser.add_argument("--sides", nargs="+", default=["trainer", "rodna"], help="trainer, trainer-eager, rodna, rodna-eager")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="also write the results here, as JSON")
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given.side, given.shapes[0], given.steps, given.optimizer, given.micro_batch)))
        return
    results, peak = [], measured_peak()
    for number in range(given.rounds):
        for name in given.shapes:
            for side in given.sides:
                command = [sys.executable, __file__, "--side", side, "--shapes", name, "--steps", str(given.steps),
                           "--optimizer", given.optimizer, "--micro-batch", str(given.micro_batch)]  # fmt: skip
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    sys.exit(done.stderr[-2000:])
                results.append({"round": number, **json.loads(done.stdout.splitlines()[-1])})
                print(json.dumps(results[-1]), flush=True)
    peak = max(peak, measured_peak())
    print(f"\nmatrix products reach {peak / 1e12:.3f} TFLOP/s in bf16")
    table = []
    for name in given.shapes:
        for side in given.sides:
            rows = [row for row in results if (row["side"], row["shape"]) == (side, name)]
            rate = statistics.median(row["tokens_per_second"] for row in rows)
            base = [statistics.median(row["tokens_per_second"] for row in results if (row["side"], row["shape"]) == (given.sides[0], name)),
                    max(row["memory_gb"] for row in results if (row["side"], row["shape"]) == (given.sides[0], name))]  # fmt: skip
            memory = max(row["memory_gb"] for row in rows)
            table.append({"shape": name, "side": side, "tokens_per_second": round(rate), "ratio": round(rate / base[0], 2),
                          "memory_gb": round(memory, 2), "memory_ratio": round(memory / base[1], 2),
                          "share_of_peak": round(rate * flops_per_token(name) / peak, 3)})  # fmt: skip
            print(json.dumps(table[-1]))
    if given.out:
        given.out.write_text(json.dumps({"command": sys.argv, "peak_flops": peak, "summary": table, "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
