"""How fast this machine trains: a few real steps, timed.

`StepTimer` is what a plan needs to know about training without importing it: the training room offers one that times its own loop.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from rodna.models.config import ModelConfig
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import DeviceKind, Machine, Speeds

TRAFFIC_BYTES, GPU_TRAFFIC_BYTES = 40.0, 4.0
"""Bytes moved for each feature, layer and token outside the products, forward and backward. docs/planning.md, How far to trust this, says
how near the estimates come with it on a CPU with compiled blocks."""
FP32_GAIN = 1.4
"""A CPU's float32 products reach so many times the share of their peak that bfloat16 ones do: timed on two Zen 4 cores, 96 and 192 wide."""

STEP_KERNELS, LAYER_KERNELS, MUON_KERNELS = 300, 50, 140
"""Kernels started in a step, for each layer, and for each layer by Muon: seven matrices, five iterations, four kernels each."""


COMPILE_PAYS_SECONDS = 90.0
"""A shorter training is not compiled: that takes 10 to 20 seconds, and saves a third of the time afterwards."""
STARTUP_SECONDS: dict[DeviceKind, float] = {"cpu": 20.0, "cuda": 60.0}
"""Of a compiled training whose steps are not timed. On a GPU an assumption, measured by nobody here."""


def will_compile(machine: Machine, train: Mapping[str, Any], *, seconds: float) -> bool:
    """Return whether training compiles the model: asked for, or left open and worth its time."""
    wish = train.get("compile", "auto")
    return bool(machine.compiler) and seconds >= COMPILE_PAYS_SECONDS if wish == "auto" else wish == "on"


class StepTimer(Protocol):
    """Measures training on this machine."""

    def __call__(self, model: ModelConfig, train: Mapping[str, Any], *, machine: Machine, expected_seconds: float) -> "StepTime":
        """Time a few optimizer steps of a model with these training settings (plain values, none `planned`).

        `expected_seconds` is about how long the whole training will take: it decides whether compiling pays.
        """
        ...


class StepTime:
    """What a training step costs on this machine.

    Attributes:
        seconds: one optimizer step.
        startup_seconds: what has to be paid once before the first: compilation and the like.
    """

    def __init__(self, *, seconds: float, startup_seconds: float = 0.0) -> None:
        self.seconds, self.startup_seconds = seconds, startup_seconds


def estimate_step(model: ModelConfig, speeds: Speeds, *, batch_size: int, train: Mapping[str, Any]) -> StepTime:
    """Estimate a step from the machine's arithmetic and memory speeds: good enough to rank sizes, not to promise a time.

    Args:
        model: the decoder.
        speeds: of the machine.
        batch_size: sequences of a step.
        train: settings as far as they are known: `optimizer`, `precision` and `checkpoint_activations` count.
    """
    optimizer, in_bf16 = train.get("optimizer", "muon"), speeds.bf16_pays
    if train.get("precision", "auto") != "auto":
        in_bf16 = train["precision"] == "bf16"
    again = train.get("checkpoint_activations", False) is True
    peak = (speeds.bf16_flops if in_bf16 else speeds.fp32_flops) * speeds.efficiency
    if not in_bf16 and not speeds.launch_seconds:
        peak *= FP32_GAIN
    tokens = batch_size * model.context_length
    count = flops_per_token(model, checkpoint_activations=again)
    arithmetic = tokens * (count.model + count.recomputation) / peak
    layers = len(model.layer_order) * (6 * model.width + 3 * model.ffn_width)
    # A forward pass of the layers' is a third of what moves.
    features = layers * (4 / 3 if again else 1.0) + 3 * model.vocabulary_size / 2
    moved = TRAFFIC_BYTES if not speeds.launch_seconds else GPU_TRAFFIC_BYTES if in_bf16 else 2 * GPU_TRAFFIC_BYTES
    kernels = STEP_KERNELS + len(model.layer_order) * LAYER_KERNELS + (0 if optimizer == "adamw" else model.num_layers * MUON_KERNELS)
    return StepTime(
        seconds=kernels * speeds.launch_seconds + arithmetic + tokens * features * moved / speeds.bandwidth
        + _update_seconds(model, speeds, peak, optimizer=optimizer)
    )  # fmt: skip


def _update_seconds(model: ModelConfig, speeds: Speeds, peak: float, *, optimizer: str) -> float:
    """Return the time of the optimizer's update: reading and writing every state, and Muon's products."""
    seconds = model.num_parameters * 40 / speeds.bandwidth
    if optimizer != "adamw":
        # Newton-Schulz: five iterations of three products, on each matrix with its shorter side first.
        short, long = model.width, model.ffn_width
        products = 4 * 3 * short**3 + 3 * (2 * short * short * long + short**3)
        seconds += 5 * 2 * products * model.num_layers / peak
    return seconds
