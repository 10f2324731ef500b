"""What a student gains from its teachers: other models, counted n-grams, or both, beside models of its size and passes that learn alone.

    python benchmarks/teachers.py run ../shared/data --language be --study repeated --work FOLDER
    python benchmarks/teachers.py run ../shared/data --language be --study repeated --work FOLDER --rows alone three --seeds 0 1 2
    python benchmarks/teachers.py table benchmarks/results/teachers --out docs/ensembles.md

Students have the base recipe of `ablations.py`, whose studies these are; three members of the same recipe and other seeds are trained once.
Every training is a line in RESULTS/STUDY-LANGUAGE.jsonl, and none is made again. Only the validation split is looked at.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

from ablations import BASE, STUDIES, arguments, base_of, model_of, passes_of, prepare_tokens, read_lines, spread, values_of
from pages import put_between_marks

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "teachers"
MEMBER_SEEDS = (11, 12, 13)
ORDER = 5
TOGETHER = "together.json"
"""Beside the first member: how much counts weigh beside one of them and beside all."""
ROWS: dict[str, dict[str, Any]] = {
    "alone": {"members": 0},
    "alone-dropout-0.1": {"members": 0, "changed": {"model.dropout": 0.1}},
    "alone-passes-double": {"members": 0, "changed": {"tokens_factor": 2.0}},
    "alone-192x4": {"members": 0, "changed": {"model.width": 192}},
    "alone-192x4-passes-double": {"members": 0, "changed": {"model.width": 192, "tokens_factor": 2.0}},
    "one": {"members": 1},
    "one-dropout-0-passes-double": {"members": 1, "changed": {"model.dropout": 0.0, "tokens_factor": 2.0}},
    "three": {"members": 3},
    "one-counts": {"members": 1, "counts": True},
    "three-counts": {"members": 3, "counts": True},
    "three-alpha-0.2": {"members": 3, "alpha": 0.2},
    "three-alpha-0.8": {"members": 3, "alpha": 0.8},
    "three-temperature-1": {"members": 3, "temperature": 1.0},
    "three-temperature-4": {"members": 3, "temperature": 4.0},
    "three-dropout-0": {"members": 3, "changed": {"model.dropout": 0.0}},
    "three-passes-double": {"members": 3, "changed": {"tokens_factor": 2.0}},
    "three-192x4": {"members": 3, "changed": {"model.width": 192}},
    "three-192x4-passes-double": {"members": 3, "changed": {"model.width": 192, "tokens_factor": 2.0}},
    "three-dropout-0-passes-double": {"members": 3, "changed": {"model.dropout": 0.0, "tokens_factor": 2.0}},
    "three-dropout-0-temperature-4": {"members": 3, "temperature": 4.0, "changed": {"model.dropout": 0.0}},
    "three-dropout-0.1": {"members": 3, "changed": {"model.dropout": 0.1}},
    "three-dropout-0.1-passes-double": {"members": 3, "changed": {"model.dropout": 0.1, "tokens_factor": 2.0}},
    "three-dropout-0.1-192x4": {"members": 3, "changed": {"model.dropout": 0.1, "model.width": 192}},
    "three-dropout-0.1-192x4-passes-double": {"members": 3, "changed": {"model.dropout": 0.1, "model.width": 192, "tokens_factor": 2.0}},
    "three-dropout-0-192x4": {"members": 3, "changed": {"model.dropout": 0.0, "model.width": 192}},
    "three-dropout-0-192x4-passes-double": {"members": 3, "changed": {"model.dropout": 0.0, "model.width": 192, "tokens_factor": 2.0}},
    # A chain, as `ensemble.chain` makes it: each learns from the average of those before it.
    "chain": {"members": 1, "students": ["one"]},
    "chain-together": {"members": 1, "students": ["one", "chain"], "together": True},
    "one-dropout-0.1": {"members": 1, "changed": {"model.dropout": 0.1}},
    "chain-dropout-0.1": {"members": 1, "students": ["one-dropout-0.1"], "changed": {"model.dropout": 0.1}},
    "chain-dropout-0.1-together": {"members": 1, "students": ["one-dropout-0.1", "chain-dropout-0.1"], "together": True},
}


def main() -> None:
    given = arguments(__doc__, list(ROWS), RESULTS)
    if unknown := set(getattr(given, "rows", ())) - set(ROWS):
        sys.exit(f"there are no rows {', '.join(sorted(unknown))}; there are: {', '.join(ROWS)}")
    {"run": run_rows, "one": run_one, "table": make_table}[given.command](given)


def run_rows(given: argparse.Namespace) -> None:
    """Train the members that are missing, score them together, then train the students, `jobs` at a time."""
    given.results.mkdir(parents=True, exist_ok=True)
    file = given.results / f"{given.study}-{given.language}.jsonl"
    corpus = given.data / "corpora" / given.language
    prepare_tokens(given.language, corpus, given.work, base_of(given.study)["vocabulary"])

    def job(item: tuple[str, int]) -> None:
        row, seed = item
        specification = {"language": given.language, "folder": str(corpus), "work": str(given.work), "study": given.study, "row": row,
                         "seed": seed, "threads": given.threads}  # fmt: skip
        command = [sys.executable, __file__, "one", json.dumps(specification)]
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": str(given.threads)}
        )
        if ended.returncode:
            print(f"{row} seed {seed} failed: {ended.stderr.strip()[-400:]}", file=sys.stderr, flush=True)
            return
        line = ended.stdout.splitlines()[-1]
        if item not in done:
            with file.open("a", encoding="utf-8") as log:
                log.write(line + "\n")
        found = json.loads(line)
        print(
            f"{time.strftime('%H:%M:%S')} {row} seed {seed}: {found['bits']:.4f}, with counts {found['bits_with_counts']:.4f}", flush=True
        )

    done = {(line["row"], line["seed"]) for line in read_lines(file)}
    taught = [(row, seed) for seed in given.seeds for row in given.rows if (row, seed) not in done]
    # Members are made again where a row needs them and their folders are gone: their lines stay, and are not written twice.
    models, needed = models_of(given.work, given.study, given.language), any(ROWS[row]["members"] for row, _ in taught)
    members = [("member", seed) for seed in MEMBER_SEEDS if needed and not (models / f"member-{seed}").is_dir()]
    together = [("together", 0)] if needed and not (models / f"member-{MEMBER_SEEDS[0]}" / TOGETHER).is_file() else []
    rounds = [[item for item in taught if len(ROWS[item[0]].get("students", ())) == number] for number in range(3)]
    for wanted in (members, together, *rounds) if taught else ():
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(job, wanted))


def run_one(given: argparse.Namespace) -> None:
    """Train one model, or score the members together, and print the line."""
    specification = json.loads(given.specification)
    import torch
    from prepared import prepare_text

    from rodna.data.tokens import Tokens

    torch.set_num_threads(specification["threads"])
    study, settings = STUDIES[specification["study"]], base_of(specification["study"])
    _, tokenizer, made = prepare_text(
        specification["language"], Path(specification["folder"]), Path(specification["work"]), settings["vocabulary"]
    )
    train, validation = spread(Tokens.open(made.path, "train"), study["share"]), Tokens.open(made.path, "validation")
    models = models_of(Path(specification["work"]), specification["study"], specification["language"])
    row, seed = specification["row"], specification["seed"]
    members = [models / f"member-{number}" for number in MEMBER_SEEDS]
    # The members themselves have no row.
    teaching = ROWS.get(row, {"members": 0})
    teachers = members[: teaching.get("members")] + [models / f"{student}-{seed}" for student in teaching.get("students", ())]
    told = {key: specification[key] for key in ("study", "language", "row", "seed", "threads")} | {"torch": torch.__version__}
    if row == "together" or teaching.get("together"):
        scored = scores(members if row == "together" else teachers, train, validation)
        found = scored[max(scored)]
        print(json.dumps({**told, **found, "members": max(scored)}))
        if row == "together":
            weights = {number: one["weight"] for number, one in scored.items()}
            (members[0] / TOGETHER).write_text(json.dumps(weights), encoding="utf-8")
        return
    folder = models / f"{row}-{seed}"
    learned = learn(specification, study, settings, train, validation, tokenizer.path, teachers, folder)
    print(json.dumps({**told, **scores([folder], train, validation)[1], **learned}))


def models_of(work: Path, study: str, language: str) -> Path:
    """Return where a study's members and students lie."""
    return work / "teachers" / f"{study}-{language}"


def learn(
    specification: dict[str, Any], study: dict[str, Any], settings: dict[str, Any], train: Any, validation: Any, tokenizer: Path,
    taught_by: list[Path], out: Path,
) -> dict[str, Any]:  # fmt: skip
    """Train a member or a student with the product's loop, keep its best checkpoint, and return the figures of the training."""
    import torch

    from rodna.data.curriculum import make_batches
    from rodna.models.counted import Weighted
    from rodna.models.decoder import Decoder
    from rodna.models.ensemble import load_ensemble
    from rodna.models.ngram import NgramModel
    from rodna.plan.hardware import describe_machine
    from rodna.train.distillation import Distillation
    from rodna.train.loop import Speedometer, first_micro_batch
    from rodna.train.loop import train as train_steps
    from rodna.train.objectives import next_token
    from rodna.train.optim import build_optimizers
    from rodna.train.runtime import compile_decoder, compute_dtype, prepare
    from rodna.train.session import copy_checkpoint
    from rodna.train.state import RunFolder

    row = ROWS.get(specification["row"], {})
    settings = {**settings, **row.get("changed", {})}
    model = model_of(settings, train.vocabulary_size)
    budget = passes_of(study, train) * settings.get("tokens_factor", 1.0) * train.num_tokens
    values = values_of(settings, seed=specification["seed"], budget=budget)
    machine = describe_machine("auto")
    device, dtype = prepare(machine), compute_dtype(machine, values)
    torch.set_num_threads(specification["threads"])
    decoder = Decoder(model).initialize(seed=values.seed).to(device).train()
    optimizers, batches = build_optimizers(decoder, values), make_batches(train, values, model.context_length)
    objective = next_token
    if taught_by:
        teachers, _ = load_ensemble(taught_by, device=device)
        if row.get("counts"):
            weight = json.loads((taught_by[0] / TOGETHER).read_text(encoding="utf-8"))[str(len(taught_by))]
            teachers.counted = Weighted(NgramModel.count(train, order=ORDER).to(device), weight)
        objective = Distillation(teachers, **{name: row[name] for name in ("temperature", "alpha") if name in row})
    compile_decoder(decoder, first_micro_batch(batches.batch(0), values, device), dtype=dtype, objective=objective)
    with tempfile.TemporaryDirectory() as scratch:
        folder = RunFolder(Path(scratch) / "run", tokenizer_folder=tokenizer, setup="teachers")
        began = time.process_time()
        progress = train_steps(
            decoder, optimizers, batches, validation, values, folder=folder, progress=folder.resume(decoder, optimizers), dtype=dtype,
            speedometer=Speedometer(1.0, 0.0), objective=objective,
        )  # fmt: skip
        spent = time.process_time() - began
        copy_checkpoint(folder.released(progress), out)
    return {
        "steps": progress.step, "passes": round(progress.tokens / train.num_tokens, 2), "train_bytes": train.num_bytes,
        "parameters": model.num_parameters, "step_seconds": round(spent / progress.step, 5), "best_step": progress.best_step,
    }  # fmt: skip


def scores(folders: list[Path], train: Any, validation: Any) -> dict[int, dict[str, Any]]:
    """Return bits per byte of the validation split, of the first model and of the average of all, by how many these are.

    With each, those of the same beside counts, whose weight is chosen so that they cost least.
    """
    from rodna.evals.models.ensemble import EnsembleModel
    from rodna.models.ensemble import Ensemble, load_ensemble
    from rodna.models.ngram import NgramModel

    ensemble, tokenizer = load_ensemble(folders)
    counts = NgramModel.count(train, order=ORDER)

    def score(number: int) -> dict[str, Any]:
        model = EnsembleModel(Ensemble(ensemble.members[:number]), tokenizer)
        bits, each = model.all_document_nats(validation).bits_per_byte(validation.num_bytes)
        model.ensemble.counted = model.fit_weight(counts, validation)
        beside = model.all_document_nats(validation).bits_per_byte(validation.num_bytes)[0]
        return {"bits": bits, "bits_with_counts": beside, "weight": model.ensemble.counted.weight, "each": each}

    return {number: score(number) for number in sorted({1, len(folders)})}


def make_table(given: argparse.Namespace) -> None:
    """Print the results as Markdown tables, or put them between the marks of a page."""
    text = "\n\n".join(table_of(file.stem, read_lines(file)) for file in sorted(given.results.glob("*.jsonl"))) + "\n"
    if given.out is None:
        print(text)
    else:
        put_between_marks(given.out, text)


def table_of(title: str, lines: list[dict[str, Any]]) -> str:
    """Return one study's table: each student beside models of its size and passes that learn alone, and its share of what members gain.

    Of those that learn alone the best counts, whatever its dropout. The share is (alone - student) / (alone - members together).
    """
    runs: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for line in lines:
        runs[line["row"]][line["seed"]] = line
    together, alone = runs.pop("together")[0], runs["alone"]
    members = runs.pop("member")
    some = next(iter(alone.values()))
    found = [
        f"### {title}", "",
        f"{some['train_bytes'] / 1e6:.2f} MB, {some['passes']:g} passes, {some['parameters'] / 1e6:.1f}M parameters; validation text.", "",
        "| model | bits per byte | against alone | of its size and passes | share of the gain | with counts | seeds | arithmetic |",
        "|---|---|---|---|---|---|---|---|",
        f"| a member | {mean(run['bits'] for run in members.values()):.4f} | | | | "
        f"{mean(run['bits_with_counts'] for run in members.values()):.4f} | {len(members)} | |",
        f"| the {together['members']} together | {together['bits']:.4f} | | | | {together['bits_with_counts']:.4f} | | |",
    ]  # fmt: skip
    for row, of_seed in runs.items():
        paired = [alone[seed] for seed in of_seed if seed in alone]
        bits, beside = (mean(run[name] for run in of_seed.values()) for name in ("bits", "bits_with_counts"))
        own = mean(run["bits"] for run in paired)
        cost = "" if ROWS[row].get("together") else f"{cost_of(row, list(of_seed.values()), paired):.2f}"
        taught, size = ROWS[row]["members"] > 0, size_of(row)
        alike = [other for other in runs if not ROWS[other]["members"] and size_of(other) == size]
        best = min((mean(run["bits"] for run in runs[other].values()) for other in alike), default=None)
        difference = "" if row == "alone" else f"{bits - own:+.4f}"
        beyond, share = "", ""
        if taught and best is not None:
            beyond, share = f"{bits - best:+.4f}", f"{(best - bits) / (best - together['bits']):.0%}"
        title = f"taught by {row}" if taught and not ROWS[row].get("together") else row
        found.append(f"| {title} | {bits:.4f} | {difference} | {beyond} | {share} | {beside:.4f} | {len(of_seed)} | {cost} |")
    return "\n".join(found)


def size_of(row: str) -> tuple[int, float]:
    """Return what a row's model must be compared at: its width and its passes, in times of the base's."""
    changed = BASE | ROWS[row].get("changed", {})
    return changed["model.width"], changed.get("tokens_factor", 1.0)


def cost_of(row: str, runs: list[dict[str, Any]], alone: list[dict[str, Any]]) -> float:
    """Return the arithmetic of a row's trainings, in times of those of the same seeds that learn alone."""
    return arithmetic_of(row) * mean(run["steps"] for run in runs) / mean(run["steps"] for run in alone)


def arithmetic_of(row: str) -> float:
    """Return the FLOPs of a student's token, its teachers' forward passes included, in times of those of a member.

    Seconds are no measure: runs are of days on which the same machine was up to half faster. Counting teachers take none.
    """
    from rodna.plan.flops import flops_per_token

    # Students that teach have a member's shape, all of them.
    own, member = (flops_per_token(model_of({**BASE, **changed}, BASE["vocabulary"])) for changed in (ROWS[row].get("changed", {}), {}))
    teachers = ROWS[row]["members"] + len(ROWS[row].get("students", ()))
    return (own.model + teachers * member.forward) / member.model


if __name__ == "__main__":
    main()
