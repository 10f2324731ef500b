"""Learn a Unigram vocabulary, the same to the byte every time.

The library's own trainer goes through a hash map in an order that changes from run to run, and so do its result's scores and order.
Here the library supplies the candidates (its BPE, which is exact) and the Viterbi segmentation, where the time goes; choosing among the
candidates is left. Reference: Kudo 2018, arXiv:1804.10959, section 3.2, with counts of the best segmentation in place of expected ones.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rodna.tokenizer.measure import is_whole
from rodna.tokenizer.patterns import byte_alphabet

CANDIDATES = 3
"""Candidates for each token wanted."""
KEPT = 0.75
"""Share of the candidates that a round keeps. Reference: Kudo 2018 gives 0.8; SentencePiece uses 0.75."""
LONGEST = 48
"""Bytes in a token, at most: whole words of most scripts."""
MOST_WORDS = 400_000
"""Different words that are counted: the most frequent; bounds time and memory."""
MOST_INITIAL_WORDS = 100_000
_UNSEEN = 0.1
_DIGITS = 6

Scores = dict[str, float]


def count_words(texts: Iterable[str], pattern: str) -> list[tuple[str, int]]:
    """Return the most frequent pieces between the pattern's cuts with their counts, most frequent first, ties in code point order."""
    import regex

    split = regex.compile(pattern)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(split.findall(text))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST_WORDS]


def learn_unigram(words: Sequence[tuple[str, int]], candidates: Iterable[str], size: int, backend: Callable[[Any], Any]) -> Any:
    """Choose tokens and their scores.

    Args:
        words: pieces of text and how often each occurs.
        candidates: possible tokens in the byte alphabet; the bytes themselves are always taken.
        size: tokens wanted, bytes included. Fewer come back where there are not so many candidates.
        backend: makes the library's tokenizer, with its split and decoder, from a model.

    Returns:
        The library's tokenizer.
    """
    from tokenizers import models

    alphabet = byte_alphabet()
    pieces = [text for text in candidates if 1 < len(text) <= LONGEST and is_whole(bytes(alphabet[character] for character in text))]
    scores = _scores_of(_substring_counts(words[:MOST_INITIAL_WORDS], {*pieces, *alphabet}), alphabet, pieces)

    def model_of(scores: Scores) -> Any:
        # By score, ties in code point order: a fixed order gives fixed ids.
        return backend(models.Unigram(sorted(scores.items(), key=lambda item: (-item[1], item[0])), unk_id=None, byte_fallback=False))

    while True:
        scores = _scores_of(_segment(model_of(scores), words), alphabet, pieces)
        counts = _segment(model_of(scores), words)
        scores = _scores_of(counts, alphabet, pieces)
        if len(scores) <= size:
            return model_of(scores)
        wanted = max(size, int(len(scores) * KEPT)) - len(alphabet)
        losses = {piece: counts.get(piece, 0) * (scores[piece] - _second_best(piece, scores)) for piece in pieces}
        pieces = sorted(pieces, key=lambda piece: (-losses[piece], piece))[:wanted]
        scores = _scores_of(counts, alphabet, pieces)


def _substring_counts(words: Iterable[tuple[str, int]], pieces: set[str]) -> dict[str, float]:
    """Count every piece at every place, those that overlap too."""
    letters = {byte: character for character, byte in byte_alphabet().items()}
    counts: Counter[str] = Counter()
    for word, number in words:
        text = "".join(letters[byte] for byte in word.encode("utf-8"))
        for start in range(len(text)):
            for end in range(start + 1, min(start + LONGEST, len(text)) + 1):
                if (piece := text[start:end]) in pieces:
                    counts[piece] += number
    return dict(counts)


def _scores_of(counts: Mapping[str, float], alphabet: Iterable[str], pieces: Sequence[str]) -> Scores:
    """Return the logarithm of each token's share; what was not seen gets a tenth of an occurrence."""
    kept = {text: max(counts.get(text, 0), _UNSEEN) for text in (*alphabet, *pieces)}
    total = math.fsum(kept.values())
    # Rounded, so that the last bits of another machine's logarithm do not show.
    return {text: round(math.log(count / total), _DIGITS) for text, count in kept.items()}


def _segment(backend: Any, words: Sequence[tuple[str, int]]) -> dict[str, float]:
    """Count the tokens of every word's best segmentation."""
    import numpy as np

    uses = np.zeros(backend.get_vocab_size())
    for first in range(0, len(words), 1 << 15):
        part = words[first : first + (1 << 15)]
        encoded = [encoding.ids for encoding in backend.encode_batch_fast([word for word, _ in part], add_special_tokens=False)]
        weights = np.repeat([float(number) for _, number in part], [len(ids) for ids in encoded])
        uses += np.bincount([number for ids in encoded for number in ids], weights=weights, minlength=len(uses))
    return {backend.id_to_token(number): float(count) for number, count in enumerate(uses)}


def _second_best(piece: str, scores: Scores) -> float:
    """Return the score of the best segmentation of a token's text into two or more others."""
    best = [0.0] + [-math.inf] * len(piece)
    for end in range(1, len(piece) + 1):
        for start in range(1 if end == len(piece) else 0, end):
            score = scores.get(piece[start:end])
            if score is not None and best[start] + score > best[end]:
                best[end] = best[start] + score
    return best[-1]
