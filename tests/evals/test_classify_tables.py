"""Labelled texts: read row by row, split the same way every time, no text on both sides."""

import json

import numpy as np
import pytest

from rodna.core.errors import EvaluationError
from rodna.evals.classify.split import folds_of, hold_out, split_table, split_tables
from rodna.evals.classify.table import Example, Table, label_counts, read_table


def examples(**texts_of: str) -> list[Example]:
    """Make examples: `label="text|text"`."""
    pairs = [(label, text) for label, texts in texts_of.items() for text in texts.split("|")]
    return [Example(f"t:{number}", text, label) for number, (label, text) in enumerate(pairs, start=1)]


def many(sizes: dict[str, int], start: int = 0) -> Table:
    pairs = [(label, f"{label} number {start + n}") for label, size in sizes.items() for n in range(size)]
    return Table([Example(f"t:{n}", text, label) for n, (label, text) in enumerate(pairs)], [])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'naslovas,tekstas,žyma\n1,"Gerai, labai",taip\n2,Blogai,ne\n'),
        ("a.csv", "naslovas;tekstas;žyma\n1;Gerai, labai;taip\n2;Blogai;ne\n"),
        ("a.tsv", "naslovas\ttekstas\tžyma\n1\tGerai, labai\ttaip\n2\tBlogai\tne\n"),
        ("a.jsonl", '{"tekstas": "Gerai, labai", "žyma": "taip"}\n\n{"tekstas": "Blogai", "žyma": "ne"}\n'),
    ],
)
def test_commas_semicolons_tabs_and_json_lines_read_the_same(tmp_path, name, content):
    (tmp_path / name).write_text("\ufeff" + content, encoding="utf-8")
    table = read_table(tmp_path / name, text="tekstas", label="žyma")
    assert [(item.text, item.label) for item in table.examples] == [("Gerai, labai", "taip"), ("Blogai", "ne")]
    assert not table.skipped


def test_every_row_is_an_example_or_skipped_with_a_reason(tmp_path):
    rows = [
        '{"t": "good", "l": 1}',
        '{"t": "  ", "l": 1}',
        '{"t": "no label"}',
        '{"t": "null", "l": null}',
        "[1]",
        "{",
        '{"t": 7, "l": "x"}',
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")
    table = read_table(tmp_path / "a.jsonl", text="t", label="l")
    assert [(item.id, item.text, item.label) for item in table.examples] == [("a.jsonl:1", "good", "1"), ("a.jsonl:7", "7", "x")]
    assert [(item.id, item.reason) for item in table.skipped] == [
        ("a.jsonl:2", "the text is empty"),
        ("a.jsonl:3", "the label is missing"),
        ("a.jsonl:4", "the label is missing"),
        ("a.jsonl:5", "the line is not a JSON object"),
        ("a.jsonl:6", "the line is not valid JSON"),
    ]


def test_a_row_with_too_many_fields_is_skipped(tmp_path):
    (tmp_path / "a.csv").write_text("t,l\na,x\nb,c,y\n", encoding="utf-8")
    table = read_table(tmp_path / "a.csv", text="t", label="l")
    assert [item.reason for item in table.skipped] == ["it has 3 fields, the header 2"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nx,y\n", r"no column 't'; the columns are: 'text', 'label'"),
        ("a.csv", "", r"no column 't', 'label'; the columns are: none"),
        ("a.jsonl", '{"text": "x", "label": "y"}', r"no column 't'; the columns are: 'text', 'label'"),
    ],
)
def test_a_missing_column_is_an_error_that_names_those_there_are(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(EvaluationError, match=message):
        read_table(tmp_path / name, text="t", label="label")


def test_a_file_in_another_encoding_is_an_error(tmp_path):
    (tmp_path / "a.csv").write_bytes("t,l\nžodis,ė\n".encode("cp1257"))
    with pytest.raises(EvaluationError, match=r"cannot read the texts: .*utf-8"):
        read_table(tmp_path / "a.csv", text="t", label="l")


def test_a_split_is_stratified_and_takes_every_text_once():
    table = many({"a": 50, "b": 20, "c": 3})
    split = split_table(table, test_share=0.2, seed=0)
    assert label_counts(split.test) == {"a": 10, "b": 4, "c": 1}
    assert label_counts(split.train) == {"a": 40, "b": 16, "c": 2}
    assert sorted(item.id for item in split.train + split.test) == sorted(item.id for item in table.examples)


def test_a_split_depends_on_texts_and_seed_and_not_on_the_order_of_rows():
    table = many({"a": 30, "b": 30})
    turned = Table(table.examples[::-1], [])
    one, other = (split_table(item, test_share=0.3, seed=1) for item in (table, turned))
    assert [item.text for item in one.test] == [item.text for item in other.test]
    assert one.test != split_table(table, test_share=0.3, seed=2).test


def test_of_texts_that_are_the_same_one_is_kept_and_none_where_labels_differ():
    table = Table(examples(a="One text.|one  TEXT|Two|Both", b="Three|Four|both!"), [])
    split = split_table(table, test_share=0.5, seed=0)
    assert sorted(item.text for item in split.train + split.test) == ["Four", "One text.", "Three", "Two"]
    assert {item.id: item.reason for item in split.skipped} == {
        "t:2": "the same text as t:1",
        "t:4": "the same text has different labels: 'a', 'b'",
        "t:7": "the same text has different labels: 'a', 'b'",
    }


def test_texts_without_letters_are_told_apart():
    split = split_table(Table(examples(good=":-)|:-D", bad=":-(|:-/|:-("), []), test_share=0.5, seed=0)
    assert (len(split.train + split.test), [item.reason for item in split.skipped]) == (4, ["the same text as t:3"])


def test_a_class_of_one_text_is_left_out():
    split = split_table(Table(examples(a="x|y", b="z|w", c="alone"), []), test_share=0.5, seed=0)
    assert (split.labels, [item.reason for item in split.skipped]) == (["a", "b"], ["the only text of class 'c'"])


@pytest.mark.parametrize("table", [Table(examples(a="x|y|z"), []), Table(examples(a="x|y", b="z"), []), Table([], [])])
def test_a_single_class_is_an_error(table):
    with pytest.raises(EvaluationError, match=r"nothing to tell apart: \d usable texts of [01] class"):
        split_table(table, test_share=0.2, seed=0)


def test_a_test_files_texts_are_not_learned_and_its_unknown_labels_not_asked():
    train = Table(examples(a="one|two|shared", b="three|four"), [])
    test = Table([Example("u:1", "Shared!", "a"), Example("u:2", "five", "b"), Example("u:3", "six", "c"), Example("u:4", "five", "b")], [])
    split = split_tables(train, test, seed=0)
    assert sorted(item.text for item in split.train) == ["four", "one", "three", "two"]
    assert sorted(item.id for item in split.test) == ["u:1", "u:2"]
    assert {item.id: item.reason for item in split.skipped} == {
        "t:3": "the same text is asked about: u:1",
        "u:3": "no training text has the label 'c'",
        "u:4": "the same text as u:2",
    }


def test_a_test_file_of_other_labels_only_is_an_error():
    with pytest.raises(EvaluationError, match="no test text has a label that can be learned: a, b"):
        split_tables(Table(examples(a="one|two", b="three|four"), []), Table(examples(A="five"), []), seed=0)


def test_what_training_stops_by_leaves_every_class_something_to_learn():
    learn, stop = hold_out(many({"a": 20, "b": 1}).examples, share=0.15, seed=0)
    assert (label_counts(learn), label_counts(stop)) == ({"a": 17, "b": 1}, {"a": 3})


def test_folds_deal_out_each_class_evenly():
    classes = np.array([0] * 10 + [1] * 5)
    fold = folds_of(classes, 5)
    assert [np.bincount(fold[classes == number]).tolist() for number in (0, 1)] == [[2] * 5, [1] * 5]


def test_values_of_other_types_are_no_labels(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"t": "x", "l": value}) for value in (["a"], {"a": 1}, "")), encoding="utf-8")
    assert [item.reason for item in read_table(tmp_path / "a.jsonl", text="t", label="l").skipped] == ["the label is missing"] * 3
