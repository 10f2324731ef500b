"""Items become numbers with intervals, and come back from Parquet as they were."""

import json
import math

import numpy as np
import pytest

from rodna.core.errors import EvaluationError
from rodna.evals.bootstrap import ratio_interval
from rodna.evals.measure import all_results, prompt_digest, read_items, result_of, write_items
from rodna.evals.result import Evaluation, Measurement


def measurement(numerator, denominator=None, **changes) -> Measurement:
    ids = [f"ід{number}" for number in range(len(numerator))]
    denominator = np.ones(len(numerator)) if denominator is None else np.array(denominator, dtype=float)
    names = {"task": "quiz", "metric": "accuracy", "unit": "share of items", "direction": "higher", "ids": ids}
    return Measurement(**{**names, "numerator_N": np.array(numerator, dtype=float), "denominator_N": denominator, **changes})


def slow_interval(numerator, denominator, groups, *, samples: int, seed: int) -> tuple[float, float]:
    """Draw groups one by one, sum their items one by one."""
    random = np.random.default_rng(seed)
    names = sorted(set(groups))
    ratios = []
    for _ in range(samples):
        drawn = [names[place] for place in random.integers(0, len(names), len(names))]
        items = [place for name in drawn for place, other in enumerate(groups) if other == name]
        ratios.append(sum(numerator[place] for place in items) / sum(denominator[place] for place in items))
    return tuple(np.quantile(ratios, (0.025, 0.975)))


def test_the_value_is_the_ratio_of_the_sums():
    found = result_of(measurement([3, 4, 5], [10, 20, 10], task_version=4, prompt_digest="abc"), samples=200, seed=7)
    assert found.value == pytest.approx(12 / 40)
    assert (found.n, found.task_version, found.prompt_digest, found.seed) == (3, 4, "abc", 7)
    assert found.low <= found.value <= found.high


def test_intervals_of_many_like_items_are_those_of_drawing_them_one_by_one():
    right = np.random.default_rng(1).choice([0, 0.5, 1], p=[0.3, 0.1, 0.6], size=400)
    fast = result_of(measurement(right), samples=20_000, seed=0)
    slow = ratio_interval(right, np.ones(400), samples=20_000, seed=0)
    assert (fast.low, fast.high) == pytest.approx(slow, abs=0.004)


def test_items_that_differ_are_drawn_as_documents_are():
    numbers = np.random.default_rng(2).normal(5, 1, size=80)
    sizes = np.random.default_rng(3).integers(1, 9, size=80)
    found = result_of(measurement(numbers, sizes), samples=300, seed=5)
    assert (found.low, found.high) == ratio_interval(numbers, sizes, samples=300, seed=5)


def test_groups_are_drawn_as_a_whole():
    right = np.array([1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1] * 2, dtype=float)
    groups = [f"g{place // 4}" for place in range(32)]
    found = result_of(measurement(right, groups=groups), samples=6000, seed=0)
    slow = slow_interval(right, np.ones(32), groups, samples=6000, seed=1)
    alone = result_of(measurement(right), samples=6000, seed=0)
    assert (found.low, found.high) == pytest.approx(slow, abs=0.03)
    assert found.high - found.low > 1.4 * (alone.high - alone.low)
    assert found.detail["num_groups"] == 8
    assert found.value == alone.value


def test_a_perplexity_is_the_exponential_of_the_mean_and_of_its_interval():
    nats = np.random.default_rng(0).normal(20, 2, size=30)
    plain = result_of(measurement(nats, np.full(30, 4)), samples=200, seed=0)
    found = result_of(measurement(nats, np.full(30, 4), scale="perplexity"), samples=200, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx([math.exp(number) for number in (plain.value, plain.low, plain.high)])
    assert found.detail["scale"] == "perplexity"


def test_seen_and_unseen_items_are_counted_apart():
    item = measurement([1, 1, 1, 0, 0, 1], task="quiz")
    found = result_of(item, samples=200, seed=0, seen={"ід0", "ід1", "elsewhere"})
    alone = result_of(measurement([1, 0, 0, 1]), samples=200, seed=0)
    assert found.value == pytest.approx(4 / 6)
    assert found.detail["seen"] == {"n": 2, "value": 1.0, "low": 1.0, "high": 1.0}
    assert found.detail["unseen"] == {"n": 4, "value": alone.value, "low": alone.low, "high": alone.high}
    assert "seen" not in result_of(item, samples=200, seed=0).detail


def test_where_every_item_was_seen_the_unseen_part_is_empty_not_zero():
    found = result_of(measurement([1, 0]), samples=200, seed=0, seen={"ід0", "ід1"})
    assert found.detail["unseen"] == {"n": 0, "value": None, "low": None, "high": None}
    json.dumps(found.detail, allow_nan=False)


@pytest.mark.parametrize(("numerator", "denominator"), [([], []), ([1.0, 2.0], [0.0, 0.0])])
def test_nothing_to_divide_by_is_an_error(numerator, denominator):
    with pytest.raises(EvaluationError, match=r"nothing was measured: accuracy has \d items that weigh nothing\n  where: quiz\n  fix:"):
        result_of(measurement(numerator, denominator), samples=100, seed=0)


def test_a_measurement_becomes_a_result_once():
    own = result_of(measurement([1, 1, 0]), samples=100, seed=9)
    made = all_results(Evaluation([own], {}, [measurement([1, 1, 0]), measurement([0, 1], metric="other")]), samples=100, seed=0)
    assert [(item.metric, item.seed) for item in made] == [("accuracy", 9), ("other", 0)]


def test_items_come_back_from_parquet_in_order(tmp_path):
    first = measurement([0.1 + 0.2, 1, 0], [3, 1, 1], groups=["a", "b", "a"])
    second = measurement([2, 5], task="тэкст", metric="bits_per_byte")
    write_items(tmp_path / "items.parquet", [first, second], {"quiz": {"ід1"}})
    found = read_items(tmp_path / "items.parquet")
    assert list(found) == [("quiz", "accuracy"), ("тэкст", "bits_per_byte")]
    items = found["quiz", "accuracy"]
    assert (items.ids, items.groups, items.seen_N.tolist()) == (["ід0", "ід1", "ід2"], ["a", "b", "a"], [False, True, False])
    assert (items.numerator_N.tolist(), items.denominator_N.tolist()) == ([0.1 + 0.2, 1, 0], [3, 1, 1])
    assert found["тэкст", "bits_per_byte"].groups == []
    assert not any(found["тэкст", "bits_per_byte"].seen_N)


def test_no_items_at_all_are_a_file_too(tmp_path):
    write_items(tmp_path / "items.parquet", [], {})
    assert read_items(tmp_path / "items.parquet") == {}


@pytest.mark.parametrize("content", [b"no parquet", None])
def test_damaged_or_missing_items_are_reported_with_the_file(tmp_path, content):
    if content is not None:
        (tmp_path / "items.parquet").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"(?s)cannot read the items: .*items.parquet\n  fix:   delete the evaluation's folder"):
        read_items(tmp_path / "items.parquet")


def test_a_prompt_digest_tells_templates_versions_and_kinds_apart_and_is_always_the_same():
    digests = {prompt_digest("a", 1, template="x"), prompt_digest("a", 2, template="x"), prompt_digest("b", 1, template="x"),
               prompt_digest("a", 1, template="y"), prompt_digest("a", 1)}  # fmt: skip
    assert len(digests) == 5
    assert prompt_digest("a", 1, template="x", shots=2) == prompt_digest("a", 1, shots=2, template="x")
