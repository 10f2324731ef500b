import math

import numpy as np
import pytest
import torch

from rodna.evals.likelihood.encoding import Encoded
from rodna.evals.likelihood.reader import Reader
from rodna.evals.likelihood.scoring import continuation_nats, document_nats, validation_bits_per_byte
from rodna.models.decoder import Decoder

CONTEXT, END = 16, 0
FLOAT = torch.float32


def cost_of_one_token(decoder, before, token):
    """The slow, obvious way: run the decoder on everything before, read the last position."""
    decoder.eval()
    with torch.no_grad():
        logits_V = decoder.logits(decoder(torch.tensor([before])))[0, -1].double()
    return float(logits_V.logsumexp(0) - logits_V[token])


def cost_of_a_document(decoder, document, stride):
    """Token by token; past the first window, in windows that end with a multiple of the stride or with the document."""
    stream, nats = [END, *document], 0.0
    for place, token in enumerate(document):
        stop = CONTEXT if place < CONTEXT else min(len(document), CONTEXT + stride * math.ceil((place + 1 - CONTEXT) / stride))
        nats += cost_of_one_token(decoder, stream[max(0, stop - CONTEXT) : place + 1], token)
    return nats


def documents_of(tokens):
    return [tokens.tokens[start:stop].tolist() for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]


@pytest.mark.parametrize("stride", [1, 5, 8, 16])
def test_documents_cost_what_scoring_them_token_by_token_says(decoder, tokens, stride):
    expected = [cost_of_a_document(decoder, document, stride) for document in documents_of(tokens)]
    found = document_nats(decoder, tokens, stride=stride / CONTEXT, batch_size=3, compute_dtype=FLOAT)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_batch_size_changes_nothing_but_rounding(decoder, tokens):
    one, many = (document_nats(decoder, tokens, stride=0.5, batch_size=size, compute_dtype=FLOAT) for size in (1, 64))
    np.testing.assert_allclose(one, many, rtol=1e-6)
    assert abs(one.sum() - many.sum()) / many.sum() < 1e-6


def test_the_end_of_a_document_is_paid_for(decoder, tokens):
    empty = tokens.document_bytes.tolist().index(0)
    nats = document_nats(decoder, tokens, stride=0.5, batch_size=8, compute_dtype=FLOAT)
    assert nats[empty] == pytest.approx(cost_of_one_token(decoder, [END], END), rel=1e-5)


def test_scoring_switches_dropout_off_and_leaves_the_mode_as_it_was(decoder, tokens):
    decoder.train()
    first, second = (document_nats(decoder, tokens, stride=0.5, batch_size=8, compute_dtype=FLOAT) for _ in range(2))
    assert decoder.training
    np.testing.assert_array_equal(first, second)


def test_a_biased_head_is_scored_with_its_bias(decoder, tokens):
    before = document_nats(decoder, tokens, stride=0.5, batch_size=8, compute_dtype=FLOAT)
    bias_V = torch.zeros(decoder.config.vocabulary_size)
    bias_V[END] = 3.0
    decoder.head.bias = torch.nn.Parameter(bias_V)
    after = document_nats(decoder, tokens, stride=0.5, batch_size=8, compute_dtype=FLOAT)
    np.testing.assert_allclose(after[3], cost_of_one_token(decoder, [END], END), rtol=1e-5)
    assert before[3] > after[3]


def test_a_model_beyond_the_families_is_scored_with_its_capped_logits(decoder, tokens):
    plain = document_nats(decoder, tokens, stride=0.5, batch_size=8, compute_dtype=FLOAT)
    steps = {"logit_softcap": 0.5, "attention_gates": True, "unet_skips": True, "value_residual": "embedding"}
    model = Decoder(decoder.config.model_copy(update=steps)).initialize(seed=1)
    found = document_nats(model, tokens, stride=0.5, batch_size=8, compute_dtype=FLOAT)
    np.testing.assert_allclose(found, [cost_of_a_document(model, document, 8) for document in documents_of(tokens)], rtol=1e-5)
    assert abs(found - plain).min() > 1e-4


def test_bfloat16_is_close_to_float32(decoder, tokens):
    exact, rough = (
        document_nats(decoder, tokens, stride=0.5, batch_size=8, compute_dtype=dtype).sum() for dtype in (FLOAT, torch.bfloat16)
    )
    assert rough == pytest.approx(exact, rel=0.02)


def test_a_text_costs_its_beginning_plus_the_rest_after_it(decoder):
    text = [5, 9, 9, 31, 4, 7, 20]
    pairs = [Encoded([END], text), Encoded([END], text[:3]), Encoded([END, *text[:3]], text[3:])]
    (whole, start, rest), _ = continuation_nats(Reader(decoder, FLOAT), pairs, stride=0.5, batch_size=4)
    np.testing.assert_allclose(whole, [*start, *rest], rtol=1e-5)
    np.testing.assert_allclose(whole, [cost_of_one_token(decoder, [END, *text[:n]], text[n]) for n in range(7)], rtol=1e-5)


def test_a_long_context_is_seen_up_to_the_window_and_an_empty_continuation_is_free(decoder):
    context = np.random.default_rng(0).integers(1, 50, size=57).tolist()
    pairs = [Encoded(context, [8]), Encoded(context, []), Encoded(context[:CONTEXT], [8])]
    nats, cut = continuation_nats(Reader(decoder, FLOAT), pairs, stride=0.5, batch_size=4)
    np.testing.assert_allclose(nats[0], cost_of_one_token(decoder, context[-CONTEXT:], 8), rtol=1e-5)
    assert len(nats[1]) == 0
    assert cut == [True, False, False]


def test_validation_divides_all_nats_by_all_bytes(decoder, tokens):
    nats = document_nats(decoder, tokens, stride=1.0, batch_size=8, compute_dtype=FLOAT).sum()
    bits, per_token = validation_bits_per_byte(decoder, tokens, batch_size=8, compute_dtype=FLOAT)
    assert bits == pytest.approx(nats / math.log(2) / tokens.num_bytes, rel=1e-9)
    assert per_token == pytest.approx(nats / tokens.num_tokens, rel=1e-9)


def test_validation_of_a_part_is_the_same_each_time_and_near_the_whole(decoder, tokens):
    whole, first, second = (
        validation_bits_per_byte(decoder, tokens, batch_size=8, compute_dtype=FLOAT, max_tokens=limit)[0] for limit in (0, 120, 120)
    )
    assert first == second != whole
    assert first == pytest.approx(whole, rel=0.15)
