"""BPE-dropout: a text that is read again is cut into other tokens.

A tokenizer cuts a word in one way, so a small text shows few neighbours of each token, and in later passes nothing new. With some of the
merges left out at random the same word comes in other pieces, which are learned with it. What is released is as standard as before: the
tokenizer itself is not changed, and the last part of a training reads the text as it will be read afterwards.

Reference: Provilkov et al. 2020, "BPE-Dropout", arXiv:1910.13267, algorithm 1. Ours are: a character that is a token stays whole; of
every word `VARIANTS` ways are drawn once, of which each occurrence in each epoch takes one; and the last steps go without.

A word here is a stretch of tokens up to the next that begins with a space, or `LONGEST_WORD` of them. Where the merges do not give back the
tokenizer's own tokens, as over a boundary that it never crosses, the word is left as it is.

Shapes: V tokens of the vocabulary, R merges, W different words, N tokens of a text, M symbols of the words being joined, P pairs.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rodna.core.errors import TrainError
from rodna.data.batches import Integers, ranges
from rodna.data.hashing import hashes, uniform
from rodna.data.tokens import Tokens
from rodna.tokenizer.tokenizer import Tokenizer

VARIANTS = 8
"""Ways of cutting a word that are drawn; a word that occurs once is read no more than about twenty times."""
LONGEST_WORD = 32
WORDS_AT_ONCE = 1 << 15
"""Times `VARIANTS`: bounds the memory of drawing."""
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Merges:
    """How a BPE tokenizer makes its tokens.

    Attributes:
        keys_R: left x V + right of each pair that is joined, sorted.
        rank_R: when each of them is joined: lower is earlier.
        whole_R: the token they become, by rank.
        atoms: the tokens that each token is made of, down to whole characters, one token after another.
        first_V: where they begin, and their end: V + 1 numbers.
        begins_V: bool, whether a token begins with a space.
    """

    keys_R: Integers
    rank_R: Integers
    whole_R: Integers
    atoms: Integers
    first_V: Integers
    begins_V: NDArray[np.bool_]

    @classmethod
    def of(cls, tokenizer: Tokenizer, vocabulary_size: int) -> "Merges":
        """Return the merges of a tokenizer, for tokens below `vocabulary_size`.

        Raises:
            TrainError: it is not BPE, or joins nothing.
        """
        triples = tokenizer.merges
        if not triples:
            raise TrainError(
                f"a tokenizer of the kind {tokenizer.algorithm!r} has no merges to leave out",
                where="train.bpe_dropout",
                fix="set train.bpe_dropout to 0, or tokenizer.algorithm to bpe",
            )
        left_R, right_R, whole_R = np.array(triples, np.int64).T
        spelled = [tokenizer.token_bytes(token) for token in range(min(tokenizer.vocabulary_size, vocabulary_size))]
        parts = [[token] for token in range(vocabulary_size)]
        for left, right, whole in triples:
            # Parts come before what is made of them. A character is not taken apart, however many bytes it has, nor from a space before
            # it: the tokenizer may have joined the space with the first of its bytes.
            if parts[whole] == [whole] and not _is_character(spelled[whole].removeprefix(b" ")):
                parts[whole] = parts[left] + parts[right]
        keys_R = left_R * vocabulary_size + right_R
        order = np.argsort(keys_R, kind="stable")
        begins = [bytes_[:1].isspace() for bytes_ in spelled] + [False] * (vocabulary_size - len(spelled))
        return cls(keys_R[order], order, whole_R, np.array([atom for atoms in parts for atom in atoms], np.int64),
                   np.cumsum([0, *map(len, parts)]), np.array(begins))  # fmt: skip

    @property
    def vocabulary_size(self) -> int:
        return len(self.begins_V)

    def ranks(self, left_P: Integers, right_P: Integers) -> Integers:
        """Return when each pair is joined, `_NEVER` where it is not."""
        keys_P = left_P * self.vocabulary_size + right_P
        places_P = np.searchsorted(self.keys_R, keys_P).clip(max=len(self.keys_R) - 1)
        return np.where(self.keys_R[places_P] == keys_P, self.rank_R[places_P], _NEVER)

    def join(self, symbols_M: Integers, words_M: Integers, *, dropout: float, key: tuple[int, ...]) -> tuple[Integers, Integers]:
        """Join the symbols of words, always the pair that comes first in the tokenizer's order, and of like ones the leftmost.

        Args:
            symbols_M: of all words, one after another.
            words_M: the word of each; never falls.
            dropout: each pair is passed over with this probability, drawn anew at every step; a word is ready where none is left.
            key: of the draws.

        Returns:
            The tokens, and the word of each, in the same order of words.
        """
        done: list[tuple[Integers, Integers]] = []
        ranks_M = self._ranks_of_neighbours(symbols_M, words_M, np.arange(len(symbols_M)))
        step = 0
        while len(symbols_M):
            offered_M = ranks_M
            if dropout:
                offered_M = np.where(uniform(len(ranks_M), *key, step) < dropout, _NEVER, ranks_M)
            starts = np.flatnonzero(np.concatenate([[True], words_M[1:] != words_M[:-1]]))
            best = np.minimum.reduceat(offered_M, starts)
            sizes = np.diff(np.append(starts, len(symbols_M)))
            goes_on_M = np.repeat(best < _NEVER, sizes)
            if not goes_on_M.all():
                done.append((symbols_M[~goes_on_M], words_M[~goes_on_M]))
            chosen = np.flatnonzero((offered_M == np.repeat(best, sizes)) & goes_on_M)
            chosen = chosen[np.unique(words_M[chosen], return_index=True)[1]]
            symbols_M = symbols_M.copy()
            symbols_M[chosen] = self.whole_R[ranks_M[chosen]]
            goes_on_M[chosen + 1] = False
            # Where each kept symbol now is: those that changed, and the ones before them, have new neighbours.
            place_M = np.cumsum(goes_on_M) - 1
            symbols_M, words_M, ranks_M = symbols_M[goes_on_M], words_M[goes_on_M], ranks_M[goes_on_M]
            changed = place_M[chosen]
            ranks_M = ranks_M.copy()
            for places in (changed, changed[changed > 0] - 1):
                ranks_M[places] = self._ranks_of_neighbours(symbols_M, words_M, places)
            step += 1
        symbols_M, words_M = (np.concatenate([part[number] for part in done]) if done else symbols_M for number in (0, 1))
        order = np.argsort(words_M, kind="stable")
        return symbols_M[order], words_M[order]

    def _ranks_of_neighbours(self, symbols_M: Integers, words_M: Integers, places: Integers) -> Integers:
        """Return the rank of the pair that begins at each place; `_NEVER` for a word's last symbol."""
        after = np.minimum(places + 1, len(symbols_M) - 1)
        is_pair = (after > places) & (words_M[after] == words_M[places])
        return np.where(is_pair, self.ranks(symbols_M[places], symbols_M[after]), _NEVER)


class Segmentations:
    """The ways in which a text may be cut: that of its tokenizer, and drawn ones."""

    def __init__(self, tokens: Tokens, merges: Merges, *, dropout: float, seed: int) -> None:
        """Draw `VARIANTS` ways of cutting each word.

        Args:
            tokens: the text as the tokenizer cuts it.
            merges: the tokenizer's.
            dropout: probability that a merge is passed over.
            seed: of the draws, and of which of them is taken where.
        """
        self.tokens, self._seed = tokens, seed
        stream_N = np.asarray(tokens.tokens, np.int64)
        starts = _word_starts(stream_N, tokens, merges.begins_V)
        self._words, first, last = _different(stream_N, starts)
        flat, sizes = _draw(stream_N, first, last, merges, dropout=dropout, seed=seed)
        self._flat, self._sizes = flat.astype(tokens.tokens.dtype), sizes
        self._starts = np.cumsum(sizes) - sizes
        # Words never cross documents, so a document is a stretch of words.
        self._first_words = np.searchsorted(starts, tokens.offsets)
        self.epoch = lru_cache(maxsize=2)(self._make_epoch)

    def _make_epoch(self, number: int) -> Tokens:
        """Return the text as it is cut in an epoch."""
        taken = self._words * VARIANTS + (hashes(len(self._words), self._seed, number) % np.uint64(VARIANTS)).astype(np.int64)
        sizes = self._sizes[taken]
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        return replace(self.tokens, tokens=self._flat[ranges(self._starts[taken], sizes)], offsets=ends[self._first_words])


def segmentations_for(tokens: Tokens, tokenizer_folder: Path, *, dropout: float, seed: int) -> Segmentations | None:
    """Return a text's segmentations for training with so much BPE-dropout; None where there is none.

    Raises:
        TrainError: the tokenizer has no merges.
    """
    if not dropout or not tokens.num_tokens:
        return None
    merges = Merges.of(Tokenizer.load(tokenizer_folder), tokens.vocabulary_size)
    return Segmentations(tokens, merges, dropout=dropout, seed=seed)


def _is_character(token: bytes) -> bool:
    try:
        return len(token.decode("utf-8")) == 1
    except UnicodeDecodeError:
        return False


def _word_starts(stream_N: Integers, tokens: Tokens, begins_V: NDArray[np.bool_]) -> Integers:
    """Return where words begin: at documents, at their ends, at spaces, and after `LONGEST_WORD` tokens."""
    is_end_N = stream_N == tokens.end_of_text_id
    is_start_N = begins_V[stream_N] | is_end_N
    is_start_N[1:] |= is_end_N[:-1]
    is_start_N[tokens.offsets[:-1]] = True
    starts = np.flatnonzero(is_start_N)
    within_N = np.arange(len(stream_N)) - np.repeat(starts, np.diff(np.append(starts, len(stream_N))))
    return np.flatnonzero(within_N % LONGEST_WORD == 0)


def _different(stream_N: Integers, starts: Integers) -> tuple[Integers, Integers, Integers]:
    """Return which of the different words each word is, and where a first one of each begins and ends."""
    raw, places = stream_N.tobytes(), np.append(starts, len(stream_N)) * stream_N.itemsize
    numbers: dict[bytes, int] = {}
    words = np.array([numbers.setdefault(raw[begin:end], len(numbers)) for begin, end in pairwise(places.tolist())])
    ends = np.append(starts[1:], len(stream_N))
    firsts = np.unique(words, return_index=True)[1]
    return words, starts[firsts], ends[firsts]


def _draw(
    stream_N: Integers, first_W: Integers, last_W: Integers, merges: Merges, *, dropout: float, seed: int
) -> tuple[Integers, Integers]:
    """Return the tokens of all variants of all words, one after another, and how many each has (W x VARIANTS)."""
    tokens, sizes = [], []
    for begin in range(0, len(first_W), WORDS_AT_ONCE):
        first, count = first_W[begin : begin + WORDS_AT_ONCE], (last_W - first_W)[begin : begin + WORDS_AT_ONCE]
        canonical, of_word = stream_N[ranges(first, count)], np.repeat(np.arange(len(first)), count)
        atoms_of = merges.first_V[canonical], np.diff(merges.first_V)[canonical]
        symbols, word = merges.atoms[ranges(*atoms_of)], np.repeat(of_word, atoms_of[1])
        joined, joined_word = merges.join(symbols, word, dropout=0.0, key=())
        fits = _same(canonical, count, joined, np.bincount(joined_word, minlength=len(first)))
        # What the merges do not give back is taken in one piece for every draw: as it is.
        keeps = fits[word]
        symbols, word = np.concatenate([symbols[keeps], canonical[~fits[of_word]]]), np.concatenate([word[keeps], of_word[~fits[of_word]]])
        order = np.argsort(word, kind="stable")
        symbols, word = symbols[order], word[order]
        many = np.bincount(word, minlength=len(first))
        starts = np.cumsum(many) - many
        places = ranges(np.repeat(starts, VARIANTS), np.repeat(many, VARIANTS))
        variant = np.repeat(np.arange(len(first) * VARIANTS), np.repeat(many, VARIANTS))
        varied = np.repeat(fits, VARIANTS)[variant]
        drawn, drawn_word = merges.join(symbols[places][varied], variant[varied], dropout=dropout, key=(seed, begin))
        all_tokens, all_words = np.concatenate([drawn, symbols[places][~varied]]), np.concatenate([drawn_word, variant[~varied]])
        order = np.argsort(all_words, kind="stable")
        tokens.append(all_tokens[order])
        sizes.append(np.bincount(all_words, minlength=len(first) * VARIANTS))
    return np.concatenate(tokens), np.concatenate(sizes)


def _same(one: Integers, one_sizes: Integers, other: Integers, other_sizes: Integers) -> NDArray[np.bool_]:
    """Return which words have the same tokens in both, each one word after another, of these sizes."""
    same = one_sizes == other_sizes
    word_one, word_other = (np.repeat(np.arange(len(sizes)), sizes) for sizes in (one_sizes, other_sizes))
    pick_one, pick_other = same[word_one], same[word_other]
    differing = word_one[pick_one][one[pick_one] != other[pick_other]]
    same[differing] = False
    return same
