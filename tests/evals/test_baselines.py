import lzma
import math

import numpy as np
import pytest
import zstandard

from rodna.corpus.documents import Document
from rodna.evals.baselines import Baseline, baselines, compare, xz_size, zstd_size
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData

CONFIG = EvalConfig(bootstrap_samples=200, ngram_order=4)
HELD_OUT = ["Над ціхай ракою стаяла старая хата." * 3, "Увосень лісце жаўцее.", "我哋今日去食飯"]
TRAIN = [*HELD_OUT, "Нешта зусім іншае, чаго няма ў тэстах."] * 3


def measured(train=TRAIN, train_bytes=0):
    size = sum(len(text.encode()) for text in train)
    documents = [Document(str(n), text, "s", "be") for n, text in enumerate(HELD_OUT)]
    data = EvaluationData("be", documents, tokens=None, train=train, train_bytes=train_bytes or size, validation=["Лісце над ракою."])
    return {item.name: item for item in baselines(data, CONFIG)}


def test_uniform_pays_eight_bits_for_every_byte_and_every_end():
    expected = [8 * (len(text.encode()) + 1) for text in HELD_OUT]
    assert measured()["uniform"].bits_D.tolist() == expected


@pytest.mark.parametrize("size", [0, 1, 5000, 300_000])
def test_xz_with_a_small_dictionary_compresses_like_xz_9(size):
    text = b" ".join(str(number**3).encode() for number in range(size // 10))
    assert abs(xz_size(text) - len(lzma.compress(text, preset=9))) <= 8


def test_zstd_with_a_long_window_is_no_worse_than_zstd_19():
    text = b" ".join(str(number**3).encode() for number in range(20_000))
    assert zstd_size(text) <= len(zstandard.ZstdCompressor(level=19).compress(text)) * 1.01


def test_compressors_are_charged_for_the_held_out_text_and_its_ends_alone():
    stream = b"".join(text.encode() + b"\xff" for text in HELD_OUT)
    before = b"".join(text.encode() + b"\xff" for text in TRAIN)
    found = measured()
    assert found["xz"].bits_D.sum() == pytest.approx(8 * xz_size(stream))
    assert found["xz_given_train"].bits_D.sum() == pytest.approx(8 * (xz_size(before + stream) - xz_size(before)))
    assert found["zstd_given_train"].detail["compressed_bytes"] == zstd_size(before + stream) - zstd_size(before)


@pytest.mark.parametrize("name", ["xz", "zstd"])
def test_text_that_stands_in_training_costs_a_compressor_next_to_nothing(name):
    found = measured()
    assert found[f"{name}_given_train"].bits_D.sum() < found[name].bits_D.sum() / 3


def test_a_sample_of_the_training_text_is_called_one():
    assert "a sample of 5 MB" in measured(train_bytes=5_000_000)["ngram"].description
    assert "sample" not in measured()["ngram"].description


def test_the_difference_is_paired_by_document():
    sizes, theirs = np.array([100, 300, 50]), np.array([200.0, 900, 80])
    number, difference = compare(Baseline("x", "words", theirs, is_per_document=True), theirs - 0.5 * sizes, sizes, CONFIG)
    assert number.value == pytest.approx(1180 / 450)
    assert number.low < number.value < number.high
    assert (difference.low, difference.value, difference.high) == pytest.approx((-0.5, -0.5, -0.5))
    assert (number.task, difference.metric) == ("baseline:x", "model_minus_baseline")


def test_a_compressor_has_no_interval_and_says_why():
    number, _ = compare(measured()["xz"], np.ones(3), np.array([10, 20, 30]), CONFIG)
    assert number.low == number.value == number.high
    assert "cannot be told apart by document" in number.detail["interval"]
    assert math.isfinite(number.value)
