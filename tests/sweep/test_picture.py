"""The picture: a panel a setting, a dot a trial, the best ringed."""

import math
from typing import Any
from xml.etree import ElementTree

import pytest

from rodna.sweep.picture import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, draw
from rodna.sweep.search import Result
from rodna.sweep.space import Choices, Range

SVG = "{http://www.w3.org/2000/svg}"
SPACE = {"train.learning_rate": Range(0.001, 0.1, "log", whole=False), "train.optimizer": Choices(("muon", "adamw"))}
OWN = {"train.learning_rate": 0.01, "train.optimizer": "muon"}


def result(trial: int, rung: int, value: float | None, **settings: Any) -> Result:
    return Result(trial, rung, {key.replace("__", "."): found for key, found in settings.items()}, value, 1.0)


def picture(*results: Result) -> ElementTree.Element:
    return ElementTree.fromstring(draw(list(results), SPACE, lambda found, key: found.settings.get(key, OWN[key])))


RESULTS = (
    result(0, 0, 2.0),
    result(1, 1, 1.0, train__learning_rate=0.1, train__optimizer="adamw"),
    result(2, 1, 1.5, train__learning_rate=0.001, train__optimizer="<new>"),
    result(3, 0, None, train__learning_rate=0.05, train__optimizer="muon"),
)


def test_every_setting_has_a_panel_with_a_dot_for_each_trial_that_has_a_value() -> None:
    panels = picture(*RESULTS).findall(f"{SVG}svg")
    assert [next(text.text for text in panel.iter(f"{SVG}text") if text.get("class") == "title") for panel in panels] == list(SPACE)
    for panel in panels:
        assert [circle.get("class") for circle in panel.iter(f"{SVG}circle")] == ["dot short", "dot", "dot", "best"]


def test_dots_lie_where_their_values_are() -> None:
    panel = picture(*RESULTS).findall(f"{SVG}svg")[0]
    dots = {circle[0].text.partition(":")[0]: circle for circle in panel.iter(f"{SVG}circle") if len(circle) and circle[0].text}
    across = {name: (float(dot.get("cx", "nan")) - LEFT) / (WIDTH - LEFT - RIGHT) for name, dot in dots.items()}
    upwards = {name: (HEIGHT - BOTTOM - float(dot.get("cy", "nan"))) / (HEIGHT - TOP - BOTTOM) for name, dot in dots.items()}
    assert across == {"trial 0": pytest.approx(0.5, abs=0.01), "trial 1": pytest.approx(1.0), "trial 2": pytest.approx(0.0)}
    assert upwards == {"trial 0": pytest.approx(1.0), "trial 1": pytest.approx(0.0), "trial 2": pytest.approx(0.5, abs=0.01)}


def test_the_ring_is_around_the_best_of_the_last_rung() -> None:
    circles = list(picture(*RESULTS).findall(f"{SVG}svg")[1].iter(f"{SVG}circle"))
    assert (circles[-1].get("cx"), circles[-1].get("cy")) == (circles[-2].get("cx"), circles[-2].get("cy"))
    assert circles[-2][0].text == "trial 1: adamw, 1.0000 bits per byte"


def test_words_of_a_setting_are_written_safely() -> None:
    text = draw(list(RESULTS), SPACE, lambda found, key: found.settings.get(key, OWN[key]))
    assert "&lt;new&gt;" in text
    assert "<new>" not in text


def test_a_single_trial_and_a_setting_outside_its_range_can_be_drawn() -> None:
    svg = draw([result(0, 0, 2.0)], {"a.x": Range(1, 2, "linear", whole=True)}, lambda found, key: 7)
    numbers = [float(circle.get("cx", "nan")) for circle in ElementTree.fromstring(svg).iter(f"{SVG}circle")]
    assert all(math.isfinite(number) and number <= WIDTH - RIGHT for number in numbers)
