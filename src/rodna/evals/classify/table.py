"""Reading labelled texts: CSV, TSV or JSON Lines, with a reason for every row that cannot be used."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rodna.core.errors import EvaluationError
from rodna.corpus.deduplicate.letters import letters_of
from rodna.evals.tasks.items import Skipped

LINES = (".jsonl", ".ndjson")
DELIMITERS = {".tsv": "\t", ".tab": "\t"}
MAX_FIELD = 1 << 24


@dataclass(frozen=True)
class Example:
    """One text and its class; `id` is the file and the row."""

    id: str
    text: str
    label: str

    @cached_property
    def key(self) -> str:
        """What copies of the text have in common: its letters, in lower case; all of it where it has none."""
        return letters_of([self.text]).codes.tobytes().decode("latin-1") or " ".join(self.text.split())


@dataclass(frozen=True)
class Table:
    """Usable examples, and rows that are not."""

    examples: list[Example]
    skipped: list[Skipped]


def read_table(path: Path, *, text: str, label: str) -> Table:
    """Read labelled texts.

    Args:
        path: `.csv` (commas or semicolons), `.tsv` with a header, or `.jsonl`.
        text: name of the text's column.
        label: name of the label's column.

    Raises:
        EvaluationError: the file cannot be read, or lacks a column.
    """
    examples: list[Example] = []
    skipped: list[Skipped] = []
    try:
        for number, row in _rows(path, (text, label)):
            identity = f"{path.name}:{number}"
            if isinstance(row, str):
                skipped.append(Skipped(identity, identity, row))
                continue
            what, name = _as_text(row.get(text)), _as_text(row.get(label))
            if what and name:
                examples.append(Example(identity, what, name))
            else:
                missing = "the text is empty" if not what else "the label is missing"
                skipped.append(Skipped(identity, identity, missing))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(
            f"cannot read the texts: {error}", where=str(path), fix="give a UTF-8 file: .csv or .tsv with a header, or .jsonl"
        ) from error
    return Table(examples, skipped)


def _as_text(value: Any) -> str:
    """Return a field as text; empty for what is none."""
    if isinstance(value, str):
        return value.strip() if "\x00" not in value else ""
    return str(value) if isinstance(value, int | float) and value == value else ""


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    """Yield the number of each row, counted from 1 without the header, with its fields or with why it has none."""
    if path.suffix.lower() in LINES:
        yield from _json_rows(path, columns)
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        before = csv.field_size_limit(MAX_FIELD)
        try:
            first = file.readline()
            delimiters = (DELIMITERS[suffix],) if (suffix := path.suffix.lower()) in DELIMITERS else (",", ";", "\t")
            headers = {mark: next(csv.reader([first], delimiter=mark), []) for mark in delimiters}
            delimiter = next((mark for mark, header in headers.items() if set(columns) <= set(header)), "")
            if not delimiter:
                found = max(headers.values(), key=len)
                raise _no_column([name for name in columns if name not in found], found, path)
            header = headers[delimiter]
            for number, fields in enumerate(csv.reader(file, delimiter=delimiter), start=1):
                if len(fields) == len(header):
                    yield number, dict(zip(header, fields, strict=True))
                elif fields:
                    yield number, f"it has {len(fields)} fields, the header {len(header)}"
        finally:
            csv.field_size_limit(before)


def _json_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    names: dict[str, None] = {}
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                yield number, "the line is not valid JSON"
                continue
            if not isinstance(row, dict):
                yield number, "the line is not a JSON object"
                continue
            names |= dict.fromkeys(row)
            yield number, row
    missing = [name for name in columns if name not in names]
    if missing and names:
        raise _no_column(missing, list(names), path)


def _no_column(missing: Sequence[str], found: Sequence[str], path: Path) -> EvaluationError:
    return EvaluationError(
        f"no column {', '.join(map(repr, missing))}; the columns are: {', '.join(map(repr, found)) or 'none'}",
        where=str(path),
        fix="name the columns with --text and --label, as the file spells them",
    )


def keys_of(examples: Sequence[Example]) -> list[str]:
    """Return what copies have in common, for each example."""
    return [example.key for example in examples]


def label_counts(examples: Sequence[Example]) -> dict[str, int]:
    """Return how many examples each class has, by name."""
    return dict(sorted(Counter(example.label for example in examples).items()))


def as_numbers(examples: Sequence[Example], labels: Sequence[str]) -> np.ndarray:
    """Return each example's place in `labels`, int64 (N,)."""
    place = {label: number for number, label in enumerate(labels)}
    return np.array([place[example.label] for example in examples], dtype=np.int64)
