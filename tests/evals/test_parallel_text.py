import math

import numpy as np
import pytest
from tests.evals.letters import SETTINGS, Letters, config, found, task_of, value

from rodna.core.errors import EvaluationError
from rodna.evals.measure import result_of
from rodna.evals.tasks.parallel import evaluate
from rodna.evals.tasks.reading import read_task
from rodna.evals.tasks.run import run_tasks

KIND = "parallel"
TEXTS = {"be": ["адзін", "два два", "тры"], "en": ["one", "two two", "three"]}


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, TEXTS)
    return tmp_path


def write(folder, texts, documents=None):
    for name, lines in texts.items():
        (folder / f"news.{name}.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="")
    if documents:
        (folder / "DOCUMENT_IDS.tsv").write_text("".join(line + "\n" for line in documents), encoding="utf-8")


def measure(folder, model=None, **more):
    settings = config("by_fields", path=".", **more)
    return evaluate(model or Letters(), read_task(settings, folder), settings, SETTINGS)


def test_a_sentence_is_scored_by_itself_in_every_language(folder):
    model = Letters(cost={" ": 0.5})
    outcome = measure(folder, model)
    assert set(model.asked[0][0]) == {""}
    np.testing.assert_allclose(found(outcome)["task/be", "bits_per_sentence"].numerator_N * math.log(2), [10, 12.5, 6])
    assert value(outcome, "bits_per_sentence", "task/en") == pytest.approx((6 + 12.5 + 10) / math.log(2) / 3)


def test_bits_per_byte_divide_by_the_languages_own_bytes(folder):
    assert value(measure(folder), "bits_per_byte", "task/be") == pytest.approx(30 / math.log(2) / (10 + 13 + 6))


def test_byte_premium_is_relative_to_the_pivot_or_to_the_mean(folder):
    be, en = 10 + 13 + 6, 3 + 7 + 5
    assert value(measure(folder, pivot="en"), "byte_premium", "task/be") == pytest.approx(be / en)
    assert value(measure(folder, pivot="en"), "byte_premium", "task/en") == 1
    assert value(measure(folder), "byte_premium", "task/be") == pytest.approx(be / ((be + en) / 2))
    assert found(measure(folder, pivot="en"))["task/be", "byte_premium"].unit == "bytes per byte of en"


def test_fertility_is_told_per_word_character_and_sentence(folder):
    outcome = measure(folder)
    tokens = 5 + 7 + 3
    assert value(outcome, "tokens_per_word", "task/be") == pytest.approx(tokens / 4)
    assert value(outcome, "tokens_per_character", "task/be") == 1
    assert value(outcome, "tokens_per_sentence", "task/be") == pytest.approx(tokens / 3)


def test_every_language_has_the_same_items_and_an_empty_line_is_left_out_of_all(tmp_path):
    write(tmp_path, {"a": ["x", "", "z"], "b": ["u", "v", "w"]})
    settings = config("by_fields", path=".")
    task = read_task(settings, tmp_path)
    outcome = evaluate(Letters(), task, settings, SETTINGS)
    assert {tuple(item.ids) for item in outcome.measurements} == {("line:1", "line:3")}
    assert [skipped.reason for skipped in task.skipped] == ["empty text in a"]


def test_files_of_different_length_are_an_error_that_names_both_counts(tmp_path):
    write(tmp_path, {"a": ["x", "y"], "b": ["u"]})
    with pytest.raises(EvaluationError, match="a has 2, b has 1"):
        measure(tmp_path)


def test_sentences_of_a_document_are_drawn_together(tmp_path):
    write(tmp_path, {"a": ["x", "", "yy", "z"], "b": ["u", "v", "w", "w"]}, documents=["one\tnews", "one", "two", "two"])
    for item in measure(tmp_path).measurements:
        assert (list(item.groups), item.detail["documents"]) == (["one", "two", "two"], 2)


def test_documents_are_known_where_only_some_lines_are_drawn(tmp_path):
    write(tmp_path, {"a": list("abcdefgh"), "b": list("abcdefgh")}, documents=list("ABCDEFGH"))
    item = measure(tmp_path, max_items=3).measurements[0]
    assert len(item.ids) == 3
    assert ["ABCDEFGH"[int(identity.split(":")[1]) - 1] for identity in item.ids] == list(item.groups)


def test_a_list_of_documents_of_another_length_is_an_error(tmp_path):
    write(tmp_path, TEXTS, documents=["one", "two"])
    with pytest.raises(EvaluationError, match="2 lines name a document, but the texts have 3 lines"):
        measure(tmp_path)


def test_a_pivot_that_is_no_language_is_an_error(folder):
    with pytest.raises(EvaluationError, match="the pivot 'lt' is none of the languages: be, en"):
        measure(folder, pivot="lt")


def test_fields_rename_languages_and_leave_the_others_out(folder):
    write(folder, {"de": ["eins", "zwei", "drei"]})
    assert {task for task, _ in found(measure(folder, fields={"bel": "be", "eng": "en"}))} == {"task/bel", "task/eng"}


def test_one_language_is_not_parallel():
    with pytest.raises(EvaluationError, match="at least two languages, found be"):
        evaluate(Letters(), task_of({"be": "адзін", "document": "x"}), config(KIND), SETTINGS)


def test_rows_of_json_lines_may_be_parallel_too():
    items = [{"be": "адзін", "en": "one", "document": "d1"}, {"be": "два", "document": "d1"},
             {"be": "тры", "en": "three", "document": "d2"}, {"be": "тры", "en": 3, "document": "d2"}]  # fmt: skip
    outcome = evaluate(Letters(), task_of(*items), config(KIND), SETTINGS)
    assert list(found(outcome)["task/be", "bits_per_sentence"].groups) == ["d1", "d2"]
    assert [skipped.reason for skipped in outcome.skipped] == ["missing field: en", "en is not text"]


def test_a_sentence_is_contaminated_where_the_training_text_has_one_language_of_it(tmp_path):
    known = "Адзін доўгі сказ пра тое, як рака цячэ праз старое мястэчка да мора."
    english = ["A river runs through an old town to the sea.", "The second sentence was never read or written by anybody."]
    write(tmp_path, {"be": [known, "Другі сказ, якога ніхто нідзе ніколі не чытаў і не пісаў."], "en": english})
    found_seen = run_tasks(Letters(), [config("by_fields", path=".")], SETTINGS, root=tmp_path, training=["Пачатак. " + known])
    assert found_seen.seen["task/en"] == frozenset({"line:1"})


def test_real_news_in_eight_languages_stands_side_by_side(shared_data):
    settings = config("by_fields", path="ntrex", pivot="eng", max_items=200)
    task = read_task(settings, shared_data / "eval")
    outcome = evaluate(Letters(), task, settings, SETTINGS)
    premium = {name: value(outcome, "byte_premium", name) for name, metric in found(outcome) if metric == "byte_premium"}
    assert set(premium) == {f"task/{name}" for name in ("bel", "cat", "eng", "eus", "isl", "kin", "lit", "yue")}
    # Cyrillic needs two bytes a letter; Lithuanian news is about as long as English.
    assert 1.7 < premium["task/bel"] < 2.2
    assert 0.9 < premium["task/lit"] < 1.3
    item = found(outcome)["task/lit", "bits_per_sentence"]
    assert 1 < len(set(item.groups)) < 123 + 1
    result = result_of(item, samples=100, seed=0)
    assert result.low < result.value < result.high
