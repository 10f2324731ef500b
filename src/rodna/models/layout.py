"""A decoder's weights laid out for generating, copied once into the form that needs the fewest calls.

- Queries, keys and values are one matrix, and so are gate and up; matrices are kept as (inputs, outputs), which `mm` reads fastest.
- The norms' weights and biases and the attention's scale are folded into the matrices that follow.
- Heads are permuted so that rotated pairs are neighbours: a rotation is then one complex product.

Shapes: N rows, O outputs, D width, H query heads, K key/value heads, W head width, S cached positions, R rotated pairs.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from rodna.models.attention import Attention, Norm, rotary_tables
from rodna.models.config import ModelConfig
from rodna.models.decoder import Block


class Matrix(NamedTuple):
    """A linear layer: weight (inputs, outputs) and bias (outputs), or None."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x_ND: Tensor) -> Tensor:
        weight = self.weight.to(x_ND.dtype)
        return torch.mm(x_ND, weight) if self.bias is None else torch.addmm(self.bias.to(x_ND.dtype), x_ND, weight)

    def halved(self) -> "Matrix":
        """Return it in float16, kept as (outputs, inputs): the order in which float16 products of one row are fast on a CPU."""
        return Matrix(self.weight.t().contiguous().half().t(), self.bias)


class Layer(NamedTuple):
    """One layer's weights."""

    qkv: Matrix
    qk_scale: Tensor | None
    output: Matrix
    up: Matrix
    down: Matrix

    def halved(self) -> "Layer":
        return Layer(self.qkv.halved(), self.qk_scale, self.output.halved(), self.up.halved(), self.down.halved())


def rotations(config: ModelConfig, num_positions: int, device: torch.device) -> Tensor:
    """Return e^(i angle) of shape (S, rotary_width / 2), complex."""
    if not config.rotary_width:
        return torch.ones((num_positions, 1), dtype=torch.complex64, device=device)
    return torch.complex(*rotary_tables(config, torch.arange(num_positions, device=device)))


def after_norm(config: ModelConfig, norm: Norm, linears: Sequence[nn.Linear], *, num_outputs: int | None = None) -> Matrix:
    """Join linear layers that read the same normalised input, with the norm's weight and bias folded in."""
    weight_OD = torch.cat([linear.weight.detach() for linear in linears])[:num_outputs].float()
    bias_O = torch.zeros(len(weight_OD), device=weight_OD.device)
    if linears[0].bias is not None:
        bias_O += torch.cat([linear.bias.detach() for linear in linears])[:num_outputs].float()
    if norm.bias is not None:
        bias_O += weight_OD @ norm.bias.detach().float()
    scale = norm.weight.detach().float() * (math.sqrt(config.width) if config.norm == "rms" else 1.0)
    dtype = linears[0].weight.dtype
    has_bias = linears[0].bias is not None or norm.bias is not None
    return Matrix((weight_OD * scale).t().contiguous().to(dtype), bias_O.to(dtype) if has_bias else None)


def plain(linear: nn.Linear) -> Matrix:
    """Return a linear layer as it is."""
    return Matrix(linear.weight.detach().t().contiguous(), None if linear.bias is None else linear.bias.detach())


def lay_out(config: ModelConfig, block: Block) -> Layer:
    """Return a block's weights in the form that needs the fewest calls."""
    attention, ffn = block.attention, block.ffn
    qkv = after_norm(config, block.attention_norm, [attention.query, attention.key, attention.value])
    order, scale = _head_order(config, attention)
    qkv = Matrix((qkv.weight[:, order] * scale).contiguous(), None if qkv.bias is None else qkv.bias[order] * scale)
    ups = [ffn.up] if ffn.gate is None else [ffn.gate, ffn.up]
    up = after_norm(config, block.ffn_norm or block.attention_norm, ups)
    return Layer(qkv, _qk_scale(config, attention, order), plain(attention.output), up, plain(ffn.down))


def _head_order(config: ModelConfig, attention: Attention) -> tuple[Tensor, Tensor]:
    """Return the order of the outputs of queries, keys and values that makes rotated pairs neighbours, and the outputs' factors.

    Queries and keys are permuted alike, which leaves their products as they are. Queries carry the attention's 1/sqrt(head width),
    unless a norm follows.
    """
    device, width = attention.query.weight.device, config.head_width
    rotated, kept = config.num_heads + config.num_kv_heads, config.num_kv_heads
    order = torch.arange((rotated + kept) * width, device=device).unflatten(0, (-1, width))
    order[:rotated] = order[:rotated, _neighbours(config).to(device)]
    scale = torch.ones_like(order, dtype=attention.query.weight.dtype)
    if not config.qk_norm:
        scale[: config.num_heads] = 1 / math.sqrt(width)
    return order.flatten(), scale.flatten()


def _neighbours(config: ModelConfig) -> Tensor:
    """Return the order of a head's features in which rotated pairs are neighbours."""
    order = torch.arange(config.head_width)
    if config.rotary_pairs == "halves":
        order[: config.rotary_width] = order[: config.rotary_width].view(2, -1).t().flatten()
    return order


def _qk_scale(config: ModelConfig, attention: Attention, order: Tensor) -> Tensor | None:
    """Return the weights (H + K, W) of the query and key norms, with the constants of norm and attention folded in."""
    if not config.qk_norm:
        return None
    permutation, root = _neighbours(config).to(order.device), math.sqrt(config.head_width)
    query, key = (cast("Norm", norm).weight.detach()[permutation] for norm in (attention.query_norm, attention.key_norm))
    # Normalising multiplies both by sqrt(W); the attention divides their product by sqrt(W).
    return torch.cat((query.expand(config.num_heads, -1), (key * root).expand(config.num_kv_heads, -1)))
