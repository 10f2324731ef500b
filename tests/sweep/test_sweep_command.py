"""The command: from settings and minutes to a table, a picture and a changed project file."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rodna.cli.sweep import _print
from rodna.cli.trials import Trials
from rodna.core.errors import StateError
from rodna.plan.plan import measure_text
from rodna.sweep.halving import Rung


@pytest.fixture(scope="module")
def prepared(make_workspace, tmp_path_factory, go_through) -> Path:
    """A workspace with everything up to training done, for a training of 60 tiny steps."""
    root = make_workspace(tmp_path_factory.mktemp("sweep"))
    project = root / "project.yaml"
    text = project.read_text(encoding="utf-8").replace("steps: 12, batch_size: 4", "steps: 60, batch_size: 2")
    text = text.replace("context_length: 64", "context_length: 32")
    project.write_text(text + "sweep:\n  over: {train.learning_rate: [0.001, 1000000.0]}  # from too small to absurd\n", encoding="utf-8")
    go_through(root, ("corpus build", "tokenizer train", "plan", "train tokens"))
    return root


@pytest.fixture
def copied(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "copied"))


def rewrite_plan(root: Path, **sections: dict[str, object]) -> None:
    """Change values of the plans that are there."""
    for file in (root / "artifacts" / "plan").glob("*/plan.json"):
        manifest = file.with_name("manifest.json")
        values = json.loads(file.read_text(encoding="utf-8"))
        for section, changes in sections.items():
            values[section] |= changes
        file.write_text(json.dumps(values), encoding="utf-8")
        noted = json.loads(manifest.read_text(encoding="utf-8"))
        noted["files"]["plan.json"]["size_bytes"] = file.stat().st_size
        manifest.write_text(json.dumps(noted), encoding="utf-8")


def say_minutes(root: Path, seconds: float) -> None:
    """Rewrite the plan so that it promises a training of so many seconds."""
    rewrite_plan(root, estimates={"seconds": seconds, "startup_seconds": 0.0})


def test_the_text_is_measured_once_for_all_trials(copied, rodna, as_json, monkeypatch):
    measured = []

    def measure(corpus, tokenizer):
        measured.append(corpus.digest)
        return measure_text(corpus, tokenizer)

    monkeypatch.setattr("rodna.plan.plan.measure_text", measure)
    outcome = as_json(rodna("sweep", "--workspace", copied, "--json", "--method", "grid", "--over", "train.adam_learning_rate=0.001,0.002"))
    assert len(outcome["trials"]) >= 2
    assert len(measured) == 1


def test_trials_are_of_the_plan_also_where_it_proposes_an_ensemble(copied, rodna, as_json):
    rewrite_plan(copied, train={"weight_decay": 0.77}, estimates={"ensemble_members": 3, "ensemble_share": 0.5})
    outcome = as_json(rodna("sweep", "--workspace", copied, "--json", "--method", "grid", "--over", "train.adam_learning_rate=0.001,0.002"))

    plans = list(Path(outcome["folder"]).rglob("plan.json"))
    assert {json.loads(file.read_text(encoding="utf-8"))["train"]["weight_decay"] for file in plans} == {0.77}


def test_a_grid_has_all_its_combinations_unless_it_is_told_how_many(copied, rodna, as_json):
    values = ",".join(f"{number / 1000:g}" for number in range(1, 16))
    asked = ("sweep", "--workspace", copied, "--method", "grid", "--over", f"train.learning_rate={values}", "--dry-run")
    assert len(as_json(rodna(*asked, "--json"))["trials"]) == 16
    refused = rodna(*asked, "--trials", 12)
    assert refused.exit_code != 0
    assert "set it to 16" in " ".join(refused.stderr.split())


def test_a_sweep_of_the_projects_section_ends_with_a_table_a_picture_and_the_same_again_at_once(copied, rodna, as_json):
    kept = ("--set", "train.keep_checkpoints=2")
    outcome = as_json(rodna("sweep", "--workspace", copied, "--json", "--method", "grid", *kept))
    folder = Path(outcome["folder"])
    again = rodna("sweep", "--workspace", copied, "--method", "grid", *kept)

    rows = outcome["trials"]
    assert sorted(row["trial"] for row in rows) == [0, 1, 2]
    assert [row["bits_per_byte"] for row in rows[:2]] == sorted(row["bits_per_byte"] for row in rows[:2])
    planned = json.loads(next((copied / "artifacts" / "plan").glob("*/plan.json")).read_text(encoding="utf-8"))["train"]["learning_rate"]
    assert {row["train.learning_rate"] for row in rows} == {planned, 0.001, 1000000.0}
    assert {row["steps"] for row in rows if row["bits_per_byte"] is not None} == {60}
    assert again.exit_code == 0
    assert "best: trial" in again.stdout
    assert json.loads((folder / "results.json").read_text(encoding="utf-8"))["trials"] == rows
    assert (folder / "sweep.svg").read_text(encoding="utf-8").startswith("<svg")
    assert len((folder / "results.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    plans = [json.loads(file.read_text(encoding="utf-8")) for file in folder.rglob("plan.json")]
    assert plans
    assert {plan["train"]["ngram_order"] for plan in plans} == {0}
    assert len(list(folder.glob("trial-*/rung-1/run/metrics.jsonl"))) == 2
    assert "weights would not survive one step" in rows[2]["note"]
    assert list(folder.rglob("*.safetensors")) == []


@pytest.mark.slow
def test_the_rungs_grow_the_tokenizer_may_change_and_the_best_is_written_with_every_comment_kept(copied, rodna, as_json):
    say_minutes(copied, 60)
    command = ("sweep", "--workspace", copied, "--over", "tokenizer.vocabulary_size=300,330", "--over", "model.width=8,32", "--json",
               "--trials", 5, "--method", "grid", "--minutes", 4, "--write", "--set", "sweep.eta=2")  # fmt: skip
    outcome = as_json(rodna(*command))
    described = json.loads((Path(outcome["folder"]) / "sweep.json").read_text(encoding="utf-8"))
    records = [json.loads(line) for line in (Path(outcome["folder"]) / "results.jsonl").read_text(encoding="utf-8").splitlines()]

    assert [rung["num_trials"] for rung in described["rungs"]] == [5, 3]
    assert described["rungs"][1]["share"] == pytest.approx(2 * described["rungs"][0]["share"])
    assert all(record["reason"] == "" for record in records)
    for record in records:
        share = described["rungs"][record["rung"]]["share"]
        assert record["facts"]["passes"] == pytest.approx(share * described_passes(copied), rel=0.1)
    assert {record["trial"] for record in records if record["rung"] == 1} == set(three_best(records))
    text = (copied / "project.yaml").read_text(encoding="utf-8")
    tree = YAML(typ="safe").load(text)
    for key, value in outcome["best"].items():
        section, _, name = key.partition(".")
        assert tree[section][name] == value
    assert all(comment in text for comment in ("# A comment that must survive.", "# the tiniest", "# from too small to absurd"))


def described_passes(root: Path) -> float:
    plan = json.loads(next((root / "artifacts" / "plan").glob("*/plan.json")).read_text(encoding="utf-8"))
    counts = [json.loads(file.read_text(encoding="utf-8")) for file in (root / "artifacts" / "tokens").glob("*/manifest.json")]
    own = next(item["counts"] for item in counts if item["counts"]["vocabulary_size"] == 384)
    return plan["train"]["steps"] * plan["train"]["batch_size"] * plan["model"]["context_length"] / own["splits"]["train"]["num_tokens"]


def three_best(records: list[dict]) -> list[int]:
    return [record["trial"] for record in sorted((r for r in records if r["rung"] == 0), key=lambda record: record["bits_per_byte"])][:3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--over", "train.learning_rte=0.1,0.2"), r"train.learning_rte \(sweep.over\): unknown key; did you mean `learning_rate`\?"),
        (("--over", "trian.learning_rate=0.1,0.2"), r"trian: unknown key; did you mean `train`\?"),
        (("--over", "train.learning_rate=0.1,fast"), r"train.learning_rate(.|\n)*'fast'"),
        (("--over", "model.width=8.5,16"), r"model.width(.|\n)*8.5"),
        (("--over", "model.width=8.5:16"), "model.width takes whole numbers"),
        (("--over", "train.learning_rate=-1:1"), r"train.learning_rate(.|\n)*greater than 0"),
        (("--over", "model.dropout=0.3:0.1"), "model.dropout: the range '0.3:0.1' is empty"),
        (("--over", "model.dropout="), "model.dropout: there is nothing to try"),
        (("--over", "model.width=8", "--over", "model.width=16"), "model.width is given more than once"),
        (("--over", "eval.stride=0.5,1"), r"eval.stride is no setting of a trial(.|\n)*corpus, tokenizer, data, model"),
        (("--over", "train.log_every=1,2"), "train.log_every changes nothing that a trial is judged by"),
        (
            ("--over", "distill.student.train.ngram_order=0,4"),
            "distill.student.train.ngram_order changes nothing that a trial is judged by",
        ),
        (("--over", "model.dropout=0.1,3"), r"model.dropout(.|\n)*less than 1"),
        (("--over", "plan.time_budget_minutes=1,2"), "plan.time_budget_minutes is the same for all trials"),
        (("--over", "plan.recpe=planned"), r"plan.recpe \(sweep.over\): unknown key; did you mean `recipe`\?"),
        (("--method", "guess"), r"method(.|\n)*'random' or 'grid'(.|\n)*'guess'"),
        ((), r"there is nothing to search(.|\n)*--over train.learning_rate=0.003,0.01,0.03"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_trained(rodna, workspace, arguments, message):
    result = rodna("sweep", "--workspace", workspace, *arguments)

    assert result.exit_code == 1
    assert re.search(message, result.stderr), result.stderr
    assert not (workspace / "artifacts").exists()


def test_a_budget_too_small_for_its_trials_says_what_would_do(rodna, copied):
    say_minutes(copied, 60)  # a fast machine could do all of these tiny trials within the budget
    result = rodna("sweep", "--workspace", copied, "--minutes", 0.0001)

    assert result.exit_code == 1
    assert "are too little for 3 trials" in result.stderr
    assert "fix:   allow " in result.stderr


def test_when_every_trial_diverges_the_command_fails_with_the_reason(rodna, copied):
    absurd = ("--set", "train.learning_rate=1e30", "--set", "train.weight_decay=0", "--set", "train.clip_norm=0")
    result = rodna("sweep", "--workspace", copied, "--over", "model.dropout=0.15,0.25", "--method", "grid", *absurd)

    assert result.exit_code == 1
    assert "all 3 trials failed; the first: training has diverged" in result.stderr
    assert "try smaller values, of learning rates above all" in result.stderr


def test_trials_with_another_validation_text_are_rows_that_say_so(copied, rodna, as_json):
    outcome = as_json(rodna("sweep", "--workspace", copied, "--over", "corpus.split.validation=0.1", "--json"))

    assert [row["note"] for row in outcome["trials"]] == [
        "the project's own settings", "its validation text is another one, so its value cannot be compared",
    ]  # fmt: skip


def test_a_dry_run_names_the_trials_and_trains_none(rodna, workspace):
    result = rodna("sweep", "--workspace", workspace, "--over", "model.dropout=0:0.3", "--trials", 4, "--dry-run")

    assert result.exit_code == 0
    assert "model.dropout: 0 to 0.3, linear" in result.stderr
    assert result.stderr.count("model.dropout=") == 3
    assert not (workspace / "artifacts").exists()


@pytest.mark.slow
def test_killed_in_the_middle_of_a_trial_the_same_command_ends_as_if_it_never_had_been(prepared, tmp_path):
    # Saved after every other step, so that the kill comes in the middle.
    command = ("--over", "model.dropout=0.25", "--method", "grid", "--set", "train.save_minutes=0.001", "--set", "train.steps=60")
    killed, never = (Path(shutil.copytree(prepared, tmp_path / name)) for name in ("killed", "never"))

    def start(root: Path) -> "subprocess.Popen[str]":
        arguments = [sys.executable, "-m", "rodna.cli", "sweep", "--workspace", str(root), *command]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def values(root: Path) -> list[tuple[int, float]]:
        lines = next(root.glob("sweeps/*/results.jsonl")).read_text(encoding="utf-8").splitlines()
        return [(record["trial"], record["bits_per_byte"]) for record in map(json.loads, lines)]

    process, deadline = start(killed), time.monotonic() + 200
    while not list(killed.glob("sweeps/*/trial-001/rung-1/run/step-*/progress.json")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    before = values(killed)
    for root in (killed, never):
        process = start(root)
        said = process.communicate(timeout=300)[1]
        assert process.returncode == 0, said

    assert [trial for trial, _ in before] == [0]
    assert values(killed) == values(never)
    records = next(killed.glob("sweeps/*/results.jsonl")).read_text(encoding="utf-8").splitlines()
    assert [json.loads(record)["facts"]["interruptions"] for record in records] == [0, 1]


def test_bits_per_byte_are_whole_however_narrow_the_terminal(capsys, monkeypatch):
    row = {"place": 1, "trial": 0, "train.learning_rate": 0.0123456, "model.dropout": 0.1, "bits_per_byte": 2.03124, "rung": 2,
           "passes": 3.2, "steps": 1200, "parameters": 1_200_000, "seconds": 120.2, "note": "the project's own settings"}  # fmt: skip
    for columns, is_wide in (("80", False), ("140", True)):
        monkeypatch.setenv("COLUMNS", columns)
        _print({"trials": [row], "best_trial": "trial 0", "seconds": 120.2, "folder": "sweeps/demo"})
        shown = capsys.readouterr().out
        assert "2.0312" in shown
        assert "0.0123456" in shown
        assert ("1,200,000" in shown) is is_wide


def test_trials_of_a_project_with_members_are_of_one_members_plan(copied, rodna, as_json):
    members = ("--set", "ensemble.members=3", "--set", "train.warmup_steps=30")
    assert rodna("plan", "--workspace", copied, *members).exit_code == 0
    rewrite_plan(copied, train={"weight_decay": 0.77, "learning_rate": 0.0123}, estimates={"seconds": 60.0, "startup_seconds": 0.0})
    command = ("sweep", "--workspace", copied, "--json", "--over", "train.adam_learning_rate=0.001,0.002,0.004", "--method", "grid",
               "--minutes", 2, *members)  # fmt: skip
    outcome = as_json(rodna(*command))

    plans = {file.parent.parent.parent.name: json.loads(file.read_text(encoding="utf-8"))["train"]
             for file in Path(outcome["folder"]).glob("trial-*/rung-1/plan-00000000/plan.json")}  # fmt: skip
    assert len(plans) == 4
    assert {(plan["weight_decay"], plan["learning_rate"]) for plan in plans.values()} == {(0.77, 0.0123)}
    # As large a part of a shorter run is its warm-up.
    assert {plan["warmup_steps"] / plan["steps"] for plan in plans.values()} == {0.5}
    assert plans["trial-000"]["steps"] < 60


def test_what_is_wrong_with_the_disk_is_no_trials_fault(tmp_path):
    class Broken:
        def train(self, settings, rung, folder):
            raise StateError("the saved state of training is damaged")

    with pytest.raises(StateError):
        Trials(Broken(), tmp_path).train(0, 0, {}, Rung(1, 1.0, 1.0))
