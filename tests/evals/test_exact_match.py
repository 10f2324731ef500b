import json
import re

import pytest
from tests.evals.letters import SETTINGS, Letters, config, found, task_of, value

from rodna.core.errors import EvaluationError
from rodna.evals.tasks.exact_match import evaluate, normalise
from rodna.evals.tasks.numbers import is_same_number, last_number, marked_number, readings
from rodna.evals.tasks.reading import read_task

KIND = "exact_match"
WORKED = {"id": "1", "question": "2 and 3?", "answer": "2 and 3 is <<2+3=5>>5\n#### 5"}


def answer(*pairs, **more):
    """Ask each (right answer, what the model writes)."""
    items = [{"id": str(place), "question": f"question {place};", "answer": right} for place, (right, _) in enumerate(pairs)]
    model = Letters(writes={f"question {place};\n": written for place, (_, written) in enumerate(pairs)})
    return evaluate(model, task_of(*items), config(KIND, **more), SETTINGS), model


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 18.", "18"), ("$18, not 20 dollars", "20"), ("it is -5", "-5"), ("from 3 to −7!", "−7"), ("1,234,567.89.", "1,234,567.89"),
        ("70 000 eurų", "70 000"), ("70\u00a0000 €", "70\u00a0000"),
        ("in 2019 100 people", "100"), ("५०० रुपये", "५००"), ("١٬٢٣٤٫٥", "١٬٢٣٤٫٥"),
        ("3, 4", "4"), ("1'000", "1'000"), ("12:30", "30"), ("x = $-5", "-5"), ("none", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_last_number_is_found_in_any_script(text, number):
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("written", "meanings"),
    [
        ("1234", ["1234"]), ("1,234", ["1234", "1.234"]), ("1.234", ["1234", "1.234"]), ("1,234.5", ["1234.5"]), ("1.234,5", ["1234.5"]),
        ("1.234.567", ["1234567"]), ("1,00,000", ["100000"]), ("3,5", ["3.5"]), ("0.125", ["0.125"]),
        ("0,125", ["0.125"]), ("1'000", ["1000"]),
        ("70\u202f000", ["70000"]), ("$1,500", ["1500", "1.500"]), ("−५", ["-5"]), ("١٬٢٣٤٫٥", ["1234.5"]), ("70 000", ["70000", "000"]),
        ("-$5", ["-5"]), ("18.00", ["18.00"]),
    ],
)  # fmt: skip
def test_numbers_mean_what_any_convention_of_writing_makes_of_them(written, meanings):
    assert readings(written) == meanings


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("a 3\n#### 42", "42"),
        ("####42", "42"),
        ("#### -1,000 and 7", "-1,000"),
        ("#### x\n#### 6", "6"),
        ("#### $5", ""),
        ("the answer is 5", ""),
    ],
)
def test_the_strict_number_follows_the_mark(text, number):
    assert marked_number(text) == number


def harness(pattern, group, text):
    """As lm-evaluation-harness' gsm8k reads an answer and compares it: filters, then regexes to ignore."""
    matches = re.findall(pattern, text)
    if not matches:
        return "[invalid]"
    match = matches[group]
    match = next(part for part in match if part) if isinstance(match, tuple) else match
    for ignored in (",", r"\$", "(?s).*#### ", r"\.$"):
        match = re.sub(ignored, "", match)
    return match.strip().lower()


HARNESS_STRICT, HARNESS_FLEXIBLE = (r"#### (\-?[0-9\.\,]+)", 0), (r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)
WRITTEN = ["5\n#### 1500", "#### 1,500.", "It costs $1,500.", "1500", "15 00", "1500 or 7", "#### 7 or 1500",
           "so -1500", "1500.00", "fifteen",
           "(1500)", "1500%", "#### 15000", "1,500 eggs", "x=1500.", "#### -1500", "", "1500-1=1499", "####"]  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN)
def test_english_answers_are_judged_as_the_harness_judges_them(written):
    outcome, _ = answer(("worked\n#### 1,500", written))
    assert value(outcome, "exact_match_strict") == float(harness(*HARNESS_STRICT, written) == "1500")
    assert value(outcome, "exact_match_flexible") == float(harness(*HARNESS_FLEXIBLE, written) == "1500")


def test_answers_in_words_are_compared_whole_apart_from_case_spaces_and_punctuation():
    outcome, _ = answer(("Šiauliai", " šiauliai. "), ("Šiauliai", "Siauliai"), ("a b", "«A\u00a0 b»"), (["x", "y"], "Y"), ("Vilnius", ""))
    assert found(outcome)["task", "exact_match"].numerator_N.tolist() == [1, 0, 1, 1, 0]
    assert list(found(outcome)) == [("task", "exact_match"), ("task", "holds_answer")]


def test_an_answer_may_stand_somewhere_in_what_was_written():
    outcome, _ = answer(("Vilnius", "Гэта, мабыць, VILNIUS!"), ("Vilnius", "Kaunas"), (["x", "синий"], "тёмно-синий цвет"))
    assert found(outcome)["task", "holds_answer"].numerator_N.tolist() == [1, 0, 1]
    assert found(outcome)["task", "exact_match"].numerator_N.tolist() == [0, 0, 0]


def test_an_answer_of_punctuation_is_not_every_punctuation():
    outcome, _ = answer(("?", "!"), ("?", "?"))
    assert found(outcome)["task", "exact_match"].numerator_N.tolist() == [0, 1]
    assert normalise("?") == ""


def test_an_answer_that_is_a_number_may_also_end_a_sentence():
    outcome, _ = answer((1200, "the answer: 1 200."), ("१२००", "1,200"))
    assert found(outcome)["task", "exact_match"].numerator_N.tolist() == [0, 0]
    assert found(outcome)["task", "exact_match_flexible"].numerator_N.tolist() == [1, 1]


def test_the_likeliest_tokens_are_taken_up_to_a_blank_line_unless_told_otherwise():
    _, model = answer(("a", "a"))
    assert (model.sampling.temperature, model.sampling.stop, model.sampling.max_tokens) == (0.0, ("\n\n",), 256)
    _, model = answer(("a", "a"), stop=["\n", "Q:"], max_tokens=9)
    assert (model.sampling.stop, model.sampling.max_tokens) == (("\n", "Q:"), 9)


def test_shots_show_worked_answers_of_other_items():
    items = [{"id": str(n), "question": f"q{n}", "answer": f"w{n}\n#### {n}"} for n in range(4)]
    model = Letters(writes={"q1\n": "#### 1"})
    outcome = evaluate(model, task_of(*items), config(KIND, shots=2), SETTINGS)
    for number, prompt in enumerate(model.prompts):
        *examples, asked = prompt.split("\n\n")
        assert asked == f"q{number}\n"
        assert len(examples) == 2
        assert all(re.fullmatch(r"q(\d)\nw\1\n#### \1", example) and not example.startswith(asked.strip()) for example in examples)
    assert found(outcome)["task", "exact_match_strict"].numerator_N.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"answer": "worked\n#### five"}, "no number follows ####"), ({"answer": "  "}, "empty answer"), ({"answer": []}, "empty answer"),
       
        ({"answer": None}, "missing field: answer"), ({"answer": {"a": 1}}, 'answer is {"a": 1}, not text'),
        ({"question": ""}, "empty question"),
    ],
)  # fmt: skip
def test_a_problem_that_cannot_be_judged_is_skipped_with_the_reason(change, reason):
    outcome = evaluate(Letters(), task_of(WORKED, {**WORKED, "id": "2", **change}), config(KIND), SETTINGS)
    assert found(outcome)["task", "exact_match_strict"].ids == ["1"]
    assert [(skipped.id, skipped.reason) for skipped in outcome.skipped] == [("2", reason)]


def test_what_the_model_wrote_is_kept():
    outcome, _ = answer(("#### 5", "I say 5"))
    [item] = outcome.files["task.answers.json"]["items"]
    assert item == {
        "id": "0",
        "written": "I say 5",
        "wanted": ["#### 5"],
        "right": {"exact_match_strict": False, "exact_match_flexible": True},
    }
    assert outcome.texts == {"0": "question 0;\n#### 5"}


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [("{question} {answer}=", r"tells the model the answer: \{answer\}"), ("Q?", "names no field, so every item would be")],
)
def test_a_prompt_that_cannot_ask_is_an_error(prompt, reason):
    with pytest.raises(EvaluationError, match=reason):
        evaluate(Letters(), task_of(WORKED), config(KIND, prompt=prompt), SETTINGS)


def test_a_model_that_answers_too_few_prompts_is_an_error():
    model = Letters()
    model.generate = lambda _, __: []
    with pytest.raises(EvaluationError, match="answered 0 of 1 prompts"):
        evaluate(model, task_of(WORKED), config(KIND), SETTINGS)


def test_real_gsm8k_is_answered_rightly_by_its_own_answers(shared_data):
    folder = shared_data / "eval" / "qa" / "gsm8k"
    task = read_task(config("by_fields", path="test.jsonl", max_items=200), folder)
    items = [json.loads(line) for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    model = Letters(writes={item["question"] + "\n": item["answer"] for item in items})
    outcome = evaluate(model, task, config(KIND), SETTINGS)
    assert task.kind == KIND
    assert (value(outcome, "exact_match_strict"), value(outcome, "exact_match_flexible"), outcome.skipped) == (1.0, 1.0, [])


def test_no_answer_is_no_number():
    assert not is_same_number("", "5")
