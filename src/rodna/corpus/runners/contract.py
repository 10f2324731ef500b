"""What is the same on every engine: how a task is done, how its result is kept and how its failure is told."""

import hashlib
import importlib
import json
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rodna.core.errors import RodnaError, explain_disk_errors
from rodna.core.files import write_text

# What became of a task: {"result": {...}} or {"error": {"type", "what", "where", "fix", "traceback"}}.
Reply = dict[str, Any]

_NAME_CHARACTERS = 200
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class RunnerError(RodnaError):
    """The engine, or a task on it, failed in a way that is not the text's fault."""


class Job:
    """The tasks of one run and the folder that says which of them are finished.

    Args:
        function: `package.module:name`.
        tasks: JSON objects.
        work: the run's folder, made where it does not exist.

    Raises:
        RunnerError: a task is not a JSON object.
    """

    def __init__(self, function: str, tasks: Sequence[Mapping[str, Any]], work: Path) -> None:
        self.function, self.work = function, work.resolve()
        try:
            # ASCII, because names of files may hold bytes that are no UTF-8.
            # Every engine hands a task over as JSON; doing so here too keeps a tuple from being a tuple on one of them only.
            self.lines = [json.dumps(dict(task), sort_keys=True, allow_nan=False) for task in tasks]
        except (TypeError, ValueError) as error:
            raise RunnerError(
                f"a task cannot be written as JSON: {error}", where=function, fix="use strings, numbers, lists and objects only"
            ) from error
        with explain_disk_errors(self.work):
            for name in ("results", "logs"):
                (self.work / name).mkdir(parents=True, exist_ok=True)

    @property
    def label(self) -> str:
        """The function's last name, for people."""
        return self.function.rpartition(":")[2].removesuffix("_task").replace("_", " ")

    def name(self, number: int) -> str:
        """Return what errors call a task."""
        task = json.loads(self.lines[number])
        text = str(task.get("name") or json.dumps(task, ensure_ascii=False))
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")
        return f"task {number} of {self.function}: {text if len(text) <= _NAME_CHARACTERS else text[: _NAME_CHARACTERS - 1] + '…'}"

    def call(self, number: int) -> tuple[str, str, str]:
        """Return the arguments of `perform`."""
        return self.function, self.lines[number], str(result_path(self.work, number))

    def finished(self, number: int) -> dict[str, Any] | None:
        """Return the result of a task that is done, or None."""
        function, line, path = self.call(number)
        return read_result(Path(path), key_of(function, line))


def result_path(work: Path, number: int) -> Path:
    """Return the file whose existence says that a task is finished."""
    return work / "results" / f"{number:05d}.json"


def key_of(function: str, line: str) -> str:
    """Return what a result must carry to be this task's: other tasks may have had the same number before."""
    return hashlib.sha256(f"{function}\n{line}".encode()).hexdigest()[:32]


def read_result(path: Path, key: str) -> dict[str, Any] | None:
    """Read a finished task's result; None where there is none, or it is another task's."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return kept["result"] if kept.get("task") == key else None


def perform(function: str, line: str, path: str) -> Reply:
    """Do one task where it is not done yet, and write its result; an error becomes the reply.

    Args:
        function: `package.module:name`.
        line: the task as JSON.
        path: where its result goes.
    """
    key = key_of(function, line)
    # The worker may have been killed between the result and the reply.
    result = read_result(Path(path), key)
    if result is not None:
        return {"result": result}
    try:
        with explain_disk_errors(Path(path).parent.parent):
            result = _load(function)(json.loads(line))
        text = json.dumps({"task": key, "result": result})
        write_text(Path(path), text + "\n")
    except Exception as error:  # the edge of a worker: what is raised here is told, and raised again, at home
        return {"error": error_as_json(error)}
    return {"result": json.loads(text)["result"]}


def _load(function: str) -> Any:
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)


def error_as_json(error: Exception) -> dict[str, str]:
    """Return an error as the strings that `raise_error` raises it from."""
    if isinstance(error, RodnaError):
        return {"type": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
    what = f"{type(error).__name__}: {error}"
    return {"type": "", "what": what, "where": "", "fix": "", "traceback": "".join(traceback.format_exception(error))}


def raise_error(job: Job, failed: Mapping[int, Mapping[str, str]]) -> NoReturn:
    """Raise the failure of the first task in order, and say how many others failed.

    Raises:
        RodnaError: of the type that the task raised, where its module is loaded here.
    """
    number = min(failed)
    error = failed[number]
    others = f" ({len(failed) - 1:,} more failed)" if len(failed) > 1 else ""
    if error["type"]:
        known = next((kind for kind in _kinds(RodnaError) if kind.__name__ == error["type"]), RunnerError)
        raise known(error["what"] + others, where=error["where"] or job.name(number), fix=error["fix"])
    log = job.work / "logs" / f"error-{number:05d}.txt"
    write_text(log, error["traceback"])
    raise RunnerError(
        f"a task failed: {error['what']}{others}",
        where=job.name(number),
        fix=f"this looks like an error in the program: report it with {log}. Finished tasks are kept",
    )


def _kinds(kind: type[RodnaError]) -> Iterator[type[RodnaError]]:
    """Yield the errors that are known here, whatever module defines them."""
    for derived in kind.__subclasses__():
        yield derived
        yield from _kinds(derived)


def single_threaded() -> None:
    """Keep numerical libraries that are imported from now on to one thread: there is a worker for each core."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")


def lost(job: Job, number: int, attempts: int, *, how: str, fix: str) -> Reply:
    """Return the reply for a task whose worker died at every attempt."""
    what = f"a task took its worker down {attempts} times: {how}" if attempts > 1 else f"a task took its worker down: {how}"
    return {"error": {"type": "RunnerError", "what": what, "where": job.name(number), "fix": fix}}
