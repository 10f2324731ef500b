import json
import math

import numpy as np
import pytest
from tests.evals.letters import SETTINGS, Letters, config, found, task_of, value

from rodna.core.errors import EvaluationError
from rodna.evals.tasks.items import Row
from rodna.evals.tasks.multiple_choice import credit, evaluate, read_question
from rodna.evals.tasks.reading import read_task

KIND = "multiple_choice"
BIRDS = {"id": "1", "question": "gaga", "choices": ["gg", "mmmm", "ga"], "answer": 2}
SHAPES = [
    {"id": "x", "question": {"stem": "Q", "choices": [{"text": "ў", "label": "A"}, {"text": "क", "label": "B"}]}, "answerKey": "B"},
    {"instruction": "Q", "option_a": "ў", "option_b": "क", "answer": "B"},
    {"instruction": "Q", "option_a": "ў", "option_b": "क", "option_c": None, "answer": "B"},
    {"question": "Q", "choices": ["ў", "क"], "answer": 1},
    {"question": "Q", "choices": ["ў", "क", None], "answer": "B"},
    {"question": "Q", "choices": ["ў", "क"], "answer": "क"},
    {"question": "Q", "choices": {"text": ["ў", "क"], "label": ["A", "B"]}, "answerKey": "B"},
    {"question": "Q", "choices": {"A": "ў", "B": "क"}, "answer": "B"},
]


def ask(*items, model=None, root=".", settings=SETTINGS, **more):
    return evaluate(model or Letters(), task_of(*items, root=root), config(KIND, **more), settings)


@pytest.mark.parametrize("number", range(len(SHAPES)))
def test_every_usual_shape_is_the_same_question(number):
    question = read_question(Row("x", "items", SHAPES[number]))
    assert (question.question, question.options, question.labels, question.gold) == ("Q", ("ў", "क"), ("A", "B"), 1)


def test_shapes_are_read_from_files_without_naming_fields(tmp_path):
    for number in (0, 1, 3):
        (tmp_path / "items.jsonl").write_text(json.dumps(SHAPES[number]) + "\n", encoding="utf-8")
        task = read_task(config("by_fields"), tmp_path)
        outcome = evaluate(Letters(cost={"ў": 3.0}), task, config(KIND), SETTINGS)
        assert (task.kind, value(outcome, "acc")) == (KIND, 1.0)


def test_labels_of_numbers_come_before_indexes():
    row = {"question": "Q", "choices": {"text": ["a", "b", "c"], "label": ["1", "2", "3"]}, "answerKey": "1"}
    assert read_question(Row("x", "items", row)).gold == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "E"}, "answer outside the options: 'E' is not among A, B, C"),
        ({"answer": 3}, "answer outside the options: '3'"),
        ({"answer": -1}, "answer outside the options: '-1'"),
        ({"answer": True}, "answer outside the options"),
        ({"answer": None}, "missing field: answer"),
        ({"choices": ["a", "b", " a "]}, "duplicated options: a"),
        ({"choices": {"text": ["a", "b"], "label": ["A", "A"]}, "answer": "A"}, "duplicated labels: A"),
        ({"choices": ["a", "", "c"]}, "empty option: B"),
        ({"choices": ["a"], "answer": 0}, "1 options, where at least 2 are needed"),
        ({"choices": None}, "missing field: options"),
        ({"choices": "a, b"}, "options are \"a, b\", not a list"),
        ({"choices": ["a", ["b"]]}, 'an option is ["b"], not text'),
        ({"choices": {"text": ["a", "b"], "label": ["A"]}}, "2 options but 1 labels"),
        ({"question": " "}, "empty question"),
        ({"question": ["a"]}, 'question is ["a"], not text'),
    ],
)  # fmt: skip
def test_an_item_that_cannot_be_scored_is_skipped_with_the_reason(change, reason):
    outcome = ask(BIRDS, {**BIRDS, "id": "2", **change})
    assert found(outcome)["task", "acc"].ids == ["1"]
    [skipped] = outcome.skipped
    assert reason in skipped.reason
    assert (skipped.id, skipped.where) == ("2", "items.jsonl:2")


def test_accuracies_are_what_working_them_out_by_hand_says():
    # After "gaga\n" each g and a costs 1 and each m costs 2; after "\n" alone every letter costs 2.
    items = [BIRDS, {**BIRDS, "id": "2", "choices": ["gag", "mm", "mmm"], "answer": 1}, {**BIRDS, "id": "3", "answer": 1}]
    model = Letters(cost={"m": 1.5})
    outcome = ask(*items, model=model)
    # 1: nats 2, 6, 2: a tie of the first with the right one. 2: 3, 3, 4.5: a tie again. 3: the right one is the dearest.
    assert found(outcome)["task", "acc"].numerator_N.tolist() == [0.5, 0.5, 0]
    assert found(outcome)["task", "acc"].detail["ties"] == 3
    # 2: a character of gag costs 1, of mm 1.5.
    assert found(outcome)["task", "acc_norm"].numerator_N.tolist() == [0.5, 0, 0]
    # 1: g and a gain 1 each, so gg and ga tie; 2: gag gains 3.
    assert found(outcome)["task", "acc_pmi"].numerator_N.tolist() == [0.5, 0, 0]
    assert found(outcome)["task", "acc"].detail["chance"] == pytest.approx(1 / 3)


def test_normalised_accuracies_are_those_of_the_harness_formula():
    random = np.random.default_rng(1)
    alphabet = "abąčक्ষ가"
    words = ["".join(random.choice(list(alphabet), size=size)) for size in random.integers(1, 9, size=400)]
    items = [{"id": str(n), "question": f"{n}", "choices": words[4 * n : 4 * n + 4], "answer": n % 4} for n in range(100)]
    items = [item for item in items if len(set(item["choices"])) == 4]
    cost = dict(zip(alphabet, (1.1, 2.3, 3.7, 0.3, 5.9, 2.1, 7.7, 4.3), strict=False))
    outcome = ask(*items, model=Letters(cost=cost))
    for metric, size in (("acc", lambda _: 1), ("acc_norm", len), ("acc_bytes", lambda text: len(text.encode()))):
        # As ConfigurableTask.process_results has it: argmax of log-likelihood over length.
        likelihoods = [[-sum(cost[letter] for letter in option) / size(option) for option in item["choices"]] for item in items]
        expected = [float(np.argmax(row) == item["answer"]) for row, item in zip(likelihoods, items, strict=True)]
        clear = [max(row) - sorted(row)[-2] > 1e-4 for row in likelihoods]
        assert sum(clear) > 50
        assert found(outcome)["task", metric].numerator_N[clear].tolist() == np.array(expected)[clear].tolist()


def test_ties_count_one_over_their_number():
    assert credit([-3.0, -1.0, -1.0 - 1e-9, -1.0], 3) == (pytest.approx(1 / 3), True)
    assert credit([-3.0, -1.0, -1.0, -2.0], 0) == (0.0, True)
    assert credit([-3.0, -1.0], 1) == (1.0, False)


def test_a_prompt_that_lists_the_options_compares_their_labels():
    model = Letters(cost={"B": 0.5})
    outcome = ask({**BIRDS, "answer": "B"}, model=model, prompt="{question}?\n{options}\n= ")
    contexts, continuations = model.asked[0]
    assert contexts[0] == "gaga?\nA. gg\nB. mmmm\nC. ga\n= "
    assert set(continuations) == {"A", "B", "C"}
    assert {metric for _, metric in found(outcome)} == {"acc", "acc_pmi"}
    assert value(outcome, "acc") == 1.0


@pytest.mark.parametrize(
    ("more", "premise"), [({}, "\n"), ({"prompt": "{subject}: {question} "}, "birds:  "), ({"premise": "[{subject}]"}, "[birds]")]
)
def test_the_premise_is_the_prompt_without_the_question_unless_named(more, premise):
    model = Letters()
    ask({**BIRDS, "subject": "birds"}, model=model, **more)
    assert premise in model.asked[0][0]


def test_pmi_prefers_what_the_question_makes_likelier():
    # Alone, z costs the least; only a is made likelier by the question.
    outcome = ask({"id": "1", "question": "aaa", "choices": ["a", "z"], "answer": 0}, model=Letters(cost={"z": 0.1}))
    assert (value(outcome, "acc"), value(outcome, "acc_pmi")) == (0.0, 1.0)


def test_categories_are_reported_apart():
    items = [{**BIRDS, "id": f"{place}", "info": {"subject": subject}} for place, subject in enumerate(["sea", "land", "sea"])]
    outcome = ask(*items)
    assert {task for task, _ in found(outcome)} == {"task", "task/sea", "task/land"}
    assert found(outcome)["task/sea", "acc"].ids == ["0", "2"]


@pytest.mark.parametrize(("number", "level"), [(8, "group"), (9, "part")])
def test_many_categories_are_details(number, level):
    outcome = ask(*[{**BIRDS, "id": str(place), "subject": f"s{place}"} for place in range(number)])
    assert found(outcome)["task", "acc"].detail["level"] == "task"
    assert found(outcome)["task/s1", "acc"].detail["level"] == level


def test_ids_such_as_mmlus_name_the_category():
    outcome = ask(*[{**BIRDS, "id": f"{subject}/dev/{place}"} for subject in ("anatomy", "law") for place in range(3)])
    assert {task for task, _ in found(outcome)} == {"task", "task/anatomy", "task/law"}


def test_a_category_that_no_item_has_is_an_error():
    with pytest.raises(EvaluationError, match="no item has the field `grade`"):
        ask(BIRDS, category="grade")


@pytest.mark.parametrize("more", [{"prompt": "{question} {answer} "}, {"premise": "{answerKey}"}])
def test_neither_prompt_nor_premise_may_tell_the_answer(more):
    with pytest.raises(EvaluationError, match="tells the model the answer"):
        ask(BIRDS, **more)


def test_a_template_field_that_an_item_lacks_skips_it():
    outcome = ask({**BIRDS, "hint": "w"}, {**BIRDS, "id": "2"}, prompt="{hint} {question} ")
    assert [skipped.reason for skipped in outcome.skipped] == ["missing field: hint"]


def numbered(count):
    return [{"id": str(n), "question": f"q{n}", "choices": [f"r{n}", f"w{n}"], "answer": 0} for n in range(count)]


def shown(model, count):
    """Return what precedes each item's own question, by item."""
    contexts = list(dict.fromkeys(context for context in model.asked[0][0] if context != "\n"))
    assert len(contexts) == count
    return {context.rstrip("\n").rpartition("\n")[2]: context.split("\n\n")[:-1] for context in contexts}


def test_shots_are_solved_items_never_the_item_itself_and_the_same_on_repeat():
    model, again, other = Letters(), Letters(), Letters()
    for each in (model, again):
        ask(*numbered(8), model=each, shots=3)
    ask(*numbered(8), model=other, shots=3, settings=SETTINGS.model_copy(update={"seed": 1}))
    assert model.asked == again.asked
    assert model.asked != other.asked
    for question, examples in shown(model, 8).items():
        assert len(examples) == 3
        assert all(example.split("\n")[0] != question for example in examples)
        assert all(example.split("\n")[1] == example.split("\n")[0].replace("q", "r") for example in examples)


def test_shots_from_another_file_leave_out_the_same_question(tmp_path):
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps({**item, "id": f"dev{item['id']}"}) + "\n" for item in numbered(3)))
    model = Letters()
    ask(*numbered(5), model=model, shots=2, shots_path="dev.jsonl", root=tmp_path)
    for question, examples in shown(model, 5).items():
        assert len(examples) == 2
        assert question not in {example.split("\n")[0] for example in examples}


def test_shots_of_the_items_own_category_come_first():
    items = [{**item, "subject": "even" if int(item["id"]) % 2 == 0 else "odd"} for item in numbered(10)]
    model = Letters()
    ask(*items, model=model, shots=4)
    for question, examples in shown(model, 10).items():
        assert {int(example.split("\n")[0][1:]) % 2 for example in examples} == {int(question[1:]) % 2}


def test_more_shots_than_items_is_an_error():
    with pytest.raises(EvaluationError, match="3 solved items are to be shown before each question, but only 2 can be used"):
        ask(*numbered(3), shots=3)


def test_prompt_digests_differ_whenever_the_model_reads_something_else():
    outcomes = [ask(*numbered(5)), ask(*numbered(5), shots=1), ask(*numbered(5), shots=2), ask(*numbered(5), prompt="{question} "),
                ask(*numbered(5), premise="x"), ask(*numbered(6), shots=1)]  # fmt: skip
    digests = [found(outcome)["task", "acc"].prompt_digest for outcome in outcomes]
    assert len(set(digests)) == len(digests)
    assert found(ask(*numbered(6)))["task", "acc"].prompt_digest == digests[0]


def test_a_context_that_was_cut_is_counted():
    outcome = ask(BIRDS, {**BIRDS, "id": "2", "question": "a" * 50}, model=Letters(context_length=20))
    detail = found(outcome)["task", "acc"].detail
    assert detail["cut"] == 1
    assert "1 of 2 items of task are longer than the model's context" in detail["warning"]
    assert "warning" not in found(outcome)["task", "acc_norm"].detail


def test_likelihoods_that_are_not_numbers_are_an_error():
    with pytest.raises(EvaluationError, match=r"likelihood of 2 of \d+ texts is not a finite number"):
        ask(BIRDS, model=Letters(cost={"m": math.nan}))


def test_what_each_option_cost_is_kept_and_contamination_is_looked_for_in_question_and_answer():
    outcome = ask(BIRDS)
    [record] = outcome.files["task.options.json"]["items"]
    assert (record["right"], record["nats"], record["premise_nats"]) == ("C", [2.0, 8.0, 2.0], [4.0, 8.0, 4.0])
    assert outcome.texts == {"1": "gaga\nga"}


def test_no_usable_item_measures_nothing():
    outcome = ask({**BIRDS, "answer": 9})
    assert (outcome.measurements, outcome.files, len(outcome.skipped)) == ([], {}, 1)


def test_real_exams_and_translations_are_read_with_duplicated_options_skipped(shared_data):
    folder = shared_data / "eval" / "qa"
    counts = {}
    for name in ("exams_lt/Lithuanian.test.jsonl", "tilde_lt/mmlu_dev_lt.jsonl"):
        task = read_task(config("by_fields", path=str(folder / name)), folder, anywhere=True)
        outcome = evaluate(Letters(), task, config(KIND), SETTINGS)
        tasks = {measurement.task for measurement in outcome.measurements}
        counts[name] = (len(found(outcome)["task", "acc"].ids), len(outcome.skipped), len(tasks))
    # Of one subject, moral_scenarios, every translated item has four times the same option.
    assert counts == {
        "exams_lt/Lithuanian.test.jsonl": (593, 0, 3),
        "tilde_lt/mmlu_dev_lt.jsonl": (272, 4, 57),
    }
