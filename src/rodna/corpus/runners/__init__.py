"""Where a corpus' work is done: processes on this machine, a Ray cluster, or Slurm. The result is the same everywhere.

A *task* is a JSON object that a plain function turns into another one. Tasks are pure: what a task writes depends on the task alone, is
written beside its place and renamed, and may be written twice. So an engine may lose a task at any moment and do it again, and a run
that was stopped goes on with the tasks that are missing.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rodna.core.progress import Progress
from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners.contract import Job, Reply, RunnerError, raise_error

__all__ = ["RunnerError", "run_tasks"]


def run_tasks(runner: RunnerConfig, function: str, tasks: Sequence[Mapping[str, Any]], *, work: Path) -> list[dict[str, Any]]:
    """Do every task that has not been done yet, and return the results of all, in the order of the tasks.

    Args:
        runner: where, and how many at a time.
        function: `package.module:name` of a function from a task to a JSON object; it must be importable where the task is done.
        tasks: JSON objects. A task's `name`, where it has one, is what errors call it.
        work: the folder of this run, which every machine that works on it must see under the same path. The result of task 7 is written
            to `results/00007.json` when the task is finished; a rerun with the same function and task reads it instead.

    Raises:
        RodnaError: a task failed. The tasks then running are finished first and no others started; with several failures it is that
            of the first task in order, as the task raised it.
        RunnerError: a task took its worker down at each of `runner.attempts`, failed in a way that is no user's error, or the engine
            cannot be reached.
    """
    job = Job(function, tasks, work)
    results = {number: result for number in range(len(tasks)) if (result := job.finished(number)) is not None}
    todo = [number for number in range(len(tasks)) if number not in results]
    if todo:
        failed: dict[int, Any] = {}
        with Progress(job.label, total=len(tasks), done=len(results)) as progress, closing(_replies(runner, job, todo)) as replies:
            for number, reply in replies:
                if "error" in reply:
                    failed[number] = reply["error"]
                else:
                    results[number] = reply["result"]
                    progress.advance()
        if failed:
            raise_error(job, failed)
    return [results[number] for number in range(len(tasks))]


def _replies(runner: RunnerConfig, job: Job, todo: list[int]) -> Generator[tuple[int, Reply]]:
    """Yield what became of each task, as they finish; closing the generator stops them."""
    # Imported when used: engines are optional, and workers import this package too.
    if runner.name == "ray":
        from rodna.corpus.runners.ray import run
    elif runner.name == "slurm":
        from rodna.corpus.runners.slurm import run
    else:
        from rodna.corpus.runners.local import run
    return run(runner, job, todo)
