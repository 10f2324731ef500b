"""The report says plainly whether the plan's prediction held."""

import json
from types import SimpleNamespace

import pytest

from rodna.evals.result import Result
from rodna.publish.facts.prediction import prediction_facts

TEST = Result("held_out_text", "bits_per_byte", 1.10, "bits per UTF-8 byte", 1.05, 1.15, 40, "lower")


@pytest.fixture
def facts(tmp_path):
    def make(*, expected=None, measured=1.02, seen=1000, results=(TEST,)):
        values = {"estimates": {"tokens_seen": 1000}, "expected": expected if expected is not None else PILOTS}
        (tmp_path / "plan.json").write_text(json.dumps(values))
        (tmp_path / "training.json").write_text(json.dumps({"best_validation_bits_per_byte": measured, "tokens_seen": seen}))
        folder = SimpleNamespace(path=tmp_path)
        return prediction_facts(folder, folder, results)

    return make


PILOTS = {"bits_per_byte": 1.0, "low": 0.95, "high": 1.05, "source": "pilots"}


def test_a_prediction_that_held_says_by_how_much_it_was_off(facts):
    made = facts()

    assert "pilot runs on this text promised 1.000 bits per byte" in made.lead
    assert "95% confidence 0.950 to 1.050" in made.lead
    assert "came out at 1.020: the prediction held, and was 2.0% off" in made.lead
    assert [row.cells for row in made.rows] == [
        ["validation", "1.000", "0.950 to 1.050", "1.020", "\N{MINUS SIGN}2.0%"],
        ["test", "1.000", "0.950 to 1.050", "1.100", "\N{MINUS SIGN}9.1%"],
    ]


@pytest.mark.parametrize(("measured", "side", "off"), [(1.25, "worse", "20.0%"), (0.8, "better", "25.0%")])
def test_a_prediction_that_failed_is_called_that(facts, measured, side, off):
    lead = facts(measured=measured).lead

    assert "the prediction failed" in lead
    assert f"It was {off} off, and the model is {side} than the interval allows" in lead


def test_without_an_evaluation_only_the_validation_text_is_compared(facts):
    assert [row.cells[0] for row in facts(results=()).rows] == ["validation"]


def test_a_run_of_another_length_is_not_the_one_that_was_predicted(facts):
    assert "training saw 600 tokens, not the 1,000 that were planned" in facts(seen=600).lead
    assert "that were planned" not in facts(seen=1010).lead


@pytest.mark.parametrize("expected", [{}, {"bits_per_byte": None}, {"bits_per_byte": "1"}])
def test_a_plan_that_promised_nothing_has_no_section(facts, expected):
    assert facts(expected=expected) is None


def test_a_model_that_was_never_scored_has_no_section(facts):
    assert facts(measured=None) is None
    assert prediction_facts(None, None, ()) is None


def test_other_sources_are_named(facts):
    lead = facts(expected=PILOTS | {"source": "ngram"}).lead

    assert "an n-gram model of this text, and runs on other texts promised" in lead


def test_a_student_is_held_against_what_its_teachers_plan_promised_of_it(facts, tmp_path):
    taught = tmp_path / "distillation.json"
    taught.write_text(json.dumps({"expected": {"bits_per_byte": 0.93, "low": 0.9, "high": 0.96}}))
    made = facts(measured=0.95, seen=600)
    assert "less what students of ours were better than one of their teachers, promised 0.930 bits per byte" in made.lead
    assert "came out at 0.950: the prediction held" in made.lead
    assert "that were planned" not in made.lead

    taught.write_text(json.dumps({"expected": None}))
    assert facts() is None
