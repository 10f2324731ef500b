"""Time and memory of finding copies among many documents, with synthetic sketches of which a tenth are near copies.

python benchmarks/corpus/copies_at_scale.py 10000 100000 1000000
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rodna.corpus.config import DeduplicateConfig
from rodna.corpus.deduplicate.near import SKETCH, find_copies
from rodna.corpus.signals import IDENTITY, Signals, write_column, write_index

SHARD = 20_000


def measure(num_documents: int, folder: Path) -> dict[str, float]:
    generator, shards, previous = np.random.default_rng(0), [], np.zeros(0, SKETCH)
    for first in range(0, num_documents, SHARD):
        size = min(SHARD, num_documents - first)
        sketches, rows = np.zeros(size, SKETCH), np.zeros(size, np.dtype(list(IDENTITY)))
        sketches["signature"] = generator.integers(0, 256, (size, 128))
        sketches["num_shingles"], sketches["letters_key"] = 1000, generator.integers(1, 1 << 62, size)
        if len(previous):
            # Every tenth is a copy of a document of the shard before, with a fifth of its bins changed.
            copies = sketches["signature"][::10]
            kept = generator.random(copies.shape) < 0.8
            sketches["signature"][::10] = np.where(kept, previous["signature"][: len(copies)], copies)
        rows["key"] = generator.integers(0, 1 << 62, (size, 2))
        previous = sketches
        for kind, values in {"rows": rows, "sketches": sketches}.items():
            write_column(folder, f"{first:09}", kind, values)
        shards.append({"name": f"{first:09}", "documents": size})
    write_index(folder, shards)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    copies = find_copies(Signals.open(folder), np.ones(num_documents, dtype=bool), DeduplicateConfig())
    return {
        "documents": num_documents, "seconds": round(time.perf_counter() - start, 2), "near_copies": int((copies["kind"] == 2).sum()),
        "peak_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), "before_megabytes": round(before / 1024),
    }  # fmt: skip


def main() -> None:
    sizes = sys.argv[1:]
    if len(sizes) == 1:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(int(sizes[0]), Path(folder))))
    for size in sizes if len(sizes) > 1 else ():
        # A process each: the peak of memory is a process's own.
        subprocess.run([sys.executable, __file__, size], check=True)


if __name__ == "__main__":
    main()
