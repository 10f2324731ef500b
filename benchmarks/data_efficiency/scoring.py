"""Bits per byte, by one rule for every system.

Every document is scored by itself, after one end_of_text: -log2 p of all its tokens and of the end_of_text that closes it, over the
UTF-8 bytes of its text. A document longer than a model's context is read through windows that move on by half of it. Every vocabulary
holds the 256 bytes, so an unknown character costs its bytes, never nothing. All products are float32.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rodna.data.batches import IGNORE
from rodna.data.tokens import Tokens
from rodna.data.windows import EvaluationWindows, evaluation_windows
from rodna.evals.likelihood.scoring import take

STRIDE = 0.5
LOGITS_AT_ONCE = 1 << 23

Logits = Callable[[Tensor], Tensor]
"""Token ids, (B, T), to unnormalised scores, (B, T, V)."""


@dataclass(frozen=True)
class Scored:
    """What each document cost, in bits, and its bytes."""

    bits_D: NDArray[np.float64]
    bytes_D: NDArray[np.int64]

    @property
    def bits_per_byte(self) -> float:
        return float(self.bits_D.sum() / self.bytes_D.sum())


def score(logits: Logits, tokens: Tokens, *, context: int, device: torch.device) -> Scored:
    """Score all documents, windows moving on by half the context."""
    windows = evaluation_windows(tokens, context_length=context, stride=max(1, round(STRIDE * context)))
    return Scored(_bits(logits, windows, device), np.asarray(tokens.document_bytes))


def glance(logits: Logits, tokens: Tokens, *, context: int, device: torch.device, max_tokens: int) -> float:
    """Return about the bits per byte, from at most so many tokens in windows that do not overlap: cheap enough while training."""
    windows = evaluation_windows(tokens, context_length=context, stride=context)
    count = max(1, round(windows.num_windows * min(1.0, max_tokens / windows.num_scored)))
    chosen = take(windows, np.linspace(0, windows.num_windows - 1, count).round().astype(np.int64))
    bits = float(_bits(logits, chosen, device).sum())
    return bits / chosen.num_scored * windows.num_scored / tokens.num_bytes


def _bits(logits: Logits, windows: EvaluationWindows, device: torch.device) -> NDArray[np.float64]:
    bits_D = np.zeros(windows.tokens.num_documents)
    at_once = max(windows.context_length, LOGITS_AT_ONCE // windows.tokens.vocabulary_size)
    with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
        for inputs_BT, targets_BT, document_B in windows.batches(at_once):
            targets = targets_BT.to(device)
            logits_BTV = logits(inputs_BT.to(device)).float()
            nats_BT = logits_BTV.logsumexp(-1) - logits_BTV.gather(-1, targets.clamp_min(0)[..., None]).squeeze(-1)
            nats_B = torch.where(targets == IGNORE, 0.0, nats_BT).double().sum(1).cpu().numpy()
            np.add.at(bits_D, document_B.numpy(), nats_B / math.log(2))
    return bits_D
