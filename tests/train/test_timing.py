import pytest

from rodna.core.errors import TrainError
from rodna.plan.hardware import describe_machine
from rodna.train import timing
from rodna.train.timing import time_steps


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(timing, "MEASURED_SECONDS", 0.0)
    return describe_machine("cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": "normuon", "muon_orthogonalization": "polar_express", "averaging": "ema", "cautious_weight_decay": True},
        {"optimizer": "adamw", "averaging": "swa", "cautious_weight_decay": True, "embedding_weight_decay": 1.0},
        {"future_tokens": 3, "masked_share": 0.25},
    ],
)
def test_every_kind_of_run_can_be_timed(model_config, values, machine, changes):
    measured = time_steps(model_config, values.model_dump() | changes, machine=machine, expected_seconds=1.0)

    assert 0 < measured.seconds < 30


def test_what_is_timed_is_the_objective_optimizer_and_average_of_the_settings(model_config, values, machine, monkeypatch):
    seen = {}

    def watch(name):
        real = getattr(timing, name)

        def call(*arguments, **keywords):
            seen[name] = real(*arguments, **keywords)
            return seen[name]

        monkeypatch.setattr(timing, name, call)

    for name in ("build_objective", "build_optimizers", "WeightAverage", "Decoder"):
        watch(name)
    settings = values.model_dump() | {"optimizer": "normuon", "averaging": "swa", "future_tokens": 2}
    time_steps(model_config, settings, machine=machine, expected_seconds=1.0)
    muon = seen["build_optimizers"][0]

    assert all("row_moment" in state for state in muon.state.values())
    assert len(muon.state) == 14
    assert seen["WeightAverage"].tensors
    assert type(seen["build_objective"]).__name__ == "SeveralTargets"
    assert seen["Decoder"].training


def test_settings_that_cannot_train_cannot_be_timed_either(model_config, values, machine):
    with pytest.raises(TrainError, match="weights would not survive one step"):
        time_steps(model_config, values.model_dump() | {"weight_decay": 1000.0}, machine=machine)
