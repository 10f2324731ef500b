"""Tasks as a Slurm job array: one `sbatch --wait`, whose elements each do a share of the tasks.

Slurm schedules the elements, keeps them to their memory and time and queues them again when a node fails. Elements whose process died are
submitted again with the tasks that are missing.
"""

import contextlib
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from rodna.core.files import write_json, write_text
from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners.contract import Job, Reply, RunnerError, lost

# Slurm's own default for MaxArraySize is 1001.
_MAX_ELEMENTS = 1000
_LOOK_SECONDS = 5.0
_SETTLE_SECONDS = 30.0
_JOB_ID = "slurm-job.txt"


def run(runner: RunnerConfig, job: Job, todo: list[int]) -> Generator[tuple[int, Reply]]:
    """Yield each task's number and reply as they appear in the run's folder.

    Raises:
        RunnerError: there is no Slurm here, or it refuses the job.
    """
    if shutil.which("sbatch") is None:
        raise RunnerError(
            "there is no Slurm on this machine: `sbatch` is not found",
            where="corpus.runner",
            fix="run this on the cluster's login node, or set corpus.runner.name to `local` or `ray`",
        )
    _cancel_leftover(job.work)
    missing, failed = set(todo), False
    for _ in range(runner.attempts):
        process = _submit(runner, job, sorted(missing))
        try:
            while missing:
                ended = _has_ended(process)
                for number, reply in _news(job, missing, settle=ended and process.returncode == 0):
                    missing.discard(number)
                    failed = failed or "error" in reply
                    yield number, reply
                if ended:
                    break
            process.wait()
        finally:
            # Reached with the job still running where this program is stopped.
            if process.poll() is None:
                _cancel_leftover(job.work)
                process.kill()
            process.communicate()
        (job.work / _JOB_ID).unlink(missing_ok=True)
        if failed or not missing:
            break
    for number in sorted(missing) if not failed else ():
        fix = f"see {job.work / 'logs'}. For memory, raise corpus.runner.task_memory_mb; for time, add `--time=` to its options"
        yield number, lost(job, number, runner.attempts, how="its Slurm job ended without a result", fix=fix)


def _submit(runner: RunnerConfig, job: Job, numbers: list[int]) -> subprocess.Popen[str]:
    """Write the job and hand it to Slurm; the process that is returned lives as long as the job does."""
    num_elements = min(len(numbers), _MAX_ELEMENTS)
    calls = [(number, *job.call(number)[1:]) for number in numbers]
    write_json(job.work / "job.json", {"function": job.function, "calls": calls})
    shutil.rmtree(job.work / "errors", ignore_errors=True)
    (job.work / "errors").mkdir()
    script = job.work / "job.sh"
    write_text(script, script_of(runner, job.work, num_elements))
    at_once = f"%{runner.workers}" if runner.workers else ""
    command = [
        "sbatch",
        "--wait",
        "--parsable",
        "--requeue",
        f"--array=0-{num_elements - 1}{at_once}",
        f"--job-name=rodna-{job.label.replace(' ', '-')}",
        "--cpus-per-task=1",
        f"--mem={runner.task_memory_mb}M",
        f"--output={job.work / 'logs' / 'slurm-%A_%a.txt'}",
        "--open-mode=append",
        *runner.options,
        str(script),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True)
    assert process.stdout is not None
    identity = process.stdout.readline().strip().partition(";")[0]
    if not identity:
        refusal = process.communicate()[1].strip()
        raise RunnerError(
            f"Slurm refused the job: {refusal or f'sbatch ended with code {process.returncode}'}",
            where=shlex.join(command),
            fix="set corpus.runner.options as your cluster asks for, such as `--partition=`, `--account=` or `--time=`",
        )
    write_text(job.work / _JOB_ID, identity + "\n")
    return process


def script_of(runner: RunnerConfig, work: Path, num_elements: int) -> str:
    """Return the shell script of an array element."""
    worker = shlex.join([sys.executable, "-P", "-m", "rodna.corpus.runners.worker", str(work)])
    return f'#!/bin/bash\n{runner.setup}\nexec {worker} "$SLURM_ARRAY_TASK_ID" {num_elements}\n'


def _has_ended(process: subprocess.Popen[str]) -> bool:
    """Wait a moment for the job to end and say whether it has."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_LOOK_SECONDS)
    return process.returncode is not None


def _news(job: Job, missing: set[int], *, settle: bool) -> list[tuple[int, Reply]]:
    """Return what has become of tasks since the last look.

    Args:
        job: whose folder is looked at.
        missing: tasks to look for.
        settle: every task has been done: wait for the file system to show the files of other machines.
    """
    until = time.monotonic() + _SETTLE_SECONDS
    while True:
        found: list[tuple[int, Reply]] = []
        # One listing instead of a look at each file; it also makes NFS ask the server again.
        there = {path.name for folder in ("results", "errors") for path in (job.work / folder).iterdir()}
        for number in sorted(missing):
            name = f"{number:05d}.json"
            if name not in there:
                continue
            result = job.finished(number)
            error = job.work / "errors" / name
            if result is not None:
                found.append((number, {"result": result}))
            elif error.is_file():
                found.append((number, {"error": json.loads(error.read_text(encoding="utf-8"))}))
        if not settle or len(found) == len(missing) or time.monotonic() > until:
            return found
        time.sleep(0.5)


def _cancel_leftover(work: Path) -> None:
    """End the job that is running, or that an earlier run left: two jobs must not do the same tasks."""
    kept = work / _JOB_ID
    if kept.is_file():
        subprocess.run(["scancel", kept.read_text(encoding="utf-8").strip()], check=False, capture_output=True)
        kept.unlink()
