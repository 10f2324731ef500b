"""Held-out and benchmark text in the training text."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.corpus.copies import signals_of, text_of

from rodna.core.errors import CorpusError
from rodna.corpus.config import DecontaminateConfig
from rodna.corpus.decontaminate import REASONS, Contamination, find_contamination, load_benchmarks
from rodna.corpus.deduplicate.spans import PASSAGE_KINDS

TRAIN, VALIDATION, TEST, GONE = 0, 1, 2, 255


def contamination_of(
    texts: list[str], split: list[int], folder: Path, *, benchmarks: list[tuple[str, list[str]]] | None = None, **settings: object
) -> Contamination:
    config = DecontaminateConfig.model_validate(settings)
    return find_contamination(signals_of(texts, folder, shard_documents=2), np.array(split, dtype=np.uint8), config, benchmarks or [])


def reasons_of(found: Contamination) -> list[str]:
    return [REASONS[number] for number in found.reasons]


@pytest.mark.parametrize("script", ["Belarusian", "Yoruba", "Khmer", "Cantonese"])
def test_a_training_document_mostly_held_out_goes_and_the_held_out_one_stays(script: str, tmp_path: Path) -> None:
    text = text_of(script, 300, 1)
    found = contamination_of([text + " new", text_of(script, 300, 2), text], [TRAIN, TRAIN, TEST], tmp_path)
    assert reasons_of(found) == ["in_held_out", "", ""]
    assert found.other.tolist() == [2, -1, -1]
    assert len(found.passages) == 0
    assert [(hit.document, hit.held_out, hit.dropped) for hit in found.hits] == [(0, 2, True)]
    assert found.hits[0].share > 0.5


def test_of_a_document_that_shares_little_only_that_is_cut(tmp_path: Path) -> None:
    shared = text_of("Belarusian", 60, 1)
    texts = [f"{text_of('Belarusian', 200, 2)} {shared} {text_of('Belarusian', 200, 3)}", f"{shared} {text_of('Belarusian', 100, 4)}"]
    found = contamination_of(texts, [TRAIN, VALIDATION], tmp_path)
    assert reasons_of(found) == ["", ""]
    (passage,) = found.passages
    assert PASSAGE_KINDS[passage["kind"]] == "in_held_out"
    assert (passage["document"], passage["other"]) == (0, 1)
    assert texts[0][passage["start"] : passage["end"]] in texts[1]
    (hit,) = found.hits
    assert (hit.document, hit.held_out, hit.dropped, hit.num_characters) == (0, 1, False, passage["end"] - passage["start"])


def test_a_set_phrase_shared_with_a_held_out_document_stays(tmp_path: Path) -> None:
    phrase = text_of("Belarusian", 13, 1)
    texts = [f"{text_of('Belarusian', 200, 2)} {phrase} {text_of('Belarusian', 20, 3)}", f"{phrase} {text_of('Belarusian', 100, 4)}"]
    found = contamination_of(texts, [TRAIN, TEST], tmp_path, min_characters=200)
    assert found.hits == ()
    assert len(found.passages) == 0
    assert len(contamination_of(texts, [TRAIN, TEST], tmp_path, min_characters=20).passages) == 1


def test_short_documents_of_the_same_letters_as_a_held_out_one_go(tmp_path: Path) -> None:
    found = contamination_of(["Добры дзень!", "Добры вечар", "Добры дзень."], [TRAIN, TRAIN, TEST], tmp_path)
    assert reasons_of(found) == ["in_held_out", "", ""]


def test_a_line_that_is_held_out_is_cut_from_a_training_document(tmp_path: Path) -> None:
    line = "Ён прыйшоў учора вечарам"
    texts = [f"{text_of('Belarusian', 80, 1)}\n{line}\n{text_of('Belarusian', 80, 2)}", f"{text_of('Belarusian', 80, 3)}\n{line.upper()}!"]
    found = contamination_of(texts, [TRAIN, TEST], tmp_path, min_characters=10)
    (passage,) = found.passages
    assert texts[0][passage["start"] : passage["end"]] == line + "\n"


def test_nothing_is_touched_where_held_out_text_need_not_be_protected(tmp_path: Path) -> None:
    text = text_of("Belarusian", 300, 1)
    found = contamination_of([text, text], [TRAIN, TEST], tmp_path, held_out=False)
    assert reasons_of(found) == ["", ""]
    assert found.hits == ()


def test_dropped_documents_protect_nothing_and_are_not_hit(tmp_path: Path) -> None:
    text = text_of("Belarusian", 300, 1)
    found = contamination_of([text, text, text], [TRAIN, GONE, GONE], tmp_path, benchmarks=[("b", [text_of("Belarusian", 20, 9)])])
    assert reasons_of(found) == ["", "", ""]


def test_a_document_that_is_a_benchmarks_text_goes_and_the_hit_names_it(tmp_path: Path) -> None:
    question = "Які горад з’яўляецца сталіцай Беларусі?"
    texts = [question.upper(), text_of("Belarusian", 50, 1)]
    found = contamination_of(
        texts, [TRAIN, TRAIN], tmp_path, benchmarks=[("old", ["нешта іншае, што тут ні да чаго"]), ("exam", [question])]
    )
    assert reasons_of(found) == ["in_benchmark", ""]
    (hit,) = found.hits
    assert (hit.benchmark, hit.text, hit.held_out, hit.dropped) == ("exam", question, -1, True)
    assert found.other.tolist() == [1, -1]


def test_a_benchmarks_text_inside_a_training_document_is_cut(tmp_path: Path) -> None:
    item = text_of("Belarusian", 30, 1)
    texts = [f"{text_of('Belarusian', 100, 2)} {item}, {text_of('Belarusian', 100, 3)}"]
    found = contamination_of(texts, [TRAIN], tmp_path, benchmarks=[("exam", [item])])
    (passage,) = found.passages
    assert PASSAGE_KINDS[passage["kind"]] == "in_benchmark"
    assert texts[0][passage["start"] : passage["end"]] in item


def test_a_near_copy_of_a_long_benchmark_text_goes_although_no_long_run_is_the_same(tmp_path: Path) -> None:
    words = text_of("Belarusian", 400, 1).split()
    changed = " ".join(word if place % 7 else "слова" for place, word in enumerate(words))
    found = contamination_of([changed, text_of("Belarusian", 400, 2)], [TRAIN, TRAIN], tmp_path, benchmarks=[("exam", [" ".join(words)])])
    assert reasons_of(found) == ["in_benchmark", ""]


def test_a_benchmarks_lone_words_hit_nothing(tmp_path: Path) -> None:
    found = contamination_of(["так", "не"], [TRAIN, TRAIN], tmp_path, benchmarks=[("exam", ["так", "не"])])
    assert reasons_of(found) == ["", ""]


def test_held_out_documents_stay_though_a_benchmark_holds_them(tmp_path: Path) -> None:
    text = text_of("Belarusian", 300, 1)
    found = contamination_of([text, "іншае"], [VALIDATION, TRAIN], tmp_path, benchmarks=[("exam", [text])])
    assert reasons_of(found) == ["", ""]
    assert found.hits == ()


def test_benchmarks_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    folder = tmp_path / "exam"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("першы\n\nдругі\n", encoding="utf-8")
    (folder / "b.jsonl").write_text(
        json.dumps({"question": "трэці", "choices": {"text": ["чацвёрты", "першы"], "n": 4}}) + "\n\n", encoding="utf-8"
    )
    (folder / "c.tsv").write_text('пяты\t"шосты\n', encoding="utf-8")
    (folder / "d.csv").write_text('сёмы,"восьмы, з коскай"\n', encoding="utf-8")
    (folder / "e.json").write_text(json.dumps(["дзявяты"]), encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    parquet.write_table(pa.table({"text": ["дзясяты"], "number": [1]}), folder / "deep" / "f.parquet")
    assert load_benchmarks([folder]) == [
        ("exam", ["першы", "другі", "трэці", "чацвёрты", "пяты", '"шосты', "сёмы", "восьмы, з коскай", "дзясяты", "дзявяты"])
    ]


def test_a_benchmark_that_is_missing_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such benchmark: nowhere") as caught:
        load_benchmarks([tmp_path / "nowhere"])
    assert "corpus.decontaminate.benchmarks" in caught.value.fix


def test_a_benchmark_without_text_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="a benchmark without text: empty"):
        load_benchmarks([tmp_path / "empty"])


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b"{oops\n"), ("a.txt", b"\xff\xfe\xff"), ("a.parquet", b"PAR1oops"), ("a.json", b""), ("a.csv", b'"' + b"a" * 200_000)],
)
def test_a_benchmark_that_cannot_be_read_is_one_clear_error(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match="cannot read a benchmark") as caught:
        load_benchmarks([tmp_path / name])
    assert caught.value.where == str(tmp_path / name)


def test_planted_news_lines_are_found_in_training_text(shared_data: Path, tmp_path: Path) -> None:
    files = sorted((shared_data / "eval" / "ntrex").rglob("*bel*"))
    if not files:
        pytest.skip("needs the Belarusian file of eval/ntrex")
    lines = [line for line in files[0].read_text(encoding="utf-8").splitlines() if len(line) > 150][:40]
    texts = [f"{text_of('Belarusian', 200, seed)} {line} {text_of('Belarusian', 200, 100 + seed)}" for seed, line in enumerate(lines)]
    found = contamination_of(texts, [TRAIN] * len(texts), tmp_path, benchmarks=[("ntrex", lines)])
    assert set(found.passages["document"].tolist()) == set(range(len(lines)))


def test_a_loose_sentence_that_is_a_line_of_a_held_out_document_goes(tmp_path: Path) -> None:
    lines = [text_of("Belarusian", 6, number) for number in range(8)]
    texts = [f"{lines[3]}.", text_of("Belarusian", 6, 20), "\n".join(lines), text_of("Belarusian", 2, 30)]
    found = contamination_of(texts, [TRAIN, TRAIN, TEST, TRAIN], tmp_path)
    assert reasons_of(found) == ["in_held_out", "", "", ""]
    assert found.other.tolist() == [2, -1, -1, -1]
    assert reasons_of(contamination_of(texts, [TRAIN, TRAIN, TRAIN, TEST], tmp_path)) == ["", "", "", ""]
