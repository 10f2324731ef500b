"""Items of any benchmark's shape, and what becomes of those that cannot be read."""

import json

import pytest
import zstandard

from rodna.core.errors import EvaluationError
from rodna.evals.tasks import files
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.files import fingerprint_tasks
from rodna.evals.tasks.reading import look_up, read_task

PAIR = {"sentence_good": "Добра.", "sentence_bad": "Дрэнна."}


def jsonl(*rows) -> str:
    return "".join((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows)


@pytest.fixture
def read(tmp_path):
    """Write files, by default one called items.jsonl, and read them as a task."""

    def write_and_read(content="", *, name="items.jsonl", path="", **config):
        if content:
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return read_task(TaskConfig(name="task", path=path or name, **config), tmp_path, seed=1)

    return write_and_read


@pytest.mark.parametrize(
    ("item", "kind", "ours"),
    [
        (PAIR, "minimal_pairs", {"good": "Добра.", "bad": "Дрэнна."}),
        ({"sen": "a b", "wrong_sen": "b a"}, "minimal_pairs", {"good": "a b", "bad": "b a"}),
        (
            {"question": {"stem": "Што?", "choices": [{"text": "так", "label": "A"}, {"text": "не", "label": "B"}]}, "answerKey": "B"},
            "multiple_choice",
            {"question": "Што?", "choices": [{"text": "так", "label": "A"}, {"text": "не", "label": "B"}], "answer": "B"},
        ),
        (
            {"instruction": "Kas?", "option_a": "vienas", "option_b": "du", "option_c": "trys", "answer": "C"},
            "multiple_choice",
            {"question": "Kas?", "choices": ["vienas", "du", "trys"], "answer": "C"},
        ),
        ({"question": "2 + 2?", "choices": ["3", "4"], "answer": 1}, "multiple_choice", {"choices": ["3", "4"], "answer": 1}),
        ({"question": "2 + 2?", "answer": "It is <<2+2=4>>4.\n#### 4"}, "exact_match", {"question": "2 + 2?"}),
        ({"question": "Хто?", "answer": "Ён."}, "question_answer", {"question": "Хто?", "answer": "Ён."}),
        ({"text": "የሰው ልጅ", "source": "s"}, "text", {"text": "የሰው ልጅ", "source": "s"}),
    ],
)
def test_the_kind_is_known_by_the_fields_and_fields_get_our_names(read, item, kind, ours):
    task = read(jsonl(item))
    assert task.kind == kind
    assert {name: task.rows[0].fields[name] for name in ours} == ours
    assert task.rows[0].fields.items() >= {name: value for name, value in item.items() if name not in ours}.items()
    assert (task.rows[0].id, task.rows[0].part, task.rows[0].where) == ("items:1", "items", "items.jsonl:1")


def test_fields_are_mapped_through_nested_names_and_list_indexes(read):
    item = {"pair": {"sentences": ["так", "не так"]}, "meta.kind": "order"}
    task = read(jsonl(item), fields={"good": "pair.sentences.0", "bad": "pair.sentences.1", "phenomenon": "meta.kind"})
    assert task.kind == "minimal_pairs"
    assert [task.rows[0].fields[name] for name in ("good", "bad", "phenomenon")] == ["так", "не так", "order"]


@pytest.mark.parametrize("path", ["a.2", "a.x", "b", "a.0.0", "a.-1", "a.²"])
def test_what_is_not_there_is_not_found(path):
    assert look_up({"a": ["x", "y"]}, path) is look_up({}, "anything")


def test_a_field_of_the_files_that_was_named_but_is_missing_is_not_guessed(read):
    with pytest.raises(EvaluationError, match=r"no field good"):
        read(jsonl(PAIR), kind="minimal_pairs", fields={"good": "correct"})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.jsonl.zst", zstandard.compress(jsonl(PAIR, PAIR).encode())),
        ("items.json", json.dumps([PAIR, PAIR])),
        ("items.csv", 'sentence_good,sentence_bad\nДобра.,Дрэнна.\n"Добра.","Дрэнна."\n'),
        ("items.tsv", "sentence_good\tsentence_bad\r\nДобра.\tДрэнна.\r\nДобра.\tДрэнна.\r\n"),
        ("items.jsonl", "\ufeff" + jsonl(PAIR, "", PAIR)),
    ],
)
def test_every_format_gives_the_same_items(read, name, content):
    task = read(content, name=name)
    assert [(row.fields["good"], row.fields["bad"]) for row in task.rows] == [("Добра.", "Дрэнна.")] * 2
    assert task.skipped == []
    assert task.rows[0].part == "items"


def test_line_breaks_within_a_cell_count_as_lines_of_the_file(read):
    task = read('good,bad\n"a\nb",c\nd,e\nf\n', name="items.csv")
    assert [row.where for row in task.rows] == ["items.csv:2", "items.csv:4"]
    assert [(item.where, item.reason) for item in task.skipped] == [("items.csv:5", "1 cells where the first line names 2 columns")]


def test_every_bad_item_is_skipped_with_its_line_and_reason(read):
    bad = ["{half", "[1]", "7", {"sentence_good": "так"}, {**PAIR, "sentence_bad": " \u3000"}, {**PAIR, "sentence_good": None}]
    task = read(jsonl(PAIR, *bad))
    assert len(task.rows) == 1
    assert [item.where for item in task.skipped] == [f"items.jsonl:{line}" for line in range(2, 8)]
    reasons = " | ".join(item.reason for item in task.skipped)
    for words in ("not JSON: Expecting property name", "not an object with fields but a list", "but a number", "no field bad; it has",
                  "empty text in bad", "no field good"):  # fmt: skip
        assert words in reasons


def test_bytes_that_are_no_text_are_skipped_and_the_rest_is_kept(read):
    task = read(jsonl(PAIR).encode() + b'{"sentence_good": "\xff"}\n' + jsonl(PAIR).encode())
    assert len(task.rows) == 2
    assert task.skipped[0].reason.startswith("not UTF-8: ")


def test_an_id_met_again_is_skipped_with_where_it_was_first(read):
    task = read(jsonl({**PAIR, "id": 7}, {**PAIR, "id": "x"}, {**PAIR, "id": "7"}))
    assert [row.id for row in task.rows] == ["7", "x"]
    assert [(item.where, item.reason) for item in task.skipped] == [("items.jsonl:3", "its id '7' is that of items.jsonl:1")]


def test_a_folder_is_one_task_whose_files_are_its_parts(read, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "README.md").write_text("about")
    (tmp_path / "set" / "b.jsonl").write_text(jsonl({**PAIR, "id": 1}))
    (tmp_path / "set" / "a.jsonl").write_text(jsonl({**PAIR, "id": 1}, PAIR))
    task = read(path="set")
    assert [(row.id, row.part) for row in task.rows] == [("a/1", "a"), ("a:2", "a"), ("b/1", "b")]


def test_aligned_texts_become_rows_with_a_field_a_language(read, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "news-ref.be.txt").write_text("Адзін\u2028радок\nДва\n\n", encoding="utf-8")
    (tmp_path / "set" / "news-src.en.txt").write_text("One line\r\nTwo\r\nThree\r\n", encoding="utf-8")
    (tmp_path / "set" / "DOCUMENTS.tsv").write_text("a\na\n")
    task = read(path="set")
    assert task.kind == "parallel"
    assert [dict(row.fields) for row in task.rows] == [{"be": "Адзін\u2028радок", "en": "One line"}, {"be": "Два", "en": "Two"}]
    assert [(item.where, item.reason) for item in task.skipped] == [("line 3 of every file", "empty text in be")]


def test_texts_of_different_length_are_not_aligned(read, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "be.txt").write_text("a\nb\n")
    (tmp_path / "set" / "en.txt").write_text("a\n")
    with pytest.raises(EvaluationError, match=r"aligned texts differ in their number of lines: be has 2, en has 1"):
        read(path="set")


def test_items_are_drawn_by_the_seed_the_same_ones_each_time(read):
    rows = [{"text": f"t{number}"} for number in range(50)]
    first = read(jsonl(*rows), max_items=10)
    assert [row.id for row in first.rows] == [row.id for row in read(max_items=10).rows]
    assert len(first.rows) == 10
    lines = [int(row.id.rpartition(":")[2]) for row in first.rows]
    assert lines == sorted(lines)
    assert lines != list(range(1, 11))
    assert len(read(max_items=60).rows) == 50


def test_the_digest_and_the_fingerprint_follow_the_content(read, tmp_path):
    config = [TaskConfig(name="task", path="items.jsonl")]
    first = read(jsonl(PAIR)).digest, fingerprint_tasks(config, tmp_path)
    assert (read(jsonl(PAIR)).digest, fingerprint_tasks(config, tmp_path)) == first
    changed = read(jsonl({**PAIR, "sentence_bad": "Іншая."})).digest, fingerprint_tasks(config, tmp_path)
    assert changed[0] != first[0]
    assert changed[1] != first[1]


def test_a_kind_that_cannot_be_known_lists_what_was_found_and_what_is_possible(read):
    with pytest.raises(EvaluationError) as caught:
        read(jsonl({"prompt": "x", "label": 1}))
    message = str(caught.value)
    assert "the kind of the task cannot be known by its fields: found label, prompt" in message
    assert "minimal_pairs: good or sentence_good or sen" in message
    assert "parallel: a folder of aligned .txt files" in message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "items.jsonl",
            "{\n[]\n",
            r"(?s)cannot be known by its fields: found none\n    items.jsonl:1: not JSON.*items.jsonl:2: not an obj",
        ),
        ("items.json", '{"a": 1}', "cannot read the items: a list of items was expected, but it holds an object"),
        ("items.json", "[1,", "cannot read the items: not JSON: "),
        ("items.csv", "good,good\na,b\n", "two columns have the same name: good, good"),
        ("items.csv", 'good,bad\n"a,b\n', "not a table: "),
        ("items.csv", b"good,bad\n\xff,b\n", "not UTF-8: "),
        ("items.jsonl.zst", b"\x28\xb5\x2f\xfdnonsense", "it is damaged: "),
        ("items.jsonl.zst", b"plain text", "it is damaged: "),
        ("items.xml", "<a/>", r"no format of items is called '.xml'(?s:.*)use .jsonl"),
        ("items.txt", "a line\n", "1 text file, where by_fields was expected"),
    ],
)
def test_files_that_cannot_be_read_are_errors_that_name_them(read, name, content, message):
    with pytest.raises(EvaluationError, match=message) as caught:
        read(content, name=name)
    assert name in str(caught.value)


def test_a_task_without_a_usable_item_is_an_error_with_examples(read):
    with pytest.raises(
        EvaluationError, match=r"no usable item: 2 skipped\n    items.jsonl:1: empty text in good\n    items.jsonl:2: empty"
    ):
        read(jsonl({**PAIR, "sentence_good": ""}, {**PAIR, "sentence_good": ""}))


def test_an_empty_folder_is_an_error(read, tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(EvaluationError, match="the folder has no file of items: found nothing"):
        read(path="set")


@pytest.mark.parametrize("path", ["../outside.jsonl", "link.jsonl", "{outside}"])
def test_paths_do_not_lead_out_of_the_workspace(tmp_path, path):
    (tmp_path / "outside.jsonl").write_text(jsonl(PAIR))
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "link.jsonl").symlink_to(tmp_path / "outside.jsonl")
    config = TaskConfig(name="task", path=path.format(outside=tmp_path / "outside.jsonl"))
    with pytest.raises(EvaluationError, match=r"a task's files lie outside the workspace: (?s:.*)rodna eval --task"):
        read_task(config, root)
    assert len(read_task(config, root, anywhere=True).rows) == 1


def test_what_is_not_there_is_an_error(read):
    with pytest.raises(EvaluationError, match=r"no such file or folder: items.jsonl\n  where: task task\n"):
        read()


def test_a_line_that_is_too_long_is_skipped_and_the_next_is_read(read, monkeypatch):
    monkeypatch.setattr(files, "MAX_LINE_BYTES", 100)
    long = {**PAIR, "filler": "x" * 450}
    task = read(jsonl(PAIR, long, PAIR))
    assert [row.where for row in task.rows] == ["items.jsonl:1", "items.jsonl:3"]
    assert task.skipped[0].where == "items.jsonl:2"
    assert "the line is longer than" in task.skipped[0].reason


@pytest.mark.parametrize("name", ["items.jsonl.zst", "items.jsonl", "items.csv"])
def test_a_file_that_is_too_large_is_refused_even_when_packed_small(read, monkeypatch, name):
    monkeypatch.setattr(files, "MAX_BYTES", 5000)
    content = jsonl(*[PAIR] * 200).encode()
    with pytest.raises(EvaluationError, match="the file holds more than"):
        read(zstandard.compress(content) if name.endswith("zst") else content, name=name)


def test_blimp_and_questions_of_others_are_read_as_they_are(shared_data):
    folder = shared_data / "eval"
    kinds = {"blimp/passive_1.jsonl": ("minimal_pairs", 1000), "qa/gsm8k": ("exact_match", 1319), "qa/exams_lt": ("multiple_choice", 593),
             "ntrex": ("parallel", 1997)}  # fmt: skip
    for path, (kind, count) in kinds.items():
        task = read_task(TaskConfig(name="task", path=path), folder)
        assert (task.kind, len(task.rows) + len(task.skipped)) == (kind, count)
