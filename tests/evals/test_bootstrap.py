import numpy as np
import pytest

from rodna.evals import bootstrap
from rodna.evals.bootstrap import ratio_interval


def test_the_interval_equals_resampling_document_by_document():
    bits, sizes = np.array([10.0, 30, 5, 80, 21]), np.array([4, 11, 3, 20, 9])
    random = np.random.default_rng(7)
    ratios = []
    for draw in random.integers(0, 5, size=(500, 5)):
        top = bottom = 0
        for document in draw:
            top, bottom = top + bits[document], bottom + sizes[document]
        ratios.append(top / bottom)
    assert ratio_interval(bits, sizes, samples=500, seed=7) == pytest.approx(tuple(np.quantile(ratios, [0.025, 0.975])))


def test_the_interval_of_many_documents_is_that_of_the_normal_distribution():
    random = np.random.default_rng(0)
    bits = random.normal(2.0, 0.5, size=2000)
    low, high = ratio_interval(bits, np.ones(2000), samples=2000, seed=0)
    assert (high - low) / 2 == pytest.approx(1.96 * 0.5 / 2000**0.5, rel=0.08)
    assert (high + low) / 2 == pytest.approx(bits.mean(), abs=2e-3)


def test_resampling_in_parts_gives_what_resampling_at_once_gives(monkeypatch):
    bits, sizes = np.arange(1.0, 30), np.arange(2, 31)
    whole = ratio_interval(bits, sizes, samples=200, seed=3)
    monkeypatch.setattr(bootstrap, "WEIGHTS_AT_ONCE", 100)
    assert ratio_interval(bits, sizes, samples=200, seed=3) == pytest.approx(whole)


def test_the_same_seed_gives_the_same_interval_and_one_document_a_point():
    assert ratio_interval([6.0], [2], samples=100, seed=0) == (3.0, 3.0)
    assert ratio_interval([1.0, 5], [2, 3], samples=100, seed=1) == ratio_interval([1.0, 5], [2, 3], samples=100, seed=1)


def test_paired_differences_are_tighter_than_the_numbers_themselves():
    random = np.random.default_rng(0)
    hardness = random.normal(3, 1, size=200)
    ours, theirs = hardness - 0.1, hardness
    low, high = ratio_interval(ours - theirs, np.ones(200), samples=300, seed=0)
    assert (low, high) == pytest.approx((-0.1, -0.1))
    low, high = ratio_interval(ours, np.ones(200), samples=300, seed=0)
    assert high - low > 0.2
