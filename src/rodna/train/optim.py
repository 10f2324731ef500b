"""Optimizers: Muon for the matrices inside the blocks, AdamW for everything else, or AdamW for all.

torch's own Muon is used. Its update is scaled to the size of AdamW's (`match_rms_adamw`), so learning rates of both are of one kind.
References: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025 (Moonlight), arXiv:2502.16982, section 2.2.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rodna.core.errors import TrainError
from rodna.models.decoder import Decoder
from rodna.train.config import TrainValues

Optimizers = list[torch.optim.Optimizer]


def build_optimizers(decoder: Decoder, values: TrainValues) -> Optimizers:
    """Return the optimizers that together update every parameter once.

    Weight decay is for matrices: embeddings see few updates a row, vectors hold scales and offsets.
    """
    matrices = {name: p for name, p in decoder.named_parameters() if p.ndim == 2 and name.startswith("blocks.")}
    others = [p for name, p in decoder.named_parameters() if name not in matrices]
    if values.optimizer == "muon":
        muon = torch.optim.Muon(
            list(matrices.values()), lr=values.learning_rate, weight_decay=values.weight_decay, momentum=values.muon_momentum,
            adjust_lr_fn="match_rms_adamw",
        )  # fmt: skip
        return _with_peaks([muon, _adamw([{"params": others, "weight_decay": 0.0}], values.adam_learning_rate, values)])
    groups = [{"params": list(matrices.values()), "weight_decay": values.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return _with_peaks([_adamw(groups, values.learning_rate, values)])


def _adamw(groups: list[dict[str, Any]], learning_rate: float, values: TrainValues) -> torch.optim.AdamW:
    return torch.optim.AdamW(groups, lr=learning_rate, betas=values.adam_betas, eps=1e-8, fused=True)


def _with_peaks(optimizers: Optimizers) -> Optimizers:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]
    return optimizers


def update(decoder: Decoder, optimizers: Optimizers, *, factor: float, clip_norm: float) -> Tensor:
    """Clip the gradient, make one update at `factor` of the peak learning rates, and drop the gradient.

    Returns:
        The gradient's norm before clipping, as a tensor: reading it would wait for the device.
    """
    norm = nn.utils.clip_grad_norm_(decoder.parameters(), clip_norm if clip_norm else float("inf"))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = factor * group["peak_lr"]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return norm


def optimizer_tensors(decoder: Decoder, optimizers: Optimizers) -> dict[str, Tensor]:
    """Return all optimizer state by names that survive a restart: `<parameter>:<what>`."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in decoder.named_parameters()}
    return {
        f"{names[parameter]}:{key}": torch.as_tensor(value)
        for optimizer in optimizers
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer_tensors(decoder: Decoder, optimizers: Optimizers, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` returned.

    Raises:
        TrainError: the tensors belong to another model or optimizer.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, what = key.rpartition(":")
        found.setdefault(name, {})[what] = tensor
    names: dict[Tensor, str] = {parameter: name for name, parameter in decoder.named_parameters()}
    if set(found) != set(names.values()):
        raise TrainError("the saved optimizer state is of another model", fix="start this run again in a new folder")
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                state = found[names[parameter]]
                # Step counters stay where torch made them, on the CPU unless fused on a GPU; moments live beside their parameter.
                optimizer.state[parameter] = {what: tensor.to(parameter.device).clone() for what, tensor in state.items()}
