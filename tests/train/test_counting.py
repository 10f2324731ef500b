"""Counts kept with a finished model, on invented tokens."""

import json
from pathlib import Path

import pytest
import torch
from tests.train.stage_bench import Bench, make_plan, make_tokens

from rodna.core.artifact import Artifact
from rodna.data.tokens import Tokens
from rodna.evals.models.ensemble import EnsembleModel
from rodna.models.counted import FILE, load, load_beside
from rodna.models.ensemble import load_ensemble
from rodna.models.ngram import NgramModel
from rodna.train.config import TrainConfig
from rodna.train.counting import UNFITTED_WEIGHT, keep_counts
from rodna.train.stages import pretrain

STEPS = 300
"""After so many the network knows of this text, in which every token follows from the one before, what counts do not."""


def trained(bench: Bench, folder: Path, *, tokens: Artifact | None = None, **train) -> Artifact:
    folder.mkdir()
    plan = make_plan(folder, **train)
    return pretrain(tokens or bench.tokens, bench.tokenizer, plan, TrainConfig(trackers=()), folder / "model-00000001", run=folder / "run")


def training(model: Artifact) -> dict:
    return json.loads((model.path / "training.json").read_text(encoding="utf-8"))


def test_a_model_is_kept_with_counts_of_its_training_text_weighed_by_validation(bench: Bench, tmp_path):
    model = trained(bench, tmp_path / "made", ngram_order=3, steps=STEPS)
    counted, found = load(model.path / FILE), training(model)["counted"]
    own = NgramModel.count(Tokens.open(bench.tokens.path, "train"), order=3)

    assert (found["order"], found["ngrams"], found["weight"]) == (3, own.num_ngrams, counted.weight)
    for kept, level in zip(counted.model.levels, own.levels, strict=True):
        assert torch.equal(kept.keys_U, level.keys_U)
        assert torch.equal(kept.counts_U, level.counts_U)
    assert found["model_bits_per_byte"] == pytest.approx(bench.validation_bits(model.path), 1e-4)
    assert found["bits_per_byte"] < min(found["model_bits_per_byte"], found["counts_bits_per_byte"])


def test_the_weight_is_better_than_others(bench: Bench, tmp_path):
    model = trained(bench, tmp_path / "made", ngram_order=2, steps=STEPS)
    ensemble, tokenizer = load_ensemble([model.path], counted=model.path / FILE)
    validation, chosen = Tokens.open(bench.tokens.path, "validation"), load(model.path / FILE)

    def bits(weight: float) -> float:
        ensemble.counted = chosen._replace(weight=weight)
        return EnsembleModel(ensemble, tokenizer).all_document_nats(validation).bits_per_byte(validation.num_bytes)[0]

    best = bits(chosen.weight)
    assert best == pytest.approx(training(model)["counted"]["bits_per_byte"], 1e-5)
    assert all(best < bits(chosen.weight + step) for step in (-0.02, 0.009) if 0 < chosen.weight + step < 1)


def test_counting_changes_nothing_of_the_checkpoint_itself(bench: Bench, tmp_path):
    plain, counted = trained(bench, tmp_path / "plain"), trained(bench, tmp_path / "counted", ngram_order=2)

    assert (plain.path / "model.safetensors").read_bytes() == (counted.path / "model.safetensors").read_bytes()
    assert load_beside(plain.path) is None
    assert "counted" not in training(plain)
    assert {file.name for file in counted.path.iterdir()} - {file.name for file in plain.path.iterdir()} == {FILE}


def test_without_validation_text_the_weight_is_a_usual_one(bench: Bench, tmp_path):
    model = trained(bench, tmp_path / "made")
    tokens = make_tokens(tmp_path, num_validation=0)
    found = keep_counts(model.path, tokens, tmp_path, order=2, device="cpu", compute_dtype=torch.float32)["counted"]

    assert load(tmp_path / FILE).weight == found["weight"] == UNFITTED_WEIGHT
    assert "bits_per_byte" not in found


def test_a_student_is_kept_with_counts_too(bench: Bench, tmp_path):
    bench.plan = make_plan(tmp_path, ngram_order=2)
    student = bench.student(bench.ensemble())

    assert load(student.path / FILE).model.order == training(student)["counted"]["order"] == 2
