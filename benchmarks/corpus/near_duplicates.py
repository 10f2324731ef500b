"""How many planted near copies are found, how many finds are wrong, and how fast: rodna, datasketch and rensa in one run.

    python benchmarks/corpus/near_duplicates.py ../shared/data/corpora

Every document of five languages gets one copy, edited in one of several ways. Recall: copies of which, or of whose original, one goes.
Precision: of all documents that go, those that go for their own original or copy. The libraries get the same shingles, 128 permutations,
and the threshold on Jaccard similarity that equally long documents with rodna's share of common shingles have.
"""

import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rodna.corpus.config import DeduplicateConfig
from rodna.corpus.deduplicate.exact import keys_of
from rodna.corpus.deduplicate.letters import is_dense, letters_of
from rodna.corpus.deduplicate.near import find_copies, sketch
from rodna.corpus.signals import IDENTITY, Signals, write_column, write_index

FILES = {
    "be": ("be/bible_charniauski_pd.txt", "be/bible_maley_pd.txt"),
    "en": ("en/chesterton-brown.txt", "en/carroll-alice.txt", "en/bryant-stories.txt"),
    "is": ("is/grettir.txt", "is/klim.txt", "is/mamma.txt"),
    "rw": ("rw/partner-3.rw.txt",),
    "yue": ("yue/hkcancor_ccby.txt",),
}
CHARACTERS = {"yue": 800}
TOKEN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]|[^\W\u3400-\u9fff\U00020000-\U0003ffff]+|\W")
SENTENCE = re.compile(r"(?<=[.!?。！？\n;:])")
Edit = Callable[[list[str], list[str], random.Random], list[str]]


def changed(share: float) -> Edit:
    """Put another word of the same language in the place of a share of the words."""
    return lambda words, vocabulary, chance: [
        chance.choice(vocabulary) if word[0].isalnum() and chance.random() < share else word for word in words
    ]


def inserted_and_deleted(share: float) -> Edit:
    def edit(words: list[str], vocabulary: list[str], chance: random.Random) -> list[str]:
        result: list[str] = []
        for word in words:
            draw = chance.random()
            result.extend([] if draw < share / 2 else [chance.choice(vocabulary), " ", word] if draw < share else [word])
        return result

    return edit


def shuffled(words: list[str], _vocabulary: list[str], chance: random.Random) -> list[str]:
    sentences = SENTENCE.split("".join(words))
    chance.shuffle(sentences)
    return sentences


EDITS: dict[str, Edit] = {
    "5% of words changed": changed(0.05),
    "10% of words changed": changed(0.10),
    "20% of words changed": changed(0.20),
    "10% inserted, deleted": inserted_and_deleted(0.10),
    "cut to 80%": lambda words, _vocabulary, _chance: words[: len(words) * 4 // 5],
    "cut to 50%": lambda words, _vocabulary, _chance: words[: len(words) // 2],
    "sentences shuffled": shuffled,
    "capitals, no punctuation": lambda words, _vocabulary, _chance: [word.upper() for word in words if word.isalnum() or word.isspace()],
}


def documents_of(root: Path, language: str) -> list[str]:
    """Return documents of some 2,000 characters, whole lines, none twice: what a collection repeats itself is no planted copy."""
    documents: list[str] = []
    for name in FILES[language]:
        lines: list[str] = []
        for line in dict.fromkeys((root / name).read_text(encoding="utf-8").splitlines()):
            lines.append(line)
            if sum(map(len, lines)) > CHARACTERS.get(language, 2000):
                documents.append("\n".join(lines))
                lines = []
    return documents[:400]


def by_rodna(texts: list[str], similarity: float, folder: Path) -> tuple[np.ndarray, float]:
    """Return the document each document goes for, -1 for none; int64 (D,); and the seconds that sketching took."""
    start = time.perf_counter()
    sketches = sketch(texts)
    seconds = time.perf_counter() - start
    rows = np.zeros(len(texts), np.dtype(list(IDENTITY)))
    rows["key"] = keys_of(texts)
    write_column(folder, "0", "rows", rows)
    write_column(folder, "0", "sketches", sketches)
    write_index(folder, [{"name": "0", "documents": len(texts)}])
    copies = find_copies(Signals.open(folder), np.ones(len(texts), dtype=bool), DeduplicateConfig(similarity=similarity))
    return copies["kept"], seconds


def shingles_of(text: str) -> list[str]:
    codes = letters_of([text]).codes
    letters, dense = "".join(map(chr, codes)), is_dense(codes)
    sizes = np.where(dense, 4, 8).tolist()
    return [letters[place : place + size] for place, size in enumerate(sizes) if place + size <= len(letters)]


def by_datasketch(texts: list[str], jaccard: float) -> tuple[np.ndarray, float]:
    from datasketch import MinHash, MinHashLSH

    start = time.perf_counter()
    hashes = []
    for text in texts:
        hashes.append(MinHash(num_perm=128))
        hashes[-1].update_batch([shingle.encode() for shingle in shingles_of(text)])
    seconds = time.perf_counter() - start
    index = MinHashLSH(threshold=jaccard, num_perm=128)
    kept = np.full(len(texts), -1)
    for number, minhash in enumerate(hashes):
        others = [int(other) for other in index.query(minhash) if hashes[int(other)].jaccard(minhash) >= jaccard]
        if others:
            kept[number] = min(others)
        else:
            index.insert(str(number), minhash)
    return kept, seconds


def by_rensa(texts: list[str], jaccard: float) -> tuple[np.ndarray, float]:
    from rensa import RMinHash, RMinHashLSH

    start = time.perf_counter()
    hashes = []
    for text in texts:
        hashes.append(RMinHash(num_perm=128, seed=42))
        hashes[-1].update(shingles_of(text))
    seconds = time.perf_counter() - start
    index = RMinHashLSH(threshold=jaccard, num_perm=128, num_bands=32)
    kept = np.full(len(texts), -1)
    for number, minhash in enumerate(hashes):
        others = [other for other in index.query(minhash) if hashes[other].jaccard(minhash) >= jaccard]
        if others:
            kept[number] = min(others)
        else:
            index.insert(number, minhash)
    return kept, seconds


def main() -> None:
    root, similarity = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else DeduplicateConfig().similarity
    chance = random.Random(0)
    originals = {language: documents_of(root, language) for language in FILES}
    texts = [text for documents in originals.values() for text in documents]
    of_language = [language for language, documents in originals.items() for _ in documents]
    words = {
        language: [word for text in documents for word in TOKEN.findall(text) if word[0].isalnum()]
        for language, documents in originals.items()
    }
    kinds = [list(EDITS)[number % len(EDITS)] for number in range(len(texts))]
    copies = [
        "".join(EDITS[kind](TOKEN.findall(text), words[language], chance))
        for text, kind, language in zip(texts, kinds, of_language, strict=True)
    ]
    num_originals, size = len(texts), sum(len(text.encode()) for text in texts + copies) / 1e6
    both, jaccard = texts + copies, similarity / (2 - similarity)
    report: dict[str, object] = {
        "documents": len(both),
        "megabytes": round(size, 2),
        "similarity": similarity,
        "jaccard": round(jaccard, 3),
    }
    with tempfile.TemporaryDirectory() as folder:
        by_rodna(both[:9], similarity, Path(folder))
        results = {
            "rodna": by_rodna(both, similarity, Path(folder)),
            "datasketch": by_datasketch(both, jaccard),
            "rensa": by_rensa(both, jaccard),
        }
    for name, (kept, seconds) in results.items():
        partner = (np.arange(len(both)) + num_originals) % len(both)
        gone = np.flatnonzero(kept >= 0)
        right = kept[gone] == partner[gone]
        found = np.zeros(num_originals, dtype=bool)
        found[gone[right] % num_originals] = True
        recall = {kind: round(float(found[np.array(kinds) == kind].mean()), 3) for kind in EDITS}
        languages = {language: round(float(found[np.array(of_language) == language].mean()), 3) for language in FILES}
        report[name] = {
            "recall": recall, "recall_by_language": languages,
            "precision": round(float(right.mean()), 4), "gone": len(gone), "megabytes_a_second": round(size / seconds, 2),
        }  # fmt: skip
    print(json.dumps(report, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
