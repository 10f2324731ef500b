"""Sheets for speakers: what they hold, what people said, and that nothing in a sentence can break the page."""

import csv
import html
import io
import json
import re

import pytest

from rodna.core.errors import EvaluationError
from rodna.evals.pairs.sheet import judge, read_sheet, sample, sheet_page, sheet_text, wilson
from rodna.evals.pairs.swap import Pair


def pair(number, uid="subject_verb_number", good="Яна ідзе.", bad="Яна ідуць."):
    return Pair(
        id=f"id{number:02d}", sentence_good=good, sentence_bad=bad, UID=uid, linguistics_term="x", field="morphology", relation="nsubj",
        feature="Number", from_value="Sing", to_value="Plur", lemma="ісці", upos="VERB", word_good="ідзе", word_bad="ідуць",
        controller="Яна", sent_id="s", source="f",
    )  # fmt: skip


def test_a_sample_takes_from_each_phenomenon_in_turn():
    pairs = [pair(i) for i in range(50)] + [pair(i, "noun_adjective_case") for i in range(50, 53)]
    chosen = sample(pairs, 10)
    assert [item.UID for item in chosen].count("noun_adjective_case") == 3
    assert len({item.id for item in chosen}) == 10
    assert sample(list(reversed(pairs)), 10) == chosen
    assert len(sample(pairs, 500)) == 53


def test_the_table_reads_back_as_it_was_whatever_the_sentences_hold(tmp_path):
    pairs = [pair(1, good='Яна "ідзе".'), pair(2, good="=1+1")]
    rows = list(csv.DictReader(io.StringIO(sheet_text(pairs)), delimiter="\t"))
    assert [row["good"] for row in rows] == ['Яна "ідзе".', "=1+1"]
    assert list(rows[0]) == ["id", "good", "bad", "verdict", "note"]
    path = tmp_path / "sheet.tsv"
    path.write_text(sheet_text(pairs), encoding="utf-8")
    assert read_sheet(path) == {}


def test_no_sentence_can_end_the_script_or_add_markup():
    evil = "</script><script>alert(1)</script> <b>&amp;\u2028 {{ 7*7 }}"
    page = sheet_page([pair(1, good=evil)], language='be"><i>')
    assert page.count("<script") == 2
    assert "<b>" not in page
    assert "<i>" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    assert json.loads(data[1])[0]["good"] == evil


def test_the_page_needs_nothing_from_outside():
    page = html.unescape(sheet_page([pair(1)], language="be"))
    assert "default-src 'none'" in page
    assert not re.findall(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//', page)


def test_the_page_marks_the_whole_word_that_differs():
    page = sheet_page([pair(1)], language="be")
    data = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert data is not None
    (row,) = json.loads(data[1])
    assert row["good"][row["start"] : len(row["good"]) - row["tail"]] == "ідзе."
    assert row["bad"][row["start"] : len(row["bad"]) - row["tail"]] == "ідуць."


def test_only_pairs_that_nobody_doubts_are_confirmed_and_agreement_is_counted():
    first = {"id00": "right", "id01": "right", "id02": "both_fine", "id03": "unsure"}
    second = {"id00": "right", "id01": "both_wrong", "id04": "right", "gone": "right"}
    judged = judge({"a.tsv": first, "b.tsv": second}, [pair(i) for i in range(10)])
    assert judged.confirmed == {"id00", "id04"}
    summary = judged.summary
    assert (summary["pairs"], summary["seen"], summary["judged"], summary["right"], summary["unknown"]) == (10, 5, 4, 2, 1)
    assert summary["verdicts"] == {"both_fine": 1, "both_wrong": 1, "right": 4, "unsure": 1}
    assert summary["share_right"] == 0.5
    assert summary["agreement"] == {"pairs": 2, "share": 0.5}
    assert summary["by_uid"] == {"subject_verb_number": {"judged": 4, "right": 2}}


def test_one_speaker_has_nobody_to_agree_with():
    assert judge({"a.tsv": {"id00": "right"}}, [pair(0)]).summary["agreement"] is None


def test_an_interval_is_wilsons():
    # Newcombe 1998, table I: 81 of 263, and 0 of 20.
    assert wilson(81, 263) == pytest.approx([0.2553, 0.3662], abs=1e-4)
    assert wilson(0, 20) == pytest.approx([0.0, 0.1611], abs=1e-4)


def test_verdicts_on_other_pairs_are_an_error():
    with pytest.raises(EvaluationError, match="no verdict is about one of these 1 pairs") as raised:
        judge({"a.tsv": {"other": "right"}}, [pair(0)])
    assert "same treebank" in raised.value.fix


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id\tgood\n1\tx\n", "lacks the column verdict"),
        ("id,verdict\n1,right\n", "lacks the columns id, verdict"),
        ("", "lacks the columns id, verdict"),
        ("id\tverdict\n1\tyes\n", "'yes' is no verdict"),
        ("id\tverdict\n1\tright\n1\tboth_fine\n", "pair 1 has two verdicts"),
    ],
)
def test_a_sheet_that_cannot_be_understood_is_an_error(tmp_path, content, message):
    path = tmp_path / "sheet.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(EvaluationError, match=message) as raised:
        read_sheet(path)
    assert str(path) in raised.value.where


def test_a_missing_sheet_and_one_that_is_not_text_are_errors(tmp_path):
    with pytest.raises(EvaluationError, match="there is no such sheet"):
        read_sheet(tmp_path / "none.tsv")
    (tmp_path / "a.tsv").write_bytes(b"\xff\xfe")
    with pytest.raises(EvaluationError, match="not UTF-8"):
        read_sheet(tmp_path / "a.tsv")


def test_verdicts_are_read_from_a_table_a_spreadsheet_saved(tmp_path):
    path = tmp_path / "sheet.tsv"
    path.write_bytes("\ufeffid\tgood\tbad\tverdict\tnote\r\n a \tx\ty\t Both fine \t\r\nb\tx\ty\t\t\r\n".encode())
    assert read_sheet(path) == {"a": "both_fine"}
