"""The texts and their one split: made once by rodna's corpus stage, and the same for every system."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rodna.core import artifact
from rodna.core.artifact import MANIFEST, Artifact
from rodna.core.errors import RodnaError, TokenizerError
from rodna.corpus.build import build_corpus
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.documents import SPLITS, JsonLinesWriter, read_documents
from rodna.data.config import DataConfig
from rodna.data.tokens import Tokens, write_tokens
from rodna.tokenizer.config import Algorithm, TokenizerConfig
from rodna.tokenizer.train import train_tokenizer

ROOT = Path(__file__).resolve().parents[2]
SECTION_BYTES = 2048
"""Length of a document: the corpora are whole books or loose sentences, of which too few, or too short ones, could be held out."""
SMALLEST_VOCABULARY = 512
SMALLER = 0.8
"""A vocabulary larger than the text supports is tried again at this share of its size."""


class BenchmarkError(RodnaError):
    """A piece of this benchmark cannot be run as asked."""


@dataclass(frozen=True)
class Text:
    """What there is to learn from: a corpus, or some of its training documents; validation and test are always the corpus' own.

    Attributes:
        name: of the text.
        corpus: folder of the corpus.
        language: BCP-47.
        share: of the training documents, by bytes.
        max_bytes: most UTF-8 bytes of training text; 0: no limit.
        vocabulary: of rodna's tokenizer; 0: as it plans.
    """

    name: str
    corpus: str
    language: str
    share: float = 1.0
    max_bytes: int = 0
    vocabulary: int = 0

    @property
    def is_whole(self) -> bool:
        return self.share == 1.0 and not self.max_bytes


SHARES = (8, 4, 2)
TEXTS = {
    text.name: text
    for text in (
        *(Text(name, name, name) for name in ("be", "is", "eu", "yue")),
        Text("en-1mb", "en", "en", max_bytes=1_000_000),
        Text("en-7mb", "en", "en"),
        *(Text(f"{name}-1of{part}", name, name, share=1 / part) for name in ("be", "is") for part in SHARES),
    )
}
MAIN = ("be", "is", "eu", "yue", "en-1mb", "en-7mb")
LONG = ("be", "is")
"""Texts on which the long trainings and the curves over the amount of text are made."""


def find_text(name: str) -> Text:
    """Return a text by its name."""
    if name not in TEXTS:
        raise BenchmarkError(f"there is no text {name!r}", fix=f"use one of: {', '.join(TEXTS)}")
    return TEXTS[name]


@dataclass(frozen=True)
class Place:
    """Where things are.

    Attributes:
        corpora: the folder with one folder of text files a corpus.
        work: corpora, tokens and models, made anew where missing.
        results: small JSON files, kept.
    """

    corpora: Path = ROOT.parent / "shared" / "data" / "corpora"
    work: Path = ROOT / "build" / "data-efficiency"
    results: Path = ROOT / "benchmarks" / "results" / "data_efficiency"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from preparing the same thing."""
        self.work.mkdir(parents=True, exist_ok=True)
        with (self.work / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def corpus_of(place: Place, text: Text) -> Artifact:
    """Open a text's corpus, or make it.

    Raises:
        BenchmarkError: the corpus' files are not there.
    """
    out = place.work / text.name / "corpus"
    if (out / MANIFEST).is_file():
        return Artifact.open(out, kind="corpus")
    if not text.is_whole:
        whole = next(other for other in TEXTS.values() if other.corpus == text.corpus and other.is_whole)
        return _part(corpus_of(place, whole), text, out)
    folder = place.corpora / text.corpus
    if not folder.is_dir():
        raise BenchmarkError(f"the texts of {text.name} are not here", where=str(folder), fix="name their folder with --corpora")
    source = Source(path=str(folder.resolve()), document="section", section_bytes=SECTION_BYTES)
    return build_corpus({"text": source}, CorpusConfig(), out, language=text.language, root=out.parent)


def _part(whole: Artifact, text: Text, out: Path) -> Artifact:
    """Write a corpus of some of the training documents: a smaller part lies within every larger one."""
    documents = list(read_documents(whole.path, "train"))
    sizes = np.array([len(document.text.encode("utf-8")) for document in documents])
    limit = min(text.share * sizes.sum(), text.max_bytes or float("inf"))
    order = np.random.default_rng(0).permutation(len(documents))
    chosen = set(order[np.cumsum(sizes[order]) <= limit].tolist())
    config = {"share": text.share, "max_bytes": text.max_bytes}
    with artifact.create(out, kind="corpus", format_version=1, inputs={"whole": whole}, config=config) as draft:
        for split in SPLITS:
            kept = documents if split == "train" else list(read_documents(whole.path, split))
            with JsonLinesWriter(draft.path / f"{split}.jsonl.zst") as file:
                for number, document in enumerate(kept):
                    if split != "train" or number in chosen:
                        file.write(document)
    return draft.result


def tokens_of(place: Place, text: Text, algorithm: Algorithm, vocabulary: int) -> tuple[Artifact, Artifact]:
    """Return a text's tokens and tokenizer, made if they are missing.

    Every system's tokenizer is learned from the text's training documents alone, by the same trainer, can write every byte, and
    ends every document with a token of its own.

    Args:
        place: where things are.
        text: what to encode.
        algorithm: of the tokenizer.
        vocabulary: its size, or the largest below it that the text supports; 0: rodna's plan chooses, and a character model takes all.
    """
    if algorithm == "bpe":
        vocabulary = vocabulary or text.vocabulary
    with place.alone():
        corpus = corpus_of(place, text)
        base = place.work / text.name / f"{algorithm}-{vocabulary or 'planned'}"
        if (base / "tokens" / MANIFEST).is_file():
            return Artifact.open(base / "tokens", kind="tokens"), Artifact.open(base / "tokenizer", kind="tokenizer")
        tokenizer = _tokenizer(corpus, algorithm, vocabulary, base / "tokenizer")
        return write_tokens(corpus, tokenizer, DataConfig(), base / "tokens"), tokenizer


def _tokenizer(corpus: Artifact, algorithm: Algorithm, size: int, out: Path) -> Artifact:
    while True:
        try:
            return train_tokenizer(corpus, TokenizerConfig(algorithm=algorithm, vocabulary_size=size or "planned"), out)
        except TokenizerError:
            smaller = int(size * SMALLER) // 64 * 64
            if smaller < SMALLEST_VOCABULARY:
                raise
            size = smaller


def test_tokens(place: Place, text: Text, tokens: Artifact, *, piece: str) -> Tokens:
    """Open the held-out documents, and note that somebody looked at them."""
    place.results.mkdir(parents=True, exist_ok=True)
    note_test_look(place, text.name, piece)
    return Tokens.open(tokens.path, "test")


def note_test_look(place: Place, text: str, piece: str) -> None:
    """Append one line to the list of looks at held-out text; a piece that is done again looks again."""
    line = {"text": text, "piece": piece, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    with (place.results / "test-looks.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
