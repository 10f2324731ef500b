"""The rules a plan follows: what our own runs and the field's found for small corpora. docs/planning.md holds the evidence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rodna.models.config import ModelConfig
from rodna.plan.hardware import DeviceKind
from rodna.plan.scaling import EXCESS_PARAMETERS, REPEATED_DATA, ScalingLaw

MIN_TRAIN_TOKENS = 2_000
"""Fewer tokens than this cannot teach even the smallest model more than letter frequencies."""
MIN_STEPS = 20
"""Fewer optimizer steps than this leave a model close to its random start."""
MAX_EPOCHS = 40.0
DECAY_FRACTION = 0.5
EVALUATIONS = 10
STEPS_WANTED = 800
MIN_BATCH_TOKENS = 2048
MAX_BATCH_TOKENS = 65_536
"""A step of fewer tokens wastes the machine; one of more leaves too few updates of a small text."""
SIZES: tuple[tuple[int, int], ...] = (
    (64, 3), (96, 4), (128, 4), (192, 5), (256, 6), (320, 7), (384, 8), (512, 8), (640, 10), (768, 12), (1024, 16), (1280, 20), (1536, 24),
)  # fmt: skip
"""(width, layers) of the planned sizes, smallest first."""
SMALL_CORPORA = ScalingLaw(0.55, 26.0, 46.0, 0.35, 0.35, REPEATED_DATA, EXCESS_PARAMETERS)
"""Bits per byte by block parameters and tokens seen. PROVISIONAL."""
TIED_BELOW_WIDTH = 1024
"""Narrower models share one matrix between embedding and head: a vocabulary would otherwise be most of their parameters."""
MICRO_BATCH_TOKENS: dict[DeviceKind, int] = {"cpu": 4096, "cuda": 65_536}
"""More tokens at a time than this make no step faster, but take more memory."""


@dataclass(frozen=True)
class Text:
    """What there is to learn from.

    Attributes:
        num_bytes: UTF-8 bytes of the training split.
        num_tokens: tokens of it, the end of each document counted.
        num_documents: of the training split.
        vocabulary_size: of the tokenizer.
    """

    num_bytes: int
    num_tokens: int
    num_documents: int
    vocabulary_size: int


def shape(width: int, num_layers: int, text: Text, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a Qwen3-style decoder: heads of 64 features, of 32 in narrow models; SwiGLU of 8/3 the width.

    Args:
        width: planned features of the residual stream.
        num_layers: planned layers.
        text: decides the context length.
        kept: fields the user gave; the others follow from them.
    """
    width = int(kept.get("width", width))
    if "num_heads" in kept and "head_width" not in kept:
        head_width = max(2, width // int(kept["num_heads"]) // 2 * 2)
    else:
        head_width = int(kept.get("head_width", 64 if width >= 384 else 32))
    num_heads = int(kept.get("num_heads", max(1, width // head_width)))
    return {
        "width": width,
        "num_layers": num_layers,
        "head_width": head_width,
        "num_heads": num_heads,
        "num_kv_heads": num_heads,
        "ffn_width": max(32, round(width * 8 / 3 / 32) * 32),
        "context_length": context_length(text),
        "tied_embeddings": width < TIED_BELOW_WIDTH,
        **kept,
    }


def context_length(text: Text) -> int:
    """Return the sequence length in tokens."""
    return 256


def batch_tokens(tokens_seen: float) -> int:
    """Return the tokens of one optimizer step: a power of two that leaves some `STEPS_WANTED` updates, within bounds."""
    power = 2 ** round(math.log2(max(1.0, tokens_seen / STEPS_WANTED)))
    return min(MAX_BATCH_TOKENS, max(MIN_BATCH_TOKENS, power))


def micro_batch_sizes(batch_size: int, model: ModelConfig, *, device: DeviceKind) -> list[int]:
    """Return the divisors of the batch that are worth trying as micro-batches, largest first."""
    largest = max(1, MICRO_BATCH_TOKENS[device] // model.context_length)
    return [size for size in range(min(batch_size, largest), 0, -1) if batch_size % size == 0]


def max_epochs(text: Text) -> float:
    """Return after how many passes over the text more training stops helping."""
    return MAX_EPOCHS


def learning_rate(model: ModelConfig, step_tokens: int, *, optimizer: str) -> float:
    """Return the peak learning rate."""
    return 0.01 if optimizer == "muon" else 1e-3 * math.sqrt(256 / model.width)


def adam_learning_rate(model: ModelConfig, step_tokens: int) -> float:
    """Return the peak learning rate of embeddings, head, norms and biases where the matrices have Muon."""
    return 0.01


def weight_decay(epochs: float) -> float:
    """Return the weight decay: more when the text is repeated more."""
    return 0.1 if epochs < 2 else 0.4


def warmup_steps(steps: int) -> int:
    """Return the steps over which the learning rate rises."""
    return max(1, min(100, steps // 50))


def expected_loss(model: ModelConfig, text: Text, tokens_seen: float) -> float:
    """Return the held-out bits per byte to expect on text like that of our runs: it orders candidate sizes; lower is better."""
    epochs = tokens_seen / text.num_tokens
    return SMALL_CORPORA.loss(block_parameters(model), SMALL_CORPORA.effective_tokens(text.num_tokens, epochs))


def block_parameters(model: ModelConfig) -> int:
    """Return the weights of the blocks' matrices: the part of a small model that decides how good it is."""
    return model.num_matmul_parameters - model.vocabulary_size * model.width
