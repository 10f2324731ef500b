"""How much each source counts in the training text: some documents are left out, some are repeated."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rodna.core.errors import CorpusError
from rodna.corpus.config import MixConfig
from rodna.corpus.deduplicate.letters import mix as spread

_MAX_REPEATS = 255


@dataclass(frozen=True)
class Effect:
    """What mixing did to one source's training text; bytes count repeats, shares are of all training bytes."""

    source: str
    factor: float
    bytes_before: int
    bytes_after: int
    share_before: float
    share_after: float
    documents_before: int
    documents_left_out: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def mix(
    num_bytes: np.ndarray,
    source: np.ndarray,
    split: np.ndarray,
    keys: np.ndarray,
    sources: Sequence[str],
    config: MixConfig,
    seed: int,
    *,
    wanted: np.ndarray | None = None,
) -> tuple[np.ndarray, tuple[Effect, ...]]:
    """Decide how often each document is written.

    Only the training text is mixed: what is held out keeps measuring the language as it was collected. Which documents are left out, or
    repeated once more, follows from a hash of each document's key: a corpus that grows keeps most of its choice, and the number of
    workers does not matter.

    Args:
        num_bytes: int64 (D,).
        source: uint16 (D,), index into `sources`.
        split: uint8 (D,), index into `SPLITS`, 255 for dropped documents.
        keys: uint64 (D,), any hash of each document.
        sources: the sources' names.
        config: weights and caps.
        seed: another seed chooses other documents.
        wanted: bool (D,), documents that are never left out, whatever their source's weight.

    Returns:
        uint8 (D,): how often each document is written, 0 for those left out and those dropped before; and the effect on each source.

    Raises:
        CorpusError: a weight or cap names no source, or nothing is left to train on.
    """
    _check_names(sources, config)
    train = split == 0
    before = np.bincount(source[train], weights=num_bytes[train], minlength=len(sources))
    factors = _factors(before, sources, config)
    if before.sum() and not (before * factors).sum():
        raise CorpusError("mixing leaves no training text", where="corpus.mix.weights", fix="give one source a weight above 0")
    repeats = np.where(split == 255, 0, 1).astype(np.uint8)
    for number, factor in enumerate(factors):
        own = np.flatnonzero(train & (source == number))
        repeats[own] = _repeats(num_bytes[own], keys[own], factor, seed)
    if wanted is not None:
        repeats[train & wanted & (repeats == 0)] = 1
    after = np.bincount(source[train], weights=num_bytes[train] * repeats[train], minlength=len(sources))
    left_out = np.bincount(source[train & (repeats == 0)], minlength=len(sources))
    documents = np.bincount(source[train], minlength=len(sources))
    effect = tuple(
        Effect(
            name, round(float(factors[number]), 4), int(before[number]), int(after[number]),
            round(float(before[number] / max(1, before.sum())), 4), round(float(after[number] / max(1, after.sum())), 4),
            int(documents[number]), int(left_out[number]),
        )
        for number, name in enumerate(sources)
    )  # fmt: skip
    return repeats, effect


def _repeats(num_bytes: np.ndarray, keys: np.ndarray, factor: float, seed: int) -> np.ndarray:
    """Return how often each document of one source is written so that their bytes come to `factor` times what they are; uint8 (M,)."""
    whole = int(factor)
    repeats = np.full(len(keys), min(whole, _MAX_REPEATS), dtype=np.uint8)
    order = np.argsort(spread(keys ^ spread(np.array([seed + 1], dtype=np.uint64))), kind="stable")
    # Documents are taken in their order while that brings the sum nearer to what is asked.
    upto = np.cumsum(num_bytes[order])
    wanted = (factor - whole) * (upto[-1] if len(upto) else 0)
    taken = order[upto - num_bytes[order] / 2 < wanted] if wanted > 0 else order[:0]
    repeats[taken] = np.minimum(repeats[taken].astype(np.int64) + 1, _MAX_REPEATS)
    return repeats


def _factors(before: np.ndarray, sources: Sequence[str], config: MixConfig) -> np.ndarray:
    """Return by how much each source's bytes are multiplied, float64 (S,): weights and `alpha` first, then caps.

    With `alpha` the largest source keeps its text and smaller ones are repeated, up to `max_repeats`.
    Reference: Conneau et al. 2020, arXiv:1911.02116, section 3.1 (sampling by size to the power alpha).
    """
    factors = np.array([config.weights.get(name, 1.0) for name in sources])
    bytes_now = before * factors
    if config.alpha < 1 and bytes_now.max(initial=0) > 0:
        relative = bytes_now / bytes_now.max()
        raised = np.where(relative > 0, np.maximum(relative, 1e-12) ** (config.alpha - 1), 1)
        factors *= np.minimum(raised, np.maximum(1, config.max_repeats / np.maximum(factors, 1e-12)))
    caps = np.array([min(config.max_share, config.max_shares.get(name, 1.0)) for name in sources])
    return factors * _capped(before * factors, caps)


def _capped(sizes: np.ndarray, caps: np.ndarray) -> np.ndarray:
    """Return the factors, at most 1, that bring every share to its cap; text is only ever left out.

    With the shares of capped sources fixed, the others are what is left of the whole: those sizes give the whole. Where caps add up to
    less than everything and all sources are capped, they keep the proportions of their caps.
    """
    factors = np.ones(len(sizes))
    present = sizes > 0
    is_capped = np.zeros(len(sizes), dtype=bool)
    while True:
        free = present & ~is_capped
        room = 1 - caps[is_capped].sum()
        if not free.any() or room <= 1e-9:
            # Nothing bounds the whole but the sources themselves: the scarcest for its cap decides.
            capped = present & is_capped if not free.any() else present
            whole = float((sizes[capped] / caps[capped]).min()) if capped.any() else 0.0
            factors[capped] = caps[capped] * whole / sizes[capped]
            return np.minimum(factors, 1)
        whole = sizes[free].sum() / room
        over = free & (sizes > caps * whole * (1 + 1e-9))
        if not over.any():
            factors[is_capped] = caps[is_capped] * whole / sizes[is_capped]
            return np.minimum(factors, 1)
        is_capped |= over


def _check_names(sources: Sequence[str], config: MixConfig) -> None:
    """Refuse settings for sources that do not exist, and weights below 0."""
    for setting, values in (("weights", config.weights), ("max_shares", config.max_shares)):
        for name in values:
            if name not in sources:
                raise CorpusError(
                    f"no such source: {name}", where=f"corpus.mix.{setting}", fix=f"use names under `sources`: {', '.join(sources)}"
                )
    wrong = [f"{name}: {weight}" for name, weight in config.weights.items() if not 0 <= weight <= _MAX_REPEATS]
    wrong += [f"{name}: {share}" for name, share in config.max_shares.items() if not 0 < share <= 1]
    if wrong:
        raise CorpusError(
            f"out of range: {', '.join(wrong)}", where="corpus.mix", fix=f"weights are 0 to {_MAX_REPEATS}, shares above 0 and at most 1"
        )
