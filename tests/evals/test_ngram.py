import math
from collections import Counter

import numpy as np
import pytest

from rodna.core.errors import EvaluationError
from rodna.evals import ngram
from rodna.evals.ngram import END, SMOOTHINGS, best_ngram, discounts, ngram_bits

TRAIN = [b"abracadabra", b"banana bandana", b"", b"a", b"abba abba", b"candy and bread and brandy", b"ab"] * 2 + [b"barbara"]
HELD_OUT = [b"banana bread", b"zebra", b"", b"abracadabra and a candy"]


def padded(document, order):
    """The symbols that one n-gram model of this order sees: the mark before, the document, the mark after."""
    return [END, *document, END]


def slow_kneser_ney(train, order):
    """Interpolated modified Kneser-Ney with dictionaries; returns p(symbol, context)."""
    grams = {n: Counter() for n in range(1, order + 1)}
    for document in train:
        symbols = padded(document, order)
        for n in range(1, order + 1):
            for stop in range(max(n, 2), len(symbols) + 1):
                grams[n][tuple(symbols[stop - n : stop])] += 1
    for n in range(1, order):
        adjusted = Counter()
        for gram in grams[n + 1]:
            adjusted[gram[1:]] += 1
        for gram, count in grams[n].items():
            if n > 1 and gram[0] == END:
                adjusted[gram] += count
        grams[n] = adjusted

    def probability(symbol, context):
        if len(context) == order:
            context = context[1:]
        n = len(context) + 1
        counts = grams[n]
        followers = {gram[-1]: count for gram, count in counts.items() if gram[:-1] == tuple(context)}
        lower = probability(symbol, context[1:]) if context else 1 / 256
        if not followers:
            return lower
        taken = discounts(np.array(list(counts.values())))
        total = sum(followers.values())
        freed = sum(taken[min(count, 3)] for count in followers.values())
        count = followers.get(symbol, 0)
        return (count - taken[min(count, 3)] + freed * lower) / total

    return probability


def slow_witten_bell(train, order):
    grams = Counter()
    for document in train:
        symbols = padded(document, order)
        for n in range(1, order + 1):
            grams.update(tuple(symbols[stop - n : stop]) for stop in range(max(n, 2), len(symbols) + 1))

    def probability(symbol, context):
        followers = {gram[-1]: count for gram, count in grams.items() if len(gram) == len(context) + 1 and gram[:-1] == tuple(context)}
        lower = probability(symbol, context[1:]) if context else 1 / 256
        if not followers:
            return lower
        return (followers.get(symbol, 0) + len(followers) * lower) / (sum(followers.values()) + len(followers))

    return probability


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(("smoothing", "slow"), [("kneser_ney", slow_kneser_ney), ("witten_bell", slow_witten_bell)])
def test_probabilities_equal_those_of_dictionaries(order, smoothing, slow):
    probability = slow(TRAIN, order)
    expected = []
    for document in HELD_OUT:
        symbols = padded(document, order)
        for place in range(1, len(symbols)):
            expected.append(-math.log2(probability(symbols[place], symbols[max(0, place - order + 1) : place])))
    bits = dict(ngram_bits(TRAIN, HELD_OUT, max_order=order))[order][smoothing]
    np.testing.assert_allclose(bits, expected, rtol=1e-9)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("context", [b"", b"a", b"band", b"zzz", b"brandy and ba"])
def test_the_probabilities_of_all_symbols_after_any_context_sum_to_one(smoothing, context):
    documents = [context + bytes([symbol]) for symbol in range(END)]
    for order, bits in ngram_bits(TRAIN, [*documents, context], max_order=6):
        per_document = np.split(2.0 ** -bits[smoothing], np.cumsum([len(document) + 1 for document in documents]))
        total = sum(item[len(context)] for item in per_document)
        assert total == pytest.approx(1, abs=1e-9), order


def test_discounts_stay_between_nothing_and_the_count():
    for counts in ([1] * 9 + [2] + [3] * 9 + [4] * 30, [1, 2, 3, 4], [1, 1, 2], [7]):
        taken = discounts(np.array(counts))
        assert taken[0] == 0
        assert all(0 < taken[times] < times for times in (1, 2, 3))


def test_order_and_smoothing_are_chosen_on_validation_alone():
    found = best_ngram(TRAIN, [b"abba banana"], HELD_OUT, max_order=5)
    again = best_ngram(TRAIN, [b"abba banana"], [b"\x00\x01\x02" * 100], max_order=5)
    assert (found.order, found.smoothing) == (again.order, again.smoothing)
    curves = found.validation_bits_per_byte
    assert curves[found.smoothing][found.order - 1] == min(min(curve) for curve in curves.values())
    assert len(found.bits_D) == len(HELD_OUT)
    everything = dict(ngram_bits(TRAIN, HELD_OUT, max_order=5))[found.order][found.smoothing]
    assert found.bits_D.sum() == pytest.approx(everything.sum())


def test_without_training_text_every_byte_costs_about_eight_bits():
    (_, bits), *_ = ngram_bits([], [b"abc"], max_order=1)
    assert bits["kneser_ney"][:3] == pytest.approx([9, 9, 9], abs=0.2)


def test_text_too_long_for_the_packed_sort_is_refused(monkeypatch):
    monkeypatch.setattr(ngram, "POSITION_BITS", 3)
    with pytest.raises(EvaluationError, match=r"9 bytes are too many for the n-gram baseline\n  where: eval.baseline_bytes"):
        next(ngram_bits([b"abcdefg"], [b"a"], max_order=1))
