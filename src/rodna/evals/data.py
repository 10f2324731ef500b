"""The text an evaluation works on: held-out documents, and as much of the training text as baselines are given."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rodna.core.artifact import Artifact
from rodna.core.errors import EvaluationError
from rodna.corpus.documents import Document, Split, read_documents

if TYPE_CHECKING:
    from rodna.data.tokens import Tokens

MAX_VALIDATION_BYTES = 2_000_000
"""Validation text that settings of the n-gram baseline are chosen on; more changes no choice and costs time."""


@dataclass(frozen=True)
class EvaluationData:
    """What an evaluator is given beside the model.

    Attributes:
        language: BCP-47 tag of the text.
        documents: the `test` split.
        tokens: the same documents as tokens, in the same order.
        train: training documents, or a sample of them.
        train_bytes: UTF-8 bytes of the whole training text.
        validation: validation documents, or a sample of them.
    """

    language: str
    documents: list[Document]
    tokens: "Tokens"
    train: list[str]
    train_bytes: int
    validation: list[str]

    @property
    def sampled_train_bytes(self) -> int:
        return sum(len(text.encode("utf-8")) for text in self.train)


def load_data(corpus: Artifact, tokens: Artifact, *, train_bytes: int, seed: int) -> EvaluationData:
    """Read what evaluators need.

    Args:
        corpus: the documents.
        tokens: the same, as tokens.
        train_bytes: most training text kept; a larger corpus is sampled by document.
        seed: of that sample.

    Raises:
        EvaluationError: there is no held-out text, or tokens and corpus do not hold the same documents.
    """
    from rodna.data.tokens import Tokens

    documents = list(read_documents(corpus.path, "test"))
    held_out = Tokens.open(tokens.path, "test")
    sizes = [len(document.text.encode("utf-8")) for document in documents]
    if not sum(sizes):
        raise EvaluationError(
            "there is no held-out text to measure the model on",
            where=str(corpus.path / "test.jsonl.zst"),
            fix="raise corpus.split.test, or add text, and run `rodna run` again",
        )
    if not np.array_equal(np.asarray(held_out.document_bytes), np.asarray(sizes)):
        raise EvaluationError(
            f"the tokens are not those of this corpus: {held_out.num_documents:,} documents of {held_out.num_bytes:,} bytes, "
            f"where the corpus has {len(sizes):,} of {sum(sizes):,}",
            where=str(tokens.path),
            fix="run `rodna run`, which encodes the corpus again",
        )
    train = Tokens.open(tokens.path, "train")
    validation = Tokens.open(tokens.path, "validation")
    return EvaluationData(
        language=documents[0].language,
        documents=documents,
        tokens=held_out,
        train=_sample(corpus, "train", train, limit=train_bytes, seed=seed),
        train_bytes=int(train.num_bytes),
        validation=_sample(corpus, "validation", validation, limit=MAX_VALIDATION_BYTES, seed=seed),
    )


def _sample(corpus: Artifact, split: Split, tokens: "Tokens", *, limit: int, seed: int) -> list[str]:
    """Return the documents of a split, or as many, drawn at random, as fit the limit; the last is cut where it must be."""
    sizes = np.asarray(tokens.document_bytes)
    if int(sizes.sum()) <= limit:
        return [document.text for document in read_documents(corpus.path, split)]
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.cumsum(sizes[order]) - sizes[order]
    room = {int(index): limit - int(used) for index, used in zip(order, before, strict=True) if used < limit}
    documents = enumerate(read_documents(corpus.path, split))
    return [document.text.encode("utf-8")[: room[index]].decode("utf-8", "ignore") for index, document in documents if index in room]
