"""Attention, and the linear layers and norms that it and the rest of the decoder are made of.

Shapes: B batch, T positions, D width, H heads, K key/value heads, W head width, R rotated pairs.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rodna.models.config import ModelConfig


class Linear(nn.Linear):
    """A linear layer that computes in its input's dtype, whatever its weight is kept in."""

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return F.linear(input, self.weight.to(input.dtype), bias)


class Norm(nn.Module):
    """RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467) or LayerNorm; statistics in float32, result in the input's dtype.

    A head's norm is always an RMSNorm.
    """

    def __init__(self, width: int, config: ModelConfig, *, of_head: bool = False) -> None:
        super().__init__()
        self.epsilon = config.norm_epsilon
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if config.norm == "layer" and not of_head else None

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        if self.bias is not None:
            return F.layer_norm(wide, wide.shape[-1:], self.weight.float(), self.bias.float(), self.epsilon).to(x.dtype)
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return (wide * scale * self.weight).to(x.dtype)


def rotary_tables(config: ModelConfig, positions_T: Tensor) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of shape (T, rotary_width / 2). Reference: Su et al. 2021, arXiv:2104.09864."""
    exponents = torch.arange(0, config.rotary_width, 2, device=positions_T.device, dtype=torch.float32) / config.rotary_width
    angles = positions_T.float()[:, None] * config.rotary_base ** -exponents[None, :]
    return angles.cos(), angles.sin()


def rotate(x_BTHW: Tensor, cos_TR: Tensor, sin_TR: Tensor, *, pairs: str) -> Tensor:
    """Rotate the leading 2R features of each head by its position's angles; the rest passes through."""
    rotated, rest = x_BTHW.split([2 * cos_TR.shape[1], x_BTHW.shape[-1] - 2 * cos_TR.shape[1]], dim=-1)
    cos, sin = cos_TR[:, None, :].to(x_BTHW.dtype), sin_TR[:, None, :].to(x_BTHW.dtype)
    first, second = rotated.chunk(2, dim=-1) if pairs == "halves" else (rotated[..., ::2], rotated[..., 1::2])
    turned = (first * cos - second * sin, second * cos + first * sin)
    joined = torch.cat(turned, dim=-1) if pairs == "halves" else torch.stack(turned, dim=-1).flatten(-2)
    return torch.cat((joined, rest), dim=-1) if rest.shape[-1] else joined


class Reach(NamedTuple):
    """What a layer sees besides its input; a plain decoder's sees nothing.

    Attributes:
        start_BTD: the embeddings, as they entered the first layer.
        skip_BTD: the output of the layer's counterpart in the first half.
        values_BTKW: the first layer's values.
        kept_2B11: of attention and feed-forward: 0 where a row leaves them out, else 1 / the chance of keeping them.
        open_B: bool, rows that are read in both directions.
        spared_2BTD: bool, what dropout leaves of attention and feed-forward; None: it draws for itself.
    """

    start_BTD: Tensor | None = None
    skip_BTD: Tensor | None = None
    values_BTKW: Tensor | None = None
    kept_2B11: Tensor | None = None
    open_B: Tensor | None = None
    spared_2BTD: Tensor | None = None


NOTHING = Reach()


def unit_rms(x: Tensor) -> Tensor:
    """Return x with a root mean square of 1 over its last dimension."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps)).to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with grouped queries (Ainslie et al. 2023, arXiv:2305.13245) and optional query/key norms."""

    def __init__(self, config: ModelConfig, *, index: int) -> None:
        super().__init__()
        self.config = config
        query, key_value = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
        self.query = Linear(config.width, query, bias=config.attention_bias)
        self.key = Linear(config.width, key_value, bias=config.attention_bias)
        self.value = Linear(config.width, key_value, bias=config.attention_bias)
        self.output = Linear(query, config.width, bias=config.attention_bias)
        self.query_norm = Norm(config.head_width, config, of_head=True) if config.qk_norm else nn.Identity()
        self.key_norm = Norm(config.head_width, config, of_head=True) if config.qk_norm else nn.Identity()

        self.gate = Linear(config.width, config.num_heads, bias=False) if config.attention_gates else None
        projects = config.value_residual == "embedding"
        self.start_value = Linear(config.width, key_value, bias=False) if projects else None
        self.start_gate = Linear(config.width, config.num_kv_heads, bias=False) if projects else None
        mixes = config.value_residual == "first_layer" and index > 0
        self.value_mix = nn.Parameter(torch.full((2,), 0.5)) if mixes else None

    def forward(self, x_BTD: Tensor, rotary: tuple[Tensor, Tensor] | None, reach: Reach = NOTHING) -> tuple[Tensor, Tensor]:
        """Return what attention adds (B, T, D), and its values (B, T, K, W)."""
        config = self.config
        queries = self.query_norm(self.query(x_BTD).unflatten(-1, (config.num_heads, config.head_width)))
        keys = self.key_norm(self.key(x_BTD).unflatten(-1, (config.num_kv_heads, config.head_width)))
        values = self.values(x_BTD, reach)
        if rotary is not None:
            queries, keys = (rotate(x, *rotary, pairs=config.rotary_pairs) for x in (queries, keys))
        queries_BHTW, keys_BKTW, values_BKTW = (x.transpose(1, 2) for x in (queries, keys, values))
        attended = attend(queries_BHTW, keys_BKTW, values_BKTW, reach.open_B).transpose(1, 2)
        if self.gate is not None:
            attended = attended * open_gates(self.gate, x_BTD)
        return self.output(attended.flatten(2)), values

    def values(self, x_BTD: Tensor, reach: Reach) -> Tensor:
        """Return the layer's values (B, T, K, W), mixed with those of the first layer or of the embedding where it is so made."""
        values_BTKW = self.value(x_BTD).unflatten(-1, (self.config.num_kv_heads, self.config.head_width))
        if self.start_value is not None and self.start_gate is not None and reach.start_BTD is not None:
            start_BTKW = self.start_value(unit_rms(reach.start_BTD)).view_as(values_BTKW)
            return values_BTKW + start_BTKW * open_gates(self.start_gate, x_BTD)
        if self.value_mix is not None and reach.values_BTKW is not None:
            own, first = self.value_mix.to(values_BTKW.dtype)
            return own * values_BTKW + first * reach.values_BTKW
        return values_BTKW


def open_gates(gate: Linear, x_BTD: Tensor) -> Tensor:
    """Return a gate for each head (B, T, H, 1), from 0 to 2: fresh gates, whose weights are 0, change nothing."""
    return 2 * gate(x_BTD).sigmoid().unsqueeze(-1)


ATTENTION_BLOCKS = 4
"""Slices of queries that compiled attention on a CPU takes one after another: each meets only the keys before its end."""


def attend(queries_BHTW: Tensor, keys_BKTW: Tensor, values_BKTW: Tensor, open_B: Tensor | None = None) -> Tensor:
    """Attend causally; in both directions in the rows that are `open_B`."""
    if queries_BHTW.device.type == "cpu" and torch.compiler.is_compiling():
        return attend_in_slices(queries_BHTW, keys_BKTW, values_BKTW, open_B)
    grouped = queries_BHTW.shape[1] != keys_BKTW.shape[1]
    if open_B is None:
        return F.scaled_dot_product_attention(queries_BHTW, keys_BKTW, values_BKTW, is_causal=True, enable_gqa=grouped)
    length = queries_BHTW.shape[2]
    seen_B1TT = torch.ones(length, length, dtype=torch.bool, device=open_B.device).tril() | open_B[:, None, None, None]
    return F.scaled_dot_product_attention(queries_BHTW, keys_BKTW, values_BKTW, attn_mask=seen_B1TT, enable_gqa=grouped)


def attend_in_slices(queries_BHTW: Tensor, keys_BKTW: Tensor, values_BKTW: Tensor, open_B: Tensor | None = None) -> Tensor:
    """Do as `attend`, as matrix products and softmax, which a compiler for CPUs runs faster than torch's fused kernel there."""
    length, width = queries_BHTW.shape[2:]
    group = queries_BHTW.shape[1] // keys_BKTW.shape[1]
    if group > 1:
        keys_BKTW, values_BKTW = keys_BKTW.repeat_interleave(group, 1), values_BKTW.repeat_interleave(group, 1)
    size = -(-length // ATTENTION_BLOCKS)
    slices = []
    for start in range(0, length, size):
        end = min(start + size, length)
        last = end if open_B is None else length
        scores = (queries_BHTW[:, :, start:end] @ keys_BKTW[:, :, :last].transpose(2, 3)).float() / math.sqrt(width)
        positions = torch.arange(last, device=scores.device)
        future = positions[start:end, None] < positions[None, :]
        scores = scores.masked_fill(future if open_B is None else future & ~open_B[:, None, None, None], -math.inf)
        # Softmax with the division put off until the keys are summed away: one exponential and one pass less over T x T numbers.
        weights = (scores - scores.detach().amax(-1, keepdim=True)).exp()
        total = weights.sum(-1, keepdim=True)
        slices.append(((weights.to(values_BKTW.dtype) @ values_BKTW[:, :, :last]).float() / total).to(values_BKTW.dtype))
    return torch.cat(slices, 2)
