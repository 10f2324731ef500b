"""Items of every usual shape are read, and those that cannot be used have a reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import BenchmarkError
from rodna.benchmark.items import Item, option_labels, read_items, translated

EXAMS = {
    "id": "e1",
    "question": {"stem": "Which?", "choices": [{"text": "one", "label": "A"}, {"text": "two", "label": "B"}]},
    "answerKey": "B",
}


def read(folder: Path, *items: Any, fields: str, **more: Any) -> list[Item]:
    file = folder / "b.jsonl"
    lines = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in items]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = BenchmarkConfig(source_language="en", language="be", fields=tuple(fields.split(",")), **more)
    return read_items(file, config)


@pytest.mark.parametrize(
    ("item", "fields", "options", "gold"),
    [
        (EXAMS, "question.stem,question.choices.text", ["question.choices.0.text", "question.choices.1.text"], 1),
        ({"question": "Q", "choices": ["x", "y"], "answer": 1}, "question,choices", ["choices.0", "choices.1"], 1),
        ({"question": "Q", "choices": ["x", "y"], "answer": "x"}, "question,choices", ["choices.0", "choices.1"], 0),
        ({"question": "Q", "choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answerKey": "2"}, "question,choices.text", None, 1),
        (
            {"instruction": "Q", "option_a": "x", "option_b": "y", "answer": "B"},
            "instruction,option_a,option_b",
            ["option_a", "option_b"],
            1,
        ),
        ({"q": "Q", "A": "x", "B": "y", "C": "z", "answer": "C"}, "q,A,B,C", None, 2),
        ({"q": "Q", "choices": ["2", "1"], "answer": 1}, "q,choices", None, 1),
        ({"q": "Q", "choices": ["2", "1"], "answer": "1"}, "q,choices", None, 1),
    ],
)
def test_options_and_the_right_one_are_found(item: Any, fields: str, options: list[str] | None, gold: int, tmp_path: Path):
    (found,) = read(tmp_path, item, fields=fields)

    assert found.problem == ("", "")
    assert found.key.kind == "option"
    assert found.key.gold == gold
    assert options is None or list(found.options) == options


def test_options_and_answer_may_be_named(tmp_path: Path):
    item = {"stem": "Q", "hints": ["a", "b", "c"], "first": "x", "other": "y", "right": "y"}
    (found,) = read(tmp_path, item, fields="stem,hints,first,other", options=("first", "other"), answer="right")

    assert found.options == ("first", "other")
    assert (found.key.gold, found.key.path) == (1, "right")


def test_labels_come_from_beside_the_text_or_from_the_field_or_are_letters():
    assert option_labels(EXAMS, ["question.choices.0.text", "question.choices.1.text"]) == ["A", "B"]
    assert option_labels({"o": {"text": ["x", "y"], "label": ["1", "2"]}}, ["o.text.0", "o.text.1"]) == ["1", "2"]
    assert option_labels({"option_x": "p", "option_y": "q"}, ["option_x", "option_y"]) == ["X", "Y"]
    assert option_labels({"c": ["p", "q"]}, ["c.0", "c.1"]) == ["A", "B"]


def test_a_worked_answer_has_a_number_as_its_key(tmp_path: Path):
    (found,) = read(tmp_path, {"question": "Q", "answer": "1+1=2\n#### 2"}, fields="question,answer")

    assert (found.key.kind, found.key.number) == ("number", "2")


GOOD = {"question": "Q", "choices": ["x", "y"], "answer": "A"}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{not json", "malformed"),
        ('["a"]', "malformed"),
        ('{"question": "\\ud800", "choices": ["x", "y"], "answer": "A"}', "malformed"),
        ({"question": "Q", "answer": "A"}, "missing_field"),
        ({"question": {"stem": "Q"}, "choices": ["x", "y"], "answer": "A"}, "missing_field"),
        ({"question": "Q", "choices": ["x", None], "answer": "A"}, "missing_field"),
        ({"question": "Q", "choices": ["x", "y"]}, "missing_field"),
        ({"question": " ", "choices": ["x", "y"], "answer": "A"}, "empty_text"),
        ({"question": "Q", "choices": ["x", "x"], "answer": "A"}, "duplicated_options"),
        ({"question": "Q", "choices": ["x", "y"], "answer": "C"}, "answer_outside_options"),
        ({"question": "Q", "choices": ["x", "y"], "answer": 2}, "answer_outside_options"),
        ({"question": "Q", "choices": ["x", "y"], "answer": True}, "answer_outside_options"),
    ],
)
def test_an_item_that_cannot_be_used_is_kept_with_its_reason(bad: Any, reason: str, tmp_path: Path):
    first, second = read(tmp_path, GOOD, bad, fields="question,choices")

    assert first.problem == ("", "")
    assert second.problem[0] == reason
    assert second.problem[1]
    assert second.line == 2


def test_ids_are_the_items_own_or_lines_and_unique(tmp_path: Path):
    items = read(tmp_path, {**GOOD, "id": "a"}, {**GOOD, "id": "a"}, GOOD, {**GOOD, "id": 7}, fields="question,choices")

    assert [item.id for item in items] == ["a", "a#2", "line-3", "7"]


@pytest.mark.parametrize(
    ("items", "message"),
    [([], "holds no item"), ([{"text": "x"}], "no item has the fields question, choices"), (["{", "["], "no item has the fields")],
)
def test_a_file_without_usable_fields_is_an_error_that_names_those_there_are(items: list[Any], message: str, tmp_path: Path):
    with pytest.raises(BenchmarkError, match=message) as caught:
        read(tmp_path, *items, fields="question,choices")
    assert caught.value.fix
    assert items != [{"text": "x"}] or "text" in caught.value.fix


def test_a_missing_file_is_an_error(tmp_path: Path):
    with pytest.raises(BenchmarkError, match="no such file"):
        read_items(tmp_path / "none.jsonl", BenchmarkConfig(source_language="en", language="be", fields=("q",)))


def test_translations_are_put_where_the_texts_stood_and_the_source_stays():
    result = translated(EXAMS, {"question.stem": "Якое?", "question.choices.1.text": "два"})

    assert result["question"] == {"stem": "Якое?", "choices": [{"text": "one", "label": "A"}, {"text": "два", "label": "B"}]}
    assert result["answerKey"] == "B"
    assert EXAMS["question"]["stem"] == "Which?"  # type: ignore[index]
