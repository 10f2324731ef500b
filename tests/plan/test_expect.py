import math
import statistics
from dataclasses import replace

import pytest

from rodna.data.tokens import Tokens
from rodna.models.ngram import NgramModel
from rodna.plan.expect import (
    NORMAL_95,
    RECORDED,
    UNANCHORED_SPREAD,
    Anchor,
    AnchoredLaw,
    anchored_law,
    calibrate,
    evenly_spread,
    measure_anchor,
)  # fmt: skip
from rodna.plan.laws import whole_run_loss
from rodna.plan.rules import Text
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.train import learn


def text(ngram=0.0, ngram_tokens=0):
    return Text(num_bytes=3_000_000, num_tokens=600_000, num_documents=900, vocabulary_size=4096, ngram_bits_per_byte=ngram,
                ngram_tokens=ngram_tokens)  # fmt: skip


def test_a_text_twice_as_hard_to_count_is_expected_to_be_twice_as_hard_to_a_model():
    easy, hard = (anchored_law(text(bits, 500_000)) for bits in (1.1, 2.2))
    assert hard.loss(1e6, 2e6, 5e5) == pytest.approx(2 * easy.loss(1e6, 2e6, 5e5))
    assert hard.spread == easy.spread


def test_a_part_of_a_text_whose_counts_do_worse_by_the_usual_power_promises_as_much():
    # Half of the tokens, and bits that are more by that much: the anchor of the whole.
    whole, half = Anchor(2.0, 800_000), Anchor(2.0 * 2**0.05, 400_000)
    assert half.scale == pytest.approx(whole.scale)


def test_the_law_is_that_of_whole_runs_scaled():
    law = AnchoredLaw(scale=1.5, spread=0.1)
    for dropout in (0.0, 0.2):
        assert law.loss(1e6, 2e6, 5e5, dropout) == pytest.approx(1.5 * whole_run_loss(1e6, 2e6, 5e5, dropout))


@pytest.mark.parametrize("left_out", range(len(RECORDED)))
def test_each_recorded_run_lies_within_the_interval_that_the_others_give(left_out):
    run = RECORDED[left_out]
    factor, spread = calibrate([other for other in RECORDED if other is not run])
    law = AnchoredLaw(factor * run.anchor.scale, spread)
    _, low, high = law.predict(run.weights, run.epochs * run.train_tokens, run.train_tokens, run.dropout)
    assert low < run.model < high


def test_the_calibration_is_the_geometric_mean_and_students_interval():
    logs = []
    for run in RECORDED:
        plain = AnchoredLaw(run.anchor.scale, 0.0)
        logs.append(math.log(run.model / plain.loss(run.weights, run.epochs * run.train_tokens, run.train_tokens, run.dropout)))
    factor, spread = calibrate(RECORDED)
    assert factor == pytest.approx(math.exp(statistics.mean(logs)))
    assert NORMAL_95 * spread == pytest.approx(2.447 * statistics.stdev(logs) * math.sqrt(1 + 1 / 7), rel=0.005)
    assert len(logs) == 7


def test_the_interval_holds_the_expectation_and_widens_away_from_what_was_measured():
    law = anchored_law(text(1.4, 500_000))
    near, far = law.predict(5e5, 1e6, 5e5), law.predict(5e8, 1e10, 5e9)
    for value, low, high in (near, far):
        assert low < value < high
        assert math.log(high / value) == pytest.approx(math.log(value / low))
    assert far[2] / far[0] > near[2] / near[0] > 1.05


def test_without_validation_text_the_interval_is_wider_still():
    assert anchored_law(text()).spread == UNANCHORED_SPREAD > anchored_law(text(1.4, 500_000)).spread


def test_a_text_that_was_not_measured_is_expected_to_be_as_hard_as_recorded_ones_on_average():
    laws = [anchored_law(text(run.anchor.bits_per_byte, run.anchor.tokens)) for run in RECORDED]
    expected = statistics.geometric_mean(law.loss(1e6, 2e6, 5e5) for law in laws)
    assert anchored_law(text()).loss(1e6, 2e6, 5e5) == pytest.approx(expected)


def encoded(train, held_out):
    tokenizer, _ = learn(train, TokenizerConfig(vocabulary_size=264), num_bytes=10**6, where="")
    return Tokens.encode(train, tokenizer), Tokens.encode(held_out, tokenizer)


def test_text_that_repeats_itself_is_easier_than_noise():
    import random

    source = random.Random(0)
    words = ["жыта", "сонца", "мова", "вада", "поле"]
    verse = [" ".join(source.choices(words, k=60)) for _ in range(60)]
    noise = ["".join(chr(source.randrange(0x400, 0x460)) for _ in range(300)) for _ in range(60)]
    easy, hard = (measure_anchor(*encoded(documents[:50], documents[50:])) for documents in (verse, noise))
    assert easy.bits_per_byte < 1 < 2 < hard.bits_per_byte


def test_the_anchor_is_the_mean_cost_of_a_byte_under_the_counts():
    train, held_out = encoded(["вада і сонца " * 30, "поле і жыта " * 30], ["вада і жыта", "поле"])
    bits, tokens = measure_anchor(train, held_out)
    nats = NgramModel.count(train, order=5).token_nats(held_out).sum()
    assert bits == pytest.approx(nats / math.log(2) / len("вада і жытаполе".encode()))
    assert tokens == train.num_tokens


def test_a_part_of_a_text_is_spread_over_it_and_a_single_long_document_is_cut():
    documents = [f"слова {number:03d}" for number in range(100)]
    part = evenly_spread(documents, 280)
    assert part[0] == "слова 000"
    assert part[-1] > "слова 080"
    assert 200 < sum(len(document.encode()) for document in part) <= 280
    assert evenly_spread(documents, 10**6) == documents
    assert evenly_spread(["жы" * 100], 11) == ["жыжыж"]


def test_no_validation_text_gives_no_anchor():
    train, _ = encoded(["слова і слова " * 20], ["слова"])
    nothing = replace(train, tokens=train.tokens[:0], offsets=train.offsets[:1], document_bytes=train.document_bytes[:0])
    assert measure_anchor(train, nothing) == (0.0, 0)


def test_a_spread_that_rounding_carries_past_the_end_ends_there():
    documents = ["x" * 1000] * 8256
    assert 0.99 * 6_000_000 < len("".join(evenly_spread(documents, 6_000_000))) <= 6_000_000
