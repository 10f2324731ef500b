"""Scoring against the slow, obvious way: one pair at a time, one window after another, whole softmaxes in float64."""

import random

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers, trainers

from rodna.core.errors import EvaluationError
from rodna.evals.likelihood.encoding import Encoded, encode_pairs
from rodna.evals.likelihood.prefixes import plant
from rodna.evals.likelihood.processes import ReaderPool
from rodna.evals.likelihood.reader import Reader, token_in_pairs
from rodna.evals.likelihood.readings import Reading, plan
from rodna.evals.likelihood.scoring import continuation_nats
from rodna.evals.models.model import DecoderModel, LanguageModel
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.tokenizer.tokenizer import Tokenizer

FLOAT, CONTEXT, VOCABULARY = torch.float32, 24, 60
SHAPE = {"vocabulary_size": VOCABULARY, "context_length": CONTEXT, "width": 16, "num_layers": 3, "num_heads": 4, "head_width": 4,
         "num_kv_heads": 2, "ffn_width": 24}  # fmt: skip
FAMILIES = {
    "qwen3": {},
    "llama": {"qk_norm": False, "tied_embeddings": True},
    "gpt2": {"norm": "layer", "qk_norm": False, "ffn": "gelu", "ffn_bias": True, "position": "learned", "attention_bias": True,
             "num_kv_heads": 4},
    "gptj": {"norm": "layer", "qk_norm": False, "ffn": "gelu", "ffn_bias": True, "block": "parallel", "rotary_pairs": "neighbours",
             "rotary_width": 2, "head_bias": True, "num_kv_heads": 4},
    "steps": {"attention_gates": True, "value_residual": "embedding", "unet_skips": True, "residual_scalars": True, "layer_loops": 2,
              "logit_softcap": 4.0, "ffn": "relu2"},
    "first_layer": {"value_residual": "first_layer", "dropout": 0.4},
}  # fmt: skip


def make_decoder(family, *, seed=3):
    """Weights so large that context matters, none of them where it starts."""
    model = Decoder(ModelConfig.model_validate({**SHAPE, **FAMILIES[family]})).initialize(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


def make_pairs(count=40, *, seed=5):
    """Pairs that share beginnings of every length, with repeats, one-token contexts, and some longer than the context."""
    draw = np.random.default_rng(seed)
    stems = [draw.integers(1, VOCABULARY, size=size).tolist() for size in (1, 3, 7, 12, 30)]
    pairs = []
    for _ in range(count):
        stem = stems[draw.integers(len(stems))]
        context = stem[: draw.integers(1, len(stem) + 1)]
        pairs.append(Encoded(tuple(context), tuple(draw.integers(1, 4, size=draw.integers(1, 9)).tolist())))
    return [*pairs, *pairs[:5], Encoded((0,), tuple(range(1, 60))), Encoded(tuple(stems[4]), tuple(range(1, 50))), Encoded((0,), ())]


def slow_nats(decoder, pair, *, step):
    """Read the window a token belongs to, up to the token before it, and take the whole softmax."""
    stream, start = [*pair.context, *pair.continuation], len(pair.context)
    nats = []
    for place in range(start, len(stream)):
        stop = len(stream)
        if len(pair.continuation) > CONTEXT:
            stop = CONTEXT + 1
            while stop <= place:
                stop += step
            stop = min(stop, len(stream))
        window = stream[max(0, stop - CONTEXT - 1) : place]
        with torch.no_grad():
            logits_V = decoder.logits(decoder(torch.tensor([window])))[0, -1].double()
        nats.append(float(logits_V.logsumexp(0) - logits_V[stream[place]]))
    return nats


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pair_costs_what_reading_it_alone_says(family):
    decoder, pairs = make_decoder(family), make_pairs()
    found, cut = continuation_nats(Reader(decoder, FLOAT), pairs, stride=0.25, batch_size=4)
    for pair, nats, is_cut in zip(pairs, found, cut, strict=True):
        np.testing.assert_allclose(nats, slow_nats(decoder, pair, step=6), rtol=2e-5, atol=2e-5)
        assert is_cut == (len(pair.context) + len(pair.continuation) > CONTEXT + 1 and len(pair.continuation) > 0)


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_neither_the_batch_nor_the_order_nor_the_company_changes_a_cost(family):
    reader, pairs = Reader(make_decoder(family), FLOAT), make_pairs()
    shuffled = random.Random(1).sample(range(len(pairs)), len(pairs))
    costs = {
        "all": [part.sum() for part in continuation_nats(reader, pairs, stride=0.5, batch_size=8)[0]],
        "again": [part.sum() for part in continuation_nats(reader, pairs, stride=0.5, batch_size=8)[0]],
        "small batches": [part.sum() for part in continuation_nats(reader, pairs, stride=0.5, batch_size=1)[0]],
        "alone": [continuation_nats(reader, [pair], stride=0.5, batch_size=8)[0][0].sum() for pair in pairs],
    }
    mixed, _ = continuation_nats(reader, [pairs[place] for place in shuffled], stride=0.5, batch_size=8)
    costs["shuffled"] = [mixed[shuffled.index(place)].sum() for place in range(len(pairs))]
    for name in ("small batches", "alone"):
        np.testing.assert_allclose(costs[name], costs["all"], rtol=1e-6, atol=1e-6)
    assert costs["again"] == costs["all"] == costs["shuffled"]


def test_sharing_changes_nothing_but_the_work():
    decoder = make_decoder("qwen3")
    readings = sorted({reading for pair in make_pairs() for reading in plan(pair, context_length=CONTEXT, step=6).readings})
    reader, costs, work = Reader(decoder, FLOAT), [], []
    for worth in (-1e9, token_in_pairs(decoder.config), 1e9):
        forest = plant(readings, token_in_pairs=worth)
        nats_N = np.zeros(len(forest.token_N))
        for batch in forest.batches(64):
            nats_N[batch.nodes_C] = reader.nats(batch)
        paths = zip(forest.path_starts[:-1], forest.path_starts[1:], strict=True)
        costs.append(
            [nats_N[forest.paths[start + reading.first : stop]].sum() for reading, (start, stop) in zip(readings, paths, strict=True)]
        )
        work.append(int(forest.is_run_N.sum()))
    assert work[0] == sum(len(reading.tokens) - 1 for reading in readings)
    assert work[2] == len({reading.tokens[:size] for reading in readings for size in range(1, len(reading.tokens))})
    assert work[0] > work[1] >= work[2]
    np.testing.assert_allclose(costs[1], costs[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(costs[2], costs[0], rtol=1e-6, atol=1e-6)


def test_equal_pairs_cost_the_same_to_the_last_bit():
    pairs = make_pairs()
    found, _ = continuation_nats(Reader(make_decoder("llama"), FLOAT), pairs, stride=0.5, batch_size=2)
    for first, second in zip(found[:5], found[40:45], strict=True):
        np.testing.assert_array_equal(first, second)


def test_one_text_scored_from_different_places_is_read_once():
    text = (5, 9, 2, 7, 3)
    readings = sorted([Reading(text, 1), Reading(text, 3), Reading(text[:3], 2)])
    forest = plant(readings, token_in_pairs=1e9)
    assert len(forest.token_N) == len(text)
    assert int(forest.is_run_N.sum()) == len(text) - 1
    (batch,) = forest.batches(100)
    assert sorted(batch.targets_C.tolist()) == sorted(text[1:])


def test_bfloat16_is_near_float32():
    decoder, pairs = make_decoder("qwen3"), make_pairs()
    exact, rough = (
        sum(part.sum() for part in continuation_nats(Reader(decoder, dtype), pairs, stride=0.5, batch_size=4)[0])
        for dtype in (FLOAT, torch.bfloat16)
    )
    assert rough == pytest.approx(exact, rel=0.02)
    assert rough != exact


def test_scoring_never_uses_dropout():
    pairs = make_pairs(10)
    decoder = make_decoder("first_layer").train()
    found, _ = continuation_nats(Reader(decoder, FLOAT), pairs, stride=0.5, batch_size=4)
    expected, _ = continuation_nats(Reader(decoder.eval(), FLOAT), pairs, stride=0.5, batch_size=4)
    for first, second in zip(found, expected, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.fixture(scope="module")
def tokenizer():
    """A few merges of a text in two scripts, so that tokens can reach over the end of a context."""
    backend = Backend(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(["the cat sat on the mat", "над ракой стаіць хата над ракой"] * 5, trainer)
    return Tokenizer(backend)


@pytest.fixture(scope="module")
def model(tokenizer):
    shape = {**SHAPE, "vocabulary_size": tokenizer.vocabulary_size, "context_length": 32}
    return DecoderModel(Decoder(ModelConfig.model_validate(shape)).initialize(seed=2), tokenizer, where="somewhere")


def test_pairs_are_encoded_as_lm_evaluation_harness_encodes_them(tokenizer):
    contexts = ["", "the cat", "the cat ", "над ", "  \n"]
    continuations = ["the cat", " sat", "sat", "ракой", "the"]
    found = encode_pairs(tokenizer.encode_batch, contexts, continuations, start_id=0)
    for pair, context, continuation in zip(found, contexts, continuations, strict=True):
        kept = context.rstrip()
        whole, before = tokenizer.encode(context + continuation), tokenizer.encode(kept)
        assert list(pair.context) == (before or [0])
        assert list(pair.continuation) == whole[len(before) :]


def test_a_continuation_that_the_tokenizer_joins_to_its_context_is_encoded_apart(tokenizer):
    assert len(tokenizer.encode("the")) == 1
    (pair,) = encode_pairs(tokenizer.encode_batch, ["th"], ["e"], start_id=0)
    apart = encode_pairs(tokenizer.encode_batch, ["t"], ["he"], start_id=0)[0]
    assert tokenizer.decode([*apart.context, *apart.continuation]) == "the"
    assert tokenizer.decode([*pair.context, *pair.continuation]) == "the"
    assert len(apart.continuation) > 0 < len(pair.continuation)


def test_a_document_costs_all_its_tokens_and_its_end(model, tokenizer):
    assert isinstance(model, LanguageModel)
    text, end = "the cat", tokenizer.end_of_text_id
    short, empty, long = model.score_documents([text, "", "над ракой стаіць " * 20])
    (expected,), _ = continuation_nats(model.reader, [Encoded((end,), (*tokenizer.encode(text), end))], stride=0.5, batch_size=4)
    assert short.nats == pytest.approx(expected.sum(), rel=1e-6)
    assert (short.num_tokens, short.is_cut, empty.num_tokens) == (len(tokenizer.encode(text)) + 1, False, 1)
    assert long.is_cut


def test_a_score_says_whether_the_context_was_cut_and_nothing_costs_nothing(model):
    fits, cut, nothing = model.score(["the", "над ракой " * 40, "the"], [" cat", " стаіць", ""])
    assert (fits.is_cut, cut.is_cut) == (False, True)
    assert (nothing.nats, nothing.num_tokens, nothing.is_cut) == (0, 0, False)


def test_a_model_says_what_it_is(model, tokenizer):
    found = model.description
    assert (found["where"], found["kind"], found["context_length"]) == ("somewhere", "decoder", 32)
    assert found["parameters"] == sum(parameter.numel() for parameter in model.decoder.parameters())
    assert found["tokenizer"]["vocabulary_size"] == tokenizer.vocabulary_size


@pytest.mark.slow
def test_several_processes_say_what_one_says(model, tokens_of_texts):
    pool = DecoderModel(model.decoder, model.tokenizer, processes=2)
    texts = ["the cat sat", "the cat on", "над ракой", "", "the mat " * 30]
    try:
        for one, two in zip(model.score(["the"] * 5, texts), pool.score(["the"] * 5, texts), strict=True):
            assert two.nats == pytest.approx(one.nats, rel=1e-6)
            assert (two.num_tokens, two.is_cut) == (one.num_tokens, one.is_cut)
        np.testing.assert_allclose(pool.document_nats(tokens_of_texts), model.document_nats(tokens_of_texts), rtol=1e-6)
    finally:
        pool.reader.close()


@pytest.fixture
def tokens_of_texts(tokenizer):
    from rodna.data.tokens import Tokens

    texts = ["the cat sat", "", "над ракой стаіць " * 12]
    pieces = [[*tokenizer.encode(text), tokenizer.end_of_text_id] for text in texts]
    flat = np.array([token for piece in pieces for token in piece], dtype="<u2")
    sizes = np.array([len(text.encode()) for text in texts])
    return Tokens(flat, np.cumsum([0, *map(len, pieces)]), sizes, tokenizer.end_of_text_id, tokenizer.vocabulary_size)


def test_processes_on_a_device_that_is_no_cpu_are_refused():
    with torch.device("meta"):
        decoder = Decoder(ModelConfig.model_validate(SHAPE))
    with pytest.raises(EvaluationError, match=r"2 processes cannot score on one meta device\n  where: eval.processes\n  fix:   set"):
        ReaderPool(decoder, FLOAT, 2)
