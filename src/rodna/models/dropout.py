"""Dropout whose random numbers a CPU draws quickly.

Compiled code for CPUs makes a random number at a time with a counter-based generator: in small models a good part of a training step.
Here eight elements share one 64-bit draw of torch's generator, outside compiled code, so that the same seed drops the same features whether
the blocks are compiled or not. GPUs draw for themselves, as fast as they write.
"""

import torch
from torch import Tensor, nn

LEVELS = 256
"""A byte decides about an element: chances are rounded to 1/256, and the scale is that of the rounded chance."""


class Dropout(nn.Module):
    """Zeroes elements with a chance and scales the others up. Reference: Srivastava et al. 2014, JMLR 15.

    Args:
        chance: of an element to be dropped.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance
        self.dropped_levels = round(chance * LEVELS)

    def extra_repr(self) -> str:
        return f"{self.chance}"

    def draws(self, x: Tensor) -> bool:
        """Return whether `forward` wants a mask from `draw` for such an input."""
        return self.training and self.dropped_levels > 0 and x.device.type == "cpu"

    def draw(self, *shape: int) -> Tensor:
        """Return a bool mask of a shape, from torch's default generator for CPUs: true is kept."""
        count = 1
        for size in shape:
            count *= size
        draws = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None)
        return (draws.view(torch.uint8)[:count] >= self.dropped_levels).view(shape)

    def forward(self, x: Tensor, spared: Tensor | None = None) -> Tensor:
        """Return x with some elements dropped.

        Args:
            x: any shape.
            spared: mask of that shape; drawn here where it is missing.
        """
        if not self.training or not self.dropped_levels:
            return x
        if spared is None:
            return nn.functional.dropout(x, self.chance)
        return torch.where(spared, x * (LEVELS / (LEVELS - self.dropped_levels)), 0)
