"""Tasks on a Ray cluster that is there: several machines, or Kubernetes through KubeRay.

Ray schedules tasks, notices dead workers and nodes and begins their tasks again. Only calls and results travel through it: text is read
from and written to the workspace, which every node must see under the same path.
"""

import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rodna.core.files import write_text
from rodna.corpus.config import RunnerConfig
from rodna.corpus.runners.contract import Job, Reply, RunnerError, lost, perform, single_threaded

# Enough waiting tasks for an autoscaler to see that there is work for more nodes.
_SUBMITTED_PER_CORE = 2
_PROBE_SECONDS = 120
_SETTLE_SECONDS = 30
_CONNECT_SECONDS = 10


def run(runner: RunnerConfig, job: Job, todo: list[int]) -> Generator[tuple[int, Reply]]:
    """Yield each task's number and reply as they finish.

    Raises:
        RunnerError: Ray is not installed, the cluster cannot be reached, or one of its nodes cannot do the work.
    """
    # What Ray says of dead workers it prints on stdout, which is for data.
    with redirect_stdout(sys.stderr), _connected(runner.address):
        _check_nodes(job)
        yield from _work_off(runner, job, todo)


def _perform(function: str, line: str, path: str) -> Reply:
    single_threaded()
    return perform(function, line, path)


def _work_off(runner: RunnerConfig, job: Job, todo: list[int]) -> Generator[tuple[int, Reply]]:
    import ray

    remote = ray.remote(num_cpus=1, max_retries=runner.attempts - 1)(_perform)
    waiting, pending = todo[::-1], dict[Any, int]()
    try:
        while waiting or pending:
            # Looked up each time: nodes come and go.
            limit = runner.workers or _SUBMITTED_PER_CORE * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting and len(pending) < limit:
                number = waiting.pop()
                pending[remote.remote(*job.call(number))] = number
            for done in ray.wait(list(pending), num_returns=1)[0]:
                number = pending.pop(done)
                reply = _reply_of(done, runner, job, number)
                if "error" in reply:
                    waiting.clear()
                yield number, reply
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)


def _reply_of(reference: Any, runner: RunnerConfig, job: Job, number: int) -> Reply:
    import ray
    from ray.exceptions import RayError

    try:
        return ray.get(reference)
    except RayError as error:
        how = str(error).strip().partition("\n")[0]
        fix = "where memory ran out (`ray logs` says so), start the nodes with fewer --num-cpus. Finished tasks are kept"
        return lost(job, number, runner.attempts, how=f"{type(error).__name__}: {how}", fix=fix)


@contextmanager
def _connected(address: str) -> Generator[None]:
    """Connect to the cluster, and leave it afterwards where it was not connected to before."""
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError as error:
        raise RunnerError(f"Ray is not installed: {error}", where="corpus.runner", fix="run `pip install 'rodna[ray]'`") from error
    if ray.is_initialized():
        yield
        return
    try:
        _knock(address)
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise RunnerError(
            f"no Ray cluster can be reached: {_first_line(error)}",
            where=f"corpus.runner.address: {address}",
            fix="start one (`ray start --head`), run this on one of its machines, or give its address. Where it asks for a token, set "
            "RAY_AUTH_MODE=token and copy ~/.ray/auth_token from the machine that started it. See docs/cluster.md",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nothing listens at `host:port`: Ray itself would wait for it for many minutes."""
    # The variable is what Ray goes by where the address is "auto".
    host, _, port = (os.environ.get("RAY_ADDRESS", "") if address == "auto" else address).rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _check_nodes(job: Job) -> None:
    """Have every node read a file of the run's folder, write one there and import the function, before any work is lost to it.

    Raises:
        RunnerError: a node does not see the folder, cannot write to it, or has no rodna.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    word = secrets.token_hex(8)
    probe = job.work / f"probe-{word}"
    module = job.function.partition(":")[0]
    look = ray.remote(num_cpus=1, max_retries=2)(_make_probe())
    write_text(probe, word)
    try:
        asked: list[tuple[str, Any, Path]] = []
        for node in ray.nodes():
            if node["Alive"] and node["Resources"].get("CPU", 0) >= 1:
                written = probe.with_name(f"{probe.name}-{node['NodeID'][:12]}")
                there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                reference = look.options(scheduling_strategy=there).remote(str(probe), str(written), word, module)
                asked.append((node["NodeManagerHostname"], reference, written))
        for host, reference, written in asked:
            _judge_node(job, host, _answer_of(reference), written)
    finally:
        for path in probe.parent.glob(f"{probe.name}*"):
            path.unlink(missing_ok=True)


def _answer_of(reference: Any) -> tuple[str, str]:
    import ray
    from ray.exceptions import RayError

    try:
        return ray.get(reference, timeout=_PROBE_SECONDS)
    except RayError as error:
        return "node", _first_line(error) or f"no answer within {_PROBE_SECONDS} s"


def _judge_node(job: Job, host: str, answer: tuple[str, str], written: Path) -> None:
    """Raise what keeps a node from doing the work."""
    trouble, detail = answer
    if not trouble and not _appears(written):
        trouble, detail = "folder", "what the node writes there does not appear here"
    if trouble == "folder":
        raise RunnerError(
            f"node {host} does not see the workspace: {detail}",
            where=str(job.work),
            fix="put the workspace on a file system that every node mounts under the same path, with the right to write there",
        )
    if trouble == "import":
        raise RunnerError(
            f"node {host} cannot import what it is to do: {detail}",
            where=job.function,
            fix=f"install rodna {version('rodna')}, and the plugins this project uses, in the Python that Ray runs with there",
        )
    if trouble:
        raise RunnerError(f"node {host} does not answer: {detail}", where="ray.nodes()", fix="look at `ray status` and at the node's logs")


def _appears(path: Path) -> bool:
    """Return whether a file is there, or comes to be: network file systems show another machine's files late."""
    until = time.monotonic() + _SETTLE_SECONDS
    while not path.is_file():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
        # Listing a folder makes NFS ask the server again.
        list(path.parent.iterdir())
    return True


def _make_probe() -> Any:
    # A function inside a function travels to the nodes by value: it can say that rodna is not there.
    def look(probe: str, written: str, word: str, module: str) -> tuple[str, str]:
        import importlib
        import pathlib

        try:
            if pathlib.Path(probe).read_text(encoding="utf-8") != word:
                return "folder", "another folder is there"
            pathlib.Path(written).write_text(word, encoding="utf-8")
        except OSError as error:
            return "folder", str(error)
        try:
            importlib.import_module(module)
        except ImportError as error:
            return "import", str(error)
        return "", ""

    return look
