"""Every token of a document is scored exactly once, with as much context as the stride promises."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokens_in_memory import END, tokens_of

from rodna.core.errors import EvaluationError
from rodna.data.batches import IGNORE
from rodna.data.windows import evaluation_windows

lengths = st.lists(st.integers(0, 60), max_size=8)


@given(lengths=lengths, context_length=st.integers(1, 20), data=st.data(), include_end=st.booleans(), budget=st.integers(1, 100))
@settings(deadline=None)
def test_every_token_is_scored_once_with_the_context_promised(lengths, context_length, data, include_end, budget):
    stride = data.draw(st.integers(1, context_length))
    tokens = tokens_of(lengths)
    windows = evaluation_windows(tokens, context_length=context_length, stride=stride, include_end=include_end)
    scored: list[list[int]] = [[] for _ in lengths]
    num_windows = 0
    for inputs_BT, targets_BT, document_B in windows.batches(budget):
        assert inputs_BT.shape[1] <= context_length
        assert len(inputs_BT) == 1 or inputs_BT.numel() <= budget
        num_windows += len(inputs_BT)
        for inputs, targets, document in zip(inputs_BT.tolist(), targets_BT.tolist(), document_B.tolist(), strict=True):
            own = [*tokens.tokens[tokens.offsets[document] : tokens.offsets[document + 1]].tolist()]
            for position, target in enumerate(targets):
                if target == IGNORE:
                    continue
                place = len(own) - 1 if target == END else own.index(target)
                before = [END, *own[:place]]
                # The input is the text before the target, and nothing of another document.
                assert inputs[: position + 1] == before[len(before) - position - 1 :]
                assert position + 1 >= min(context_length - stride + 1, len(before))
                scored[document].append(place)
    assert [sorted(places) for places in scored] == [list(range(length + include_end)) for length in lengths]
    assert windows.num_windows == num_windows
    assert windows.num_scored == sum(map(len, scored))


def test_windows_come_longest_first_and_padded_little():
    windows = evaluation_windows(tokens_of([3, 100, 40, 5]), context_length=64, stride=32)
    assert [tuple(batch.inputs_BT.shape) for batch in windows.batches(64)] == [(1, 64)] * 4 + [(2, 32)]


@pytest.mark.parametrize("stride", [0, 9])
def test_a_stride_out_of_range_is_refused(stride):
    with pytest.raises(EvaluationError, match=rf"must be from 1 to the context of 8 tokens, not {stride}(.|\n)*eval\.stride(.|\n)*fix: "):
        evaluation_windows(tokens_of([3]), context_length=8, stride=stride)
