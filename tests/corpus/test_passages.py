"""Lines and passages that stand in several documents."""

import random
from pathlib import Path

import numpy as np
import pytest
from tests.corpus.copies import signals_of, text_of

from rodna.corpus.config import DeduplicateConfig
from rodna.corpus.deduplicate.passages import GUARANTEED_LETTERS, find_passages, lines_of, windows_of
from rodna.corpus.deduplicate.spans import PASSAGE, PASSAGE_KINDS, joined, snapped

SCRIPTS = ("Belarusian", "Yoruba", "Khmer", "Cantonese")
LINE, WHOLE = PASSAGE_KINDS.index("repeated_line"), PASSAGE_KINDS.index("repeated_passage")


def passages_of(texts: list[str], folder: Path, *, split: list[int] | None = None, **settings: object) -> np.ndarray:
    return find_passages(
        signals_of(texts, folder), np.array(split or [0] * len(texts), dtype=np.uint8), DeduplicateConfig.model_validate(settings)
    )


def letters_in(text: str) -> int:
    return sum((1 + (character > "\u2fff")) for character in text if character.isalnum())


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_shared_run_of_the_guaranteed_length_has_a_common_window(script: str) -> None:
    chance = random.Random(0)
    for seed in range(60):
        shared = ""
        while letters_in(shared) < GUARANTEED_LETTERS:
            shared += text_of(script, 1, chance.randrange(1 << 30)) + ("" if script == "Cantonese" else " ")
        texts = [
            text_of(script, chance.randrange(60), 1000 + seed) + "x" + shared + "x" + text_of(script, chance.randrange(60), 2000 + seed),
            text_of(script, chance.randrange(60), 3000 + seed) + "y" + shared + "y" + text_of(script, chance.randrange(60), 4000 + seed),
        ]
        windows = windows_of(texts)
        own = [set(windows["hash"][windows["document"] == number].tolist()) for number in (0, 1)]
        assert own[0] & own[1], texts


def test_windows_do_not_depend_on_the_texts_beside_them() -> None:
    texts = [text_of("Belarusian", number, number) for number in (0, 3, 9, 12, 40, 900)]
    together = windows_of(texts)
    for number, text in enumerate(texts):
        alone = windows_of([text])
        own = together[together["document"] == number]
        assert (alone[["hash", "start", "length"]] == own[["hash", "start", "length"]]).all()


def test_a_text_that_repeats_one_letter_keeps_few_windows() -> None:
    assert len(windows_of(["а" * 100_000])) < 100_000 / 10


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_passage_is_cut_from_the_later_document_and_nothing_else_is(script: str, tmp_path: Path) -> None:
    joint = "" if script == "Cantonese" else " "
    shared = text_of(script, 200, 1)
    texts = [joint.join((text_of(script, 150, 2), shared, text_of(script, 150, 3))), joint.join((text_of(script, 90, 4), shared))]
    passages = passages_of(texts, tmp_path, passages=100)
    assert passages["document"].tolist() == [1]
    assert passages["kind"].tolist() == [WHOLE]
    assert passages["other"].tolist() == [0]
    cut = texts[1][passages["start"][0] : passages["end"][0]]
    assert cut in texts[0]
    assert letters_in(cut) >= letters_in(shared) - GUARANTEED_LETTERS


def test_passages_stay_where_none_are_to_be_cut(tmp_path: Path) -> None:
    shared = text_of("Belarusian", 200, 1)
    assert len(passages_of([shared + " а", shared + " б"], tmp_path)) == 0


def test_a_passage_shorter_than_asked_for_stays(tmp_path: Path) -> None:
    shared = text_of("Belarusian", 40, 1)
    texts = [text_of("Belarusian", 50, seed) + " " + shared for seed in (2, 3)]
    assert len(passages_of(texts, tmp_path, passages=60)) == 1
    assert len(passages_of(texts, tmp_path, passages=1000)) == 0


def test_what_one_document_repeats_is_never_cut(tmp_path: Path) -> None:
    refrain = text_of("Belarusian", 60, 1)
    song = "\n".join(f"{text_of('Belarusian', 30, seed)}\n{refrain}" for seed in range(2, 8))
    assert len(passages_of([song, text_of("Belarusian", 100, 9)], tmp_path, passages=50, lines=2)) == 0


def test_a_line_in_enough_documents_is_cut_with_its_break_from_all_but_the_first(tmp_path: Path) -> None:
    footer = "Усе правы абаронены, перадрук забаронены"
    texts = [
        f"{text_of('Belarusian', 9, seed)}\n{footer.upper() if seed == 2 else footer}\n{text_of('Belarusian', 9, 50 + seed)}"
        for seed in range(4)
    ]
    passages = passages_of(texts, tmp_path, lines=4)
    assert passages["document"].tolist() == [1, 2, 3]
    assert set(passages["kind"].tolist()) == {LINE}
    assert [texts[row["document"]][row["start"] : row["end"]].lower() for row in passages] == [footer.lower() + "\n"] * 3
    assert len(passages_of(texts, tmp_path, lines=5)) == 0


def test_short_lines_such_as_headings_are_never_compared(tmp_path: Path) -> None:
    texts = [f"Раздзел\n{text_of('Belarusian', 20, seed)}\n***\n12" for seed in range(5)]
    assert len(passages_of(texts, tmp_path, lines=2)) == 0


def test_lines_carry_their_place_in_the_text() -> None:
    texts = ["адзін радок", "\n" + "а" * 20 + "\r\n\n" + "b" * 15 + "\n你" * 2 + "\n" + "你" * 8, "c" * 30 + "\n"]
    lines = lines_of(texts)
    found = [texts[row["document"]][row["start"] : row["start"] + row["length"]] for row in lines]
    assert found == ["а" * 20 + "\r\n", "你" * 8, "c" * 30 + "\n"]


def test_held_out_and_dropped_documents_are_neither_cut_nor_cut_for(tmp_path: Path) -> None:
    shared = text_of("Belarusian", 200, 1)
    texts = [shared + " " + text_of("Belarusian", 20, seed) for seed in range(4)]
    assert passages_of(texts, tmp_path, split=[1, 0, 2, 255], passages=100, lines=2).tolist() == []
    assert set(passages_of(texts, tmp_path, split=[1, 0, 255, 0], passages=100)["document"].tolist()) == {3}


def test_passages_do_not_depend_on_how_documents_lie_in_shards(tmp_path: Path) -> None:
    shared = [text_of("Belarusian", 60, seed) for seed in range(3)]
    texts = [" ".join(random.Random(seed).sample(shared, 2)) + " " + text_of("Belarusian", 50, 10 + seed) for seed in range(9)]
    results = []
    for size in (2, 100):
        folder = tmp_path / str(size)
        folder.mkdir()
        store = signals_of(texts, folder, shard_documents=size)
        results.append(find_passages(store, np.zeros(9, dtype=np.uint8), DeduplicateConfig(passages=100)))
    assert len(results[0])
    assert (results[0] == results[1]).all()


def test_windows_stored_in_any_order_give_the_same_passages(tmp_path: Path) -> None:
    from rodna.corpus.signals import write_column

    shared = text_of("Belarusian", 200, 1)
    store = signals_of([shared + " а", "б " + shared], tmp_path)
    expected = find_passages(store, np.zeros(2, dtype=np.uint8), DeduplicateConfig(passages=100))
    write_column(tmp_path, store.shards[0].name, "windows", store.column("windows", store.shards[0])[::-1])
    assert len(expected)
    assert (find_passages(store, np.zeros(2, dtype=np.uint8), DeduplicateConfig(passages=100)) == expected).all()


def test_spans_that_overlap_or_touch_become_one_unless_they_differ_in_kind() -> None:
    spans = np.array(
        [(0, 5, 9, 1, 7), (0, 0, 6, 1, 8), (0, 9, 12, 1, 7), (0, 30, 40, 1, 7), (0, 2, 3, 0, 7), (1, 0, 50, 1, 7), (1, 2, 3, 1, 7)], PASSAGE
    )
    assert joined(spans).tolist() == [(0, 0, 12, 1, 8), (0, 2, 3, 0, 7), (0, 30, 40, 1, 7), (1, 0, 50, 1, 7)]
    assert len(joined(spans[:0])) == 0


@pytest.mark.parametrize(
    ("text", "start", "end", "expected"),
    [
        ("адзін два тры", 2, 11, " два "),
        ("адзін два тры", 5, 9, " два"),
        ("сям'я і хата", 4, 12, " і хата"),
        ("слова", 1, 4, ""),
        ("क्षमा कर", 1, 8, " कर"),
        ("我哋去食飯", 1, 3, "哋去"),
        ("ภาษาไทย", 2, 5, "ษาไ"),
        ("дзень-добры усім", 8, 16, " усім"),
    ],
)
def test_no_word_and_no_letter_is_parted(text: str, start: int, end: int, expected: str) -> None:
    start, end = snapped(text, start, end)
    assert text[start:end] == expected


def test_nothing_of_the_testaments_is_cut_as_a_passage_of_200_characters(shared_data: Path, tmp_path: Path) -> None:
    names = ("bible_maley_pd.txt", "bible_charniauski_pd.txt")
    texts = [chapter for name in names for chapter in (shared_data / "corpora/be" / name).read_text(encoding="utf-8").split("\n\n")]
    assert len(passages_of(texts, tmp_path, passages=200)) == 0
