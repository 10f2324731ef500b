"""IsoFLOP curves: the loss to expect of every size on the same budget of arithmetic, and which size is best there.

A larger model sees fewer tokens for the same FLOPs. Where a small one would read the text more often than is worth it, its curve ends in
what so many passes give: the rest of the budget buys nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rodna.plan.scaling import FLOPS_PER_PARAMETER_TOKEN, ScalingLaw

BUDGETS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)
"""Drawn, as multiples of what there is."""


@dataclass(frozen=True)
class Size:
    """A size of model on a curve.

    Attributes:
        parameters: all of them.
        weights: what the law counts: of the blocks.
        flops_per_token: of training.
        max_tokens: tokens after which training ends, whatever budget is left: the passes worth making; infinite with text without end.
        too_large: for the text: it would learn it by heart, which not every law here knows.
        dropout: it learns with.
    """

    parameters: float
    weights: float
    flops_per_token: float
    max_tokens: float = math.inf
    too_large: bool = False
    dropout: float = 0.0


Loss = Callable[[Size, float], float]
"""(size, tokens seen) -> expected loss."""


@dataclass(frozen=True)
class CurvePoint:
    """One size on one budget; `limited` where the text ended before the budget, `too_large` as of its size."""

    parameters: float
    tokens: float
    loss: float
    limited: bool
    too_large: bool = False


@dataclass(frozen=True)
class Curve:
    """The sizes on one budget, smallest first, and the best of them, which is none that is too large."""

    flops: float
    points: list[CurvePoint]

    @property
    def best(self) -> CurvePoint:
        return min(self.points, key=lambda point: (point.too_large, point.loss))


def isoflop(loss: Loss, sizes: Sequence[Size], flops: float) -> Curve:
    """Return the curve of one budget."""
    points: list[CurvePoint] = []
    for size in sizes:
        affordable = flops / size.flops_per_token
        tokens = min(affordable, size.max_tokens)
        points.append(CurvePoint(size.parameters, tokens, loss(size, tokens), affordable > size.max_tokens, size.too_large))
    return Curve(flops, points)


def plain_sizes(low: float, high: float, *, count: int = 201) -> list[Size]:
    """Return evenly spread sizes with C = 6ND and text without end: the laws as their papers write them."""
    step = (high / low) ** (1 / (count - 1))
    return [Size(low * step**number, low * step**number, FLOPS_PER_PARAMETER_TOKEN * low * step**number) for number in range(count)]


def law_curves(law: ScalingLaw, flops: float) -> dict[str, Any]:
    """Return the curves of a published law around a budget, as a plan keeps its own: C = 6ND, and text without end.

    The $50 model's figure is `law_curves(CHINCHILLA, 3.2e17)`: 48.2M parameters, 1.107B tokens.
    """
    parameters, tokens = law.compute_optimal(flops)
    sizes = plain_sizes(parameters / 30, parameters * 30)
    chosen = {"parameters": parameters, "tokens": tokens, "loss": law.loss(parameters, tokens)}
    curves = [isoflop(lambda size, tokens: law.loss(size.weights, tokens), sizes, flops * factor) for factor in BUDGETS]
    return {"budgets": [plain_curve(curve) for curve in curves], "flops": flops, "chosen": chosen}


def plain_curve(curve: Curve) -> dict[str, Any]:
    """Return a curve as plain values."""
    return {"flops": curve.flops, "points": [asdict(point) for point in curve.points], "best": asdict(curve.best)}
