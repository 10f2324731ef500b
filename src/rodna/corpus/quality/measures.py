"""What is measured of each document, all documents of a batch at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rodna.corpus.config import QualityReason
from rodna.corpus.quality.alphabet import DIGIT, NEWLINE, NUM_KINDS, OTHER, OWN, PUNCTUATION, SPACE, SYMBOL
from rodna.corpus.quality.characters import BITS_STEPS, Batch, CharacterModel, keys_of, lay_out


@dataclass(frozen=True)
class Measure:
    """One measure: which side of it is bad, the reason a document is dropped for, and how a person is told.

    `least` is how far from the text's median a value must at least lie to be bad, however alike the text's own values are. Set by what
    real texts of seven languages hold (benchmarks/corpus/quality.py): genealogies, refrains, lists inside prose, spelled-out numbers.
    """

    name: str
    bad: Literal["high", "low"]
    reason: QualityReason
    least: float
    says: str


TABLE = (
    Measure("bits", "high", "unlikely_text", 2.0, "bits per character under a model of the language's text"),
    Measure("other_script", "high", "wrong_script", 0.5, "share of letters in other scripts"),
    Measure("letters", "low", "too_few_letters", 0.3, "share of letters among what is not white space"),
    Measure("digits", "high", "too_few_letters", 0.3, "share of digits among what is not white space"),
    Measure("symbols", "high", "too_few_letters", 0.15, "share of symbols and unreadable characters among what is not white space"),
    Measure("punctuation", "high", "not_running_text", 0.1, "share of punctuation among what is not white space"),
    Measure("long_words", "high", "not_running_text", 8.0, "mean length of what stands between spaces, in characters"),
    Measure("short_words", "low", "not_running_text", 2.0, "mean length of what stands between spaces, in characters"),
    Measure("list_lines", "high", "not_running_text", 0.6, "share of lines of a few words that do not end as the language's lines do"),
    Measure("repeated_lines", "high", "too_repetitive", 0.5, "share of the text in lines that occurred before"),
    Measure("repeated_phrases", "high", "too_repetitive", 0.5, "share of phrases that occur more than once nearby"),
    Measure("common_word", "high", "too_repetitive", 0.4, "share of the commonest word"),
)
MEASURES: tuple[str, ...] = ("characters", *(measure.name for measure in TABLE))
"""The columns of what `measure` returns; `characters` is the length, which thresholds depend on."""

MIN_LINES = 5
"""Documents of fewer lines are not measured by their lines."""
MIN_WORDS, MIN_WORDS_CHARACTERS = 4, 100
"""Documents of fewer words and fewer characters are not measured by the length of their words."""
BLOCK_CHARACTERS = 2048
"""Repetition is looked for within stretches of this length, so that long documents do not look repetitive for being long."""
PHRASE_CHARACTERS, PHRASE_CHARACTERS_UNSPACED = 12, 6
MIN_PHRASES = 8


def measure(texts: Sequence[str], model: CharacterModel) -> np.ndarray:
    """Measure documents.

    Args:
        texts: the documents, normalized; a few megabytes at a time.
        model: of the language's text.

    Returns:
        float32, shape (documents, len(MEASURES)); NaN where a document is too short or has too little of something to be measured.
    """
    out = np.full((len(texts), len(MEASURES)), np.nan, dtype=np.float32)
    if not texts:
        return out
    column = dict(zip(MEASURES, out.T, strict=True))
    batch = lay_out(texts, model.alphabet)
    lengths = batch.ends - batch.starts
    column["characters"][:] = lengths
    keys = keys_of(batch.ids)
    kinds = model.alphabet.kinds[batch.ids]
    if model.can_judge:
        bits = np.add.reduceat(model.bits(batch, keys), _bounds(batch), dtype=np.uint32)[::2]
        column["bits"][:] = _ratio(bits, lengths * BITS_STEPS)
    counts = _counts(kinds, batch)
    letters = counts[:, OWN] + counts[:, OTHER]
    visible = letters + counts[:, DIGIT] + counts[:, PUNCTUATION] + counts[:, SYMBOL]
    column["other_script"][:] = _ratio(counts[:, OTHER], letters)
    column["letters"][:] = _ratio(letters, visible)
    for name, kind in (("digits", DIGIT), ("symbols", SYMBOL), ("punctuation", PUNCTUATION)):
        column[name][:] = _ratio(counts[:, kind], visible)
    document = np.repeat(np.arange(len(texts)), lengths + 3)
    blank = kinds >= SPACE
    if model.spaced:
        begins = np.flatnonzero(blank[:-1] & ~blank[1:]) + 1
        words = np.bincount(document[begins], minlength=len(texts))
        words = np.where((words >= MIN_WORDS) | (lengths >= MIN_WORDS_CHARACTERS), words, 0)
        column["long_words"][:] = column["short_words"][:] = _ratio(visible, words)
    else:
        begins = np.flatnonzero(~blank)
    _measure_lines(column, kinds, batch, model)
    _measure_repetition(column, batch, keys, begins, model)
    return out


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _bounds(batch: Batch) -> np.ndarray:
    return np.stack([batch.starts, batch.ends], axis=1).ravel()


def _counts(kinds: np.ndarray, batch: Batch) -> np.ndarray:
    """Return how many characters of each kind each document has, shape (D, NUM_KINDS)."""
    number = len(batch.starts)
    labels = np.repeat(np.arange(number, dtype=np.int32) * 8, batch.ends - batch.starts + 3)
    labels = np.concatenate([np.full(len(kinds) - len(labels), (number) * 8, dtype=np.int32), labels]) if False else labels
    inside = kinds[: len(labels)]
    return np.bincount(labels + inside, minlength=number * 8).reshape(number, 8)[:, :NUM_KINDS]


def _measure_lines(column: dict[str, np.ndarray], kinds: np.ndarray, batch: Batch, model: CharacterModel) -> None:
    line_ends = np.flatnonzero(kinds == NEWLINE)
    lengths = np.diff(line_ends, prepend=-1) - 1
    full = lengths > 0
    line_ends, lengths = line_ends[full], lengths[full]
    document = np.searchsorted(batch.ends, line_ends)
    number = np.bincount(document, minlength=len(batch.starts))
    final = model.alphabet.final
    last, before = batch.ids[line_ends - 1], batch.ids[line_ends - 2]
    ended = final[last] | ((kinds[line_ends - 1] == PUNCTUATION) & final[before])
    number = np.where(number >= MIN_LINES, number, 0)
    listed = ~ended & (lengths <= model.short_line)
    column["list_lines"][:] = _ratio(np.bincount(document, weights=listed, minlength=len(number)), number)
    hashed = _hash_of_stretches(batch.ids, line_ends - lengths, line_ends)
    order = np.lexsort((np.arange(len(hashed)), hashed, document))
    same = (hashed[order][1:] == hashed[order][:-1]) & (document[order][1:] == document[order][:-1])
    repeated = np.zeros(len(hashed))
    repeated[order[1:][same]] = lengths[order[1:][same]]
    total = np.where(number > 0, np.bincount(document, weights=lengths, minlength=len(number)), 0)
    column["repeated_lines"][:] = _ratio(np.bincount(document, weights=repeated, minlength=len(number)), total)


def _hash_of_stretches(ids: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return a hash of each stretch that depends on the characters and their order, uint64."""
    positions = np.arange(len(ids), dtype=np.uint64)
    del positions
    if not len(starts):
        return np.zeros(0, dtype=np.uint64)
    # Characters are mixed with how far they are from the stretch's start, then added up.
    offsets = (
        np.arange(len(ids), dtype=np.int64) - np.repeat(np.append(0, starts), np.diff(np.concatenate([[0], starts, [len(ids)]])))
    ).astype(np.uint64)
    mixed = (ids + np.uint64(1)) * (offsets * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0xBF58476D1CE4E5B9))
    mixed ^= mixed >> np.uint64(31)
    return np.add.reduceat(mixed, np.stack([starts, ends], axis=1).ravel())[::2]


def _measure_repetition(column: dict[str, np.ndarray], batch: Batch, keys: np.ndarray, begins: np.ndarray, model: CharacterModel) -> None:
    number = len(batch.starts)
    document = np.searchsorted(batch.ends, begins, side="right")
    span = PHRASE_CHARACTERS if model.spaced else PHRASE_CHARACTERS_UNSPACED
    inside = begins + span <= batch.ends[document]
    begins, document = begins[inside], document[inside]
    blocks = (begins - batch.starts[document]) // BLOCK_CHARACTERS
    first_block = np.cumsum((batch.ends - batch.starts) // BLOCK_CHARACTERS + 1) - ((batch.ends - batch.starts) // BLOCK_CHARACTERS + 1)
    blocks += first_block[document]
    document_of_block = np.repeat(np.arange(number), (batch.ends - batch.starts) // BLOCK_CHARACTERS + 1)
    total = np.bincount(document, minlength=number)
    total = np.where(total >= MIN_PHRASES, total, 0)
    phrase = keys[begins + 3] * np.uint64(0x9E3779B97F4A7C15)
    for offset in range(7, span, 4):
        phrase = (phrase ^ (phrase >> np.uint64(32)) ^ keys[begins + offset]) * np.uint64(0x9E3779B97F4A7C15)
    if span % 4:
        phrase = (phrase ^ (phrase >> np.uint64(32)) ^ keys[begins + span - 1]) * np.uint64(0x9E3779B97F4A7C15)
    block, counts = _runs(phrase, blocks)
    repeated = np.bincount(document_of_block[block], weights=np.where(counts > 1, counts, 0), minlength=number)
    column["repeated_phrases"][:] = _ratio(repeated, total)
    word = (keys[begins + 3] if model.spaced else keys[begins + 1] >> np.uint64(32)) * np.uint64(0x9E3779B97F4A7C15)
    block, counts = _runs(word ^ (word >> np.uint64(32)), blocks)
    if len(block):
        first = np.flatnonzero(np.diff(block, prepend=-1))
        commonest = np.maximum.reduceat(counts, first)
        column["common_word"][:] = _ratio(np.bincount(document_of_block[block[first]], weights=commonest, minlength=number), total)


def _runs(hashed: np.ndarray, blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the block and number of each different value in each block, in the order of blocks."""
    packed = (hashed & np.uint64((1 << 40) - 1)) | (blocks.astype(np.uint64) << np.uint64(40))
    packed.sort()
    first = np.flatnonzero(np.concatenate([[True], packed[1:] != packed[:-1]])) if len(packed) else np.zeros(0, np.int64)
    return (packed[first] >> np.uint64(40)).astype(np.int64), np.diff(np.append(first, len(packed)))
