"""Curricula change what comes first, and nothing else: batch n stays a function of n, every token comes once an epoch."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokens_in_memory import END, tokens_of

from rodna.core.errors import TrainError
from rodna.data.batches import Batches
from rodna.data.curriculum import NUM_BUCKETS, make_batches, rows_at, short_first

lengths = st.lists(st.integers(0, 30), min_size=1, max_size=40)
sizes = st.integers(1, 6)
quarters = st.integers(1, 10)
curricula = st.sampled_from(["none", "short_first", "context_grows"])
lengths_of_training = st.integers(1, 40)


@dataclass(frozen=True)
class Values:
    """The settings that batches depend on."""

    curriculum: str
    seed: int = 1
    steps: int = 8
    batch_size: int = 2


def targets_of(batches: Batches, num_batches: int) -> np.ndarray:
    return np.concatenate([batches.batch(n).targets_BT.numpy().ravel() for n in range(num_batches)])


@given(lengths=lengths, curriculum=curricula, batch_size=sizes, quarter=quarters, steps=lengths_of_training, seed=st.integers(0, 3))
@settings(deadline=None)
def test_every_token_is_a_target_exactly_once_an_epoch(lengths, curriculum, batch_size, quarter, steps, seed):
    tokens = tokens_of(lengths)
    values = Values(curriculum, seed=seed, steps=steps, batch_size=batch_size)
    batches = make_batches(tokens, values, 4 * quarter)
    # Windows start in one epoch each: those of the first two hold every token twice, but for the ends that reach into the next one.
    num_windows = -(-2 * tokens.num_tokens // (4 * quarter))
    seen = targets_of(batches, -(-num_windows // batch_size))[: num_windows * 4 * quarter]
    counts = np.bincount(seen, minlength=tokens.vocabulary_size)[1:]
    surplus = num_windows * 4 * quarter - 2 * tokens.num_tokens
    assert np.all(counts >= 2)
    assert (counts - 2).sum() <= surplus < 4 * quarter


@given(lengths=lengths, curriculum=curricula, batch_size=sizes, quarter=quarters, order=st.permutations(range(8)))
@settings(deadline=None)
def test_the_same_batch_comes_in_any_order_of_access(lengths, curriculum, batch_size, quarter, order):
    def make() -> Batches:
        return make_batches(tokens_of(lengths), Values(curriculum, batch_size=batch_size), 4 * quarter)

    straight, jumping = make(), make()
    expected = [straight.batch(n) for n in range(8)]
    for n in order:
        for ours, theirs in zip(jumping.batch(n), expected[n], strict=True):
            assert torch.equal(ours, theirs)


@given(lengths=lengths, curriculum=curricula, share=st.integers(1, 3), world_size=st.integers(1, 4), quarter=quarters, n=st.integers(0, 8))
@settings(deadline=None)
def test_processes_together_see_the_batch_of_one(lengths, curriculum, share, world_size, quarter, n):
    batches = make_batches(tokens_of(lengths), Values(curriculum, batch_size=share * world_size), 4 * quarter)
    parts = [batches.batch(n, rank=rank, world_size=world_size) for rank in range(world_size)]
    for position, whole in enumerate(batches.batch(n)):
        assert torch.equal(torch.cat([part[position] for part in parts]), whole)


@given(lengths=lengths, curriculum=curricula, quarter=quarters, n=st.integers(0, 8))
@settings(deadline=None)
def test_every_target_follows_its_input_in_the_text(lengths, curriculum, quarter, n):
    inputs_BT, targets_BT, document_BT, slot_B = make_batches(tokens_of(lengths), Values(curriculum), 4 * quarter).batch(n)
    assert torch.equal(inputs_BT[:, 1:], targets_BT[:, :-1])
    inside = (inputs_BT != END) & (targets_BT != END)
    assert torch.all(targets_BT[inside] == inputs_BT[inside] + 1)
    assert torch.equal(document_BT[:, 1:] - document_BT[:, :-1] == 1, inputs_BT[:, 1:] == END)
    assert torch.all(slot_B // 2 == n)


@given(lengths=lengths, quarter=quarters, steps=lengths_of_training, seed=st.integers(0, 3))
@settings(deadline=None)
def test_growing_context_learns_in_every_step_the_same_text_as_without(lengths, quarter, steps, seed):
    plain, growing = (
        make_batches(tokens_of(lengths), Values(name, seed=seed, steps=steps), 4 * quarter) for name in ("none", "context_grows")
    )
    for n in range(steps):
        for ours, theirs in zip(growing.batch(n)[:3], plain.batch(n)[:3], strict=True):
            assert torch.equal(ours.flatten(), theirs.flatten())


def test_context_grows_from_a_quarter_over_a_half_to_the_whole_and_stays_there():
    batches = make_batches(tokens_of([100]), Values("context_grows", steps=20), 16)
    shapes = [tuple(batches.batch(n).inputs_BT.shape) for n in range(25)]
    assert shapes == [(8, 4)] * 5 + [(4, 8)] * 5 + [(2, 16)] * 15


@given(steps=st.integers(1, 5000))
def test_a_training_has_at_most_three_shapes_and_its_second_half_is_whole(steps):
    rows = [rows_at(n, steps=steps) for n in range(steps)]
    assert rows == sorted(rows, reverse=True)
    assert set(rows) <= {4, 2, 1}
    assert all(count == 1 for count in rows[round(steps / 2) :])


def test_rows_cut_from_one_window_share_its_slot():
    batches = make_batches(tokens_of([100]), Values("context_grows", steps=100), 8)
    assert batches.batch(3).slot_B.tolist() == [6, 6, 6, 6, 7, 7, 7, 7]


def test_a_context_that_cannot_be_cut_is_refused_with_one_that_can():
    with pytest.raises(
        TrainError, match=r"context of 30 tokens cannot be cut in 4 equal rows(.|\n)*context_length to a multiple of 4, e.g. 32"
    ):
        make_batches(tokens_of([100]), Values("context_grows"), 30)


def lengths_met(curriculum: str, *, epoch: int) -> np.ndarray:
    """Return the mean length of the documents met in each tenth of an epoch, of 400 documents of 1 to 60 tokens."""
    chosen = np.random.default_rng(0).integers(1, 60, 400)
    tokens = tokens_of(chosen.tolist())
    batches = make_batches(tokens, Values(curriculum, batch_size=4), 8)
    length_of = np.repeat(chosen, chosen)
    per_epoch = tokens.num_tokens // batches.tokens_per_batch
    found = targets_of(batches, (epoch + 1) * per_epoch).reshape(epoch + 1, -1)[epoch]
    return np.array([length_of[part[part != END] - 1].mean() for part in np.array_split(found, 10)])


def test_short_documents_come_first_in_the_first_epoch_and_anywhere_in_the_second():
    first, second = lengths_met("short_first", epoch=0), lengths_met("short_first", epoch=1)
    assert np.all(np.diff(first) > 0)
    assert first[0] < 25
    assert first[-1] > 55
    assert np.ptp(second) < 10
    assert np.ptp(lengths_met("none", epoch=0)) < 10


@given(lengths=lengths, num_windows=st.integers(0, 60), seed=st.integers(0, 5), epoch=st.integers(0, 2))
def test_short_first_is_an_order_of_all_documents_and_windows(lengths, num_windows, seed, epoch):
    sizes_D = np.array(lengths) + 1
    documents_D, windows = short_first(sizes_D, num_windows, seed=seed, epoch=epoch)
    assert sorted(documents_D.tolist()) == list(range(len(lengths)))
    assert sorted(windows.tolist()) == list(range(num_windows))


def test_neighbours_of_the_first_epoch_are_shuffled_and_other_seeds_have_other_orders():
    sizes_D = np.arange(1, 2001)
    orders = [short_first(sizes_D, 1000, seed=seed, epoch=0) for seed in (0, 1)]
    for documents_D, windows in orders:
        assert np.any(np.diff(documents_D) < 0)
        assert np.abs(windows - np.arange(1000)).max() < 2 * 1000 / NUM_BUCKETS
        starts = np.cumsum(sizes_D[documents_D])
        # Where a document begins differs from where it would in the sorted text by no more than two buckets.
        assert np.abs(starts[np.argsort(documents_D)] - np.cumsum(sizes_D)).max() < 2 * sizes_D.sum() / NUM_BUCKETS
    assert orders[0][0].tolist() != orders[1][0].tolist()


def test_without_a_curriculum_batches_are_those_of_the_settings_seed_or_of_one_for_the_order():
    tokens = tokens_of([9] * 30)
    expected = {seed: Batches(tokens, seed=seed, batch_size=2, context_length=8).batch(5) for seed in (1, 7)}
    assert torch.equal(make_batches(tokens, Values("none", seed=7), 8).batch(5).targets_BT, expected[7].targets_BT)
    assert torch.equal(make_batches(tokens, Values("none", seed=7), 8, order_seed=1).batch(5).targets_BT, expected[1].targets_BT)


def test_the_order_does_not_change_between_versions():
    batches = make_batches(tokens_of([3, 0, 7, 1, 20, 2]), Values("short_first"), 4)
    assert batches.batch(0).targets_BT.tolist() == [[11, 0, 0, 32], [33, 0, 1, 2]]
