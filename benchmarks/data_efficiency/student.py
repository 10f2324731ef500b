"""Members, each a training of its own, their average, and the one student that is released.

rodna's two hours, and what it makes of a time that one model does not use.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.data_efficiency import pieces
from benchmarks.data_efficiency.ours import figures_of, plan_artifact, score_model, score_with_counts
from benchmarks.data_efficiency.scoring import STRIDE, Scored
from benchmarks.data_efficiency.texts import BenchmarkError, Place, Text, test_tokens, tokens_of

from rodna.core.artifact import MANIFEST, Artifact
from rodna.data.tokens import Tokens
from rodna.evals.models.ensemble import EnsembleModel
from rodna.models.ensemble import load_ensemble
from rodna.train.config import TrainConfig
from rodna.train.distill_stage import distill
from rodna.train.ensemble_config import DistillConfig, EnsembleConfig
from rodna.train.identity import distill_settings, teacher_fingerprint
from rodna.train.members import train_ensemble

SEEDS_APART = 10
"""Of trainings whose members have the seeds from their own up."""
TEACHING: dict[str, Any] = {"temperature": 2.0, "alpha": 0.5}
"""How the student learns, as `distill` of a project says it: other weights and temperatures are no better, docs/ensembles.md."""


def train_in_time(
    place: Place, text: Text, plan: dict[str, Any], ensemble: EnsembleConfig, *, piece: str, seed: int, device: str
) -> tuple[dict[str, Any], Scored]:
    """Train members and their student in the time of one training that would use a part of it, and score the student.

    The stages are the product's, which make the student's steps fewer by what the teachers' forward passes take. Every seed has members
    of its own.
    """
    tokens, tokenizer = tokens_of(place, text, "bpe", 0)
    base = place.work / text.name / "runs" / piece
    model, planned = base / "model", plan_artifact(plan, SEEDS_APART * seed, device, base / "plan")
    if not (model / MANIFEST).is_file():
        config, together = DistillConfig(**TEACHING), base / "together"
        if not (together / MANIFEST).is_file():
            train_ensemble(tokens, tokenizer, planned, ensemble, config, together, run=base / "members", split_over=ensemble.members)
        members = Artifact.open(together, kind="ensemble")
        settings = distill_settings(config, ensemble, TrainConfig(seed=seed, trackers=()), split_over=ensemble.members)
        inputs: dict[str, Artifact | str] = {"tokens": tokens, "tokenizer": tokenizer, "plan": planned, "ensemble": members}
        distill(tokens, tokenizer, planned, members, config, model, run=base / "run", root=place.work, inputs=inputs, settings=settings)
    counts = Artifact.open(base / "together", kind="ensemble").counts
    validation, held_out = score_model(place, text, model, piece=piece, device=torch.device(device), reads_test=True)
    assert held_out is not None, "it is final"
    alone = figures_of(model, plan, device)
    return {
        "validation_bits_per_byte": validation, "members": ensemble.members, "share": ensemble.share, "teaching": TEACHING,
        "members_seconds": counts["seconds"], "members_together_validation_bits_per_byte": counts["bits_per_byte"],
        "members_gain": counts["gain"], "with_counts": score_with_counts(place, text, [model], piece=piece, device=device), **alone,
        "seconds": alone["seconds"] + counts["seconds"],
    }, held_out  # fmt: skip


def members_of(place: Place, text: Text) -> list[Path]:
    """Return the members' checkpoints.

    Raises:
        BenchmarkError: one is not in the work folder.
    """
    names = [piece.name for piece in pieces.members_of(text.name)]
    folders = [place.work / text.name / "runs" / name / "model" for name in names]
    missing = [name for name, folder in zip(names, folders, strict=True) if not (folder / MANIFEST).is_file()]
    if missing:
        raise BenchmarkError(f"members were trained elsewhere, or their models are gone: {', '.join(missing)}", where=str(place.work),
                             fix="copy their folders here, or `run` them again")  # fmt: skip
    return folders


def score_ensemble(place: Place, text: Text, *, piece: str, device: str) -> tuple[dict[str, Any], Scored]:
    """Average the members' probabilities, and score them as one; the members' own figures are of validation."""
    folders = members_of(place, text)
    tokens, _ = tokens_of(place, text, "bpe", 0)
    ensemble, tokenizer = load_ensemble(folders, device=device)
    model = EnsembleModel(ensemble, tokenizer, stride=STRIDE)
    validation = Tokens.open(tokens.path, "validation")
    together, alone = model.all_document_nats(validation).bits_per_byte(validation.num_bytes)
    held_out = test_tokens(place, text, tokens, piece=piece)
    scored = Scored(model.document_nats(held_out) / np.log(2), np.asarray(held_out.document_bytes))
    figures = {
        "validation_bits_per_byte": together, "validation_looks": 1, "members": len(folders), "members_validation_bits_per_byte": alone,
        "parameters": sum(member.config.num_parameters for member in ensemble.members),
        "with_counts": score_with_counts(place, text, folders, piece=piece, device=device),
    }  # fmt: skip
    return figures, scored


def train_student(place: Place, text: Text, plan: dict[str, Any], *, piece: str, seed: int, device: str) -> tuple[dict[str, Any], Scored]:
    """Train the student of all members by rodna's distill stage and score it; a training that was cut short goes on.

    The plan is that of one member; from it, and from the time that the members leave, the stage makes the student's size and steps.
    """
    folders = members_of(place, text)
    members_minutes = len(folders) * pieces.MEMBER_MINUTES
    shared = EnsembleConfig(members=len(folders), share=members_minutes / (members_minutes + pieces.STUDENT_MINUTES))
    tokens, tokenizer = tokens_of(place, text, "bpe", 0)
    base = place.work / text.name / "runs" / piece
    model, planned = base / "model", plan_artifact(plan, seed, device, base / "plan")
    if not (model / MANIFEST).is_file():
        config = DistillConfig(teachers=tuple(map(str, folders)), **TEACHING)
        settings = distill_settings(config, shared, TrainConfig(seed=seed, trackers=()), split_over=shared.members)
        fingerprints = {f"teacher-{number:02d}": teacher_fingerprint(folder) for number, folder in enumerate(folders, 1)}
        inputs = {"tokens": tokens, "tokenizer": tokenizer, "plan": planned, **fingerprints}
        distill(tokens, tokenizer, planned, None, config, model, run=base / "run", root=place.work, inputs=inputs, settings=settings)
    validation, held_out = score_model(place, text, model, piece=piece, device=torch.device(device), reads_test=True)
    assert held_out is not None, "students are final"
    return {
        "validation_bits_per_byte": validation,
        "teachers": len(folders),
        "teaching": TEACHING,
        "with_counts": score_with_counts(place, text, [model], piece=piece, device=device),
        **figures_of(model, plan, device),
    }, held_out
