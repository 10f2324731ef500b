import random

import pytest

from rodna.evals.copies import TrainingText, copied_characters, longest_copy, unseen_windows

TRAIN = ["the quick brown fox jumps", "над ціхай ракой", "我哋今日去食飯", ""]


def longest_by_trying(train, text):
    pieces = (text[start:stop] for start in range(len(text)) for stop in range(start + 1, len(text) + 1))
    return max((piece for piece in pieces if any(piece in document for document in train)), key=len, default="")


@pytest.mark.parametrize("text", ["a quick brown bear", "ціхая рака", "聽日去食飯啦", "qqq", "", "the quick brown fox jumps"])
def test_the_longest_copy_is_the_one_that_trying_every_piece_finds(text):
    assert len(longest_copy(TrainingText(TRAIN), [text])) == len(longest_by_trying(TRAIN, text))
    assert longest_copy(TrainingText(TRAIN), [text]) in text


def test_windows_are_seen_exactly_where_the_training_text_holds_them():
    draw = random.Random(0)
    train = ["".join(draw.choices("ab", k=60)) for _ in range(3)]
    texts = ["".join(draw.choices("ab", k=40)) for _ in range(4)]
    for length in (1, 3, 7, 41):
        expected = [[any(text[n : n + length] in item for item in train) for n in range(40 - length + 1)] for text in texts]
        assert [seen.tolist() for seen in TrainingText(train).seen(texts, length)] == expected


def test_a_match_does_not_reach_over_the_border_of_two_training_documents():
    assert longest_copy(TrainingText(["abcd", "efgh"]), ["abcdefgh"]) in ("abcd", "efgh")


def test_unseen_windows_and_copied_characters_are_counted_by_text():
    train = TrainingText(TRAIN)
    unseen, total = unseen_windows(train, ["quick!", "xyz", "a"], 3)
    assert (unseen.tolist(), total.tolist()) == ([1, 1, 0], [4, 1, 0])
    # "quick brown" and "n fox" overlap by nothing but touch; "own" is too short.
    assert copied_characters(train, ["quick brown, own fox jump", "ow"], 5).tolist() == [11 + len("own fox jump"), 0]
