"""The check of a plan's estimates: it times what the product can train."""

from benchmarks.plan_check import check_steps

from rodna.plan.hardware import Speeds
from rodna.plan.speed import StepTime
from rodna.train.config import TrainValues


def test_the_steps_that_are_timed_are_of_settings_that_can_be_trained(monkeypatch, capsys):
    timed = []

    def timer(model, train, *, machine, expected_seconds):
        timed.append((model.width, TrainValues.model_validate(train)))
        return StepTime(seconds=0.1)

    monkeypatch.setattr("rodna.train.timing.time_steps", timer)
    monkeypatch.setattr("rodna.plan.hardware.measure_speeds", lambda _: Speeds(2e11, 9e11, 4e10))
    check_steps()

    assert [width for width, _ in timed] == [64, 96, 128, 160, 224, 256, 96, 96, 192, 192]
    assert all(values.batch_size == 16 for _, values in timed)
    changed = [(values.precision, values.checkpoint_activations) for _, values in timed]
    assert changed == [("auto", False)] * 6 + [("fp32", False), ("auto", True)] * 2
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(timed)
