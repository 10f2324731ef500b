"""From text to a student of two members: one command, killed and typed again, and what it says and shows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

SETTINGS = [
    "ensemble.members=2", "distill.compare=true", "train.save_minutes=0.0001", "train.log_every=2", "train.steps=20",
    "train.precision=fp32",
    "model={width: 16, num_layers: 1, num_heads: 1, num_kv_heads: 1, head_width: 16, ffn_width: 32, context_length: 32}",
]  # fmt: skip
SET = [argument for setting in SETTINGS for argument in ("--set", setting)]


def command(workspace: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "rodna.cli", *words, "--workspace", str(workspace), *SET]


def wait_for(process: "subprocess.Popen[str]", workspace: Path, pattern: str, *, seconds: float = 240) -> None:
    """Wait until a file appears below a workspace."""
    deadline = time.monotonic() + seconds
    while not any(workspace.glob(pattern)):
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{pattern} never appeared: {process.communicate()[1]}")
        time.sleep(0.002)


def kill_at(workspace: Path, pattern: str) -> None:
    """Type `rodna run`, and end it with `kill -9` as soon as a file appears."""
    process = subprocess.Popen(command(workspace, "run"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(process, workspace, pattern)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def finish(workspace: Path) -> str:
    done = subprocess.run(command(workspace, "run"), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def prepared(make_workspace, tmp_path_factory, go_through) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("prepared"))
    go_through(root, ("corpus build", "tokenizer train", "plan", "train tokens"), *SET)
    return root


@pytest.fixture(scope="module")
def never_stopped(prepared: Path) -> Path:
    from typer.testing import CliRunner

    from rodna.cli.main import app

    root = Path(shutil.copytree(prepared, prepared.with_name("never stopped")))
    result = CliRunner().invoke(app, ["run", "--workspace", str(root), *SET])
    assert result.exit_code == 0, result.stderr
    return root


@pytest.fixture
def finished(never_stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(never_stopped, tmp_path / "finished"))


def model(workspace: Path) -> Path:
    return next((workspace / "artifacts" / "model").iterdir())


@pytest.mark.slow
def test_killed_in_a_member_and_in_the_student_it_ends_with_the_weights_of_one_never_stopped(prepared: Path, never_stopped: Path):
    root = Path(shutil.copytree(prepared, prepared.with_name("stopped")))
    kill_at(root, "runs/tiny-ensemble/member-02-*/step-0000*/progress.json")
    assert not list(root.glob("artifacts/ensemble/*/manifest.json"))
    kill_at(root, "runs/tiny-[0-9a-f]*/step-0000*/progress.json")
    said = finish(root)

    assert "[7/10] ensemble: 2 members" in said
    assert "member 1 of 2" not in said
    for name in ("model.safetensors", "alone/model.safetensors"):
        one, other = (load_file(model(workspace) / name) for workspace in (root, never_stopped))
        assert {key: tensor.tobytes() for key, tensor in one.items()} == {key: tensor.tobytes() for key, tensor in other.items()}


def test_status_counts_the_finished_members_of_an_unfinished_ensemble(rodna, as_json, finished: Path):
    shutil.rmtree(finished / "artifacts" / "ensemble")
    detail = {step["stage"]: step["detail"] for step in as_json(rodna("status", "-w", finished, "--json", *SET))["stages"]}
    raised = rodna("status", "-w", finished, *SET, "--set", "ensemble.members=3").stdout
    shutil.rmtree(next(finished.glob("runs/tiny-ensemble/member-02-*")))
    fewer = rodna("status", "-w", finished, *SET).stdout
    changed = rodna("status", "-w", finished, *SET, "--set", "ensemble.overrides=[{train: {learning_rate: 0.001}}]").stdout

    assert detail["ensemble"] == "2 of 2 members finished"
    assert "2 of 3 members finished" in raised
    assert "1 of 2 members finished" in fewer
    assert "members finished" not in changed


def test_every_stage_is_done_and_a_second_run_does_nothing(rodna, as_json, finished: Path):
    states = {step["stage"]: step["state"] for step in as_json(rodna("status", "-w", finished, "--json", *SET))["stages"]}
    again = as_json(rodna("run", "-w", finished, "--json", *SET))

    assert set(states.values()) == {"done"}
    assert list(states)[-4:] == ["ensemble", "distill", "evaluate", "report"]
    assert "pretrain" not in states
    assert [result["made"] for result in again.values()] == [False] * len(states)


def test_the_student_is_evaluated_and_used(rodna, as_json, finished: Path):
    student = as_json(rodna("trace", "distill", "-w", finished, "--json", *SET))
    evaluated = as_json(rodna("trace", "evaluate", "-w", finished, "--json", *SET))
    written = as_json(rodna("generate", "ба", "-w", finished, "--json", "--max-tokens", 2, *SET))

    assert [item["digest"] for item in evaluated["inputs"] if item["role"] == "model"] == [student["digest"]]
    assert written["model"] == str(model(finished))


def test_trace_goes_from_the_student_through_the_ensemble_to_the_sources(rodna, finished: Path):
    said = rodna("trace", "distill", "-w", finished, *SET).stdout

    assert said.startswith("model ")
    for part in ("ensemble ", "plan ", "tokens ", "corpus ", "source cyrillic", "CC0-1.0"):
        assert part in said


def test_the_report_tells_the_ensembles_gain_and_the_students_share(finished: Path):
    page = (finished / "report" / "index.html").read_text(encoding="utf-8")
    gain = json.loads(next(finished.glob("artifacts/ensemble/*/ensemble.json")).read_text(encoding="utf-8"))["gain"]

    assert "Ensemble and student" in page
    assert f"{gain:.3f} fewer bits per byte of validation text" in page
    assert "divergence from the teachers" in page
    assert "member-02" in page


def test_the_student_opens_in_transformers(finished: Path):
    transformers = pytest.importorskip("transformers")

    assert transformers.AutoModelForCausalLM.from_pretrained(model(finished)).config.hidden_size == 16


def test_the_ensemble_is_measured_on_the_test_split_as_one_model(rodna, as_json, finished: Path):
    made = as_json(rodna("eval", "--ensemble", "-w", finished, "--json", *SET))["evaluate_ensemble"]
    results = json.loads((Path(made["path"]) / "results.json").read_text(encoding="utf-8"))

    assert made["made"]
    student = as_json(rodna("eval", "-w", finished, "--json", *SET))["evaluate"]
    held_out = next(row for row in results if (row["task"], row["metric"]) == ("held_out_text", "bits_per_byte"))

    assert held_out["value"] == made["counts"]["bits_per_byte"] != student["counts"]["bits_per_byte"]


def test_adding_a_member_keeps_the_others_and_their_time(rodna, as_json, finished: Path):
    more = [*SET, "--set", "ensemble.members=3", "--set", "distill.compare=false"]
    result = rodna("train", "ensemble", "-w", finished, *more)

    assert result.exit_code == 0, result.stderr
    assert "member 2 of 3: unchanged" in result.stderr
    assert "plan: " in result.stderr
    assert len(list((finished / "artifacts" / "plan").iterdir())) == 1


def test_a_teacher_of_another_project_is_refused_before_anything_is_trained(rodna, finished: Path, never_stopped: Path):
    arguments = ["--set", "tokenizer.vocabulary_size=320", "--set", f"distill.teachers=[{json.dumps(str(model(never_stopped)))}]"]
    for verb in ("tokenizer train", "train distill"):
        result = rodna(*verb.split(), "-w", finished, *SET, *arguments)

    assert result.exit_code == 1
    assert "the teacher has another tokenizer than this project" in result.stderr
    assert "[7/10] ensemble ..." not in result.stderr


@pytest.mark.parametrize(("settings", "said", "place"), [
    (["train.future_tokens=2"], "learns the next token alone", "distill.student"),
    (["ensemble.overrides=[{}, {model: {context_length: 16}}]"], "reads 16 tokens at once, what learns from it 32", "member 2 of 2"),
    (["distill.student.model={ffn_bias: true}"], "no standard checkpoint holds it", ""),
])  # fmt: skip
def test_a_student_that_could_not_learn_is_refused_before_its_teachers_are_trained(rodna, prepared: Path, settings, said, place):
    run = rodna("run", "-w", prepared, *SET, *(part for setting in settings for part in ("--set", setting)))

    assert run.exit_code == 1
    assert said in run.stderr
    assert place in run.stderr
    assert "member 1 of 2" not in run.stderr


def test_too_little_time_for_a_member_says_whose_time_is_meant(rodna, prepared: Path):
    short = ["--set", "train.steps=planned", "--set", "plan.time_budget_minutes=0.0000001"]
    result = rodna("plan", "-w", prepared, *SET, *short)

    assert result.exit_code == 1
    assert "the time is too short" in result.stderr
    assert "plan.time_budget_minutes: 1e-07, of which one member has 0 ms" in result.stderr
    assert "set plan.time_budget_minutes to 0.1 or more" in result.stderr
    assert "or train fewer members" in result.stderr
