"""What choosing over many documents takes, which is all of the pipeline whose memory grows with the corpus.

    python benchmarks/corpus/pipeline_select.py CLEANED COPIES SCRATCH

CLEANED is a `cleaned` artifact (`pipeline.py scale --keep` leaves one). Its rows and columns are written COPIES times, each copy's hashes
and sketches changed so that its documents are like no others; then `select` runs over all of them, in this process, and is watched.
"""

import json
import os
import shutil
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from rodna.corpus.deduplicate.passages import by_hash
from rodna.corpus.signals import Signals, write_column, write_index


def write_copy(cleaned: Path, scratch: Path, number: int) -> list[dict[str, Any]]:
    """Write one copy of every shard's columns; return the shards."""
    shards = []
    signals = Signals.open(cleaned)
    for place, shard in enumerate(signals.shards):
        chance = np.random.default_rng((number, place))
        name = f"{number:03d}-{shard.name}"
        mask = chance.integers(1 << 63, dtype=np.uint64) if number else np.uint64(0)
        rows, sketches = np.array(signals.rows(shard)), np.array(signals.column("sketches", shard))
        rows["key"] ^= mask
        sketches["letters_key"] ^= np.where(sketches["letters_key"] != 0, mask, 0)
        # The same for all shards of a copy: near copies stay near.
        bins = np.random.default_rng(number).integers(256, size=sketches["signature"].shape[1], dtype=np.uint8)
        sketches["signature"] ^= bins if number else np.uint8(0)
        write_column(scratch, name, "rows", rows)
        write_column(scratch, name, "sketches", sketches)
        for kind in ("windows", "lines"):
            values = np.array(signals.column(kind, shard))  # pyright: ignore[reportArgumentType]
            values["hash"] ^= mask
            write_column(scratch, name, kind, by_hash(values))
        os.link(cleaned / f"{shard.name}.ids.json", scratch / f"{name}.ids.json")
        shards.append({"name": name, "documents": shard.num_documents})
    return shards


class Peak:
    """The most memory this process took, and the most of it that is not pages of files."""

    def __init__(self) -> None:
        self.rss_mb = self.private_mb = 0.0
        self._going = True
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        import psutil

        process = psutil.Process()
        while self._going:
            used = process.memory_full_info()
            self.rss_mb, self.private_mb = max(self.rss_mb, used.rss / 1e6), max(self.private_mb, used.uss / 1e6)
            time.sleep(0.2)

    def stop(self) -> None:
        self._going = False
        self._thread.join()


def main() -> None:
    from rodna.corpus.config import CorpusConfig
    from rodna.corpus.passes.select import select

    cleaned, copies, scratch = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    if not (scratch / "shards.json").is_file():
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "out").mkdir(parents=True)
        with ProcessPoolExecutor(2) as pool:
            parts = list(pool.map(write_copy, [cleaned] * copies, [scratch] * copies, range(copies)))
        write_index(scratch, [shard for part in parts for shard in part])
    config = CorpusConfig.model_validate({"language": {"action": "keep"}})
    peak = Peak()
    start, began = time.perf_counter(), time.process_time()
    facts = select(SimpleNamespace(path=scratch), config, scratch / "out", language="eu", sources=("texts",), root=scratch)  # pyright: ignore[reportArgumentType]
    seconds, cpu = time.perf_counter() - start, time.process_time() - began
    peak.stop()
    signals = Signals.open(scratch)
    size = int(signals.field("size_bytes").astype(np.int64).sum())
    report = {
        "documents": signals.num_documents, "shards": len(signals.shards), "text_mb": round(size / 1e6), "left": facts["documents"],
        "seconds": round(seconds, 1), "cpu_s": round(cpu, 1), "peak_rss_mb": round(peak.rss_mb), "peak_private_mb": round(peak.private_mb),
        "columns_on_disk_mb": round(sum(path.stat().st_size for path in scratch.glob("*.npy")) / 1e6),
    }  # fmt: skip
    print(json.dumps(report))


if __name__ == "__main__":
    main()
