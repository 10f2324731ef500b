"""Counts that are made in many places and add up to one account of the corpus.

The account balances in documents, `read = kept + dropped`, and in bytes of UTF-8, `read + changed = kept + dropped`, where `changed` is
what a step added to or cut from documents that went on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from rodna.core.errors import CorpusError

Table = Literal[
    "files",  # source -> files found
    "file_bytes",  # source -> their size on disk
    "read_documents",  # source
    "read_bytes",  # source -> bytes of text, or of the file where none could be read
    "dropped_documents",  # source, step, reason
    "dropped_bytes",
    "changed_bytes",  # source, step -> bytes added (or cut, below zero)
    "kept_documents",  # source, split
    "kept_bytes",
    "kept_characters",
    "copied_documents",  # source -> further copies written for its weight in the mix
    "copied_bytes",
    "copied_characters",
    "mended",  # kind of repair -> documents
    "repaired",  # kind of repair -> characters
    "redacted",  # kind of personal data -> times
    "encodings",  # name -> documents
    "characters",  # character -> times in kept documents
    "lengths",  # bytes from -> kept documents
    "languages",  # language -> kept documents
    "language_bytes",
    "mixed",  # `documents`, `bytes` kept that switch languages
    "domains",  # source, domain -> kept bytes
]
"""What is counted, and the parts of its keys."""


class Tally:
    """Numbers by table and key; tallies of parts merge into that of the whole."""

    def __init__(self) -> None:
        self._tables: dict[str, Counter[tuple[str, ...]]] = {}

    def add(self, table: Table, *key: str, number: int = 1) -> None:
        if number:
            # Called several times a document: no counter is made in vain.
            counts = self._tables.get(table)
            if counts is None:
                counts = self._tables[table] = Counter()
            counts[key] += number

    def drop(self, source: str, step: str, reason: str, size_bytes: int) -> None:
        """Count a document that goes no further."""
        self.add("dropped_documents", source, step, reason)
        self.add("dropped_bytes", source, step, reason, number=size_bytes)

    def table(self, table: Table) -> Counter[tuple[str, ...]]:
        """Return the numbers of a table by key; empty where nothing was counted."""
        return self._tables.get(table, Counter())

    def total(self, table: Table, *start: str) -> int:
        """Return the sum over all keys that begin like this."""
        return sum(number for key, number in self.table(table).items() if key[: len(start)] == start)

    def merge(self, parts: Iterable["Tally"]) -> "Tally":
        """Add other tallies to this one and return it."""
        for part in parts:
            for table, counts in part._tables.items():
                self._tables.setdefault(table, Counter()).update(counts)
        return self

    def as_json(self) -> dict[str, list[list[Any]]]:
        """Return table -> list of [key..., number], in a fixed order."""
        return {table: [[*key, number] for key, number in sorted(counts.items())] for table, counts in sorted(self._tables.items())}

    @classmethod
    def from_json(cls, tables: Mapping[str, Iterable[list[Any]]]) -> "Tally":
        tally = cls()
        for table, entries in tables.items():
            tally._tables[table] = Counter({tuple(entry[:-1]): entry[-1] for entry in entries})
        return tally

    def check_balance(self, sources: Iterable[str]) -> None:
        """Check that every document and byte read was kept, cut or dropped.

        Raises:
            CorpusError: it was not: a fault of a step, never of the text.
        """
        for source in sources:
            documents = {name: self.total(table, source) for name, table in _DOCUMENTS.items()}
            size = {name: self.total(table, source) for name, table in _BYTES.items()}
            if documents["read"] != documents["kept"] + documents["dropped"]:
                raise _unbalanced(source, "documents", documents)
            if size["read"] + size["changed"] != size["kept"] + size["dropped"]:
                raise _unbalanced(source, "bytes", size)


_DOCUMENTS: dict[str, Table] = {"read": "read_documents", "kept": "kept_documents", "dropped": "dropped_documents"}
_BYTES: dict[str, Table] = {"read": "read_bytes", "changed": "changed_bytes", "kept": "kept_bytes", "dropped": "dropped_bytes"}


def _unbalanced(source: str, unit: str, numbers: Mapping[str, int]) -> CorpusError:
    listed = ", ".join(f"{number:,} {name}" for name, number in numbers.items())
    return CorpusError(
        f"the counts do not balance: of the {unit}, {listed}",
        where=f"source {source}",
        fix="this is a fault of rodna or of a plugin: please report it with the source's settings",
    )
