"""A Ray cluster of this machine, started as a person would start one."""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

Environment = dict[str, str]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_cluster(environment: Environment, *, before: tuple[str, ...] = ()) -> Generator[str]:
    """Start a cluster of one node with two cores, give its address and end it."""
    port = free_port()
    # A short path: it holds Unix sockets, whose names may not be long.
    folder = tempfile.mkdtemp(prefix="ray-")
    ray = Path(sys.executable).with_name("ray")
    options = ["--num-cpus=2", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}", "--object-store-memory=100000000"]
    command = [*before, str(ray), "start", "--head", "--block", "--disable-usage-stats", *options]
    with (Path(folder) / "start.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while "Ray runtime started" not in (Path(folder) / "start.log").read_text():
            assert time.monotonic() < end
            assert process.poll() is None, (Path(folder) / "start.log").read_text()
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
