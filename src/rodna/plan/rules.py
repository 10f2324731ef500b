"""The rules a plan follows: what our own runs and the field's found for small corpora. docs/planning.md holds the evidence."""

import math
from dataclasses import dataclass

from rodna.models.config import ModelConfig
from rodna.plan.scaling import DATA_CONSTRAINED

MIN_TRAIN_TOKENS = 5_000
"""Fewer tokens than this cannot teach even the smallest model more than letter frequencies."""
MAX_EPOCHS = 40.0
SHAPES: tuple[tuple[int, int], ...] = (
    (64, 3), (96, 4), (128, 4), (192, 5), (256, 6), (320, 7), (384, 8), (512, 8), (640, 10), (768, 12), (1024, 16), (1280, 20), (1536, 24),
)  # fmt: skip
"""(width, layers) of the planned sizes, smallest first."""


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

    @property
    def bytes_per_token(self) -> float:
        return self.num_bytes / self.num_tokens


def shape_fields(width: int, num_layers: int) -> dict[str, int]:
    """Return the fields of a Qwen3-style decoder of this width: heads of 64 features, of 32 below width 384; SwiGLU of 8/3."""
    head_width = 64 if width >= 384 else 32
    ffn_width = 32 * max(1, round(width * 8 / 3 / 32))
    heads = max(1, width // head_width)
    return {"width": width, "num_layers": num_layers, "num_heads": heads, "num_kv_heads": heads, "head_width": head_width,
            "ffn_width": ffn_width}  # fmt: skip


def context_length(text: Text) -> int:
    """Return the sequence length: long documents are worth a longer one."""
    return 256


def batch_tokens(text: Text) -> int:
    """Return the tokens of one optimizer step."""
    return 4096


def learning_rate(model: ModelConfig, *, optimizer: str) -> float:
    """Return the peak learning rate."""
    return 0.01 if optimizer == "muon" else 1e-3 * math.sqrt(256 / model.width)


def weight_decay(epochs: float) -> float:
    """Return the weight decay: more when the text is repeated more."""
    return 0.1 if epochs < 2 else 0.4


def expected_loss(model: ModelConfig, text: Text, epochs: float) -> float:
    """Return a figure that orders candidate sizes: lower is better."""
    return DATA_CONSTRAINED.repeated_loss(model.num_parameters, text.num_tokens, epochs)
