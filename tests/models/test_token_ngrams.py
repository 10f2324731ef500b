"""Counts beside a slow, plain account of the same formulas; and how they are mixed with networks."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS

from rodna.core.errors import ArtifactError, ModelError
from rodna.data.tokens import Tokens
from rodna.models.counted import FILE, Weighted, best_weight, load, mixed_nats, save
from rodna.models.ensemble import Ensemble, EnsembleEngine
from rodna.models.ngram import NOTHING_LEFT_OUT, NgramModel

VOCABULARY, END = 6, 5


def make_tokens(documents, vocabulary=VOCABULARY, end=END):
    closed = [[*document, end] for document in documents]
    offsets = np.cumsum([0, *map(len, closed)])
    return Tokens(np.concatenate(closed).astype("<u2"), offsets, np.ones(len(closed), np.int64), end, vocabulary)


@pytest.fixture(scope="module")
def documents():
    random = np.random.default_rng(0)
    return [random.choice(END, p=[0.5, 0.2, 0.15, 0.1, 0.05], size=size).tolist() for size in (9, 30, 0, 1, 40, 17)]


def events_of(documents, order):
    """Return (tokens before, token) of every place, the oldest first."""
    found = []
    for document in documents:
        line = [END] * (order - 1) + [*document, END]
        found += [(tuple(line[place - order + 1 : place]), line[place]) for place in range(order - 1, len(line))]
    return found


class Slow:
    """Interpolated Kneser-Ney from a list of events, an n-gram at a time."""

    def __init__(self, events, order, discounts=None):
        self.counts = [Counter() for _ in range(order)]
        self.counts[-1] = Counter((*before, token) for before, token in events)
        for length in range(order - 1, 0, -1):
            preceded = Counter(gram[1:] for gram in self.counts[length])
            plain = Counter((*before, token)[-length:] for before, token in events)
            self.counts[length - 1] = Counter(
                {gram: plain[gram] if length > 1 and gram[0] == END else number for gram, number in preceded.items()}
            )
        self.discounts = discounts or [self._discount(counts) for counts in self.counts]

    @staticmethod
    def _discount(counts):
        once, twice = (sum(number == wanted for number in counts.values()) for wanted in (1, 2))
        return min(max(once / max(1, once + 2 * twice), 0.05), 0.95)

    def probability(self, before, token):
        value = 1 / VOCABULARY
        for length, (counts, discount) in enumerate(zip(self.counts, self.discounts, strict=True), 1):
            context = before[len(before) - length + 1 :]
            seen = {gram[-1]: number for gram, number in counts.items() if gram[:-1] == context}
            if seen:
                own = max(seen.get(token, 0) - discount, 0) if token in seen else 0
                value = (own + discount * len(seen) * value) / sum(seen.values())
        return value


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_are_those_of_the_formula_and_sum_to_one(documents, order):
    model, slow = NgramModel.count(make_tokens(documents), order=order), Slow(events_of(documents, order), order)
    text = [0, 1, 4, 4, 0, 0, END, 3, 2, 0]
    contexts = model.contexts(torch.tensor([[END, *text[:-1]]]))
    found = model.probabilities(contexts)

    before = [END] * order
    for place, token in enumerate(text):
        context = tuple(before[len(before) - order + 1 :])
        expected = [slow.probability(context, other) for other in range(VOCABULARY)]
        torch.testing.assert_close(found[place], torch.tensor(expected), rtol=1e-5, atol=1e-7)
        before = [END] * order if token == END else [*before, token]
    torch.testing.assert_close(found.sum(1), torch.ones(len(text)))
    targets = torch.tensor(text)
    torch.testing.assert_close(model.nats(contexts, targets), -found[torch.arange(len(text)), targets].double().log(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_place_that_is_left_out_counts_nowhere(documents, order):
    model = NgramModel.count(make_tokens(documents), order=order)
    events, discounts = events_of(documents, order), [level.discount for level in model.levels]
    stream = torch.tensor([token for document in documents for token in (*document, END)])
    contexts = model.contexts(torch.cat([torch.tensor([END]), stream[:-1]])[None])
    found = model.probabilities(contexts, stream)

    for place in range(0, len(events), 3):
        without = Slow(events[:place] + events[place + 1 :], order, discounts)
        expected = [without.probability(events[place][0], other) for other in range(VOCABULARY)]
        torch.testing.assert_close(found[place], torch.tensor(expected), rtol=1e-4, atol=1e-6)


def test_a_rare_beginning_that_is_left_out_keeps_a_probability():
    # All documents but three begin alike: without the one that is learned its beginning is rarer than a float's last digit.
    vocabulary, random = 16_000, np.random.default_rng(1)
    odd = torch.tensor([vocabulary - 1, vocabulary - 2, vocabulary - 3])
    documents = [[odd[n] if n < len(odd) else 1, *np.minimum(random.zipf(1.3, 8) + 1, vocabulary - 10)] for n in range(600)]
    model = NgramModel.count(make_tokens(documents, vocabulary, end=0), order=4)
    found = model.probabilities(model.contexts(torch.zeros(3, 1, dtype=torch.int64)), odd)

    assert (found > 0).all()
    assert (found[torch.arange(3), odd] < 1e-7).all()
    assert found.sum(1).tolist() == pytest.approx([1.0] * 3, abs=1e-4)


@pytest.mark.parametrize("order", [1, 3])
def test_drawn_tokens_are_as_frequent_as_they_are_probable(documents, order):
    model, number = NgramModel.count(make_tokens(documents), order=order), 40_000
    stream = torch.tensor([token for document in documents for token in (*document, END)])
    contexts = model.contexts(torch.cat([torch.tensor([END]), stream[:-1]])[None])
    chances = torch.Generator().manual_seed(0)
    for place in range(0, len(stream), 17):
        for left_out in (torch.tensor([NOTHING_LEFT_OUT]), stream[place : place + 1]):
            expected = model.probabilities(contexts[place : place + 1], left_out)[0]
            rows = contexts[place : place + 1].expand(number, -1)
            drawn = model.sample(rows, left_out.expand(number), torch.rand(number, order + 1, generator=chances, dtype=torch.float64))
            found = drawn.bincount(minlength=VOCABULARY) / number
            assert ((found - expected).abs() < 4 * (expected / number).sqrt() + 1e-3).all(), place


def test_a_split_costs_what_its_documents_cost_by_themselves(documents):
    model = NgramModel.count(make_tokens(documents[:3]), order=3)
    whole = model.token_nats(make_tokens(documents))
    alone = np.concatenate([model.token_nats(make_tokens([document])) for document in documents])
    np.testing.assert_allclose(whole, alone, rtol=1e-12)


def test_what_was_seen_costs_less_and_what_was_never_seen_still_has_a_price(documents):
    model = NgramModel.count(make_tokens([[0, 1, 2, 3] * 20]), order=3)
    assert model.token_nats(make_tokens([[0, 1, 2, 3] * 3])).sum() < model.token_nats(make_tokens([[3, 2, 1, 0] * 3])).sum() / 3
    assert np.isfinite(model.token_nats(make_tokens([[4, 4]]))).all()


def test_a_vocabulary_too_large_for_long_ngrams_gets_shorter_ones():
    model = NgramModel.count(make_tokens([[1, 2, 40_000]], vocabulary=50_000, end=49_999), order=5)
    assert model.order == 3
    assert model.probabilities(model.contexts(torch.tensor([[1, 2]])))[1].argmax() == 40_000


@pytest.mark.parametrize("order", [1, 2, 4])
def test_what_follows_one_place_is_what_all_places_together_say(documents, order):
    model = NgramModel.count(make_tokens(documents), order=order)
    for document in [*documents, [4, 0, END, 2, 0, 1]]:
        stream = [END, *document]
        every = model.probabilities(model.contexts(torch.tensor([stream])))
        for place in range(len(stream)):
            for seen in (stream[: place + 1], stream[1 : place + 1]):
                np.testing.assert_allclose(model.following(seen), every[place], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("order", [0, 9])
def test_orders_that_mean_nothing_are_refused(documents, order):
    with pytest.raises(ModelError, match="no n-grams of"):
        NgramModel.count(make_tokens(documents), order=order)


def test_counting_nothing_is_refused():
    empty = Tokens(np.empty(0, "<u2"), np.zeros(1, np.int64), np.empty(0, np.int64), END, VOCABULARY)
    with pytest.raises(ModelError, match="no text to count"):
        NgramModel.count(empty)


def test_a_file_holds_the_counts_and_their_weight(documents, tmp_path):
    model = NgramModel.count(make_tokens(documents), order=3)
    save(tmp_path / FILE, Weighted(model, 0.3))
    read, weight = load(tmp_path / FILE)

    assert weight == 0.3
    assert read.num_ngrams == model.num_ngrams
    contexts = model.contexts(torch.tensor([[END, 0, 1, 0]]))
    assert torch.equal(read.probabilities(contexts), model.probabilities(contexts))
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("spoil", ["cut", "order", "weight", "missing"])
def test_damaged_counts_are_refused(documents, tmp_path, spoil):
    from safetensors.torch import load_file, save_file

    file = tmp_path / FILE
    save(file, Weighted(NgramModel.count(make_tokens(documents), order=2), 0.3))
    tensors = load_file(file)
    if spoil == "cut":
        file.write_bytes(file.read_bytes()[:-9])
    elif spoil == "missing":
        file.unlink()
    elif spoil == "weight":
        save_file(tensors | {"weight": torch.tensor([1.5])}, file)
    else:
        save_file(tensors | {"keys.2": tensors["keys.2"].flip(0)}, file)
    with pytest.raises(ArtifactError, match="damaged artifact"):
        load(file)


def test_the_weight_is_the_one_under_which_the_text_costs_least():
    random = np.random.default_rng(3)
    first, second = random.gamma(2, 2, 2000), random.gamma(2, 1.5, 2000)
    weight = best_weight(first, second)
    costs = {tried: mixed_nats(first, second, tried).sum() for tried in (weight - 0.02, weight, weight + 0.02)}
    assert min(costs, key=costs.__getitem__) == weight
    assert costs[weight] < min(first.sum(), second.sum())


@pytest.fixture
def counted():
    """Counts of invented text over the tiny models' vocabulary less one token, as if that was padding."""
    random = np.random.default_rng(1)
    tokens = make_tokens([random.integers(0, 200, size=60).tolist() for _ in range(5)], vocabulary=256, end=255)
    return tokens, Weighted(NgramModel.count(tokens, order=3), 0.4)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_counts_have_their_share_of_an_ensembles_probability(make_decoder, counted, average, temperature):
    members = [make_decoder(CONFIGS[name], seed=seed) for seed, name in enumerate(("gpt2", "qwen3"))]
    inputs = torch.from_numpy(counted[0].tokens[:26].astype(np.int64)).reshape(2, 13)
    following = torch.from_numpy(counted[0].tokens[1:27].astype(np.int64)).reshape(2, 13)
    plain, mixed = Ensemble(members, average=average), Ensemble(members, average=average, counted=counted[1])

    def all_rows(ensemble, **how):
        features = ensemble.features(inputs, compute_dtype=torch.float32, **how)
        return torch.cat([ensemble.probabilities(features, slice(at, at + 7), temperature=temperature) for at in range(0, 26, 7)])

    model = counted[1].model
    for left_out in (None, following):
        counts = model.probabilities(model.contexts(inputs), None if left_out is None else left_out.flatten()).pow(1 / temperature)
        expected = 0.6 * all_rows(plain)
        expected[:, :256] += 0.4 * counts / counts.sum(1, keepdim=True)
        torch.testing.assert_close(
            all_rows(mixed, **({} if left_out is None else {"left_out_BT": left_out})), expected, rtol=1e-5, atol=1e-8
        )


def test_counts_at_a_low_temperature_are_sharp_and_stay_numbers(make_decoder, counted):
    ensemble = Ensemble([make_decoder(CONFIGS["qwen3"])], counted=counted[1])
    inputs = torch.from_numpy(counted[0].tokens[:26].astype(np.int64)).reshape(2, 13)
    features = ensemble.features(inputs, compute_dtype=torch.float32)
    found = ensemble.probabilities(features, slice(0, 26), temperature=0.01)
    likeliest = counted[1].model.probabilities(features[-1][:, :-1], features[-1][:, -1]).argmax(-1)

    torch.testing.assert_close(found.sum(-1), torch.ones(26), rtol=1e-5, atol=1e-6)
    assert bool((found.gather(1, likeliest[:, None]) >= 0.4 / 3).all())


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_the_engine_continues_sequences_with_counts(make_decoder, counted, average):
    ensemble = Ensemble([make_decoder(CONFIGS[name], seed=seed) for seed, name in enumerate(("gpt2", "qwen3"))],
                        average=average, counted=counted[1])  # fmt: skip
    engine = EnsembleEngine(ensemble, num_tokens=257, num_slots=2)
    texts = [[3, 1, 4, 1, 5], [9, 255, 6], [9, 255, 6, 8]]

    started = [engine.start(text[:-1], slot) for slot, text in enumerate(texts[:2])]
    stepped = engine.step([text[-1] for text in texts[:2]], [len(text) - 1 for text in texts[:2]])
    engine.move(1, 0)
    moved = engine.step([8], [3])

    def expected(text):
        features = ensemble.features(torch.tensor([text]), compute_dtype=torch.float32)
        return ensemble.probabilities(features, slice(len(text) - 1, len(text)))[0]

    for scores, text in zip([*started, *stepped, moved[0]], [texts[0][:-1], texts[1][:-1], *texts], strict=True):
        torch.testing.assert_close(scores.softmax(-1), expected(text), rtol=1e-3, atol=1e-6)


def test_counts_of_another_vocabulary_are_refused(make_decoder):
    model = NgramModel.count(make_tokens([[1, 2]], vocabulary=1000, end=999))
    with pytest.raises(ModelError, match=r"1,000 tokens, the members have 257"):
        Ensemble([make_decoder(CONFIGS["qwen3"])], counted=Weighted(model, 0.5))


def test_counts_cost_what_mixing_costs_however_it_is_computed():
    nats = np.array([1.0, 2.0]), np.array([3.0, 0.5])
    expected = [-math.log(0.25 * math.exp(-first) + 0.75 * math.exp(-second)) for first, second in zip(*nats, strict=True)]
    np.testing.assert_allclose(mixed_nats(*nats, 0.25), expected)
