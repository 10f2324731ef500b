"""Stopped at any moment and typed again, training ends with the very same weights."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
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
    "--set",
    "train.optimizer=normuon",
    "--set",
    "train.averaging=ema",
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


@dataclass(frozen=True)
class Stopped:
    """What came of a run that was killed, then interrupted, then finished."""

    interrupt_code: int
    said: str
    after_kill: Path
    finished: Path


@pytest.fixture(scope="module")
def prepared(make_workspace, tmp_path_factory, go_through) -> Path:
    """A workspace with everything up to training done."""
    root = make_workspace(tmp_path_factory.mktemp("resume"))
    go_through(root, ("corpus build", "tokenizer train", "plan", "train tokens"), *SETTINGS)
    return root


@pytest.fixture(scope="module")
def stopped(prepared: Path) -> Stopped:
    """Train with a `kill -9` at step 5 and a Ctrl-C in the middle."""
    root = copy(prepared, "stopped")
    process = start(root)
    wait_until_step(process, root, 5)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    after_kill = copy(root, "killed")
    process = start(root)
    wait_until_step(process, root, STEPS // 2)
    os.kill(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    finish(root)
    return Stopped(process.returncode, said, after_kill, root)


def copy(root: Path, name: str) -> Path:
    return Path(shutil.copytree(root, root.with_name(name)))


def test_training_killed_and_interrupted_ends_with_the_weights_of_training_never_stopped(prepared, stopped):
    never_stopped = copy(prepared, "never stopped")
    finish(never_stopped)

    assert weights(stopped.finished) == weights(never_stopped)


def test_what_a_kill_leaves_behind_is_no_artifact_and_goes_with_the_next_run(stopped):
    assert not list(stopped.after_kill.glob("artifacts/model/*/manifest.json"))
    assert [path for path in stopped.finished.rglob("*.tmp") if path.is_dir()] == []


def test_ctrl_c_exits_with_130_and_says_calmly_how_to_go_on(stopped):
    assert stopped.interrupt_code == 130
    assert "Traceback" not in stopped.said
    assert stopped.said.rstrip().endswith("Finished work is kept; type the same command again to go on where it was.")


def test_the_metrics_of_a_run_that_was_killed_hold_every_step_once(stopped):
    file = next((stopped.finished / "artifacts" / "model").glob("*/metrics.jsonl"))
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    assert [record["step"] for record in records if "loss" in record] == list(range(1, STEPS + 1))


def test_a_damaged_saved_state_is_refused_and_said_how_to_mend(stopped):
    root = copy(stopped.after_kill, "damaged")
    state = max(root.glob("runs/*/step-*/optimizer.safetensors"))
    state.write_bytes(state.read_bytes()[:-50])
    process = start(root)
    said = process.communicate(timeout=120)[1]

    assert process.returncode == 1
    assert "the saved state of training is damaged" in said
    assert "  fix: " in said
