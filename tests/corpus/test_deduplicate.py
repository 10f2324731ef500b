"""Copies of whole documents: what is found, what is kept, and what is left alone."""

import random
from pathlib import Path

import numpy as np
import pytest
from tests.corpus.copies import signals_of, text_of, words_of

from rodna.corpus.config import DeduplicateConfig
from rodna.corpus.deduplicate.exact import first_of_equals, keys_of
from rodna.corpus.deduplicate.letters import letters_of, window_hashes
from rodna.corpus.deduplicate.near import KINDS, find_copies, sketch
from rodna.corpus.deduplicate.sketches import agreement
from rodna.corpus.deduplicate.union import components, keep_first

LANGUAGES = ("Belarusian", "Yoruba", "Khmer", "Cantonese")
EXACT, NEAR = KINDS.index("exact"), KINDS.index("near")


def edited(script: str, number: int, seed: int, share: float) -> tuple[str, str]:
    """Return a text, and a copy with a share of its words changed."""
    chance, joint = random.Random(seed), "" if script == "Cantonese" else " "
    words, others = words_of(script, number, seed), words_of(script, number, seed + 10_000)
    return joint.join(words), joint.join(other if chance.random() < share else word for word, other in zip(words, others, strict=True))


def copies_of(texts: list[str], folder: Path, **settings: object) -> np.ndarray:
    return find_copies(signals_of(texts, folder), np.ones(len(texts), dtype=bool), DeduplicateConfig.model_validate(settings))


def test_exact_copies_are_found_whatever_their_spaces_and_the_first_is_kept(tmp_path: Path) -> None:
    copies = copies_of(["добры дзень", "іншы тэкст", "добры\n  дзень ", "добры дзень"], tmp_path)
    assert copies["kept"].tolist() == [-1, -1, 0, 0]
    assert copies["kind"].tolist() == [0, 0, EXACT, EXACT]


@pytest.mark.parametrize("script", LANGUAGES)
def test_copies_with_a_twentieth_of_their_words_changed_are_found_in_every_script(script: str, tmp_path: Path) -> None:
    pairs = [edited(script, 400, seed, 0.05) for seed in range(20)]
    copies = copies_of([text for text, _ in pairs] + [copy for _, copy in pairs], tmp_path)
    partner = (np.arange(40) + 20) % 40
    gone = np.flatnonzero(copies["kind"] == NEAR)
    assert len(gone) >= 19
    assert (copies["kept"][gone] == partner[gone]).all()


@pytest.mark.parametrize("script", LANGUAGES)
def test_unlike_documents_of_one_vocabulary_are_all_kept(script: str, tmp_path: Path) -> None:
    vocabulary = words_of(script, 300, 1)
    joint = "" if script == "Cantonese" else " "
    texts = [joint.join(random.Random(seed).choices(vocabulary, k=500)) for seed in range(40)]
    copies = copies_of(texts, tmp_path)
    assert (copies["kept"] == -1).all()
    assert copies["cluster"].tolist() == list(range(40))


def test_case_and_punctuation_do_not_hide_a_near_copy(tmp_path: Path) -> None:
    text = text_of("Belarusian", 100, 3)
    assert copies_of([text, text.upper().replace(" ", ", ")], tmp_path)["kind"].tolist() == [0, NEAR]


def test_the_longest_near_copy_is_kept_by_default_and_the_first_on_request(tmp_path: Path) -> None:
    text = text_of("Belarusian", 400, 4)
    texts = [text[: len(text) * 9 // 10], text]
    assert copies_of(texts, tmp_path)["kept"].tolist() == [1, -1]
    assert copies_of(texts, tmp_path, keep="first")["kept"].tolist() == [-1, 0]


def test_a_text_that_holds_a_short_one_and_much_more_is_never_dropped_for_it(tmp_path: Path) -> None:
    text = text_of("Belarusian", 400, 5)
    copies = copies_of([text[: len(text) // 2], text], tmp_path, keep="first")
    assert copies["kept"].tolist() == [-1, -1]


def test_a_chain_of_small_changes_does_not_carry_away_what_became_another_text(tmp_path: Path) -> None:
    words, chain = words_of("Belarusian", 400, 6), []
    for step in range(8):
        words[step * 50 : step * 50 + 50] = words_of("Belarusian", 50, 100 + step)
        chain.append(" ".join(words))
    copies = copies_of(chain, tmp_path, keep="first")
    assert copies["kept"][1] == 0
    assert copies["kept"][-1] != 0
    kept = np.flatnonzero(copies["kept"] == -1)
    assert len(kept) >= 2
    # All of the chain still falls on one side of a split.
    assert set(copies["cluster"].tolist()) == {0}


def test_every_dropped_document_names_a_document_that_is_kept(tmp_path: Path) -> None:
    texts = []
    for seed in range(10):
        text, copy = edited("Yoruba", 300, seed, 0.03)
        texts += [text, copy, text, copy.upper(), copy]
    copies = copies_of(texts, tmp_path)
    gone = copies["kept"] >= 0
    assert gone.sum() == 40
    assert (copies["kept"][copies["kept"][gone]] == -1).all()


def test_short_texts_of_the_same_letters_both_stay_but_share_a_cluster(tmp_path: Path) -> None:
    copies = copies_of(["Išeik.", "Ateik.", "Išeik!", "…", "!"], tmp_path)
    assert (copies["kept"] == -1).all()
    assert copies["cluster"].tolist() == [0, 1, 0, 3, 4]


def test_short_texts_that_differ_in_a_word_or_a_number_are_not_copies(tmp_path: Path) -> None:
    texts = ["Ён пайшоў дадому ўчора вечарам.", "Яна пайшла дадому ўчора вечарам.", "Псальм 21", "Псальм 22"]
    copies = copies_of(texts, tmp_path)
    assert copies["cluster"].tolist() == [0, 1, 2, 3]


def test_clusters_are_found_even_where_copies_are_to_stay(tmp_path: Path) -> None:
    text, copy = edited("Belarusian", 400, 7, 0.03)
    copies = copies_of([text, "іншы", copy, text], tmp_path, near=False, exact=False)
    assert (copies["kept"] == -1).all()
    assert copies["cluster"].tolist() == [0, 1, 0, 0]


def test_documents_dropped_before_are_nobodys_copy(tmp_path: Path) -> None:
    store = signals_of(["тэкст", "тэкст", "тэкст"], tmp_path)
    copies = find_copies(store, np.array([False, True, True]), DeduplicateConfig())
    assert copies["kept"].tolist() == [-1, -1, 1]


def test_copies_do_not_depend_on_how_documents_lie_in_shards(tmp_path: Path) -> None:
    texts = [text for seed in range(8) for text in edited("Belarusian", 300, seed, 0.08)]
    results = []
    for size in (3, 100):
        (tmp_path / str(size)).mkdir()
        store = signals_of(texts, tmp_path / str(size), shard_documents=size)
        results.append(find_copies(store, np.ones(len(texts), dtype=bool), DeduplicateConfig()))
    assert (results[0] == results[1]).all()


def test_a_sketch_does_not_depend_on_the_texts_beside_it() -> None:
    texts = ["", "а", text_of("Belarusian", 30, 1), text_of("Cantonese", 500, 2), text_of("Yoruba", 40_000, 3), "🎉" * 50]
    together = sketch(texts)
    assert all((sketch([text])[0] == row).all() for text, row in zip(texts, together, strict=True))


def test_agreement_estimates_the_share_of_common_shingles() -> None:
    words = [words_of("Belarusian", 2000, seed) for seed in (1, 2)]
    texts = [" ".join(words[0]), " ".join(words[0][:1000] + words[1][:1000])]
    shingles = []
    for text in texts:
        codes = letters_of([text]).codes
        shingles.append({codes[place : place + 8].tobytes() for place in range(len(codes) - 7)})
    true = len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])
    signatures = sketch(texts)["signature"]
    assert agreement(signatures[:1], signatures[1:])[0] == pytest.approx(true, abs=0.12)


def test_window_hashes_are_equal_exactly_for_equal_runs_of_letters() -> None:
    codes = letters_of(["абвабвабв" * 3 + "г" + "абвабвабв"]).codes
    for length in (1, 4, 5, 7, 8):
        (hashes,) = window_hashes(codes, length)
        runs = [codes[place : place + length].tobytes() for place in range(len(codes) - length + 1)]
        assert len(hashes) == len(runs)
        assert len(set(hashes.tolist())) == len(set(runs)) == len(set(zip(hashes.tolist(), runs, strict=True)))
    assert [len(hashes) for hashes in window_hashes(codes[:3], 2, 4)] == [2, 0]


def test_the_first_of_equal_keys_is_found_in_the_order_given() -> None:
    keys = np.array([[5, 1], [5, 2], [5, 1], [5, 2]], dtype=np.uint64)
    assert first_of_equals(keys, np.array([9, 3, 4, 7])).tolist() == [9, 3, 9, 3]
    assert first_of_equals(keys[:0], np.array([], dtype=np.int64)).tolist() == []


def test_keys_ignore_spaces_but_not_case() -> None:
    keys = keys_of(["а  б", "а\nб", "А б", "\ud800"])
    assert (keys[0] == keys[1]).all()
    assert len({tuple(key) for key in keys.tolist()}) == 3


def test_components_follow_links_of_any_length() -> None:
    left, right = np.array([9, 3, 5, 1]), np.array([3, 5, 7, 2])
    assert components(10, left, right).tolist() == [0, 1, 1, 3, 4, 3, 6, 3, 8, 3]


def test_keeping_the_first_never_drops_for_what_is_dropped_itself() -> None:
    assert keep_first(np.array([0, 1, 2]), np.array([1, 2, 3]), 5).tolist() == [-1, 0, -1, 2, -1]


def test_the_two_belarusian_testaments_keep_every_chapter(shared_data: Path, tmp_path: Path) -> None:
    names = ("bible_maley_pd.txt", "bible_charniauski_pd.txt")
    texts = [chapter for name in names for chapter in (shared_data / "corpora/be" / name).read_text(encoding="utf-8").split("\n\n")]
    assert (copies_of(texts, tmp_path)["kept"] == -1).all()
