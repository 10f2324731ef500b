"""rodna's side: its plan for the time, made once and kept, and its own pretrain stage."""

import json
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.data_efficiency.results import held_out_figures
from benchmarks.data_efficiency.scoring import STRIDE, Scored, score
from benchmarks.data_efficiency.texts import BenchmarkError, Place, Text, corpus_of, test_tokens, tokens_of

from rodna.core import artifact
from rodna.core.artifact import MANIFEST, Artifact
from rodna.core.files import write_json
from rodna.data.tokens import Tokens
from rodna.evals.models.ensemble import EnsembleModel
from rodna.models import checkpoint
from rodna.models.ensemble import Ensemble, load_ensemble
from rodna.models.ngram import NgramModel
from rodna.plan.config import ModelSection, PlanConfig
from rodna.plan.plan import FORMAT_VERSION, KIND, PLAN_FILE, make_plan
from rodna.train.config import TrainConfig
from rodna.train.distill_stage import DISTILLATION
from rodna.train.ensemble_config import EnsembleConfig
from rodna.train.identity import member_minutes
from rodna.train.stages import pretrain
from rodna.train.timing import time_steps


def plan_for(place: Place, text: Text, minutes: float, *, alone: bool = False) -> dict[str, Any]:
    """Let rodna plan for a text and a time on this machine, as `rodna plan` does; return the plan's content.

    Where an ensemble should do better, and it need not be of one model `alone`, it is the plan of one of the members, and has the ensemble
    that `rodna plan --write` writes.
    """
    _, tokenizer = tokens_of(place, text, "bpe", 0)

    def make(minutes: float) -> dict[str, Any]:
        out = place.work / text.name / f"plan-{minutes:g}min"
        made = make_plan(corpus_of(place, text), tokenizer, PlanConfig(time_budget_minutes=minutes, device="cpu"), model=ModelSection(),
                         train=TrainConfig(trackers=()), out=out, timer=time_steps)  # fmt: skip
        return json.loads((made.path / PLAN_FILE).read_text(encoding="utf-8"))

    plan = make(minutes)
    members, share = (plan["estimates"][f"ensemble_{name}"] for name in ("members", "share"))
    if alone or not members:
        return plan
    ensemble = EnsembleConfig(members=members, share=share)
    return {**make(member_minutes(ensemble, minutes, members)), "ensemble": {"members": members, "share": share}}


def ensemble_of(plan: dict[str, Any]) -> EnsembleConfig | None:
    """Return the ensemble of a plan that is for its members; None where one model is planned."""
    return EnsembleConfig(**plan["ensemble"]) if "ensemble" in plan else None


def train_rodna(
    place: Place, text: Text, plan: dict[str, Any], *, piece: str, seed: int, device: str, reads_test: bool
) -> tuple[dict[str, Any], Scored | None]:
    """Train what the plan says with another seed, and score it; a training that was cut short goes on.

    Returns:
        Figures for the result, and what the held-out documents cost where they are read.
    """
    tokens, tokenizer = tokens_of(place, text, "bpe", 0)
    base = place.work / text.name / "runs" / piece
    model, planned = base / "model", plan_artifact(plan, seed, device, base / "plan")
    if not (model / MANIFEST).is_file():
        pretrain(tokens, tokenizer, planned, TrainConfig(seed=seed, trackers=()), model, run=base / "run")
        shutil.rmtree(base / "run", ignore_errors=True)
    validation, held_out = score_model(place, text, model, piece=piece, device=torch.device(device), reads_test=reads_test)
    figures = {"validation_bits_per_byte": validation, **figures_of(model, plan, device)}
    if reads_test:
        figures["with_counts"] = score_with_counts(place, text, [model], piece=piece, device=device)
    return figures, held_out


def score_with_counts(place: Place, text: Text, models: Sequence[Path], *, piece: str, device: str) -> dict[str, Any]:
    """Count the training text's n-grams, weigh them on validation beside one model or the average of several, and score all as one.

    Returns:
        Figures; `seconds` are those of counting and weighing.
    """
    tokens, _ = tokens_of(place, text, "bpe", 0)
    validation = Tokens.open(tokens.path, "validation")
    ensemble, tokenizer = load_ensemble(models, device=device)
    alone = EnsembleModel(ensemble, tokenizer, stride=STRIDE)
    started = time.perf_counter()
    counted = alone.fit_weight(NgramModel.count(Tokens.open(tokens.path, "train")).to(device), validation)
    seconds = time.perf_counter() - started
    both = EnsembleModel(Ensemble(ensemble.members, counted=counted), tokenizer, stride=STRIDE)
    held_out = test_tokens(place, text, tokens, piece=piece)
    scored = Scored(both.document_nats(held_out) / math.log(2), np.asarray(held_out.document_bytes))
    on_validation = float(both.document_nats(validation).sum()) / math.log(2) / validation.num_bytes
    return {"order": counted.model.order, "ngrams": counted.model.num_ngrams, "weight": counted.weight, "seconds": round(seconds, 2),
            "validation_bits_per_byte": on_validation, **held_out_figures(scored)}  # fmt: skip


def score_model(
    place: Place, text: Text, model: Path, *, piece: str, device: torch.device, reads_test: bool
) -> tuple[float, Scored | None]:
    """Return bits per byte of the validation text, and what held-out documents cost where they are read."""
    tokens, _ = tokens_of(place, text, "bpe", 0)
    decoder, _ = checkpoint.load(model, device=device)
    decoder.eval()

    def logits(tokens_BT: torch.Tensor) -> torch.Tensor:
        return decoder.logits(decoder(tokens_BT, compute_dtype=torch.float32))

    context = decoder.config.context_length
    validation = score(logits, Tokens.open(tokens.path, "validation"), context=context, device=device)
    if not reads_test:
        return validation.bits_per_byte, None
    return validation.bits_per_byte, score(logits, test_tokens(place, text, tokens, piece=piece), context=context, device=device)


def plan_artifact(plan: dict[str, Any], seed: int, device: str, out: Path) -> Artifact:
    """Write the recorded plan down as an artifact, for another seed and, where asked for, a GPU that makes the same steps."""
    values = {**plan, "train": {**plan["train"], "seed": seed}, "machine": {**plan["machine"], "device": device}}
    values.pop("ensemble", None)
    if (out / MANIFEST).is_file():
        made = Artifact.open(out, kind=KIND)
        if json.loads((made.path / PLAN_FILE).read_text(encoding="utf-8")) != values:
            raise BenchmarkError("a training by an earlier plan was begun here", where=str(out.parent), fix="delete that folder")
        return made
    settings = {"plan": values, "train": TrainConfig().model_dump(mode="json")}
    with artifact.create(out, kind=KIND, format_version=FORMAT_VERSION, inputs={}, config=settings, seed=seed) as draft:
        write_json(draft.path / PLAN_FILE, values)
    return draft.result


def figures_of(model: Path, plan: dict[str, Any], device: str) -> dict[str, Any]:
    """Return what a result tells of a finished training."""
    training = json.loads((model / "training.json").read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    curve = [(line["step"], round(line["validation_bits_per_byte"], 5)) for line in lines if "validation_bits_per_byte" in line]
    # A student has a size and settings of its own, which follow from its members' plan.
    taught = model / DISTILLATION
    recipe = json.loads(taught.read_text(encoding="utf-8"))["student"] if taught.is_file() else plan
    return {
        "steps": training["steps"], "best_step": training["best_step"], "epochs": training["epochs"], "parameters": training["parameters"],
        "seconds": training["seconds"], "tokens_per_second": training["tokens_per_second"],
        "mfu": training["mfu"] if device == "cpu" else 0.0,
        "compiled": training["compiled"], "interruptions": training["interruptions"], "curve": curve, "validation_looks": len(curve) + 1,
        "recipe": {"model": recipe["model"], "train": recipe["train"]},
    }  # fmt: skip
