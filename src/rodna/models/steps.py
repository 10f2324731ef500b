"""The architecture steps of `ModelConfig`, laid out for generating: what the engine does beside a plain decoder's work.

Everything here is of one position at a time: the cache holds mixed values, and nothing else need be remembered.

Shapes: N rows, D width, H query heads, K key/value heads, W head width.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from rodna.models.attention import unit_rms
from rodna.models.config import ModelConfig
from rodna.models.decoder import Block
from rodna.models.layout import Matrix, after_norm, plain


class LayerSteps(NamedTuple):
    """One layer's weights of the steps it has; matrices that read its normalised input have the norm folded in."""

    gate: Matrix | None
    start_value: Matrix | None
    start_gate: Matrix | None
    value_mix: Tensor | None
    skip_scale: Tensor | None
    stream_scale: Tensor | None
    start_scale: Tensor | None


def lay_out_steps(config: ModelConfig, block: Block) -> LayerSteps:
    """Return a block's weights that `layout.lay_out` leaves out."""
    attention = block.attention

    def folded(linear: torch.nn.Linear | None) -> Matrix | None:
        return None if linear is None else after_norm(config, block.attention_norm, [linear])

    vectors = (attention.value_mix, block.skip_scale, block.stream_scale, block.start_scale)
    return LayerSteps(
        folded(attention.gate),
        None if attention.start_value is None else plain(attention.start_value),
        folded(attention.start_gate),
        *(None if vector is None else vector.detach() for vector in vectors),
    )


class Walk:
    """One pass of some positions through the layers.

    Args:
        config: the decoder's.
        layers: of `lay_out_steps`.
        start_ND: the embeddings of the positions.
    """

    def __init__(self, config: ModelConfig, layers: list[LayerSteps], start_ND: Tensor) -> None:
        self.config, self.layers, self.start_ND = config, layers, start_ND
        self.unit_ND = unit_rms(start_ND) if config.value_residual == "embedding" else start_ND
        self.first_NKW: Tensor | None = None
        self.outputs: dict[int, Tensor] = {}

    def enter(self, index: int, x_ND: Tensor) -> Tensor:
        """Return a layer's input; see `Block.enter`."""
        layer = self.layers[index]
        if layer.skip_scale is not None:
            x_ND = x_ND + layer.skip_scale * self.outputs[self.config.num_layers - 1 - index]
        if layer.stream_scale is not None and layer.start_scale is not None:
            x_ND = layer.stream_scale * x_ND + layer.start_scale * self.start_ND
        return x_ND

    def mix_values(self, index: int, normed_ND: Tensor, values_NKW: Tensor) -> None:
        """Change a layer's values in place; see `Attention.values`."""
        layer = self.layers[index]
        if layer.start_value is not None and layer.start_gate is not None:
            values_NKW.addcmul_(layer.start_value(self.unit_ND).view_as(values_NKW), _open(layer.start_gate, normed_ND))
        elif layer.value_mix is not None and self.first_NKW is not None:
            values_NKW.mul_(layer.value_mix[0]).add_(layer.value_mix[1] * self.first_NKW)
        if self.config.value_residual == "first_layer" and self.first_NKW is None:
            self.first_NKW = values_NKW.clone()

    def gate(self, index: int, normed_ND: Tensor, attended_ND: Tensor) -> Tensor:
        """Return what a layer's heads found, each times its gate."""
        gate = self.layers[index].gate
        if gate is None:
            return attended_ND
        return (attended_ND.unflatten(1, (self.config.num_heads, -1)) * _open(gate, normed_ND)).flatten(1)

    def leave(self, index: int, x_ND: Tensor) -> None:
        """Remember a layer's output where a later one adds it."""
        if self.config.unet_skips and index < self.config.num_layers // 2:
            self.outputs[index] = x_ND


def _open(gate: Matrix, normed_ND: Tensor) -> Tensor:
    return 2 * gate(normed_ND).sigmoid().unsqueeze(-1)
