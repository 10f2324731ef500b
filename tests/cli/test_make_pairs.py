"""`rodna eval make-pairs`, from a treebank to pairs that a speaker has confirmed."""

import csv
import io
import json
from pathlib import Path

import pytest

STEMS = ("tor", "dub", "gir", "sok", "vin", "lom")
VERBS = ("lez", "pad", "stan", "rot", "buk")


def sentence(noun, verb, number):
    forms = {"Sing": ("a", "et"), "Plur": ("i", "ut")}[number]
    rows = [
        (1, noun + forms[0], noun + "a", "NOUN", "_", f"Case=Nom|Number={number}", 2, "nsubj", "_", "_"),
        (2, verb + forms[1], verb + "at", "VERB", "_", f"Number={number}|VerbForm=Fin", 0, "root", "_", "SpaceAfter=No"),
        (3, ".", ".", "PUNCT", "_", "_", 2, "punct", "_", "_"),
    ]
    return "\n".join("\t".join(map(str, row)) for row in rows) + "\n\n"


@pytest.fixture
def treebank(tmp_path):
    folder = tmp_path / "treebank"
    folder.mkdir()
    blocks = [sentence(noun, verb, number) for noun in STEMS for verb in VERBS for number in ("Sing", "Plur")]
    (folder / "toy.conllu").write_text("".join([*blocks, "1\tbroken\n\n"]), encoding="utf-8")
    return folder


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def fill_in(sheet, out, verdicts):
    rows = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8"), newline=""), delimiter="\t"))
    lines = ["\t".join(rows[0])] + [
        "\t".join([row["id"], row["good"], row["bad"], verdict, ""]) for row, verdict in zip(rows, verdicts, strict=False)
    ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_a_treebank_becomes_pairs_a_sheet_and_confirmed_pairs(rodna, as_json, treebank, tmp_path):
    out, kept = tmp_path / "pairs", tmp_path / "kept"
    made = rodna("eval", "make-pairs", treebank, "--language", "be", "--out", out, "--sheet", "4")
    assert made.exit_code == 0
    assert Path(made.stdout.strip()) == out
    assert "60 sentences, 60 words that agree" in made.stderr
    assert f"toy.conllu:{60 * 4 + 1}: wrong_columns" in made.stderr
    assert {row["UID"] for row in rows_of(out / "pairs.jsonl")} == {"subject_verb_number"}
    row = rows_of(out / "pairs.jsonl")[0]
    assert {"sentence_good", "sentence_bad", "field", "relation", "feature", "from", "to", "lemma", "sent_id", "source"} <= row.keys()
    account = json.loads((out / "account.json").read_text(encoding="utf-8"))
    assert account["candidates"] == account["pairs"] + sum(account["dropped"].values())

    fill_in(out / "sheet.tsv", tmp_path / "anna.tsv", ["right", "right", "both_fine", "unsure"])
    arguments = ("--language", "be", "--out", kept, "--confirmed", tmp_path / "anna.tsv", "--json")
    counts = as_json(rodna("eval", "make-pairs", treebank, *arguments))
    assert (counts["pairs"], counts["speakers"]["seen"], counts["speakers"]["right"]) == (2, 4, 2)
    assert len(rows_of(kept / "pairs.jsonl")) == 2
    said = rodna("eval", "make-pairs", treebank, *arguments[:-1])
    assert "speakers saw 4 of" in said.stderr
    assert "2 of 3 judged are right (67%, 95% interval 21% to 94%)" in said.stderr


def test_the_same_treebank_gives_the_same_files(rodna, treebank, tmp_path):
    for name in ("a", "b"):
        assert rodna("eval", "make-pairs", treebank, "--language", "be", "--out", tmp_path / name, "--sheet", "5").exit_code == 0
    for file in ("pairs.jsonl", "account.json", "rules.json", "sheet.tsv", "sheet.html"):
        assert (tmp_path / "a" / file).read_bytes().replace(b"/a", b"/b") == (tmp_path / "b" / file).read_bytes().replace(b"/a", b"/b")


def test_a_sheet_that_was_filled_in_where_it_lies_is_not_overwritten(rodna, treebank, tmp_path):
    out = tmp_path / "pairs"
    arguments = ("eval", "make-pairs", treebank, "--language", "be", "--out", out, "--sheet", "5")
    assert rodna(*arguments).exit_code == 0
    fill_in(out / "sheet.tsv", out / "sheet.tsv", ["right"] * 5)
    again = rodna(*arguments)
    assert again.exit_code == 1
    assert "sheet.tsv was changed or put there by someone" in again.stderr
    assert "right" in (out / "sheet.tsv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--features", "number"), "not the name of an inflectional feature: 'number'"),
        (("--features", "Typo"), "not the name of an inflectional feature: 'Typo'"),
        (("--max-per-lemma", "0"), "0 pairs of a lemma are none"),
        (("--sheet", "-1"), "a sheet cannot have -1 pairs"),
        (("--confirmed", "nowhere.tsv"), "there is no such sheet"),
        (("--forms", "nowhere"), "there is no such file or folder"),
        (("--language", "no such tag"), "no such tag"),
        (("--features", "Person"), "no minimal pair can be made"),
    ],
)
def test_what_cannot_be_done_is_an_error_and_writes_nothing(rodna, treebank, tmp_path, options, message):
    result = rodna("eval", "make-pairs", treebank, "--language", "be", "--out", tmp_path / "pairs", *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "pairs").exists()


def test_speakers_who_confirm_nothing_leave_no_pairs(rodna, treebank, tmp_path):
    out = tmp_path / "pairs"
    assert rodna("eval", "make-pairs", treebank, "--language", "be", "--out", out, "--sheet", "3").exit_code == 0
    fill_in(out / "sheet.tsv", tmp_path / "anna.tsv", ["both_fine"] * 3)
    result = rodna("eval", "make-pairs", treebank, "--language", "be", "--out", out, "--confirmed", tmp_path / "anna.tsv")
    assert result.exit_code == 1
    assert "speakers confirm none of the pairs" in result.stderr
    assert len(rows_of(out / "pairs.jsonl")) > 3


def test_more_forms_come_from_another_file_and_no_sentences_do(rodna, as_json, treebank, tmp_path):
    text = (treebank / "toy.conllu").read_text(encoding="utf-8")
    (tmp_path / "one.conllu").write_text(text + sentence("tor", "iskat", "Sing"), encoding="utf-8")
    (tmp_path / "more.conllu").write_text(sentence("dub", "iskat", "Plur"), encoding="utf-8")
    counts = [
        as_json(
            rodna(
                "eval", "make-pairs", tmp_path / "one.conllu", "--language", "be", "--out", tmp_path / f"out{len(extra)}", "--json", *extra
            )
        )
        for extra in ((), ("--forms", tmp_path / "more.conllu"))
    ]
    assert counts[1]["made"] == counts[0]["made"] + 1
    assert counts[1]["sentences"] == counts[0]["sentences"]
