"""Muon: momentum whose matrix is made orthogonal, so that every direction of a weight learns equally fast; and its variants.

    momentum   B <- lerp(B, G, 1 - mu);  U = lerp(G, B, mu)                           Nesterov's, as torch.optim.Muon has it
    update     O = orthogonalize(U) ~ (U U^T)^(-1/2) U                                Newton-Schulz or Polar Express
    normuon    v <- lerp(v, mean of O^2 over each row, 1 - beta2);  O <- O / sqrt(v)   then scaled to a root mean square of 0.2
    decay      W <- W - lr * wd * W                                                    cautious: only where O and W agree in sign
    step       W <- W - lr * 0.2 * sqrt(max(rows, columns)) * O                        the size of AdamW's updates

With every option off the numbers are those of `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")` to the rounding of bfloat16, and so is
the saved state. Matrices of one shape, turned so that rows are the shorter side, are stacked and orthogonalized in one batched product.

Shapes: S matrices of a stack, M shorter side, N longer side.

References: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025 (Moonlight), arXiv:2502.16982, section 2.2;
Li et al. 2025 (NorMuon), arXiv:2510.05491, algorithm 1; Amsel et al. 2025 (Polar Express), arXiv:2505.16932, algorithm 1;
Chen et al. 2025 (cautious weight decay), arXiv:2510.12402, algorithm 1.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

Orthogonalization = Literal["newton_schulz", "polar_express"]
Coefficients = Sequence[tuple[float, float, float]]

NEWTON_SCHULZ: Coefficients = ((3.4445, -4.7750, 2.0315),) * 5
"""One quintic five times: singular values end between about 0.7 and 1.2. Reference: Jordan et al. 2024."""

POLAR_EXPRESS_OPTIMA: Coefficients = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
)
"""a, b, c of a x + b x^3 + c x^5, each the best for what the one before leaves of [0.001, 1]. Reference: Amsel et al. 2025, algorithm 1."""

POLAR_EXPRESS_SAFETY = 1.01
"""Rounding in bfloat16 can carry a singular value past 1, where the next polynomial would throw it off. Reference: ibid., section 3.4."""

POLAR_EXPRESS: Coefficients = tuple(
    (a / POLAR_EXPRESS_SAFETY, b / POLAR_EXPRESS_SAFETY**3, c / POLAR_EXPRESS_SAFETY**5) for a, b, c in POLAR_EXPRESS_OPTIMA
)

UPDATE_RMS = 0.2
"""About the root mean square of AdamW's updates. Reference: Liu et al. 2025, section 2.2."""

ROW_MOMENT_DECAY = 0.95
"""beta2 of NorMuon. Reference: Li et al. 2025, section 4."""

SMALLEST_NORM = 1e-7
SMALLEST_ROW_RMS = 1e-8
MOST_STACKED = 2**24
"""Numbers in one stack: it and two more of its size are the memory that the update takes, in bfloat16."""


class Muon(torch.optim.Optimizer):
    """Muon for matrices.

    Args:
        parameters: matrices, in float32.
        lr: peak; updates have the size of AdamW's at the same rate.
        weight_decay: decoupled, times the learning rate.
        momentum: share of the old momentum that stays each step.
        orthogonalization: which polynomials.
        normalize_rows: NorMuon.
        cautious: decay only the weights that the update makes smaller.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        weight_decay: float,
        momentum: float,
        orthogonalization: Orthogonalization = "newton_schulz",
        normalize_rows: bool = False,
        cautious: bool = False,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self._orthogonalization: Orthogonalization = orthogonalization
        self._normalize_rows, self._cautious = normalize_rows, cautious

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for stack in stacks([parameter for parameter in group["params"] if parameter.grad is not None]):
                self._update(stack, group)

    def _update(self, stack: Sequence[Tensor], group: dict[str, Any]) -> None:
        """Update parameters whose shapes are equal up to transposition."""
        rows, columns = min(stack[0].shape), max(stack[0].shape)
        updates_SMN = torch.empty(len(stack), rows, columns, dtype=torch.bfloat16, device=stack[0].device)
        for update_MN, parameter in zip(updates_SMN, stack, strict=True):
            update_MN.copy_(_wide(self._accelerate(parameter, group["momentum"])))
        updates_SMN = orthogonalize(updates_SMN, self._orthogonalization)
        for update_MN, parameter in zip(updates_SMN, stack, strict=True):
            update = _like(update_MN, parameter)
            if self._normalize_rows:
                update, scale = self._even_out(update, parameter), 1.0
            else:
                # The root mean square of a matrix with orthonormal rows is 1 / sqrt(columns).
                scale = UPDATE_RMS * math.sqrt(columns)
            decay(parameter, update if self._cautious else None, group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-group["lr"] * scale)

    def _accelerate(self, parameter: Tensor, momentum: float) -> Tensor:
        """Take the gradient into the momentum; return Nesterov's look ahead."""
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(buffer, momentum)

    def _even_out(self, update: Tensor, parameter: Tensor) -> Tensor:
        """Divide each row by its usual size, then give the whole the root mean square `UPDATE_RMS`; in float32.

        The moment starts at zero without correction: what is missing is the same share in every row, and the last scaling undoes it.
        """
        state, wide = self.state[parameter], update.float()
        if "row_moment" not in state:
            state["row_moment"] = torch.zeros_like(wide[:, :1])
        moment = state["row_moment"].lerp_(wide.square().mean(1, keepdim=True), 1 - ROW_MOMENT_DECAY)
        wide /= moment.sqrt() + SMALLEST_ROW_RMS
        return wide.mul_(UPDATE_RMS * math.sqrt(wide.numel()) / wide.norm().clamp_min(SMALLEST_NORM))


def orthogonalize(matrices_SMN: Tensor, method: Orthogonalization) -> Tensor:
    """Push the singular values of every matrix to 1, approximately, by five odd polynomials of degree 5.

    Args:
        matrices_SMN: in the dtype of the products, no side M longer than N; may be overwritten.
        method: Newton-Schulz repeats one polynomial; Polar Express has one made for each iteration.
    """
    express = method == "polar_express"
    norms_S11 = torch.linalg.vector_norm(matrices_SMN, dim=(1, 2), keepdim=True)
    # Frobenius' norm bounds the largest singular value; the safety is against what rounding adds.
    x_SMN = matrices_SMN.div_((norms_S11 * POLAR_EXPRESS_SAFETY if express else norms_S11).clamp_min(SMALLEST_NORM))
    for a, b, c in POLAR_EXPRESS if express else NEWTON_SCHULZ:
        gram_SMM = x_SMN @ x_SMN.mT
        factor_SMM = torch.baddbmm(gram_SMM, gram_SMM, gram_SMM, beta=b, alpha=c)
        x_SMN = torch.baddbmm(x_SMN, factor_SMM, x_SMN, beta=a)
    return x_SMN


def stacks(parameters: Iterable[Tensor], most: int = MOST_STACKED) -> Iterator[list[Tensor]]:
    """Yield parameters whose shapes are equal up to transposition, at most `most` numbers at a time."""
    alike: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        alike[tuple(sorted(parameter.shape))].append(parameter)
    for shape, members in alike.items():
        size = max(1, most // math.prod(shape))
        for start in range(0, len(members), size):
            yield members[start : start + size]


def decay(parameter: Tensor, update: Tensor | None, share: float) -> None:
    """Take a share off the weights; given an update, only where subtracting it also makes the weight smaller."""
    if update is None:
        parameter.mul_(1 - share)
    elif share:
        parameter.sub_(parameter * (update * parameter >= 0), alpha=share)


def _wide(matrix: Tensor) -> Tensor:
    return matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix


def _like(update_MN: Tensor, parameter: Tensor) -> Tensor:
    return update_MN.mT if parameter.shape[0] > parameter.shape[1] else update_MN
