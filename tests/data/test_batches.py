"""Batch n depends on the tokens, the seed and n alone; every token is a target exactly once an epoch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokens_in_memory import END, tokens_of

from rodna.core.errors import TrainError
from rodna.data.batches import Batches

lengths = st.lists(st.integers(0, 30), min_size=1, max_size=12)
sizes = st.integers(1, 6)
contexts = st.integers(1, 40)


def stream_of(batches: Batches, num_batches: int) -> np.ndarray:
    return np.concatenate([batches.batch(n).targets_BT.numpy().ravel() for n in range(num_batches)])


@given(lengths=lengths, batch_size=sizes, context_length=contexts, seed=st.integers(0, 5), epochs=st.integers(1, 3))
@settings(deadline=None)
def test_every_token_is_a_target_exactly_once_an_epoch(lengths, batch_size, context_length, seed, epochs):
    tokens = tokens_of(lengths)
    batches = Batches(tokens, seed=seed, batch_size=batch_size, context_length=context_length)
    seen = stream_of(batches, int(np.ceil(epochs * tokens.num_tokens / batches.tokens_per_batch)) + 1)
    counts = np.bincount(seen, minlength=tokens.vocabulary_size)[1:]
    # What is more than the whole epochs belongs to the batches that run into the next one.
    surplus = len(seen) / tokens.num_tokens
    assert counts.min(initial=epochs) >= epochs or len(counts) == 0
    assert counts.max(initial=0) <= int(np.ceil(surplus)) + 1
    whole = Batches(tokens, seed=seed, batch_size=1, context_length=tokens.num_tokens)
    for epoch in range(epochs):
        assert sorted(whole.batch(epoch).targets_BT.ravel().tolist()) == sorted(tokens.tokens.tolist())


@given(lengths=lengths, batch_size=sizes, context_length=contexts, order=st.permutations(range(6)))
@settings(deadline=None)
def test_the_same_batch_comes_in_any_order_of_access(lengths, batch_size, context_length, order):
    def make() -> Batches:
        return Batches(tokens_of(lengths), seed=3, batch_size=batch_size, context_length=context_length)

    straight, jumping = make(), make()
    expected = [straight.batch(n) for n in range(6)]
    for n in order:
        for ours, theirs in zip(jumping.batch(n), expected[n], strict=True):
            assert torch.equal(ours, theirs)


@given(lengths=lengths, share=st.integers(1, 3), world_size=st.integers(1, 4), context_length=contexts, n=st.integers(0, 8))
@settings(deadline=None)
def test_processes_together_see_the_batch_of_one(lengths, share, world_size, context_length, n):
    batches = Batches(tokens_of(lengths), seed=1, batch_size=share * world_size, context_length=context_length)
    parts = [batches.batch(n, rank=rank, world_size=world_size) for rank in range(world_size)]
    for position, whole in enumerate(batches.batch(n)):
        assert torch.equal(torch.cat([part[position] for part in parts]), whole)


@given(lengths=lengths, context_length=contexts, n=st.integers(0, 8))
@settings(deadline=None)
def test_every_target_follows_its_input_in_the_text(lengths, context_length, n):
    inputs_BT, targets_BT, document_BT, slot_B = Batches(tokens_of(lengths), seed=1, batch_size=3, context_length=context_length).batch(n)
    assert slot_B.tolist() == [3 * n, 3 * n + 1, 3 * n + 2]
    assert torch.equal(inputs_BT[:, 1:], targets_BT[:, :-1])
    # Tokens count up within a document, so what follows a token is the next number or the end, and what precedes a start is an end.
    inside = (inputs_BT != END) & (targets_BT != END)
    assert torch.all(targets_BT[inside] == inputs_BT[inside] + 1)
    steps_BT = document_BT[:, 1:] - document_BT[:, :-1]
    assert torch.equal(steps_BT == 1, inputs_BT[:, 1:] == END)
    assert set(steps_BT.ravel().tolist()) <= {0, 1}


def test_a_batch_is_of_64_bit_integers_in_the_shape_asked_for():
    batch = Batches(tokens_of([9, 9]), seed=0, batch_size=3, context_length=4).batch(0)
    assert [tuple(part.shape) for part in batch] == [(3, 4)] * 3 + [(3,)]
    assert {part.dtype for part in batch} == {torch.int64}


def test_every_epoch_and_every_seed_has_its_own_order():
    tokens = tokens_of([5] * 40)
    first = Batches(tokens, seed=0, batch_size=1, context_length=tokens.num_tokens)
    other = Batches(tokens, seed=1, batch_size=1, context_length=tokens.num_tokens)
    orders = {tuple(batches.batch(n).targets_BT.ravel().tolist()) for batches in (first, other) for n in range(3)}
    assert len(orders) == 6


def test_windows_of_one_long_document_are_spread_over_the_epoch():
    batches = Batches(tokens_of([4000]), seed=0, batch_size=8, context_length=8)
    starts = batches.batch(0).targets_BT[:, 0]
    assert torch.diff(starts).abs().max() > 64


def test_the_order_does_not_change_between_versions():
    batches = Batches(tokens_of([3, 0, 7, 1, 20, 2]), seed=1, batch_size=2, context_length=5)
    assert batches.batch(0).targets_BT.tolist() == [[19, 20, 21, 22, 23], [32, 33, 0, 1, 2]]
    assert batches.batch(7).targets_BT.tolist() == [[7, 8, 9, 10, 0], [15, 16, 17, 18, 19]]


def test_batches_are_counted_in_epochs():
    batches = Batches(tokens_of([9, 9]), seed=0, batch_size=2, context_length=4)
    assert batches.tokens_per_batch == 8
    assert [batches.epochs(n) for n in (0, 1, 5, 6)] == [0, 8 / 20, 2, 48 / 20]


@given(texts=st.lists(lengths, min_size=1, max_size=3), batch_size=sizes, context_length=contexts)
@settings(deadline=None)
def test_epochs_may_read_texts_of_other_lengths(texts, batch_size, context_length):
    numbers = [tokens_of(of_epoch) for of_epoch in texts]
    asked = []

    def text(epoch, start):
        asked.append((epoch, start))
        return numbers[epoch % len(texts)]

    batches = Batches(numbers[0], seed=1, batch_size=batch_size, context_length=context_length, epoch_text=text)
    starts = np.cumsum([0, *(numbers[epoch % len(texts)].num_tokens for epoch in range(4))])
    seen = stream_of(batches, -(-int(starts[-1]) // batches.tokens_per_batch) + 1)
    # Windows keep to their epoch but for the one that runs into the next: counted where each epoch has whole windows.
    if context_length == 1:
        for epoch in range(4):
            found = seen[starts[epoch] : starts[epoch + 1]]
            assert sorted(found.tolist()) == sorted(numbers[epoch % len(texts)].tokens.tolist())
    assert set(asked) >= {(epoch, int(starts[epoch])) for epoch in range(4)}
    for n in range(int(starts[-1]) // batches.tokens_per_batch + 1):
        assert batches.epochs(n) == pytest.approx(np.interp(n * batches.tokens_per_batch, starts, range(5)))


def test_no_tokens_cannot_be_trained_on():
    with pytest.raises(TrainError, match=r"nothing to train on: the split has no tokens(.|\n)*fix: "):
        Batches(tokens_of([]), seed=0, batch_size=1, context_length=1)


def test_a_batch_that_cannot_be_shared_evenly_is_refused():
    batches = Batches(tokens_of([9]), seed=0, batch_size=4, context_length=4)
    with pytest.raises(TrainError, match=r"4 windows cannot be shared evenly by 3 processes(.|\n)*multiple of 3"):
        batches.batch(0, rank=0, world_size=3)


def test_batches_and_processes_that_do_not_exist_are_refused():
    batches = Batches(tokens_of([9]), seed=0, batch_size=4, context_length=4)
    with pytest.raises(TrainError, match="no batch -1 for process 0 of 1"):
        batches.batch(-1)
    with pytest.raises(TrainError, match="no batch 0 for process 2 of 2"):
        batches.batch(0, rank=2, world_size=2)
    with pytest.raises(TrainError, match="no batch can have 0 windows of 4 tokens"):
        Batches(tokens_of([9]), seed=0, batch_size=0, context_length=4)
