"""What went in: sources, licences, sizes, splits, scripts, lengths."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from markupsafe import Markup

from rodna.core.artifact import Artifact
from rodna.core.text import human_bytes
from rodna.publish.charts import Bar, bar_list, histogram
from rodna.publish.facts.view import Column, Number, Row, amount, get, plural, read_json, share

SOURCE_COLUMNS = (Column("Source"), Column("Licence"), Column("Origin", "why"), Column("Documents", "num"), Column("Kept text", "num"))
SPLIT_COLUMNS = (Column("Split"), Column("Documents", "num"), Column("Text", "num"), Column("Characters", "num"), Column("Share", "num"))
SPLIT_USES = {"train": "learned from", "validation": "looked at during training", "test": "looked at once, at the end"}


@dataclass(frozen=True)
class TextFacts:
    """The section about the text."""

    lead: str
    numbers: list[Number]
    source_chart: Markup
    source_columns: tuple[Column, ...]
    sources: list[Row]
    split_note: str
    split_columns: tuple[Column, ...]
    splits: list[Row]
    scripts: Markup | None
    mended: str
    lengths: Markup | None


def statistics_of(corpus: Artifact | None) -> dict[str, Any] | None:
    """Return the corpus' statistics, None where there are none."""
    values = read_json(corpus, "statistics.json")
    return values if isinstance(values, dict) else None


def text_facts(statistics: Mapping[str, Any] | None, *, num_sources: int) -> TextFacts | None:
    """Return the section, None where there are no statistics."""
    if statistics is None:
        return None
    sources = {name: values for name, values in (get(statistics, "sources") or {}).items() if isinstance(values, Mapping)}
    total = get(statistics, "total", default={})
    unnamed = [name for name, values in sources.items() if not values.get("licence")]
    lead = "All that the model knows, it learned from this text."
    if unnamed:
        has = "has" if len(unnamed) == 1 else "have"
        lead += f" {len(unnamed)} of {plural(len(sources), 'source')} {has} no licence written down: ask before sharing the model."
    return TextFacts(
        lead,
        _numbers(total, sources, statistics),
        _source_chart(sources, num_sources),
        SOURCE_COLUMNS,
        [_source_row(name, values) for name, values in _largest_first(sources)],
        "A document belongs to one split only, and identical documents to the same one: no test document stands in the training text.",
        SPLIT_COLUMNS,
        _split_rows(get(statistics, "splits", default={}), total),
        _scripts(get(statistics, "scripts", default={})),
        _mended(statistics),
        _lengths(get(statistics, "lengths", default=[])),
    )


def _numbers(total: Mapping[str, Any], sources: Mapping[str, Any], statistics: Mapping[str, Any]) -> list[Number]:
    numbers = [
        Number("of text, UTF-8", human_bytes(amount(total.get("bytes")))),
        Number("documents kept", f"{amount(total.get('documents')):,.0f}"),
        Number("characters", f"{amount(total.get('characters')):,.0f}"),
        Number("source" if len(sources) == 1 else "sources", f"{len(sources)}"),
    ]
    distinct = get(statistics, "characters", "num_distinct")
    return [*numbers, Number("different characters", f"{distinct:,}")] if isinstance(distinct, int) else numbers


def _kept_bytes(values: Mapping[str, Any]) -> float:
    return sum(amount(get(split, "bytes")) for split in (values.get("splits") or {}).values())


def _largest_first(sources: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(sources.items(), key=lambda item: -_kept_bytes(item[1]))


def _source_chart(sources: Mapping[str, Mapping[str, Any]], limit: int) -> Markup:
    ranked = [(name, _kept_bytes(values)) for name, values in _largest_first(sources)]
    shown, rest = (ranked, []) if len(ranked) <= limit else (ranked[: limit - 1], ranked[limit - 1 :])
    if rest:
        shown = [*shown, (f"{len(rest)} smaller sources", sum(size for _, size in rest))]
    return bar_list([Bar(name, size, human_bytes(size), size, size, strong=True) for name, size in shown], label="Kept text by source")


def _source_row(name: str, values: Mapping[str, Any]) -> Row:
    kept, read = amount(values.get("kept")), amount(values.get("read"))
    documents = f"{kept:,.0f}" if kept == read else f"{kept:,.0f} of {read:,.0f}"
    return Row([name, values.get("licence") or "not given", values.get("origin") or "–", documents, human_bytes(_kept_bytes(values))])


def _split_rows(splits: Mapping[str, Any], total: Mapping[str, Any]) -> list[Row]:
    whole = amount(total.get("bytes"))
    rows = [_split_row(f"{name}: {SPLIT_USES[name]}" if name in SPLIT_USES else name, split, whole) for name, split in splits.items()]
    return [*rows, _split_row("together", total, whole, total=True)] if rows else []


def _split_row(name: str, values: Mapping[str, Any], whole: float, *, total: bool = False) -> Row:
    size = amount(values.get("bytes"))
    documents, characters = (f"{amount(values.get(key)):,.0f}" for key in ("documents", "characters"))
    return Row([name, documents, human_bytes(size), characters, share(size, whole)], total)


def _scripts(scripts: Mapping[str, float]) -> Markup | None:
    shown = [(name, amount(part)) for name, part in scripts.items()][:8]
    if len(scripts) < 2:
        return None
    return bar_list([Bar(script_name(name), part, share(part, 1), part, part) for name, part in shown], label="Letters by script")


def script_name(code: str) -> str:
    """Return the English name of an ISO 15924 code, from the registry of language subtags; the code itself where it is not there."""
    return _script_names().get(code, code)


def _mended(statistics: Mapping[str, Any]) -> str:
    """Say what was repaired in the text that was kept."""
    words = {
        "nfc": "brought to Unicode's composed form",
        "controls": "freed from control characters",
        "mojibake": "restored from a wrong decoding",
    }
    mended = [
        f"{plural(int(count), 'document')} {words.get(what, what)}"
        for what, count in (get(statistics, "mended") or {}).items()
        if amount(count)
    ]
    encodings = get(statistics, "encodings") or {}
    foreign = [name for name in encodings if name.lower() not in ("utf-8", "ascii")]
    parts = [f"Mended: {', '.join(mended)}."] if mended else []
    if foreign:
        parts.append(f"Encodings found besides UTF-8: {', '.join(foreign)}.")
    return " ".join(parts)


def _lengths(lengths: Sequence[Mapping[str, Any]]) -> Markup | None:
    bins = [(amount(item.get("from_bytes")), amount(item.get("below_bytes")), int(amount(item.get("documents")))) for item in lengths]
    if len(bins) < 2:
        return None
    return histogram(
        _without_gaps(bins), label="Documents by length", write=_size, x_label="length of a document in bytes", y_label="documents"
    )


def _without_gaps(bins: Sequence[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """Return the bins with empty ones put where the statistics leave them out, so that equal steps stay equal."""
    filled: list[tuple[float, float, int]] = []
    for low, high, count in bins:
        while filled and filled[-1][1] < low:
            start = filled[-1][1]
            filled.append((start, min(_next_step(start), low), 0))
        filled.append((low, high or math.inf, count))
    return filled


def _size(value: float) -> str:
    return human_bytes(value) if math.isfinite(value) else "more"


def _next_step(value: float) -> float:
    """Return what follows in 1, 2, 5, 10, 20, 50, ..."""
    size = 10 ** math.floor(math.log10(max(value, 1)))
    return size * (2 if value < 2 * size else 5 if value < 5 * size else 10)


@cache
def _script_names() -> dict[str, str]:
    from importlib.resources import files

    registry = files("langcodes").joinpath("data/language-subtag-registry.txt").read_text(encoding="utf-8")
    names: dict[str, str] = {}
    for entry in registry.split("%%\nType: script\n")[1:]:
        fields = dict(line.split(": ", 1) for line in reversed(entry.partition("%%")[0].splitlines()) if ": " in line)
        names[fields["Subtag"]] = fields["Description"].partition(" (")[0]
    return names
