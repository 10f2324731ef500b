"""Tasks in processes on this machine, one core each.

Workers are started with their own entry, so the program that calls this needs no `if __name__ == "__main__"`; they are not forked, so
they hold none of its memory or locks. A killed worker costs the time of its task.
"""

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator
from pathlib import Path

from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners.contract import Job, Reply, lost, perform

_COMMAND = (sys.executable, "-P", "-m", "rodna.corpus.runners.worker")


def run(runner: RunnerConfig, job: Job, todo: list[int]) -> Generator[tuple[int, Reply]]:
    """Yield each task's number and reply as they finish; in this process where there is one task or one worker."""
    num_workers = min(runner.workers or available_cores(), len(todo))
    return _inline(job, todo) if num_workers == 1 else _side_by_side(job, todo, num_workers, runner.attempts)


def _inline(job: Job, todo: list[int]) -> Generator[tuple[int, Reply]]:
    for number in todo:
        reply = perform(*job.call(number))
        yield number, reply
        if "error" in reply:
            return


def _side_by_side(job: Job, todo: list[int], num_workers: int, attempts: int) -> Generator[tuple[int, Reply]]:
    """Keep a thread and a process for each worker; the threads only wait."""
    waiting = deque(todo)
    replies: queue.Queue[tuple[int, Reply] | BaseException | None] = queue.Queue()
    workers = [_Worker(job, job.work / "logs" / f"worker-{index}.txt", attempts) for index in range(num_workers)]
    threads = [threading.Thread(target=worker.work_off, args=(waiting, replies), daemon=True) for worker in workers]
    try:
        for thread in threads:
            thread.start()
        idle = 0
        while idle < num_workers:
            item = replies.get()
            if item is None:
                idle += 1
            elif isinstance(item, BaseException):
                raise item
            else:
                if "error" in item[1]:
                    waiting.clear()
                yield item
    finally:
        waiting.clear()
        for worker in workers:
            worker.stop()
        for thread in threads:
            # One that was never started cannot be waited for.
            if thread.ident is not None:
                thread.join()
        for worker in workers:
            worker.close()


class _Worker:
    """One process at a time, and the tasks it is given."""

    def __init__(self, job: Job, log: Path, attempts: int) -> None:
        self._job, self._log, self._attempts = job, log, attempts
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def work_off(self, waiting: deque[int], replies: "queue.Queue[tuple[int, Reply] | BaseException | None]") -> None:
        """Do tasks from `waiting` until there are none; put their replies, and None at the end."""
        try:
            while not self._stopped:
                try:
                    number = waiting.popleft()
                except IndexError:
                    break
                reply = self._do(number)
                if reply is not None:
                    replies.put((number, reply))
            replies.put(None)
        except BaseException as error:
            replies.put(error)

    def stop(self) -> None:
        """End the process in the middle of what it does."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def close(self) -> None:
        """Close the pipes; the thread that uses them has ended."""
        if self._process is not None:
            _close_pipes(self._process)

    def _do(self, number: int) -> Reply | None:
        """Return a task's reply, or None where it was stopped."""
        how = ""
        for _ in range(self._attempts):
            process = self._running()
            if process is None or process.stdin is None or process.stdout is None:
                return None
            try:
                process.stdin.write(json.dumps(self._job.call(number)) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if line.endswith("\n"):
                return json.loads(line)
            how = _how_it_died(process.wait())
            if self._stopped:
                return None
        fix = f"SIGKILL mostly means that memory ran out: set corpus.runner.workers lower. Else see {self._log}. Finished tasks are kept"
        return lost(self._job, number, self._attempts, how=how, fix=fix)

    def _running(self) -> subprocess.Popen[str] | None:
        """Return the worker's process, started anew where it has died."""
        with self._lock:
            if self._stopped:
                return None
            if self._process is None or self._process.poll() is not None:
                if self._process is not None:
                    _close_pipes(self._process)
                with self._log.open("ab") as log:
                    # In a session of its own: Ctrl-C reaches the parent alone, which then stops its workers in order.
                    self._process = subprocess.Popen(
                        _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, encoding="utf-8", start_new_session=True
                    )
            return self._process


def _close_pipes(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        # What was not yet written when the process died cannot be written any more.
        with contextlib.suppress(BrokenPipeError):
            if pipe is not None:
                pipe.close()


def _how_it_died(code: int) -> str:
    if code >= 0:
        return f"it ended with code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def available_cores() -> int:
    """Return how many cores this process may use: by affinity, and by a container's share of time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _cores_of_container(cores)))


def _cores_of_container(default: int) -> int:
    """Return a control group's CPU limit, rounded up; `default` where there is none."""
    group = Path("/sys/fs/cgroup")
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu/cpu.cfs_period_us").read_text().strip()
        return math.ceil(int(quota) / int(period)) if int(quota) > 0 else default
    except (OSError, ValueError):
        # No control groups here, or "max": no limit.
        return default
