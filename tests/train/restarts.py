"""Stop a training between two steps, and go on from what was saved."""

from collections.abc import Callable

import torch

from rodna.models.decoder import Decoder
from rodna.train.optim import Optimizers, load_optimizer_tensors, optimizer_tensors, update


def saved_between_steps(fresh: Callable[[], tuple[Decoder, Optimizers]]) -> dict[str, torch.Tensor]:
    """Make two steps at once, and two with a restart between them; the weights must be the same bits. Return what was saved.

    Args:
        fresh: makes a decoder, the same every time, and its optimizers.
    """
    decoder, optimizers = fresh()
    _step(decoder, optimizers, seed=1)
    saved, weights = {k: v.clone() for k, v in optimizer_tensors(decoder, optimizers).items()}, decoder.state_dict()
    other, other_optimizers = fresh()
    other.load_state_dict(weights)
    load_optimizer_tensors(other, other_optimizers, saved)
    _step(decoder, optimizers, seed=2)
    _step(other, other_optimizers, seed=2)
    for mine, theirs in zip(decoder.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    return saved


def _step(decoder: Decoder, optimizers: Optimizers, *, seed: int) -> None:
    torch.manual_seed(seed)
    for parameter in decoder.parameters():
        parameter.grad = torch.randn_like(parameter)
    update(decoder, optimizers, factor=0.5, clip_norm=1.0)
