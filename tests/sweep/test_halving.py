"""How many trials train how long."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rodna.core.errors import PlanError
from rodna.sweep.halving import best_first, plan_rungs, rung_sizes


def test_each_rung_has_a_share_of_the_last_and_none_has_one_trial_only() -> None:
    assert rung_sizes(12, 3) == [12, 4, 2]
    assert rung_sizes(9, 3) == [9, 3]
    assert rung_sizes(16, 2) == [16, 8, 4, 2]
    assert rung_sizes(2, 3) == [2]
    assert rung_sizes(1, 3) == [1]


def test_a_budget_for_all_trials_at_full_length_needs_no_halving() -> None:
    rungs = plan_rungs(6, eta=3, budget_s=7000, full_s=1000, startup_s=10, least_share=0.01)
    assert [(rung.num_trials, rung.share, rung.seconds) for rung in rungs] == [(6, 1.0, 1000.0)]


def test_a_middling_budget_halves_only_until_the_last_rung_has_the_full_length() -> None:
    rungs = plan_rungs(12, eta=3, budget_s=8000, full_s=1000, startup_s=0, least_share=0.01)
    assert [rung.num_trials for rung in rungs] == [12, 4]
    assert rungs[-1].share == 1.0
    assert sum(rung.num_trials * rung.seconds for rung in rungs) == pytest.approx(8000)


def test_a_small_budget_has_every_rung_there_can_be() -> None:
    rungs = plan_rungs(12, eta=3, budget_s=1800, full_s=1200, startup_s=0, least_share=0.001)
    assert [rung.num_trials for rung in rungs] == [12, 4, 2]
    assert rungs[1].share == pytest.approx(3 * rungs[0].share)
    assert rungs[2].seconds == pytest.approx(9 * 1800 / 42)


def test_rungs_are_fewer_where_the_first_would_be_too_short_to_tell_anything() -> None:
    rungs = plan_rungs(12, eta=3, budget_s=120, full_s=1000, startup_s=0, least_share=0.008)
    assert [rung.num_trials for rung in rungs] == [12]
    assert rungs[0].share == pytest.approx(0.01)


def test_a_budget_too_small_for_anything_says_what_would_do() -> None:
    with pytest.raises(PlanError, match=r"60 s|1 min are too little for 12 trials: (.|\n)*sweep.minutes(.|\n)*allow 4.4 minutes or more"):
        plan_rungs(12, eta=3, budget_s=60, full_s=1000, startup_s=2, least_share=0.02)


@given(
    num_trials=st.integers(1, 60), eta=st.integers(2, 5), budget_s=st.floats(1, 1e6), full_s=st.floats(10, 1e4), startup_s=st.floats(0, 9),
    least_share=st.floats(1e-4, 1),
)  # fmt: skip
def test_rungs_keep_to_the_budget_and_to_the_full_length(
    num_trials: int, eta: int, budget_s: float, full_s: float, startup_s: float, least_share: float
) -> None:
    try:
        rungs = plan_rungs(num_trials, eta=eta, budget_s=budget_s, full_s=full_s, startup_s=startup_s, least_share=least_share)
    except PlanError:
        assert budget_s < num_trials * (startup_s + least_share * (full_s - startup_s)) * (1 + 1e-9)
        return
    assert sum(rung.num_trials * rung.seconds for rung in rungs) <= budget_s * (1 + 1e-9)
    assert all(least_share * (1 - 1e-9) <= rung.share <= 1 + 1e-9 for rung in rungs)
    assert all(later.share == pytest.approx(eta * earlier.share) for earlier, later in pairwise(rungs))


def test_the_best_come_first_and_the_failed_not_at_all() -> None:
    assert best_first([(0, 2.0), (1, None), (2, 1.5), (3, math.nan), (4, 2.0), (5, math.inf)]) == [2, 0, 4]


def test_a_training_of_too_few_steps_is_not_answered_with_more_minutes() -> None:
    with pytest.raises(PlanError, match="too few steps to tell settings apart") as error:
        plan_rungs(4, eta=2, budget_s=1e9, full_s=10.0, startup_s=0.0, least_share=20 / 12)
    assert "train.steps" in str(error.value.where)
