"""What every evaluator may ask of a model: what a text costs it, and what it writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch

from rodna.evals.scoring import Sequences, sequence_nats

if TYPE_CHECKING:
    from rodna.models.decoder import Decoder
    from rodna.models.generate import Sampling
    from rodna.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Score:
    """What a continuation costs: nats, and the number of tokens they are spread over."""

    nats: float
    num_tokens: int


@runtime_checkable
class LanguageModel(Protocol):
    """Ours, transformers' and OpenAI-compatible models all fit these two methods."""

    def score(self, contexts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Return the cost of each continuation after its context; an empty context is the beginning of a document."""
        ...

    def generate(self, prompts: Sequence[str], sampling: "Sampling") -> list[str]:
        """Return what the model writes after each prompt, without the prompt; an empty prompt is the beginning of a document."""
        ...


class DecoderModel:
    """Our decoder and its tokenizer as a `LanguageModel`.

    Args:
        decoder: on the device it shall run on.
        tokenizer: the one it was trained with.
        stride: of the windows over texts longer than the context, as a fraction of it.
        batch_size: full-length windows scored at once.
        compute_dtype: of matrix products.
    """

    def __init__(
        self,
        decoder: "Decoder",
        tokenizer: "Tokenizer",
        *,
        stride: float = 0.5,
        batch_size: int = 16,
        compute_dtype: torch.dtype = torch.float32,
    ) -> None:
        self.decoder, self.tokenizer = decoder, tokenizer
        self.stride, self.batch_size, self.compute_dtype = stride, batch_size, compute_dtype

    def sequence_nats(self, sequences: Sequences) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """Return the nats of sequences that are already tokens."""
        return sequence_nats(self.decoder, sequences, stride=self.stride, batch_size=self.batch_size, compute_dtype=self.compute_dtype)

    def score(self, contexts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Return the cost of each continuation after its context.

        Context and continuation are encoded apart, so that no token reaches over the border between them.
        """
        before = self.tokenizer.encode_batch(list(contexts))
        after = self.tokenizer.encode_batch(list(continuations))
        pieces = [[self.tokenizer.end_of_text_id, *a, *b] for a, b in zip(before, after, strict=True)]
        sizes = np.array([len(piece) for piece in pieces], dtype=np.int64)
        sequences = Sequences(
            np.array([token for piece in pieces for token in piece], dtype=np.int64),
            np.cumsum(sizes) - sizes,
            sizes - 1,
            np.array([len(a) for a in before], dtype=np.int64),
        )
        nats = self.sequence_nats(sequences)
        return [Score(float(cost), len(tokens)) for cost, tokens in zip(nats, after, strict=True)]

    def generate(self, prompts: Sequence[str], sampling: "Sampling") -> list[str]:
        """Return what the model writes after each prompt."""
        from rodna.models.generate import generate

        return generate(self.decoder, self.tokenizer, prompts, sampling)
