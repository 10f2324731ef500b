"""How fast tokens are written, against what the library's `encode_batch` alone does, in one run, alternating.

Usage: python benchmarks/tokens.py FOLDER [--rounds 5] [--megabytes 16]

FOLDER holds .txt files; every line is a document. The library is given all texts in memory, in one call, and its result is thrown away;
`write_tokens` reads the documents from the corpus artifact (zstd, JSON), encodes, converts, writes and hashes the files, in a process
of the same kind with the same threads. The ratio of the best rounds is what counts; the target is 0.8.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rodna.core.artifact import Artifact, create
from rodna.corpus.documents import SPLITS, Document, JsonLinesWriter
from rodna.data.config import DataConfig
from rodna.data.tokens import write_tokens
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.tokenizer.train import train_tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, default=16, help="the texts are repeated up to this size")
    parser.add_argument("--lines", type=int, default=1, help="lines in a document")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), read_texts(arguments.folder, arguments.megabytes * 1e6, arguments.lines), arguments.rounds)


def read_texts(folder: Path, size_bytes: float, num_lines: int) -> list[str]:
    lines = [line for path in sorted(folder.rglob("*.txt")) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    texts = ["\n".join(lines[first : first + num_lines]) for first in range(0, len(lines), num_lines)]
    if not texts:
        sys.exit(f"no text in {folder}")
    repeats = -(-int(size_bytes) // sum(len(text.encode()) for text in texts))
    return texts * repeats


def make_corpus(folder: Path, texts: list[str]) -> Artifact:
    with create(folder / "corpus", kind="corpus", format_version=1, inputs={}, config={}) as draft:
        for split in SPLITS:
            with JsonLinesWriter(draft.path / f"{split}.jsonl.zst") as writer:
                for index, text in enumerate(texts if split == "train" else texts[:1]):
                    writer.write(Document(str(index), text, "benchmark", "und"))
    return draft.result


def compare(folder: Path, texts: list[str], rounds: int) -> None:
    corpus = make_corpus(folder, texts)
    artifact = train_tokenizer(corpus, TokenizerConfig(sample_bytes=2_000_000), folder / "tokenizer")
    backend = Tokenizer.load(artifact.path).backend
    size = sum(len(text.encode()) for text in texts)
    print(f"{size / 1e6:.1f} MB, {len(texts):,} documents, vocabulary {backend.get_vocab_size():,}")
    best = {"encode_batch": 0.0, "write_tokens": 0.0}
    for number in range(rounds):
        started = time.perf_counter()
        backend.encode_batch(texts, add_special_tokens=False)
        middle = time.perf_counter()
        write_tokens(corpus, artifact, DataConfig(), folder / f"tokens-{number}")
        ended = time.perf_counter()
        speeds = {"encode_batch": size / (middle - started) / 1e6, "write_tokens": size / (ended - middle) / 1e6}
        print(f"round {number + 1}: " + ", ".join(f"{name} {speed:.1f} MB/s" for name, speed in speeds.items()))
        best = {name: max(best[name], speeds[name]) for name in best}
    print(f"best: write_tokens / encode_batch = {best['write_tokens'] / best['encode_batch']:.2f} (target: 0.80)")


if __name__ == "__main__":
    main()
