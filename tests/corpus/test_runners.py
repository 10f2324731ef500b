"""Tasks in processes on this machine and as a Slurm job array: nothing is lost, nothing is done twice."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rodna.core.errors import CorpusError, RodnaError
from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners import RunnerError, run_tasks
from rodna.corpus.runners.local import available_cores

# What tasks of these tests do: a file each, and whatever trouble the task asks for.
JOBS = """
import os, signal, time
from pathlib import Path
from rodna.core.errors import CorpusError

def upper_task(task):
    out = Path(task["out"])
    with open(out / "begun.txt", "a") as log:
        log.write(f"{task['number']} {os.getpid()}\\n")
    time.sleep(task.get("seconds", 0))
    trouble = task.get("trouble", "")
    if trouble == "text":
        raise CorpusError("the text is bad", where="a.txt, line 3", fix="write better")
    if trouble == "program":
        raise ValueError("not a number")
    if trouble == "die" or (trouble == "die_once" and not (out / "died").exists()):
        (out / "died").write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "print":
        print("{}\\nnot a reply")
    file = out / f"{task['number']}.txt"
    file.with_suffix(".new").write_text(task["text"].upper())
    file.with_suffix(".new").rename(file)
    return {"number": task["number"], "threads": os.environ.get("OMP_NUM_THREADS"), "pid": os.getpid(), "pair": (1, 2)}
"""
FUNCTION = "jobs_of_test:upper_task"
Make = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def make_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return what makes tasks of a module that workers can import; keywords `task3={...}` add to one task."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "jobs_of_test.py").write_text(JOBS, encoding="utf-8")
    (tmp_path / "out").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(tmp_path / "modules")

    def make(num_tasks: int, **extra: dict[str, Any]) -> list[dict[str, Any]]:
        texts = [f"слова {number} ძველი" for number in range(num_tasks)]
        return [{"number": n, "text": texts[n], "out": str(tmp_path / "out"), **extra.get(f"task{n}", {})} for n in range(num_tasks)]

    return make


def begun(tmp_path: Path) -> list[int]:
    """Return the number of every task that was begun, in order."""
    return sorted(int(line.split()[0]) for line in (tmp_path / "out" / "begun.txt").read_text().splitlines())


def written(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((tmp_path / "out").glob("[0-9]*.txt"))}


def until(condition: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait for a condition; fail where it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_results_come_in_the_order_of_the_tasks_and_files_do_not_depend_on_the_number_of_workers(make_tasks: Make, tmp_path: Path) -> None:
    tasks = make_tasks(7, task0={"seconds": 0.3})
    side_by_side = run_tasks(RunnerConfig(workers=3), FUNCTION, tasks, work=tmp_path / "three")
    files = written(tmp_path)
    inline = run_tasks(RunnerConfig(workers=1), FUNCTION, tasks, work=tmp_path / "one")
    assert [result["number"] for result in side_by_side] == [result["number"] for result in inline] == list(range(7))
    assert written(tmp_path) == files
    assert len(files) == 7
    assert {result["pid"] for result in inline} == {os.getpid()}
    assert os.getpid() not in {result["pid"] for result in side_by_side}
    assert {result["threads"] for result in side_by_side} == {"1"}
    # The same types everywhere: what went through JSON comes out as JSON.
    assert side_by_side[0]["pair"] == inline[0]["pair"] == [1, 2]


def test_a_single_task_is_done_in_this_process(make_tasks: Make, tmp_path: Path) -> None:
    assert run_tasks(RunnerConfig(workers=4), FUNCTION, make_tasks(1), work=tmp_path / "work")[0]["pid"] == os.getpid()


def test_no_tasks_are_no_results(tmp_path: Path) -> None:
    assert run_tasks(RunnerConfig(), "never:imported", [], work=tmp_path / "work") == []


def test_finished_tasks_are_not_done_again_but_a_changed_task_is(make_tasks: Make, tmp_path: Path) -> None:
    tasks = make_tasks(5)
    first = run_tasks(RunnerConfig(workers=2), FUNCTION, tasks, work=tmp_path / "work")
    assert run_tasks(RunnerConfig(workers=2), FUNCTION, tasks, work=tmp_path / "work") == first
    assert begun(tmp_path) == [0, 1, 2, 3, 4]
    tasks[3]["text"] = "changed"
    run_tasks(RunnerConfig(workers=2), FUNCTION, tasks, work=tmp_path / "work")
    assert begun(tmp_path) == [0, 1, 2, 3, 3, 4]
    assert written(tmp_path)["3.txt"] == b"CHANGED"


def test_a_task_whose_worker_kills_itself_is_done_again(make_tasks: Make, tmp_path: Path) -> None:
    results = run_tasks(RunnerConfig(workers=2), FUNCTION, make_tasks(6, task2={"trouble": "die_once"}), work=tmp_path / "work")
    assert [result["number"] for result in results] == list(range(6))
    assert begun(tmp_path) == [0, 1, 2, 2, 3, 4, 5]


def test_a_worker_killed_from_outside_costs_its_task_only(make_tasks: Make, tmp_path: Path) -> None:
    program = f"""
import sys
from pathlib import Path
from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners import run_tasks
import json
tasks = json.loads(Path(sys.argv[1]).read_text())
print(len(run_tasks(RunnerConfig(workers=2), "{FUNCTION}", tasks, work=Path(sys.argv[2]))))
"""
    tasks = make_tasks(6, task1={"seconds": 2})
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    command = [sys.executable, "-c", program, str(tmp_path / "tasks.json"), str(tmp_path / "work")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
    log = tmp_path / "out" / "begun.txt"
    until(lambda: log.is_file() and "\n1 " in "\n" + log.read_text())
    os.kill(next(int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith("1 ")), signal.SIGKILL)
    assert process.communicate(timeout=30)[0] == "6\n"
    assert begun(tmp_path) == [0, 1, 1, 2, 3, 4, 5]
    assert len(written(tmp_path)) == 6


def test_a_task_that_always_kills_its_worker_is_named_after_the_last_attempt(make_tasks: Make, tmp_path: Path) -> None:
    tasks = make_tasks(3, task1={"trouble": "die", "name": "books/flood.pdf"})
    with pytest.raises(RunnerError) as caught:
        run_tasks(RunnerConfig(workers=2, attempts=2), FUNCTION, tasks, work=tmp_path / "work")
    assert "a task took its worker down 2 times: killed by SIGKILL" in caught.value.what
    assert "task 1 of jobs_of_test:upper_task: books/flood.pdf" in caught.value.where
    assert "set corpus.runner.workers lower" in caught.value.fix
    assert begun(tmp_path).count(1) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_text_is_raised_once_as_the_task_raised_it_and_running_tasks_are_finished(
    make_tasks: Make, tmp_path: Path, workers: int
) -> None:
    tasks = make_tasks(8, task1={"trouble": "text"}, task0={"seconds": 0.5})
    with pytest.raises(CorpusError) as caught:
        run_tasks(RunnerConfig(workers=workers), FUNCTION, tasks, work=tmp_path / "work")
    assert (caught.value.what, caught.value.where, caught.value.fix) == ("the text is bad", "a.txt, line 3", "write better")
    assert "0.txt" in written(tmp_path)
    assert "7.txt" not in written(tmp_path)


def test_an_error_in_the_program_names_the_task_and_keeps_the_traceback(make_tasks: Make, tmp_path: Path) -> None:
    with pytest.raises(RunnerError) as caught:
        run_tasks(RunnerConfig(workers=2), FUNCTION, make_tasks(2, task1={"trouble": "program"}), work=tmp_path / "work")
    assert "a task failed: ValueError: not a number" in caught.value.what
    assert "task 1 of" in caught.value.where
    log = tmp_path / "work" / "logs" / "error-00001.txt"
    assert str(log) in caught.value.fix
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_what_a_task_prints_is_no_reply(make_tasks: Make, tmp_path: Path) -> None:
    tasks = make_tasks(4, task1={"trouble": "print"})
    assert len(run_tasks(RunnerConfig(workers=2), FUNCTION, tasks, work=tmp_path / "work")) == 4
    assert "not a reply" in "".join(path.read_text() for path in (tmp_path / "work" / "logs").iterdir())


@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize("name", ["local", "slurm"])
def test_names_that_are_no_utf8_reach_the_task_and_its_error(make_tasks: Make, tmp_path: Path, name: str) -> None:
    strange = {"text": "\udce9t\u00e9", "out": str(tmp_path / "out")}
    runner = RunnerConfig(name=name, workers=2)  # pyright: ignore[reportArgumentType]
    tasks = make_tasks(2, task1={**strange, "trouble": "program", "name": "books/\udce9t\u00e9.txt"})
    with pytest.raises(RunnerError, match="not a number") as caught:
        run_tasks(runner, FUNCTION, tasks, work=tmp_path / "work")
    assert "books/\\udce9té.txt" in caught.value.where
    caught.value.where.encode("utf-8")


def test_a_task_that_is_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="a task cannot be written as JSON"):
        run_tasks(RunnerConfig(), FUNCTION, [{"path": tmp_path}], work=tmp_path / "work")


SLEEPERS = f"""
import json, sys
from pathlib import Path
from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners import run_tasks
tasks = json.loads(Path(sys.argv[1]).read_text())
try:
    run_tasks(RunnerConfig(workers=2), "{FUNCTION}", tasks, work=Path(sys.argv[2]))
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ctrl_c"])
def test_stopping_the_parent_stops_its_workers_and_a_rerun_does_what_is_missing(make_tasks: Make, tmp_path: Path, blow: int) -> None:
    tasks = make_tasks(6, task4={"seconds": 0}, task2={"seconds": 30}, task3={"seconds": 30})
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    command = [sys.executable, "-c", SLEEPERS, str(tmp_path / "tasks.json"), str(tmp_path / "work")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    log = tmp_path / "out" / "begun.txt"
    until(lambda: log.is_file() and begun(tmp_path)[-2:] == [2, 3])
    pids = {int(line.split()[1]) for line in log.read_text().splitlines()}
    process.send_signal(blow)
    printed, complaints = process.communicate(timeout=20)
    assert printed == ("stopped\n" if blow == signal.SIGINT else "")
    assert complaints == ""
    until(lambda: all(is_gone(pid) for pid in pids))
    assert sorted(written(tmp_path)) == ["0.txt", "1.txt"]
    for task in tasks:
        task.pop("seconds", None)
    done = [path.name for path in (tmp_path / "work" / "results").glob("[0-9]*.json")]
    assert sorted(done) == ["00000.json", "00001.json"]
    run_tasks(RunnerConfig(workers=2), FUNCTION, tasks, work=tmp_path / "work")
    assert begun(tmp_path) == [0, 1, 2, 2, 3, 3, 4, 5]


def test_workers_do_not_import_the_program_that_called(make_tasks: Make, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import json, sys\nfrom pathlib import Path\nPath(sys.argv[3]).open('a').write('ran\\n')\n"
        "from rodna.corpus.config import RunnerConfig\nfrom rodna.corpus.runners import run_tasks\n"
        f"run_tasks(RunnerConfig(workers=2), '{FUNCTION}', json.loads(Path(sys.argv[1]).read_text()), work=Path(sys.argv[2]))\n"
    )
    (tmp_path / "tasks.json").write_text(json.dumps(make_tasks(4)))
    arguments = [str(tmp_path / name) for name in ("tasks.json", "work", "runs.txt")]
    subprocess.run([sys.executable, "-W", "ignore::ResourceWarning", str(script), *arguments], check=True, timeout=60)
    assert (tmp_path / "runs.txt").read_text() == "ran\n"
    assert len(written(tmp_path)) == 4


def test_there_is_at_least_one_core_and_no_more_than_the_affinity_allows() -> None:
    assert 1 <= available_cores() <= len(os.sched_getaffinity(0))


# Stands in for Slurm: runs every array element as Slurm would, and knows the options that the runner gives.
SBATCH = r"""#!/usr/bin/env python3
import os, pathlib, re, subprocess, sys
here = pathlib.Path(__file__).parent
options = [a for a in sys.argv[1:] if a.startswith("--")]
(here / "options.txt").open("a").write(" ".join(options) + "\n")
if "--partition=wrong" in options:
    sys.exit("sbatch: error: invalid partition specified: wrong")
print("4711;cluster", flush=True)
last = int(re.search(r"--array=0-(\d+)", " ".join(options)).group(1))
log = next(o.partition("=")[2] for o in options if o.startswith("--output="))
worst = 0
for element in range(last + 1):
    with open(log.replace("%A", "4711").replace("%a", str(element)), "a") as out:
        done = subprocess.run(["bash", sys.argv[-1]], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(element)}, stdout=out, stderr=out)
        worst = max(worst, abs(done.returncode))
sys.exit(worst)
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with an `sbatch` that does array elements here, and a `scancel` that writes down what it is to end."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in {"sbatch": SBATCH, "scancel": f'#!/bin/sh\necho "$@" >> {folder}/cancelled.txt\n'}.items():
        (folder / name).write_text(text)
        (folder / name).chmod((folder / name).stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_slurm_does_the_tasks_as_an_array_and_writes_the_same_files(make_tasks: Make, slurm: Path, tmp_path: Path) -> None:
    tasks = make_tasks(4)
    run_tasks(RunnerConfig(workers=1), FUNCTION, tasks, work=tmp_path / "local")
    files = written(tmp_path)
    for name in files:
        (tmp_path / "out" / name).unlink()
    runner = RunnerConfig(name="slurm", workers=2, options=("--partition=cpu",), setup="export FROM_SETUP=1", task_memory_mb=512)
    results = run_tasks(runner, FUNCTION, tasks, work=tmp_path / "a work")
    assert [result["number"] for result in results] == [0, 1, 2, 3]
    assert written(tmp_path) == files
    options = (slurm / "options.txt").read_text()
    assert "--array=0-3%2" in options
    assert "--mem=512M" in options
    assert "--partition=cpu" in options
    assert "export FROM_SETUP=1" in (tmp_path / "a work" / "job.sh").read_text()
    assert not (slurm / "cancelled.txt").exists()


def test_slurm_submits_a_killed_element_again_with_what_is_missing(make_tasks: Make, slurm: Path, tmp_path: Path) -> None:
    runner = RunnerConfig(name="slurm")
    run_tasks(runner, FUNCTION, make_tasks(3, task1={"trouble": "die_once"}), work=tmp_path / "work")
    assert begun(tmp_path) == [0, 1, 1, 2]
    assert [line.split()[3] for line in (slurm / "options.txt").read_text().splitlines()] == ["--array=0-2", "--array=0-0"]


@pytest.mark.usefixtures("slurm")
def test_slurm_names_the_task_that_never_ends_well(make_tasks: Make, tmp_path: Path) -> None:
    with pytest.raises(RunnerError) as caught:
        run_tasks(RunnerConfig(name="slurm", attempts=2), FUNCTION, make_tasks(2, task1={"trouble": "die"}), work=tmp_path / "work")
    assert "2 times: its Slurm job ended without a result" in caught.value.what
    assert "task 1 of" in caught.value.where
    assert "task_memory_mb" in caught.value.fix
    with pytest.raises(CorpusError, match="the text is bad"):
        run_tasks(RunnerConfig(name="slurm"), FUNCTION, make_tasks(2, task1={"trouble": "text"}), work=tmp_path / "other")


def test_slurm_ends_the_job_that_a_killed_run_left_behind(make_tasks: Make, slurm: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "slurm-job.txt").write_text("4710\n")
    run_tasks(RunnerConfig(name="slurm"), FUNCTION, make_tasks(2), work=tmp_path / "work")
    assert (slurm / "cancelled.txt").read_text() == "4710\n"
    assert not (tmp_path / "work" / "slurm-job.txt").exists()


@pytest.mark.usefixtures("slurm")
def test_what_slurm_refuses_is_told_with_its_words(make_tasks: Make, tmp_path: Path) -> None:
    with pytest.raises(RunnerError) as caught:
        run_tasks(RunnerConfig(name="slurm", options=("--partition=wrong",)), FUNCTION, make_tasks(2), work=tmp_path / "work")
    assert "invalid partition specified: wrong" in caught.value.what
    assert "corpus.runner.options" in caught.value.fix


def test_without_slurm_the_error_says_where_to_go(make_tasks: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RodnaError, match="there is no Slurm on this machine") as caught:
        run_tasks(RunnerConfig(name="slurm"), FUNCTION, make_tasks(2), work=tmp_path / "work")
    assert "login node" in caught.value.fix
