"""Macro-F1 and its interval, against scikit-learn and against resampling by hand."""

import numpy as np
import pytest

from rodna.evals.classify.measure import by_class, confusion, interval, macro_f1, resampled_macro_f1

metrics = pytest.importorskip("sklearn.metrics")
RANDOM = np.random.default_rng(0)
GOLD = RANDOM.integers(0, 3, size=80)
PREDICTED = np.where(RANDOM.random(80) < 0.6, GOLD, RANDOM.integers(0, 4, size=80))


def test_macro_f1_and_the_confusion_matrix_are_scikit_learns():
    assert macro_f1(GOLD, PREDICTED, 4) == pytest.approx(metrics.f1_score(GOLD, PREDICTED, average="macro"), abs=1e-12)
    assert confusion(GOLD, PREDICTED, 4).tolist() == metrics.confusion_matrix(GOLD, PREDICTED, labels=range(4)).tolist()


def test_a_class_neither_asked_nor_answered_does_not_count():
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 1]), 3) == 1.0
    assert macro_f1(np.array([0, 0, 1]), np.array([0, 0, 2]), 3) == pytest.approx(1 / 3)


def test_the_numbers_of_each_class_are_scikit_learns():
    precision, recall, f1, n = metrics.precision_recall_fscore_support(GOLD, PREDICTED, labels=[0, 1, 2], zero_division=0)
    found = by_class(confusion(GOLD, PREDICTED, 4), "abcd")
    for c, label in enumerate("abc"):
        assert found[label] == pytest.approx({"precision": precision[c], "recall": recall[c], "f1": f1[c], "n": n[c]})
    assert found["d"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "n": 0}


def test_resampled_values_are_those_of_the_resampled_items():
    drawn = resampled_macro_f1(GOLD, PREDICTED[None], 4, samples=30, seed=5)
    random = np.random.default_rng(5)
    for value in drawn:
        items = np.repeat(np.arange(80), random.multinomial(80, np.full(80, 1 / 80)))
        assert value == pytest.approx(macro_f1(GOLD[items], PREDICTED[items], 4))


def test_several_runs_are_averaged_on_the_same_items():
    runs = np.stack([PREDICTED, GOLD])
    both = resampled_macro_f1(GOLD, runs, 4, samples=20, seed=1)
    one = resampled_macro_f1(GOLD, PREDICTED[None], 4, samples=20, seed=1)
    assert both == pytest.approx((one + 1) / 2)


def test_items_drawn_in_several_goes_make_the_same_interval(monkeypatch):
    once = interval(resampled_macro_f1(GOLD, PREDICTED[None], 4, samples=100, seed=1))
    monkeypatch.setattr("rodna.evals.classify.measure.WEIGHTS_AT_ONCE", 800)
    assert interval(resampled_macro_f1(GOLD, PREDICTED[None], 4, samples=100, seed=1)) == once
    assert once[0] < macro_f1(GOLD, PREDICTED, 4) < once[1]
