"""How likely a text is, character by character, under a small n-gram model of the language's own text.

Two models are fitted, each to one half of the documents, and each judges the documents of the other half: no text is judged by a model
that saw it. Which half a text belongs to follows from the text itself, so that nobody needs to remember what the models were fitted to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from rodna.corpus.quality.alphabet import NEWLINE, SPACE, Alphabet, code_points

ORDER = 4
DISCOUNT = 0.75
"""Absolute discounting. Reference: Ney, Essen and Kneser 1994, On structuring probabilistic dependences."""
MAX_SEED_CHARACTERS = 8 << 20
MAX_DOCUMENT_CHARACTERS = 1 << 16
"""No single document speaks for the language: of longer ones the model sees this much of the start."""
MIN_HALF_CHARACTERS = 20_000
"""A model of less text than this says little; bits per character are then not measured."""
BITS_STEPS, BACKOFF_STEPS = 12.0, 16.0
MAX_BITS = 255 / BITS_STEPS
SPACE_SHARE = 0.08
"""Where fewer of the characters are spaces, spaces do not part words (Chinese, Japanese, Thai, Khmer)."""
SHORT_LINE_WORDS, SHORT_LINE_CHARACTERS = 4, 8
SEPARATOR = "\n" * (ORDER - 1)
_MAX_SLOTS_LOG2 = 22
_TELLING_CHARACTERS = 1024
_CHUNK = 1 << 16
"""Characters looked up at a time: their working memory fits the processor's cache."""
_NOT_FOUND = 0xFFFF
_NUM_OTHER_CHARACTERS = 4096
"""How many characters the text might have besides those seen."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Batch:
    """Texts laid out one after the other, each after a separator.

    `ids`: uint16, shape (N,); `starts`, `ends`: int64, shape (D,), where each text lies in `ids`.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class _Half:
    """An n-gram model in one hash table; `slots` holds fingerprint (16 bits), bits (8) and weight of backing off (8) of each n-gram.

    `single` and `single_backoff` are bits and backing-off bits of single characters, float32, shape (alphabet,).
    """

    slots: np.ndarray
    single: np.ndarray
    num_characters: int


class CharacterModel:
    """What a language's text is like, character by character.

    `spaced`: whether its words are parted by spaces; `short_line`: the characters of a few words;
    `list_share`: the share of its lines that are no longer and do not end as its lines do.
    """

    def __init__(self, alphabet: Alphabet, halves: tuple[_Half, _Half], *, spaced: bool, short_line: int, list_share: float) -> None:
        self.alphabet, self.halves = alphabet, halves
        self.spaced, self.short_line, self.list_share = spaced, short_line, list_share

    @classmethod
    def fit(cls, texts: Iterable[str]) -> Self:
        """Fit to texts, in order, until there are enough (`MAX_SEED_CHARACTERS`)."""
        seed: list[str] = []
        total = 0
        for text in texts:
            seed.append(text[:MAX_DOCUMENT_CHARACTERS])
            total += len(seed[-1])
            if total >= MAX_SEED_CHARACTERS:
                break
        joined = SEPARATOR + SEPARATOR.join([*seed, ""])
        codes = code_points(joined)
        alphabet = Alphabet.of(codes[ORDER - 1 :], np.repeat(np.arange(len(seed)), [len(text) + ORDER - 1 for text in seed]))
        batch = lay_out(seed, alphabet)
        half_of = halves_of(batch)
        blank = alphabet.kinds[batch.ids] >= SPACE
        num_words = max(1, int(np.count_nonzero(blank[:-1] & ~blank[1:])))
        word_length = np.count_nonzero(~blank) / num_words
        spaced = int(np.count_nonzero(alphabet.kinds[batch.ids] == SPACE)) >= SPACE_SHARE * total
        short_line = round(SHORT_LINE_WORDS * (word_length + 1)) if spaced else SHORT_LINE_CHARACTERS
        lines = [line for text in seed for line in text.split("\n") if line]
        listed = sum(len(line) <= short_line and not alphabet.ends_line(line) for line in lines)
        list_share = round(listed / max(1, len(lines)), 6)
        halves = [_fit_half([text for text, half in zip(seed, half_of, strict=True) if half != number], alphabet) for number in (0, 1)]
        return cls(alphabet, (halves[0], halves[1]), spaced=spaced, short_line=short_line, list_share=list_share)

    def bits(self, batch: Batch, keys: np.ndarray) -> np.ndarray:
        """Return the bits of every character of a batch, in steps of 1 / `BITS_STEPS`, uint8, shape (N,).

        Args:
            batch: what `lay_out` made.
            keys: `keys_of(batch.ids)`.
        """
        bits = np.zeros(len(batch.ids), dtype=np.uint8)
        half_of = halves_of(batch)
        for number in (0, 1):
            # Stretches of neighbouring documents of one half are looked up together.
            chosen = np.flatnonzero(half_of == number)
            if len(chosen):
                where = _positions(batch.starts[chosen], batch.ends[chosen])
                for first in range(0, len(where), _CHUNK):
                    part = where[first : first + _CHUNK]
                    bits[part] = _look_up(self.halves[number], keys[part])
        return bits

    @property
    def can_judge(self) -> bool:
        """Whether there was enough text to fit to."""
        return min(half.num_characters for half in self.halves) >= MIN_HALF_CHARACTERS

    def save(self, path: Path) -> None:
        """Write the model; the same model gives the same bytes."""
        strings = {
            "characters": self.alphabet.characters,
            "final": self.alphabet.final_characters,
            "scripts": " ".join(self.alphabet.scripts),
        }
        arrays: dict[str, np.ndarray] = {
            name: np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8) for name, text in strings.items()
        }
        for number, half in enumerate(self.halves):
            arrays |= {f"slots_{number}": half.slots, f"single_{number}": half.single}
            arrays[f"sizes_{number}"] = np.array(
                [half.num_characters, self.spaced, self.short_line, round(self.list_share * 1e6)], dtype=np.int64
            )
        temporary = path.with_name(f".{path.name}.tmp")
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a model.

        Raises:
            ArtifactError: the file is missing or damaged.
        """
        import zipfile

        from rodna.core.artifact import damaged

        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                strings = {name: arrays[name].tobytes().decode("utf-8", "surrogatepass") for name in ("characters", "final", "scripts")}
                alphabet = Alphabet(strings["characters"], tuple(strings["scripts"].split()), strings["final"])
                halves = [_Half(arrays[f"slots_{n}"], arrays[f"single_{n}"], int(arrays[f"sizes_{n}"][0])) for n in (0, 1)]
                _, spaced, short_line, list_share = arrays["sizes_0"].tolist()
                return cls(alphabet, (halves[0], halves[1]), spaced=bool(spaced), short_line=short_line, list_share=list_share / 1e6)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise damaged(path.parent, f"{path.name} cannot be read: {error}") from error


def lay_out(texts: Sequence[str], alphabet: Alphabet) -> Batch:
    """Lay texts out for measuring, as characters of an alphabet."""
    ids = alphabet.ids[code_points(SEPARATOR + SEPARATOR.join([*texts, ""]))]
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    ends = np.cumsum(lengths + len(SEPARATOR))
    return Batch(ids, ends - lengths, ends)


def keys_of(ids: np.ndarray) -> np.ndarray:
    """Return the last four characters up to each position, newest in the highest bits, uint64, shape (N,)."""
    padded = np.concatenate([np.full(ORDER - 1, NEWLINE, dtype=np.uint16), ids])
    return np.lib.stride_tricks.as_strided(padded.view(np.uint8), (len(ids), 8), (2, 1)).copy().view("<u8").ravel()


def halves_of(batch: Batch) -> np.ndarray:
    """Return which half of the language's text each document belongs to, 0 or 1, shape (D,); equal texts belong to the same."""
    if not len(batch.starts):
        return np.zeros(0, dtype=np.uint8)
    # Of the start only: the model saw no more of a long document than its start, and must know it again.
    bounds = np.stack([batch.starts, np.minimum(batch.ends, batch.starts + _TELLING_CHARACTERS)], axis=1).ravel()
    sums = np.add.reduceat(batch.ids, bounds, dtype=np.uint64)[::2]
    return (((sums * _MULTIPLIER) >> np.uint64(40)) & np.uint64(1)).astype(np.uint8)


def _positions(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return all positions from each start to its end, one after the other."""
    lengths = ends - starts
    offsets = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return offsets + np.arange(len(offsets))


def _hash(keys: np.ndarray, order: int) -> np.ndarray:
    mixed = (keys ^ (keys >> np.uint64(29))) * _MULTIPLIER
    mixed += np.uint64((order * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF)
    mixed ^= mixed >> np.uint64(32)
    return mixed * np.uint64(0xBF58476D1CE4E5B9)


def _fetch(slots: np.ndarray, keys: np.ndarray, order: int) -> np.ndarray:
    """Return bits (low byte) and backing-off bits (next byte) of n-grams; 0xFFFF where one was never seen."""
    hashed = _hash(keys, order)
    found = slots[(hashed >> np.uint64(64 - (len(slots).bit_length() - 1))).view(np.int64)]
    values = found.astype(np.uint16)
    values[(found >> np.uint32(16)).astype(np.uint16) != hashed.astype(np.uint16) | np.uint16(1)] = _NOT_FOUND
    return values


def _look_up(half: _Half, keys: np.ndarray) -> np.ndarray:
    """Return the bits of the last character of each key, uint8: of the longest n-gram seen, plus what backing off to it costs."""
    found = _fetch(half.slots, keys, ORDER)
    bits = (found & np.uint16(0xFF)).astype(np.uint8)
    missing = np.flatnonzero(found == _NOT_FOUND)
    left = keys[missing]
    cost = np.zeros(len(missing), dtype=np.float32)
    for order in range(ORDER - 1, 0, -1):
        context = _fetch(half.slots, _context(left, order), order)
        known = context != _NOT_FOUND
        cost[known] += (context[known] >> 8) * np.float32(BITS_STEPS / BACKOFF_STEPS)
        grams = left >> np.uint64(16 * (ORDER - order))
        if order == 1:
            bits[missing] = np.minimum(half.single[grams.astype(np.int64)] * BITS_STEPS + cost, 254).astype(np.uint8)
            break
        gram = _fetch(half.slots, grams, order)
        hit = gram != _NOT_FOUND
        bits[missing[hit]] = np.minimum((gram[hit] & np.uint16(0xFF)) + cost[hit], 254).astype(np.uint8)
        missing, left, cost = missing[~hit], left[~hit], cost[~hit]
    return bits


def _context(keys: np.ndarray, order: int) -> np.ndarray:
    """Return the `order` characters before the last of each key."""
    return (keys >> np.uint64(16 * (ORDER - 1 - order))) & np.uint64((1 << (16 * order)) - 1)


def _fit_half(texts: Sequence[str], alphabet: Alphabet) -> _Half:
    """Count n-grams and turn the counts into bits, with interpolated absolute discounting."""
    batch = lay_out(texts, alphabet)
    where = _positions(batch.starts, batch.ends)
    grams, counts = np.unique(keys_of(batch.ids)[where], return_counts=True)
    levels = [(grams, counts)]
    for _ in range(ORDER - 1):
        # The newest character is highest, so what shares its newest `order` characters already lies together.
        higher, number = levels[0]
        shorter = higher >> np.uint64(16)
        first = np.flatnonzero(np.concatenate([[True], shorter[1:] != shorter[:-1]])) if len(shorter) else np.zeros(0, np.int64)
        levels.insert(0, (shorter[first], np.add.reduceat(number, first) if len(first) else number))
    total = max(1, len(where))
    single = np.zeros(alphabet.size)
    grams, counts = levels[0]
    single[grams.astype(np.int64)] = np.maximum(counts - DISCOUNT, 0) / total
    single += max(DISCOUNT * len(grams) / total, 1 / total) / (alphabet.size + _NUM_OTHER_CHARACTERS)
    probabilities = single[grams.astype(np.int64)]
    entries: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for order in range(1, ORDER):
        higher, number = levels[order]
        contexts = higher & np.uint64((1 << (16 * order)) - 1)
        seen, inverse = np.unique(contexts, return_inverse=True)
        context_counts = np.bincount(inverse, weights=number)
        weight = DISCOUNT * np.bincount(inverse) / np.maximum(context_counts, 1)
        lower = levels[order - 1][0]
        entries.append(_entries(lower, levels[order - 1][1], probabilities, seen, context_counts, weight, order))
        probabilities = (
            np.maximum(number - DISCOUNT, 0) / context_counts[inverse]
            + weight[inverse] * probabilities[np.searchsorted(lower, higher >> np.uint64(16))]
        )
    none = np.zeros(0)
    entries.append(_entries(*levels[-1], probabilities, none.astype(np.uint64), none, none, ORDER))
    return _Half(_table(entries), -np.log2(single).astype(np.float32), len(where))


def _entries(
    grams: np.ndarray,
    counts: np.ndarray,
    probabilities: np.ndarray,
    contexts: np.ndarray,
    context_counts: np.ndarray,
    weight: np.ndarray,
    order: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return hash, count and value of every n-gram of one order, whether it was seen as a text's part, as a context or as both."""
    bits = np.minimum(np.rint(-np.log2(probabilities) * BITS_STEPS), 254).astype(np.uint32)
    # Contexts that cross into a separator were never n-grams themselves.
    keys = np.union1d(grams, contexts)
    values = np.full(len(keys), 254, dtype=np.uint32)
    at = np.searchsorted(keys, grams)
    values[at] = bits
    number = np.zeros(len(keys))
    number[at] = counts
    at = np.searchsorted(keys, contexts)
    values[at] |= np.minimum(np.rint(-np.log2(weight) * BACKOFF_STEPS), 254).astype(np.uint32) << np.uint32(8)
    number[at] = np.maximum(number[at], context_counts)
    return _hash(keys, order), number, values


def _table(entries: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Put entries into a hash table of 32-bit slots; where two want one slot, the more frequent has it."""
    hashed, counts, values = (np.concatenate(column) for column in zip(*entries, strict=True))
    size_log2 = min(_MAX_SLOTS_LOG2, max(10, int(len(hashed) * 2).bit_length()))
    order = np.argsort(counts, kind="stable")
    hashed, values = hashed[order], values[order]
    slots = np.zeros(1 << size_log2, dtype=np.uint32)
    fingerprints = (hashed & np.uint64(0xFFFF)).astype(np.uint32) | np.uint32(1)
    # Of several values for one slot, numpy keeps the last.
    slots[hashed >> np.uint64(64 - size_log2)] = (fingerprints << np.uint32(16)) | values
    return slots
