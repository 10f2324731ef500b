import math
import statistics

import pytest

from rodna.plan.expect import (
    ANCHOR_TRAIN_BYTES,
    NORMAL_95,
    RECORDED,
    UNANCHORED_SPREAD,
    AnchoredLaw,
    anchored_law,
    calibrate,
    measure_anchor,
    reference_ngram,
)  # fmt: skip
from rodna.plan.laws import whole_run_loss
from rodna.plan.rules import Text


def text(ngram=0.0, ngram_bytes=0):
    return Text(num_bytes=3_000_000, num_tokens=600_000, num_documents=900, vocabulary_size=4096, ngram_bits_per_byte=ngram,
                ngram_bytes=ngram_bytes)  # fmt: skip


def test_the_reference_gives_the_n_gram_figures_that_were_measured():
    measured = {101_501: 1.6039, 200_198: 1.5071, 400_898: 1.4304, 800_803: 1.3744, 1_601_451: 1.3269, 3_085_472: 1.2907}
    assert all(reference_ngram(num_bytes) == pytest.approx(bits, abs=0.003) for num_bytes, bits in measured.items())


def test_a_text_twice_as_hard_to_an_n_gram_is_expected_to_be_twice_as_hard_to_a_model():
    easy, hard = (anchored_law(text(factor * reference_ngram(1_600_000), 1_600_000)) for factor in (1, 2))
    assert hard.loss(1e6, 2e6, 5e5) == pytest.approx(2 * easy.loss(1e6, 2e6, 5e5))


def test_the_law_is_that_of_whole_runs_scaled():
    law = AnchoredLaw(scale=1.5, spread=0.1)
    for dropout in (0.0, 0.2):
        assert law.loss(1e6, 2e6, 5e5, dropout) == pytest.approx(1.5 * whole_run_loss(1e6, 2e6, 5e5, dropout))


@pytest.mark.parametrize("left_out", range(len(RECORDED)))
def test_each_recorded_run_lies_within_the_interval_that_the_others_give(left_out):
    run = RECORDED[left_out]
    factor, spread = calibrate([other for other in RECORDED if other is not run])
    law = AnchoredLaw(factor * run.ngram / reference_ngram(run.ngram_bytes), spread)
    _, low, high = law.predict(run.weights, run.epochs * run.train_tokens, run.train_tokens, run.dropout)
    assert low < run.model < high


def test_the_calibration_is_the_geometric_mean_and_students_interval():
    logs = []
    for run in RECORDED:
        plain = AnchoredLaw(run.ngram / reference_ngram(run.ngram_bytes), 0.0)
        logs.append(math.log(run.model / plain.loss(run.weights, run.epochs * run.train_tokens, run.train_tokens, run.dropout)))
    factor, spread = calibrate(RECORDED)
    assert factor == pytest.approx(math.exp(statistics.mean(logs)))
    assert NORMAL_95 * spread == pytest.approx(2.365 * statistics.stdev(logs) * math.sqrt(1 + 1 / 8), rel=0.005)
    assert len(logs) == 8


def test_the_interval_holds_the_expectation_and_widens_away_from_what_was_measured():
    law = anchored_law(text(1.4, 1_600_000))
    near, far = law.predict(5e5, 1e6, 5e5), law.predict(5e8, 1e10, 5e9)
    for value, low, high in (near, far):
        assert low < value < high
        assert math.log(high / value) == pytest.approx(math.log(value / low))
    assert far[2] / far[0] > near[2] / near[0] > 1.1


def test_without_validation_text_the_interval_is_wider_still():
    assert anchored_law(text()).spread == UNANCHORED_SPREAD > anchored_law(text(1.4, 1_600_000)).spread


def test_text_that_repeats_itself_is_easier_than_noise():
    import random

    source = random.Random(0)
    words = ["жыта", "сонца", "мова", "вада", "поле"]
    verse = [" ".join(source.choices(words, k=60)) for _ in range(60)]
    noise = ["".join(chr(source.randrange(0x400, 0x460)) for _ in range(300)) for _ in range(60)]
    easy, hard = (measure_anchor(documents[:50], documents[50:])[0] for documents in (verse, noise))
    assert easy < 1 < 2 < hard


def test_the_anchor_is_measured_on_a_bounded_part_of_the_text():
    documents = ["слова " * 200_000, *(f"слова {number}" for number in range(100))]
    bits, num_bytes = measure_anchor(documents, ["слова слова"])
    assert 0 < bits < 8
    assert num_bytes <= ANCHOR_TRAIN_BYTES


def test_no_validation_text_gives_no_anchor():
    assert measure_anchor(["слова"], []) == (0.0, 0)
