"""A decoder laid out for generating: few, large operations a token, and a cache of keys and values.

At batch 1 on a CPU the arithmetic of a small model is cheap and every operation's call costs microseconds; `layout.py`
joins weights so that there are few.

Shapes: B rows, T positions, N rows or positions, D width, H query heads, K key/value heads, G = H/K, W head width, S cached positions.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from rodna.models.decoder import Block, Decoder, soft_cap
from rodna.models.layout import after_norm, lay_out, rotations
from rodna.models.single import SingleStep
from rodna.models.steps import Walk, lay_out_steps

Attend = Callable[[int, Tensor], Tensor]


class Engine:
    """A copy of a decoder's weights that continues token sequences, each in its own slot of a cache.

    Args:
        decoder: copied; later changes to it are not seen.
        num_tokens: of the tokenizer; scores of rows that a padded vocabulary adds are left out.
        num_slots: sequences held at once.
        capacity: most positions of a sequence; at most the context length.
        half: keep matrices in float16, with sums in float32: on a CPU, where reading them is most of the work, single texts are written
            about twice as fast in half of the memory, with scores off by about 0.1%; many texts at once are written slower.
    """

    @torch.inference_mode()
    def __init__(self, decoder: Decoder, *, num_tokens: int, num_slots: int = 1, capacity: int | None = None, half: bool = False) -> None:
        config = decoder.config
        self.config = config
        self.capacity = min(capacity or config.context_length, config.context_length)
        self.num_tokens = num_tokens
        weight = decoder.embedding.weight
        self.device, self.dtype = weight.device, torch.float32 if half else weight.dtype
        self.embedding = weight.detach()
        self.positions = None if decoder.positions is None else decoder.positions.weight.detach()
        blocks = [cast("Block", block) for block in decoder.blocks]
        self.layers = [lay_out(config, block) for block in blocks]
        self.steps = [lay_out_steps(config, block) for block in blocks] if config.has_steps else None
        self.head = after_norm(config, decoder.norm, [decoder.head], num_outputs=num_tokens)
        if half:
            self.layers = [layer.halved() for layer in self.layers]
            self.head = self.head.halved()
        self.turns_SR = rotations(config, self.capacity, self.device)
        self.cache_L2BKSW = torch.zeros(
            (len(config.layer_order), 2, num_slots, config.num_kv_heads, self.capacity, config.head_width),
            device=self.device, dtype=self.dtype,
        )  # fmt: skip
        self._layer_caches = list(self.cache_L2BKSW.unbind())
        # sqrt(|x|^2 + width * epsilon), so that x / that * sqrt(width) is RMSNorm; the last factor is in the matrices.
        self._floor = torch.tensor(math.sqrt(config.width * config.norm_epsilon), device=self.device)
        self._head_floor = torch.tensor(math.sqrt(config.head_width * config.norm_epsilon), device=self.device)
        self._single = None
        if self.dtype == torch.float32 and not config.has_steps:
            floors = (self._floor, self._head_floor)
            self._single = SingleStep(config, self.layers, self.cache_L2BKSW[:, :, 0], self.turns_SR, floors)

    @property
    def num_slots(self) -> int:
        return self.cache_L2BKSW.shape[2]

    @torch.inference_mode()
    def start(self, tokens: Sequence[int], slot: int = 0) -> Tensor:
        """Fill a slot with a sequence; return the scores (num_tokens,) of what follows, in float32.

        Args:
            tokens: 1 to `capacity` ids.
            slot: what it held is forgotten.
        """
        num_new = len(tokens)
        assert 0 < num_new <= self.capacity, f"a slot holds 1 to {self.capacity} tokens, not {num_new}"
        x_TD = self._embed(torch.tensor(tokens, device=self.device), slice(0, num_new))
        heads, turns_TR = self.config.num_heads, self.turns_SR[:num_new, None]

        def attend(layer: int, qkv_TNW: Tensor) -> Tensor:
            queries_THW, keys_values = qkv_TNW.split((heads, qkv_TNW.shape[1] - heads), dim=1)
            new_2KTW = keys_values.unflatten(1, (2, -1)).permute(1, 2, 0, 3)
            self._layer_caches[layer][:, slot, :, :num_new] = new_2KTW
            keys_KTW, values_KTW = new_2KTW.to(queries_THW.dtype).repeat_interleave(heads // self.config.num_kv_heads, dim=1)
            attended_HTW = F.scaled_dot_product_attention(queries_THW.transpose(0, 1)[None], keys_KTW[None], values_KTW[None],
                                                          is_causal=True, scale=1.0)[0]  # fmt: skip
            return attended_HTW.transpose(0, 1).flatten(1)

        return self._score(self._run(x_TD, turns_TR, attend)[-1:])[0]

    @torch.inference_mode()
    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Add one token to each of the first slots; return the scores (B, num_tokens) of what follows, in float32.

        Args:
            tokens: one id for each of slots 0 to B - 1.
            positions: of these tokens; each equals the number of tokens its slot holds.
        """
        num_rows = len(tokens)
        if num_rows == 1 and self._single is not None:
            start_D = self.embedding[tokens[0]]
            if self.positions is not None:
                start_D = start_D + self.positions[positions[0]]
            return self._score(self._single.run(start_D, positions[0]))
        if num_rows == 1:
            position = positions[0]
            place, turns = slice(position, position + 1), self.turns_SR[position : position + 1]
            attend = self._attend_one(position)
        else:
            place = torch.tensor(positions, device=self.device)
            turns = self.turns_SR[place, None]
            attend = self._attend_many(place, max(positions) + 1)
        return self._score(self._run(self._embed(torch.tensor(tokens, device=self.device), place), turns, attend))

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Copy what one slot holds to another."""
        self.cache_L2BKSW[:, :, target] = self.cache_L2BKSW[:, :, source]

    def _attend_one(self, position: int) -> Attend:
        kv_heads, heads, end, width = self.config.num_kv_heads, self.config.num_heads, position + 1, self.config.head_width
        group = heads // kv_heads

        def attend(layer: int, qkv_1NW: Tensor) -> Tensor:
            cache_2KSW = self._layer_caches[layer][:, 0, :, :end]
            cache_2KSW[:, :, position] = qkv_1NW[0, heads:].view(2, kv_heads, width)
            keys_KSW, values_KSW = cache_2KSW.unbind()
            scores_KGS = torch.bmm(qkv_1NW[0, :heads].view(kv_heads, group, width), keys_KSW.transpose(1, 2))
            return torch.bmm(scores_KGS.softmax(-1), values_KSW).view(1, heads * width)

        return attend

    def _attend_many(self, positions_B: Tensor, end: int) -> Attend:
        kv_heads, heads, width, num_rows = self.config.num_kv_heads, self.config.num_heads, self.config.head_width, len(positions_B)
        group = heads // kv_heads
        rows_B = torch.arange(num_rows, device=self.device)
        future_B11S = (torch.arange(end, device=self.device) > positions_B[:, None])[:, None, None]

        def attend(layer: int, qkv_BNW: Tensor) -> Tensor:
            cache_2BKSW = self._layer_caches[layer][:, :num_rows]
            cache_2BKSW[:, rows_B, :, positions_B] = qkv_BNW[:, heads:].view(num_rows, 2, kv_heads, width)
            keys_NSW, values_NSW = cache_2BKSW[..., :end, :].flatten(1, 2).unbind()
            queries_NGW = qkv_BNW[:, :heads].reshape(num_rows * kv_heads, group, width)
            scores_BKGS = torch.bmm(queries_NGW, keys_NSW.transpose(1, 2)).view(num_rows, kv_heads, group, end)
            weights_NGS = scores_BKGS.masked_fill_(future_B11S, -math.inf).softmax(-1).view(-1, group, end)
            return torch.bmm(weights_NGS, values_NSW).view(num_rows, heads * width)

        return attend

    def _embed(self, tokens_N: Tensor, positions: slice | Tensor) -> Tensor:
        x_ND = self.embedding[tokens_N].to(self.dtype)
        return x_ND if self.positions is None else x_ND + self.positions[positions]

    def _run(self, x_ND: Tensor, turns: Tensor, attend: Attend) -> Tensor:
        """Run the layers; return the features, not yet normalised."""
        config = self.config
        parallel, shape = config.block == "parallel", (-1, config.head_width)
        rotated, turned = config.num_heads + config.num_kv_heads, config.rotary_width
        walk = None if self.steps is None else Walk(config, self.steps, x_ND)
        for run, index in enumerate(config.layer_order):
            layer = self.layers[index]
            if walk is not None:
                x_ND = walk.enter(index, x_ND)
            normed_ND = self._normalise(x_ND)
            qkv_NHW = layer.qkv(normed_ND).unflatten(1, shape)
            qk_NHW = qkv_NHW[:, :rotated]
            if layer.qk_scale is not None:
                norm_NH1 = torch.linalg.vector_norm(qk_NHW, dim=-1, keepdim=True)
                qk_NHW.mul_(layer.qk_scale / torch.hypot(norm_NH1, self._head_floor))
            if turned:
                rotate(qk_NHW[..., :turned], turns)
            if walk is not None:
                walk.mix_values(index, normed_ND, qkv_NHW[:, rotated:])
            attended_ND = attend(run, qkv_NHW)
            if walk is not None:
                attended_ND = walk.gate(index, normed_ND, attended_ND)
            attended_ND = layer.output(attended_ND)
            if not parallel:
                x_ND = x_ND + attended_ND
                normed_ND = self._normalise(x_ND)
            x_ND = x_ND + layer.down(self._activate(layer.up(normed_ND)))
            if parallel:
                x_ND = x_ND + attended_ND
            if walk is not None:
                walk.leave(index, x_ND)
        return x_ND

    def _activate(self, inner_NF: Tensor) -> Tensor:
        ffn = self.config.ffn_width
        if self.config.ffn == "swiglu":
            return F.silu(inner_NF[:, :ffn]).mul_(inner_NF[:, ffn:])
        return F.relu(inner_NF).square() if self.config.ffn == "relu2" else F.gelu(inner_NF, approximate="tanh")

    def _normalise(self, x_ND: Tensor) -> Tensor:
        if self.config.norm == "layer":
            return F.layer_norm(x_ND, (self.config.width,), None, None, self.config.norm_epsilon)
        return x_ND / torch.hypot(torch.linalg.vector_norm(x_ND, dim=-1, keepdim=True), self._floor)

    def _score(self, x_ND: Tensor) -> Tensor:
        normed_ND = self._normalise(x_ND)
        if len(normed_ND) == 1 and self.head.weight.dtype == torch.float16:
            scores_NV = torch.mm(normed_ND.half(), self.head.weight).float()
            scores_NV = scores_NV if self.head.bias is None else scores_NV + self.head.bias
        else:
            scores_NV = self.head(normed_ND).float()
        return soft_cap(scores_NV, self.config.logit_softcap)


def rotate(qk_NHR: Tensor, turns: Tensor) -> None:
    """Rotate each pair of neighbouring features in place, as one complex number."""
    if qk_NHR.dtype == torch.float32:
        torch.view_as_complex(qk_NHR.unflatten(-1, (-1, 2))).mul_(turns)
    else:
        pairs = torch.view_as_complex(qk_NHR.float().unflatten(-1, (-1, 2)))
        qk_NHR.copy_(torch.view_as_real(pairs * turns).flatten(-2))
