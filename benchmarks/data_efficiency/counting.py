"""What counting and compressing alone make of the same text: n-gram models of bytes and of tokens, and xz."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from benchmarks.data_efficiency.scoring import Scored
from benchmarks.data_efficiency.texts import Place, Text, corpus_of, note_test_look, test_tokens, tokens_of

from rodna.core.artifact import Artifact
from rodna.corpus.documents import Split, read_documents
from rodna.data.tokens import Tokens
from rodna.evals.baselines import xz_size
from rodna.evals.likelihood.scoring import sum_documents
from rodna.evals.ngram import END, best_ngram
from rodna.models.ngram import NgramModel

MAX_ORDER = 12
VOCABULARIES, ORDERS = (512, 1024, 2048, 4096, 8192), (3, 4, 5, 6)
"""Of the n-grams of subwords that are tried; larger vocabularies end at the longest that 62 bits hold: five tokens of 2,048."""


def texts_of(place: Place, text: Text, split: Split) -> list[bytes]:
    """Return the documents of a split as bytes."""
    with place.alone():
        corpus = corpus_of(place, text)
    return [document.text.encode("utf-8") for document in read_documents(corpus.path, split)]


def count_ngrams(place: Place, text: Text, *, piece: str) -> tuple[Scored, dict[str, Any]]:
    """Score held-out text with the byte n-gram model whose order and smoothing did best on validation."""
    train, validation = texts_of(place, text, "train"), texts_of(place, text, "validation")
    note_test_look(place, text.name, piece)
    held_out = texts_of(place, text, "test")
    found = best_ngram(train, validation, held_out, max_order=MAX_ORDER)
    looks = sum(map(len, found.validation_bits_per_byte.values()))
    validation_bits = min(min(curve) for curve in found.validation_bits_per_byte.values())
    detail = {"order": found.order, "smoothing": found.smoothing, "validation_looks": looks, "validation_bits_per_byte": validation_bits}
    return Scored(found.bits_D, sizes(held_out)), detail


def count_tokens(place: Place, text: Text, *, piece: str) -> tuple[Scored, dict[str, Any]]:
    """Score held-out text with the n-gram model of subwords whose vocabulary and order did best on validation."""
    found: list[tuple[float, NgramModel, Artifact]] = []
    for vocabulary in VOCABULARIES:
        tokens, _ = tokens_of(place, text, "bpe", vocabulary)
        validation = Tokens.open(tokens.path, "validation")
        for order in ORDERS:
            model = NgramModel.count(Tokens.open(tokens.path, "train"), order=order)
            if model.order < order:
                break
            bits = float(model.token_nats(validation).sum()) / math.log(2) / validation.num_bytes
            found.append((bits, model, tokens))
    bits, model, tokens = min(found, key=lambda item: item[0])
    held_out = test_tokens(place, text, tokens, piece=piece)
    bits_D = sum_documents(model.token_nats(held_out), held_out) / math.log(2)
    detail = {"order": model.order, "vocabulary": model.vocabulary_size, "validation_looks": len(found), "validation_bits_per_byte": bits}
    return Scored(bits_D, np.asarray(held_out.document_bytes)), detail


def compress(place: Place, text: Text, *, piece: str) -> tuple[Scored, dict[str, Any]]:
    """Charge held-out text what `xz -9` needs for it beyond the training text; the total is spread evenly over the bytes."""
    train = _marked(texts_of(place, text, "train"))
    note_test_look(place, text.name, piece)
    validation, held_out = texts_of(place, text, "validation"), texts_of(place, text, "test")
    base = xz_size(train)
    rates = [8 * (xz_size(train + _marked(part)) - base) / sizes(part).sum() for part in (validation, held_out)]
    return Scored(rates[1] * sizes(held_out), sizes(held_out)), {"validation_bits_per_byte": rates[0], "validation_looks": 1}


def sizes(documents: Sequence[bytes]) -> "np.ndarray":
    """Return the bytes of each document."""
    return np.array([len(document) for document in documents], dtype=np.int64)


def _marked(documents: Sequence[bytes]) -> bytes:
    return b"".join(document + bytes([END]) for document in documents)
