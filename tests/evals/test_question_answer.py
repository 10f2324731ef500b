import math

import numpy as np
import pytest
from tests.evals.letters import SETTINGS, Letters, config, found, task_of, value

from rodna.evals.measure import result_of
from rodna.evals.tasks.question_answer import evaluate
from rodna.evals.tasks.reading import read_task

KIND = "question_answer"
PAIRS = [{"id": "1", "question": "abč", "answer": "ač"}, {"id": "2", "question": "xy", "answer": "zz"}]


def ask(*items, model=None, **more):
    return evaluate(model or Letters(), task_of(*items), config(KIND, **more), SETTINGS)


def test_the_cost_of_an_answer_is_spread_over_its_bytes():
    outcome = ask(*PAIRS)
    # Letters of the question cost 1 nat, others 2; č has two bytes.
    item = found(outcome)["task", "answer_bits_per_byte"]
    np.testing.assert_allclose(item.numerator_N, [2 / math.log(2), 4 / math.log(2)])
    assert item.denominator_N.tolist() == [3, 2]


def test_the_whole_pair_is_one_text_after_the_beginning():
    model = Letters()
    outcome = ask(*PAIRS, model=model)
    assert ("", "abč\nač") in zip(*model.asked[0], strict=True)
    item = found(outcome)["task", "pair_bits_per_byte"]
    np.testing.assert_allclose(item.numerator_N, [12 / math.log(2), 10 / math.log(2)])
    assert item.denominator_N.tolist() == [8, 5]


def test_perplexity_per_token_stands_beside_a_warning():
    item = found(ask(*PAIRS))["task", "token_perplexity"]
    assert result_of(item, samples=100, seed=0).value == pytest.approx(math.exp(22 / 11))
    assert "only models with the same tokenizer" in item.detail["warning"]


def test_the_template_counts_in_the_pair_and_not_in_the_answer():
    outcome = ask(PAIRS[1], prompt="K: {question} A: ")
    assert found(outcome)["task", "answer_bits_per_byte"].denominator_N.tolist() == [2]
    assert found(outcome)["task", "pair_bits_per_byte"].denominator_N.tolist() == [11]


def test_categories_are_reported_apart():
    outcome = ask({**PAIRS[0], "category": "law"}, {**PAIRS[1], "category": "art"})
    assert value(outcome, "answer_bits_per_byte", "task/law") == pytest.approx(2 / math.log(2) / 3)
    assert value(outcome, "answer_bits_per_byte", "task/art") == pytest.approx(2 / math.log(2))


def test_shots_make_answers_cheaper_and_leave_whole_pairs_alone():
    items = [{"id": str(n), "question": f"q{n}", "answer": "same"} for n in range(4)]
    without, with_shots = ask(*items), ask(*items, shots=1)
    assert value(with_shots, "answer_bits_per_byte") < value(without, "answer_bits_per_byte")
    assert value(with_shots, "pair_bits_per_byte") == value(without, "pair_bits_per_byte")


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"answer": ""}, "empty answer"), ({"question": None}, "missing field: question"), ({"answer": ["a"]}, 'answer is ["a"], not text')],
)
def test_a_pair_that_lacks_text_is_skipped_with_the_reason(change, reason):
    outcome = ask(PAIRS[0], {**PAIRS[1], **change})
    assert [skipped.reason for skipped in outcome.skipped] == [reason]
    assert found(outcome)["task", "answer_bits_per_byte"].ids == ["1"]


def test_of_a_question_with_options_the_right_ones_text_is_the_answer():
    model = Letters()
    ask({"id": "1", "question": "Q", "choices": ["left", "right"], "answer": "B"}, model=model)
    assert set(model.asked[0][1]) == {"right", "Q\nright"}


def test_real_exams_cost_something_in_each_subject(shared_data):
    path = str(shared_data / "eval" / "qa" / "exams_lt" / "Lithuanian.test.jsonl")
    more = {"path": path, "max_items": 60}
    task = read_task(config(KIND, **more), shared_data, anywhere=True)
    outcome = evaluate(Letters(), task, config(KIND, **more), SETTINGS)
    assert {"task", "task/History", "task/Geology"} == {name for name, _ in found(outcome)}
    assert 1 < value(outcome, "answer_bits_per_byte") < 3
