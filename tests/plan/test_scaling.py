import pytest

from rodna.plan.scaling import CHINCHILLA, DATA_CONSTRAINED


@pytest.mark.parametrize(("flops", "parameters", "tokens"), [(3.2e17, 48.2e6, 1.107e9), (2.37e18, 119e6, 3.32e9)])
def test_compute_optimal_gives_the_published_sizes(flops, parameters, tokens):
    found_parameters, found_tokens = CHINCHILLA.compute_optimal(flops)
    assert found_parameters == pytest.approx(parameters, rel=0.005)
    assert found_tokens == pytest.approx(tokens, rel=0.005)
    assert 6 * found_parameters * found_tokens == pytest.approx(flops)


def test_chinchilla_loss_of_gopher_is_the_published_one():
    assert CHINCHILLA.loss(280e9, 300e9) == pytest.approx(1.993, abs=5e-4)


@pytest.mark.parametrize("law", [CHINCHILLA, DATA_CONSTRAINED])
@pytest.mark.parametrize("flops", [1e14, 3.2e17, 1e21])
def test_no_neighbour_on_the_same_budget_beats_the_compute_optimum(law, flops):
    parameters, tokens = law.compute_optimal(flops)
    best = law.loss(parameters, tokens)
    assert all(law.loss(parameters * factor, tokens / factor) > best for factor in (0.5, 0.9, 1.1, 2))


@pytest.mark.parametrize("law", [CHINCHILLA, DATA_CONSTRAINED])
def test_parameters_for_tokens_is_the_inverse_of_compute_optimal(law):
    parameters, tokens = law.compute_optimal(1e18)
    assert law.parameters_for(tokens) == pytest.approx(parameters)


def test_the_data_constrained_law_has_the_published_constants():
    assert DATA_CONSTRAINED.irreducible == pytest.approx(1.87, abs=0.005)
    assert DATA_CONSTRAINED.parameter_scale == pytest.approx(521, abs=0.5)
    assert DATA_CONSTRAINED.token_scale == pytest.approx(1488, abs=0.5)
    assert DATA_CONSTRAINED.parameters_for(1e9) == pytest.approx(0.051 * 1e9, rel=0.01)


@pytest.mark.parametrize(("epochs", "worth"), [(0.5, 0.5), (1, 1), (4, 3.726), (16, 10.58), (1e6, 16.39)])
def test_repeated_tokens_are_worth_what_the_paper_says(epochs, worth):
    assert DATA_CONSTRAINED.effective_tokens(1e6, epochs) == pytest.approx(worth * 1e6, rel=0.001)


def test_parameters_within_reach_of_the_data_count_in_full_and_excess_ones_saturate():
    useful = DATA_CONSTRAINED.parameters_for(1e9)
    assert DATA_CONSTRAINED.effective_parameters(useful / 2, 1e9) == pytest.approx(useful / 2)
    assert DATA_CONSTRAINED.effective_parameters(useful, 1e9) == pytest.approx(useful)
    assert DATA_CONSTRAINED.effective_parameters(useful * 1e6, 1e9) == pytest.approx(useful * 6.309743)


def test_one_epoch_within_reach_of_the_data_is_the_plain_law():
    assert DATA_CONSTRAINED.repeated_loss(1e7, 1e9, 1) == pytest.approx(DATA_CONSTRAINED.loss(1e7, 1e9))


def test_repeating_helps_less_than_fresh_tokens_and_never_hurts():
    once, four, forty = (DATA_CONSTRAINED.repeated_loss(1e7, 1e8, epochs) for epochs in (1, 4, 40))
    assert once > four > forty
    assert four > DATA_CONSTRAINED.loss(1e7, 4e8)
