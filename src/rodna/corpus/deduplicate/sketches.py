"""Sketches of documents: small fingerprints whose agreement estimates how much text two documents share.

Shingles are runs of eight letters, or of four in scripts where a letter is a syllable or a word, so that a sketch needs neither words nor a
language. Eight are few enough that a changed word spoils only about two words' worth of shingles, and enough that unrelated chapters share
less than a tenth of theirs (measured on five languages: benchmarks/corpus/near_duplicates.py).

References: Broder 1997 (resemblance); Li, Owen and Zhang 2012, arXiv:1208.1259 (one permutation); Shrivastava 2017, arXiv:1703.04664
(optimal densification); Li and König 2010, arXiv:0910.3349 (b-bit minwise hashing).
"""

from collections.abc import Sequence

import numpy as np

from rodna.corpus.deduplicate.letters import blocks, is_dense, keys_of_runs, letters_of, mix, window_hashes

NUM_BINS = 128
"""Bins of a sketch: an estimated share has a standard error of at most 0.045."""
MIN_SHINGLES = 128
"""Documents of fewer shingles (some 25 words) have no sketch worth comparing: a few words' difference is all there is to them."""

SKETCH = np.dtype([("signature", np.uint8, (NUM_BINS,)), ("num_shingles", np.uint32), ("letters_key", np.uint64)])
"""`signature`: 8 bits of each bin's smallest hash. `letters_key`: equal for texts of the same letters and digits, whatever their case,
punctuation and spaces; 0 for a text without any."""

_LONG, _SHORT = 8, 4
_FILTER_LOAD = 10
"""Smallest hashes are looked for among about this many shingles a bin: fewer than one bin in 20,000 is left empty by it."""
_EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
_BIN_SHIFT = np.uint64(64 - NUM_BINS.bit_length() + 1)
_MAX_ATTEMPTS = 2048


def sketch(texts: Sequence[str]) -> np.ndarray:
    """Return the sketches of texts, SKETCH (D,)."""
    result = np.zeros(len(texts), dtype=SKETCH)
    for first, block in blocks(texts):
        _sketch_block(block, result[first : first + len(block)])
    return result


def agreement(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Estimate the resemblance (Jaccard similarity of shingles) of pairs of signatures, uint8 (P, NUM_BINS) each; float32 (P,)."""
    equal = (left == right).mean(axis=1, dtype=np.float32)
    # Different hashes agree in 8 bits once in 256 times.
    return np.maximum(0, (equal - np.float32(1 / 256)) / np.float32(1 - 1 / 256))


def share_found(resemblance: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the share of a document's shingles that another document has too, from their resemblance and numbers of shingles."""
    both = resemblance / (1 + resemblance) * (own.astype(np.float64) + other)
    return np.minimum(1, both / np.maximum(own, 1)).astype(np.float32)


def _sketch_block(texts: Sequence[str], result: np.ndarray) -> None:
    letters = letters_of(texts)
    documents = letters.documents
    result["letters_key"] = keys_of_runs(letters.codes, letters.offsets)
    hashes, places = _shingles(letters.codes, letters.offsets, documents)
    owners = documents[places]
    counts = np.bincount(owners, minlength=len(texts))
    result["num_shingles"] = counts
    enough = counts >= MIN_SHINGLES
    if not enough.any():
        return
    # Of a long text only the smallest hashes can matter: the bound leaves some _FILTER_LOAD of them a bin. Of a short one none does.
    allowed = np.where(enough, np.minimum(1.0, _FILTER_LOAD * NUM_BINS / np.maximum(counts, 1)), 0)
    value_bits = int(_BIN_SHIFT)
    bounds = np.minimum(allowed * 2.0**value_bits, 2.0**value_bits - 1).astype(np.uint64)
    values = hashes & np.uint64((1 << value_bits) - 1)
    small = np.flatnonzero(values <= bounds[owners])
    bins = owners[small] * NUM_BINS + (hashes[small] >> _BIN_SHIFT).astype(np.int64)
    smallest = np.full(len(texts) * NUM_BINS, _EMPTY)
    np.minimum.at(smallest, bins, values[small])
    smallest = smallest.reshape(-1, NUM_BINS)
    smallest = smallest[enough]
    _densify(smallest)
    result["signature"][enough] = smallest.astype(np.uint8)


def _shingles(codes: np.ndarray, offsets: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of every shingle that lies within one text, and where it begins."""
    short, long = window_hashes(codes, _SHORT, _LONG)
    hashes = short
    dense = is_dense(codes)[: len(short)]
    hashes[: len(long)] = np.where(dense[: len(long)], short[: len(long)], long)
    last = offsets[documents[: len(short)] + 1] - np.where(dense, _SHORT, _LONG)
    places = np.flatnonzero(np.arange(len(short)) <= last)
    return hashes[places], places


def _densify(smallest: np.ndarray) -> None:
    """Fill each empty bin from a full one, the same one for two documents with the same full bins; uint64 (D, NUM_BINS), in place."""
    empty = smallest == _EMPTY
    rows, bins = np.nonzero(empty & ~empty.all(axis=1, keepdims=True))
    for attempt in range(_MAX_ATTEMPTS):
        if not len(rows):
            return
        donors = (mix(bins.astype(np.uint64) * np.uint64(_MAX_ATTEMPTS) + np.uint64(attempt)) % np.uint64(NUM_BINS)).astype(np.int64)
        found = ~empty[rows, donors]
        smallest[rows[found], bins[found]] = smallest[rows[found], donors[found]]
        rows, bins = rows[~found], bins[~found]
