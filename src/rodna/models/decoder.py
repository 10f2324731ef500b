"""The whole model: one decoder-only transformer whose typed fields give GPT-2, GPT-J, LLaMA and Qwen3.

Shapes: B batch, T positions, D width, H heads, K key/value heads, W head width, F feed-forward width, V vocabulary.

Parameters are float32; matrix products run in the `compute_dtype` given to `forward`, each weight being cast where it is used.
The code knows one device: compilation and parallelism are applied from outside. Generating with a cache is `engine.py`'s.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rodna.models.config import ModelConfig

INITIAL_STD = 0.02
"""Standard deviation of fresh weights. Reference: Radford et al. 2019 (GPT-2), section 2.3."""


class Linear(nn.Linear):
    """A linear layer that computes in its input's dtype, whatever its weight is kept in."""

    def forward(self, input: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return F.linear(input, self.weight.to(input.dtype), bias)


class Norm(nn.Module):
    """RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467) or LayerNorm; statistics in float32, result in the input's dtype."""

    def __init__(self, width: int, config: ModelConfig) -> None:
        super().__init__()
        self.epsilon = config.norm_epsilon
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if config.norm == "layer" else None

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


class Attention(nn.Module):
    """Causal self-attention with grouped queries (Ainslie et al. 2023, arXiv:2305.13245) and optional query/key norms."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        query, key_value = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
        self.query = Linear(config.width, query, bias=config.attention_bias)
        self.key = Linear(config.width, key_value, bias=config.attention_bias)
        self.value = Linear(config.width, key_value, bias=config.attention_bias)
        self.output = Linear(query, config.width, bias=config.attention_bias)
        self.query_norm = Norm(config.head_width, config) if config.qk_norm else nn.Identity()
        self.key_norm = Norm(config.head_width, config) if config.qk_norm else nn.Identity()

    def forward(self, x_BTD: Tensor, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
        config = self.config
        queries = self.query_norm(self.query(x_BTD).unflatten(-1, (config.num_heads, config.head_width)))
        keys = self.key_norm(self.key(x_BTD).unflatten(-1, (config.num_kv_heads, config.head_width)))
        values = self.value(x_BTD).unflatten(-1, (config.num_kv_heads, config.head_width))
        if rotary is not None:
            queries, keys = (rotate(x, *rotary, pairs=config.rotary_pairs) for x in (queries, keys))
        queries_BHTW, keys_BKTW, values_BKTW = (x.transpose(1, 2) for x in (queries, keys, values))
        attended = attend(queries_BHTW, keys_BKTW, values_BKTW)
        return self.output(attended.transpose(1, 2).flatten(2))


ATTENTION_BLOCKS = 4
"""Slices of queries that compiled attention on a CPU takes one after another: each meets only the keys before its end."""


def attend(queries_BHTW: Tensor, keys_BKTW: Tensor, values_BKTW: Tensor) -> Tensor:
    """Causal attention."""
    if queries_BHTW.device.type == "cpu" and torch.compiler.is_compiling():
        return attend_in_slices(queries_BHTW, keys_BKTW, values_BKTW)
    grouped = queries_BHTW.shape[1] != keys_BKTW.shape[1]
    return F.scaled_dot_product_attention(queries_BHTW, keys_BKTW, values_BKTW, is_causal=True, enable_gqa=grouped)


def attend_in_slices(queries_BHTW: Tensor, keys_BKTW: Tensor, values_BKTW: Tensor) -> Tensor:
    """Causal attention as matrix products and softmax, which a compiler for CPUs runs faster than torch's fused kernel there."""
    length, width = queries_BHTW.shape[2:]
    group = queries_BHTW.shape[1] // keys_BKTW.shape[1]
    if group > 1:
        keys_BKTW, values_BKTW = keys_BKTW.repeat_interleave(group, 1), values_BKTW.repeat_interleave(group, 1)
    size = -(-length // ATTENTION_BLOCKS)
    slices = []
    for start in range(0, length, size):
        end = min(start + size, length)
        scores = (queries_BHTW[:, :, start:end] @ keys_BKTW[:, :, :end].transpose(2, 3)).float() / math.sqrt(width)
        positions = torch.arange(end, device=scores.device)
        scores = scores.masked_fill(positions[start:, None] < positions[None, :], -math.inf)
        # Softmax with the division put off until the keys are summed away: one exponential and one pass less over T x T numbers.
        weights = (scores - scores.detach().amax(-1, keepdim=True)).exp()
        total = weights.sum(-1, keepdim=True)
        slices.append(((weights.to(values_BKTW.dtype) @ values_BKTW[:, :, :end]).float() / total).to(values_BKTW.dtype))
    return torch.cat(slices, 2)


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv:2002.05202) or GPT-2's tanh-approximated GELU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = Linear(config.width, config.ffn_width, bias=config.ffn_bias)
        self.gate = Linear(config.width, config.ffn_width, bias=config.ffn_bias) if config.ffn == "swiglu" else None
        self.down = Linear(config.ffn_width, config.width, bias=config.ffn_bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        up_BTF = self.up(x_BTD)
        inner_BTF = F.gelu(up_BTF, approximate="tanh") if self.gate is None else F.silu(self.gate(x_BTD)) * up_BTF
        return self.down(inner_BTF)


class Block(nn.Module):
    """One layer. Sequential: attention, then feed-forward. Parallel (GPT-J): both from the same normalised input."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = Norm(config.width, config)
        self.attention = Attention(config)
        self.ffn_norm = Norm(config.width, config) if config.block == "sequential" else None
        self.ffn = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    def forward(self, x_BTD: Tensor, rotary: tuple[Tensor, Tensor] | None) -> Tensor:
        normed = self.attention_norm(x_BTD)
        attended = self.dropout(self.attention(normed, rotary))
        if self.ffn_norm is None:
            return x_BTD + attended + self.dropout(self.ffn(normed))
        x_BTD = x_BTD + attended
        return x_BTD + self.dropout(self.ffn(self.ffn_norm(x_BTD)))


class Decoder(nn.Module):
    """A decoder-only language model.

    Args:
        config: shape and behaviour.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.positions = nn.Embedding(config.context_length, config.width) if config.position == "learned" else None
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = Norm(config.width, config)
        self.head = Linear(config.width, config.vocabulary_size, bias=config.head_bias)
        if config.tied_embeddings:
            self.head.weight = self.embedding.weight
        self.checkpoint_activations = False

    @torch.no_grad()
    def initialize(self, *, seed: int) -> "Decoder":
        """Draw fresh weights, the same for the same seed on any device.

        Projections into the residual stream are scaled by 1/sqrt(2 * num_layers). Reference: Radford et al. 2019, section 2.3.
        """
        generator = torch.Generator().manual_seed(seed)
        residual_std = INITIAL_STD / math.sqrt(2 * self.config.num_layers)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                continue
            std = residual_std if name.endswith(("attention.output.weight", "ffn.down.weight")) else INITIAL_STD
            parameter.copy_(torch.empty(parameter.shape).normal_(0, std, generator=generator))
        return self

    def forward(self, tokens_BT: Tensor, *, compute_dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the final normalised features (B, T, D), ready for `logits`.

        Args:
            tokens_BT: int64 token ids.
            compute_dtype: of activations and matrix products.
        """
        positions_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        x_BTD = self.embedding(tokens_BT)
        if self.positions is not None:
            x_BTD = x_BTD + self.positions(positions_T)
        x_BTD = self.dropout(x_BTD.to(compute_dtype))
        rotary = rotary_tables(self.config, positions_T) if self.config.rotary_width else None
        for block in self.blocks:
            x_BTD = checkpoint(block, x_BTD, rotary, use_reentrant=False) if self.checkpoint_activations else block(x_BTD, rotary)
        return self.norm(x_BTD)

    def logits(self, hidden_BTD: Tensor) -> Tensor:
        """Return unnormalised next-token scores (B, T, V) in the features' dtype."""
        return self.head(hidden_BTD)
