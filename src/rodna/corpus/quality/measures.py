"""What is measured of each document, all documents of a batch at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rodna.corpus.config import QualityReason
from rodna.corpus.quality.alphabet import DIGIT, NEWLINE, NUM_KINDS, OTHER, OWN, PUNCTUATION, SPACE, SYMBOL
from rodna.corpus.quality.characters import BITS_STEPS, SEPARATOR, Batch, CharacterModel, keys_of, lay_out


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
    Measure("bits", "high", "unlikely_text", 2.3, "bits per character under a model of the language's text"),
    Measure("other_script", "high", "wrong_script", 0.5, "share of letters in other scripts"),
    Measure("letters", "low", "too_few_letters", 0.3, "share of letters among what is not white space"),
    Measure("digits", "high", "too_few_letters", 0.3, "share of digits among what is not white space"),
    Measure("symbols", "high", "too_few_letters", 0.06, "share of symbols and unreadable characters among what is not white space"),
    Measure("punctuation", "high", "not_running_text", 0.1, "share of punctuation among what is not white space"),
    Measure("long_words", "high", "not_running_text", 8.0, "mean length of what stands between spaces, in characters"),
    Measure("short_words", "low", "not_running_text", 2.0, "mean length of what stands between spaces, in characters"),
    Measure("list_lines", "high", "not_running_text", 0.6, "share of lines of a few words that do not end as the language's lines do"),
    Measure("repeated_lines", "high", "too_repetitive", 0.5, "share of the text in lines that occurred before"),
    Measure("repeated_phrases", "high", "too_repetitive", 0.65, "share of phrases that occur more than once nearby"),
    Measure("common_word", "high", "too_repetitive", 0.4, "share of the commonest word"),
)
MEASURES: tuple[str, ...] = ("characters", *(measure.name for measure in TABLE))
"""The columns of what `measure` returns; `characters` is the length, which thresholds depend on."""

MIN_LINES = 5
"""Documents of fewer lines are not measured by their lines."""
MIN_WORDS_CHARACTERS = 100
"""Shorter documents are not measured by the length of their words nor by their punctuation: it may be a word, or a quotation."""
BLOCK_CHARACTERS = 2048
"""Repetition is looked for within stretches of this length, so that long documents do not look repetitive for being long."""
NUM_BINS = 512
PHRASE_CHARACTERS, PHRASE_CHARACTERS_UNSPACED = 12, 6
MIN_PHRASES = 20
"""Documents with fewer phrases are not measured by their repetition."""


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
    column["punctuation"][lengths < MIN_WORDS_CHARACTERS] = np.nan
    blank = kinds >= SPACE
    begins = (np.flatnonzero(blank[:-1] & ~blank[1:]) + 1) if model.spaced else np.flatnonzero(~blank)
    document = np.repeat(np.arange(len(texts), dtype=np.int32), lengths + len(SEPARATOR))[begins - len(SEPARATOR)]
    if model.spaced:
        words = np.where(lengths >= MIN_WORDS_CHARACTERS, np.bincount(document, minlength=len(texts)), 0)
        column["long_words"][:] = column["short_words"][:] = _ratio(visible, words)
    column["repeated_lines"][:], column["list_lines"][:] = _lines(batch, keys, kinds, model)
    column["repeated_phrases"][:], column["common_word"][:] = _repetition(batch, keys, begins, document, model)
    return out


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def _bounds(batch: Batch) -> np.ndarray:
    return np.stack([batch.starts, batch.ends], axis=1).ravel()


def _counts(kinds: np.ndarray, batch: Batch) -> np.ndarray:
    """Return how many characters of each kind each document has, shape (D, NUM_KINDS)."""
    number = len(batch.starts)
    labels = np.repeat(np.arange(number, dtype=np.int32) * 8, batch.ends - batch.starts + len(SEPARATOR))
    return np.bincount(labels + kinds[len(SEPARATOR) :], minlength=number * 8).reshape(number, 8)[:, :NUM_KINDS]


def _lines(batch: Batch, keys: np.ndarray, kinds: np.ndarray, model: CharacterModel) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each document in lines that occurred before, and the share of its lines that are as in a list."""
    ends = np.flatnonzero(kinds == NEWLINE)
    lengths = np.diff(ends, prepend=-1) - 1
    ends, lengths = ends[lengths > 0], lengths[lengths > 0]
    starts = ends - lengths
    document = np.searchsorted(batch.ends, ends)
    num_documents = len(batch.starts)
    number = np.bincount(document, minlength=num_documents)
    measured = number >= MIN_LINES
    final = model.alphabet.final
    # Behind the last word may stand a closing quotation mark or bracket.
    ended = final[batch.ids[ends - 1]] | ((kinds[ends - 1] == PUNCTUATION) & final[batch.ids[ends - 2]])
    listed = np.bincount(document, weights=~ended & (lengths <= model.short_line), minlength=num_documents)
    # Lines are the same where their length and sixteen evenly spread stretches of four characters are: all of it, up to 64 characters.
    # Lines of three characters are not looked at.
    hashed = lengths.astype(np.uint64)
    for number_of_stretch in range(16):
        hashed = _mix(hashed ^ keys[np.minimum(starts + 3 + (lengths - 4) * number_of_stretch // 15, ends - 1)])
    order = np.lexsort((ends, hashed, document))
    hashed, lengths, document = hashed[order], lengths[order], document[order]
    again = (hashed[1:] == hashed[:-1]) & (document[1:] == document[:-1]) & (lengths[1:] > 3)
    repeated = np.bincount(document[1:][again], weights=lengths[1:][again], minlength=num_documents)
    total = np.bincount(document, weights=lengths, minlength=num_documents)
    return _ratio(repeated, np.where(measured, total, 0)), _ratio(listed, np.where(measured, number, 0))


def _repetition(
    batch: Batch, keys: np.ndarray, begins: np.ndarray, document: np.ndarray, model: CharacterModel
) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of each document's phrases that occur more than once in their block, and the share of its blocks' commonest words.

    Args:
        batch: the documents.
        keys: of its characters.
        begins: where words begin (without spaces: every character), shape (words,).
        document: which document each belongs to, shape (words,).
        model: says how long a phrase is.
    """
    span = PHRASE_CHARACTERS if model.spaced else PHRASE_CHARACTERS_UNSPACED
    inside = begins + span <= batch.ends[document]
    begins, document = begins[inside], document[inside]
    total = np.bincount(document, minlength=len(batch.starts))
    enough = (total >= MIN_PHRASES)[document]
    begins, document = begins[enough], document[enough]
    total = np.where(total >= MIN_PHRASES, total, 0)
    # Blocks without a phrase are left out: what is left is numbered from 0 on.
    place = document.astype(np.int64) << 32 | (begins - batch.starts[document]) // BLOCK_CHARACTERS
    new = place[1:] != place[:-1]
    block = np.concatenate([[0], np.cumsum(new)]) if len(place) else np.zeros(0, dtype=np.int64)
    document_of_block = document[np.flatnonzero(np.concatenate([[True], new]))] if len(place) else document
    phrase = _mix(keys[begins + 3])
    for offset in (*range(7, span, 4), *([span - 1] if span % 4 else [])):
        phrase = _mix(phrase ^ keys[begins + offset])
    packed = (phrase >> np.uint64(24)) | (block.astype(np.uint64) << np.uint64(40))
    packed.sort()
    first = np.flatnonzero(np.concatenate([[True], packed[1:] != packed[:-1]])) if len(packed) else np.zeros(0, dtype=np.int64)
    counts = np.diff(np.append(first, len(packed)))
    owner = document_of_block[(packed[first] >> np.uint64(40)).astype(np.int64)]
    repeated = np.bincount(owner, weights=np.where(counts > 1, counts, 0), minlength=len(total))
    # Words are told apart by a hash of their start; a few share one of the bins, which weighs little beside a word that is everywhere.
    word = _mix(keys[begins + 3] if model.spaced else keys[begins + 1] >> np.uint64(32))
    bins = np.bincount(block * NUM_BINS + (word >> np.uint64(55)).astype(np.int64), minlength=len(document_of_block) * NUM_BINS)
    commonest = np.bincount(document_of_block, weights=bins.reshape(-1, NUM_BINS).max(axis=1, initial=0), minlength=len(total))
    return _ratio(repeated, total), _ratio(commonest, total)


def _mix(values: np.ndarray) -> np.ndarray:
    """Return values spread over all 64 bits, the highest best."""
    mixed = values * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    return mixed * np.uint64(0xBF58476D1CE4E5B9)
