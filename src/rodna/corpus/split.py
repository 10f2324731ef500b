"""Which documents are held out.

A document's place follows from a hash of its own text, so that a corpus that grows keeps its held-out documents held out, and a copy can
never be on the other side of the split.
"""

import hashlib

import numpy as np

from rodna.core.errors import CorpusError
from rodna.core.text import human_bytes
from rodna.corpus.config import SplitConfig
from rodna.corpus.documents import SPLITS

_MAX_OVERSHOOT = 2.0
"""A document of more than this many times what a split should hold stays in train, while there are others."""


def positions_of(keys: np.ndarray, seed: int) -> np.ndarray:
    """Return each text's place in [0, 1): uniform over texts, another one for another seed.

    Args:
        keys: uint64 (D, 2), as `exact.keys_of` gives them.
        seed: of the corpus.

    Returns:
        float64, shape (D,).
    """
    data, salt = np.ascontiguousarray(keys, dtype="<u8").tobytes(), seed.to_bytes(16, "little")
    # One number at a time: a list of all digests would take five times the memory.
    digests = (hashlib.blake2b(data[at : at + 16], digest_size=8, salt=salt).digest() for at in range(0, len(data), 16))
    return np.fromiter((int.from_bytes(digest, "little") for digest in digests), dtype=np.uint64, count=len(keys)) / 2**64


def assign_splits(positions: np.ndarray, sizes: np.ndarray, config: SplitConfig, *, where: str) -> np.ndarray:
    """Return the split of each document, as an index into `SPLITS`, uint8 of shape (D,).

    The test split takes positions from 0 up to its share, validation from there. Two exceptions, which only matter where documents are
    few: a document far larger than the split stays in train, and a split short of half its share or of `min_bytes` takes the
    next documents by position.

    Args:
        positions: float64, shape (D,); near copies must share theirs.
        sizes: UTF-8 bytes, int64, shape (D,).
        config: the shares.
        where: the setting, for messages.

    Raises:
        CorpusError: there is too little text, or too few documents.
    """
    result = np.zeros(len(sizes), dtype=np.uint8)
    total = int(sizes.sum())
    shares = {"test": config.test, "validation": config.validation}
    wanted = {name: max(config.min_bytes, share * total) for name, share in shares.items() if share > 0}
    needed = sum(wanted.values()) + config.min_bytes
    if total < needed:
        raise too_little(total, len(sizes), config, where, "")
    order = np.argsort(positions, kind="stable")
    low = 0.0
    for name, share in shares.items():
        if share > 0:
            taken = _take(order, positions, sizes, result, low=low, high=low + share, wanted=wanted[name], min_bytes=config.min_bytes)
            if taken is None:
                raise too_little(total, len(sizes), config, where, name)
            result[taken] = SPLITS.index(name)
        low += share
    if int(sizes[result == 0].sum()) < max(config.min_bytes, 0.1 * total):
        raise too_little(total, len(sizes), config, where, "train")
    return result


def _take(
    order: np.ndarray,
    positions: np.ndarray,
    sizes: np.ndarray,
    result: np.ndarray,
    *,
    low: float,
    high: float,
    wanted: float,
    min_bytes: int,
) -> list[int] | None:
    """Return the documents of one split, None where not even all of them reach `min_bytes`."""
    by_distance = order[np.searchsorted(positions[order], low) :]
    by_distance = by_distance[result[by_distance] == 0]
    for allowed in (_MAX_OVERSHOOT * wanted, float("inf")):
        taken, held = [], 0
        for index in map(int, by_distance):
            inside = positions[index] < high
            if not inside and held >= max(min_bytes, 0.5 * wanted):
                return taken
            if sizes[index] <= allowed and held + sizes[index] <= max(allowed, _MAX_OVERSHOOT * wanted if inside else allowed):
                taken.append(index)
                held += int(sizes[index])
        if held >= min_bytes:
            return taken
    return None


def too_little(total: int, num_documents: int, config: SplitConfig, where: str, split: str) -> CorpusError:
    """Return the error for a text smaller than the split needs, with the figures and the way out."""
    parts = 1 + (config.validation > 0) + (config.test > 0)
    kept = f"{num_documents:,} documents" if num_documents != 1 else "1 document"
    if num_documents < parts:
        return CorpusError(
            f"too few documents to hold any out: {kept}, {human_bytes(total)}; train, validation and test need {parts} at least",
            where=where,
            fix="set `document: section` (or blank_line, line) for the source, so that its text is cut into several documents",
        )
    what = f"too little text to hold any out: {kept}, {human_bytes(total)}"
    if split:
        return CorpusError(
            f"{what}; no way to fill {split} with whole documents",
            where=where,
            fix="set `document: section` with a smaller `section_bytes` for the source with the longest documents, or add text",
        )
    return CorpusError(
        f"{what}; the split needs {human_bytes(parts * config.min_bytes)} at least",
        where=where,
        fix=f"add text, or lower corpus.split.min_bytes (now {config.min_bytes:,}) knowingly",
    )
