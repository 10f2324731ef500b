"""Histograms of a corpus: lengths, languages, quality with its thresholds, and copies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.text import human_count
from rodna.corpus.distributions import Distributions, Histogram, distributions_of, repeated_lines
from rodna.publish.charts import histogram
from rodna.publish.facts.view import Column, Row, plural, share

CLUSTER_COLUMNS = (Column("Documents alike"), Column("Groups", "num"), Column("Documents in them", "num"))
LINE_COLUMNS = (
    Column("Stands in so many documents"),
    Column("Different lines", "num"),
    Column("Characters, all places", "num"),
    Column("Share", "num"),
)


@dataclass(frozen=True)
class Chart:
    """A histogram and the sentence under it."""

    picture: Markup
    note: str


@dataclass(frozen=True)
class SpreadFacts:
    """The section of histograms."""

    lead: str
    length: Chart
    language: list[Chart]
    quality: list[Chart]


@dataclass(frozen=True)
class CopyFacts:
    """The section about copies."""

    lead: str
    similarity: Markup | None
    cluster_columns: tuple[Column, ...]
    clusters: list[Row]
    line_columns: tuple[Column, ...]
    lines: list[Row]
    line_note: str


def spread_facts(cleaned: Artifact | None, corpus: Artifact, statistics: Mapping[str, Any]) -> SpreadFacts | None:
    """Return the histograms, None where the cleaned documents are not there any more."""
    if cleaned is None:
        return None
    found = distributions_of(cleaned, corpus, statistics["selection"].get("thresholds"))
    return SpreadFacts(
        _lead(found), _length(found.length), [_language(item) for item in found.language], [_quality(item) for item in found.quality]
    )


def _lead(found: Distributions) -> str:
    lead = f"{plural(found.num_documents, 'document')} came as far as the choice of what to keep; these pictures show them, dropped or not."
    if found.num_shown < found.num_documents:
        lead += f" Of so many, every {round(found.num_documents / found.num_shown)}th is drawn."
    return lead


def _length(item: Histogram) -> Chart:
    picture = histogram(
        _bins(item), label="Documents by length", write=human_count, x_label="characters", y_label="documents", title="Length"
    )
    return Chart(picture, "")


def _language(item: Histogram) -> Chart:
    bounds = [f"{bound:.0%}" for bound in item.bounds]
    documents = plural(item.num_beyond, "document")
    title, note = {
        "confidence": ("Confidence", f"Below {bounds[0]}, no document is dropped for its language; {documents} have more."),
        "share": ("Share in the language", f"Between {' and '.join(bounds)} a document is mixed, and kept: {documents}."),
    }[item.name]
    picture = histogram(
        _bins(item),
        label=item.says,
        write=lambda value: f"{value:.0%}",
        x_label=item.says,
        y_label="documents",
        title=title,
        bounds=item.bounds,
    )
    return Chart(picture, note)


def _quality(item: Histogram) -> Chart:
    picture = histogram(
        _bins(item),
        label=item.says,
        write=lambda value: f"{value:.2g}",
        x_label=item.says,
        y_label="documents",
        title=item.name.replace("_", " ").capitalize(),
        bounds=item.bounds,
    )
    side = {"high": "above", "low": "below", "": ""}[item.bad]
    if not item.bounds:
        return Chart(picture, "No threshold: too few documents to say what is usual, or none that it could leave outside.")
    limits = " to ".join(f"{bound:.3g}" for bound in item.bounds) + (", by length," if len(item.bounds) > 1 else "")
    return Chart(
        picture, f"{side.capitalize()} {limits} it is too far out: {item.num_beyond:,} of {plural(item.num_measured, 'document')}."
    )


def _bins(item: Histogram) -> list[tuple[float, float, int]]:
    return list(zip(item.edges, item.edges[1:], item.counts, strict=False))


def copy_facts(cleaned: Artifact | None, statistics: Mapping[str, Any]) -> CopyFacts:
    """Return how alike near copies are, how many documents are alike, and which lines stand in several."""
    copies = statistics["selection"].get("copies", {"similarity": [], "clusters": []})
    dropped = {entry["reason"]: entry["documents"] for entry in statistics["dropped"] if entry["step"] == "deduplicate"}
    exact, near = dropped.get("duplicate", 0), dropped.get("near_duplicate", 0)
    lead = (
        f"Dropped: {plural(exact, 'exact copy', 'exact copies')} and {plural(near, 'near copy', 'near copies')}. One of each group stays."
    )
    similarity = None
    if copies["similarity"]:
        similarity = histogram(
            [(low, high, count) for low, high, count in copies["similarity"]],
            label="Near copies by similarity",
            write=lambda value: f"{value:.0%}",
            x_label="how much of it the document kept in its place has",
            y_label="near copies",
            title="Similarity",
        )
    clusters = [Row([_range(low, high), f"{number:,}", f"{inside:,}"]) for low, high, number, inside in copies["clusters"]]
    lines, whole = repeated_lines(cleaned) if cleaned is not None else ([], True)
    total = sum(characters for *_, characters in lines)
    rows = [Row([_range(low, high), f"{number:,}", f"{size:,}", share(size, total)]) for low, high, number, size in lines]
    note = "Lines of documents that have several, before any was cut." + (
        "" if whole else " Of so large a corpus, only a part was looked at."
    )
    return CopyFacts(lead, similarity, CLUSTER_COLUMNS, clusters, LINE_COLUMNS, rows if len(rows) > 1 else [], note)


def _range(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
