"""What the report says of ensembles and students."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rodna.core.artifact import Artifact, create
from rodna.core.files import write_json
from rodna.publish.facts.cost import cost_facts
from rodna.publish.facts.ensemble import ensemble_facts
from rodna.publish.facts.training import training_facts

MEMBERS = {
    "members": [
        {"name": "member-01", "parameters": 5_000_000, "num_layers": 6, "width": 256, "family": "qwen3", "dropout": 0.1, "seed": 0,
         "order_seed": 0, "epochs": 8.0, "seconds": 600.0, "bits_per_byte": 1.712},
        {"name": "member-02", "parameters": 5_100_000, "num_layers": 1, "width": 512, "family": None, "dropout": 0.2, "seed": 1,
         "order_seed": 1, "epochs": 8.0, "seconds": 620.0, "bits_per_byte": 1.698},
    ],
    "mean_bits_per_byte": 1.705, "bits_per_byte": 1.655, "gain": 0.05, "seconds": 1220.0,
}  # fmt: skip
TEACHERS = [{"path": "m1", "bits_per_byte": 1.712}, {"path": "m2", "bits_per_byte": 1.698}, {"path": "others/x", "bits_per_byte": 1.8}]
STUDENT = {
    "teachers": TEACHERS, "student_bits_per_byte": 1.668, "teachers_bits_per_byte": 1.65, "temperature": 2.0, "alpha": 0.3,
    "loss": "babyllama", "average": "logits", "seconds": 900.0,
}  # fmt: skip
COMPARED = {"alone_bits_per_byte": 1.71, "alone_seconds": 500.0, "difference": 0.042, "share_of_gain": 0.7}


def make(folder: Path, kind: str, files: Mapping[str, Any]) -> Artifact:
    with create(folder / f"{kind}-00000000", kind=kind, format_version=1, inputs={}, config={}) as draft:
        for name, values in files.items():
            write_json(draft.path / name, values)
    return draft.result


def model(folder: Path, **changes: Any) -> Artifact:
    return make(folder, "model", {"distillation.json": STUDENT | changes, "training.json": {"parameters": 4_000_000, "epochs": 9.0}})


def test_a_model_without_teachers_has_no_such_section(tmp_path: Path):
    assert ensemble_facts(None, None) is None
    assert ensemble_facts(None, make(tmp_path, "model", {"training.json": {}})) is None


def test_gain_and_share_are_said_in_words_and_numbers(tmp_path: Path):
    facts = ensemble_facts(make(tmp_path, "ensemble", {"ensemble.json": MEMBERS}), model(tmp_path, **COMPARED))

    assert facts is not None
    assert "Together they need 0.050 fewer bits per byte of validation text than one of them does on average." in facts.lead
    assert "a student of 3 teachers" in facts.lead
    assert "0.042 bits per byte fewer than the same model trained alone for as many steps: 70% of" in facts.lead
    assert [(item.value, item.label) for item in facts.numbers][-1] == ("70%", "of its teachers' gain kept")
    assert "30% the text" in facts.note
    assert "as BabyLlama published it" in facts.note


def test_what_a_cache_held_and_how_teachers_were_measured_is_said(tmp_path: Path):
    logits = ensemble_facts(None, model(tmp_path / "one", cache={"top_k": 64, "mass_mean": 0.91}))
    averaged = ensemble_facts(None, model(tmp_path / "two", average="probabilities"))

    assert logits is not None
    assert averaged is not None
    assert "64 likeliest tokens were kept on disk: 91% of their probability at temperature 2.00 on average." in logits.note
    assert "All teachers together are measured with their probabilities averaged" in logits.note
    assert "All teachers together" not in averaged.note


def test_counts_beside_the_members_are_told_of(tmp_path: Path):
    counted = {"order": 5, "ngrams": 1_000, "weight": 0.4, "bits_per_byte": 1.75}
    one = MEMBERS | {"members": MEMBERS["members"][:1], "counted": counted}
    facts = ensemble_facts(make(tmp_path, "ensemble", {"ensemble.json": one}), model(tmp_path))

    assert facts is not None
    assert facts.lead.startswith("1 model was trained on the same text. Counted n-grams of up to 5 tokens have 40% of the probability")
    assert "alone they need 1.750 bits per byte" in facts.lead


def test_every_member_teacher_and_student_has_its_row(tmp_path: Path):
    facts = ensemble_facts(make(tmp_path, "ensemble", {"ensemble.json": MEMBERS}), model(tmp_path, **COMPARED))

    assert facts is not None
    assert [row.cells[0] for row in facts.rows] == ["member-01", "member-02", "teacher others/x", "the student", "the same alone"]
    assert [row.cells[1] for row in facts.rows] == ["1.712", "1.698", "1.800", "1.668", "1.710"]
    assert [row.cells[3] for row in facts.rows][:2] == ["6 layers of 256, qwen3", "1 layer of 512, no standard family"]
    assert {len(row.cells) for row in facts.rows} == {len(facts.columns)}


def test_a_student_that_gained_nothing_is_said_to_have_gained_nothing(tmp_path: Path):
    worse = {"alone_bits_per_byte": 1.66, "difference": -0.008, "share_of_gain": -0.8}
    facts = ensemble_facts(None, model(tmp_path, **worse))

    assert facts is not None
    assert "0.008 bits per byte more than the same model trained alone for as many steps." in facts.lead
    assert facts.numbers[-1].value == "none"


def test_figures_that_are_missing_leave_the_section_standing(tmp_path: Path):
    silent = {"members": [{"name": "member-01", "bits_per_byte": None}], "mean_bits_per_byte": None, "bits_per_byte": None, "gain": None}
    facts = ensemble_facts(make(tmp_path, "ensemble", {"ensemble.json": silent}), None)

    assert facts is not None
    assert facts.bars is None
    assert facts.rows[0].cells[1] == "–"


def test_the_time_of_members_and_comparison_counts_as_cost(tmp_path: Path):
    ensemble = make(tmp_path, "ensemble", {"ensemble.json": MEMBERS})
    trained = make(tmp_path, "model", {"training.json": {"seconds": 900.0}, "distillation.json": COMPARED})
    facts = cost_facts({"model": trained, "ensemble": ensemble})

    assert facts is not None
    assert facts.numbers[0].value == "43 min 40 s"
    assert "members" in str(facts.stages)
    assert "comparison" in str(facts.stages)


def test_of_a_student_cross_entropy_divergence_and_held_out_text_are_drawn_apart(tmp_path: Path):
    records = [{"step": n, "tokens": n * 10, "loss": 9.0, "cross_entropy": 5.0 - n, "divergence": 2.0 - n / 2} for n in (1, 2)]
    records += [{"step": n, "tokens": n * 10, "validation_loss": 5.5 - n, "validation_bits_per_byte": 3.0 - n} for n in (1, 2)]
    artifact = make(tmp_path, "model", {"training.json": {}})
    (artifact.path / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)) + "\n", encoding="utf-8")
    facts = training_facts(artifact, points=100)

    assert facts is not None
    drawn = "\n".join(str(chart.svg) for chart in facts.charts)
    assert "Cross-entropy: training from 4.00 to 3.00; validation from 4.50 to 3.50" in drawn
    assert "Teachers: divergence from 1.50 to 1.00" in drawn
    assert "Validation: validation from 2.00 to 1.00" in drawn
    assert "from 9" not in drawn
