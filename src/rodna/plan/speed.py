"""How fast this machine trains: a few real steps, timed.

`StepTimer` is what a plan needs to know about training without importing it: the training room offers one that times its own loop,
and `time_plain_steps` here times an ordinary one.
"""

import time
from collections.abc import Mapping
from typing import Any, Protocol

from rodna.models.config import ModelConfig
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import DeviceKind, Machine, Speeds

TYPICAL_EFFICIENCY: dict[DeviceKind, float] = {"cpu": 0.45, "cuda": 0.35}
"""Share of the measured matrix-product speed that training reaches; the plan's own steps replace it."""


class StepTimer(Protocol):
    """Measures training on this machine."""

    def __call__(self, model: ModelConfig, train: Mapping[str, Any], *, machine: Machine) -> "StepTime":
        """Time a few optimizer steps of a model with these training settings (plain values, none `planned`)."""
        ...


class StepTime:
    """What a training step costs on this machine.

    Attributes:
        seconds: one optimizer step.
        startup_seconds: what has to be paid once before the first: compilation and the like.
    """

    def __init__(self, *, seconds: float, startup_seconds: float = 0.0) -> None:
        self.seconds, self.startup_seconds = seconds, startup_seconds


def estimate_tokens_per_second(model: ModelConfig, speeds: Speeds, *, device: DeviceKind, efficiency: float = 0.0) -> float:
    """Return the training speed that matrix products alone suggest."""
    peak = speeds.bf16_flops if speeds.bf16_pays else speeds.fp32_flops
    return (efficiency or TYPICAL_EFFICIENCY[device]) * peak / flops_per_token(model).model


def time_plain_steps(model: ModelConfig, train: Mapping[str, Any], *, machine: Machine, seconds: float = 2.0) -> StepTime:
    """Time ordinary uncompiled steps: the forward and backward of one micro-batch, scaled to the batch, and one AdamW update."""
    import torch
    import torch.nn.functional as F

    from rodna.models.decoder import Decoder

    device = torch.device(machine.device)
    dtype = torch.bfloat16 if machine.bf16 != "none" and train.get("precision", "auto") != "fp32" else torch.float32
    decoder = Decoder(model).initialize(seed=0).to(device)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=0.0, fused=True)
    micro, batch = int(train["micro_batch_size"]), int(train["batch_size"])
    tokens_BT = torch.randint(model.vocabulary_size, (micro, model.context_length), device=device)

    def forward_backward() -> None:
        hidden_BTD = decoder(tokens_BT, compute_dtype=dtype)
        F.cross_entropy(decoder.logits(hidden_BTD).float().flatten(0, 1), tokens_BT.flatten()).backward()

    def timed(work: Any) -> float:
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    startup = timed(forward_backward) + timed(optimizer.step)
    passes, updates = [timed(forward_backward)], [timed(optimizer.step)]
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        passes.append(timed(forward_backward))
        updates.append(timed(optimizer.step))
    return StepTime(seconds=batch / micro * _median(passes) + _median(updates), startup_seconds=startup)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
