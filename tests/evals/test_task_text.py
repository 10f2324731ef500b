"""Bits per byte of the user's own documents: a letter costs 2 nats, or what is said of it."""

import math

import pytest
from tests.evals.letters import SETTINGS, Letters, config, found, task_of, value

from rodna.core.errors import EvaluationError
from rodna.evals.measure import result_of
from rodna.evals.tasks.text import evaluate


def ask(*items, model=None, **settings):
    return evaluate(model or Letters(), task_of(*items), config("text", **settings), SETTINGS)


def test_bits_are_counted_over_utf_8_bytes_whatever_the_tokens():
    outcome = ask({"text": "abc"}, {"text": "дом"}, {"text": "家"})
    # Seven letters of 2 nats each, over 3 + 6 + 3 bytes.
    assert value(outcome, "bits_per_byte") == pytest.approx(7 * 2 / math.log(2) / 12)
    assert found(outcome)["task", "bits_per_byte"].ids == ["items:1", "items:2", "items:3"]


def test_perplexity_per_token_comes_with_a_warning():
    measured = found(ask({"text": "abc"}, {"text": "d"}, model=Letters(cost={"d": 4.0})))["task", "token_perplexity"]
    assert result_of(measured, samples=100, seed=0).value == pytest.approx(math.exp((2 * 3 + 4) / 4))
    assert "never compare it between models whose tokenizers differ" in measured.detail["warning"]


def test_sources_and_categories_are_told_apart_and_add_up():
    items = [
        {"text": "aa", "source": "s1", "category": "c"},
        {"text": "bbb", "source": "s2", "category": "c"},
        {"text": "d", "source": "s2"},
    ]
    outcome = ask(*items, model=Letters(cost={"a": 1.0, "b": 5.0}))
    parts = {key[0]: item for key, item in found(outcome).items() if "=" in key[0]}
    # Of a single category there is nothing new to say.
    assert list(parts) == ["task/source=s1", "task/source=s2"]
    whole = found(outcome)["task", "bits_per_byte"]
    assert sum(item.numerator_N.sum() for item in parts.values()) == pytest.approx(whole.numerator_N.sum())
    assert sum(item.denominator_N.sum() for item in parts.values()) == whole.denominator_N.sum()
    assert value(outcome, "bits_per_byte", "task/source=s1") == pytest.approx(1 / math.log(2))


def test_the_category_is_the_field_that_the_task_names():
    outcome = ask({"text": "a", "genre": "песня"}, {"text": "b", "genre": "казка"}, category="genre")
    assert [item.task for item in outcome.measurements if "=" in item.task] == ["task/category=казка", "task/category=песня"]


def test_documents_that_are_no_text_are_skipped():
    outcome = ask({"text": {"a": 1}}, {"text": "  "}, {"text": "ok"})
    assert [item.reason for item in outcome.skipped] == ['text is {"a": 1}, not text', "empty text"]
    assert outcome.texts == {"items:3": "ok"}


def test_a_cost_that_is_no_number_is_an_error():
    with pytest.raises(EvaluationError, match=r"likelihood of 1 of 2 documents is not a finite number(?s:.*)weights hold NaN"):
        ask({"text": "a"}, {"text": "b"}, model=Letters(cost={"b": float("inf")}))
