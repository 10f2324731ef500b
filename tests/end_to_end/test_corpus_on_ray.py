"""A whole corpus on a Ray cluster: the same bytes as on one machine, also where a worker dies half way."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from tests.ray_cluster import Environment, start_cluster

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

PROJECT = """\
language: be
name: many
sources:
  pages: {path: pages, licence: CC0-1.0}
corpus: {split: {min_bytes: 1000}}
"""
WORDS = "сад вада дом лес рака поле дзень ноч зіма лета вясна восень хлеб соль конь птушка неба зямля сонца месяц".split()  # noqa: SIM905
NUM_FILES = 2600
"""More than two tasks' worth."""


@pytest.fixture(scope="module")
def environment() -> Environment:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def cluster(environment: Environment) -> Generator[str]:
    yield from start_cluster(environment)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "pages"
    folder.mkdir()
    chance = random.Random(0)
    for number in range(NUM_FILES):
        text = ". ".join(" ".join(chance.choices(WORDS, k=8)) for _ in range(12))
        if number % 3:
            (folder / f"{number:04d}.txt").write_text(text + "\n", encoding="utf-8")
        else:
            (folder / f"{number:04d}.html").write_text(f"<html><body><nav>Галоўная</nav><p>{text}.</p></body></html>", encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    return folder


def workspace(folder: Path, pages: Path) -> Path:
    folder.mkdir()
    (folder / "project.yaml").write_text(PROJECT, encoding="utf-8")
    (folder / "pages").symlink_to(pages)
    return folder


def start(root: Path, environment: Environment, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rodna.cli", "corpus", "build", "--workspace", str(root), *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def hashes(root: Path) -> dict[str, dict[str, str]]:
    """Return the SHA-256 of every file of every artifact."""
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in root.glob("artifacts/*/*/manifest.json")]
    return {
        item["kind"]: {"digest": item["digest"], **{name: file["sha256"] for name, file in item["files"].items()}} for item in manifests
    }


def busy_workers() -> list[psutil.Process]:
    """Return the Ray workers that are at a task."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        title = (process.info["cmdline"] or [""])[0]
        # Ray names its workers after the function they are at, and its own agents likewise.
        if title.startswith("ray::") and not title.startswith("ray::IDLE") and "Agent" not in title:
            found.append(process)
    return found


def test_a_ray_cluster_builds_the_same_bytes_and_survives_a_killed_worker(tmp_path, pages, environment, cluster):
    local = workspace(tmp_path / "local", pages)
    build = start(local, environment, "--runner", "local", "--workers", "2")
    assert build.communicate(timeout=300)[0].strip()

    remote = workspace(tmp_path / "remote", pages)
    build = start(remote, environment, "--runner", "ray", "--address", cluster)
    killed, end = 0, time.monotonic() + 120
    while build.poll() is None and not killed:
        assert time.monotonic() < end
        for worker in busy_workers():
            # Half way: some of the documents are read, others are not.
            if list(remote.glob("artifacts/documents/.*.work/files/0*")):
                worker.kill()
                killed = worker.pid
                break
        time.sleep(0.01)
    stdout, stderr = build.communicate(timeout=300)

    assert killed, "the cluster was done before a worker could be killed"
    assert build.returncode == 0, stderr
    assert Path(stdout.strip()).is_dir()
    assert hashes(remote) == hashes(local)
    assert set(hashes(local)) == {"documents", "cleaned", "corpus"}
