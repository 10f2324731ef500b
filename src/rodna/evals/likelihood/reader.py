"""A decoder laid out for scoring: it reads rows that are trees, and only what is scored goes through the output head.

The layers are the engine's, whose weights are joined so that there are few operations; only attention differs.

Shapes: B rows, T positions, N rows times positions, D width, H query heads, K key/value heads, W head width, V vocabulary.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from rodna.evals.likelihood.prefixes import TreeBatch
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder, soft_cap
from rodna.models.engine import Attend, Engine
from rodna.models.layout import Layer, Matrix, rotations

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOGITS_AT_ONCE = 2 * 1024 * 1024
"""Most logits held at once: 8 MB in float32; four times as many are 8% (float32) to 18% (bfloat16) slower by the CPU time of one thread."""
PACKED_FOR_ROWS = 1024
"""How many rows oneDNN chooses the order of weights for; others are read as well."""
ATTENTION_SLOWNESS = 4.0
"""How much longer attention takes for an operation than a matrix product; measured on a CPU with AVX-512."""


class RoundedMatrix(Matrix):
    """A linear layer whose product is taken in its weight's dtype; everything around it stays in float32."""

    def __call__(self, x_ND: Tensor) -> Tensor:
        product = torch.mm(x_ND.to(self.weight.dtype), self.weight).float()
        return product if self.bias is None else product.add_(self.bias)


class PackedMatrix(Matrix):
    """A linear layer whose weight lies in the order that oneDNN's kernels read: 10% to 20% faster on a CPU than `mm`, by measurement."""

    def __call__(self, x_ND: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x_ND, self.weight, self.bias, "none", [], "")


class Reader(Engine):
    """A copy of a decoder's weights that tells what tokens cost.

    Args:
        decoder: copied; later changes to it are not seen.
        compute_dtype: of matrix products; sums and the softmax are float32.
    """

    def __init__(self, decoder: Decoder, compute_dtype: torch.dtype) -> None:
        super().__init__(decoder, num_tokens=decoder.config.vocabulary_size, capacity=1)
        self.turns_SR = rotations(self.config, self.config.context_length, self.device)
        if compute_dtype != torch.float32:
            self._lay_out_anew(lambda matrix: _rounded(matrix, compute_dtype))
        elif self.dtype == torch.float32 and _can_pack(self.device):
            self._lay_out_anew(_packed)
        self.rows = max(1, LOGITS_AT_ONCE // self.config.vocabulary_size)

    def _lay_out_anew(self, change: Callable[[Matrix], Matrix]) -> None:
        self.layers = [
            Layer(change(layer.qkv), layer.qk_scale, change(layer.output), change(layer.up), change(layer.down)) for layer in self.layers
        ]
        self.head = change(self.head)

    def map(self, batches: Iterable[TreeBatch]) -> "Iterator[NDArray[np.float64]]":
        """Yield the nats of each batch's scored nodes, shape (C,)."""
        return map(self.nats, batches)

    @torch.inference_mode()
    def nats(self, batch: TreeBatch) -> "NDArray[np.float64]":
        """Return the nats of a batch's scored nodes, shape (C,)."""
        shape = batch.inputs_BT.shape
        tokens_N, positions_N, places_H, head_C, targets_C = (
            torch.from_numpy(part).to(self.device).flatten()
            for part in (batch.inputs_BT, batch.positions_BT, batch.places_H, batch.head_C, batch.targets_C)
        )
        attend = self._attend_rows(shape, None if batch.end_BT is None else torch.from_numpy(batch.end_BT).to(self.device))
        x_ND = self._run(self._embed(tokens_N, positions_N), self.turns_SR[positions_N, None], attend)
        return self._nats(self._normalise(x_ND[places_H]), head_C, targets_C).double().cpu().numpy()

    def _nats(self, normed_HD: Tensor, head_C: Tensor, targets_C: Tensor) -> Tensor:
        nats_C = torch.zeros(len(targets_C), device=self.device)
        for first in range(0, len(normed_HD), self.rows):
            logits = soft_cap(self.head(normed_HD[first : first + self.rows]).float(), self.config.logit_softcap)
            here = ((head_C >= first) & (head_C < first + len(logits))).nonzero().squeeze(1)
            rows = head_C[here] - first
            # On a CPU log_softmax takes half the time of logsumexp, though it writes all that it reads: it is one pass.
            nats_C[here] = -logits.log_softmax(-1)[rows, targets_C[here]]
        return nats_C

    def _attend_rows(self, shape: tuple[int, ...], end_BT: Tensor | None) -> Attend:
        heads, kv_heads = self.config.num_heads, self.config.num_kv_heads
        bias_B1TT = None
        if end_BT is not None:
            places_T = torch.arange(shape[1], device=self.device)
            seen_BTT = (places_T <= places_T[:, None]) & (places_T[:, None] < end_BT[:, None, :])
            # As numbers, once: of truth values attention would make them anew in every layer.
            bias_B1TT = torch.zeros(seen_BTT.shape, device=self.device).masked_fill_(~seen_BTT, -torch.inf)[:, None]

        def attend(layer: int, qkv_NHW: Tensor) -> Tensor:
            queries, keys, values = qkv_NHW.unflatten(0, shape).transpose(1, 2).split((heads, kv_heads, kv_heads), dim=1)
            attended_BHTW = F.scaled_dot_product_attention(
                queries, keys, values, attn_mask=bias_B1TT, is_causal=bias_B1TT is None, scale=1.0, enable_gqa=heads != kv_heads
            )
            return attended_BHTW.transpose(1, 2).reshape(len(qkv_NHW), -1)

        return attend


def token_in_pairs(config: ModelConfig) -> float:
    """Return how many pairs of positions attention compares in the time of one token's matrix products."""
    return config.layer_matrices / (2 * config.num_heads * config.head_width) / ATTENTION_SLOWNESS


def _rounded(matrix: Matrix, dtype: torch.dtype) -> Matrix:
    return RoundedMatrix(matrix.weight.to(dtype), None if matrix.bias is None else matrix.bias.float())


def _can_pack(device: torch.device) -> bool:
    """Return whether oneDNN has fast kernels here: on x86 processors with AVX2 at least."""
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.backends.cpu.get_cpu_capability().startswith("AVX")


def _packed(matrix: Matrix) -> Matrix:
    outputs_first = matrix.weight.t().contiguous()
    return PackedMatrix(torch.ops.mkldnn._reorder_linear_weight(outputs_first, PACKED_FOR_ROWS), matrix.bias)
