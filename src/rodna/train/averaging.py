"""Averages of the weights over the end of a run: what is evaluated and released, while the raw weights go on training.

After step t of a run of `steps`, with n = averaging_fraction * steps:

    swa   the plain mean of the weights after each step of the last n; before those, the raw weights.
          Reference: Izmailov et al. 2018, arXiv:1803.05407.
    ema   weights of age k count in proportion to d^k, corrected for what lies before the first step, with d = (n - 1) / (n + 1):
          its mean age is that of a plain mean over n steps, so a fraction means the same for either kind and any length of run.
          Reference: Kingma & Ba 2015, arXiv:1412.6980, section 3 (the correction).

Whether the learning rate stays or falls inside the window is the schedule's choice: `decay_fraction` 0 or `averaging_fraction` below it.

An average takes 4 bytes a parameter, and each step of its window reads 8 and writes 4: by that arithmetic, at 30 GB/s, half a percent of a
step on 8,192 tokens of an 11M-parameter model on two cores (4 ms of about 1 s), and a smaller share the more tokens a step has.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from rodna.core.errors import StateError
from rodna.models.decoder import Decoder
from rodna.train.config import TrainValues


def newest_share(step: int, values: TrainValues) -> float:
    """Return the share of the weights after step `step` (counted from 1) in the average; 1: the average is these weights."""
    window = max(1, round(values.averaging_fraction * values.steps))
    if values.averaging == "swa":
        return 1.0 / max(1, step - (values.steps - window))
    if values.averaging == "ema":
        old = (window - 1) / (window + 1)
        return (1 - old) / (1 - old**step)
    return 1.0


class WeightAverage:
    """The average that the settings ask for; there is nothing in it while it would equal the raw weights.

    Args:
        decoder: whose weights are averaged.
        values: kind and window.
        step: finished steps of the run.
        tensors: what `tensors` held after that step.

    Raises:
        StateError: the tensors are not those of this decoder and step.
    """

    def __init__(self, decoder: Decoder, values: TrainValues, *, step: int = 0, tensors: Mapping[str, Tensor] | None = None) -> None:
        self._parameters = dict(decoder.named_parameters())
        self._values = values
        self.tensors: dict[str, Tensor] = {}
        if step == 0 or not self._is_kept(step):
            return
        shapes = {name: tuple(parameter.shape) for name, parameter in self._parameters.items()}
        if {name: tuple(tensor.shape) for name, tensor in (tensors or {}).items()} != shapes:
            raise StateError("the saved average of the weights is missing or of another model", fix="start this run again in a new folder")
        self.tensors = {name: tensor.to(self._parameters[name].device) for name, tensor in (tensors or {}).items()}

    def _is_kept(self, step: int) -> bool:
        """Return whether the average after this step is needed later, or differs from the raw weights."""
        return newest_share(step, self._values) < 1 or (step < self._values.steps and newest_share(step + 1, self._values) < 1)

    def differs(self, step: int) -> bool:
        """Return whether the average after this step is not simply the raw weights."""
        return bool(self.tensors) and newest_share(step, self._values) < 1

    @torch.no_grad()
    def include(self, step: int) -> None:
        """Take in the weights as step `step` left them; to be called after every step."""
        if not self._is_kept(step):
            return
        if not self.tensors:
            self.tensors = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
            return
        share = newest_share(step, self._values)
        for name, parameter in self._parameters.items():
            self.tensors[name].lerp_(parameter, share)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the decoder the averaged weights for a while; afterwards it has its own again, to the bit."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        # The numbers change places, not the tensors: whoever holds a parameter goes on holding it.
        for name, average in self.tensors.items():
            kept = average.clone()
            average.copy_(self._parameters[name])
            self._parameters[name].copy_(kept)
