"""What held-out text costs an ensemble, and how much of that its members cost more.

Shapes: N tokens, S documents, M members.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rodna.core.errors import EvaluationError
from rodna.evals.bootstrap import ratio_interval
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.likelihood.encoding import Encoded, encode_pairs
from rodna.evals.likelihood.processes import ReaderPool, make_reader
from rodna.evals.likelihood.reader import Reader
from rodna.evals.likelihood.scoring import continuation_nats, split_windows, sum_documents, token_nats
from rodna.evals.models.model import LanguageModel, Score, describe_tokenizer
from rodna.evals.result import Direction, Evaluation, Result
from rodna.models.counted import Weighted, best_weight, mixed_nats
from rodna.models.ensemble import Ensemble, EnsembleEngine
from rodna.models.ngram import NgramModel

if TYPE_CHECKING:
    from rodna.data.tokens import Tokens
    from rodna.models.generate import Sampling
    from rodna.tokenizer.tokenizer import Tokenizer

MEMBERS = "member-*"
"""Names of the checkpoints in an ensemble's folder."""
TASK_VERSION = 1


@dataclass(frozen=True)
class EnsembleNats:
    """What documents cost.

    Attributes:
        ensemble_S: nats of each document under the averaged probabilities, mixed with those of the counts where there are any.
        members_MS: under each member alone.
        counted_S: under the counts alone; None where there are none.
    """

    ensemble_S: NDArray[np.float64]
    members_MS: NDArray[np.float64]
    counted_S: NDArray[np.float64] | None = None

    def bits_per_byte(self, num_bytes: int) -> tuple[float, list[float]]:
        """Return the ensemble's and each member's."""
        scale = math.log(2) * num_bytes
        return float(self.ensemble_S.sum()) / scale, [float(nats) / scale for nats in self.members_MS.sum(1)]


class EnsembleModel:
    """An ensemble and its tokenizer as one `LanguageModel`.

    Each member reads a document through windows of its own context length; its tokens' probabilities are averaged where the document
    is the same token, so members of different context lengths fit together.

    Args:
        ensemble: its members averaged by probabilities.
        tokenizer: the members'.
        where: it was opened from, for people to read.
        stride: of the windows over texts longer than a member's context, as a fraction of it.
        batch_size: full-length windows scored at once.
        compute_dtype: of matrix products.
        processes: for each member, that score continuations side by side, on a CPU.

    Raises:
        EvaluationError: the ensemble averages logits.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        tokenizer: "Tokenizer",
        *,
        where: str = "",
        stride: float = 0.5,
        batch_size: int = 16,
        compute_dtype: torch.dtype = torch.float32,
        processes: int = 1,
    ) -> None:
        if ensemble.average != "probabilities":
            raise EvaluationError(
                f"an ensemble that averages {ensemble.average} cannot be scored token by token",
                fix="score the same members with average: probabilities",
            )
        self.ensemble, self.tokenizer, self.where = ensemble, tokenizer, where
        self.stride, self.batch_size, self.compute_dtype = stride, batch_size, compute_dtype
        self.processes = processes
        self._read: tuple[Tokens, NDArray[np.float64], NDArray[np.float64]] | None = None

    def document_nats(self, tokens: "Tokens") -> NDArray[np.float64]:
        """Return what each document of a split costs, its end included."""
        return self.all_document_nats(tokens).ensemble_S

    def all_document_nats(self, tokens: "Tokens") -> EnsembleNats:
        """Return what each document costs the ensemble and each member, every member being run once.

        The same split asked for again is not scored again.
        """
        nats_N, members_MS = self._members_nats(tokens)
        if self.ensemble.counted is None:
            return EnsembleNats(sum_documents(nats_N, tokens), members_MS)
        model, weight = self.ensemble.counted
        counted_N = model.token_nats(tokens)
        return EnsembleNats(sum_documents(mixed_nats(counted_N, nats_N, weight), tokens), members_MS, sum_documents(counted_N, tokens))

    @cached_property
    def readers(self) -> list[Reader | ReaderPool]:
        """Return the members laid out for scoring.

        Raises:
            EvaluationError: several processes are asked for on another device than a CPU.
        """
        return [make_reader(member, self.compute_dtype, self.processes) for member in self.ensemble.members]

    @property
    def description(self) -> dict[str, Any]:
        """Return what the ensemble is."""
        members = [member.config for member in self.ensemble.members]
        return {
            "where": self.where,
            "kind": "ensemble",
            "members": len(members),
            "parameters": sum(config.num_parameters for config in members),
            "context_length": min(config.context_length for config in members),
            "counted_ngrams": self.ensemble.counted.model.num_ngrams if self.ensemble.counted else 0,
            "tokenizer": describe_tokenizer(self.tokenizer),
        }

    def score(self, contexts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Return the cost of each continuation after its context; see `encode_pairs` for their tokens."""
        return self._score(encode_pairs(self.tokenizer.encode_batch, contexts, continuations, start_id=self.tokenizer.end_of_text_id))

    def score_documents(self, texts: Sequence[str]) -> list[Score]:
        """Return the cost of each text as a document: its tokens, and the end_of_text that closes it."""
        end = self.tokenizer.end_of_text_id
        return self._score([Encoded((end,), (*tokens, end)) for tokens in self.tokenizer.encode_batch(list(texts))])

    def _score(self, pairs: Sequence[Encoded]) -> list[Score]:
        found = [continuation_nats(reader, pairs, stride=self.stride, batch_size=self.batch_size) for reader in self.readers]
        scores: list[Score] = []
        for index in range(len(pairs)):
            log_total = np.logaddexp.reduce([-nats[index] for nats, _ in found], axis=0)
            nats_N = self._mix(pairs[index], math.log(len(found)) - log_total)
            scores.append(Score(float(nats_N.sum()), len(nats_N), any(cut[index] for _, cut in found)))
        return scores

    def _mix(self, pair: Encoded, nats_N: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the counts their share of the probability of a continuation's tokens."""
        if self.ensemble.counted is None or not len(nats_N):
            return nats_N
        model, weight = self.ensemble.counted
        before = [*pair.context[-model.order :], *pair.continuation[:-1]]
        contexts_NJ = model.contexts(torch.tensor([before], device=model.device))[-len(nats_N) :]
        counted_N = model.nats(contexts_NJ, torch.tensor(list(pair.continuation), device=model.device)).cpu().numpy()
        return mixed_nats(counted_N, nats_N, weight)

    def generate(self, prompts: Sequence[str], sampling: "Sampling") -> list[str]:
        """Return what the ensemble writes after each prompt."""
        from rodna.models.generate import BATCH_SIZE, generate

        slots = max(1, min(BATCH_SIZE, len(prompts)))
        num_tokens = min(self.tokenizer.vocabulary_size, self.ensemble.vocabulary_size)
        engine = EnsembleEngine(self.ensemble, num_tokens=num_tokens, num_slots=slots)
        return generate(engine, self.tokenizer, prompts, sampling)

    def fit_weight(self, counts: NgramModel, tokens: "Tokens") -> Weighted:
        """Return counts with the weight under which a split, by convention `validation`, costs the ensemble's members least with them."""
        nats_N, _ = self._members_nats(tokens)
        return Weighted(counts, best_weight(counts.token_nats(tokens), nats_N))

    def _members_nats(self, tokens: "Tokens") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what each token costs the members' average (N,), and each document each member (M, S); every member is run once."""
        if self._read is None or self._read[0] is not tokens:
            log_total_N = np.full(tokens.num_tokens, -np.inf)
            alone: list[NDArray[np.float64]] = []
            for member in self.ensemble.members:
                windows = split_windows(tokens, context_length=member.config.context_length, stride=self.stride)
                nats_N = token_nats(member, windows, batch_size=self.batch_size, compute_dtype=self.compute_dtype)
                alone.append(sum_documents(nats_N, tokens))
                log_total_N = np.logaddexp(log_total_N, -nats_N, out=log_total_N)
            # A token that is not scored costs every member 0, and so, but for rounding, their mean.
            self._read = tokens, math.log(len(alone)) - log_total_N, np.stack(alone)
        return self._read[1:]


def evaluate(model: LanguageModel, data: EvaluationData, config: EvalConfig) -> Evaluation:
    """Measure each member of an ensemble, and how many bits per byte their average saves; of any other model, nothing.

    The gain is taken over the mean of the members and over the best of them, chosen on the held-out text itself: so it is rather too
    small than too large.

    Args:
        model: any.
        data: the held-out text as tokens.
        config: resamples and seed.
    """
    if not isinstance(model, EnsembleModel) or data.tokens is None:
        return Evaluation([])
    nats = model.all_document_nats(data.tokens)
    bytes_S = np.asarray(data.tokens.document_bytes, dtype=np.int64)
    bits_S, members_MS = nats.ensemble_S / math.log(2), nats.members_MS / math.log(2)

    def rate(task: str, metric: str, numbers_S: NDArray[np.float64], detail: dict[str, Any]) -> Result:
        low, high = ratio_interval(numbers_S, bytes_S, samples=config.bootstrap_samples, seed=config.seed)
        direction: Direction = "lower" if metric == "bits_per_byte" else "higher"
        value = float(numbers_S.sum() / bytes_S.sum())
        return Result(task, metric, value, "bits per UTF-8 byte", low, high, len(bytes_S), direction, TASK_VERSION, detail=detail)

    best = int(members_MS.sum(1).argmin())
    results = [
        rate(f"member:{number + 1}", "bits_per_byte", own_S, {"parameters": member.config.num_parameters})
        for number, (own_S, member) in enumerate(zip(members_MS, model.ensemble.members, strict=True))
    ]
    counted = model.ensemble.counted
    if counted is not None and nats.counted_S is not None:
        detail = {"order": counted.model.order, "ngrams": counted.model.num_ngrams, "weight": counted.weight}
        results.append(rate("counted", "bits_per_byte", nats.counted_S / math.log(2), detail))
    members = {"members": len(members_MS)}
    results.append(rate("ensemble", "gain_over_mean_member", members_MS.mean(0) - bits_S, members))
    results.append(rate("ensemble", "gain_over_best_member", members_MS[best] - bits_S, {**members, "best": best + 1}))
    return Evaluation(results)
