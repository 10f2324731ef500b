"""Are the words a model writes words: looked up in the training text, beside held-out text that people wrote.

Held-out text too has words that the training text lacks; only a rate below its rate says that a model makes words up. Scripts
written without spaces have no words to look up: there, pairs and triples of characters are, and the measure is called so.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import regex
from numpy.typing import NDArray

from rodna.corpus.unspaced import UNSPACED_LETTER
from rodna.evals.text import characters, unspaced_runs, words

ATTESTED = 2
"""Times that a word stands in the training text to count as one: what stands there once is often misspelt."""
SEQUENCES = (2, 3)
"""Characters of the sequences that are looked up in scripts written without spaces."""
LISTED = 500
"""Unattested words kept in the file."""

_LETTER = regex.compile(r"\p{L}")
_INSIDE_WORD = regex.compile(r"[\p{L}\p{M}\p{N}'’ʼ\-]")

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


class WordList:
    """How often words, and pairs and triples of characters of unspaced scripts, stand in the training text.

    Args:
        training: the texts, read once.
        wanted: texts whose words and sequences are counted; no others are, so memory does not grow with the training text.
        attested: times that something must stand there.
    """

    def __init__(self, training: Iterable[str], wanted: Sequence[str], *, attested: int = ATTESTED) -> None:
        self.attested = attested
        names = {word for text in wanted for word in spaced_words(text)}
        sequences = {length: {item for text in wanted for item in unspaced_sequences(text, length)} for length in SEQUENCES}
        self.words: Counter[str] = Counter()
        self.sequences: dict[int, Counter[str]] = {length: Counter() for length in SEQUENCES}
        for text in training:
            # No word reaches over white space, so what stands between is taken apart once, however often it comes.
            for token, count in Counter(text.split()).items():
                for word in spaced_words(token):
                    if word in names:
                        self.words[word] += count
            for length, items in sequences.items():
                if items:
                    self.sequences[length].update(item for item in unspaced_sequences(text, length) if item in items)

    def count_words(self, texts: Sequence[Sequence[str]]) -> Counts:
        """Return, for each text given as its words, how many of them are attested, and how many there are."""
        found = [sum(self.words[word] >= self.attested for word in text) for text in texts]
        return np.array(found, dtype=np.int64), np.array([len(text) for text in texts], dtype=np.int64)

    def count_sequences(self, texts: Sequence[str], length: int) -> Counts:
        """Return, for each text, how many sequences of characters of unspaced scripts are attested, and how many there are."""
        split = [unspaced_sequences(text, length) for text in texts]
        counter = self.sequences[length]
        found = [sum(counter[item] >= self.attested for item in text) for text in split]
        return np.array(found, dtype=np.int64), np.array([len(text) for text in split], dtype=np.int64)

    def unattested(self, texts: Sequence[Sequence[str]]) -> list[dict[str, str | int]]:
        """Return the words that are not attested, the most frequent first: word, times written, times in the training text."""
        counts = Counter(word for text in texts for word in text if self.words[word] < self.attested)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:LISTED]
        return [{"word": word, "count": count, "in_training": self.words[word]} for word, count in ranked]


def spaced_words(text: str) -> list[str]:
    """Return the words of a text that hold a letter, folded in case and composed, without those of unspaced scripts."""
    folded = unicodedata.normalize("NFC", text.casefold())
    return [word for word in words(folded) if _LETTER.search(word) and not UNSPACED_LETTER.search(word)]


def whole_words(text: str, *, continues: bool) -> list[str]:
    """Return a text's words without those that may be cut: the last, where the text ends inside it, and the first of a continuation.

    Args:
        text: any.
        continues: whether a prompt stood before it, whose last word its first letters may belong to.
    """
    start, stop = 0, len(text)
    while stop and _INSIDE_WORD.match(text[stop - 1]):
        stop -= 1
    while continues and start < stop and _INSIDE_WORD.match(text[start]):
        start += 1
    return spaced_words(text[start:stop])


def unspaced_sequences(text: str, length: int) -> list[str]:
    """Return the sequences of neighbouring characters within each stretch of unspaced script."""
    found: list[str] = []
    for run in unspaced_runs(unicodedata.normalize("NFC", text)):
        split = characters(run)
        found += ["".join(split[start : start + length]) for start in range(len(split) - length + 1)]
    return found
