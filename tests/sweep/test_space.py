"""What can be tried, and the combinations that are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rodna.core.errors import ConfigError
from rodna.sweep.space import Choices, Range, combinations, dimension, parse_over

places = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("train.learning_rate=0.003,0.01,3e-2", [0.003, 0.01, 0.03]),
        ("train.optimizer=muon,adamw", ["muon", "adamw"]),
        ("train.compile=on,off", ["on", "off"]),
        ("train.adam_betas=[0.9,0.95],[0.8,0.95]", [[0.9, 0.95], [0.8, 0.95]]),
        ("model.tied_embeddings=true,false", [True, False]),
        ("model.dropout=0:0.3", "0:0.3"),
        ("train.learning_rate=1e-3:1e-1:log", "1e-3:1e-1:log"),
        ("tokenizer.vocabulary_size=512", [512]),
    ],
)
def test_values_and_ranges_are_told_apart(text: str, values: object) -> None:
    assert parse_over(text) == (text.partition("=")[0], values)


@pytest.mark.parametrize("text", ["train.learning_rate", "=1,2", ""])
def test_a_setting_without_values_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not a setting with its values(.|\n)*--over section.key=low:high"):
        parse_over(text)


def test_wide_positive_ranges_are_searched_in_logarithms_unless_they_say_otherwise() -> None:
    assert dimension("a", "0.001:0.1", whole=False) == Range(0.001, 0.1, "log", whole=False)
    assert dimension("a", "0.001:0.1:linear", whole=False) == Range(0.001, 0.1, "linear", whole=False)
    assert dimension("a", "0:0.3", whole=False) == Range(0.0, 0.3, "linear", whole=False)
    assert dimension("a", "2:3:log", whole=False) == Range(2.0, 3.0, "log", whole=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "a.b: there is nothing to try"),
        ([None], "a.b: there is nothing to try"),
        ("0.3:0.1", "a.b: the range '0.3:0.1' is empty"),
        ("0.3:0.3", "is empty"),
        ("0:1:log", "no logarithm at its low end"),
        ("small:large", "'small:large' is no range"),
        ("1:2:3", "'1:2:3' is no range"),
        ("1:inf", "is no range"),
        ("1:nan", "is no range"),
    ],
)
def test_what_cannot_be_searched_is_refused(given: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dimension("a.b", given, whole=False)  # pyright: ignore[reportArgumentType]


def test_a_range_of_fractions_for_a_whole_number_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"takes whole numbers; the range '0.5:4' has others"):
        dimension("model.num_layers", "0.5:4", whole=True)


@given(place=places, low=st.integers(1, 50), size=st.integers(1, 500), scale=st.sampled_from(["linear", "log"]), whole=st.booleans())
def test_a_range_gives_numbers_between_its_ends(place: float, low: int, size: int, scale: str, whole: bool) -> None:
    dim = dimension("a", f"{low}:{low + size}:{scale}", whole=whole)
    value = dim.at(place)
    assert low <= value <= low + size
    assert isinstance(value, int) == whole


def test_every_whole_number_of_a_range_can_be_tried_and_as_often_as_any_other() -> None:
    dim = Range(2, 5, "linear", whole=True)
    found = [dim.at(index / 400) for index in range(400)]
    assert {value: found.count(value) for value in found} == {2: 100, 3: 100, 4: 100, 5: 100}


def test_a_logarithmic_range_spends_as_much_on_each_factor_of_ten() -> None:
    dim = Range(0.001, 0.1, "log", whole=False)
    assert dim.at(0.0) == 0.001
    assert dim.at(0.5) == pytest.approx(0.01)


def test_a_grid_has_every_combination_and_the_projects_own_settings_first() -> None:
    space = {"a.x": Choices((1, 2)), "a.y": Choices(("p", "q"))}
    assert combinations(space, method="grid", trials=5, seed=0) == [
        {}, {"a.x": 1, "a.y": "p"}, {"a.x": 1, "a.y": "q"}, {"a.x": 2, "a.y": "p"}, {"a.x": 2, "a.y": "q"},
    ]  # fmt: skip


def test_a_grid_larger_than_the_trials_says_what_it_needs() -> None:
    space = {"a.x": Choices((1, 2, 3)), "a.y": Choices((1, 2))}
    with pytest.raises(ConfigError, match=r"6 combinations(.|\n)*that makes 7 trials(.|\n)*set it to 7, or use --method random"):
        combinations(space, method="grid", trials=6, seed=0)


def test_a_grid_of_a_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a grid needs values, and a.x is a range"):
        combinations({"a.x": Range(0, 1, "linear", whole=False)}, method="grid", trials=6, seed=0)


def test_a_random_search_repeats_itself_by_its_seed_and_never_a_combination() -> None:
    space = {"a.x": Range(0, 1, "linear", whole=False), "a.y": Choices((1, 2, 3))}
    first, second, other = (combinations(space, method="random", trials=20, seed=seed) for seed in (0, 0, 1))
    assert first == second != other
    assert len({json.dumps(settings) for settings in first}) == len(first) == 20
    assert {settings["a.y"] for settings in first[1:]} == {1, 2, 3}


def test_a_random_search_of_few_combinations_ends_when_all_are_tried() -> None:
    space = {"a.x": Choices((1, 2)), "a.y": Choices((1, 2))}
    found = combinations(space, method="random", trials=50, seed=0)
    assert len(found) == 5


@given(trials=st.integers(8, 60), seed=st.integers(0, 20))
def test_the_values_of_a_range_are_spread_evenly(trials: int, seed: int) -> None:
    space = {"a.x": Range(0, 1, "linear", whole=False), "a.y": Range(0, 1, "linear", whole=False)}
    values = sorted(settings["a.x"] for settings in combinations(space, method="random", trials=trials, seed=seed)[1:])
    # Independent draws leave gaps of ln(n)/n and more; a Sobol sequence has one point in every 2^-k with 2^k <= n.
    assert max(b - a for a, b in zip([0, *values], [*values, 1], strict=True)) <= 4 / len(values)
