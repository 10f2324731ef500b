"""The text an evaluation works on: held-out documents, and as much of the training text as baselines are given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rodna.core.artifact import Artifact
from rodna.core.errors import EvaluationError
from rodna.corpus.documents import Document, Split, read_documents

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rodna.data.tokens import Tokens

MAX_VALIDATION_BYTES = 2_000_000
"""Validation text that settings of the n-gram baseline are chosen on; more changes no choice and costs time."""


@dataclass(frozen=True)
class EvaluationData:
    """What an evaluator is given beside the model.

    Attributes:
        language: BCP-47 tag of the text.
        documents: the `test` split.
        tokens: the same documents as tokens, in the same order; None where the model brings a tokenizer of its own.
        train: training documents, or a sample of them.
        train_bytes: UTF-8 bytes of the whole training text.
        validation: validation documents, or a sample of them.
    """

    language: str
    documents: list[Document]
    tokens: "Tokens | None"
    train: list[str]
    train_bytes: int
    validation: list[str]
    train_ids: Sequence[str] = ()
    """Of the documents in `train`, in the same order; empty where they are not known."""

    @property
    def sampled_train_bytes(self) -> int:
        return sum(len(text.encode("utf-8")) for text in self.train)


def load_data(corpus: Artifact, tokens: Artifact | None, *, train_bytes: int, seed: int) -> EvaluationData:
    """Read what evaluators need.

    Args:
        corpus: the documents.
        tokens: the same, as tokens; None where the model brings a tokenizer of its own.
        train_bytes: most training text kept; a larger corpus is sampled by document.
        seed: of that sample.

    Raises:
        EvaluationError: there is no held-out text, or tokens and corpus do not hold the same documents.
    """
    documents = list(read_documents(corpus.path, "test"))
    if not any(document.text for document in documents):
        raise EvaluationError(
            "there is no held-out text to measure the model on",
            where=str(corpus.path / "test.jsonl.zst"),
            fix="raise corpus.split.test, or add text, and run `rodna run` again",
        )
    train_sizes, validation_sizes = _sizes(corpus, tokens, "train"), _sizes(corpus, tokens, "validation")
    train = _sample(corpus, "train", train_sizes, limit=train_bytes, seed=seed)
    validation = _sample(corpus, "validation", validation_sizes, limit=MAX_VALIDATION_BYTES, seed=seed)
    return EvaluationData(
        language=documents[0].language,
        documents=documents,
        tokens=None if tokens is None else _held_out_tokens(tokens, documents),
        train=[text for _, text in train],
        train_bytes=int(train_sizes.sum()),
        validation=[text for _, text in validation],
        train_ids=[identity for identity, _ in train],
    )


def _held_out_tokens(tokens: Artifact, documents: Sequence[Document]) -> "Tokens":
    """Return the tokens of the held-out documents.

    Raises:
        EvaluationError: they are those of other documents.
    """
    from rodna.data.tokens import Tokens

    held_out = Tokens.open(tokens.path, "test")
    sizes = [len(document.text.encode("utf-8")) for document in documents]
    if not np.array_equal(np.asarray(held_out.document_bytes), np.asarray(sizes)):
        raise EvaluationError(
            f"the tokens are not those of this corpus: {held_out.num_documents:,} documents of {held_out.num_bytes:,} bytes, "
            f"where the corpus has {len(sizes):,} of {sum(sizes):,}",
            where=str(tokens.path),
            fix="run `rodna run`, which encodes the corpus again",
        )
    return held_out


def _sizes(corpus: Artifact, tokens: Artifact | None, split: Split) -> "NDArray[np.int64]":
    """Return the UTF-8 bytes of each document of a split; tokens know them without reading the text."""
    if tokens is None:
        return np.array([len(document.text.encode("utf-8")) for document in read_documents(corpus.path, split)], dtype=np.int64)
    from rodna.data.tokens import Tokens

    return np.asarray(Tokens.open(tokens.path, split).document_bytes, dtype=np.int64)


def _sample(corpus: Artifact, split: Split, size_D: "NDArray[np.int64]", *, limit: int, seed: int) -> list[tuple[str, str]]:
    """Return id and text of the documents of a split, or as many, drawn at random, as fit the limit; the last is cut where it must be."""
    if int(size_D.sum()) <= limit:
        return [(document.id, document.text) for document in read_documents(corpus.path, split)]
    order = np.random.default_rng(seed).permutation(len(size_D))
    before = np.cumsum(size_D[order]) - size_D[order]
    room = {int(index): limit - int(used) for index, used in zip(order, before, strict=True) if used < limit}
    documents = enumerate(read_documents(corpus.path, split))
    return [
        (document.id, document.text.encode("utf-8")[: room[index]].decode("utf-8", "ignore"))
        for index, document in documents
        if index in room
    ]
