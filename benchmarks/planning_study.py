"""One point of the study behind the plan's rules: train a shape on a folder's text and print validation bits per byte.

    python benchmarks/planning_study.py LANG FOLDER --width 96 --layers 3 --tokens 500000
    python benchmarks/planning_study.py LANG FOLDER --width 96 --layers 3 --tokens 1200000 --dropout 0.2 --share 0.25

Corpus, tokenizer and tokens are made once by rodna's own stages, in --work, and kept. Only the validation split is looked at.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from prepared import prepare_text

from rodna.data.batches import Batches
from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.plan.hardware import describe_machine
from rodna.train.config import TrainValues
from rodna.train.loop import evaluate, learn_batch
from rodna.train.objectives import next_token
from rodna.train.optim import build_optimizers, update
from rodna.train.runtime import compile_decoder, compute_dtype, prepare
from rodna.train.schedule import learning_rate_factor
from rodna.train.state import Progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("language")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("planning-study"))
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--tokens", type=float, default=5e5, help="to learn from, repetitions counted")
    parser.add_argument("--batch", type=int, default=2048, help="tokens of a step")
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--decay", type=float, default=0.1, help="weight decay")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    _, _, artifact = prepare_text(given.language, given.folder, given.work, given.vocabulary)
    train, validation = (Tokens.open(artifact.path, split) for split in ("train", "validation"))
    train = train.only(np.arange(max(1, round(given.share * train.num_documents))))
    model = ModelConfig(
        vocabulary_size=train.vocabulary_size, width=given.width, num_layers=given.layers, num_heads=given.width // 32,
        num_kv_heads=given.width // 32, head_width=32, ffn_width=round(given.width / 12) * 32, tied_embeddings=True, dropout=given.dropout,
    )  # fmt: skip
    rows = given.batch // model.context_length
    values = TrainValues(
        seed=given.seed, steps=round(given.tokens / given.batch), batch_size=rows, micro_batch_size=min(rows, 16), learning_rate=given.rate,
        adam_learning_rate=given.rate, weight_decay=given.decay, warmup_steps=20, decay_fraction=0.4, checkpoint_activations=False,
        evaluations=1, evaluation_tokens=0,
    )  # fmt: skip
    machine = describe_machine("auto")
    device, dtype = prepare(machine), compute_dtype(machine, values)
    decoder = Decoder(model).initialize(seed=given.seed).to(device).train()
    optimizers = build_optimizers(decoder, values)
    batches = Batches(train, seed=given.seed, batch_size=rows, context_length=model.context_length)
    compile_decoder(decoder, batches.batch(0).inputs_BT[: values.micro_batch_size].to(device), dtype=dtype)
    losses, started = [], time.perf_counter()
    for step in range(values.steps):
        nats, count, _ = learn_batch(decoder, batches.batch(step), values, device=device, step=step, dtype=dtype, objective=next_token)
        update(decoder, optimizers, factor=learning_rate_factor(step, values), clip_norm=values.clip_norm)
        losses.append(float(nats) / count)
    rate = values.steps * given.batch / (time.perf_counter() - started)
    found = evaluate(decoder, validation, values, Progress(step=values.steps), dtype=dtype)
    learned = np.mean(losses[-20:]) / np.log(2) * train.num_tokens / train.num_bytes
    print(json.dumps({
        **{key: str(value) if isinstance(value, Path) else value for key, value in vars(given).items()}, "parameters": model.num_parameters,
        "epochs": round(values.steps * given.batch / train.num_tokens, 2), "train_bytes": train.num_bytes,
        "validation_bits_per_byte": round(found["validation_bits_per_byte"], 4), "training_bits_per_byte": round(float(learned), 4),
        "tokens_per_second": round(rate), "threads": torch.get_num_threads(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
