import math

import numpy as np
import pytest
import torch
from tests.evals.byte_tokenizer import byte_tokenizer

from rodna.core.artifact import create
from rodna.core.errors import EvaluationError
from rodna.corpus.documents import Document
from rodna.data.tokens import Tokens
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.evaluate import open_model
from rodna.evals.likelihood.encoding import Encoded
from rodna.evals.likelihood.scoring import document_nats
from rodna.evals.models.ensemble import EnsembleModel, evaluate
from rodna.evals.models.model import DecoderModel, LanguageModel
from rodna.models.checkpoint import save
from rodna.models.config import ModelConfig
from rodna.models.counted import Weighted, mixed_nats
from rodna.models.decoder import Decoder
from rodna.models.ensemble import Ensemble
from rodna.models.generate import Sampling
from rodna.models.ngram import NgramModel

VOCABULARY, END = 257, 256
SHAPE = {"vocabulary_size": VOCABULARY, "width": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 1, "head_width": 8, "ffn_width": 24}
GPT2 = {"norm": "layer", "norm_epsilon": 1e-5, "qk_norm": False, "ffn": "gelu", "ffn_bias": True, "position": "learned",
        "attention_bias": True, "num_kv_heads": 2}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture(scope="module")
def members():
    """Three architectures and context lengths; weights large enough for context to matter."""
    configs = [ModelConfig(**SHAPE, context_length=16, dropout=0.3), ModelConfig(**SHAPE | GPT2, context_length=9),
               ModelConfig(**SHAPE, context_length=12, tied_embeddings=True)]  # fmt: skip
    decoders_ = [Decoder(config).initialize(seed=seed) for seed, config in enumerate(configs)]
    with torch.no_grad():
        for decoder in decoders_:
            for parameter in decoder.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(8)
    return decoders_


@pytest.fixture(scope="module")
def tokens():
    """Documents shorter and longer than the contexts, one of them empty."""
    random = np.random.default_rng(2)
    documents = [[*random.integers(0, 256, size=size).tolist(), END] for size in (3, 31, 9, 0, 16)]
    offsets = np.cumsum([0, *map(len, documents)])
    flat = np.array([token for document in documents for token in document], dtype="<u2")
    return Tokens(flat, offsets, np.array([len(document) - 1 for document in documents]), END, VOCABULARY)


def averaged_cost(members, stream, place, *, stride=0.5):
    """The slow, obvious way: softmax of every member over its window, averaged, in float64."""
    probabilities = []
    for member in members:
        context = member.config.context_length
        step = max(1, round(stride * context))
        stop = context if place < context else min(len(stream) - 1, context + step * math.ceil((place + 1 - context) / step))
        with torch.no_grad():
            hidden = member.eval()(torch.tensor([stream[max(0, stop - context) : place + 1]]))
            probabilities.append(member.logits(hidden)[0, -1].double().softmax(0)[stream[place + 1]])
    return -math.log(float(torch.stack(probabilities).mean()))


def documents_of(tokens):
    return [tokens.tokens[start:stop].tolist() for start, stop in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True)]


def test_an_ensemble_costs_what_averaging_whole_softmaxes_token_by_token_says(members, tokens, tokenizer):
    expected = [sum(averaged_cost(members, [END, *document], place) for place in range(len(document))) for document in documents_of(tokens)]

    found = EnsembleModel(Ensemble(members), tokenizer, batch_size=3).document_nats(tokens)

    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_members_alone_cost_what_they_cost_by_themselves(members, tokens, tokenizer):
    nats = EnsembleModel(Ensemble(members), tokenizer, batch_size=3).all_document_nats(tokens)

    alone = [document_nats(member, tokens, stride=0.5, batch_size=3, compute_dtype=torch.float32) for member in members]
    np.testing.assert_array_equal(nats.members_MS, alone)
    together, each = nats.bits_per_byte(tokens.num_bytes)
    assert together == pytest.approx(nats.ensemble_S.sum() / tokens.num_bytes / math.log(2))
    assert each == pytest.approx([cost.sum() / tokens.num_bytes / math.log(2) for cost in alone])


def test_an_average_never_costs_more_than_its_members_do_on_average(members, tokens, tokenizer):
    nats = EnsembleModel(Ensemble(members), tokenizer).all_document_nats(tokens)

    assert np.all(nats.ensemble_S < nats.members_MS.mean(0))


def test_one_member_several_times_over_is_that_member(members, tokens, tokenizer):
    one, three = (EnsembleModel(Ensemble([members[0]] * count), tokenizer).document_nats(tokens) for count in (1, 3))

    np.testing.assert_allclose(three, one, rtol=1e-12)


def test_continuations_cost_what_averaging_token_by_token_says(members, tokenizer):
    model = EnsembleModel(Ensemble(members), tokenizer)

    first, second, nothing = model.score(["ab", "", "x"], ["cde", "хата", ""])

    stream = tokenizer.encode("abcde")
    assert first.nats == pytest.approx(sum(averaged_cost(members, stream, place) for place in (1, 2, 3)), rel=1e-5)
    assert first.num_tokens == 3
    stream = [END, *tokenizer.encode("хата"), END]
    assert second.nats == pytest.approx(sum(averaged_cost(members, stream, place) for place in range(8)), rel=1e-5)
    assert (nothing.nats, nothing.num_tokens) == (pytest.approx(0, abs=1e-12), 0)


def test_an_ensemble_writes_the_tokens_that_are_likeliest_on_average(members, tokenizer):
    model = EnsembleModel(Ensemble(members), tokenizer)

    written = model.generate(["ab", "c"], Sampling(temperature=0, max_tokens=4))

    assert isinstance(model, LanguageModel)
    for prompt, text in zip(["ab", "c"], written, strict=True):
        stream = tokenizer.encode(prompt)
        for _ in range(4):
            with torch.no_grad():
                mean_V = sum(member.eval().logits(member(torch.tensor([stream])))[0, -1].softmax(0) for member in members)
            if (token := int(mean_V.argmax())) == END:
                break
            stream.append(token)
        assert text == tokenizer.decode(stream)[len(prompt) :]


def test_an_ensembles_artifact_opens_as_one_model(members, tokens, tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    with create(tmp_path / "ensemble-00000000", kind="ensemble", format_version=1, inputs={}, config={}) as draft:
        for number, member in enumerate(members, 1):
            save(draft.path / f"member-{number:02d}", member, tmp_path)

    opened = open_model(draft.result, EvalConfig(stride=0.5, compute_dtype="float32"))

    assert isinstance(opened, EnsembleModel)
    expected = EnsembleModel(Ensemble(members), tokenizer).document_nats(tokens)
    np.testing.assert_allclose(opened.document_nats(tokens), expected, rtol=1e-6)


def test_averaged_logits_cannot_be_scored_token_by_token(members, tokenizer):
    with pytest.raises(EvaluationError, match="averages logits cannot be scored token by token"):
        EnsembleModel(Ensemble(members, average="logits"), tokenizer)


def test_the_gain_is_what_the_members_cost_more(members, tokens, tokenizer):
    data = EvaluationData("be", [Document("0", "", "s", "be")], tokens, train=[], train_bytes=0, validation=[])
    model = EnsembleModel(Ensemble(members), tokenizer)

    results = {(result.task, result.metric): result for result in evaluate(model, data, EvalConfig(bootstrap_samples=100)).results}

    together, alone = model.all_document_nats(tokens).bits_per_byte(tokens.num_bytes)
    assert [results[f"member:{number}", "bits_per_byte"].value for number in (1, 2, 3)] == pytest.approx(alone)
    assert results["ensemble", "gain_over_mean_member"].value == pytest.approx(sum(alone) / 3 - together)
    best = results["ensemble", "gain_over_best_member"]
    assert best.value == pytest.approx(min(alone) - together)
    assert best.low <= best.value <= best.high
    assert best.detail["best"] == alone.index(min(alone)) + 1


def test_a_single_model_has_no_gain_to_be_measured(members, tokens, tokenizer):
    data = EvaluationData("be", [], tokens, train=[], train_bytes=0, validation=[])

    assert evaluate(DecoderModel(members[0], tokenizer), data, EvalConfig()).results == []


@pytest.fixture(scope="module")
def counted(tokens):
    return Weighted(NgramModel.count(tokens, order=3), 0.3)


def test_counts_are_mixed_in_token_by_token_in_documents_and_after_contexts(members, counted, tokenizer):
    plain, mixed = EnsembleModel(Ensemble(members), tokenizer), EnsembleModel(Ensemble(members, counted=counted), tokenizer)
    texts = ["abc", "", "seven"]
    found = mixed.score_documents(texts)
    encoded = [[*tokenizer.encode(text), END] for text in texts]
    for text, score, own in zip(texts, found, encoded, strict=True):
        stream = torch.tensor([END, *own[:-1]])
        counts = counted.model.nats(counted.model.contexts(stream[None]), torch.tensor(own)).numpy()
        # The plain ensemble's cost of each token: that of the document up to it, less that of the document before it.
        upto = [plain._score([Encoded((END,), own[: place + 1])])[0].nats for place in range(len(own))]
        expected = mixed_nats(counts, np.diff([0.0, *upto]), 0.3).sum()
        assert score.nats == pytest.approx(expected, rel=1e-4), text
    after = mixed.score(["ab"], ["cd"])[0]
    pair = Encoded(tokenizer.encode("ab"), tokenizer.encode("cd"))
    stepwise = [plain._score([Encoded(pair.context, pair.continuation[: place + 1])])[0].nats for place in range(len(pair.continuation))]
    context = torch.tensor([[*pair.context, *pair.continuation[:-1]]])
    counts = counted.model.nats(counted.model.contexts(context)[len(pair.context) - 1 :], torch.tensor(list(pair.continuation))).numpy()
    assert after.nats == pytest.approx(mixed_nats(counts, np.diff([0.0, *stepwise]), 0.3).sum(), rel=1e-4)


def test_counts_have_a_row_of_their_own_and_are_weighed_by_a_split(members, counted, tokenizer, tokens):
    model = EnsembleModel(Ensemble(members, counted=counted), tokenizer)
    nats = model.all_document_nats(tokens)
    data = EvaluationData("be", [], tokens, train=[], train_bytes=0, validation=[])
    results = {(found.task, found.metric): found for found in evaluate(model, data, EvalConfig()).results}

    own = results["counted", "bits_per_byte"]
    assert own.value == pytest.approx(counted.model.token_nats(tokens).sum() / math.log(2) / tokens.num_bytes)
    assert own.detail == {"order": 3, "ngrams": counted.model.num_ngrams, "weight": 0.3}
    assert model.description["counted_ngrams"] == counted.model.num_ngrams
    fitted = EnsembleModel(Ensemble(members), tokenizer).fit_weight(counted.model, tokens)
    best = EnsembleModel(Ensemble(members, counted=fitted), tokenizer).all_document_nats(tokens)
    # Counts of the very text that is scored know nearly all of it.
    assert fitted.weight > 0.5
    assert best.ensemble_S.sum() < nats.ensemble_S.sum()
