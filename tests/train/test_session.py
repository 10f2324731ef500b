"""What a run's figures are compared with: the speeds of the machine that it runs on."""

from dataclasses import asdict

import pytest
import torch

from rodna.plan.hardware import describe_machine, named_machine, sheet_speeds
from rodna.train.session import peak_flops, speeds_here


@pytest.fixture(scope="module")
def machine():
    return describe_machine("cpu")


def test_the_speeds_that_the_plan_measured_here_are_used_again(machine):
    planned = asdict(machine) | {"fp32_flops": 1.5e11, "bf16_flops": 0.0}

    assert speeds_here(planned, machine) is planned
    assert peak_flops(planned, torch.float32) == 1.5e11


def test_a_data_sheet_and_another_machines_speeds_are_not_compared_with(machine):
    sheet = asdict(named_machine("H100")) | asdict(sheet_speeds("H100", mfu=0.4))
    elsewhere = asdict(machine) | {"name": "Another Processor", "fp32_flops": 1.0}
    for planned in (sheet, elsewhere):
        found = speeds_here(planned, machine)
        assert found["name"] == machine.name
        assert 1e8 < found["fp32_flops"] < 1e14
        assert peak_flops(found, torch.float32) == found["fp32_flops"]
