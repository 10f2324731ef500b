import itertools
import math
import random

import numpy as np
import pytest

from rodna.evals.writing.diversity import (
    bleu,
    common_size,
    distinct,
    distinct_of,
    piece_size,
    pieces_of_documents,
    repeated,
    self_bleu,
)


def some_texts(number, length, *, kinds=12, seed=0):
    draw = random.Random(seed)
    return [draw.choices([f"w{n}" for n in range(kinds)], k=length) for _ in range(number)]


def test_distinct_ngrams_are_counted_over_all_texts_but_not_across_them():
    texts = [["a", "b", "a"], ["a", "b"]]
    assert distinct(texts, 1) == (2, 5)
    assert distinct(texts, 2) == (2, 3)
    assert distinct([["a"]], 2) == (0, 0)


@pytest.mark.parametrize("length", [1, 2])
def test_distinct_ones_among_some_are_those_of_every_possible_draw(length):
    texts = [["a", "b", "a", "c"], ["b", "b", "d"]]
    grams = [tuple(text[n : n + length]) for text in texts for n in range(len(text) - length + 1)]
    draws = list(itertools.combinations(grams, 3))
    expected = sum(len(set(draw)) for draw in draws) / len(draws) / 3
    assert distinct_of(texts, length, 3)[0] == pytest.approx(expected)


def test_more_text_of_the_same_kind_has_fewer_distinct_words_but_not_among_as_many():
    few, many = some_texts(4, 50), some_texts(40, 50)
    assert distinct(many, 2)[0] / distinct(many, 2)[1] < 0.5 * distinct(few, 2)[0] / distinct(few, 2)[1]
    low, high = distinct_of(few, 2, 100)[1:]
    assert low < distinct_of(many, 2, 100)[0] < high


def test_the_interval_of_distinct_ones_holds_the_true_value_about_95_times_in_100():
    true = distinct_of(some_texts(4000, 20, kinds=40, seed=99), 1, 50)[0]
    held = sum(low <= true <= high for _, low, high in (distinct_of(some_texts(20, 20, kinds=40, seed=n), 1, 50) for n in range(100)))
    assert 88 <= held <= 100


def test_too_few_ngrams_have_no_number_and_one_text_has_no_interval():
    assert distinct_of([["a", "b"]], 1, 3) is None
    value, low, high = distinct_of([["a", "b", "a", "b"]], 1, 3)
    assert value == low == high == pytest.approx(2 / 3)


def test_the_largest_size_that_fits_is_taken():
    assert common_size((500, 100), fits=499) == 100
    assert common_size((500, 100), fits=99) == 0


@pytest.mark.parametrize("length", [1, 2, 4])
def test_repeats_are_counted_in_every_window(length):
    texts = [*some_texts(3, 40, kinds=5), some_texts(1, 9)[0], []]
    for text, repeats, total in zip(texts, *repeated(texts, length, window=10), strict=True):
        windows = [text[start : start + 10] for start in range(len(text) - 9)]
        grams = [[tuple(window[n : n + length]) for n in range(10 - length + 1)] for window in windows]
        assert repeats == sum(len(window) - len(set(window)) for window in grams)
        assert total == sum(map(len, grams))


def test_repetition_does_not_grow_with_the_length_of_a_text():
    text = some_texts(1, 4000, kinds=300)[0]
    short, long = (part / whole for part, whole in (map(int.__call__, map(sum, repeated([text[:size]], 1))) for size in (1000, 4000)))
    assert short == pytest.approx(long, rel=0.25)


def bleu_by_the_book(hypothesis, references):
    precisions = []
    for order in range(1, 5):
        ours = [tuple(hypothesis[n : n + order]) for n in range(len(hypothesis) - order + 1)]
        theirs = [[tuple(item[n : n + order]) for n in range(len(item) - order + 1)] for item in references]
        clipped = sum(min(ours.count(gram), max(item.count(gram) for item in theirs)) for gram in set(ours))
        precisions.append((clipped or 0.1) / len(ours))
    closest = sorted((abs(len(item) - len(hypothesis)), len(item)) for item in references)[0][1]
    penalty = 1 if len(hypothesis) > closest else math.exp(1 - closest / len(hypothesis))
    return penalty * math.prod(precisions) ** 0.25


@pytest.mark.parametrize("seed", range(5))
def test_bleu_is_the_formula(seed):
    texts = [*some_texts(3, 15, kinds=4, seed=seed), *some_texts(1, 9, kinds=4, seed=seed + 50)]
    for index, text in enumerate(texts):
        others = texts[:index] + texts[index + 1 :]
        assert bleu(text, others) == pytest.approx(bleu_by_the_book(text, others))


@pytest.mark.parametrize("seed", range(5))
def test_bleu_is_that_of_sacrebleu(seed):
    sacrebleu = pytest.importorskip("sacrebleu")
    texts = [*some_texts(3, 12, kinds=5, seed=seed), *some_texts(1, 8, kinds=5, seed=seed + 50)]
    for index, text in enumerate(texts):
        others = texts[:index] + texts[index + 1 :]
        theirs = sacrebleu.sentence_bleu(
            " ".join(text), [" ".join(item) for item in others], smooth_method="floor", smooth_value=0.1, tokenize="none"
        )
        assert bleu(text, others) == pytest.approx(theirs.score / 100)


def test_bleu_of_nothing_in_common_or_of_too_short_a_text_is_0():
    assert bleu(["a"] * 5, [["b"] * 5]) == 0
    assert bleu(["a", "b"], [["a", "b"]]) == 0


def test_self_bleu_of_few_texts_takes_all_others_and_of_many_as_many_as_of_eleven():
    texts = some_texts(5, 10, kinds=4)
    assert self_bleu(texts, seed=7) == pytest.approx([bleu(text, texts[:n] + texts[n + 1 :]) for n, text in enumerate(texts)])
    few, many = (self_bleu(some_texts(number, 15, seed=1), seed=0).mean() for number in (11, 200))
    assert few == pytest.approx(many, rel=0.2)
    np.testing.assert_array_equal(self_bleu(texts * 4, seed=3), self_bleu(texts * 4, seed=3))


def test_the_size_of_pieces_is_one_that_at_least_half_of_the_texts_have():
    assert piece_size([["a"] * 30, ["a"] * 40, ["a"] * 9, []]) == 30
    assert piece_size([["a"] * 30, ["a"] * 14, ["a"] * 9]) == 8
    assert piece_size([["a"] * 50, []]) == 0
    assert piece_size([["a"] * 3, ["b"] * 4]) == 0


def test_short_held_out_documents_are_joined_into_pieces_and_long_ones_give_their_beginning():
    documents = ["раз два", "тры чатыры пяць", "шэсць сем восем дзевяць дзесяць адзінаццаць", "食飯啦"]
    assert pieces_of_documents(documents, 4, 9) == [["раз", "два", "тры", "чатыры"], ["шэсць", "сем", "восем", "дзевяць"]]
    assert pieces_of_documents(documents, 4, 1) == [["раз", "два", "тры", "чатыры"]]
    assert pieces_of_documents(["食飯啦"], 2, 1) == [["食", "飯"]]
