"""Reading treebanks: exact text, exact positions, and a reason for every sentence that cannot be read."""

import gzip

import pytest
import zstandard

from rodna.core.errors import EvaluationError
from rodna.evals.pairs import conllu
from rodna.evals.pairs.conllu import Malformed, Sentence, find_files, parse_features, read_file


def row(number, form, head=0, relation="root", lemma="x", upos="X", feats="_", misc="_"):
    return "\t".join((str(number), form, lemma, upos, "_", feats, str(head), relation, "_", misc))


GOOD = [row(1, "Ja", 2, "nsubj"), row(2, "idu", misc="SpaceAfter=No"), row(3, ".", 2, "punct")]


def read(tmp_path, *rows, name="a.conllu"):
    path = tmp_path / name
    path.write_text("\n".join(rows) + "\n\n", encoding="utf-8")
    return list(read_file(path))


def test_the_text_is_rebuilt_with_the_spaces_the_file_tells_of(tmp_path):
    (sentence,) = read(tmp_path, *GOOD)
    assert sentence.text == "Ja idu."
    assert [sentence.text[word.start : word.start + len(word.form)] for word in sentence.words] == ["Ja", "idu", "."]
    assert [word.follows_closely for word in sentence.words] == [False, False, True]
    assert [word.precedes_closely for word in sentence.words] == [False, True, False]


def test_a_text_comment_is_the_text_even_with_unusual_spaces(tmp_path):
    (sentence,) = read(tmp_path, "# sent_id = one", "# text = Ja\u00a0 idu.", *GOOD)
    assert (sentence.id, sentence.text) == ("one", "Ja\u00a0 idu.")
    assert sentence.words[1].start == 4


def test_words_of_a_multiword_token_have_no_place_and_their_neighbours_do(tmp_path):
    (sentence,) = read(
        tmp_path, row("1-2", "im", head="_", relation="_"), row(1, "in", 3, "case"), row(2, "dem", 3, "det"),
        row(3, "Haus", misc="SpaceAfter=No"), row(4, "!", 3, "punct"),
    )  # fmt: skip
    assert sentence.text == "im Haus!"
    assert [word.start for word in sentence.words] == [-1, -1, 3, 7]


def test_empty_nodes_are_passed_over(tmp_path):
    (sentence,) = read(tmp_path, GOOD[0], row("1.1", "ghost", "_", "_"), *GOOD[1:])
    assert [word.form for word in sentence.words] == ["Ja", "idu", "."]


@pytest.mark.parametrize(
    ("rows", "reason", "line"),
    [
        (["1\tJa\tja"], "wrong_columns", 1),
        ([GOOD[0], row(3, "idu")], "wrong_numbers", 2),
        ([row("1-9", "im"), row(1, "in")], "wrong_numbers", 2),
        ([row("1-1", "im"), row(1, "in")], "wrong_numbers", 1),
        ([row("one", "im")], "wrong_numbers", 1),
        ([row(1, "Ja", 7, "nsubj")], "wrong_head", 1),
        ([row(1, "Ja", 1, "nsubj")], "wrong_head", 1),
        ([row(1, "a", 2), row(2, "b", 1)], "wrong_head", 2),
        ([row(1, "Ja", feats="Number:Sing")], "bad_features", 1),
        ([row(1, "Ja", feats="Number=Sing|Number=Plur")], "bad_features", 1),
        ([row(1, "")], "bad_form", 1),
        (["# text = Ty idu.", *GOOD], "text_differs", 4),
        (["# text = Ja idu. Idu.", *GOOD], "text_differs", 4),
        (["# text = Ja \x1bidu.", *GOOD], "bad_text", 4),
    ],
)
def test_a_malformed_sentence_is_skipped_with_line_and_reason_and_the_next_is_read(tmp_path, rows, reason, line):
    bad, good = read(tmp_path, *rows, "", *GOOD)
    assert isinstance(bad, Malformed)
    assert (bad.reason, bad.where) == (reason, f"{tmp_path / 'a.conllu'}:{line}")
    assert isinstance(good, Sentence)


def test_packed_files_and_folders_are_read_alike(tmp_path):
    text = ("\n".join(GOOD) + "\n\n").encode()
    (tmp_path / "a.conllu").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.conllu.gz").write_bytes(gzip.compress(text))
    (tmp_path / "c.conllu.zst").write_bytes(zstandard.compress(text))
    (tmp_path / "README.md").write_text("no treebank")
    files = find_files([tmp_path, tmp_path / "a.conllu"])
    assert [file.name for file in files] == ["a.conllu", "c.conllu.zst", "b.conllu.gz"]
    assert [sentence.text for file in files for sentence in read_file(file)] == ["Ja idu."] * 3


@pytest.mark.parametrize(("path", "message"), [("nowhere", "no such file or folder"), (".", "no CoNLL-U file is here")])
def test_a_path_without_a_treebank_is_an_error(tmp_path, path, message):
    with pytest.raises(EvaluationError, match=message):
        find_files([tmp_path / path])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.conllu", b"\xff\xfe\x00", "not UTF-8"),
        ("a.conllu.gz", b"not packed", "cannot be read"),
        ("a.conllu.zst", b"not packed", "cannot be read"),
        ("a.conllu.gz", gzip.compress(b"x\n" * 1000, mtime=0)[:-8], "cannot be read"),
        ("a.conllu", b"x" * conllu.MAX_LINE_CHARACTERS, "a line is far too long"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EvaluationError, match=message) as raised:
        list(read_file(path))
    assert name in raised.value.where


def test_a_file_that_unpacks_to_too_much_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(conllu, "MAX_UNPACKED_BYTES", 1000)
    path = tmp_path / "a.conllu.gz"
    path.write_bytes(gzip.compress(b"# x\n" * 1000))
    with pytest.raises(EvaluationError, match="far too large"):
        list(read_file(path))


def test_features_are_equal_in_any_order():
    assert parse_features("Number=Sing|Gender=Masc,Fem") == parse_features("Gender=Fem,Masc|Number=Sing")
    assert parse_features("_").values == {}
