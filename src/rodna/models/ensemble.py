"""Several decoders as one: their next-token probabilities, or their logits, are averaged.

Shapes: B rows, T positions, N = B x T, C rows of a chunk, D width (of each member its own), V vocabulary.

Members may be of any architecture and context length; they share one tokenizer.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from rodna.core.errors import ModelError
from rodna.models.checkpoint import load
from rodna.models.decoder import Decoder
from rodna.models.engine import Engine
from rodna.tokenizer.tokenizer import Tokenizer

Average = Literal["probabilities", "logits"]


class Ensemble:
    """Decoders with one vocabulary.

    Args:
        members: on one device; kept in evaluation mode.
        average: `probabilities`: the arithmetic mean, whose loss is never above the members' mean loss. `logits`: the geometric mean made
            to sum to one, as BabyLlama's teachers (Timiryasov & Tastet 2023, arXiv:2308.02019).

    Raises:
        ModelError: there are no members, or their vocabularies differ in size.
    """

    def __init__(self, members: Sequence[Decoder], *, average: Average = "probabilities") -> None:
        if not members:
            raise ModelError("an ensemble needs at least one member", fix="give one or more trained models")
        sizes = [member.config.vocabulary_size for member in members]
        if len(set(sizes)) > 1:
            raise ModelError(f"the members' vocabularies differ: {', '.join(f'{size:,}' for size in sizes)} tokens",
                             fix="train all members with one tokenizer")  # fmt: skip
        self.members, self.average = [member.eval() for member in members], average
        self._frozen: torch.dtype | None = None
        self.add = add_member
        """What sums up the members; `train` compiles it."""

    @property
    def vocabulary_size(self) -> int:
        return self.members[0].config.vocabulary_size

    @property
    def context_length(self) -> int:
        """The shortest of the members'."""
        return min(member.config.context_length for member in self.members)

    @property
    def device(self) -> torch.device:
        return self.members[0].embedding.weight.device

    def freeze(self, compute_dtype: torch.dtype) -> None:
        """Make the members teachers: no gradients, and weights of linear layers kept in the dtype that they are used in.

        They are cast to it at every use otherwise, with the same features bit by bit. The head's weight is laid out so that its transpose
        is contiguous, as `evals.likelihood` does: on a CPU the product with a large vocabulary is several times faster then. What the
        members were cannot be had back.
        """
        if self._frozen == compute_dtype:
            return
        self._frozen = compute_dtype
        for member in self.members:
            member.eval().requires_grad_(False)
            for module in member.modules():
                if isinstance(module, nn.Linear):
                    module.weight = nn.Parameter(module.weight.detach().to(compute_dtype), requires_grad=False)
            head_VD = member.head.weight
            member.head.weight = nn.Parameter(head_VD.t().contiguous().t(), requires_grad=False)

    @torch.inference_mode()
    def features(self, tokens_BT: Tensor, *, compute_dtype: torch.dtype) -> list[Tensor]:
        """Return each member's final features (N, D), from which `probabilities` makes a chunk of rows at a time.

        Raises:
            ModelError: the rows are longer than a member's context.
        """
        if tokens_BT.shape[1] > self.context_length:
            raise ModelError(
                f"windows of {tokens_BT.shape[1]} tokens are longer than the context of {self.context_length} that a member has",
                fix=f"use a context of at most {self.context_length} tokens, or members with longer ones",
            )
        return [member(tokens_BT, compute_dtype=compute_dtype).flatten(0, 1) for member in self.members]

    @torch.inference_mode()
    def probabilities(self, features: Sequence[Tensor], rows: slice, *, temperature: float = 1.0) -> Tensor:
        """Return the averaged distribution (C, V) of some rows, in float32; beside it the logits of one member exist at a time.

        Args:
            features: of `features`.
            rows: which.
            temperature: divides the logits of every member.
        """
        total_CV = torch.zeros(())
        for number, (member, features_ND) in enumerate(zip(self.members, features, strict=True)):
            scores_CV = member.logits(features_ND[rows])
            if not number:
                total_CV = torch.zeros_like(scores_CV, dtype=torch.float32)
            total_CV = self.add(total_CV, scores_CV, 1 / temperature, self.average == "probabilities")
        mean_CV = total_CV / len(self.members)
        return mean_CV if self.average == "probabilities" else mean_CV.softmax(-1)


def add_member(total_CV: Tensor, scores_CV: Tensor, factor: float, as_probabilities: bool) -> Tensor:
    """Return the sum with one more member's logits times a factor, or with the probabilities that these give."""
    wide_CV = scores_CV.float() * factor
    return total_CV + (wide_CV.softmax(-1) if as_probabilities else wide_CV)


class EnsembleEngine:
    """Continues token sequences as `Engine` does, choosing from the members' averaged probabilities.

    Args:
        ensemble: its members are copied.
        num_tokens: of the tokenizer.
        num_slots: sequences held at once.
    """

    def __init__(self, ensemble: Ensemble, *, num_tokens: int, num_slots: int = 1) -> None:
        self.average, self.num_slots = ensemble.average, num_slots
        # As long as the shortest context, so that all members forget the beginning of a text at once.
        self.capacity = ensemble.context_length
        self._engines = [Engine(member, num_tokens=num_tokens, num_slots=num_slots, capacity=self.capacity) for member in ensemble.members]

    def start(self, tokens: Sequence[int], slot: int = 0) -> Tensor:
        """Fill a slot with a sequence; return the scores (num_tokens,) of what follows."""
        return self._join([engine.start(tokens, slot) for engine in self._engines])

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Add one token to each of the first slots; return the scores (B, num_tokens) of what follows."""
        return self._join([engine.step(tokens, positions) for engine in self._engines])

    def move(self, source: int, target: int) -> None:
        """Copy what one slot holds to another."""
        for engine in self._engines:
            engine.move(source, target)

    def _join(self, scores: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(scores))
        if self.average == "logits":
            return stacked.mean(0)
        return stacked.log_softmax(-1).logsumexp(0)


def load_ensemble(
    folders: Sequence[Path], *, average: Average = "probabilities", device: torch.device | str = "cpu"
) -> tuple[Ensemble, Tokenizer]:
    """Open checkpoints as one ensemble, with the tokenizer that they share.

    Raises:
        ModelError: there are none, or their tokenizers or vocabularies differ.
        ArtifactError: a file is missing or damaged.
    """
    loaded = [load(folder, device=device) for folder in folders]
    if not loaded:
        raise ModelError("an ensemble needs at least one member", fix="give the folders of one or more trained models")
    digests = [tokenizer_digest(tokenizer) for _, tokenizer in loaded]
    other = next((index for index, digest in enumerate(digests) if digest != digests[0]), 0)
    if other:
        raise ModelError(
            f"the members' tokenizers differ: {digests[0][:12]} of {folders[0]}, {digests[other][:12]} of {folders[other]}",
            where=str(folders[other]), fix="train all members with one tokenizer: their probabilities are of the same tokens only then",
        )  # fmt: skip
    return Ensemble([decoder for decoder, _ in loaded], average=average), loaded[0][1]


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Return a SHA-256 that two tokenizers share when they cut and number text alike."""
    return hashlib.sha256(tokenizer.to_json().encode("utf-8")).hexdigest()
