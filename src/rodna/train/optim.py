"""Optimizers: Muon or NorMuon for the matrices inside the blocks with AdamW for everything else, or AdamW for all.

Muon's update has the size of AdamW's, so learning rates and weight decays of both are of one kind.

What decays: matrices of the blocks by `weight_decay`, embeddings and head by `embedding_weight_decay`, norms, biases and other vectors
never. AdamW with both decays equal treats every parameter as Hugging Face's Trainer does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rodna.core.errors import StateError, TrainError
from rodna.models.decoder import Decoder
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.train.config import TrainValues
from rodna.train.muon import Muon, decay
from rodna.train.spelling import OWN_SHARE, Spelling, learn_shared

Optimizers = list[torch.optim.Optimizer]


def build_optimizers(decoder: Decoder, values: TrainValues, spelling: Spelling | None = None) -> Optimizers:
    """Return the optimizers that together update every parameter once.

    Args:
        decoder: what learns.
        values: the settings.
        spelling: of its tokens; needed where `values.spelling_rate` is not 0, see `spelling_for`.

    Raises:
        TrainError: a weight decay that would take all of a weight away in one step.
    """
    assert spelling is not None or not values.spelling_rate, "how tokens are spelled is not told"
    named = list(decoder.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and name.startswith("blocks.")]
    embeddings = [p for name, p in named if p.ndim >= 2 and not name.startswith("blocks.")]
    of_tokens = [p for name, p in named if p.ndim >= 2 and not name.startswith(("blocks.", "positions."))]
    spelled = [p for p in of_tokens if len(p) == decoder.config.vocabulary_size] if values.spelling_rate else []
    known = {*matrices, *embeddings}
    vectors = [p for _, p in named if p not in known]
    matrix_rate = values.learning_rate
    rest_rate = values.learning_rate if values.optimizer == "adamw" else values.adam_learning_rate
    _check_decay("weight_decay", values.weight_decay, "learning_rate", matrix_rate)
    _check_decay("embedding_weight_decay", values.embedding_weight_decay, _rest_rate_name(values), rest_rate)

    others = [p for p in embeddings if not any(p is one for one in spelled)]
    rest = [{"params": others, "weight_decay": values.embedding_weight_decay}, {"params": vectors, "weight_decay": 0.0},
            {"params": spelled, "weight_decay": values.embedding_weight_decay / OWN_SHARE, "lr": OWN_SHARE * rest_rate,
             "marks_rate": values.spelling_rate / OWN_SHARE}]  # fmt: skip
    if values.optimizer == "adamw":
        groups = [{"params": matrices, "weight_decay": values.weight_decay}, *rest]
        return _with_peaks([_adamw(groups, rest_rate, values, spelling)])
    muon = Muon(
        matrices, lr=matrix_rate, weight_decay=values.weight_decay, momentum=values.muon_momentum,
        orthogonalization=values.muon_orthogonalization, normalize_rows=values.optimizer == "normuon",
        cautious=values.cautious_weight_decay,
    )  # fmt: skip
    return _with_peaks([muon, _adamw(rest, rest_rate, values, spelling)])


def spelling_for(values: TrainValues, tokenizer_folder: Path, decoder: Decoder) -> Spelling | None:
    """Return how the tokens are spelled, where that is learned from.

    Args:
        values: the settings.
        tokenizer_folder: of the decoder's tokenizer.
        decoder: what learns.
    """
    if not values.spelling_rate:
        return None
    return Spelling.of(Tokenizer.load(tokenizer_folder), decoder.config.vocabulary_size).to(decoder.embedding.weight.device)


def _rest_rate_name(values: TrainValues) -> str:
    return "learning_rate" if values.optimizer == "adamw" else "adam_learning_rate"


def _check_decay(decay_name: str, weight_decay: float, rate_name: str, rate: float) -> None:
    """Refuse a decay that leaves nothing of a weight, or turns its sign."""
    if weight_decay * rate >= 1:
        raise TrainError(
            f"weights would not survive one step: {decay_name} {weight_decay:g} times {rate_name} {rate:g} is {weight_decay * rate:.3g}, "
            "and a step takes that share of every weight away", where=f"train.{decay_name}",
            fix=f"choose a {decay_name} far below {1 / rate:.3g}, or a lower {rate_name}",
        )  # fmt: skip


def _adamw(groups: list[dict[str, Any]], learning_rate: float, values: TrainValues, spelling: Spelling | None) -> torch.optim.AdamW:
    groups = [group for group in groups if group["params"]]
    settings: dict[str, Any] = {"lr": learning_rate, "betas": values.adam_betas, "eps": values.adam_epsilon, "fused": True}
    if spelling is None and not values.cautious_weight_decay:
        return torch.optim.AdamW(groups, **settings)
    return AdamW(groups, cautious=values.cautious_weight_decay, spelling=spelling, **settings)


class AdamW(torch.optim.AdamW):
    """AdamW that may decay only the weights which its update makes smaller, and whose tokens may share what they learn.

    Of the first, an update has the sign of the first moment, so what decays is known before the step. Reference: Chen et al. 2025,
    arXiv:2510.12402, algorithm 1. Of the second, see `spelling`.

    Args:
        groups: as torch's AdamW takes them; those with `marks_rate` share.
        cautious: decay so.
        spelling: of the tokens; None where no group shares.
        settings: torch's.
    """

    def __init__(self, groups: list[dict[str, Any]], *, cautious: bool, spelling: Spelling | None, **settings: Any) -> None:
        super().__init__(groups, **settings)
        self._cautious, self._spelling = cautious, spelling

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Decay, update with no decay of torch's own, and share."""
        decays = [group["weight_decay"] for group in self.param_groups]
        if self._cautious:
            self._decay_cautiously()
        super().step()
        for group, weight_decay in zip(self.param_groups, decays, strict=True):
            group["weight_decay"] = weight_decay
            spelling = self._spelling if "marks_rate" in group else None
            for parameter in group["params"] if spelling else ():
                if parameter.grad is not None and spelling:
                    learn_shared(parameter, self.state[parameter], group, spelling)

    def _decay_cautiously(self) -> None:
        for group in self.param_groups:
            share, group["weight_decay"] = group["lr"] * group["weight_decay"], 0.0
            for parameter in group["params"] if share else ():
                if parameter.grad is not None:
                    momentum, (beta, _) = self.state[parameter].get("exp_avg"), group["betas"]
                    gradient = parameter.grad
                    decay(parameter, gradient if momentum is None else momentum.lerp(gradient, 1 - beta), share)


def _with_peaks(optimizers: Optimizers) -> Optimizers:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"], group["peak_weight_decay"] = group["lr"], group["weight_decay"]
    return optimizers


def update(decoder: Decoder, optimizers: Optimizers, *, factor: float, clip_norm: float, decay_factor: float = 1.0) -> Tensor:
    """Clip the gradient, make one update, and drop the gradient.

    Args:
        decoder: whose parameters have gradients.
        optimizers: of its parameters.
        factor: share of the peak learning rates.
        clip_norm: largest norm of the whole gradient; 0 never clips.
        decay_factor: share of the weight decays, which the learning rate multiplies besides.

    Returns:
        The gradient's norm before clipping, as a tensor: reading it would wait for the device.
    """
    norm = nn.utils.clip_grad_norm_(decoder.parameters(), clip_norm if clip_norm else float("inf"))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"], group["weight_decay"] = factor * group["peak_lr"], decay_factor * group["peak_weight_decay"]
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
        StateError: the tensors belong to another model or optimizer.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, what = key.rpartition(":")
        found.setdefault(name, {})[what] = tensor
    names: dict[Tensor, str] = {parameter: name for name, parameter in decoder.named_parameters()}
    if not found or not set(found) <= set(names.values()):
        raise StateError("the saved optimizer state is of another model", fix="start this run again in a new folder")
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                # A parameter that has had no gradient yet has no state.
                state = found.get(names[parameter], {})
                # Step counters stay where torch made them, on the CPU unless fused on a GPU; moments live beside their parameter.
                if state:
                    optimizer.state[parameter] = {what: tensor.to(parameter.device).clone() for what, tensor in state.items()}
