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
    step = estimate_step(model, TWO_CORES, batch_size=batch_size, train={})

    assert batch_size * model.context_length / step.seconds == pytest.approx(tokens_per_second, rel=0.2)


ZEN4 = Speeds(fp32_flops=1.6e11, bf16_flops=4.12e11, bandwidth=2.92e10)


@pytest.mark.parametrize(("train", "width", "num_layers", "timed"), [
    ({}, 96, 4, 0.189), ({"precision": "fp32"}, 96, 4, 0.280), ({"checkpoint_activations": True}, 96, 4, 0.224),
    ({}, 192, 5, 0.500), ({"precision": "fp32"}, 192, 5, 0.840), ({"checkpoint_activations": True}, 192, 5, 0.708),
])  # fmt: skip
def test_float32_and_recomputed_activations_take_the_time_that_they_took(train, width, num_layers, timed):
    """Timed on two cores of a Zen 4 EPYC as a plan does, in one run, batches of 16."""
    model = ModelConfig.model_validate({**shape(width, num_layers, {}), "vocabulary_size": 5824, "dropout": 0.1})

    assert estimate_step(model, ZEN4, batch_size=16, train=train).seconds == pytest.approx(timed, rel=0.2)


def test_on_a_gpu_float32_moves_twice_the_bytes_at_a_lower_peak():
    model = ModelConfig.model_validate({**shape(1024, 24, {}), "vocabulary_size": 32_000})
    speeds = Speeds(fp32_flops=6e13, bf16_flops=9e14, bandwidth=3e12, launch_seconds=6e-6)
    half, full = (estimate_step(model, speeds, batch_size=32, train={"precision": name}).seconds for name in ("auto", "fp32"))

    assert full > 5 * half
