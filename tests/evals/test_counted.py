"""Counts beside a checkpoint: what evaluation says of them, and what the model writes with them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.evals.byte_tokenizer import byte_tokenizer
from tests.evals.test_ensemble_scoring import SHAPE

from rodna.corpus.documents import Document
from rodna.data.tokens import Tokens
from rodna.evals.config import EvalConfig
from rodna.evals.counted import evaluate
from rodna.evals.data import EvaluationData
from rodna.evals.models.ensemble import EnsembleModel
from rodna.evals.models.model import DecoderModel
from rodna.evals.models.open import open_language_model
from rodna.models.checkpoint import save
from rodna.models.config import ModelConfig
from rodna.models.counted import FILE, Weighted
from rodna.models.counted import save as save_counts
from rodna.models.decoder import Decoder
from rodna.models.ensemble import Ensemble
from rodna.models.generate import Sampling
from rodna.models.ngram import NgramModel

TEXTS = ["the cat sat", "on the mat", "", "the cat sat on the mat again and again"]
GREEDY = Sampling(temperature=0, max_tokens=6)


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture(scope="module")
def tokens(tokenizer):
    end = tokenizer.end_of_text_id
    documents = [[*tokenizer.encode(text), end] for text in TEXTS]
    flat = np.array([token for document in documents for token in document], dtype="<u2")
    offsets, sizes = np.cumsum([0, *map(len, documents)]), np.array([len(text) for text in TEXTS])
    return Tokens(flat, offsets, sizes, end, tokenizer.vocabulary_size)


@pytest.fixture(scope="module")
def decoder(tokenizer):
    shape = SHAPE | {"vocabulary_size": tokenizer.vocabulary_size}
    return Decoder(ModelConfig(**shape, context_length=16)).initialize(seed=3)


@pytest.fixture(scope="module")
def counted(tokens):
    return Weighted(NgramModel.count(tokens, order=4), 0.6)


@pytest.fixture
def data(tokens):
    documents = [Document(str(place), text, "s", "en") for place, text in enumerate(TEXTS)]
    return EvaluationData("en", documents, tokens, train=[], train_bytes=0, validation=[])


def test_both_together_are_what_mixing_token_by_token_gives(decoder, counted, tokenizer, data):
    model = DecoderModel(decoder, tokenizer, counted=counted)
    found = {(item.task, item.metric): item for item in evaluate(model, data, EvalConfig()).measurements}

    nats = EnsembleModel(Ensemble([decoder], counted=counted), tokenizer).all_document_nats(data.tokens)
    together, alone = found["with_counts", "bits_per_byte"], found["counted", "bits_per_byte"]
    np.testing.assert_allclose(together.numerator_N, nats.ensemble_S / math.log(2), rtol=1e-5)
    np.testing.assert_allclose(alone.numerator_N, nats.counted_S / math.log(2), rtol=1e-6)
    saved = nats.members_MS[0] / math.log(2) - together.numerator_N
    np.testing.assert_allclose(found["with_counts", "gain"].numerator_N, saved, rtol=1e-4, atol=1e-6)
    assert together.denominator_N.sum() == sum(map(len, TEXTS))
    assert together.detail == {"order": 4, "ngrams": counted.model.num_ngrams, "weight": 0.6}


def test_a_model_without_counts_or_without_tokens_has_no_such_row(decoder, counted, tokenizer, data):
    assert evaluate(DecoderModel(decoder, tokenizer), data, EvalConfig()).measurements == []
    model = DecoderModel(decoder, tokenizer, counted=counted)
    assert evaluate(model, replace(data, tokens=None), EvalConfig()).measurements == []


def test_whatever_is_scored_is_scored_without_counts(decoder, counted, tokenizer, tokens):
    plain, beside = DecoderModel(decoder, tokenizer), DecoderModel(decoder, tokenizer, counted=counted)

    np.testing.assert_array_equal(plain.document_nats(tokens), beside.document_nats(tokens))
    assert plain.score(["the "], ["cat"]) == beside.score(["the "], ["cat"])
    assert plain.score_documents(TEXTS) == beside.score_documents(TEXTS)


def test_documents_cost_the_sum_of_their_tokens(decoder, tokenizer, tokens):
    for dtype in (torch.float32, torch.bfloat16):
        model = DecoderModel(decoder, tokenizer, compute_dtype=dtype)
        nats_N = model.token_nats(tokens)
        assert nats_N.shape == (tokens.num_tokens,)
        parts = [nats_N[start:stop].sum() for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]
        np.testing.assert_allclose(model.document_nats(tokens), parts, rtol=1e-12)


def test_what_is_written_has_the_counts_in_it(decoder, counted, tokenizer):
    written = DecoderModel(decoder, tokenizer, counted=counted).generate(["the cat", "on"], GREEDY)

    assert written == EnsembleModel(Ensemble([decoder], counted=counted), tokenizer).generate(["the cat", "on"], GREEDY)
    assert written != DecoderModel(decoder, tokenizer).generate(["the cat", "on"], GREEDY)


def test_counts_that_lie_in_a_checkpoints_folder_are_opened_with_it(decoder, counted, tokenizer, tokens, tmp_path):
    tokenizer.save(tmp_path)
    save(tmp_path / "model", decoder, tmp_path)
    assert open_language_model(str(tmp_path / "model"), EvalConfig()).counted is None
    save_counts(tmp_path / "model" / FILE, counted)

    opened = open_language_model(str(tmp_path / "model"), EvalConfig())

    assert isinstance(opened, DecoderModel)
    assert opened.counted.weight == 0.6
    np.testing.assert_array_equal(opened.counted.model.token_nats(tokens), counted.model.token_nats(tokens))
