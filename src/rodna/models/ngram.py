"""An n-gram model over a tokenizer's tokens: what is learned from a text by counting, in a second.

Interpolated Kneser-Ney smoothing with one discount a length. References: Kneser & Ney 1995, "Improved backing-off for m-gram language
modeling"; Heafield et al. 2013 for n-grams that begin a document, which keep plain counts.

Shapes: N positions, K the longest n-gram (`order`), J = K - 1 tokens before a position, U different n-grams of one length, C different
contexts of one length, P n-grams that follow the contexts of N positions, V vocabulary.

A document begins after end_of_text; nothing before that is seen, so a context that reaches over it is filled up with it. An n-gram is
kept as one number: its tokens as digits to the base V.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rodna.core.errors import ModelError

if TYPE_CHECKING:
    from rodna.data.tokens import Tokens

ORDER = 5
LARGEST_ORDER = 8
KEY_BITS = 62
"""Of the number that stands for an n-gram."""
NOTHING_LEFT_OUT = -1
DOCUMENTS_AT_ONCE = 1024

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """All n-grams of one length.

    Attributes:
        keys_U: int64, ascending.
        counts_U: int64: how often it was seen; of n-grams shorter than the longest, before how many different tokens, unless they begin a
            document.
        base: V.
    """

    keys_U: Tensor
    counts_U: Tensor
    base: int

    @cached_property
    def discount(self) -> float:
        """What is taken from every count."""
        once, twice = (int((self.counts_U == count).sum()) for count in (1, 2))
        # Of few n-grams the formula may give what leaves nothing, or takes nothing.
        return min(max(once / max(1, once + 2 * twice), 0.05), 0.95)

    @cached_property
    def values_U(self) -> Tensor:
        """Counts less the discount, float32."""
        return self.counts_U.float() - self.discount

    @cached_property
    def contexts_C(self) -> Tensor:
        return self._groups[0]

    @cached_property
    def first_C(self) -> Tensor:
        """Where the n-grams of each context begin (C + 1)."""
        lengths_C = self._groups[1]
        return torch.cat([lengths_C.new_zeros(1), lengths_C.cumsum(0)])

    @cached_property
    def totals_C(self) -> Tensor:
        """The sum of each context's counts."""
        sums = torch.cat([self.counts_U.new_zeros(1), self.counts_U.cumsum(0)])
        return sums[self.first_C[1:]] - sums[self.first_C[:-1]]

    @cached_property
    def before_U(self) -> Tensor:
        """The sum of all values before each n-gram, float64 (U + 1)."""
        return torch.cat([torch.zeros(1, dtype=torch.float64, device=self.keys_U.device), self.values_U.double().cumsum(0)])

    @cached_property
    def _groups(self) -> tuple[Tensor, Tensor]:
        return torch.unique_consecutive(self.keys_U // self.base, return_counts=True)


class Share(NamedTuple):
    """What the n-grams of one length add to the distributions of N positions.

    Attributes:
        place_N: of the context among the level's; any where it is not there.
        is_seen_N: bool: the context was seen.
        scale_N: float32, what an n-gram's value is multiplied with; 0 where the context is unseen.
        gram_N: of the token that is left out; any where there is none.
        change_N: float32, what its value changes by.
        taken_N: int64, what the sum of the context's counts changes by.
    """

    place_N: Tensor
    is_seen_N: Tensor
    scale_N: Tensor
    gram_N: Tensor
    change_N: Tensor
    taken_N: Tensor


@dataclass(frozen=True)
class NgramModel:
    """Counts of n-grams, and the probabilities that they give.

    Attributes:
        levels: of 1, 2, ... K tokens.
        vocabulary_size: every token is below it.
        end_of_text_id: the token after every document.
    """

    levels: tuple[Level, ...]
    vocabulary_size: int
    end_of_text_id: int

    @property
    def order(self) -> int:
        return len(self.levels)

    @property
    def num_ngrams(self) -> int:
        return sum(len(level.keys_U) for level in self.levels)

    @property
    def device(self) -> torch.device:
        return self.levels[0].keys_U.device

    @classmethod
    def count(cls, tokens: "Tokens", *, order: int = ORDER) -> "NgramModel":
        """Count the n-grams of a split.

        Args:
            tokens: at least one document.
            order: of the longest n-grams; less where the vocabulary is so large that they would not fit 62 bits.

        Raises:
            ModelError: there is nothing to count, or no such order.
        """
        if not tokens.num_tokens:
            raise ModelError("there is no text to count n-grams in", fix="give a training split that holds documents")
        if not 1 <= order <= LARGEST_ORDER:
            raise ModelError(f"no n-grams of {order} tokens are counted", fix=f"choose an order from 1 to {LARGEST_ORDER}")
        base, end = tokens.vocabulary_size, tokens.end_of_text_id
        order = min(order, int(KEY_BITS / math.log2(max(2, base))))
        stream_N = np.asarray(tokens.tokens[: tokens.num_tokens]).astype(np.int64)
        depth_N = np.arange(len(stream_N)) - np.repeat(tokens.offsets[:-1], np.diff(tokens.offsets))
        keys_N, unit, found = stream_N.copy(), 1, list[tuple[NDArray[np.int64], NDArray[np.int64]]]()
        for length in range(1, order + 1):
            if length > 1:
                unit *= base
                back = length - 1
                before_N = np.full(len(stream_N), end, np.int64)
                inside_N = depth_N >= back
                before_N[inside_N] = stream_N[np.flatnonzero(inside_N) - back]
                keys_N += before_N * unit
            found.append(np.unique(keys_N, return_counts=True))
        for length in range(order - 1, 0, -1):
            keys_U, counts_U = found[length - 1]
            _, adjusted_U = np.unique(found[length][0] % base**length, return_counts=True)
            # What begins a document is preceded by end_of_text alone, however often it was seen.
            begins_U = (keys_U // base ** (length - 1) == end) if length > 1 else np.zeros(len(keys_U), bool)
            found[length - 1] = keys_U, np.where(begins_U, counts_U, adjusted_U)
        levels = tuple(Level(torch.from_numpy(keys_U), torch.from_numpy(counts_U), base) for keys_U, counts_U in found)
        return cls(levels, base, end)

    def to(self, device: torch.device | str) -> "NgramModel":
        """Return the same counts on a device."""
        return replace(
            self, levels=tuple(replace(level, keys_U=level.keys_U.to(device), counts_U=level.counts_U.to(device)) for level in self.levels)
        )

    def contexts(self, tokens_BT: Tensor) -> Tensor:
        """Return the tokens before what follows each position, the nearest first: int64 (B x T, J).

        Args:
            tokens_BT: rows; before their first token lies end_of_text. A row that begins within a document is read as if the document began
                there: at its first J positions contexts are shorter, and a place that is left out may still count in them.
        """
        columns = [tokens_BT]
        for back in range(1, self.order - 1):
            column_BT = torch.full_like(tokens_BT, self.end_of_text_id)
            column_BT[:, back:] = tokens_BT[:, : max(0, tokens_BT.shape[1] - back)]
            columns.append(column_BT.where(columns[-1] != self.end_of_text_id, self.end_of_text_id))
        return torch.stack(columns[: self.order - 1], -1).flatten(0, 1) if self.order > 1 else tokens_BT.new_zeros((tokens_BT.numel(), 0))

    def nats(self, contexts_NJ: Tensor, targets_N: Tensor) -> Tensor:
        """Return -log p of each target: float64 (N,)."""
        shares, floor_N = self._look_up(contexts_NJ, torch.full_like(targets_N, NOTHING_LEFT_OUT))
        probabilities_N = floor_N.double() / self.vocabulary_size
        for level, share, keys_N in zip(self.levels, shares, self._keys(contexts_NJ), strict=True):
            place_N, is_there_N = _find(level.keys_U, keys_N * self.vocabulary_size + targets_N)
            probabilities_N += torch.where(is_there_N, level.values_U[place_N].double() * share.scale_N, 0.0)
        return -probabilities_N.log()

    def token_nats(self, tokens: "Tokens") -> FloatArray:
        """Return what each token of a split costs (N,), every document being read by itself."""
        parts = [np.zeros(0)]
        for start in range(0, tokens.num_documents, DOCUMENTS_AT_ONCE):
            bounds = tokens.offsets[start : start + DOCUMENTS_AT_ONCE + 1]
            stream = torch.from_numpy(np.asarray(tokens.tokens[bounds[0] : bounds[-1]]).astype(np.int64)).to(self.device)
            # A document's end is what the next one begins after.
            before = torch.cat([stream.new_full((1,), self.end_of_text_id), stream[:-1]])
            parts.append(self.nats(self.contexts(before[None]), stream).cpu().numpy())
        return np.concatenate(parts)

    def probabilities(self, contexts_NJ: Tensor, left_out_N: Tensor | None = None) -> Tensor:
        """Return the distribution of what follows each position: float32 (N, V).

        Args:
            contexts_NJ: of `contexts`.
            left_out_N: int64, the token that follows there in the text that was counted, or `NOTHING_LEFT_OUT`: the model is as if this
                one place had not been counted. So counts can teach the text that they are of.
        """
        if left_out_N is None:
            left_out_N = torch.full((len(contexts_NJ),), NOTHING_LEFT_OUT, device=contexts_NJ.device)
        shares, floor_N = self._look_up(contexts_NJ, left_out_N)
        values_V = torch.zeros(self.vocabulary_size, device=self.device)
        values_V[self.levels[0].keys_U] = self.levels[0].values_U
        result_NV = torch.outer(shares[0].scale_N, values_V).add_((floor_N / self.vocabulary_size)[:, None])
        flat = result_NV.view(-1)
        for level, share in zip(self.levels[1:], shares[1:], strict=True):
            lengths_N = torch.where(share.is_seen_N, level.first_C[share.place_N + 1] - level.first_C[share.place_N], 0)
            row_P = torch.repeat_interleave(lengths_N)
            starts_N = level.first_C[share.place_N] - (lengths_N.cumsum(0) - lengths_N)
            gram_P = torch.arange(len(row_P), device=self.device) + starts_N[row_P]
            token_P = level.keys_U[gram_P] % self.vocabulary_size
            flat.index_add_(0, row_P * self.vocabulary_size + token_P, level.values_U[gram_P] * share.scale_N[row_P])
        rows_N = torch.arange(len(left_out_N), device=self.device)
        change_N = torch.stack([share.change_N * share.scale_N for share in shares]).sum(0)
        places = (rows_N, left_out_N.clamp_min(0))
        # What is taken away was added in another order: of a likely token's rare twin rounding leaves less than nothing.
        result_NV[places] = torch.maximum(result_NV[places] + change_N, floor_N / self.vocabulary_size)
        return result_NV

    def following(self, tokens: Sequence[int]) -> FloatArray:
        """Return the distribution (V,) of what follows the last of some tokens; `probabilities` says the same of many places at once.

        Writing asks for one place after another: without tensors that takes a fraction of the time. The counts lie on a CPU.
        """
        result_V, weight = np.zeros(self.vocabulary_size), 1.0
        keys, unit, previous = [0], 1, NOTHING_LEFT_OUT
        for back in range(1, self.order):
            # Nothing before a document is seen.
            previous = self.end_of_text_id if previous == self.end_of_text_id or back > len(tokens) else tokens[-back]
            keys.append(keys[-1] + previous * unit)
            unit *= self.vocabulary_size
        for level, key in zip(self.levels[::-1], keys[::-1], strict=True):
            contexts_C, first_C = level.contexts_C.numpy(), level.first_C.numpy()
            place = int(contexts_C.searchsorted(key))
            if place == len(contexts_C) or contexts_C[place] != key:
                continue
            seen = slice(first_C[place], first_C[place + 1])
            scale = weight / int(level.totals_C.numpy()[place])
            result_V[level.keys_U.numpy()[seen] % self.vocabulary_size] += scale * level.values_U.numpy()[seen]
            weight = scale * level.discount * (seen.stop - seen.start)
        return result_V + weight / self.vocabulary_size

    def sample(self, contexts_NJ: Tensor, left_out_N: Tensor, chances_NK: Tensor) -> Tensor:
        """Return a token for each position, drawn from `probabilities` without making them: int64 (N,).

        Args:
            contexts_NJ: of `contexts`.
            left_out_N: as `probabilities` takes it.
            chances_NK: numbers from 0 to below 1, `order` + 1 of them a position: one for each length of n-grams, one for the rest.
        """
        shares, _ = self._look_up(contexts_NJ, left_out_N)
        token_N = (chances_NK[:, -1] * self.vocabulary_size).long()
        for level, share, chance_N in zip(self.levels, shares, chances_NK.unbind(-1)[:-1], strict=True):
            first_N, end_N = level.first_C[share.place_N], level.first_C[share.place_N + 1]
            # Of all that the context's counts hold, what discounts leave is drawn from here, the rest from shorter contexts.
            start_N, mass_N = level.before_U[first_N], level.before_U[end_N] - level.before_U[first_N]
            drawn_N = start_N + chance_N * (level.totals_C[share.place_N] + share.taken_N)
            # Where a place is left out its token's stretch is shorter: what lies beyond its end is moved on by as much.
            is_past_N = drawn_N >= level.before_U[share.gram_N + 1] + share.change_N
            drawn_N = torch.where(is_past_N, drawn_N - share.change_N, drawn_N)
            place_N = (torch.searchsorted(level.before_U, drawn_N, right=True) - 1).clamp(0, len(level.keys_U) - 1)
            token_N = torch.where(share.is_seen_N & (drawn_N < start_N + mass_N), level.keys_U[place_N] % self.vocabulary_size, token_N)
        return token_N

    def _keys(self, contexts_NJ: Tensor) -> list[Tensor]:
        """Return the contexts of 0, 1, ... J tokens as numbers."""
        keys, unit = [torch.zeros(len(contexts_NJ), dtype=torch.int64, device=contexts_NJ.device)], 1
        for column_N in contexts_NJ.unbind(-1):
            keys.append(keys[-1] + column_N * unit)
            unit *= self.vocabulary_size
        return keys

    def _look_up(self, contexts_NJ: Tensor, left_out_N: Tensor) -> tuple[list[Share], Tensor]:
        """Return what each level adds, and the share that all tokens of the vocabulary have alike (N,)."""
        keys, shares = self._keys(contexts_NJ), list[Share]()
        weight_N = torch.ones(len(contexts_NJ), device=self.device)
        # A place that is left out takes one from the longest n-gram; from a shorter one only where the longer one is gone with it.
        is_gone_N = left_out_N >= 0
        for length in range(self.order, 0, -1):
            level, keys_N = self.levels[length - 1], keys[length - 1]
            place_N, is_there_N = _find(level.contexts_C, keys_N)
            gram_N, is_known_N = _find(level.keys_U, keys_N * self.vocabulary_size + left_out_N.clamp_min(0))
            begins_N = contexts_NJ[:, length - 2] == self.end_of_text_id if length > 1 else torch.zeros_like(is_gone_N)
            takes_N = (left_out_N >= 0) & is_known_N & (is_gone_N | begins_N)
            count_N = level.counts_U[gram_N]
            is_gone_N = takes_N & (count_N == 1)
            kinds_N = level.first_C[place_N + 1] - level.first_C[place_N] - is_gone_N.long()
            total_N = level.totals_C[place_N] - takes_N.long()
            is_seen_N = is_there_N & (total_N > 0)
            scale_N = torch.where(is_seen_N, weight_N / total_N.clamp_min(1), 0.0)
            lost_N = torch.where(is_gone_N, 1 - level.discount, 1.0)
            shares.append(Share(place_N, is_seen_N, scale_N, gram_N, torch.where(takes_N, -lost_N, 0.0), -takes_N.long()))
            weight_N = torch.where(is_seen_N, scale_N * level.discount * kinds_N, weight_N)
        return shares[::-1], weight_N


def _find(sorted_U: Tensor, wanted_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return where numbers are in an ascending list, and whether they are."""
    place_N = torch.searchsorted(sorted_U, wanted_N).clamp_max(len(sorted_U) - 1)
    return place_N, sorted_U[place_N] == wanted_N
