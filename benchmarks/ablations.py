"""The evidence behind the presets: a base recipe, one choice changed at a time, on a part of a language's text.

    python benchmarks/ablations.py run ../shared/data --language be --study repeated --work FOLDER
    python benchmarks/ablations.py run ../shared/data --language be --study repeated --work FOLDER --rows base dropout-0.1 --seeds 0 1 2
    python benchmarks/ablations.py table benchmarks/results/ablations --out docs/ablations.md

Every run of one seed is a line in RESULTS/STUDY-LANGUAGE.jsonl; runs that are there are not made again, so any of it can be interrupted.
`--jobs` runs go side by side with one thread each: steps are counted, not seconds, so a busy machine changes no figure. Only the
validation split is looked at. What a step costs is processor time, beside the base's. Passes and rates are of the loop the product uses.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from pages import put_between_marks

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "ablations"

STUDIES: dict[str, dict[str, Any]] = {
    # Less than 200 KB: what hundreds of languages have.
    "scarce": {"share": 0.0625, "tokens": 400_000},
    # Little text, many passes: what most communities have.
    "repeated": {"share": 0.25, "tokens": 1_500_000},
    # Twice as much, as often.
    "repeated-half": {"share": 0.5, "tokens": 3_000_000},
    # A few passes over all of it: what a few minutes allow.
    "few-passes": {"share": 1.0, "tokens": 2_000_000},
    # All of it six times: about what the plan for five minutes on two cores does.
    "several-passes": {"share": 1.0, "tokens": 3_600_000},
    # Every token is new: what the compute-limited recipe is for, at the scale that two cores allow.
    "one-pass": {
        "share": 1.0, "passes": 1.0,
        "settings": {"vocabulary": 4096, "model.dropout": 0.0, "train.weight_decay": 0.1, "train.decay_fraction": 0.65},
    },
}  # fmt: skip

BASE: dict[str, Any] = {
    "vocabulary": 2048,
    "batch_tokens": 2048,
    "model.width": 128, "model.num_layers": 4, "model.head_width": 32, "model.context_length": 256, "model.tied_embeddings": True,
    "model.dropout": 0.2,
    "train.optimizer": "muon", "train.learning_rate": 0.01, "train.adam_learning_rate": 0.01, "train.weight_decay": 0.3,
    "train.warmup_steps": 20, "train.decay_fraction": 0.4, "train.evaluations": 6,
}  # fmt: skip

_GPT2: dict[str, Any] = {
    "model.norm": "layer", "model.norm_epsilon": 1e-5, "model.qk_norm": False, "model.position": "learned", "model.ffn": "gelu",
    "model.ffn_width": 512, "model.attention_bias": True, "model.ffn_bias": True, "train.optimizer": "adamw", "train.schedule": "cosine",
    "train.weight_decay": 0.1,
}  # fmt: skip
"""nanoGPT's recipe at the base's shape, in rodna's loop: what all the choices are worth together."""

ROWS: dict[str, dict[str, Any]] = {
    "base": {},
    "gpt2-0.001": _GPT2 | {"train.learning_rate": 0.001},
    "gpt2-0.003": _GPT2 | {"train.learning_rate": 0.003},
    "gpt2-0.006": _GPT2 | {"train.learning_rate": 0.006},
    # Optimizer.
    "adamw-0.001": {"train.optimizer": "adamw", "train.learning_rate": 0.001},
    "adamw-0.002": {"train.optimizer": "adamw", "train.learning_rate": 0.002},
    "adamw-0.004": {"train.optimizer": "adamw", "train.learning_rate": 0.004},
    "adamw-0.008": {"train.optimizer": "adamw", "train.learning_rate": 0.008},
    "normuon": {"train.optimizer": "normuon"},
    "polar-express": {"train.muon_orthogonalization": "polar_express"},
    "cautious-decay": {"train.cautious_weight_decay": True},
    "rate-0.005": {"train.learning_rate": 0.005, "train.adam_learning_rate": 0.005},
    "rate-0.007": {"train.learning_rate": 0.007, "train.adam_learning_rate": 0.007},
    "rate-0.02": {"train.learning_rate": 0.02, "train.adam_learning_rate": 0.02},
    "adam-rate-0.005": {"train.adam_learning_rate": 0.005},
    "adam-rate-0.02": {"train.adam_learning_rate": 0.02},
    # What tokens that are spelled alike share.
    "spelling-1": {"train.spelling_rate": 1.0},
    "spelling-2": {"train.spelling_rate": 2.0},
    "spelling-4": {"train.spelling_rate": 4.0},
    "spelling-8": {"train.spelling_rate": 8.0},
    "own-share-0.25": {"own_share": 0.25},
    "own-share-1": {"own_share": 1.0},
    "muon-momentum-0.9": {"train.muon_momentum": 0.9},
    # Batch, context.
    "batch-512": {"batch_tokens": 512},
    "batch-1024": {"batch_tokens": 1024},
    "batch-4096": {"batch_tokens": 4096},
    "batch-8192": {"batch_tokens": 8192},
    "context-128": {"model.context_length": 128},
    "context-512": {"model.context_length": 512},
    # Regularisation.
    "decay-0": {"train.weight_decay": 0.0},
    "decay-0.1": {"train.weight_decay": 0.1},
    "decay-0.3": {"train.weight_decay": 0.3},
    "decay-1": {"train.weight_decay": 1.0},
    "decay-3": {"train.weight_decay": 3.0},
    "decay-falls": {"train.weight_decay_schedule": "linear"},
    "embedding-decay-0.1": {"train.embedding_weight_decay": 0.1},
    "dropout-0": {"model.dropout": 0.0},
    "dropout-0.1": {"model.dropout": 0.1},
    "dropout-0.2": {"model.dropout": 0.2},
    "dropout-0.3": {"model.dropout": 0.3},
    "bpe-dropout-0.05": {"train.bpe_dropout": 0.05},
    "bpe-dropout-0.1": {"train.bpe_dropout": 0.1},
    "bpe-dropout-0.2": {"train.bpe_dropout": 0.2},
    "stochastic-depth-0.1": {"model.stochastic_depth": 0.1},
    # Objective.
    "two-tokens": {"train.future_tokens": 2, "train.future_weight": 0.3},
    "masked-0.25": {"train.masked_share": 0.25},
    "counted-0.15": {"train.counted_share": 0.15},
    "counted-0.3": {"train.counted_share": 0.3},
    # Schedule, averaging.
    "cosine": {"train.schedule": "cosine"},
    "sqrt": {"train.schedule": "sqrt"},
    "decay-last-0.2": {"train.decay_fraction": 0.2},
    "decay-last-0.4": {"train.decay_fraction": 0.4},
    "decay-last-0.7": {"train.decay_fraction": 0.7},
    "decay-last-1": {"train.decay_fraction": 1.0},
    "warmup-1": {"train.warmup_steps": 1},
    "warmup-100": {"train.warmup_steps": 100},
    "ema": {"train.averaging": "ema", "train.averaging_fraction": 0.1},
    "swa": {"train.averaging": "swa", "train.averaging_fraction": 0.2},
    # Passes.
    "passes-half": {"tokens_factor": 0.5},
    "passes-double": {"tokens_factor": 2.0},
    # Curriculum.
    "short-first": {"train.curriculum": "short_first"},
    "context-grows": {"train.curriculum": "context_grows"},
    # Smaller files of the text are repeated, so that shares follow size to this power.
    "mix-alpha-0.7": {"mix_alpha": 0.7},
    "mix-alpha-0.3": {"mix_alpha": 0.3},
    # Shape and vocabulary, at about the same weights in the blocks.
    "96x7": {"model.width": 96, "model.num_layers": 7},
    "192x2": {"model.width": 192, "model.num_layers": 2},
    "heads-of-16": {"model.head_width": 16},
    "heads-of-64": {"model.head_width": 64},
    "one-kv-head": {"model.num_kv_heads": 1},
    "untied": {"model.tied_embeddings": False},
    "vocabulary-512": {"vocabulary": 512},
    "vocabulary-1024": {"vocabulary": 1024},
    "vocabulary-2048": {"vocabulary": 2048},
    "vocabulary-4096": {"vocabulary": 4096},
    "vocabulary-8192": {"vocabulary": 8192},
    # Larger, at the same number of tokens.
    "192x4": {"model.width": 192, "train.learning_rate": 0.008, "train.adam_learning_rate": 0.008},
    "192x6": {"model.width": 192, "model.num_layers": 6, "train.learning_rate": 0.008, "train.adam_learning_rate": 0.008},
    # Architecture: of the published families, then beyond them.
    "no-qk-norm": {"model.qk_norm": False},
    "gelu": {"model.ffn": "gelu", "model.ffn_width": 512},
    "relu2": {"model.ffn": "relu2", "model.ffn_width": 512},
    "attention-gates": {"model.attention_gates": True},
    "values-of-the-first-layer": {"model.value_residual": "first_layer"},
    "values-of-the-embedding": {"model.value_residual": "embedding"},
    "layer-loops": {"model.layer_loops": 2},
    "unet-skips": {"model.unet_skips": True},
    "residual-scalars": {"model.residual_scalars": True},
    "softcap-15": {"model.logit_softcap": 15.0},
}  # fmt: skip


def main() -> None:
    given = arguments(__doc__, list(ROWS), RESULTS)
    {"run": run_rows, "one": run_one, "table": make_table}[given.command](given)


def arguments(about: str | None, rows: list[str], results: Path) -> argparse.Namespace:
    """Read the command line of a study: `run`, `one` for a single training, and `table`."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("data", type=Path)
    run.add_argument("--language", required=True)
    run.add_argument("--study", choices=list(STUDIES), required=True)
    run.add_argument("--work", type=Path, required=True, help="where tokens, and models that are needed again, are kept")
    run.add_argument("--rows", nargs="+", default=rows, help="names; of ablations also NAME+NAME for several changes at once")
    run.add_argument("--seeds", type=int, nargs="+", default=[0])
    run.add_argument("--jobs", type=int, default=2)
    run.add_argument("--threads", type=int, default=1)
    run.add_argument("--results", type=Path, default=results)
    one = commands.add_parser("one")
    one.add_argument("specification")
    table = commands.add_parser("table")
    table.add_argument("results", type=Path)
    table.add_argument("--out", type=Path)
    return parser.parse_args()


def run_rows(given: argparse.Namespace) -> None:
    """Make the runs that are missing, `jobs` at a time."""
    given.results.mkdir(parents=True, exist_ok=True)
    file = given.results / f"{given.study}-{given.language}.jsonl"
    done = {(line["row"], line["seed"]) for line in read_lines(file)}
    wanted = [(row, seed) for seed in given.seeds for row in given.rows if (row, seed) not in done]
    corpus = given.data / "corpora" / given.language
    vocabularies = {settings_of(row, given.study)["vocabulary"] for row, _ in wanted} | {base_of(given.study)["vocabulary"]}
    for vocabulary in sorted(vocabularies):
        prepare_tokens(given.language, corpus, given.work, vocabulary)

    def job(item: tuple[str, int]) -> None:
        row, seed = item
        specification = {"language": given.language, "folder": str(corpus), "work": str(given.work), "study": given.study, "row": row,
                         "seed": seed, "threads": given.threads}  # fmt: skip
        command = [sys.executable, __file__, "one", json.dumps(specification)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads)}
        ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        line = ended.stdout.splitlines()[-1] if ended.returncode == 0 else None
        if line is None:
            print(f"{row} seed {seed} failed: {ended.stderr.strip()[-400:]}", file=sys.stderr, flush=True)
            return
        with file.open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        found = json.loads(line)
        print(f"{time.strftime('%H:%M:%S')} {row} seed {seed}: {found['final']:.4f} (best {found['best']:.4f}), "
              f"{found['step_seconds'] * 1000:.0f} ms a step", flush=True)  # fmt: skip

    with ThreadPoolExecutor(given.jobs) as pool:
        list(pool.map(job, wanted))


def base_of(study: str) -> dict[str, Any]:
    """Return the settings that the rows of a study change."""
    return BASE | STUDIES[study].get("settings", {})


def settings_of(row: str, study: str) -> dict[str, Any]:
    """Return the settings of a study's base with the changes of a row, or of several joined by `+`."""
    settings = base_of(study)
    for name in row.split("+"):
        if name not in ROWS:
            sys.exit(f"there is no row {name!r}; there are: {', '.join(ROWS)}")
        settings |= ROWS[name]
    return settings


def passes_of(study: dict[str, Any], tokens: Any) -> float:
    """Return how often a study reads its text, which in the tokens of its base is so long."""
    return float(study["passes"] if "passes" in study else study["tokens"] / tokens.num_tokens)


def prepare_tokens(language: str, folder: Path, work: Path, vocabulary: int) -> None:
    """Make tokens once, before several runs want them."""
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from pathlib import Path; from prepared import prepare_text; " \
           f"prepare_text({language!r}, Path({str(folder)!r}), Path({str(work)!r}), {vocabulary})"  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)


def run_one(given: argparse.Namespace) -> None:
    """Train one model with the product's loop and print its line."""
    specification = json.loads(given.specification)
    import torch
    from prepared import prepare_text

    from rodna.data.curriculum import make_batches
    from rodna.data.segmentations import segmentations_for
    from rodna.data.tokens import Tokens
    from rodna.models.decoder import Decoder
    from rodna.plan.flops import flops_per_token
    from rodna.plan.hardware import describe_machine
    from rodna.train import optim
    from rodna.train.loop import Speedometer, train
    from rodna.train.runtime import compile_decoder, compute_dtype, prepare
    from rodna.train.several_targets import build_objective, count_for
    from rodna.train.state import RunFolder

    study, settings = STUDIES[specification["study"]], settings_of(specification["row"], specification["study"])
    place = (specification["language"], Path(specification["folder"]), Path(specification["work"]))
    corpus, tokenizer, made = prepare_text(*place, settings["vocabulary"])
    tokens = spread(Tokens.open(made.path, "train"), study["share"])
    bytes_per_token = tokens.num_bytes / tokens.num_tokens
    # The same bytes are read whatever the vocabulary: passes are what is kept equal.
    base = base_of(specification["study"])["vocabulary"]
    passes = passes_of(study, spread(Tokens.open(prepare_text(*place, base)[2].path, "train"), study["share"]))
    budget = passes * settings.get("tokens_factor", 1.0) * tokens.num_tokens
    if "mix_alpha" in settings:
        tokens = mixed(tokens, corpus.path, study["share"], settings["mix_alpha"])
    model, values = model_of(settings, tokens.vocabulary_size), values_of(settings, seed=specification["seed"], budget=budget)
    machine = describe_machine("auto")
    device, dtype = prepare(machine), compute_dtype(machine, values)
    torch.set_num_threads(specification["threads"])
    decoder = Decoder(model).initialize(seed=values.seed).to(device).train()
    # A constant of the product, which its settings do not have.
    optim.OWN_SHARE = settings.get("own_share", optim.OWN_SHARE)
    optimizers = optim.build_optimizers(decoder, values, optim.spelling_for(values, tokenizer.path, decoder))
    objective = build_objective(values, decoder, count_for(values, tokens, device))
    segmentations = segmentations_for(tokens, tokenizer.path, dropout=values.bpe_dropout, seed=values.seed)
    batches = make_batches(tokens, values, model.context_length, segmentations=segmentations)
    compile_decoder(decoder, batches.batch(0).inputs_BT[: values.micro_batch_size].to(device), dtype=dtype)
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder(Path(scratch) / "run", tokenizer_folder=tokenizer.path, setup="ablation")
        began, started = time.process_time(), time.perf_counter()
        progress = train(
            decoder, optimizers, batches, Tokens.open(made.path, "validation"), values, folder=folder,
            progress=folder.resume(decoder, optimizers), dtype=dtype, speedometer=Speedometer(1.0, 0.0), objective=objective,
        )  # fmt: skip
        spent, seconds = time.process_time() - began, time.perf_counter() - started
        lines = read_lines(folder.metrics)
    curve = [(line["step"], round(line["validation_bits_per_byte"], 5)) for line in lines if "validation_bits_per_byte" in line]
    learned = mean([line.get("cross_entropy", line["loss"]) for line in lines if "loss" in line][-5:]) / math.log(2) / bytes_per_token
    print(json.dumps({
        **{key: specification[key] for key in ("study", "language", "row", "seed", "threads")},
        "settings": {key: value for key, value in settings.items() if base_of(specification["study"]).get(key) != value},
        "parameters": model.num_parameters, "flops_per_token": flops_per_token(model).model, "train_bytes": tokens.num_bytes,
        "passes": round(progress.tokens / tokens.num_tokens, 2), "tokens": progress.tokens, "steps": progress.step, "final": curve[-1][1],
        "best": min(value for _, value in curve), "training": round(learned, 4), "curve": curve,
        "step_seconds": round(spent / progress.step, 5), "seconds": round(seconds, 1), "torch": torch.__version__,
    }))  # fmt: skip


def model_of(settings: dict[str, Any], vocabulary_size: int) -> Any:
    """Return the decoder that the settings describe."""
    from rodna.models.config import ModelConfig

    fields = {name.removeprefix("model."): value for name, value in settings.items() if name.startswith("model.")}
    heads = max(1, fields["width"] // fields["head_width"])
    shape = {"num_heads": heads, "num_kv_heads": heads, "ffn_width": round(fields["width"] / 12) * 32}
    return ModelConfig(vocabulary_size=vocabulary_size, **{**shape, **fields})


def values_of(settings: dict[str, Any], *, seed: int, budget: float) -> Any:
    """Return the training settings for so many tokens."""
    from rodna.train.config import TrainValues

    context, fields = settings["model.context_length"], {k.removeprefix("train."): v for k, v in settings.items() if k.startswith("train.")}
    rows = settings["batch_tokens"] // context
    return TrainValues(
        seed=seed, steps=round(budget / settings["batch_tokens"]), batch_size=rows, micro_batch_size=min(rows, max(1, 2048 // context)),
        checkpoint_activations=False, evaluation_tokens=0, trackers=(), save_minutes=1e6, **fields,
    )  # fmt: skip


def spread(tokens: Any, share: float) -> Any:
    """Return a share of the documents, spread evenly over all, so that a part holds every source."""
    return tokens if share == 1.0 else tokens.only(spread_numbers(tokens.num_documents, share))


def spread_numbers(documents: int, share: float) -> Any:
    """Return which of so many documents are in a share, int64."""
    import numpy as np

    return np.unique(np.linspace(0, documents - 1, round(share * documents)).round().astype(np.int64))


def mixed(tokens: Any, corpus: Path, share: float, alpha: float) -> Any:
    """Return a share's documents as `corpus.mix.alpha` would repeat them, every file of the text being a source."""
    import numpy as np

    from rodna.corpus.config import MixConfig
    from rodna.corpus.documents import read_documents
    from rodna.corpus.mix import mix

    files = np.array([document.id.partition("#")[0] for document in read_documents(corpus, "train")])
    names, source = np.unique(files[spread_numbers(len(files), share)], return_inverse=True)
    everything = np.zeros(len(source), np.uint8)
    keys = np.arange(len(source), dtype=np.uint64)
    repeats, effect = mix(tokens.document_bytes, source, everything, keys, names.tolist(), MixConfig(alpha=alpha), seed=0)
    print(*(f"{found.source}: {found.share_before:.1%} -> {found.share_after:.1%}" for found in effect), sep=", ", file=sys.stderr)
    return tokens.only(np.repeat(np.arange(len(source)), repeats))


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Return the records of a JSON Lines file; none where it does not exist. A line cut short by a crash is left out."""
    if not file.is_file():
        return []
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            print(f"{file}: a line cut short is left out", file=sys.stderr)
    return found


def make_table(given: argparse.Namespace) -> None:
    """Print the results as Markdown tables, or put them between the marks of a page."""
    parts = []
    for file in sorted(given.results.glob("*.jsonl")):
        runs: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
        for line in read_lines(file):
            runs[line["row"]][line["seed"]] = line
        parts.append(table_of(file.stem, runs))
    text = "\n\n".join(parts) + "\n"
    if given.out is None:
        print(text)
        return
    put_between_marks(given.out, text)


def table_of(title: str, runs: dict[str, dict[int, dict[str, Any]]]) -> str:
    """Return one study's table: the mean of each row, and by what it differs from the base's.

    The interval of a difference is Student's, every run scattering as all rows with several seeds do together. Means of all seeds are
    compared: a seed gives rows their order of the text in common, and yet differences of one seed scattered no less than others.
    """
    base = runs["base"]
    several = [[run["final"] for run in of_seed.values()] for of_seed in runs.values() if len(of_seed) > 1]
    freedom = sum(len(values) - 1 for values in several)
    noise = math.sqrt(sum(stdev(values) ** 2 * (len(values) - 1) for values in several) / freedom) if freedom else math.nan
    some = next(iter(base.values()))
    average = mean(run["final"] for run in base.values())
    lines = [
        f"### {title}", "",
        f"{some['train_bytes'] / 1e6:.2f} MB, {some['passes']:g} passes; base {average:.4f} bits per byte; "
        + (f"runs of one choice scatter by {noise:.4f} ({freedom} degrees of freedom)." if freedom else "one seed: no intervals."), "",
        "| choice | bits per byte | against the base | seeds | best on the way | on its own text | a token's FLOPs | steps |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row, of_seed in runs.items():
        bits, best, learned = (mean(run[name] for run in of_seed.values()) for name in ("final", "best", "training"))
        difference = "" if row == "base" else f"{bits - average:+.4f}"
        if difference and freedom:
            difference += f" ± {student_95(freedom) * noise * math.sqrt(1 / len(of_seed) + 1 / len(base)):.4f}"
        one = next(iter(of_seed.values()))
        flops, steps = one["flops_per_token"] / some["flops_per_token"], one["steps"] / some["steps"]
        lines.append(f"| {row} | {bits:.4f} | {difference} | {len(of_seed)} | {best:.4f} | {learned:.3f} | {flops:.2f} | {steps:.2f} |")
    return "\n".join(lines)


def student_95(freedom: int) -> float:
    """Return the two-sided 95% point of Student's t; beyond the table by its expansion around the normal one, to three digits."""
    from rodna.plan.expect import STUDENT_95

    return STUDENT_95[freedom - 1] if freedom <= len(STUDENT_95) else 1.960 + 2.372 / freedom + 2.823 / freedom**2


if __name__ == "__main__":
    main()
