"""The model: one decoder-only transformer whose typed fields give GPT-2, GPT-J, LLaMA and Qwen3.

Shapes: B batch, T positions, D width, H heads, K key/value heads, W head width, F feed-forward width, V vocabulary.

Parameters are float32; matrix products run in the `compute_dtype` given to `forward`, each weight being cast where it is used.
The code knows one device: compilation and parallelism are applied from outside. Generating with a cache is `engine.py`'s.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rodna.models.attention import NOTHING, Attention, Linear, Norm, Reach, rotary_tables
from rodna.models.config import ModelConfig
from rodna.models.dropout import Dropout

INITIAL_STD = 0.02
"""Standard deviation of fresh weights. Reference: Radford et al. 2019 (GPT-2), section 2.3."""

ZERO_AT_FIRST = (".bias", "attention.gate.weight", "attention.start_gate.weight")
"""Endings of names: biases, and gates, which so begin as factors of 1."""


class Masking(NamedTuple):
    """What makes of some rows masked text, read in both directions.

    Attributes:
        hidden_BT: bool, the inputs whose embedding is replaced.
        open_B: bool, the rows in which every position sees every other.
        vector_D: what stands for a hidden input.
    """

    hidden_BT: Tensor
    open_B: Tensor
    vector_D: Tensor


def soft_cap(logits: Tensor, cap: float) -> Tensor:
    """Keep logits within plus and minus `cap`; 0 leaves them alone. Reference: Gemma 2, arXiv:2408.00118, section 2."""
    return (logits.float() / cap).tanh().mul(cap).to(logits.dtype) if cap else logits


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv:2002.05202), GPT-2's tanh-approximated GELU, or the square of a ReLU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.up = Linear(config.width, config.ffn_width, bias=config.ffn_bias)
        self.gate = Linear(config.width, config.ffn_width, bias=config.ffn_bias) if config.ffn == "swiglu" else None
        self.down = Linear(config.ffn_width, config.width, bias=config.ffn_bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        up_BTF = self.up(x_BTD)
        if self.gate is not None:
            return self.down(F.silu(self.gate(x_BTD)) * up_BTF)
        return self.down(F.relu(up_BTF).square() if self.config.ffn == "relu2" else F.gelu(up_BTF, approximate="tanh"))


class Block(nn.Module):
    """One layer. Sequential: attention, then feed-forward. Parallel (GPT-J): both from the same normalised input.

    Args:
        config: the decoder's.
        index: of the layer.
    """

    def __init__(self, config: ModelConfig, *, index: int) -> None:
        super().__init__()
        self.attention_norm = Norm(config.width, config)
        self.attention = Attention(config, index=index)
        self.ffn_norm = Norm(config.width, config) if config.block == "sequential" else None
        self.ffn = FeedForward(config)
        self.dropout = Dropout(config.dropout)
        skips = config.unet_skips and index >= config.num_layers - config.num_layers // 2
        self.skip_scale = nn.Parameter(torch.ones(1)) if skips else None
        self.stream_scale = nn.Parameter(torch.ones(1)) if config.residual_scalars else None
        self.start_scale = nn.Parameter(torch.zeros(1)) if config.residual_scalars else None
        self.lends_values = config.value_residual == "first_layer" and index == 0

    def forward(self, x_BTD: Tensor, rotary: tuple[Tensor, Tensor] | None, reach: Reach = NOTHING) -> tuple[Tensor, Tensor | None]:
        """Return the layer's output (B, T, D) and, where later layers need them, its values (B, T, K, W)."""
        x_BTD = self.enter(x_BTD, reach)
        normed = self.attention_norm(x_BTD)
        attended, values = self.attention(normed, rotary, reach)
        attended = self.dropout(attended, None if reach.spared_2BTD is None else reach.spared_2BTD[0])
        lent = values if self.lends_values else None
        if reach.kept_2B11 is not None:
            attended = attended * reach.kept_2B11[0]
        if self.ffn_norm is None:
            return x_BTD + attended + self._feed(normed, reach), lent
        x_BTD = x_BTD + attended
        return x_BTD + self._feed(self.ffn_norm(x_BTD), reach), lent

    def enter(self, x_BTD: Tensor, reach: Reach) -> Tensor:
        """Return the layer's input: the stream, with its counterpart's output and the embedding where it is so made."""
        if self.skip_scale is not None and reach.skip_BTD is not None:
            x_BTD = x_BTD + self.skip_scale.to(x_BTD.dtype) * reach.skip_BTD
        if self.stream_scale is not None and self.start_scale is not None and reach.start_BTD is not None:
            x_BTD = self.stream_scale.to(x_BTD.dtype) * x_BTD + self.start_scale.to(x_BTD.dtype) * reach.start_BTD
        return x_BTD

    def _feed(self, normed_BTD: Tensor, reach: Reach) -> Tensor:
        change = self.dropout(self.ffn(normed_BTD), None if reach.spared_2BTD is None else reach.spared_2BTD[1])
        return change if reach.kept_2B11 is None else change * reach.kept_2B11[1]


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
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, index=index) for index in range(config.num_layers))
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
            if name.endswith(ZERO_AT_FIRST):
                parameter.zero_()
            if name.endswith(ZERO_AT_FIRST) or parameter.ndim == 1:
                continue
            std = residual_std if name.endswith(("attention.output.weight", "ffn.down.weight")) else INITIAL_STD
            parameter.copy_(torch.empty(parameter.shape).normal_(0, std, generator=generator))
        return self

    def forward(self, tokens_BT: Tensor, *, compute_dtype: torch.dtype = torch.float32, masking: Masking | None = None) -> Tensor:
        """Return the final normalised features (B, T, D), ready for `logits`.

        Args:
            tokens_BT: int64 token ids.
            compute_dtype: of activations and matrix products.
            masking: reads some rows as masked text; only training does.
        """
        positions_T = torch.arange(tokens_BT.shape[1], device=tokens_BT.device)
        x_BTD = self.embedding(tokens_BT)
        if masking is not None:
            x_BTD = torch.where(masking.hidden_BT[..., None], masking.vector_D.to(x_BTD.dtype), x_BTD)
        if self.positions is not None:
            x_BTD = x_BTD + self.positions(positions_T)
        x_BTD = x_BTD.to(compute_dtype)
        x_BTD = self.dropout(x_BTD, self.dropout.draw(*x_BTD.shape) if self.dropout.draws(x_BTD) else None)
        rotary = rotary_tables(self.config, positions_T) if self.config.rotary_width else None
        drops = self.training and self.config.stochastic_depth > 0
        if masking is not None or drops or self.config.has_steps:
            return self.norm(self._run(x_BTD, rotary, drops=drops, open_B=None if masking is None else masking.open_B))
        for block in self.blocks:
            x_BTD, _ = self._call(block, x_BTD, rotary, self._spare(x_BTD, NOTHING))
        return self.norm(x_BTD)

    def _spare(self, x_BTD: Tensor, reach: Reach) -> Reach:
        """Return a layer's reach with what dropout leaves of it, where that is drawn outside."""
        return reach._replace(spared_2BTD=self.dropout.draw(2, *x_BTD.shape)) if self.dropout.draws(x_BTD) else reach

    def _run(self, x_BTD: Tensor, rotary: tuple[Tensor, Tensor] | None, *, drops: bool, open_B: Tensor | None) -> Tensor:
        """Run the layers, handing each what it may see besides its input."""
        config, order = self.config, self.config.layer_order
        start_BTD = x_BTD if config.residual_scalars or config.value_residual == "embedding" else None
        kept = self._kept(x_BTD, order).unbind() if drops else [None] * len(order)
        outputs: dict[int, Tensor] = {}
        values = None
        for index, kept_2B11 in zip(order, kept, strict=True):
            skip = outputs.get(config.num_layers - 1 - index) if index >= config.num_layers - config.num_layers // 2 else None
            reach = self._spare(x_BTD, Reach(start_BTD, skip, values, kept_2B11, open_B))
            x_BTD, lent = self._call(self.blocks[index], x_BTD, rotary, reach)
            values = lent if values is None else values
            if config.unet_skips and index < config.num_layers // 2:
                outputs[index] = x_BTD
        return x_BTD

    def _call(self, block: nn.Module, *inputs: object) -> tuple[Tensor, Tensor | None]:
        return checkpoint(block, *inputs, use_reentrant=False) if self.checkpoint_activations else block(*inputs)

    def _kept(self, x_BTD: Tensor, order: list[int]) -> Tensor:
        """Draw which rows leave out which layers: factors (runs, 2, B, 1, 1) that keep every layer's expectation.

        One draw outside the blocks, so that the same seed drops the same layers whether these are compiled or not.
        """
        depth_R = torch.tensor(order, device=x_BTD.device) + 1
        chance_R1111 = (1 - self.config.stochastic_depth * depth_R / self.config.num_layers).view(-1, 1, 1, 1, 1)
        draws = torch.rand((len(order), 2, x_BTD.shape[0], 1, 1), device=x_BTD.device)
        return ((draws < chance_R1111) / chance_R1111).to(x_BTD.dtype)

    def logits(self, hidden_BTD: Tensor) -> Tensor:
        """Return unnormalised next-token scores (B, T, V) in the features' dtype, capped where the model caps them."""
        return soft_cap(self.head(hidden_BTD), self.config.logit_softcap)
