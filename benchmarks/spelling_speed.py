"""What it costs that tokens share what they learn of their spelling: an optimizer's update with and without it, alternating in one run.

    python benchmarks/spelling_speed.py                                        # the shape of Belarusian's five minutes
    python benchmarks/spelling_speed.py --width 256 --layers 6 --vocabulary 16000 --batch 32

Both sides update the same compiled model after the same step. Shown: the median milliseconds of a forward and backward and of both
updates, and the whole step with sharing as a multiple of the one without. Marks are as many as tokens usually have.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from rodna.data.batches import Batch
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.plan.hardware import describe_machine
from rodna.plan.rules import shape
from rodna.train.config import TrainValues
from rodna.train.loop import first_micro_batch, learn_batch
from rodna.train.objectives import next_token
from rodna.train.optim import build_optimizers, update
from rodna.train.runtime import compile_decoder, compute_dtype, prepare
from rodna.train.spelling import Spelling

RATES = {"without": 0.0, "with": 4.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("width", 128), ("layers", 4), ("vocabulary", 5696), ("batch", 8), ("rounds", 40)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    model = ModelConfig(vocabulary_size=given.vocabulary, **shape(given.width, given.layers, {}))
    values = TrainValues(
        steps=1, batch_size=given.batch, micro_batch_size=min(8, given.batch), learning_rate=1e-6, adam_learning_rate=1e-6,
        weight_decay=0.1, warmup_steps=0, decay_fraction=0.0, checkpoint_activations=False, evaluations=1,
    )  # fmt: skip
    machine = describe_machine("auto")
    device, dtype = prepare(machine), compute_dtype(machine, values)
    decoder = Decoder(model).initialize(seed=0).to(device)
    sides = {
        name: build_optimizers(
            decoder, values.model_copy(update={"spelling_rate": rate}), Spelling.stand_in(given.vocabulary).to(device) if rate else None
        )
        for name, rate in RATES.items()
    }
    stream_BT = torch.randint(given.vocabulary, (given.batch, model.context_length + 1), generator=torch.Generator().manual_seed(0))
    batch = Batch(stream_BT[:, :-1].contiguous(), stream_BT[:, 1:].contiguous(), torch.zeros_like(stream_BT[:, 1:]),
                  torch.arange(given.batch))  # fmt: skip
    compile_decoder(decoder, first_micro_batch(batch, values, device), dtype=dtype)
    seconds: dict[str, list[float]] = {name: [] for name in ("learning", *sides)}

    def clock(name: str, started: float) -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds[name].append(time.perf_counter() - started)

    for number in range(given.rounds + 1):
        for name, optimizers in sides.items():
            started = time.perf_counter()
            learn_batch(decoder, batch, values, device=device, step=number, dtype=dtype, objective=next_token)
            clock("learning", started)
            started = time.perf_counter()
            update(decoder, optimizers, factor=1.0, clip_norm=values.clip_norm)
            clock(name, started)
    medians = {name: 1000 * statistics.median(times[2:]) for name, times in seconds.items()}
    ratio = (medians["learning"] + medians["with"]) / (medians["learning"] + medians["without"])
    found = {**vars(given), "out": None, **{name: round(value, 2) for name, value in medians.items()}, "step_ratio": round(ratio, 4),
             "machine": machine.name, "threads": torch.get_num_threads(), "torch": torch.__version__}  # fmt: skip
    found.pop("out")
    print(json.dumps(found))
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
