"""What is compared, what is not and why, and the numbers of it against slow references."""

import math
import statistics

import numpy as np
import pytest

from made_evaluations import answers, measured, write_made
from rodna.core.errors import ConfigError, EvaluationError
from rodna.evals.compare.read import read_contestants
from rodna.evals.compare.run import compare
from rodna.evals.result import Result

SAMPLES = 2000


@pytest.fixture
def made(tmp_path):
    """Return what writes evaluations below one folder, and returns what is given to compare them."""

    def write(name: str, *measurements, **more) -> str:
        write_made(tmp_path / name, measurements, **more)
        return str(tmp_path / name)

    return write


def compared(*given: str, **options):
    return compare(read_contestants(given), samples=SAMPLES, **options)


def only_match(comparison, task: str = "pairs"):
    return next(match for match in comparison.matches if match.task == task)


def test_the_difference_is_resampled_over_pairs_of_the_same_items(made):
    one, other = answers(40, 0.5, seed=1), answers(40, 0.7, seed=2)
    comparison = compared(made("a", measured("pairs", one)), made("b", measured("pairs", other)))

    match, (difference,) = only_match(comparison), only_match(comparison).differences
    order = sorted(range(40), key=lambda number: f"item{number}")
    draws = np.random.default_rng(0).integers(0, 40, size=(SAMPLES, 40))
    plain = np.array([statistics.fmean(other[order[n]] - one[order[n]] for n in draw) for draw in draws])
    value = statistics.fmean(other) - statistics.fmean(one)
    factor = math.sqrt(40 / 39) * 2.02269 / 1.95996
    low, high = np.quantile(value + factor * (plain - value), (0.025, 0.975))
    assert (match.how, match.n, comparison.baseline, difference.name) == ("paired", 40, "a", "b")
    assert (difference.value, difference.low, difference.high) == pytest.approx((value, low, high), abs=1e-5)


def test_exchanging_the_models_changes_every_sign_and_nothing_else(made):
    a = made("a", measured("pairs", answers(50, 0.5, seed=1)), measured("text", range(50, 100), metric="bits", weights=range(20, 70)))
    b = made("b", measured("pairs", answers(50, 0.8, seed=2)), measured("text", range(40, 90), metric="bits", weights=range(20, 70)))
    for one, other in zip(compared(a, b).matches, compared(b, a).matches, strict=True):
        assert one.differences[0].value == pytest.approx(-other.differences[0].value)
        assert one.differences[0].low == pytest.approx(-other.differences[0].high)
        assert one.differences[0].high == pytest.approx(-other.differences[0].low)
        assert one.differences[0].p == pytest.approx(other.differences[0].p)
        assert {one.differences[0].verdict, other.differences[0].verdict} in ({"better", "worse"}, {"cannot be told apart"})


def test_the_order_of_items_in_a_file_and_a_further_model_change_no_number(made):
    values = answers(30, 0.6, seed=1)
    ids = [f"item{number}" for number in range(30)]
    a, b = made("a", measured("pairs", values)), made("b", measured("pairs", answers(30, 0.7, seed=2)))
    turned = made("turned", measured("pairs", values[::-1], ids=ids[::-1]))
    c = made("c", measured("pairs", answers(30, 0.2, seed=3)))
    plain = only_match(compared(a, b)).differences[0]
    assert only_match(compared(turned, b)).differences[0].low == plain.low
    assert only_match(compared(a, b, c)).differences[0].high == plain.high


def test_verdicts_say_which_way_is_better(made):
    low, high = [1.0 + 0.01 * n for n in range(20)], [1.5 + 0.011 * n for n in range(20)]
    a = made("a", measured("text", low, metric="bits"), measured("share", low, metric="x", direction="none"))
    b = made("b", measured("text", high, metric="bits"), measured("share", high, metric="x", direction="none"))
    assert [match.differences[0].verdict for match in compared(a, b).matches] == ["worse", "higher"]
    assert [match.differences[0].verdict for match in compared(b, a).matches] == ["better", "lower"]


def test_p_is_corrected_for_all_comparisons_that_are_shown(made):
    def model(name: str, seed: int) -> str:
        parts = [measured("pairs/part", answers(60, 0.5, seed=seed), detail={"level": "part"})]
        return made(name, measured("pairs", answers(60, 0.5 + seed / 10, seed=seed)), *parts)

    given = [model(name, seed) for seed, name in enumerate("abc", 1)]
    few, all_of_them = compared(*given), compared(*given, show_all=True)
    assert (few.num_tests, few.num_hidden) == (2, 1)
    assert (all_of_them.num_tests, all_of_them.num_hidden) == (4, 0)
    strongest = max(few.matches[0].differences, key=lambda item: -item.p)
    assert strongest.p_holm == pytest.approx(2 * strongest.p)
    assert min(item.p_holm for item in all_of_them.matches[0].differences) == pytest.approx(min(1, 4 * strongest.p))


def test_groups_of_items_are_drawn_as_wholes(made):
    # Ten verbs with ten pairs each, all of a verb alike: there are ten answers, not a hundred.
    groups = [f"verb{number // 10}" for number in range(100)]
    one, other = np.repeat([1, 0, 1, 0, 1, 0, 1, 0, 1, 1], 10), np.repeat([1, 1, 1, 0, 1, 1, 0, 1, 1, 1], 10)
    grouped = compared(made("a", measured("pairs", one, groups=groups)), made("b", measured("pairs", other, groups=groups)))
    single = compared(made("c", measured("pairs", one[::10])), made("d", measured("pairs", other[::10])))
    assert (only_match(grouped).n, only_match(grouped).num_units) == (100, 10)
    difference, plain = only_match(grouped).differences[0], only_match(single).differences[0]
    assert (difference.low, difference.high) == pytest.approx((plain.low, plain.high))


def test_models_that_have_other_items_are_compared_over_those_in_common(made):
    values, other = answers(30, 0.5, seed=1), answers(30, 0.9, seed=2)
    a = made("a", measured("pairs", values))
    b = made("b", measured("pairs", other[5:], ids=[f"item{number}" for number in range(5, 30)]))
    match = only_match(compared(a, b))
    assert match.n == 25
    assert match.estimates["a"].value == pytest.approx(np.mean(values[5:]))
    assert "over the 25 items that all have (a 30, b 25)" in match.notes


def test_a_mean_over_paradigms_weighs_the_items_in_common_alike(made):
    detail = {"mean_over": "paradigms"}
    one = measured("pairs", [2.0, 0, 1, 1, 1, 0, 1, 1], weights=[2, 2, 1, 1, 1, 1, 1, 1], detail=detail)
    other = measured("pairs", [1.0, 0, 1, 1, 1, 0, 1, 1], weights=[1] * 8, detail=detail)
    assert only_match(compared(made("a", one), made("b", other))).differences[0].value == pytest.approx(0)


def test_items_that_stand_in_training_text_are_left_out_and_told_apart(made):
    seen = frozenset(f"item{number}" for number in range(10))
    memorised = [1.0] * 10 + answers(30, 0.5, seed=1)
    a = made("a", measured("pairs", memorised), seen={"pairs": seen}, is_checked=True)
    b = made("b", measured("pairs", [0.0] * 10 + memorised[10:]), is_checked=True)
    match = only_match(compared(a, b))
    assert (match.n, match.differences[0].value) == (30, 0.0)
    assert match.with_seen[0].value == pytest.approx(-0.25)
    assert match.notes == ["10 items that stand in a model's training text are left out"]


def test_when_every_item_was_seen_all_are_compared_and_said_to_be_seen(made):
    seen = {"pairs": frozenset(f"item{number}" for number in range(10))}
    given = (made("a", measured("pairs", [1.0] * 10), seen=seen), made("b", measured("pairs", [0.0] * 10), seen=seen))
    match = only_match(compared(*given))
    assert match.n == 10
    assert match.notes[0].startswith("every item stands in a model's training text")


def test_it_is_said_where_only_one_model_was_looked_up(made):
    values = answers(10, 0.5, seed=1)
    match = only_match(compared(made("a", measured("pairs", values), is_checked=True), made("b", measured("pairs", values))))
    assert match.notes == ["not looked up in the training text of b: whether the items were seen is not known"]


REASONS = {
    "version": ({"task_version": 2}, {}, "measured in another way: version 2 of the task, where the baseline has 1"),
    "prompt": ({"prompt_digest": "q" * 64}, {}, "another prompt: what the models read differs"),
    "file": (
        {},
        {"digests": {"pairs": "e" * 64}},
        "other items: the task's file is another one (eeeeeeee, where the baseline has dddddddd)",
    ),
    "unit": ({"unit": "share of questions"}, {}, "another unit: share of questions, where the baseline has share of pairs"),
    "ids": ({"ids": [f"other{number}" for number in range(10)]}, {}, "other items: not one of the same name"),
}


@pytest.mark.parametrize("reason", sorted(REASONS))
def test_what_cannot_be_compared_is_left_out_with_the_reason(made, reason: str):
    fields, more, said = REASONS[reason]
    values = answers(10, 0.5, seed=1)
    a, b = made("a", measured("pairs", values)), made("b", measured("pairs", values, **fields), **more)
    c = made("c", measured("pairs", values))
    match = only_match(compared(a, b, c))
    assert [item.name for item in match.differences] == ["c"]
    assert said in match.excluded["b"]
    assert match.left_out["b"] == pytest.approx(np.mean(values))
    with pytest.raises(EvaluationError, match="no result in common") as error:
        compared(a, b)
    assert said in str(error.value)


def test_a_task_that_one_model_refused_or_was_never_asked_is_said(made):
    values = answers(10, 0.5, seed=1)
    a = made("a", measured("pairs", values), measured("refused", values))
    b = made("b", measured("pairs", values), refused="the server gives no costs")
    c = made("c", measured("pairs", values))
    match = only_match(compared(a, b, c), "refused")
    assert match.excluded == {"b": "was not asked: the server gives no costs", "c": "was not measured"}
    assert not match.differences


def test_what_the_baseline_lacks_is_listed_without_a_verdict(made):
    values = answers(10, 0.5, seed=1)
    given = [made("a", measured("pairs", values)), *(made(name, measured("pairs", values), measured("more", values)) for name in "bc")]
    match = only_match(compared(*given), "more")
    assert (list(match.estimates), list(match.differences)) == (["b", "c"], [])


def perplexity(nats, tokens, task: str = "text"):
    return measured(
        task, nats, metric="token_perplexity", weights=tokens, unit="perplexity per token", direction="lower", scale="perplexity",
        detail={"warning": "depends on the tokenizer"},
    )  # fmt: skip


def test_token_perplexity_is_never_compared_across_tokenizers(made):
    nats = [20.0 + number for number in range(12)]
    bits = measured("text", nats, metric="bits", weights=[30] * 12)
    a = made("a", bits, perplexity(nats, [10] * 12), tokenizer="x")
    same = made("b", bits, perplexity([number - 1 for number in nats], [10] * 12), tokenizer="x")
    other = made("c", bits, perplexity(nats, [5] * 12), tokenizer="y")
    unknown = made("d", bits, perplexity(nats, [5] * 12), tokenizer="")
    assert [match.metric for match in compared(a, same, other).matches] == ["bits"]
    match = compared(a, same, other, unknown, show_all=True).matches[1]
    assert [item.name for item in match.differences] == ["b"]
    assert match.differences[0].value == pytest.approx(math.exp(2.45) - math.exp(2.55))
    assert match.excluded["c"].startswith("counted in tokens, and the tokenizers differ")
    assert match.excluded["d"].startswith("counted in tokens, and the tokenizers are not known")
    assert match.warnings == ["depends on the tokenizer"]


def test_bits_per_byte_compare_across_tokenizers_but_not_over_other_texts(made):
    a = made("a", measured("text", range(10, 22), metric="bits", weights=[30] * 12), tokenizer="x")
    b = made("b", measured("text", range(12, 24), metric="bits", weights=[30] * 12), tokenizer="y")
    c = made("c", measured("text", range(12, 24), metric="bits", weights=[30] * 11 + [31]), tokenizer="y")
    match = only_match(compared(a, b, c), "text")
    assert [(item.name, item.verdict) for item in match.differences] == [("b", "worse")]
    assert match.excluded == {"c": "other items: 1 of the same name have another length"}


def test_held_out_text_of_two_corpora_is_compared_with_a_note(made):
    text = measured("held_out_text", range(10, 22), metric="bits_per_byte", weights=[30] * 12)
    match = only_match(compared(made("a", text, corpus="one"), made("b", text, corpus="two")), "held_out_text")
    assert "of several corpora" in match.notes[0]


def test_numbers_without_items_are_listed_with_their_intervals_and_no_verdict(made):
    def model(name: str, value: float) -> str:
        result = Result("generation", "self_bleu", value, "share of 1", value - 0.01, value + 0.01, 20, "lower")
        return made(name, measured("pairs", answers(10, 0.5, seed=1)), results=[result])

    match = only_match(compared(model("a", 0.2), model("b", 0.9)), "generation")
    assert (match.how, list(match.differences)) == ("none", [])
    assert (match.estimates["b"].low, match.estimates["b"].high) == (0.89, 0.91)
    assert match.notes == ["no items are kept for this number: it is listed without a verdict"]


def test_old_folders_without_items_are_compared_by_their_intervals(made):
    def model(name: str, value: float, *, with_items: bool) -> str:
        result = Result("held_out_text", "bits_per_byte", value, "bits per UTF-8 byte", value - 0.1, value + 0.1, 20, "lower")
        return made(name, results=[result], with_items=with_items)

    old, new = model("old", 2.0, with_items=False), model("new", 1.5, with_items=True)
    match = only_match(compared(old, new), "held_out_text")
    error = 0.1 / 1.95996 * math.sqrt(2)
    difference = match.differences[0]
    assert (match.how, difference.verdict) == ("unpaired", "better")
    assert (difference.low, difference.high) == pytest.approx((-0.5 - 1.95996 * error, -0.5 + 1.95996 * error), abs=1e-5)
    assert difference.p == pytest.approx(math.erfc(0.5 / error / math.sqrt(2)))
    assert match.notes[0].startswith("without pairing: the evaluation of old kept no items")


def test_five_items_are_too_few_for_a_verdict(made):
    match = only_match(compared(made("a", measured("pairs", [0.0] * 5)), made("b", measured("pairs", [1.0] * 5))))
    assert match.differences[0].verdict == "cannot be told apart"
    assert "only 5 items: too few for a verdict" in match.notes


def test_models_are_ranked_by_each_tasks_first_number(made):
    def model(name: str, right: float, seed: int) -> str:
        return made(name, measured("pairs", answers(300, right, seed=seed)), measured("pairs/part", answers(300, 0.5, seed=seed)))

    match = only_match(compared(model("a", 0.4, 1), model("b", 0.95, 2), model("c", 0.42, 3)))
    ranks = {name: (item.best_rank, item.worst_rank) for name, item in match.estimates.items()}
    assert ranks["b"] == (1, 1)
    assert ranks["a"] == ranks["c"] == (2, 3)
    assert match.is_whole


def test_another_baseline_can_be_chosen_by_name(made):
    given = [made(name, measured("pairs", answers(20, 0.5, seed=1))) for name in "abc"]
    comparison = compared(*given, baseline="b")
    assert (comparison.baseline, comparison.names) == ("b", ["b", "a", "c"])
    with pytest.raises(ConfigError, match="no model here is called 'x'") as error:
        compared(*given, baseline="x")
    assert "choose one of: a, b, c" in str(error.value)


def test_only_chosen_tasks_are_compared(made):
    given = [made(name, *(measured(task, answers(10, 0.5, seed=len(task))) for task in ("pairs", "pairs/x", "more"))) for name in "ab"]
    assert [match.task for match in compared(*given, only=["pairs*"]).matches] == ["pairs", "pairs/x"]
    assert [match.task for match in compared(*given, only=["*:accuracy"]).matches] == ["pairs", "pairs/x", "more"]
    with pytest.raises(EvaluationError, match="no result in common"):
        compared(*given, only=["nothing"])


def test_the_only_part_of_a_group_is_not_compared_again(made):
    def model(name: str, seed: int) -> str:
        values = answers(40, 0.5, seed=seed)
        return made(name, measured("pairs", values), measured("pairs/only", values), measured("pairs/other", values[:20]))

    comparison = compared(model("a", 1), model("b", 2))
    assert [match.task for match in comparison.matches] == ["pairs", "pairs/other"]
    assert (comparison.num_tests, comparison.num_hidden) == (2, 1)
