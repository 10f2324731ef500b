"""Scoring speed, beside lm-evaluation-harness with its hf backend: same checkpoint, machine, threads and items, in one run.

    python benchmarks/score_speed.py --blimp FOLDER --text FILE --text FILE ...

Weights are random, since speed does not depend on what they are; the tokenizer is trained on the text. Minimal pairs are BLiMP's, from a
folder of its JSON Lines, or made of the text; the multiple choice is made of the text: 100 tokens, then four options. Both sides take
turns, lm-evaluation-harness at the best of several batch sizes, and must agree. Bits per byte is that of the text, cut into documents.
"""

import argparse
import json
import platform
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rodna.core.files import write_json
from rodna.data.tokens import Tokens
from rodna.evals.likelihood.encoding import encode_pairs
from rodna.evals.likelihood.prefixes import plant
from rodna.evals.likelihood.reader import token_in_pairs
from rodna.evals.likelihood.readings import plan
from rodna.evals.models.model import DecoderModel
from rodna.models.checkpoint import load, save
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.tokenizer.tokenizer import Tokenizer

TOLERANCE = 1e-4
"""Most nats that two implementations may differ by in one sum."""
BATCH_SIZES: tuple[int | str, ...] = (1, 16, 64, "auto")
TRIED_PART = 8
"""Batch sizes are tried on one item in so many."""


def main() -> None:
    """Measure, print and write what is asked for."""
    options = parse()
    torch.set_num_threads(options.threads)
    text = read_text(options.text, round(options.megabytes * 1e6))
    report: dict[str, Any] = {
        "command": shlex.join(["python", Path(__file__).name, *sys.argv[1:]]),
        "cpu": cpu_name(), "threads": options.threads, "torch": torch.__version__, "python": platform.python_version(),
        "model": {"width": options.width, "layers": options.layers, "vocabulary": options.vocabulary, "context": options.context},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        make_checkpoint(Path(folder), text, options)
        model = DecoderModel(*load(Path(folder)), processes=options.processes)
        report["model"]["parameters"] = model.decoder.config.num_parameters
        report["matmul_gflops"] = limit = matmul_gflops(options.width)
        if "pairs" in options.parts:
            items = blimp(options.blimp, options.items) if options.blimp else made_pairs(text, options.items)
            report["minimal_pairs"] = compare(model, Path(folder), items, options.rounds, limit)
        if "choice" in options.parts:
            report["multiple_choice"] = compare(model, Path(folder), choices(text, model.tokenizer, options.items), options.rounds, limit)
        if "text" in options.parts:
            report["bits_per_byte"] = bits_per_byte(model, text, options.document_bytes, limit)
    print(json.dumps(report, indent=2))
    if options.out:
        write_json(options.out, report)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blimp", type=Path, help="a folder of BLiMP's JSON Lines; without it, pairs are made of the text")
    parser.add_argument("--text", type=Path, action="append", required=True, help="UTF-8 text; give it several times to join files")
    parser.add_argument("--items", type=int, default=1000, help="most pairs of a paradigm, and questions")
    parser.add_argument("--megabytes", type=float, default=10.0, help="of text")
    parser.add_argument("--document-bytes", type=int, default=2000, help="where the text is cut, at a line's end")
    parser.add_argument("--rounds", type=int, default=3, help="turns that both sides take; the best of each counts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--processes", type=int, default=1, help="that our side scores in")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--vocabulary", type=int, default=8192)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--parts", nargs="+", choices=("pairs", "choice", "text"), default=("pairs", "choice", "text"))
    parser.add_argument("--out", type=Path, help="a JSON file")
    return parser.parse_args()


def read_text(paths: Sequence[Path], size_bytes: int) -> str:
    """Join files up to a size."""
    data = b"\n".join(path.read_bytes() for path in paths)[:size_bytes]
    return data.decode("utf-8", "ignore")


def cpu_name() -> str:
    """Return what the system calls its processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def make_checkpoint(folder: Path, text: str, options: argparse.Namespace) -> None:
    """Write a Qwen3 checkpoint of random weights, with a tokenizer trained on the text's beginning."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(text[:2_000_000].splitlines(), trainer)
    Tokenizer(backend).save(folder)
    heads = max(1, options.width // 64)
    config = ModelConfig.model_validate(
        {
            "vocabulary_size": options.vocabulary, "context_length": options.context, "width": options.width, "num_layers": options.layers,
            "num_heads": heads, "num_kv_heads": heads, "head_width": 64, "ffn_width": options.width * 8 // 3 // 32 * 32,
            "tied_embeddings": True,
        }
    )  # fmt: skip
    save(folder, Decoder(config).initialize(seed=0), folder)


def matmul_gflops(width: int) -> float:
    """Return how fast one matrix product of the model's kind is: the limit of everything else."""
    x_ND, weight_DF = torch.randn(2048, width), torch.randn(width, 4 * width)
    seconds = [timed(lambda: torch.mm(x_ND, weight_DF))[0] for _ in range(30)]
    return 2 * 2048 * width * 4 * width / min(seconds) / 1e9


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that something took, and what it returned."""
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


Item = tuple[str, str, list[str]]
"""A task's name, a context, and its continuations, the first being right."""


def blimp(folder: Path, most: int) -> list[Item]:
    """Read BLiMP's pairs."""
    items: list[Item] = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines()[:most]:
            row = json.loads(line)
            items.append((path.stem, "", [row["sentence_good"], row["sentence_bad"]]))
    return items


def made_pairs(text: str, most: int) -> list[Item]:
    """Make pairs of ten words, two of which have changed places."""
    words, random = text.split(), np.random.default_rng(0)
    items: list[Item] = []
    for start in random.integers(0, len(words) - 10, size=most).tolist():
        good = words[start : start + 10]
        place = int(random.integers(2, 9))
        bad = [*good[:place], good[place + 1], good[place], *good[place + 2 :]]
        items.append(("made", "", [" ".join(good), " ".join(bad)]))
    return items


def choices(text: str, tokenizer: Tokenizer, most: int) -> list[Item]:
    """Make questions of 100 tokens of the text with four options of five."""
    ids, random = tokenizer.encode(text[:2_000_000]), np.random.default_rng(0)
    items: list[Item] = []
    for _ in range(most):
        start, *others = random.integers(0, len(ids) - 105, size=4).tolist()
        options = [tokenizer.decode(ids[place : place + 5]) for place in (start + 100, *others)]
        items.append(("choice", tokenizer.decode(ids[start : start + 100]).rstrip(), options))
    return items


def compare(model: DecoderModel, folder: Path, items: list[Item], rounds: int, limit: float) -> dict[str, Any]:
    """Score items with both sides, in turns."""
    contexts = [context for _, context, options in items for _ in options]
    continuations = [option for _, _, options in items for option in options]
    theirs = Harness(folder)
    part = slice(None, None, TRIED_PART)
    tried = {size: timed(lambda size=size: theirs.score(contexts[part], continuations[part], size))[0] for size in BATCH_SIZES}
    best = min(tried, key=tried.__getitem__)
    seconds: dict[str, list[float]] = {"rodna": [], "lm_eval": []}
    ours_nats, their_nats = np.zeros(0), np.zeros(0)
    for _ in range(rounds):
        taken, scores = timed(lambda: model.score(contexts, continuations))
        seconds["rodna"].append(taken)
        ours_nats = np.array([score.nats for score in scores])
        taken, their_nats = timed(lambda: theirs.score(contexts, continuations, best))
        seconds["lm_eval"].append(taken)
    check(items, ours_nats, their_nats)
    ours, other = min(seconds["rodna"]), min(seconds["lm_eval"])
    flops, read = work(model, contexts, continuations)
    return {
        "continuations": len(continuations),
        "lm_eval_batch_size": best,
        "lm_eval_tried_per_s": {str(size): len(contexts[part]) / taken for size, taken in tried.items()},
        "seconds": seconds,
        "rodna_per_s": len(continuations) / ours, "lm_eval_per_s": len(continuations) / other, "times_faster": other / ours,
        "largest_difference_nats": float(np.abs(ours_nats - their_nats).max()),
        "tokens_read_of_all": read,
        "share_of_matmul_limit": flops / limit / 1e9 / ours,
    }  # fmt: skip


class Harness:
    """lm-evaluation-harness on a checkpoint, its model opened once."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.models: dict[int | str, Any] = {}

    def score(self, contexts: Sequence[str], continuations: Sequence[str], batch_size: int | str) -> np.ndarray:
        """Return the nats of each continuation."""
        from lm_eval.api.instance import Instance
        from lm_eval.models.huggingface import HFLM

        if batch_size not in self.models:
            settings: dict[str, Any] = {"pretrained": self.network, "tokenizer": self.tokenizer, "batch_size": batch_size, "device": "cpu"}
            self.models[batch_size] = HFLM(**settings)
        pairs = enumerate(zip(contexts, continuations, strict=True))
        requests = [Instance("loglikelihood", {}, pair, index) for index, pair in pairs]
        return -np.array([found[0] for found in self.models[batch_size].loglikelihood(requests, disable_tqdm=True)])


def check(items: list[Item], ours: np.ndarray, theirs: np.ndarray) -> None:
    """Refuse numbers that differ, item by item and in each task's accuracy; where two options are as good, either may be best.

    Raises:
        SystemExit: they do.
    """
    worst = float(np.abs(ours - theirs).max())
    if worst > TOLERANCE * max(1.0, float(np.abs(theirs).max()) / 100):
        sys.exit(f"the two sides differ by {worst:.2e} nats")
    right: dict[str, list[int]] = {}
    first = 0
    for task, _, options in items:
        span = slice(first, first + len(options))
        first += len(options)
        ranked = np.sort(theirs[span])
        if ranked[1] - ranked[0] > 2 * TOLERANCE:
            counts = right.setdefault(task, [0, 0])
            counts[0] += int(ours[span].argmin() == 0)
            counts[1] += int(theirs[span].argmin() == 0)
    wrong = [task for task, (mine, other) in right.items() if mine != other]
    if wrong:
        sys.exit(f"the accuracy of {', '.join(wrong)} differs")


def work(model: DecoderModel, contexts: Sequence[str], continuations: Sequence[str]) -> tuple[float, float]:
    """Return the floating-point operations of our side's matrix products, and which share of all tokens it reads."""
    config = model.decoder.config
    pairs = encode_pairs(model.tokenizer.encode_batch, contexts, continuations, start_id=model.tokenizer.end_of_text_id)
    plans = [plan(pair, context_length=config.context_length, step=config.context_length // 2) for pair in pairs]
    forest = plant(sorted({reading for item in plans for reading in item.readings}), token_in_pairs=token_in_pairs(config))
    read, heads = int(forest.is_run_N.sum()), len(np.unique(forest.parent_N[forest.is_scored_N]))
    flops = 2.0 * (read * config.num_layers * config.layer_matrices + heads * config.vocabulary_size * config.width)
    return flops, read / sum(len(reading.tokens) - 1 for item in plans for reading in item.readings)


def bits_per_byte(model: DecoderModel, text: str, document_bytes: int, limit: float) -> dict[str, Any]:
    """Time the cost of a text in both number formats."""
    documents: list[str] = [""]
    for line in text.splitlines(keepends=True):
        if len(documents[-1].encode()) >= document_bytes:
            documents.append("")
        documents[-1] += line
    encode_s, ids = timed(lambda: model.tokenizer.encode_batch(documents))
    end = model.tokenizer.end_of_text_id
    flat = np.array([token for document in ids for token in (*document, end)], dtype=np.int64)
    offsets = np.cumsum([0, *(len(document) + 1 for document in ids)])
    sizes = np.array([len(document.encode()) for document in documents])
    tokens = Tokens(flat, offsets, sizes, end, model.tokenizer.vocabulary_size)
    config = model.decoder.config
    lengths = np.diff(offsets)
    # A document longer than the context is read in windows that overlap by half.
    further = -(-np.maximum(lengths - config.context_length, 0) // (config.context_length // 2))
    read = int((np.minimum(lengths, config.context_length) + further * config.context_length).sum())
    flops = 2.0 * (read * config.num_layers * config.layer_matrices + len(flat) * config.vocabulary_size * config.width)
    found: dict[str, Any] = {"bytes": int(sizes.sum()), "documents": len(documents), "tokens": len(flat), "tokens_read": read,
                             "encode_s": encode_s}  # fmt: skip
    for dtype in (torch.float32, torch.bfloat16):
        scorer = DecoderModel(model.decoder, model.tokenizer, processes=model.processes, compute_dtype=dtype)
        seconds, nats = timed(lambda scorer=scorer: scorer.document_nats(tokens))
        bits = float(nats.sum() / np.log(2) / sizes.sum())
        found[str(dtype).removeprefix("torch.")] = {
            "seconds": seconds, "bits_per_byte": bits, "share_of_float32_matmul_limit": flops / limit / 1e9 / seconds,
        }  # fmt: skip
    return found


if __name__ == "__main__":
    main()
