"""How documents spread: lengths, confidence, quality and copies, from the rows of the cleaned documents and never from their texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rodna.core.artifact import Artifact
from rodna.corpus.quality.measures import MEASURES, TABLE
from rodna.corpus.quality.thresholds import LENGTHS, Thresholds
from rodna.corpus.signals import Signals

MAX_ROWS = 1_000_000
"""Of more documents, every so many-th is looked at."""
MAX_LINES = 16_000_000
NUM_BINS = 36
COPY_EDGES = (0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)
SIZE_STEPS = (1, 2, 3, 5, 10, 20, 50, 100, 1000, 10_000, 100_000)
"""Sizes of clusters, and numbers of documents a line stands in, are counted from one step to the next."""


@dataclass(frozen=True)
class Histogram:
    """Counts of documents over a measure.

    Attributes:
        name: of the measure.
        says: what it measures, in words.
        edges: of the bins, rising; one more than `counts`. Values beyond the ends are counted in the end bins.
        counts: documents in each bin.
        scale: of the edges.
        bounds: the strictest and the loosest threshold drawn into it, low to high; empty where none is.
        bad: the side of the threshold that is dropped; "" where nothing is.
        num_measured: documents that have this measure.
        num_beyond: of these, those beyond their threshold.
    """

    name: str
    says: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    scale: Literal["linear", "log"] = "linear"
    bounds: tuple[float, ...] = ()
    bad: Literal["high", "low", ""] = ""
    num_measured: int = 0
    num_beyond: int = 0


@dataclass(frozen=True)
class Distributions:
    """All histograms of a corpus, and how many of its documents they show."""

    num_documents: int
    num_shown: int
    length: Histogram
    language: tuple[Histogram, ...]
    quality: tuple[Histogram, ...]


def distributions_of(cleaned: Artifact, corpus: Artifact, thresholds: Mapping[str, Any] | None) -> Distributions:
    """Return the histograms of the documents that came as far as the choice.

    Args:
        cleaned: has the rows.
        corpus: what was chosen from it; says by which settings.
        thresholds: `selection.thresholds` of its statistics; None where nothing was fitted.
    """
    signals = Signals.open(cleaned.path)
    stride = max(1, -(-signals.num_documents // MAX_ROWS))
    parts = {name: [] for name in ("num_characters", "label", "confidence", "share", "measures")}
    for shard in signals.shards:
        rows = signals.rows(shard)[(-shard.first) % stride :: stride]
        for name, values in parts.items():
            values.append(np.asarray(rows[name]))
    fields = {name: np.concatenate(values) for name, values in parts.items()}
    length = _log_histogram("length", "length in characters", fields["num_characters"].astype(np.float64))
    language = _of_language(fields, cleaned.manifest.config.get("language", {}), corpus.manifest.config.get("language", {}))
    bounds = Thresholds.from_json(thresholds).bounds if thresholds else np.full((len(LENGTHS) + 1, len(TABLE)), np.nan)
    shown = len(fields["num_characters"])
    return Distributions(signals.num_documents, shown, length, language, _of_quality(fields["measures"].astype(np.float64), bounds))


def _of_language(fields: Mapping[str, np.ndarray], cleaning: Mapping[str, Any], choosing: Mapping[str, Any]) -> tuple[Histogram, ...]:
    if cleaning.get("identifier") == "off":
        return ()
    known = fields["label"] >= 0
    confidence, share = fields["confidence"][known].astype(np.float64), fields["share"][known].astype(np.float64)
    sure, mixed = float(choosing.get("min_confidence", 0.9)), float(cleaning.get("mixed_share", 0.1))
    edges = np.linspace(0, 1, 26)
    return (
        Histogram("confidence", "how sure the identifier is of a document's language", *_counted(confidence, edges), bounds=(sure,),
                  num_measured=len(confidence), num_beyond=int((confidence >= sure).sum())),
        Histogram("share", "share of a document's letters in lines that look like the language", *_counted(share, edges),
                  bounds=(mixed, 1 - mixed), num_measured=len(share), num_beyond=int(((share >= mixed) & (share <= 1 - mixed)).sum())),
    )  # fmt: skip


def _of_quality(measures: np.ndarray, bounds: np.ndarray) -> tuple[Histogram, ...]:
    places = np.searchsorted(LENGTHS, measures[:, 0], side="right")
    found: list[Histogram] = []
    for number, measure in enumerate(TABLE):
        values = measures[:, MEASURES.index(measure.name)]
        here = ~np.isnan(values)
        values, limits = values[here], bounds[places[here], number]
        if not len(values):
            continue
        beyond = values > limits if measure.bad == "high" else values < limits
        # A share can be neither above 1 nor below 0: a threshold out there drops nothing, and is not drawn.
        limits = limits[(limits > 0) & (limits < (1 if values.max() <= 1 else np.inf))]
        drawn = tuple(dict.fromkeys((float(limits.min()), float(limits.max())))) if len(limits) else ()
        edges = _linear_edges(values, drawn)
        found.append(
            Histogram(measure.name, measure.says, *_counted(values, edges), bounds=drawn, bad=measure.bad,
                      num_measured=len(values), num_beyond=int(beyond.sum()))
        )  # fmt: skip
    return tuple(found)


def _linear_edges(values: np.ndarray, bounds: tuple[float, ...]) -> np.ndarray:
    """Return edges over nearly all of the values and their thresholds: a few outliers must not squeeze the rest into one bin."""
    low, high = np.quantile(values, [0.0005, 0.9995])
    low, high = min(low, *bounds, low), max(high, *bounds, high)
    low = max(low, min(0.0, float(values.min())))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    margin = (high - low) / NUM_BINS
    return np.linspace(max(low - margin, min(0.0, low)) if low >= 0 else low, high + margin, NUM_BINS + 1)


def _counted(values: np.ndarray, edges: np.ndarray) -> tuple[tuple[float, ...], tuple[int, ...]]:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
    return tuple(float(edge) for edge in edges), tuple(int(count) for count in counts)


def _log_histogram(name: str, says: str, values: np.ndarray) -> Histogram:
    """Return a histogram whose bins go 1, 2, 5, 10, 20, 50, ..."""
    top = max(10.0, float(values.max(initial=1)))
    edges = [1.0]
    while edges[-1] <= top:
        digit = round(edges[-1] / 10 ** np.floor(np.log10(edges[-1])))
        edges.append(edges[-1] * (2.5 if digit == 2 else 2))
    return Histogram(name, says, *_counted(values, np.array(edges)), scale="log", num_measured=len(values))


def describe_copies(copies: np.ndarray) -> dict[str, Any]:
    """Return what is worth telling of the copies found, for `statistics.json`.

    Args:
        copies: COPY (D,), as `find_copies` returns it.

    Returns:
        `similarity`: [from, to, near copies] by how much of a near copy the document kept in its place has; `clusters`: [from, to,
        clusters, documents in them] by size, of documents that are alike.
    """
    near = copies["similarity"][copies["kind"] == 2].astype(np.float64)
    counts, _ = np.histogram(np.clip(near, COPY_EDGES[0], COPY_EDGES[-1]), bins=COPY_EDGES)
    sizes = np.bincount(copies["cluster"], minlength=1)
    sizes = sizes[sizes > 1]
    return {
        "similarity": [[low, high, int(count)] for low, high, count in zip(COPY_EDGES, COPY_EDGES[1:], counts, strict=False) if len(near)],
        "clusters": by_size(sizes, sizes),
    }


def by_size(sizes: np.ndarray, weights: np.ndarray) -> list[list[int]]:
    """Return [from, to (included), how many, sum of weights] for each range of `SIZE_STEPS` that is met."""
    places = np.searchsorted(SIZE_STEPS, sizes, side="right") - 1
    found: list[list[int]] = []
    for place in np.unique(places).tolist():
        here = places == place
        largest = int(sizes[here].max())
        last = min(SIZE_STEPS[place + 1] - 1, largest) if place + 1 < len(SIZE_STEPS) else largest
        found.append([SIZE_STEPS[place], last, int(here.sum()), int(weights[here].sum())])
    return found


def repeated_lines(cleaned: Artifact) -> tuple[list[list[int]], bool]:
    """Return how much stands in lines that several documents have.

    Only lines of some letters at least, of documents that have several lines, are compared.

    Returns:
        [from, to, different lines, characters in all their places] by the number of documents a line stands in; and whether all shards
        were looked at, or only as many as hold `MAX_LINES` lines.
    """
    signals = Signals.open(cleaned.path)
    hashes, documents, lengths = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    total = 0
    for shard in signals.shards:
        lines = signals.column("lines", shard)
        if total and total + len(lines) > MAX_LINES:
            break
        total += len(lines)
        hashes.append(np.asarray(lines["hash"]))
        documents.append(lines["document"].astype(np.int64) + shard.first)
        lengths.append(lines["length"].astype(np.int64))
    whole = len(hashes) == len(signals.shards) + 1
    order = np.lexsort((np.concatenate(documents), np.concatenate(hashes)))
    of_line, document = np.concatenate(hashes)[order], np.concatenate(documents)[order]
    if not len(order):
        return [], whole
    starts = np.flatnonzero(np.append(True, of_line[1:] != of_line[:-1]))
    is_new = np.append(True, (of_line[1:] != of_line[:-1]) | (document[1:] != document[:-1]))
    in_documents = np.add.reduceat(is_new.astype(np.int64), starts)
    characters = np.add.reduceat(np.concatenate(lengths)[order], starts)
    return by_size(in_documents, characters), whole
