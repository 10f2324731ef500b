"""Searching how a student learns: its teachers are trained once, and every trial is a student of theirs."""

import json
import shutil
from pathlib import Path

import pytest

SETTINGS = ["ensemble.members=2", "distill.compare=true", "train.steps=60", "train.precision=fp32"]
SET = [argument for setting in SETTINGS for argument in ("--set", setting)]


@pytest.fixture(scope="module")
def taught(make_workspace, tmp_path_factory, go_through) -> Path:
    """A workspace with everything up to its ensemble done."""
    root = make_workspace(tmp_path_factory.mktemp("students"))
    go_through(root, ("corpus build", "tokenizer train", "plan", "train tokens", "train ensemble"), *SET)
    return root


@pytest.fixture
def copied(taught: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(taught, tmp_path / "copied"))


def test_each_trial_is_a_student_of_the_same_teachers_and_the_best_is_written(copied, rodna, as_json):
    over = ("--over", "distill.alpha=0.1,0.9", "--over", "distill.student.train.learning_rate=0.02", "--method", "grid")
    outcome = as_json(rodna("sweep", "-w", copied, *over, "--minutes", 10, "--json", *SET))
    written = as_json(rodna("sweep", "-w", copied, *over, "--minutes", 10, "--write", "--json", *SET))
    folder = Path(outcome["folder"])
    rows = outcome["trials"]

    assert sorted(row["trial"] for row in rows) == [0, 1, 2]
    assert len({row["bits_per_byte"] for row in rows}) == 3
    assert {(row["trial"], row["distill.alpha"]) for row in rows} == {(0, 0.5), (1, 0.1), (2, 0.9)}
    assert {row["distill.student.train.learning_rate"] for row in rows if row["trial"]} == {0.02}
    assert written["folder"] == outcome["folder"]
    assert written["trials"] == rows
    assert len((folder / "results.jsonl").read_text(encoding="utf-8").splitlines()) == len(rows)
    described = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    assert set(described["inputs"]) == {"plan", "tokens", "tokenizer", "ensemble", "student"}
    assert not list(folder.rglob("alone"))
    assert not list(folder.rglob("*.safetensors"))
    text = (copied / "project.yaml").read_text(encoding="utf-8")
    assert all(key.rpartition(".")[2] in text for key in outcome["best"])


def test_students_of_one_rung_read_the_text_equally_often(copied, rodna, as_json):
    over = ("--over", "distill.student.train.batch_size=2,8", "--method", "grid", "--minutes", 10)
    outcome = as_json(rodna("sweep", "-w", copied, *over, "--json", *SET))
    steps = {row["distill.student.train.batch_size"]: row["steps"] for row in outcome["trials"]}

    assert steps[2] == pytest.approx(2 * steps[4], abs=2)
    assert steps[4] == pytest.approx(2 * steps[8], abs=2)


def test_another_setting_of_the_student_is_another_sweep(copied, rodna, as_json):
    command = ("sweep", "-w", copied, "--over", "distill.alpha=0.9", "--minutes", 10, "--json", *SET)
    first, second = (as_json(rodna(*command, "--set", f"distill.temperature={value}")) for value in (1, 4))

    assert first["folder"] != second["folder"]
    assert {row["bits_per_byte"] for row in first["trials"]}.isdisjoint(row["bits_per_byte"] for row in second["trials"])


def test_a_preset_lies_below_the_trials_too(copied, rodna, as_json):
    """Its student has settings of its own, which stay, and a loss that no default has."""
    small = ["distill.preset=babyllama-cpu", "ensemble.members=2", "ensemble.overrides=[]", "distill.student.preset=planned",
             "distill.student.model.context_length=64", "distill.student.epochs=planned", "distill.student.train.batch_size=4"]  # fmt: skip
    given = [argument for text in small for argument in ("--set", text)]
    over = ("--over", "distill.student.train.learning_rate=0.02", "--over", "distill.loss=scaled,babyllama", "--method", "grid")
    rows = as_json(rodna("sweep", "-w", copied, *over, "--minutes", 10, "--json", *SET, *given))["trials"]

    own = next(row for row in rows if row["trial"] == 0)
    assert own["distill.loss"] == "babyllama"
    assert {row["distill.loss"] for row in rows} == {"babyllama", "scaled"}


def test_passes_are_searched_where_the_steps_are_planned(copied, rodna, as_json):
    free = [argument for text in (*SETTINGS[:2], SETTINGS[3], "train.steps=planned") for argument in ("--set", text)]
    over = ("--over", "distill.student.epochs=1:3", "--trials", 3, "--minutes", 10)
    given = ("--set", "plan.time_budget_minutes=0.2")
    rows = as_json(rodna("sweep", "-w", copied, *over, "--json", *free, *given))["trials"]
    passes = sorted((row["distill.student.epochs"], row["passes"]) for row in rows if row["trial"])

    assert len(passes) == 2
    assert passes[0][1] < passes[1][1]
    refused = rodna("sweep", "-w", copied, *over, *SET)
    assert "distill.student.epochs has no effect where the steps are given" in refused.stderr


@pytest.mark.parametrize(
    ("over", "settings", "message"),
    [
        (["distill.alpha=0.1,0.9", "train.learning_rate=0.1"], SET, "cannot be searched together with train.learning_rate"),
        (["distill.alpha=0.1,0.9"], [], "there is no student to search settings for"),
        (["distill.compare=true,false"], SET, "distill.compare is the same for all students"),
        (["distill.alpha=0.1,2"], SET, "distill.alpha"),
        (["distill.student.train.batch_size=2.5:9"], SET, "distill.student.train.batch_size takes whole numbers"),
        (["ensemble.members=2,3"], SET, "ensemble.members is no setting of a trial"),
        (["distill.student.train.batch_size=abc"], SET, "batch_size: should be a valid integer"),
        (["distill.student.train.steps=0,5"], SET, "steps: should be greater than"),
        (["distill.student.model.width=8.5,9"], SET, "width: should be a valid integer"),
        (["distill.student.model.rotary_width=2.5:9"], SET, "distill.student.model.rotary_width takes whole numbers"),
        (["distill.alpha=0.1"], [*SET, "--set", "ensemble.chain=true"], "every trial would need others"),
        (["distill.alpha=0.1"], [*SET, "--set", "distill.teachers=[nowhere]"], "correct distill.teachers"),
        (["distill.alpha=0.1,0.9", "train.learning_rate=0.1"], [*SET, "--dry-run"], "cannot be searched together"),
    ],
)
def test_what_cannot_be_searched_of_a_student_is_said(copied, rodna, over, settings, message):
    given = [argument for text in over for argument in ("--over", text)]
    result = rodna("sweep", "-w", copied, *given, *settings)

    assert result.exit_code == 1
    assert message in result.stderr
    assert not (copied / "sweeps").exists()
