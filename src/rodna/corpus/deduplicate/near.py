"""Which documents are copies of which, over a whole corpus: exact by sorted keys, near by banded sketches.

Reference: Leskovec, Rajaraman and Ullman 2014, Mining of Massive Datasets, ch. 3 (banding).
"""

import math
from collections.abc import Iterator

import numpy as np

from rodna.corpus.config import DeduplicateConfig
from rodna.corpus.deduplicate.exact import first_of_equals
from rodna.corpus.deduplicate.sketches import MIN_SHINGLES, NUM_BINS, SKETCH, agreement, share_found, sketch
from rodna.corpus.deduplicate.union import components, keep_first
from rodna.corpus.signals import Signals

__all__ = ["COPY", "KINDS", "SKETCH", "find_copies", "sketch"]

COPY = np.dtype([("kept", np.int64), ("kind", np.uint8), ("similarity", np.float32), ("cluster", np.int64)])
"""Of a document: the document kept in its place (-1: it is kept itself), the kind of copy it is, how much of it that one has, and the
first document of all that must fall on the same side of a split."""
KINDS = ("", "exact", "near")
_BAND_RECALL = 0.99
_BANDS_AT_A_TIME = 8
_MAX_LEADERS = 8
"""Within one band's group, members are compared with so many of its documents at most: what is common to many is no sign of a copy."""
_PAIRS_AT_A_TIME = 1 << 16


def find_copies(store: Signals, alive: np.ndarray, config: DeduplicateConfig) -> np.ndarray:
    """Find exact and near copies.

    Short texts of the same letters, such as "Išeik." and "Išeik!", differ in what they mean: both stay, in one cluster. Dropping them
    would save at most 0.2% of the sentences of shared Belarusian, Lithuanian, Cantonese, Kinyarwanda and Basque collections.

    Args:
        store: the documents' keys and sketches.
        alive: bool (D,), the documents that are still there: others are nobody's copy and nobody is theirs.
        config: `exact` and `near` say what is to go; clusters are found whether or not anything goes.

    Returns:
        COPY (D,).
    """
    result = np.zeros(store.num_documents, COPY)
    result["kept"], result["cluster"] = -1, np.arange(store.num_documents)
    documents = np.flatnonzero(alive)
    if not len(documents):
        return result
    first = first_of_equals(store.field("key")[documents], documents)
    if config.exact:
        again = first != documents
        result["kept"][documents[again]], result["kind"][documents[again]] = first[again], KINDS.index("exact")
        result["similarity"][documents[again]] = 1
    sketches = Sketches(store, np.unique(first), longest=config.keep == "longest")
    pairs = similar_pairs(sketches, config.similarity)
    if config.near:
        _drop_near(result, sketches, pairs, config)
    letters = store.field("letters_key", "sketches")
    lettered = documents[letters[documents] != 0]
    links = (
        (first, documents),
        (first_of_equals(letters[lettered], lettered), lettered),
        (sketches.documents[pairs["left"]], sketches.documents[pairs["right"]]),
    )
    left, right = (np.concatenate(side) for side in zip(*links, strict=True))
    result["cluster"] = components(store.num_documents, left, right)
    return result


PAIR = np.dtype([("left", np.int64), ("right", np.int64), ("resemblance", np.float32)])


def _drop_near(result: np.ndarray, sketches: "Sketches", pairs: np.ndarray, config: DeduplicateConfig) -> None:
    """Mark the near copies, and the exact copies of what has gone as copies of what is kept."""
    sizes = sketches.num_shingles
    share = share_found(pairs["resemblance"], sizes[pairs["right"]], sizes[pairs["left"]])
    close = pairs[share >= config.similarity]
    kept = keep_first(close["left"], close["right"], len(sketches.documents))
    gone = np.flatnonzero(kept >= 0)
    found = np.zeros(len(gone), dtype=np.float32)
    for first in range(0, len(gone), _PAIRS_AT_A_TIME):
        chunk = gone[first : first + _PAIRS_AT_A_TIME]
        found[first : first + len(chunk)] = agreement(sketches.signatures(chunk), sketches.signatures(kept[chunk]))
    rows = sketches.documents[gone]
    result["kept"][rows], result["kind"][rows] = sketches.documents[kept[gone]], KINDS.index("near")
    result["similarity"][rows] = share_found(found, sizes[gone], sizes[kept[gone]])
    copies = np.flatnonzero(result["kind"] == KINDS.index("exact"))
    above = result["kept"][result["kept"][copies]]
    result["kept"][copies] = np.where(above >= 0, above, result["kept"][copies])


class Sketches:
    """The sketches of some documents, in the order in which they are preferred; read from the shards as needed.

    `documents` and `num_shingles`, int64 (M,), are in that order; every other index is a place in it.
    """

    def __init__(self, store: Signals, documents: np.ndarray, *, longest: bool) -> None:
        self.store = store
        shingles = store.field("num_shingles", "sketches").astype(np.int64)
        documents = documents[shingles[documents] >= MIN_SHINGLES]
        if longest:
            documents = documents[np.argsort(-shingles[documents], kind="stable")]
        self.documents, self.num_shingles = documents, shingles[documents]
        self._by_place = np.argsort(documents)
        self._sorted = documents[self._by_place]

    def bands(self, rows: np.ndarray) -> np.ndarray:
        """Return the keys of some bands, uint32 (B, M); `rows` (B, R) are the bins of each band."""
        keys = np.zeros((len(rows), len(self.documents)), dtype=np.uint32)
        for shard in self.store.shards:
            low, high = np.searchsorted(self._sorted, (shard.first, shard.first + shard.num_documents))
            signatures = self.store.column("sketches", shard)["signature"][self._sorted[low:high] - shard.first]
            places = self._by_place[low:high]
            for number, bins in enumerate(rows):
                keys[number, places] = _band_keys(signatures, bins)
        return keys

    def signatures(self, places: np.ndarray) -> np.ndarray:
        """Return the signatures of documents at some places, uint8 (P, NUM_BINS)."""
        result = np.empty((len(places), NUM_BINS), dtype=np.uint8)
        documents = self.documents[places]
        order = np.argsort(documents, kind="stable")
        arranged = documents[order]
        for shard in self.store.shards:
            low, high = np.searchsorted(arranged, (shard.first, shard.first + shard.num_documents))
            if low < high:
                result[order[low:high]] = self.store.column("sketches", shard)["signature"][arranged[low:high] - shard.first]
        return result


def similar_pairs(sketches: Sketches, similarity: float) -> np.ndarray:
    """Return pairs of documents of which one has at least `similarity` of the other's shingles; PAIR (P,), left before right.

    Not all such pairs: every member of a group of alike documents is paired with those before it that begin such groups.
    """
    found = [np.zeros(0, PAIR)]
    # The last document that a document was found alike to: found again in most bands, compared once.
    linked = np.full(len(sketches.documents), -1, dtype=np.int64)
    for rows in bands_for(similarity):
        for keys in sketches.bands(rows):
            for left, right in _candidates(keys, linked, sketches, similarity, found):
                linked[right] = left
    pairs = np.concatenate(found)
    codes = pairs["left"] * len(sketches.documents) + pairs["right"]
    return pairs[np.unique(codes, return_index=True)[1]]


def copies_of_texts(sketches: Sketches, others: np.ndarray, share: float) -> np.ndarray:
    """Return the documents at least this share of whose shingles one of some other texts has; PAIR (P,).

    Args:
        sketches: of the documents.
        others: SKETCH (T,), of the texts.
        share: at least 0.4.

    Returns:
        `left` is a document, counted over all shards, `right` a text; each document once, with the first text found.
    """
    long = np.flatnonzero(others["num_shingles"] >= MIN_SHINGLES)
    found = [np.zeros(0, PAIR)]
    if not len(long) or not len(sketches.documents):
        return found[0]
    signatures, sizes = others["signature"][long], others["num_shingles"][long].astype(np.int64)
    for rows in bands_for(share):
        for bins, keys in zip(rows, sketches.bands(rows), strict=True):
            own = _band_keys(signatures, bins)
            order = np.argsort(own, kind="stable")
            place = np.minimum(np.searchsorted(own[order], keys), len(order) - 1)
            left = np.flatnonzero(own[order][place] == keys)
            right = order[place[left]]
            pairs = np.zeros(len(left), PAIR)
            pairs["left"], pairs["right"] = sketches.documents[left], long[right]
            pairs["resemblance"] = agreement(sketches.signatures(left), signatures[right])
            found.append(pairs[share_found(pairs["resemblance"], sketches.num_shingles[left], sizes[right]) >= share])
    pairs = np.concatenate(found)
    return pairs[np.unique(pairs["left"], return_index=True)[1]]


def _band_keys(signatures: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Return the keys of one band, uint32 (M,), of signatures, uint8 (M, NUM_BINS)."""
    key = np.zeros(len(signatures), dtype=np.uint32)
    for column in bins:
        key = key << np.uint32(8) | signatures[:, column]
    return key


def bands_for(similarity: float) -> Iterator[np.ndarray]:
    """Yield bins of bands, (B, R) each, so many that equally long documents of this similarity share one with a chance of 0.99.

    The first bands part the bins; more are drawn from fixed permutations of them.
    """
    resemblance = similarity / (2 - similarity)
    num_rows = 4 if similarity >= 0.6 else 3
    wanted = math.ceil(math.log(1 - _BAND_RECALL) / math.log(1 - resemblance**num_rows))
    source = np.random.Generator(np.random.PCG64(0))
    bins, bands = np.arange(NUM_BINS), []
    while len(bands) < wanted:
        bands.extend(bins[: NUM_BINS // num_rows * num_rows].reshape(-1, num_rows))
        bins = source.permutation(NUM_BINS)
    for first in range(0, wanted, _BANDS_AT_A_TIME):
        yield np.array(bands[first : min(first + _BANDS_AT_A_TIME, wanted)])


def _candidates(
    keys: np.ndarray, linked: np.ndarray, sketches: Sketches, similarity: float, found: list[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Compare the members of each group of equal keys with its first, what is left with the first of that, and so on."""
    members = np.argsort(keys, kind="stable")
    for _ in range(_MAX_LEADERS):
        arranged = keys[members]
        begins = np.concatenate(([True], arranged[1:] != arranged[:-1]))[: len(members)]
        leaders = members[np.flatnonzero(begins)[np.cumsum(begins) - 1]] if len(members) else members
        pending = members != leaders
        members, leaders = members[pending], leaders[pending]
        if not len(members):
            return
        alike = linked[members] == leaders
        compared = np.flatnonzero(~alike)
        for first in range(0, len(compared), _PAIRS_AT_A_TIME):
            chunk = compared[first : first + _PAIRS_AT_A_TIME]
            left, right = leaders[chunk], members[chunk]
            resemblance = agreement(sketches.signatures(left), sketches.signatures(right))
            smaller = np.minimum(sketches.num_shingles[left], sketches.num_shingles[right])
            larger = np.maximum(sketches.num_shingles[left], sketches.num_shingles[right])
            close = share_found(resemblance, smaller, larger) >= similarity
            pairs = np.zeros(int(close.sum()), PAIR)
            pairs["left"], pairs["right"], pairs["resemblance"] = left[close], right[close], resemblance[close]
            found.append(pairs)
            alike[chunk[close]] = True
            yield left[close], right[close]
        members = members[~alike]
