"""IsoFLOP curves: the loss to expect of every size on the same budget of arithmetic, and which size is best there.

A larger model sees fewer tokens for the same FLOPs. Where a small one would read the text more often than is worth it, its curve ends in
what so many passes give: the rest of the budget buys nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rodna.plan.scaling import FLOPS_PER_PARAMETER_TOKEN

Loss = Callable[[float, float], float]
"""(weights of the blocks, tokens seen) -> expected loss."""


@dataclass(frozen=True)
class Size:
    """A size of model on a curve.

    Attributes:
        parameters: all of them.
        weights: what the law counts: of the blocks.
        flops_per_token: of training.
        max_tokens: tokens after which training ends, whatever budget is left: the passes worth making; infinite with text without end.
    """

    parameters: float
    weights: float
    flops_per_token: float
    max_tokens: float = math.inf


@dataclass(frozen=True)
class CurvePoint:
    """One size on one budget; `limited` where the text ended before the budget."""

    parameters: float
    tokens: float
    loss: float
    limited: bool


@dataclass(frozen=True)
class Curve:
    """The sizes on one budget, smallest first, and the best of them."""

    flops: float
    points: list[CurvePoint]

    @property
    def best(self) -> CurvePoint:
        return min(self.points, key=lambda point: point.loss)


def isoflop(loss: Loss, sizes: Sequence[Size], flops: float) -> Curve:
    """Return the curve of one budget."""
    points: list[CurvePoint] = []
    for size in sizes:
        affordable = flops / size.flops_per_token
        tokens = min(affordable, size.max_tokens)
        points.append(CurvePoint(size.parameters, tokens, loss(size.weights, tokens), limited=affordable > size.max_tokens))
    return Curve(flops, points)


def plain_sizes(low: float, high: float, *, count: int = 400) -> list[Size]:
    """Return evenly spread sizes with C = 6ND and text without end: the laws as their papers write them."""
    step = (high / low) ** (1 / (count - 1))
    return [Size(low * step**number, low * step**number, FLOPS_PER_PARAMETER_TOKEN * low * step**number) for number in range(count)]
