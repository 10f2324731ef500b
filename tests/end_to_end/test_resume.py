"""Stopped at any moment and typed again, training ends with the very same weights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

STEPS = 60
SETTINGS = (
    "--set",
    f"train.steps={STEPS}",
    "--set",
    "train.log_every=1",
    "--set",
    "train.save_minutes=0.0005",
    "--set",
    "train.evaluations=4",
)


def start(workspace: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "rodna.cli", "train", "pretrain", "--workspace", str(workspace), *SETTINGS],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_until_step(process: "subprocess.Popen[str]", workspace: Path, step: int, *, seconds: float = 120) -> None:
    """Wait until a run has saved a state of this step or a later one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        saved = [int(path.name[5:]) for path in workspace.glob("runs/*/step-*") if (path / "progress.json").is_file()]
        if saved and max(saved) >= step:
            return
        if process.poll() is not None:
            pytest.fail(f"training ended before step {step}: {process.communicate()[1]}")
        time.sleep(0.002)
    pytest.fail(f"step {step} was not reached in {seconds} s")


def finish(workspace: Path) -> str:
    """Run training to its end; return what it said."""
    process = start(workspace)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    return said


def weights(workspace: Path) -> dict[str, bytes]:
    file = next((workspace / "artifacts" / "model").glob("*/model.safetensors"))
    with safe_open(file, framework="np") as tensors:
        return {name: tensors.get_tensor(name).tobytes() for name in tensors.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def uninterrupted(make_workspace, tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """A workspace with everything up to training done, and the weights that training ends with when nothing happens."""
    from typer.testing import CliRunner

    from rodna.cli.main import app

    root = make_workspace(tmp_path_factory.mktemp("resume"))
    for verb in ("corpus build", "tokenizer train", "plan", "train tokens"):
        result = CliRunner().invoke(app, [*verb.split(), "--workspace", str(root), *SETTINGS])
        assert result.exit_code == 0, result.stderr
    other = root.with_name("uninterrupted")
    subprocess.run(["cp", "-r", str(root), str(other)], check=True)
    finish(other)
    return root, weights(other)


@pytest.fixture
def prepared(uninterrupted: tuple[Path, dict[str, bytes]], tmp_path: Path) -> Path:
    subprocess.run(["cp", "-r", str(uninterrupted[0]), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def test_training_killed_twice_ends_with_the_weights_of_training_never_stopped(prepared, uninterrupted):
    for step in (5, STEPS // 2):
        process = start(prepared)
        wait_until_step(process, prepared, step)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        assert not list(prepared.glob("artifacts/model/*/manifest.json"))
    finish(prepared)

    assert weights(prepared) == uninterrupted[1]
    assert [path for path in prepared.rglob("*.tmp") if path.is_dir()] == []


def test_ctrl_c_exits_with_130_one_calm_line_and_a_saved_state_to_go_on_from(prepared, uninterrupted):
    process = start(prepared)
    wait_until_step(process, prepared, 5)
    os.kill(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert "Traceback" not in said
    assert "type the same command again to go on" in said
    finish(prepared)
    assert weights(prepared) == uninterrupted[1]


def test_the_metrics_of_a_run_that_was_killed_hold_every_step_once(prepared):
    import json

    process = start(prepared)
    wait_until_step(process, prepared, 10)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    finish(prepared)
    file = next((prepared / "artifacts" / "model").glob("*/metrics.jsonl"))
    steps = [record["step"] for record in map(json.loads, file.read_text(encoding="utf-8").splitlines()) if "loss" in record]

    assert steps == list(range(1, STEPS + 1))


def test_a_damaged_saved_state_is_refused_and_said_how_to_mend(prepared):
    process = start(prepared)
    wait_until_step(process, prepared, 5)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    state = max(prepared.glob("runs/*/step-*/optimizer.safetensors"))
    state.write_bytes(state.read_bytes()[:-50])
    process = start(prepared)
    said = process.communicate(timeout=120)[1]

    assert process.returncode == 1
    assert "the saved state of training is damaged" in said
    assert "  fix: " in said
