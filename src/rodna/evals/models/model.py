"""What every evaluator may ask of a model: what a text costs it, and what it writes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch

from rodna.evals.likelihood.encoding import Encoded, encode_pairs
from rodna.evals.likelihood.processes import ReaderPool, make_reader
from rodna.evals.likelihood.reader import Reader
from rodna.evals.likelihood.scoring import continuation_nats, read_token_nats, split_windows, sum_documents, token_nats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rodna.data.tokens import Tokens
    from rodna.models.counted import Weighted
    from rodna.models.decoder import Decoder
    from rodna.models.generate import AnyEngine, Sampling
    from rodna.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Score:
    """What a continuation costs.

    Attributes:
        nats: -ln p of it.
        num_tokens: they are spread over.
        is_cut: whether the model saw less than was given, because it was longer than its context.
    """

    nats: float
    num_tokens: int
    is_cut: bool = False


@runtime_checkable
class LanguageModel(Protocol):
    """Ours, transformers' and OpenAI-compatible models all fit these methods."""

    @property
    def description(self) -> dict[str, Any]:
        """What it is, as JSON: `where`, `kind`, and what is known of parameters, context length and tokenizer."""
        ...

    def score(self, contexts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Return the cost of each continuation after its context; an empty context is the beginning of a document."""
        ...

    def score_documents(self, texts: Sequence[str]) -> list[Score]:
        """Return the cost of each text as a document by itself: all its tokens, and its end where the model has a token for that."""
        ...

    def generate(self, prompts: Sequence[str], sampling: "Sampling") -> list[str]:
        """Return what the model writes after each prompt, without the prompt; an empty prompt is the beginning of a document."""
        ...


class DecoderModel:
    """Our decoder and its tokenizer as a `LanguageModel`.

    Args:
        decoder: on the device it shall run on.
        tokenizer: the one it was trained with.
        where: it was opened from, for people to read.
        stride: of the windows over texts longer than the context, as a fraction of it.
        batch_size: full-length windows scored at once.
        compute_dtype: of matrix products.
        processes: that score side by side, on a CPU.
        counted: n-grams kept beside the model; they have their share of what it writes. What it is asked the cost of is scored without
            them, as wherever else the checkpoint is opened; `evals.counted` measures what they change.
    """

    def __init__(
        self,
        decoder: "Decoder",
        tokenizer: "Tokenizer",
        *,
        where: str = "",
        stride: float = 0.5,
        batch_size: int = 16,
        compute_dtype: torch.dtype = torch.float32,
        processes: int = 1,
        counted: "Weighted | None" = None,
    ) -> None:
        self.decoder, self.tokenizer, self.where = decoder, tokenizer, where
        self.stride, self.batch_size, self.compute_dtype = stride, batch_size, compute_dtype
        self.processes, self.counted = processes, counted
        self._read: tuple[Tokens, NDArray[np.float64]] | None = None

    @cached_property
    def reader(self) -> Reader | ReaderPool:
        """Return the decoder laid out for scoring.

        Raises:
            EvaluationError: several processes are asked for on another device than a CPU.
        """
        return make_reader(self.decoder, self.compute_dtype, self.processes)

    @property
    def description(self) -> dict[str, Any]:
        """Return what the model is."""
        config = self.decoder.config
        return {
            "where": self.where,
            "kind": "decoder",
            "family": config.family,
            "parameters": config.num_parameters,
            "context_length": config.context_length,
            "tokenizer": describe_tokenizer(self.tokenizer),
        }

    def document_nats(self, tokens: "Tokens") -> "NDArray[np.float64]":
        """Return what each document of a split costs, its end included."""
        return sum_documents(self.token_nats(tokens), tokens)

    def token_nats(self, tokens: "Tokens") -> "NDArray[np.float64]":
        """Return what each token of a split costs. The same split asked for again is not scored again."""
        if self._read is None or self._read[0] is not tokens:
            self._read = tokens, self._token_nats(tokens)
        return self._read[1]

    def _token_nats(self, tokens: "Tokens") -> "NDArray[np.float64]":
        # On other devices, and in bfloat16, the decoder as it is trained keeps more of the work in the short format.
        if self.processes > 1 or (self.compute_dtype == torch.float32 and self.decoder.embedding.weight.device.type == "cpu"):
            return read_token_nats(self.reader, tokens, stride=self.stride, batch_size=self.batch_size)
        windows = split_windows(tokens, context_length=self.decoder.config.context_length, stride=self.stride)
        return token_nats(self.decoder, windows, batch_size=self.batch_size, compute_dtype=self.compute_dtype)

    def score(self, contexts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Return the cost of each continuation after its context; see `encode_pairs` for their tokens."""
        pairs = encode_pairs(self.tokenizer.encode_batch, contexts, continuations, start_id=self.tokenizer.end_of_text_id)
        return self._score(pairs)

    def score_documents(self, texts: Sequence[str]) -> list[Score]:
        """Return the cost of each text as a document: its tokens, and the end_of_text that closes it."""
        end = self.tokenizer.end_of_text_id
        return self._score([Encoded((end,), (*tokens, end)) for tokens in self.tokenizer.encode_batch(list(texts))])

    def _score(self, pairs: Sequence[Encoded]) -> list[Score]:
        nats, cut = continuation_nats(self.reader, pairs, stride=self.stride, batch_size=self.batch_size)
        return [Score(float(part.sum()), len(part), is_cut) for part, is_cut in zip(nats, cut, strict=True)]

    def generate(self, prompts: Sequence[str], sampling: "Sampling") -> list[str]:
        """Return what the model writes after each prompt."""
        from rodna.models.generate import BATCH_SIZE, generate

        return generate(self.engine(max(1, min(BATCH_SIZE, len(prompts)))), self.tokenizer, prompts, sampling)

    def engine(self, num_slots: int) -> "AnyEngine":
        """Return what writes so many texts at once."""
        from rodna.models.generate import make_engine

        return make_engine(self.decoder, self.tokenizer, num_slots=num_slots, counted=self.counted)


def describe_tokenizer(tokenizer: "Tokenizer") -> dict[str, Any]:
    """Return what tells tokenizers apart."""
    digest = hashlib.sha256(tokenizer.to_json().encode()).hexdigest()
    return {"algorithm": tokenizer.algorithm, "vocabulary_size": tokenizer.vocabulary_size, "digest": digest[:16]}
