"""Run the next pieces that fit a time, one or several at once, each in a process of its own."""

import math
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data_efficiency.pieces import Piece, all_pieces
from benchmarks.data_efficiency.results import Speeds, read_results, read_speeds
from benchmarks.data_efficiency.speeds import expected_seconds
from benchmarks.data_efficiency.texts import ROOT, Place

POLL_SECONDS = 0.5
FIRST_PACE = {"cpu": 1.0, "cuda": 0.3}
"""Time a piece takes over what it would on the measured machine, before any has been run here."""


@dataclass(frozen=True)
class _Job:
    piece: Piece
    process: subprocess.Popen[bytes]
    log: Path
    started: float
    expected: float


def run_queue(place: Place, *, minutes: float, only: str, jobs: int, threads: int, device: str, compiled: bool) -> None:
    """Begin pieces, in order, while they are expected to end in time; pieces that fail are named and passed over."""
    started, running, failed, paces = time.perf_counter(), [], set[str](), list[float]()
    known, results = read_speeds(place), read_results(place)
    ran = 0
    try:
        while True:
            for job in [job for job in running if job.process.poll() is not None]:
                running.remove(job)
                ran += 1
                _tell(job, failed, paces)
                results = read_results(place)
            if running and len(running) >= jobs:
                time.sleep(POLL_SECONDS)
                continue
            pace = statistics.median(paces) if paces else FIRST_PACE[device]
            left = 60 * minutes - (time.perf_counter() - started)
            busy = {job.piece.name for job in running}
            ready = [
                piece for piece in all_pieces(results)[0] if piece.name not in {*results, *failed, *busy} and re.search(only, piece.name)
            ]
            chosen = next((piece for piece in ready if _fits(known[piece.text], piece, pace, left)), None)
            if chosen is not None:
                running.append(_start(place, chosen, threads, device, compiled, expected_seconds(known[chosen.text], chosen)))
                continue
            if not running:
                break
            time.sleep(POLL_SECONDS)
    finally:
        for job in running:
            job.process.terminate()
            job.process.wait()
    unmeasured = sum(math.isnan(expected_seconds(known[piece.text], piece)) for piece in ready)
    print(f"{ran - len(failed)} pieces done, {len(failed)} failed; {len(ready)} more are known, which do not fit what was left of "
          f"{minutes:g} minutes{f'; {unmeasured} of them wait for `speeds`' if unmeasured else ''}")  # fmt: skip


def _fits(known: Speeds, piece: Piece, pace: float, left: float) -> bool:
    expected = expected_seconds(known, piece)
    if piece.recipe is None and piece.minutes and piece.plan_key not in known["plans"]:
        return False
    return not math.isnan(expected) and expected * pace <= left


def _start(place: Place, piece: Piece, threads: int, device: str, compiled: bool, expected: float) -> _Job:
    log = place.work / "logs" / f"{piece.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.data_efficiency", "--corpora", str(place.corpora), "--work", str(place.work),
               "--results", str(place.results), "run", piece.name, "--device", device, *(["--compile"] if compiled else [])]  # fmt: skip
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {})}
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, env=environment)
    return _Job(piece, process, log, time.perf_counter(), expected)


def _tell(job: _Job, failed: set[str], paces: list[float]) -> None:
    seconds = time.perf_counter() - job.started
    if job.process.returncode:
        failed.add(job.piece.name)
        tail = job.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        print(f"FAILED {job.piece.name}\n  " + "\n  ".join(tail), flush=True)
        return
    paces.append(seconds / job.expected)
    print(f"{seconds / 60:5.1f} min  {job.piece.name}", flush=True)
