"""What is timed for the plan is what the loop does, seen in the operations that torch is asked for."""

from collections import Counter

import pytest
from torch.utils._python_dispatch import TorchDispatchMode

from rodna.core.errors import TrainError
from rodna.plan.hardware import describe_machine
from rodna.train.timing import time_steps


class Operations(TorchDispatchMode):
    """Counts the operations that run within it, backward passes included."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.counts[operation.overloadpacket._qualified_op_name] += 1
        return operation(*args, **(kwargs or {}))


@pytest.fixture(scope="module")
def machine():
    return describe_machine("cpu")


@pytest.fixture
def time_changed(model_config, values, machine):
    """Time three steps of the tiny run with some settings changed; return the measured time and the operations."""

    def call(**changes):
        with Operations() as seen:
            measured = time_steps(model_config, values.model_dump() | changes, machine=machine, expected_seconds=1.0, seconds=0.0)
        return measured, seen.counts

    return call


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "normuon", "muon_orthogonalization": "polar_express", "averaging": "ema", "cautious_weight_decay": True},
        {"optimizer": "adamw", "averaging": "swa", "cautious_weight_decay": True, "embedding_weight_decay": 1.0},
        {"future_tokens": 3, "masked_share": 0.25},
    ],
)
def test_every_kind_of_run_can_be_timed(time_changed, changes):
    measured, _ = time_changed(**changes)

    assert 0 < measured.seconds < 30


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "normuon"},
        {"averaging": "swa"},
        {"cautious_weight_decay": True},
        {"future_tokens": 2},
        {"masked_share": 0.5},
        {"micro_batch_size": 1},
        {"checkpoint_activations": True},
    ],
)
def test_what_a_setting_adds_to_a_step_is_timed_too(time_changed, changes):
    _, plain = time_changed()
    _, changed = time_changed(**changes)

    assert changed.total() > plain.total()


def test_sharing_the_spelling_is_timed(time_changed):
    (_, plain), (_, shared) = time_changed(), time_changed(spelling_rate=4.0)

    # Once to gather the gradient of the marks, once to spread their change over the tokens, in each of three steps.
    assert (plain["aten::_embedding_bag_forward_only"], shared["aten::_embedding_bag_forward_only"]) == (0, 6)


def test_dropout_is_timed(time_changed):
    _, operations = time_changed()

    # A draw for the embedding and one for each of the two layers, in each of two micro-batches of three steps.
    assert operations["aten::random_"] == 3 * 2 * 3


def test_settings_that_cannot_train_cannot_be_timed_either(time_changed):
    with pytest.raises(TrainError, match="weights would not survive one step"):
        time_changed(weight_decay=1000.0)
