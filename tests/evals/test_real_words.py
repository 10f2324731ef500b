import pytest

from rodna.evals.writing.real_words import WordList, spaced_words, unspaced_sequences, whole_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Слова, СЛОВА і 42 слоў!", ["слова", "слова", "і", "слоў"]),
        ("नमस्ते 食飯 दुनिया", ["नमस्ते", "दुनिया"]),
        ("cafe\u0301", ["café"]),
        ("ߒߞߏ ߞߊ߲", ["ߒߞߏ", "ߞߊ߲"]),
        ("ภาษาไทย", []),
    ],
)
def test_words_are_those_with_letters_of_spaced_scripts_in_one_case_and_composed(text, expected):
    assert spaced_words(text) == expected


@pytest.mark.parametrize(
    ("text", "continues", "expected"),
    [
        ("аду пайшоў да ле", True, ["пайшоў", "да"]),
        (" аду пайшоў да лесу.", True, ["аду", "пайшоў", "да", "лесу"]),
        ("Сад і гай.", False, ["сад", "і", "гай"]),
        ("аднослова", False, []),
        ("", True, []),
        ("ɗan'uw", True, []),
    ],
)
def test_words_that_may_be_cut_are_left_out(text, continues, expected):
    assert whole_words(text, continues=continues) == expected


def test_sequences_stay_within_a_stretch_of_unspaced_script_and_keep_marks():
    assert unspaced_sequences("食飯,去OK啦", 2) == ["食飯"]
    assert unspaced_sequences("食飯去啦", 3) == ["食飯去", "飯去啦"]
    assert unspaced_sequences("ที่นี่", 2) == ["ที่นี่"]
    assert unspaced_sequences("слова", 2) == []


def test_a_word_is_attested_that_the_training_text_has_often_enough():
    known = WordList(["Раз два.", "раз\nтры, тры!"], ["раз два тры чатыры"])
    found, total = known.count_words([["раз", "два", "тры", "чатыры"], []])
    assert (found.tolist(), total.tolist()) == ([2, 0], [4, 0])
    once = WordList(["Раз два.", "раз\nтры, тры!"], ["раз два тры чатыры"], attested=1)
    assert once.count_words([["раз", "два", "тры", "чатыры"]])[0].tolist() == [3]


def test_counts_are_those_of_taking_every_text_apart_whole():
    texts = ["Аб'ява: 3.14 слоў—слоў, (слоў) dash-ed\u00a0word word's", "слоў'я слоў слоў.слоў word ɗan'uwa ɗan'uwa"]
    known = WordList(texts, texts)
    everything = [word for text in texts for word in spaced_words(text)]
    assert dict(known.words) == {word: everything.count(word) for word in set(everything)}


def test_the_most_frequent_words_that_are_not_attested_come_first():
    known = WordList(["адзін"], ["адзін два"])
    assert known.unattested([["два", "адзін"], ["два"]]) == [
        {"word": "два", "count": 2, "in_training": 0},
        {"word": "адзін", "count": 1, "in_training": 1},
    ]


def test_pairs_and_triples_of_characters_are_attested_in_unspaced_scripts():
    known = WordList(["食飯去", "食飯啦", "去食飯去"], ["食飯去啦"])
    pairs, triples = (known.count_sequences(["食飯去啦", ""], length) for length in (2, 3))
    assert (pairs[0].tolist(), pairs[1].tolist()) == ([2, 0], [3, 0])
    assert (triples[0].tolist(), triples[1].tolist()) == ([1, 0], [2, 0])
