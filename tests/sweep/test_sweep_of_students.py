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
    outcome = as_json(rodna("sweep", "-w", copied, *over, "--minutes", 10, "--write", "--json", *SET))
    again = rodna("sweep", "-w", copied, *over, "--minutes", 10, *SET)
    folder = Path(outcome["folder"])
    rows = outcome["trials"]

    assert sorted(row["trial"] for row in rows) == [0, 1, 2]
    assert len({row["bits_per_byte"] for row in rows}) == 3
    assert {(row["trial"], row["distill.alpha"]) for row in rows} == {(0, 0.5), (1, 0.1), (2, 0.9)}
    assert {row["distill.student.train.learning_rate"] for row in rows if row["trial"]} == {0.02}
    assert "best: trial" in again.stdout
    assert len((folder / "results.jsonl").read_text(encoding="utf-8").splitlines()) == len(rows)
    described = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    assert set(described["inputs"]) == {"plan", "tokens", "ensemble"}
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


@pytest.mark.parametrize(
    ("over", "settings", "message"),
    [
        (["distill.alpha=0.1,0.9", "train.learning_rate=0.1"], SET, "cannot be searched together with train.learning_rate"),
        (["distill.alpha=0.1,0.9"], [], "there is no student to search settings for"),
        (["distill.compare=true,false"], SET, "distill.compare is the same for all students"),
        (["distill.alpha=0.1,2"], SET, "distill.alpha"),
        (["distill.student.train.batch_size=2.5:9"], SET, "distill.student.train.batch_size takes whole numbers"),
        (["ensemble.members=2,3"], SET, "ensemble.members is no setting of a trial"),
    ],
)
def test_what_cannot_be_searched_of_a_student_is_said(copied, rodna, over, settings, message):
    given = [argument for text in over for argument in ("--over", text)]
    result = rodna("sweep", "-w", copied, *given, *settings)

    assert result.exit_code == 1
    assert message in result.stderr
    assert not (copied / "sweeps").exists()
