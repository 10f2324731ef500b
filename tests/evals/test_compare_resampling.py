"""The paired bootstrap against slow, obvious references, and its calibration."""

import itertools
import math

import numpy as np
import pytest

from rodna.evals.compare import resample
from rodna.evals.compare.resample import holm, interval, p_value, ranks, resampled_ratios, seed_noise, spread, student_quantile


def slow_ratios(top_RU, bottom_RU, samples: int, seed: int) -> list[list[float]]:
    """Draw unit after unit, and add up one by one."""
    random = np.random.default_rng(seed)
    num_runs, num_units = np.shape(top_RU)
    found = []
    for draw in random.integers(0, num_units, size=(samples, num_units)):
        tops, bottoms = [0.0] * num_runs, [0.0] * num_runs
        for unit in draw:
            for run in range(num_runs):
                tops[run] += top_RU[run][unit]
                bottoms[run] += bottom_RU[run][unit]
        found.append([top / bottom for top, bottom in zip(tops, bottoms, strict=True)])
    return np.array(found).T.tolist()


def test_all_runs_meet_the_same_resampled_items():
    random = np.random.default_rng(1)
    top_RU, bottom_RU = random.random((3, 9)), random.random((3, 9)) + 0.5
    fast = resampled_ratios(top_RU, bottom_RU, samples=40, seed=5)
    assert fast == pytest.approx(np.array(slow_ratios(top_RU, bottom_RU, 40, 5)))


def test_resampling_in_parts_gives_what_resampling_at_once_gives(monkeypatch):
    random = np.random.default_rng(1)
    top_RU, bottom_RU = random.random((2, 30)), np.ones((2, 30))
    whole = resampled_ratios(top_RU, bottom_RU, samples=50, seed=3)
    monkeypatch.setattr(resample, "WEIGHTS_AT_ONCE", 100)
    assert resampled_ratios(top_RU, bottom_RU, samples=50, seed=3) == pytest.approx(whole)


def test_counting_kinds_of_items_gives_the_distribution_of_drawing_items(monkeypatch):
    random = np.random.default_rng(0)
    top_RU = (random.random((2, 400)) < np.array([[0.6], [0.7]])).astype(float)
    drawn = resampled_ratios(top_RU, np.ones((2, 400)), samples=20_000, seed=0)
    monkeypatch.setattr(resample, "MANY_UNITS", 100)
    counted = resampled_ratios(top_RU, np.ones((2, 400)), samples=20_000, seed=0)
    assert not np.array_equal(drawn, counted)
    for one, other in ((drawn[0], counted[0]), (drawn[1] - drawn[0], counted[1] - counted[0])):
        assert interval(one) == pytest.approx(interval(other), abs=0.004)
        assert one.std() == pytest.approx(other.std(), rel=0.03)


@pytest.mark.parametrize("many", [10, 100_000])
def test_the_order_of_the_runs_changes_nothing(monkeypatch, many: int):
    monkeypatch.setattr(resample, "MANY_UNITS", many)
    random = np.random.default_rng(0)
    top_RU = random.integers(0, 2, size=(2, 60)).astype(float)
    one = resampled_ratios(top_RU, np.ones((2, 60)), samples=500, seed=0)
    other = resampled_ratios(top_RU[::-1], np.ones((2, 60)), samples=500, seed=0)
    assert np.array_equal(one, other[::-1])


def test_a_resample_of_nothing_but_weightless_items_is_no_number():
    found = resampled_ratios(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]), samples=200, seed=0)
    assert np.isnan(found).any()
    assert set(found[np.isfinite(found)]) == {1.0}


@pytest.mark.parametrize(
    ("degrees", "quantile"),
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (5, 2.57058), (9, 2.26216), (30, 2.04227), (100, 1.98397), (5000, 1.96044)],
)
def test_students_quantiles_are_those_of_the_tables(degrees: int, quantile: float):
    assert student_quantile(degrees) == pytest.approx(quantile, abs=1e-4)


def test_few_items_give_the_interval_of_students_t():
    values = np.array([0.1, 0.5, 0.2, 0.9, 0.4, 0.3, 0.7, 0.6])
    drawn = resampled_ratios(values[None], np.ones((1, 8)), samples=40_000, seed=0)[0]
    low, high = interval(spread(float(values.mean()), drawn, num_units=8))
    error = values.std(ddof=1) / math.sqrt(8)
    assert (high - low) / 2 == pytest.approx(2.3646 * error, rel=0.04)


def test_many_items_are_left_as_they_are():
    drawn = np.random.default_rng(0).normal(size=1000)
    assert spread(0.0, drawn, num_units=100_000) == pytest.approx(drawn, rel=1e-4)


def test_one_seed_adds_nothing_and_several_add_students_distribution():
    assert not seed_noise([0.5], samples=10, seed=[0]).any()
    noise = seed_noise([0.50, 0.56, 0.53], samples=200_000, seed=[0])
    error = 0.03 / math.sqrt(3)
    assert interval(noise) == pytest.approx((-4.3027 * error, 4.3027 * error), rel=0.03)


def test_p_is_below_5_percent_exactly_where_the_interval_leaves_out_zero():
    random = np.random.default_rng(0)
    for shift in np.linspace(1.5, 2.5, 41):
        drawn = shift + random.normal(size=2000)
        low, _ = interval(drawn)
        if abs(low) > 0.01:
            assert (p_value(float(shift), drawn) < 0.05) == (low > 0)


def test_p_far_from_zero_is_that_of_the_normal_distribution_and_never_zero():
    drawn = 6 + np.random.default_rng(0).normal(size=10_000)
    assert p_value(6.0, drawn) == pytest.approx(math.erfc(6 / math.sqrt(2)), rel=1)
    assert 0 < p_value(6.0, drawn) < 1e-7
    assert p_value(6.0, drawn, is_smooth=False) == pytest.approx(2 / 10_001)


def test_equal_answers_have_a_p_of_one():
    assert p_value(0.0, np.zeros(1000)) == 1.0


def test_holm_equals_the_step_down_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_keeps_the_order_and_never_lowers_a_p():
    for values in itertools.permutations([0.001, 0.02, 0.02, 0.4]):
        adjusted = holm(values)
        assert all(after >= before for before, after in zip(values, adjusted, strict=True))
        assert sorted(range(4), key=lambda n: (adjusted[n], values[n])) == sorted(range(4), key=lambda n: values[n])


def test_ranks_count_the_better_ones():
    values = np.array([[0.5, 0.9], [0.7, 0.9], [0.6, 0.1]])
    assert ranks(values, lower_is_better=False).tolist() == [[3, 1], [1, 1], [2, 3]]
    assert ranks(values, lower_is_better=True).tolist() == [[1, 2], [3, 2], [2, 1]]


def false_alarms(draw, *, trials: int) -> float:
    """Return in how many of some comparisons of two equal models p is below 5 percent."""
    alarms = 0
    for trial in range(trials):
        top_RU, bottom_RU = draw(np.random.default_rng(trial))
        drawn = resampled_ratios(top_RU, bottom_RU, samples=1000, seed=0)
        value = float(top_RU[1].sum() / bottom_RU[1].sum() - top_RU[0].sum() / bottom_RU[0].sum())
        moved = spread(value, drawn[1] - drawn[0], num_units=top_RU.shape[1])
        alarms += p_value(value, moved) < 0.05
    return alarms / trials


def equal_accuracies(random):
    hardness = random.random(80)
    return (random.random((2, 80)) < hardness).astype(float), np.ones((2, 80))


def equal_bits(random):
    sizes = random.integers(100, 2000, size=12).astype(float)
    common = random.normal(2, 0.3, size=12)
    return (common + random.normal(0, 0.1, size=(2, 12))) * sizes, np.stack([sizes, sizes])


@pytest.mark.parametrize("draw", [equal_accuracies, equal_bits])
def test_two_equal_models_raise_about_5_percent_false_alarms(draw):
    # 600 trials at 5% give 2.4% to 7.6% with three standard errors to either side; few documents of unequal length are the harder case.
    assert 0.024 <= false_alarms(draw, trials=600) <= 0.076


def test_a_real_difference_is_found():
    def draw(random):
        hardness = random.random(400)
        return np.stack([random.random(400) < hardness, random.random(400) < np.minimum(1, hardness + 0.15)]).astype(float), np.ones(
            (2, 400)
        )

    assert false_alarms(draw, trials=60) > 0.9
