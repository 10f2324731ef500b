import pytest

from rodna.plan.isoflop import BUDGETS, Size, isoflop, law_curves, plain_sizes
from rodna.plan.scaling import CHINCHILLA, DATA_CONSTRAINED


@pytest.mark.parametrize(("flops", "parameters", "tokens"), [(3.2e17, 48.2e6, 1.107e9), (2.37e18, 119e6, 3.32e9)])
def test_the_bottom_of_chinchillas_curve_is_the_published_size(flops, parameters, tokens):
    curves = law_curves(CHINCHILLA, flops)
    middle = next(curve for curve in curves["budgets"] if curve["flops"] == flops)
    assert middle["best"]["parameters"] == pytest.approx(parameters, rel=0.03)
    assert middle["best"]["tokens"] == pytest.approx(tokens, rel=0.03)
    assert curves["chosen"]["parameters"] == pytest.approx(parameters, rel=0.005)
    assert curves["chosen"]["tokens"] == pytest.approx(tokens, rel=0.005)
    assert curves["chosen"]["loss"] <= min(point["loss"] for point in middle["points"])


def test_every_point_of_a_curve_costs_its_budget():
    curve = isoflop(lambda size, tokens: CHINCHILLA.loss(size.weights, tokens), plain_sizes(1e6, 1e9), 1e18)
    assert all(6 * point.parameters * point.tokens == pytest.approx(1e18) for point in curve.points)
    assert not any(point.limited for point in curve.points)


def test_larger_budgets_want_larger_models_and_end_lower():
    best = [curve["best"] for curve in law_curves(CHINCHILLA, 1e18)["budgets"]]
    assert len(best) == len(BUDGETS)
    assert [point["parameters"] for point in best] == sorted(point["parameters"] for point in best)
    assert [point["loss"] for point in best] == sorted((point["loss"] for point in best), reverse=True)


def test_a_size_whose_text_ends_first_sees_no_more_tokens_than_pay():
    sizes = [Size(1e6, 1e6, 6e6, max_tokens=1e8), Size(1e8, 1e8, 6e8, max_tokens=1e8)]
    small, large = isoflop(lambda size, tokens: CHINCHILLA.loss(size.weights, tokens), sizes, 6e15).points
    assert (small.limited, small.tokens) == (True, 1e8)
    assert (large.limited, large.tokens) == (False, pytest.approx(1e7))


def test_a_size_too_large_for_the_text_is_never_the_best():
    sizes = [Size(1e6, 1e6, 6e6), Size(1e7, 1e7, 6e7, too_large=True)]
    curve = isoflop(lambda size, _tokens: 1 / size.weights, sizes, 1e15)
    assert curve.best.parameters == 1e6


def test_the_best_split_of_repeated_text_is_found():
    flops, unique = 1e17, 1e7
    parameters, epochs = DATA_CONSTRAINED.best_repeated(flops, unique)
    assert 6 * parameters * epochs * unique == pytest.approx(flops)
    best = DATA_CONSTRAINED.repeated_loss(parameters, unique, epochs)
    tried = [parameters * 1.1**power for power in range(-60, 61)]
    assert best <= min(DATA_CONSTRAINED.repeated_loss(size, unique, flops / 6 / size / unique) for size in tried) + 1e-9


def test_with_text_without_end_the_best_split_is_the_compute_optimal_one():
    found, _ = DATA_CONSTRAINED.best_repeated(1e17, 1e15)
    assert found == pytest.approx(DATA_CONSTRAINED.compute_optimal(1e17)[0], rel=1e-3)
