"""How well a plan's estimates hold on this machine: the peak memory of a training step, its time, and the time of a training.

    python benchmarks/plan_check.py memory            # estimated against measured peak, shape by shape (about three minutes)
    python benchmarks/plan_check.py memory small      # one shape
    python benchmarks/plan_check.py steps             # timed against estimated steps of planned sizes (about two minutes)
    python benchmarks/plan_check.py time FOLDER       # plan and train 1.5 minutes on the text files of a folder; promised against taken

Every measurement has a process of its own, so that one's peak is not another's.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"width": 64, "num_layers": 3, "vocabulary_size": 4096, "batch_size": 8},
    "small": {"width": 128, "num_layers": 4, "vocabulary_size": 4096, "batch_size": 16},
    "medium": {"width": 256, "num_layers": 6, "vocabulary_size": 8192, "batch_size": 16},
    "medium, checkpointed": {"width": 256, "num_layers": 6, "vocabulary_size": 8192, "batch_size": 16, "checkpoint_activations": True},
    "medium, fp32": {"width": 256, "num_layers": 6, "vocabulary_size": 8192, "batch_size": 16, "precision": "fp32", "optimizer": "adamw"},
    "deep": {"width": 192, "num_layers": 12, "vocabulary_size": 2048, "batch_size": 16},
    "deep, micro-batch 4": {"width": 192, "num_layers": 12, "vocabulary_size": 2048, "batch_size": 16, "micro_batch_size": 4},
    "long": {"width": 192, "num_layers": 6, "vocabulary_size": 2048, "batch_size": 4, "context_length": 1024},
    "wide vocabulary": {"width": 128, "num_layers": 4, "vocabulary_size": 16_000, "batch_size": 16, "optimizer": "adamw"},
    "wide": {"width": 512, "num_layers": 8, "vocabulary_size": 8192, "batch_size": 4, "optimizer": "adamw"},
    "small, compiled": {"width": 128, "num_layers": 4, "vocabulary_size": 4096, "batch_size": 16, "compile": "on"},
    "medium, compiled": {"width": 256, "num_layers": 6, "vocabulary_size": 8192, "batch_size": 16, "compile": "on"},
    "deep, compiled": {"width": 192, "num_layers": 12, "vocabulary_size": 2048, "batch_size": 16, "compile": "on"},
    "wide vocabulary, compiled": {"width": 128, "num_layers": 4, "vocabulary_size": 16_000, "batch_size": 16, "compile": "on"},
}  # fmt: skip


def main() -> None:
    what, *names = sys.argv[1:] or ["memory"]
    if what == "one":
        print(json.dumps(measure(**json.loads(names[0]))))
    elif what == "memory":
        print(f"{'shape':28} {'parameters':>10} {'measured':>9} {'estimate':>9} {'error':>7}")
        for name in names or SHAPES:
            found = in_own_process(SHAPES[name])
            error = found["estimated_bytes"] / found["peak_bytes"] - 1
            sizes = (f"{found[key] / 2**20:.0f} MiB" for key in ("peak_bytes", "estimated_bytes"))
            print(f"{name:28} {found['parameters']:>10,} {next(sizes):>9} {next(sizes):>9} {error:>+7.1%}", flush=True)
    elif what == "steps":
        check_steps()
    elif what == "time":
        check_time(Path(names[0]))
    else:
        sys.exit(__doc__)


def in_own_process(shape: dict[str, Any]) -> dict[str, float]:
    """Measure a shape in a fresh Python."""
    done = subprocess.run([sys.executable, __file__, "one", json.dumps(shape)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure(
    *,
    width: int,
    num_layers: int,
    vocabulary_size: int,
    batch_size: int,
    context_length: int = 256,
    micro_batch_size: int = 0,
    checkpoint_activations: bool = False,
    **settings: Any,
) -> dict[str, float]:
    """Make three optimizer steps with the training room's own parts; return the peak of the process and the estimate."""
    import torch

    from rodna.data.batches import Batch
    from rodna.models.config import ModelConfig
    from rodna.models.decoder import Decoder
    from rodna.plan.hardware import describe_machine
    from rodna.plan.memory import training_memory
    from rodna.plan.rules import shape
    from rodna.train.config import TrainValues
    from rodna.train.loop import learn_batch
    from rodna.train.objectives import next_token
    from rodna.train.optim import build_optimizers, update
    from rodna.train.runtime import PeakMemory, compile_decoder, compute_dtype, prepare

    machine = describe_machine("cpu")
    device = prepare(machine)
    fields = shape(width, num_layers, {"context_length": context_length})
    config = ModelConfig(vocabulary_size=vocabulary_size, **fields)
    values = TrainValues(
        steps=3, batch_size=batch_size, micro_batch_size=micro_batch_size or batch_size, learning_rate=1e-3, adam_learning_rate=1e-3,
        weight_decay=0.1, warmup_steps=0, decay_fraction=0.5, evaluations=1, checkpoint_activations=checkpoint_activations, **settings,
    )  # fmt: skip
    dtype = compute_dtype(machine, values)
    decoder = Decoder(config).initialize(seed=0)
    decoder.checkpoint_activations = checkpoint_activations
    optimizers = build_optimizers(decoder, values)
    stream_BT = torch.randint(vocabulary_size, (batch_size, context_length + 1))
    batch = Batch(
        stream_BT[:, :-1].contiguous(),
        stream_BT[:, 1:].contiguous(),
        torch.zeros(batch_size, context_length, dtype=torch.int64),
        torch.arange(batch_size),
    )
    if values.compile == "on":
        compile_decoder(decoder, batch.inputs_BT[: values.micro_batch_size], dtype=dtype)
    memory = PeakMemory(device)
    for step in range(values.steps):
        learn_batch(decoder, batch, values, device=device, step=step, dtype=dtype, objective=next_token)
        update(decoder, optimizers, factor=1.0, clip_norm=1.0)
    estimate = training_memory(
        config, micro_batch_size=values.micro_batch_size, optimizer=values.optimizer, checkpoint_activations=checkpoint_activations,
        precision="bf16" if dtype is torch.bfloat16 else "fp32", compiled=values.compile == "on",
    )  # fmt: skip
    return {"parameters": config.num_parameters, "peak_bytes": memory.read(), "estimated_bytes": estimate.step}


def check_steps(*, batch_size: int = 16, vocabulary_size: int = 5824) -> None:
    """Time compiled steps of planned sizes as a plan does, and compare them with the estimates that sizes are ranked by."""
    from rodna.models.config import ModelConfig
    from rodna.plan import rules
    from rodna.plan.hardware import describe_machine, measure_speeds
    from rodna.plan.speed import estimate_step
    from rodna.train.config import TrainValues
    from rodna.train.timing import time_steps

    machine = describe_machine("cpu")
    speeds = measure_speeds(machine)
    train = TrainValues(
        batch_size=batch_size, micro_batch_size=batch_size // 2, steps=1000, learning_rate=0.01, adam_learning_rate=0.01, weight_decay=0.1,
        warmup_steps=20, decay_fraction=0.4, evaluations=4, checkpoint_activations=False,
    ).model_dump(mode="json")  # fmt: skip
    sizes = ((64, 3), (96, 4), (128, 4), (160, 4), (224, 5), (256, 6))
    others = [(*size, change) for size in ((96, 4), (192, 5)) for change in ({"precision": "fp32"}, {"checkpoint_activations": True})]
    print(f"{'shape':10} {'timed':>8} {'estimate':>8} {'ratio':>6}")
    for width, num_layers, change in [*((*size, {}) for size in sizes), *others]:
        model = ModelConfig.model_validate({**rules.shape(width, num_layers, {}), "vocabulary_size": vocabulary_size, "dropout": 0.1})
        timed = time_steps(model, train | change, machine=machine, expected_seconds=300.0).seconds
        estimate = estimate_step(model, speeds, batch_size=batch_size, train=train | change).seconds
        said = "".join(f"  {key}: {value}" for key, value in change.items())
        print(f"{f'{width} x {num_layers}':10} {1e3 * timed:>5.0f} ms {1e3 * estimate:>5.0f} ms {timed / estimate:>6.2f}{said}", flush=True)


def check_time(folder: Path, *, minutes: float = 1.5) -> None:
    """Plan a short training on the text of a folder, do it, and compare the clock with the promise."""
    from rodna.core.artifact import Artifact
    from rodna.corpus.build import build_corpus
    from rodna.corpus.config import CorpusConfig, Source
    from rodna.data.config import DataConfig
    from rodna.data.tokens import write_tokens
    from rodna.plan.config import ModelSection, PlanConfig
    from rodna.plan.plan import make_plan, read_plan
    from rodna.tokenizer.config import TokenizerConfig
    from rodna.tokenizer.train import train_tokenizer
    from rodna.train.config import TrainConfig
    from rodna.train.stages import pretrain
    from rodna.train.timing import time_steps

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        sources = {"text": Source(path=str(folder.resolve()))}
        corpus = build_corpus(sources, CorpusConfig(), root / "corpus-00000000", language="und", root=root)
        tokenizer = train_tokenizer(corpus, TokenizerConfig(), root / "tokenizer-00000000")
        tokens = write_tokens(corpus, tokenizer, DataConfig(), root / "tokens-00000000")
        train, out = TrainConfig(), root / "plan-00000000"
        plan: Artifact = make_plan(
            corpus, tokenizer, PlanConfig(time_budget_minutes=minutes), model=ModelSection(), train=train, out=out, timer=time_steps
        )
        promised = read_plan(plan).estimates
        started = time.perf_counter()
        pretrain(tokens, tokenizer, plan, train, root / "model-00000000", run=root / "run")
        taken = time.perf_counter() - started
    print(
        json.dumps({"asked_seconds": minutes * 60, "promised_seconds": promised["seconds"], "taken_seconds": taken, **promised}, indent=2)
    )


if __name__ == "__main__":
    main()
