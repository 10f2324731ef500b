"""How much of what several documents share is found, against the exact answer of a suffix array, in one run.

    python benchmarks/corpus/shared_passages.py ../shared/data/corpora

Passages of 200 to 2,000 characters of real books are planted in other chapters. Exact: every character in a substring of at least 200
characters that stands in an earlier document too. Recall: how many of those runs are met, and how many of their characters found;
precision: how many characters found lie in a run of at least 40 that is in an earlier document too.
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rodna.corpus.config import DeduplicateConfig
from rodna.corpus.deduplicate.exact import keys_of
from rodna.corpus.deduplicate.near import sketch
from rodna.corpus.deduplicate.passages import by_hash, find_passages, lines_of, windows_of
from rodna.corpus.signals import IDENTITY, Signals, write_column, write_index

NAMES = ("en/chesterton-brown.txt", "en/austen-persuasion.txt", "be/bible_maley_pd.txt", "is/klim.txt", "yue/hkcancor_ccby.txt")
LENGTH = 200


def documents_of(root: Path) -> list[str]:
    """Return chapters of real text, a third of them with a passage of an earlier one."""
    chance = random.Random(0)
    texts = [
        text[place : place + 8000]
        for name in NAMES
        for text in [(root / name).read_text(encoding="utf-8")]
        for place in range(0, len(text), 8000)
    ]
    for number in range(1, len(texts)):
        if number % 3 == 0:
            other, size = texts[chance.randrange(number)], chance.randrange(LENGTH, 2000)
            place, into = chance.randrange(max(1, len(other) - size)), chance.randrange(len(texts[number]))
            texts[number] = texts[number][:into] + other[place : place + size] + texts[number][into:]
    return texts


def exact(texts: list[str], length: int) -> list[np.ndarray]:
    """Return which characters lie in a substring of at least `length` characters that stands in an earlier document too."""
    from pydivsufsort import divsufsort, kasai

    # Each text ends in a character of its own, so that no substring runs over two.
    joined = "".join(text + chr(0xF0000 + number) for number, text in enumerate(texts))
    # A code per distinct character, in bytes that sort the same: two bytes a character.
    codes = np.frombuffer(joined.encode("utf-32-le"), dtype=np.uint32)
    ranks = np.unique(codes, return_inverse=True)[1].astype(">u2")
    data = np.frombuffer(ranks.tobytes(), dtype=np.uint8).copy()
    order = divsufsort(data)
    common = np.asarray(kasai(data, order)).astype(np.int64)
    owner = np.repeat(np.arange(len(texts)), [len(text) + 1 for text in texts])
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    marked = [np.zeros(len(text), dtype=bool) for text in texts]
    even = order % 2 == 0
    index, group = np.flatnonzero(even), 0
    # The shared length of neighbours among the even suffixes is the least on the way.
    between = np.minimum.reduceat(common, index) if len(index) else common
    runs = np.flatnonzero(between[:-1] // 2 < length)
    for end in [*runs.tolist(), len(index) - 1]:
        members = index[group : end + 1]
        if len(members) > 1:
            places = order[members] // 2
            first = owner[places].min()
            reach = between[group:end] // 2
            for position, place in enumerate(places.tolist()):
                if owner[place] != first:
                    size = int(max(reach[max(0, position - 1) : position + 1]))
                    local = place - int(starts[owner[place]])
                    marked[owner[place]][local : local + size] = True
        group = end + 1
    return marked


def found_by_rodna(texts: list[str], folder: Path) -> tuple[list[np.ndarray], float]:
    start = time.perf_counter()
    windows = windows_of(texts)
    seconds = time.perf_counter() - start
    rows = np.zeros(len(texts), np.dtype(list(IDENTITY)))
    rows["key"] = keys_of(texts)
    for kind, values in {"rows": rows, "sketches": sketch(texts), "windows": by_hash(windows), "lines": by_hash(lines_of(texts))}.items():
        write_column(folder, "0", kind, values)
    write_index(folder, [{"name": "0", "documents": len(texts)}])
    passages = find_passages(Signals.open(folder), np.zeros(len(texts), dtype=np.uint8), DeduplicateConfig(passages=100))
    marked = [np.zeros(len(text), dtype=bool) for text in texts]
    for row in passages:
        marked[row["document"]][row["start"] : row["end"]] = True
    return marked, seconds


def main() -> None:
    texts = documents_of(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        windows_of(texts[:2])
        found, seconds = found_by_rodna(texts, Path(folder))
    start = time.perf_counter()
    true, any_run = np.concatenate(exact(texts, LENGTH)), np.concatenate(exact(texts, 40))
    exact_seconds = time.perf_counter() - start
    mine = np.concatenate(found)
    size = sum(len(text.encode()) for text in texts) / 1e6
    # A run of the exact answer counts as found where any of it is.
    edges = np.flatnonzero(np.diff(np.concatenate(([0], true.astype(np.int8), [0]))))
    runs = [bool(mine[first:last].any()) for first, last in edges.reshape(-1, 2)]
    report = {
        "documents": len(texts), "megabytes": round(size, 2), "runs": len(runs), "runs_found": round(float(np.mean(runs)), 4),
        "characters_found": round(float((mine & true).sum() / true.sum()), 4),
        "precision": round(float((mine & any_run).sum() / mine.sum()), 4),
        "windows_megabytes_a_second": round(size / seconds, 1), "suffix_array_seconds": round(exact_seconds, 1),
    }  # fmt: skip
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
