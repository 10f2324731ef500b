"""Several decoders as one: their next-token probabilities, or their logits, are averaged, and mixed with those of counts.

Shapes: B rows, T positions, N = B x T, C rows of a chunk, D width (of each member its own), J tokens before a position, V vocabulary.

Members may be of any architecture and context length; they share one tokenizer.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from rodna.core.errors import ModelError
from rodna.models.checkpoint import load
from rodna.models.counted import Weighted
from rodna.models.counted import load as load_counted
from rodna.models.decoder import Decoder
from rodna.models.engine import Engine
from rodna.models.ngram import NOTHING_LEFT_OUT
from rodna.tokenizer.tokenizer import Tokenizer

Average = Literal["probabilities", "logits"]
CUTTING = ("normalizer", "pre_tokenizer", "model", "added_tokens")
"""The parts of a tokenizer's file that decide how text is cut and numbered."""


class Ensemble:
    """Decoders with one vocabulary.

    Args:
        members: on one device; kept in evaluation mode.
        average: `probabilities`: the arithmetic mean, whose loss is never above the members' mean loss. `logits`: the geometric mean made
            to sum to one, as BabyLlama's teachers (Timiryasov & Tastet 2023, arXiv:2308.02019).
        counted: n-grams of the training text, on the members' device, that have their share of the probability; None for none.

    Raises:
        ModelError: there are no members, or their vocabularies differ in size.
    """

    def __init__(self, members: Sequence[Decoder], *, average: Average = "probabilities", counted: Weighted | None = None) -> None:
        if not members:
            raise ModelError("an ensemble needs at least one member", fix="give one or more trained models")
        sizes = [member.config.vocabulary_size for member in members]
        if len(set(sizes)) > 1:
            raise ModelError(f"the members' vocabularies differ: {', '.join(f'{size:,}' for size in sizes)} tokens",
                             fix="train all members with one tokenizer")  # fmt: skip
        if counted is not None and counted.model.vocabulary_size > sizes[0]:
            raise ModelError(f"the counted n-grams are of {counted.model.vocabulary_size:,} tokens, the members have {sizes[0]:,}",
                             fix="count with the members' tokenizer")  # fmt: skip
        self.members, self.average, self.counted = [member.eval() for member in members], average, counted
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
    def features(self, tokens_BT: Tensor, *, compute_dtype: torch.dtype, left_out_BT: Tensor | None = None) -> list[Tensor]:
        """Return each member's final features (N, D), from which `probabilities` makes a chunk of rows at a time.

        With counts, the last are the tokens before each position, and the one that is left out there (N, J + 1).

        Args:
            tokens_BT: what is read.
            compute_dtype: of matrix products.
            left_out_BT: what follows each position, where this is the text that was counted: see `NgramModel.probabilities`.

        Raises:
            ModelError: the rows are longer than a member's context.
        """
        if tokens_BT.shape[1] > self.context_length:
            raise ModelError(
                f"windows of {tokens_BT.shape[1]} tokens are longer than the context of {self.context_length} that a member has",
                fix=f"use a context of at most {self.context_length} tokens, or members with longer ones",
            )
        features = [member(tokens_BT, compute_dtype=compute_dtype).flatten(0, 1) for member in self.members]
        if self.counted is not None:
            if left_out_BT is None:
                left_out_BT = torch.full_like(tokens_BT, NOTHING_LEFT_OUT)
            features.append(torch.cat([self.counted.model.contexts(tokens_BT), left_out_BT.reshape(-1, 1)], 1))
        return features

    @torch.inference_mode()
    def probabilities(self, features: Sequence[Tensor], rows: slice, *, temperature: float = 1.0) -> Tensor:
        """Return the averaged distribution (C, V) of some rows, in float32; beside it the logits of one member exist at a time.

        Args:
            features: of `features`.
            rows: which.
            temperature: divides the logits of every member.
        """
        total_CV = torch.zeros(())
        for number, (member, features_ND) in enumerate(zip(self.members, features[: len(self.members)], strict=True)):
            scores_CV = member.logits(features_ND[rows])
            if not number:
                total_CV = torch.zeros_like(scores_CV, dtype=torch.float32)
            total_CV = self.add(total_CV, scores_CV, 1 / temperature, self.average == "probabilities")
        mean_CV = total_CV / len(self.members)
        if self.average == "logits":
            mean_CV = mean_CV.softmax(-1)
        if self.counted is None:
            return mean_CV
        model, weight = self.counted
        counted_CV = model.probabilities(features[-1][rows, :-1], features[-1][rows, -1])
        if temperature != 1:
            # As logarithms: a power of 1 / temperature is soon too small a number where the temperature is low.
            counted_CV = (counted_CV.log() / temperature).softmax(-1)
        mean_CV *= 1 - weight
        mean_CV[:, : model.vocabulary_size] += weight * counted_CV
        return mean_CV


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
        half: keep the members' weights in float16; see `Engine`.
    """

    def __init__(self, ensemble: Ensemble, *, num_tokens: int, num_slots: int = 1, half: bool = False) -> None:
        self.average, self.num_slots = ensemble.average, num_slots
        # As long as the shortest context, so that all members forget the beginning of a text at once.
        self.capacity = ensemble.context_length
        self._engines = [
            Engine(member, num_tokens=num_tokens, num_slots=num_slots, capacity=self.capacity, half=half) for member in ensemble.members
        ]
        counted = ensemble.counted
        self._counted, self._num_tokens = counted and Weighted(counted.model.to("cpu"), counted.weight), num_tokens
        self._recent: list[list[int]] = [[] for _ in range(num_slots)]
        """The last tokens of each slot, as many as the counts look at."""

    def start(self, tokens: Sequence[int], slot: int = 0) -> Tensor:
        """Fill a slot with a sequence; return the scores (num_tokens,) of what follows."""
        self._recent[slot] = self._last(tokens)
        return self._join([engine.start(tokens, slot) for engine in self._engines], slice(slot, slot + 1))

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Add one token to each of the first slots; return the scores (B, num_tokens) of what follows."""
        for slot, token in enumerate(tokens):
            self._recent[slot] = self._last([*self._recent[slot], token])
        return self._join([engine.step(tokens, positions) for engine in self._engines], slice(len(tokens)))

    def move(self, source: int, target: int) -> None:
        """Copy what one slot holds to another."""
        self._recent[target] = self._recent[source]
        for engine in self._engines:
            engine.move(source, target)

    def _last(self, tokens: Sequence[int]) -> list[int]:
        return list(tokens[-self._counted.model.order :]) if self._counted else []

    def _join(self, scores: Sequence[Tensor], slots: slice) -> Tensor:
        stacked = torch.stack(list(scores))
        if self._counted is None:
            return stacked.mean(0) if self.average == "logits" else stacked.log_softmax(-1).logsumexp(0)
        mean = stacked.mean(0).softmax(-1) if self.average == "logits" else stacked.softmax(-1).mean(0)
        model, weight = self._counted
        rows = [torch.from_numpy(model.following(recent)[: self._num_tokens]) for recent in self._recent[slots]]
        counted = torch.stack(rows).to(mean).reshape(*mean.shape[:-1], -1)
        mean *= 1 - weight
        mean[..., : counted.shape[-1]] += weight * counted
        return mean.clamp_min(torch.finfo(mean.dtype).tiny).log()


def load_ensemble(
    folders: Sequence[Path], *, average: Average = "probabilities", device: torch.device | str = "cpu", counted: Path | None = None
) -> tuple[Ensemble, Tokenizer]:
    """Open checkpoints as one ensemble, with the tokenizer that they share.

    Args:
        folders: of the checkpoints.
        average: what of the members is averaged.
        device: of everything.
        counted: a file of counted n-grams; where it does not exist there are none.

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
    counts = load_counted(counted, device=device) if counted is not None and counted.is_file() else None
    return Ensemble([decoder for decoder, _ in loaded], average=average, counted=counts), loaded[0][1]


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Return a SHA-256 that two tokenizers share when they cut and number text alike.

    What else a file says is left out: another program that saves the tokenizer adds a post-processor, which we never ask for.
    """
    described = json.loads(tokenizer.to_json())
    cuts = {name: described.get(name) for name in CUTTING}
    return hashlib.sha256(json.dumps(cuts, sort_keys=True).encode("utf-8")).hexdigest()
