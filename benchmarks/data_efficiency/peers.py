"""Peers trained by a plain loop: GPT-2, AdamW, random windows of one long stream of tokens.

Written from nanoGPT's description; beLLM's character model is the same architecture with other settings.
Shapes: B rows, T positions, D width, H heads, V vocabulary.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from benchmarks.data_efficiency.recipes import PeerRecipe
from benchmarks.data_efficiency.scoring import Logits, glance
from torch import Tensor, nn

from rodna.data.tokens import Tokens

GLANCE_TOKENS = 16_384
"""Validation tokens scored each time while training; the weights that did best are the ones that count."""
EVALUATIONS = 4
COSINE_FLOOR = 0.1

OnStep = Callable[[int], bool]
"""Called after every step with its number, from 1; training stops where it returns True."""


@dataclass(frozen=True)
class Trained:
    """A trained peer.

    Attributes:
        logits: the model, in evaluation mode, with the weights that did best on validation.
        parameters: trainable numbers.
        curve: (step, about the validation bits per byte).
        best_step: of the curve.
        seconds: building, compiling, training and its evaluations.
    """

    logits: Logits
    parameters: int
    curve: list[tuple[int, float]]
    best_step: int
    seconds: float


class Block(nn.Module):
    """Attention and feed-forward, each behind a layer norm."""

    def __init__(self, recipe: PeerRecipe) -> None:
        super().__init__()
        width = recipe.width
        self.heads, self.dropout = recipe.heads, recipe.dropout
        self.attention_norm, self.ffn_norm = nn.LayerNorm(width, bias=False), nn.LayerNorm(width, bias=False)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        inner = recipe.ffn_width or 4 * width
        self.up, self.down = nn.Linear(width, inner, bias=False), nn.Linear(inner, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        parts = self.qkv(self.attention_norm(x_BTD)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        queries_BHTW, keys_BHTW, values_BHTW = parts.unbind(0)
        dropout = self.dropout if self.training else 0.0
        seen_BHTW = F.scaled_dot_product_attention(queries_BHTW, keys_BHTW, values_BHTW, dropout_p=dropout, is_causal=True)
        x_BTD = x_BTD + self._drop(self.out(seen_BHTW.transpose(1, 2).flatten(2)))
        return x_BTD + self._drop(self.down(F.gelu(self.up(self.ffn_norm(x_BTD)))))

    def _drop(self, x_BTD: Tensor) -> Tensor:
        return F.dropout(x_BTD, self.dropout, self.training)


class GPT(nn.Module):
    """GPT-2 without biases, embedding and head shared. Reference: Radford et al. 2019; initial sizes as there."""

    def __init__(self, recipe: PeerRecipe, vocabulary: int) -> None:
        super().__init__()
        self.dropout = recipe.dropout
        self.embedding, self.position = nn.Embedding(vocabulary, recipe.width), nn.Embedding(recipe.context, recipe.width)
        self.blocks = nn.ModuleList(Block(recipe) for _ in range(recipe.layers))
        self.norm = nn.LayerNorm(recipe.width, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                is_residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * recipe.layers) if is_residual else 0.02)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        x_BTD = self.embedding(tokens_BT) + self.position.weight[: tokens_BT.shape[1]]
        x_BTD = F.dropout(x_BTD, self.dropout, self.training)
        for block in self.blocks:
            x_BTD = block(x_BTD)
        return F.linear(self.norm(x_BTD), self.embedding.weight)


def train_plain(
    recipe: PeerRecipe,
    train: Tokens,
    validation: Tokens,
    *,
    steps: int,
    seed: int,
    device: torch.device,
    compiled: bool = False,
    evaluations: int = EVALUATIONS,
    on_step: OnStep = lambda _: False,
) -> Trained:
    """Train a GPT-2 for so many steps, the schedule ending with them; return the weights that did best on validation."""
    started = time.perf_counter()
    torch.manual_seed(seed)
    model = GPT(recipe, train.vocabulary_size).to(device).train()
    optimizer = _adamw(model, recipe)

    def loss_of(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            logits_BTV = model(inputs_BT)
        return F.cross_entropy(logits_BTV.flatten(0, 1).float(), targets_BT.flatten())

    loss_fn = torch.compile(loss_of) if compiled else loss_of
    windows, keeper = Windows(train, recipe, seed), Keeper(model)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * rate_factor(recipe, step, steps)
        inputs_BT, targets_BT = windows.next()
        loss = loss_fn(inputs_BT.to(device), targets_BT.to(device))
        loss.backward()
        if recipe.clip:
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if evaluations and step * evaluations // steps > (step - 1) * evaluations // steps:
            keeper.see(step, model, validation, context=recipe.context, device=device)
        if on_step(step):
            break
    keeper.restore()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Trained(model.eval(), parameters, keeper.curve, keeper.best_step, time.perf_counter() - started)


def rate_factor(recipe: PeerRecipe, step: int, steps: int) -> float:
    """Return the share of the peak learning rate for a step, counted from 1; warm-up takes at most a tenth of all."""
    warmup = min(max(recipe.warmup_steps, recipe.warmup_share * steps), steps // 10)
    if step <= warmup:
        return step / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    match recipe.schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - done
        case "cosine":
            return COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * done))


class Windows:
    """Random windows of the joined documents, drawn with replacement, as nanoGPT's loader draws them."""

    def __init__(self, tokens: Tokens, recipe: PeerRecipe, seed: int) -> None:
        self.stream = np.asarray(tokens.tokens[: tokens.num_tokens], dtype=np.int64)
        self.random, self.batch = np.random.default_rng(seed), recipe.batch
        self.context = min(recipe.context, len(self.stream) - 1)

    def next(self) -> tuple[Tensor, Tensor]:
        """Return inputs and targets, (B, T)."""
        starts = self.random.integers(0, len(self.stream) - self.context, size=self.batch)
        rows = torch.from_numpy(self.stream[starts[:, None] + np.arange(self.context + 1)])
        return rows[:, :-1], rows[:, 1:]


class Keeper:
    """Scores validation now and then, and keeps the weights that did best. A peer gets the benefit of stopping early."""

    def __init__(self, model: Any, logits: Logits | None = None) -> None:
        self.model, self.logits = model, logits or model
        self.curve: list[tuple[int, float]] = []
        self.best_step, self._best, self._weights = 0, math.inf, None

    def see(self, step: int, model: nn.Module, validation: Tokens, *, context: int, device: torch.device) -> None:
        """Score the weights as they are."""
        model.eval()
        bits = glance(self.logits, validation, context=context, device=device, max_tokens=GLANCE_TOKENS)
        model.train()
        self.curve.append((step, round(bits, 5)))
        if bits < self._best:
            self.best_step, self._best = step, bits
            self._weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def restore(self) -> None:
        """Put the best weights back."""
        if self._weights is not None:
            self.model.load_state_dict(self._weights)


def _adamw(model: nn.Module, recipe: PeerRecipe) -> torch.optim.AdamW:
    """Decay matrices, embeddings too, and spare vectors, as nanoGPT does."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim < 2]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=True)
