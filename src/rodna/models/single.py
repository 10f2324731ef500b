"""One token for one text, in the fewest calls: every buffer, and every view of it, is made once.

At batch 1 a small model's step is some hundred calls of microseconds each, so half of them gone is a third of the time. The
arithmetic is that of `Engine`, in the same order.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from rodna.models.config import ModelConfig
from rodna.models.layout import Layer, Matrix


class SingleStep:
    """Steps slot 0 of an engine's cache.

    Args:
        config: the decoder's.
        layers: the engine's; weights are float32, or float16 where only they are halved.
        cache_L2KSW: the slot's keys and values.
        turns_SR: the rotations of every position, complex.
        floors: square roots of width * epsilon, for the stream and for a head.
    """

    def __init__(
        self, config: ModelConfig, layers: list[Layer], cache_L2KSW: Tensor, turns_SR: Tensor, floors: tuple[Tensor, Tensor]
    ) -> None:
        self.config, self.layers = config, layers
        self.floor, self.head_floor = floors
        heads, kv_heads, width = config.num_heads, config.num_kv_heads, config.head_width
        device, weights = cache_L2KSW.device, layers[0].qkv.weight.dtype
        self.halved = weights == torch.float16

        def buffer(size: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros((1, size), device=device, dtype=dtype)

        self.x, self.normed = buffer(config.width), buffer(config.width, weights)
        self.qkv_in = buffer((heads + 2 * kv_heads) * width, weights)
        self.qkv = buffer((heads + 2 * kv_heads) * width) if self.halved else self.qkv_in
        self.attended = buffer(heads * width)
        self.attended_out = buffer(heads * width, weights) if self.halved else self.attended
        ups = layers[0].up.weight.shape[1]
        self.up, self.inner = buffer(ups, weights), buffer(config.ffn_width, weights)
        self.gated = (self.up[:, : config.ffn_width], self.up[:, config.ffn_width :]) if config.ffn == "swiglu" else None
        self.change = buffer(config.width, weights)
        self.norm_1, self.norm_H = torch.zeros((1, 1), device=device), torch.zeros((heads + kv_heads, 1), device=device)
        qkv_HW = self.qkv.view(-1, width)
        self.qk_HW = qkv_HW[: heads + kv_heads]
        self.queries_KGW = qkv_HW[:heads].view(kv_heads, heads // kv_heads, width)
        self.new_2KW = qkv_HW[heads:].view(2, kv_heads, width)
        self.pairs_HR = torch.view_as_complex(self.qk_HW[:, : config.rotary_width].unflatten(-1, (-1, 2))) if config.rotary_width else None
        self.attended_KGW = self.attended.view(kv_heads, heads // kv_heads, width)
        self.cache_L2KSW, self.turns = cache_L2KSW, turns_SR[:, None].unbind()
        self.keys_LKWS, self.values_LKSW = cache_L2KSW[:, 0].transpose(2, 3), cache_L2KSW[:, 1]

    def run(self, start_D: Tensor, position: int) -> Tensor:
        """Run the layers from one embedding; return the features (1, D), not yet normalised, in a buffer that the next call reuses."""
        end, x, config, pairs = position + 1, self.x, self.config, self.pairs_HR
        x[0] = start_D
        places = self.cache_L2KSW[:, :, :, position].unbind()
        keys, values = self.keys_LKWS[..., :end].unbind(), self.values_LKSW[:, :, :end].unbind()
        turn, parallel = self.turns[position], config.block == "parallel"
        for layer, place_2KW, keys_KWS, values_KSW in zip(self.layers, places, keys, values, strict=True):
            normed = self._normalise()
            _apply(layer.qkv, normed, self.qkv_in)
            if self.halved:
                self.qkv.copy_(self.qkv_in)
            if layer.qk_scale is not None:
                torch.linalg.vector_norm(self.qk_HW, dim=-1, keepdim=True, out=self.norm_H)
                self.qk_HW.mul_(layer.qk_scale).div_(self.norm_H.hypot_(self.head_floor))
            if pairs is not None:
                pairs.mul_(turn)
            place_2KW.copy_(self.new_2KW)
            weights_KGS = torch.softmax(torch.bmm(self.queries_KGW, keys_KWS), -1)
            torch.bmm(weights_KGS, values_KSW, out=self.attended_KGW)
            if parallel:
                self._feed_forward(layer, normed)
                self._attend_out(layer)
            else:
                self._attend_out(layer)
                self._feed_forward(layer, self._normalise())
        return x

    def _attend_out(self, layer: Layer) -> None:
        if self.halved:
            self.attended_out.copy_(self.attended)
        self._add(layer.output, self.attended_out)

    def _feed_forward(self, layer: Layer, normed: Tensor) -> None:
        _apply(layer.up, normed, self.up)
        if self.gated is not None:
            torch.mul(F.silu(self.gated[0]), self.gated[1], out=self.inner)
            self._add(layer.down, self.inner)
        else:
            self._add(layer.down, F.relu(self.up).square() if self.config.ffn == "relu2" else F.gelu(self.up, approximate="tanh"))

    def _add(self, matrix: Matrix, inputs: Tensor) -> None:
        """Add a matrix' product to the stream."""
        if self.halved:
            self.x.add_(torch.mm(inputs, matrix.weight, out=self.change))
        else:
            torch.addmm(self.x, inputs, matrix.weight, out=self.x)
        if matrix.bias is not None:
            self.x.add_(matrix.bias)

    def _normalise(self) -> Tensor:
        if self.config.norm == "layer":
            normed = F.layer_norm(self.x, (self.config.width,), None, None, self.config.norm_epsilon)
            return normed.half() if self.halved else normed
        torch.linalg.vector_norm(self.x, dim=-1, keepdim=True, out=self.norm_1)
        return torch.div(self.x, self.norm_1.hypot_(self.floor), out=self.normed)


def _apply(matrix: Matrix, inputs: Tensor, out: Tensor) -> None:
    torch.mm(inputs, matrix.weight, out=out)
    if matrix.bias is not None:
        out.add_(matrix.bias)
