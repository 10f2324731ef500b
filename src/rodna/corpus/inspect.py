"""What `rodna corpus inspect` and `rodna corpus sample` show; the command line and the page only print it."""

import json
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rodna.core.artifact import Artifact, damaged
from rodna.core.errors import CorpusError
from rodna.corpus.config import Source
from rodna.corpus.documents import SPLITS, Document, Dropped, Split, original_id, read_cut, read_documents, read_dropped

STEPS = (
    "extract", "normalize", "repair", "boilerplate", "privacy", "clean", "language", "filter", "quality", "deduplicate", "decontaminate",
    "mix",
)  # fmt: skip
"""The order in which the built-in steps see a document; plugins come after `repair`."""
CUTTING_STEPS = ("boilerplate", "deduplicate", "decontaminate")
"""These change a document by cutting passages from it."""
Item = TypeVar("Item")


def statistics_of(corpus: Artifact, sources: Mapping[str, Source] = {}) -> dict[str, Any]:
    """Return the figures of a corpus, as `statistics.json` holds them.

    Args:
        corpus: the artifact.
        sources: of the project as it stands now: a licence, origin, date or consent written down since the corpus was built counts.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    path = corpus.path / "statistics.json"
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        for name, source in sources.items():
            if name in figures["sources"]:
                figures["sources"][name].update(source.model_dump(include={"licence", "origin", "date", "consent"}))
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise damaged(corpus.path, "statistics.json cannot be read") from error
    return figures


def without_licence(statistics: Mapping[str, Any]) -> list[str]:
    """Return the sources whose licence is not written down."""
    return [name for name, source in statistics["sources"].items() if not source["licence"].strip()]


@dataclass(frozen=True)
class Entry:
    """One line of the account: what a step did, and what was left after it.

    `documents` and `size_bytes` are below zero where the step took something away.
    """

    step: str
    what: str
    documents: int
    size_bytes: int
    documents_left: int
    bytes_left: int


def ledger_of(statistics: Mapping[str, Any]) -> list[Entry]:
    """Return the account of a corpus from what was read to what was kept, step by step in the order they are done."""
    balance, sizes = statistics["balance"], statistics["balance_bytes"]
    plugins = {entry["step"] for entry in statistics["dropped"]} | set(statistics["changed"])
    order = [*STEPS[:3], *sorted(plugins - set(STEPS)), *STEPS[3:]]
    documents, size = int(balance["read"]), int(sizes["read"])
    entries = [Entry("", "read", documents, size, documents, size)]
    for step in order:
        changes = [("cut" if step in CUTTING_STEPS else "changed", 0, statistics["changed"].get(step, 0))]
        changes += [(item["reason"], -item["documents"], -item["bytes"]) for item in statistics["dropped"] if item["step"] == step]
        for what, number, change in changes:
            if number or change:
                documents, size = documents + number, size + change
                entries.append(Entry(step, what, number, change, documents, size))
    return [*entries, Entry("", "kept", int(balance["kept"]), int(sizes["kept"]), int(balance["kept"]), int(sizes["kept"]))]


def balances(statistics: Mapping[str, Any]) -> bool:
    """Return whether the account ends with what was kept, to the document and the byte."""
    *_, last, kept = ledger_of(statistics)
    return (last.documents_left, last.bytes_left) == (kept.documents_left, kept.bytes_left)


def reasons_of(statistics: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    """Return (step, reason) -> dropped documents."""
    return {(entry["step"], entry["reason"]): entry["documents"] for entry in statistics["dropped"]}


def check_reason(found: Mapping[tuple[str, str], int], *, step: str = "", reason: str = "") -> None:
    """Check that something was dropped, or cut, by a step and for a reason.

    Args:
        found: (step, reason) -> how many.
        step: "" for any.
        reason: "" for any.

    Raises:
        CorpusError: nothing was; the message names what there is.
    """
    if any(step in ("", of_step) and reason in ("", of_reason) for of_step, of_reason in found):
        return
    wanted = " ".join(part for part in (f"by step {step!r}" if step else "", f"for reason {reason!r}" if reason else "") if part)
    listed = ", ".join(f"{of_reason} ({of_step}, {number:,})" for (of_step, of_reason), number in found.items())
    raise CorpusError(f"nothing was dropped or cut {wanted}", where="--step and --reason", fix=f"there are: {listed or 'none at all'}")


def check_source(statistics: Mapping[str, Any], source: str) -> None:
    """Check that a corpus has a source.

    Raises:
        CorpusError: it has not; the message names those it has.
    """
    if source and source not in statistics["sources"]:
        raise CorpusError(f"no such source: {source!r}", where="--source", fix=f"use one of: {', '.join(statistics['sources'])}")


def sample_documents(
    corpus: Artifact,
    *,
    num_documents: int,
    seed: int = 0,
    split: Split | None = None,
    source: str = "",
    ids: Collection[str] | None = None,
) -> list[Document]:
    """Return documents chosen at random, every one equally likely, in the order they stand in the corpus.

    Args:
        corpus: the artifact.
        num_documents: how many; all, where there are fewer.
        seed: another seed chooses others.
        split: only from this split.
        source: only from this source.
        ids: only of these; the further copies that mixing makes count as the document they are of.
    """
    splits = (split,) if split else SPLITS
    every = (document for part in splits for document in read_documents(corpus.path, part))
    wanted = (item for item in every if source in ("", item.source) and (ids is None or original_id(item.id) in ids))
    return sampled(wanted, num_documents, seed)


def sample_dropped(
    corpus: Artifact,
    *,
    num_documents: int,
    seed: int = 0,
    step: str = "",
    reason: str = "",
    source: str = "",
    ids: Collection[str] | None = None,
) -> list[Dropped]:
    """Return dropped documents chosen at random, of one step, reason or source where given."""
    return sampled(_matching(read_dropped(corpus.path), step, reason, source, ids), num_documents, seed)


def sample_cut(
    corpus: Artifact,
    *,
    num_passages: int,
    seed: int = 0,
    step: str = "",
    reason: str = "",
    source: str = "",
    ids: Collection[str] | None = None,
) -> list[Dropped]:
    """Return passages, cut from documents that were kept, chosen at random."""
    return sampled(_matching(read_cut(corpus.path), step, reason, source, ids), num_passages, seed)


def _matching(items: Iterable[Dropped], step: str, reason: str, source: str, ids: Collection[str] | None) -> Iterator[Dropped]:
    for item in items:
        if step in ("", item.step) and reason in ("", item.reason) and source in ("", item.source) and (ids is None or item.id in ids):
            yield item


def samples_by_reason(items: Iterable[Dropped], *, num_each: int, seed: int = 0) -> dict[tuple[str, str], list[Dropped]]:
    """Return (step, reason) -> drops chosen at random, in one reading of them all."""
    return sampled_by(items, lambda item: (item.step, item.reason), num_each, seed)


def samples_by_source(corpus: Artifact, *, num_each: int, seed: int = 0) -> dict[str, list[Document]]:
    """Return source -> kept documents chosen at random, in one reading of the training text."""
    return sampled_by(read_documents(corpus.path, "train"), lambda item: item.source, num_each, seed)


def cut_reasons(corpus: Artifact) -> Counter[tuple[str, str]]:
    """Return (step, reason) -> passages cut."""
    return Counter((item.step, item.reason) for item in read_cut(corpus.path))


def find_document(corpus_path: Path, identity: str) -> tuple[str, Document | Dropped] | None:
    """Return the split ("dropped" for a drop) and the document of an id, None where there is none."""
    for split in SPLITS:
        for document in read_documents(corpus_path, split):
            if document.id == identity:
                return split, document
    return next((("dropped", item) for item in read_dropped(corpus_path) if item.id == identity), None)


class Reservoir(Generic[Item]):
    """Choose `size` of many items, every one equally likely, without holding more of them.

    Reference: Vitter 1985, algorithm R, ACM TOMS 11(1).
    """

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._generator = size, random.Random(seed)
        self._chosen: list[tuple[int, Item]] = []
        self._seen = 0

    def add(self, item: Item) -> None:
        if len(self._chosen) < self._size:
            self._chosen.append((self._seen, item))
        elif self._size > 0:
            place = self._generator.randrange(self._seen + 1)
            if place < self._size:
                self._chosen[place] = (self._seen, item)
        self._seen += 1

    @property
    def items(self) -> list[Item]:
        """What is chosen, in the order it came."""
        return [item for _, item in sorted(self._chosen, key=lambda pair: pair[0])]


def sampled(items: Iterable[Item], size: int, seed: int) -> list[Item]:
    """Return `size` of the items, chosen at random."""
    chosen = Reservoir[Item](size, seed)
    for item in items:
        chosen.add(item)
    return chosen.items


def sampled_by(items: Iterable[Item], key: Any, size: int, seed: int) -> dict[Any, list[Item]]:
    """Return key -> `size` of its items, chosen at random."""
    chosen: dict[Any, Reservoir[Item]] = {}
    for item in items:
        of = key(item)
        if of not in chosen:
            chosen[of] = Reservoir(size, seed)
        chosen[of].add(item)
    return {of: reservoir.items for of, reservoir in chosen.items()}
