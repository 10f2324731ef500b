"""Minimal pairs, with a model whose costs can be worked out by hand: a letter costs 2 nats, or what is said of it."""

import numpy as np
import pytest
from tests.evals.letters import SETTINGS, Letters, config, found, task_of, value

from rodna.core.errors import EvaluationError
from rodna.evals.measure import result_of
from rodna.evals.tasks.minimal_pairs import evaluate

MODEL = {"a": 1.0, "b": 3.0, "z": 2.0 + 1e-9}
RIGHT, WRONG, TIE = ("xa", "xb"), ("xb", "xa"), ("xy", "yx")


def pair(sentences, paradigm="p", **more):
    return {"good": sentences[0], "bad": sentences[1], "paradigm": paradigm, **more}


def ask(*items, model=None, **settings):
    return evaluate(model or Letters(cost=MODEL), task_of(*items), config("minimal_pairs", **settings), SETTINGS)


def test_a_pair_is_right_where_the_good_sentence_costs_less_and_half_right_on_a_tie():
    outcome = ask(pair(RIGHT), pair(WRONG), pair(TIE), pair(RIGHT))
    measured = found(outcome)["task", "accuracy"]
    assert measured.numerator_N.tolist() == [1, 0, 0.5, 1]
    assert value(outcome, "accuracy") == 2.5 / 4
    assert (measured.detail["ties"], measured.detail["chance"]) == (1, 0.5)
    assert measured.detail["accuracy_ties_right"] == 3 / 4
    assert list(found(outcome)) == [("task", "accuracy")]


def test_costs_that_differ_by_rounding_alone_are_a_tie():
    assert found(ask(pair(("xy", "xz"))))["task", "accuracy"].numerator_N.tolist() == [0.5]
    assert found(ask(pair(("xy", "xw")), model=Letters(cost={"w": 2.001})))["task", "accuracy"].numerator_N.tolist() == [1]


def test_sentences_are_whole_documents_and_every_token_counts():
    model = Letters(cost=MODEL)
    ask(pair(("xaa", "xb")), model=model)
    assert model.asked == [(["", ""], [" xaa", " xb"])]
    # A longer sentence costs more: nothing is divided by its length. 2 + 1 + 1 against 2 + 3.
    assert found(ask(pair(("xaa", "xb"))))["task", "accuracy"].numerator_N.tolist() == [1]
    assert found(ask(pair(("xaaaa", "xb"))))["task", "accuracy"].numerator_N.tolist() == [0]


def test_paradigms_weigh_the_same_whatever_their_size_and_the_pooled_number_says_otherwise():
    items = [pair(RIGHT, "large")] * 6 + [pair(WRONG, "small"), pair(RIGHT, "small")]
    outcome = ask(*[{**item, "id": place} for place, item in enumerate(items)])
    assert value(outcome, "accuracy", "task/large") == 1
    assert value(outcome, "accuracy", "task/small") == 0.5
    assert value(outcome, "accuracy") == pytest.approx(np.mean([1, 0.5]))
    assert value(outcome, "accuracy_pooled") == 7 / 8
    details = {key: item.detail for key, item in found(outcome).items()}
    assert [details["task", metric]["mean_over"] for metric in ("accuracy", "accuracy_pooled")] == ["paradigms", "pairs"]
    assert details["task", "accuracy"]["accuracy_ties_right"] == pytest.approx(0.75)
    result = result_of(found(outcome)["task", "accuracy"], samples=200, seed=0)
    assert result.value == pytest.approx(0.75)
    assert result.n == 8


def test_phenomena_hold_their_paradigms():
    items = [pair(RIGHT, "p1", phenomenon="f"), pair(WRONG, "p2", phenomenon="f"), pair(TIE, "p3", phenomenon="g")]
    outcome = ask(*items)
    assert list(found(outcome)) == [(name, "accuracy") for name in ("task", "task/f", "task/f/p1", "task/f/p2", "task/g", "task/g/p3")]
    assert [item.detail["level"] for item in outcome.measurements] == ["task", "group", "part", "part", "group", "part"]
    assert value(outcome, "accuracy", "task/f") == 0.5
    assert value(outcome, "accuracy") == pytest.approx(0.5)


def test_the_category_names_the_field_to_group_by():
    items = [pair(RIGHT, "p1", phenomenon="f", field="syntax"), pair(WRONG, "p2", phenomenon="g", field="syntax")]
    outcome = ask(*items, category="field")
    assert "task/syntax" in {item.task for item in outcome.measurements}
    assert not {"task/f", "task/g"} & {item.task for item in outcome.measurements}


def test_pairs_of_one_verb_are_one_group():
    outcome = ask(pair(RIGHT, group="бегчы"), pair(RIGHT, group="бегчы"), pair(WRONG, group="ісці"))
    assert list(found(outcome)["task", "accuracy"].groups) == ["бегчы", "бегчы", "ісці"]
    assert list(found(ask(pair(RIGHT, group="бегчы"), pair(WRONG)))["task", "accuracy"].groups) == []


def test_pairs_that_ask_nothing_are_skipped_with_a_reason_and_the_rest_is_scored():
    outcome = ask(pair(("xa", "xa")), pair((["xa"], "xb")), pair(RIGHT))
    assert [item.reason for item in outcome.skipped] == ["both sentences are the same", 'good is ["xa"], not text']
    assert [item.where for item in outcome.skipped] == ["items.jsonl:1", "items.jsonl:2"]
    assert outcome.texts == {"items:3": "xa"}
    assert found(outcome)["task", "accuracy"].ids == ["items:3"]


def test_nothing_to_score_measures_nothing():
    outcome = ask(pair(("xa", "xa")))
    assert outcome.measurements == []
    assert len(outcome.skipped) == 1


def test_a_likelihood_that_is_no_number_is_an_error():
    with pytest.raises(EvaluationError, match=r"the model's likelihood of 1 of 2 texts is not a finite number\n  where: task task"):
        ask(pair(("xa", "xn")), model=Letters(cost={"n": float("nan")}))


def test_the_prompt_says_what_stands_around_a_sentence_and_has_to_hold_it():
    model = Letters(cost=MODEL)
    plain = found(ask(pair(RIGHT), model=model, prompt="{sentence}"))["task", "accuracy"]
    assert model.asked == [(["", ""], ["xa", "xb"])]
    assert plain.prompt_digest != found(ask(pair(RIGHT)))["task", "accuracy"].prompt_digest
    with pytest.raises(EvaluationError, match=r"the prompt does not hold the sentence: 'Is it right\?'"):
        ask(pair(RIGHT), prompt="Is it right?")


def test_results_name_the_version_and_what_the_model_read():
    measured = found(ask(pair(RIGHT)))["task", "accuracy"]
    assert measured.task_version == 1
    assert len(measured.prompt_digest) == 64
