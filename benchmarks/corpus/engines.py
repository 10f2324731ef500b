"""The same job on each engine that could do the corpus' work: read shards, normalise, sketch, write; then again with a worker killed.

Every engine is given the same Python step, so what differs is the engine. `daft-own` is Daft with its own expressions instead, which
compute another sketch. Ray engines use one cluster that is started, and not timed, before each run.

Run, in an environment with rodna's dependencies, ray, rensa, datatrove and daft:
    python benchmarks/corpus/engines.py measure --data <folder with folders be, eu, rw, en of .txt files> --scratch <folder> --out <json>
"""

import argparse
import hashlib
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NUM_SHARDS, NUM_HASHES, WORDS = 16, 128, 5
LANGUAGES = ("be", "eu", "rw", "en")


# The job, the same for every engine.


def normalise_and_sketch(texts: list[str]) -> tuple[list[str], list[list[int]]]:
    """Return normalised texts and a MinHash of each text's shingles of words."""
    import rensa

    texts = [" ".join(unicodedata.normalize("NFC", text).split()) for text in texts]
    sketches = []
    for text in texts:
        words = text.split(" ")
        sketch = rensa.RMinHash(num_perm=NUM_HASHES, seed=42)
        sketch.update([" ".join(words[i : i + WORDS]) for i in range(max(1, len(words) - WORDS + 1))])
        sketches.append(sketch.digest())
    return texts, sketches


# The engines: what follows each name is all that it needs, and what `lines` counts.


def shard_task(task: dict[str, Any]) -> dict[str, Any]:
    import zstandard

    with zstandard.open(task["shard"], "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    texts, sketches = normalise_and_sketch([row["text"] for row in rows])
    out = Path(task["out"]) / Path(task["shard"]).name
    with zstandard.open(out.with_suffix(".new"), "wt", encoding="utf-8") as file:
        for row, text, sketch in zip(rows, texts, sketches, strict=True):
            file.write(json.dumps({"id": row["id"], "text": text, "sketch": sketch}, ensure_ascii=False) + "\n")
    out.with_suffix(".new").rename(out)
    return {"documents": len(rows)}


def run_rodna(shards: list[Path], out: Path, work: Path, ray: str) -> None:
    from rodna.corpus.config import RunnerConfig
    from rodna.corpus.runners import run_tasks

    runner = RunnerConfig(name="ray" if ray else "local", address=ray or "auto", workers=0 if ray else 2)
    run_tasks(runner, "engines:shard_task", [{"shard": str(shard), "out": str(out)} for shard in shards], work=work)


def sketch_step(data: Iterator[Any], rank: int = 0, world_size: int = 1) -> Iterator[Any]:
    documents = list(data)
    texts, sketches = normalise_and_sketch([document.text for document in documents])
    for document, text, sketch in zip(documents, texts, sketches, strict=True):
        document.text, document.metadata = text, {"sketch": sketch}
        yield document


def run_datatrove(shards: list[Path], out: Path, work: Path, ray: str) -> None:
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    reader = JsonlReader(str(shards[0].parent), glob_pattern="*.jsonl.zst", compression="zstd")
    pipeline: list[Any] = [reader, sketch_step, JsonlWriter(str(out), output_filename="${rank}.jsonl.zst", compression="zstd")]
    if ray:
        import ray as engine
        from datatrove.executor.ray import RayPipelineExecutor

        engine.init(address=ray, log_to_driver=False)
        RayPipelineExecutor(pipeline, tasks=len(shards), workers=2, logging_dir=str(work), mem_per_cpu_gb=1).run()
    else:
        from datatrove.executor import LocalPipelineExecutor

        LocalPipelineExecutor(pipeline, tasks=len(shards), workers=2, logging_dir=str(work)).run()


def run_daft(shards: list[Path], out: Path, work: Path, ray: str) -> None:
    import daft
    from daft import DataType, Series, col

    if ray:
        import ray as engine

        engine.init(address=ray, log_to_driver=False)
        daft.set_runner_ray(address=ray)
    kind = DataType.struct({"text": DataType.string(), "sketch": DataType.list(DataType.uint32())})

    @daft.func.batch(return_dtype=kind, use_process=not ray)
    def step(texts: Series) -> list[dict[str, Any]]:
        pairs = zip(*normalise_and_sketch(texts.to_pylist()), strict=True)
        return [{"text": text, "sketch": sketch} for text, sketch in pairs]

    read = daft.read_json([str(shard) for shard in shards])
    done = read.with_column("done", step(col("text")))
    done.select("id", col("done").get("text").alias("text"), col("done").get("sketch").alias("sketch")).write_parquet(
        str(out), compression="zstd", write_mode="overwrite"
    )


def run_daft_own(shards: list[Path], out: Path, work: Path, ray: str) -> None:
    import daft
    from daft import col

    read = daft.read_json([str(shard) for shard in shards]).with_column("text", col("text").normalize(nfd_unicode=True, white_space=True))
    sketched = read.with_column("sketch", col("text").minhash(num_hashes=NUM_HASHES, ngram_size=WORDS, hash_function="xxhash"))
    sketched.write_parquet(str(out), compression="zstd", write_mode="overwrite")


ENGINES = {
    "rodna-local": run_rodna,
    "datatrove-local": run_datatrove,
    "daft-native": run_daft,
    "daft-own": run_daft_own,
    "rodna-ray": run_rodna,
    "datatrove-ray": run_datatrove,
    "daft-ray": run_daft,
}
PARTS = {run_rodna: (run_rodna, shard_task), run_datatrove: (run_datatrove, sketch_step)}


# The measurement.


def make_shards(data: Path, folder: Path, megabytes: int) -> list[Path]:
    """Write documents of about 2 KB from every language's texts, over and over, each copy with a word of its own."""
    import zstandard

    folder.mkdir(parents=True, exist_ok=True)
    shards = [folder / f"{number:05d}.jsonl.zst" for number in range(NUM_SHARDS)]
    if all(shard.is_file() for shard in shards):
        return shards
    texts = []
    for path in sorted(path for language in LANGUAGES for path in (data / language).glob("*.txt")):
        text = path.read_text(encoding="utf-8", errors="replace")
        texts += [text[i : i + 2000] for i in range(0, len(text), 2000)]
    once = sum(len(text.encode()) for text in texts)
    files = [zstandard.open(shard, "wt", encoding="utf-8") for shard in shards]
    for copy in range(max(1, round(megabytes * 1e6 / once))):
        for number, text in enumerate(texts):
            row = {"id": f"{copy}/{number}", "text": f"{copy} {text}"}
            files[number % NUM_SHARDS].write(json.dumps(row, ensure_ascii=False) + "\n")
    for file in files:
        file.close()
    return shards


def start_ray(scratch: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}", "--num-cpus=2"]
    command += ["--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={scratch / 'r'}", "--object-store-memory=1000000000"]
    log = (scratch / "ray.log").open("w+b")
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    while "Ray runtime started" not in (scratch / "ray.log").read_text():
        time.sleep(0.2)
    # Workers that Ray keeps ready take a moment to start.
    time.sleep(5)
    return process, f"127.0.0.1:{port}"


class Watch:
    """Samples the memory of processes and what they descend to."""

    def __init__(self, *roots: int) -> None:
        self.roots, self.peak, self.going = roots, 0, True
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def family(self) -> list[Any]:
        import psutil

        found = []
        for root in self.roots:
            try:
                found += [psutil.Process(root), *psutil.Process(root).children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return found

    def _watch(self) -> None:
        import psutil

        while self.going:
            total = 0
            for process in self.family():
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)
            time.sleep(0.25)

    def stop(self) -> int:
        self.going = False
        self._thread.join()
        return self.peak


def victim_of(watch: Watch, driver: int, ray: bool) -> Any:
    """Return the busiest worker, or the program itself where it has none."""
    import psutil

    def seconds_of(process: Any) -> float:
        try:
            is_worker = process.name().startswith("ray::") if ray else process.pid != driver
            return sum(process.cpu_times()[:2]) if is_worker else 0
        except psutil.Error:
            return 0

    before = {process: seconds_of(process) for process in watch.family()}
    time.sleep(0.4)
    most, victim = max(((seconds_of(process) - spent, process) for process, spent in before.items()), key=lambda pair: pair[0])
    return victim if most > 0 else psutil.Process(driver)


def once(engine: str, shards: list[Path], scratch: Path, *, kill_after: float = 0, limit_s: float = 200) -> dict[str, Any]:
    """Do the job in a program of its own; where asked, kill a worker after so many seconds."""
    ray, address = start_ray(scratch) if engine.endswith("ray") else (None, "")
    command = [sys.executable, __file__, "run", "--engine", engine, "--scratch", str(scratch), "--ray", address]
    log = (scratch / f"{engine}.log").open("ab")
    began = time.monotonic()
    driver = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    watch = Watch(driver.pid, *([ray.pid] if ray else []))
    killed = ""
    try:
        if kill_after:
            time.sleep(kill_after)
            victim = victim_of(watch, driver.pid, bool(ray))
            killed = "the program itself" if victim.pid == driver.pid else "a worker"
            victim.kill()
        code: int | str = driver.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        code = "hung"
    seconds = time.monotonic() - began
    peak = watch.stop()
    members = [process.pid for process in watch.family() if process.pid != (ray.pid if ray else 0)]
    if ray:
        ray.terminate()
        ray.wait()
    for pid in members:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    driver.wait()
    return {"seconds": round(seconds, 2), "peak_mb": round(peak / 1e6), "ended": code, "killed": killed}


def outcome(out: Path) -> tuple[int, str, str]:
    """Return the number of records written, a digest of them in the order of their ids, and a digest of the files."""
    import pyarrow.parquet as pq
    import zstandard

    rows: list[tuple[str, str]] = []
    files = hashlib.sha256()
    for path in sorted(out.rglob("*")):
        if path.suffix == ".zst":
            with zstandard.open(path, "rt", encoding="utf-8") as file:
                records = [json.loads(line) for line in file]
        elif path.suffix == ".parquet":
            records = pq.read_table(path).to_pylist()
        else:
            continue
        files.update(path.name.encode() + path.read_bytes())
        for record in records:
            sketch = record.get("sketch") or record.get("metadata", {}).get("sketch")
            rows.append((record["id"], hashlib.sha256(json.dumps([record["text"], list(sketch)]).encode()).hexdigest()))
    rows.sort()
    return len(rows), hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16], files.hexdigest()[:16]


def measure(engine: str, shards: list[Path], scratch: Path) -> dict[str, Any]:
    """Time an engine twice, then kill a worker half way, then run it again over what is left."""

    def fresh() -> None:
        for name in ("out", "work"):
            shutil.rmtree(scratch / name, ignore_errors=True)
            (scratch / name).mkdir()

    found: dict[str, Any] = {}
    for name in ("first", "second"):
        fresh()
        found[name] = once(engine, shards, scratch)
        found[name]["documents"], found[name]["records_digest"], found[name]["files_digest"] = outcome(scratch / "out")
    fresh()
    seconds = found["second"]["seconds"]
    found["worker_killed"] = once(engine, shards, scratch, kill_after=0.6 * seconds, limit_s=2.5 * seconds + 10)
    if found["worker_killed"]["ended"] == 0:
        found["worker_killed"]["documents"], found["worker_killed"]["records_digest"], _ = outcome(scratch / "out")
    else:
        found["run_again"] = once(engine, shards, scratch)
        found["run_again"]["documents"], found["run_again"]["records_digest"], _ = outcome(scratch / "out")
    parts = PARTS.get(ENGINES[engine], (ENGINES[engine],))
    found["lines"] = sum(len(inspect.getsource(part).strip().splitlines()) for part in parts)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["measure", "run"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--engine", default=",".join(ENGINES))
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--ray", default="")
    options = parser.parse_args()
    scratch = options.scratch.resolve()
    shards = sorted((scratch / "shards").glob("*.zst"))
    if options.action == "run":
        ENGINES[options.engine](shards, scratch / "out", scratch / "work", options.ray)
        return
    os.environ |= {"DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    shards = make_shards(options.data, scratch / "shards", options.megabytes)
    for engine in options.engine.split(","):
        results = json.loads(options.out.read_text()) if options.out.is_file() else {"num_shards": NUM_SHARDS, "engines": {}}
        results["packed_mb"] = round(sum(shard.stat().st_size for shard in shards) / 1e6, 1)
        results["text_mb"] = options.megabytes
        results["engines"][engine] = measure(engine, shards, scratch)
        options.out.write_text(json.dumps(results, indent=1) + "\n")
        print(engine, json.dumps(results["engines"][engine]), flush=True)


if __name__ == "__main__":
    main()
