"""Estimated steps: near enough to what was timed to rank sizes by."""

import pytest

from rodna.models.config import ModelConfig
from rodna.plan.hardware import Speeds
from rodna.plan.rules import shape
from rodna.plan.speed import estimate_step

TWO_CORES = Speeds(fp32_flops=2.0e11, bf16_flops=8.78e11, bandwidth=4.67e10)
"""As measured on two quiet cores of a Zen 5 EPYC when the plans below were timed."""


@pytest.mark.parametrize(
    ("width", "num_layers", "batch_size", "tokens_per_second"), [(96, 4, 16, 32_953), (160, 4, 16, 24_414), (224, 5, 32, 12_456)]
)
def test_steps_on_a_cpu_take_about_what_they_are_estimated_to(width, num_layers, batch_size, tokens_per_second):
    """Plans of benchmarks/results/data_efficiency for Basque; 160 wide at its first timing."""
    model = ModelConfig.model_validate({**shape(width, num_layers, {}), "vocabulary_size": 5824})
    step = estimate_step(model, TWO_CORES, batch_size=batch_size, optimizer="muon")

    assert batch_size * model.context_length / step.seconds == pytest.approx(tokens_per_second, rel=0.2)
