"""Tasks on a real Ray cluster, started here by each test module as a person would start one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from tests.ray_cluster import Environment, free_port, start_cluster

from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners import RunnerError, run_tasks

pytest.importorskip("ray")

JOBS = '''
import hashlib, json, os, time
from pathlib import Path
import zstandard
from rodna.core.errors import CorpusError

def shard_task(task):
    """Read a shard, number its lines, write it compressed: what a pass over a corpus does."""
    out = Path(task["out"])
    with open(out / "begun.txt", "a") as log:
        log.write(f"{task['number']} {os.getpid()}\\n")
    if task.get("seconds") and not (out / "go").exists():
        time.sleep(task["seconds"])
    if task.get("trouble"):
        raise CorpusError("the text is bad", where="a.txt, line 3", fix="write better")
    lines = Path(task["text"]).read_text(encoding="utf-8").splitlines()
    data = "".join(json.dumps({"id": i, "text": line}, ensure_ascii=False) + "\\n" for i, line in enumerate(lines)).encode()
    file = out / f"{task['number']:05d}.jsonl.zst"
    file.with_suffix(".new").write_bytes(zstandard.compress(data, 3))
    file.with_suffix(".new").rename(file)
    return {"documents": len(lines), "sha256": hashlib.sha256(data).hexdigest()}
'''
DRIVER = """
import json, sys
from pathlib import Path
from rodna.core.errors import RodnaError
from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners import run_tasks
tasks, work, address, function = sys.argv[1:]
try:
    runner = RunnerConfig(name="ray", address=address)
    print(json.dumps({"results": run_tasks(runner, function, json.loads(Path(tasks).read_text()), work=Path(work))}))
except RodnaError as error:
    print(json.dumps({"type": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}))
"""
FUNCTION = "jobs_for_ray:shard_task"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment of cluster and driver, in which the tests' tasks can be imported."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "jobs_for_ray.py").write_text(JOBS, encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "PYTHONPATH": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def cluster(environment: Environment) -> Generator[str]:
    """The address of a cluster."""
    yield from start_cluster(environment)


def make_tasks(folder: Path, num_tasks: int, **extra: dict[str, Any]) -> list[dict[str, Any]]:
    """Write a text for each task and return the tasks; keywords `task3={...}` add to one."""
    (folder / "out").mkdir(parents=True)
    tasks: list[dict[str, Any]] = []
    for number in range(num_tasks):
        text = folder / f"{number}.txt"
        text.write_text("".join(f"радок {number} {line} ўсё\n" for line in range(2000)), encoding="utf-8")
        tasks.append({"number": number, "text": str(text), "out": str(folder / "out"), **extra.get(f"task{number}", {})})
    return tasks


def drive(environment: Environment, folder: Path, tasks: list[dict[str, Any]], *, cluster: str, function: str = FUNCTION) -> Any:
    """Start a program that gives tasks to the cluster."""
    (folder / "tasks.json").write_text(json.dumps(tasks))
    command = [sys.executable, "-c", DRIVER, str(folder / "tasks.json"), str(folder / "work"), cluster, function]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8")


def answer(driver: Any) -> dict[str, Any]:
    return json.loads(driver.communicate(timeout=120)[0])


def begun(folder: Path) -> list[list[int]]:
    """Return the number and process of every task that was begun."""
    log = folder / "out" / "begun.txt"
    return [[int(field) for field in line.split()] for line in log.read_text().splitlines()] if log.is_file() else []


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "out").glob("*.zst"))}


@pytest.mark.slow
def test_a_worker_killed_half_way_costs_its_task_only_and_the_files_are_those_of_this_machine(
    cluster: str, environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = make_tasks(tmp_path / "ray", 6, task2={"seconds": 60})
    driver = drive(environment, tmp_path / "ray", tasks, cluster=cluster)
    until(lambda: 2 in dict(begun(tmp_path / "ray")))
    victim = dict(begun(tmp_path / "ray"))[2]
    (tmp_path / "ray" / "out" / "go").touch()
    os.kill(victim, signal.SIGKILL)
    results = answer(driver)["results"]
    assert sorted(number for number, _ in begun(tmp_path / "ray")) == [0, 1, 2, 2, 3, 4, 5]

    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    here = make_tasks(tmp_path / "local", 6)
    assert run_tasks(RunnerConfig(workers=2), FUNCTION, here, work=tmp_path / "local" / "work") == results
    assert written(tmp_path / "ray") == written(tmp_path / "local")
    assert len(written(tmp_path / "ray")) == 6
    assert not list((tmp_path / "ray" / "work").glob("probe-*"))


@pytest.mark.slow
def test_a_run_whose_program_was_killed_goes_on_with_what_is_missing(cluster: str, environment: Environment, tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    tasks = make_tasks(folder, 4, task2={"seconds": 60}, task3={"seconds": 60})
    driver = drive(environment, folder, tasks, cluster=cluster)
    until(lambda: {2, 3} <= dict(begun(folder)).keys())
    until(lambda: len(list((folder / "work" / "results").iterdir())) == 2)
    driver.kill()
    driver.communicate()
    (folder / "out" / "go").touch()
    assert [result["documents"] for result in answer(drive(environment, folder, tasks, cluster=cluster))["results"]] == [2000] * 4
    assert sorted(number for number, _ in begun(folder)) == [0, 1, 2, 2, 3, 3]


@pytest.mark.slow
def test_an_error_of_a_task_comes_home_as_it_was_raised(cluster: str, environment: Environment, tmp_path: Path) -> None:
    tasks = make_tasks(tmp_path / "ray", 3, task1={"trouble": True})
    told = answer(drive(environment, tmp_path / "ray", tasks, cluster=cluster))
    assert told == {"type": "CorpusError", "what": "the text is bad", "where": "a.txt, line 3", "fix": "write better"}


@pytest.mark.slow
def test_a_node_that_cannot_import_the_task_is_named(cluster: str, environment: Environment, tmp_path: Path) -> None:
    tasks = make_tasks(tmp_path / "ray", 2)
    told = answer(drive(environment, tmp_path / "ray", tasks, cluster=cluster, function="absent_there:work"))
    assert told["type"] == "RunnerError"
    assert socket.gethostname() in told["what"]
    assert "No module named 'absent_there'" in told["what"]
    assert "install rodna" in told["fix"]


@pytest.mark.slow
def test_a_node_that_does_not_see_the_workspace_is_named(environment: Environment, tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    tasks = make_tasks(folder, 2)
    # The cluster in a mount namespace of its own, where another file system hides the workspace.
    hide = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh")
    if shutil.which("unshare") is None or subprocess.run([*hide, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    for address in start_cluster(environment, before=hide):
        told = answer(drive(environment, folder, tasks, cluster=address))
        assert "does not see the workspace" in told["what"]
        assert told["where"] == str(folder / "work")
        assert "every node mounts under the same path" in told["fix"]


def test_a_cluster_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(RunnerError, match="no Ray cluster can be reached") as caught:
        run_tasks(RunnerConfig(name="ray", address=f"127.0.0.1:{free_port()}"), FUNCTION, [{"n": 1}, {"n": 2}], work=tmp_path / "work")
    assert time.monotonic() - began < 20
    assert "ray start --head" in caught.value.fix
    assert "RAY_AUTH_MODE=token" in caught.value.fix
