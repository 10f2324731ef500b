import builtins

import pytest
from tests.evals.letters import SETTINGS, Letters, config, found, task_of, value

from rodna.core.errors import EvaluationError
from rodna.evals.tasks.consistency import evaluate
from rodna.evals.tasks.items import Row
from rodna.evals.tasks.reading import read_task

KIND = "consistency"


def ask(*items, model=None, **more):
    return evaluate(model or Letters(), task_of(*items), config(KIND, **more), SETTINGS)


def written(*items, **writes):
    return ask(*items, model=Letters(writes=writes))


def test_answers_agree_where_they_are_the_same_but_for_case_spaces_and_punctuation():
    items = [{"id": "a", "prompts": ["p1", "p2", "p3"]}, {"id": "b", "prompts": ["q1", "q2"]}]
    outcome = written(*items, p1=" Мінск.", p2="мінск", p3="Вільня", q1="адзін", q2="два")
    measured = found(outcome)["task", "agreement"]
    assert list(measured.ids) == ["a", "b"]
    assert measured.numerator_N == pytest.approx([1 / 3, 0])
    assert measured.detail["different_questions"] == 0


def test_saying_nothing_is_no_agreement():
    outcome = written({"prompts": ["p1", "p2"]})
    assert value(outcome, "agreement") == 0
    assert found(outcome)["task", "agreement"].detail["empty_answers"] == 2


def test_a_model_that_always_says_the_same_is_told_by_its_answers_to_different_questions():
    items = [{"id": "a", "prompts": ["p1", "p2"]}, {"id": "b", "prompts": ["q1", "q2"]}]
    outcome = written(*items, p1="так", p2="так", q1="так", q2="так")
    assert value(outcome, "agreement") == 1
    assert found(outcome)["task", "agreement"].detail["different_questions"] == 1


def test_chrf_between_answers_is_the_mean_of_both_directions():
    sacrebleu = pytest.importorskip("sacrebleu")
    outcome = written({"prompts": ["p1", "p2"]}, p1="стары горад Мінск", p2="горад")
    one, other = (sacrebleu.sentence_chrf(*pair).score for pair in (("стары горад Мінск", ["горад"]), ("горад", ["стары горад Мінск"])))
    assert value(outcome, "agreement_chrf") == pytest.approx((one + other) / 200)


def test_without_sacrebleu_agreement_is_measured_and_what_is_missing_is_said(monkeypatch, capsys):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("sacrebleu"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    outcome = written({"prompts": ["p1", "p2"]}, p1="так", p2="так")
    assert [item.metric for item in outcome.measurements] == ["agreement"]
    assert "pip install 'rodna[eval]'" in capsys.readouterr().err


def test_accuracy_is_apart_from_agreement_and_any_of_several_answers_is_right():
    items = [{"id": "a", "prompts": ["p1", "p2"], "answer": ["Мінск", "Менск"]}, {"id": "b", "prompts": ["q1", "q2"]}]
    outcome = written(*items, p1="Менск", p2="Мінск", q1="так", q2="так")
    assert (value(outcome, "exact_match"), value(outcome, "agreement")) == (1, 0.5)
    assert list(found(outcome)["task", "exact_match"].ids) == ["a"]


def test_with_options_the_likeliest_per_byte_is_compared():
    # After "xa", "a" is cheap; after "xb", "b" is; the space costs as much for all.
    outcome = ask({"prompts": ["xa ", "xb ", "x ab "], "options": ["a", "b"], "answer": "A"})
    measured = found(outcome)["task", "same_option"]
    # a and b, a and both, b and both: ties agree by half.
    assert value(outcome, "same_option") == pytest.approx((0 + 0.5 + 0.5) / 3)
    assert measured.detail["chance"] == 0.5
    assert value(outcome, "accuracy") == pytest.approx((1 + 0 + 0.5) / 3)


@pytest.mark.parametrize(("prompt", "option", "expected"), [("так", "а", " а"), ("так ", "а", "а"), ("係", "食", "食"), ("ok", "食", "食")])
def test_an_option_follows_a_space_unless_there_is_one_or_the_script_has_none(prompt, option, expected):
    model = Letters()
    ask({"prompts": [prompt, f"x{prompt}"], "options": [option, "z"]}, model=model)
    assert model.asked[0][1][0] == expected


def test_options_without_an_answer_have_no_accuracy():
    outcome = ask({"prompts": ["xa", "xb"], "options": ["a", "b"]})
    assert [item.metric for item in outcome.measurements] == ["same_option"]


def test_categories_are_told_apart():
    items = [{"id": "a", "prompts": ["p1", "p2"], "category": "геаграфія"}, {"id": "b", "prompts": ["q1", "q2"], "category": "лік"}]
    outcome = written(*items, p1="так", p2="так", q1="адзін", q2="два")
    assert value(outcome, "agreement", "task/геаграфія") == 1
    assert value(outcome, "agreement", "task/лік") == 0


def test_the_prompt_template_stop_and_length_are_used():
    model = Letters(writes={"p1\nАдказ:": "так"})
    outcome = ask({"prompts": ["p1", "p2"]}, model=model, prompt="{prompt}\nАдказ:", stop=["."], max_tokens=7)
    assert model.prompts == ["p1\nАдказ:", "p2\nАдказ:"]
    assert (model.sampling.temperature, model.sampling.stop, model.sampling.max_tokens) == (0.0, (".",), 7)
    assert outcome.files["task.answers.json"]["items"][0]["said"] == ("так", "")


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"prompts": "p1"}, "prompts are not a list"),
        ({"prompts": ["p1"]}, "fewer than two"),
        ({"prompts": ["p1", "P1 "]}, "all the same"),
        ({"prompts": ["p1", ""]}, "empty prompt"),
        ({"prompts": ["p1", "p2"], "answer": []}, "empty answer"),
        ({"prompts": ["p1", "p2"], "options": ["a"], "answer": 0}, "at least 2"),
        ({"prompts": ["p1", "p2"], "options": ["a", "a"], "answer": 0}, "option"),
        ({"prompts": ["p1", "p2"], "options": ["a", "b"], "answer": "Z"}, "answer"),
    ],
)
def test_items_that_cannot_be_used_are_skipped_with_the_reason(item, reason):
    outcome = ask(item, {"id": "good", "prompts": ["p1", "p2"]})
    assert [skipped.where for skipped in outcome.skipped] == ["items.jsonl:1"]
    assert reason in outcome.skipped[0].reason
    assert list(outcome.texts) == ["good"]


def test_solved_items_cannot_be_shown():
    with pytest.raises(EvaluationError, match="shows no solved items"):
        ask({"prompts": ["p1", "p2"]}, shots=2)


def test_a_model_that_leaves_prompts_unanswered_is_an_error():
    class Silent(Letters):
        def generate(self, prompts, sampling):
            return []

    with pytest.raises(EvaluationError, match="answered 0 of 2 prompts"):
        ask({"prompts": ["p1", "p2"]}, model=Silent())


def test_items_are_read_from_a_file(tmp_path):
    (tmp_path / "items.jsonl").write_text('{"id": "a", "prompts": ["p1", "p2"]}\n{"id": "b"}\n', encoding="utf-8")
    task = read_task(config("by_fields"), tmp_path)
    assert task.kind == KIND
    assert [row.id for row in task.rows] == ["a"]
    assert isinstance(task.rows[0], Row)
    assert "prompts" in task.skipped[0].reason
