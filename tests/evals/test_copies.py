import random

import pytest

from rodna.evals.writing.copies import TrainingText, copied_characters, unseen_windows

TRAIN = ["the quick brown fox jumps", "над ціхай ракой", "我哋今日去食飯", ""]


def longest(train, text):
    return TrainingText(train).longest([text])[0]


def longest_by_trying(train, text):
    pieces = (text[start:stop] for start in range(len(text)) for stop in range(start + 1, len(text) + 1))
    return max((piece for piece in pieces if any(piece in document for document in train)), key=len, default="")


@pytest.mark.parametrize("text", ["a quick brown bear", "ціхая рака", "聽日去食飯啦", "the quick brown fox jumps", "s над"])
def test_the_longest_copy_is_the_one_that_trying_every_piece_finds(text):
    found = longest(TRAIN, text)
    assert len(found.text) == len(longest_by_trying(TRAIN, text))
    assert text[found.start :].startswith(found.text)
    assert TRAIN[found.document][found.at :].startswith(found.text)
    assert found.text in found.around
    assert found.around in TRAIN[found.document]


def test_nothing_is_copied_where_not_one_character_is_there():
    assert TrainingText(TRAIN).longest(["", "@@", "9"]) == [None, None, None]
    assert TrainingText([]).longest(["a"]) == [None]


def test_the_longest_copies_of_many_texts_are_each_found():
    draw = random.Random(3)
    train = ["".join(draw.choices("abc", k=draw.randint(0, 200))) for _ in range(30)]
    texts = ["".join(draw.choices("abcd", k=draw.randint(0, 60))) for _ in range(60)]
    texts += [train[4][5:-3], "d" + train[7] + "d"]
    for text, found in zip(texts, TrainingText(train).longest(texts), strict=True):
        expected = longest_by_trying(train, text)
        assert len(expected) == (len(found.text) if found else 0)
        if found:
            assert found.text == text[found.start :][: len(found.text)] == train[found.document][found.at :][: len(found.text)]
            assert found.document == min(number for number, document in enumerate(train) if found.text in document)


def test_windows_are_seen_exactly_where_the_training_text_holds_them():
    draw = random.Random(0)
    train = ["".join(draw.choices("ab", k=60)) for _ in range(3)]
    texts = ["".join(draw.choices("ab", k=40)) for _ in range(4)]
    for length in (1, 3, 7, 41):
        expected = [[any(text[n : n + length] in item for item in train) for n in range(40 - length + 1)] for text in texts]
        assert [seen.tolist() for seen in TrainingText(train).seen(texts, length)] == expected


def test_a_match_does_not_reach_over_the_border_of_two_training_documents():
    assert longest(["abcd", "efgh"], "abcdefgh").text == "abcd"
    assert longest(["abcd", "efgh"], "cdefgh").text == "efgh"


def test_unseen_windows_and_copied_characters_are_counted_by_text():
    train = TrainingText(TRAIN)
    unseen, total = unseen_windows(train, ["quick!", "xyz", "a"], 3)
    assert (unseen.tolist(), total.tolist()) == ([1, 1, 0], [4, 1, 0])
    # "quick brown" and "n fox" overlap by nothing but touch; "own" is too short.
    assert copied_characters(train, ["quick brown, own fox jump", "ow"], 5).tolist() == [11 + len("own fox jump"), 0]
