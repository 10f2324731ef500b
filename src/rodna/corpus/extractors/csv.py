"""Tables as text (CSV, TSV), in any encoding and dialect: one document a row."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

import regex

from rodna.core.errors import CorpusError
from rodna.corpus.config import Source
from rodna.corpus.encodings import detect, read_text
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.json_lines import MAX_META_CHARACTERS, missing_field, pieces_of
from rodna.corpus.extractors.text import reject_undecodable
from rodna.corpus.unspaced import UNSPACED_LETTER

DEFAULT_FIELD = "text"
_DELIMITERS = "\t;|,"
"""Where several would do, the one that text has less of: sentences have as many commas as they like."""
_SAMPLE_ROWS = 200
_NUMERIC = re.compile(r"[\s\d.,:/%+\-–—€$£]*$")
_SPACE = regex.compile(r"\s")
TEXT_WORDS = 4
"""A column whose cells have this many words on average holds text; one of names or labels has fewer."""
AMBIGUOUS = 0.5
"""A second column this close to the longest one may as well be the text: the user decides."""


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield one document for each row, however the source's `document` is set.

    Args:
        path: comma, tab, semicolon or bar separated; with or without a header.
        source: its `text_field` names the column, or gives its number from 1. Where no column is named so and it was not set, the one
            whose cells read as text is taken.
        limits: a row larger than `max_page_bytes` is rejected; longer texts are cut into several documents.

    Raises:
        CorpusError: no column has the name, or several could hold the text.
    """
    encoding = detect(path)
    if not encoding.name:
        yield reject_undecodable(path, encoding)
        return
    meta = {} if encoding.name in ("utf-8", "utf-8-sig") else {"encoding": encoding.name}
    records = _records(read_text(path, encoding), limits.max_page_bytes)
    sample = list(islice(records, _SAMPLE_ROWS))
    delimiter = delimiter_of([record for record in sample if isinstance(record, str)])
    rows = list(_parsed(sample, delimiter))
    cells = [row for row in rows if isinstance(row, list)]
    if not cells:
        yield from (row for row in rows if isinstance(row, Rejected))
        return
    names = header_of(cells)
    column = text_column(cells[1:] if names else cells, names, path, source)
    skip = 1 if names else 0
    for row in chain(rows, _parsed(records, delimiter)):
        if isinstance(row, Rejected):
            yield row
        elif skip:
            skip -= 1
        else:
            yield from _documents(row, column, names, meta, limits.max_document_bytes)


def _documents(row: list[str], column: int, names: Sequence[str], meta: dict[str, str], max_bytes: int) -> Iterator[Piece | Rejected]:
    if column >= len(row):
        yield Rejected(
            "no_text", f"a row of {len(row)} cells has no cell {column + 1}", len("".join(row).encode("utf-8", "replace")), " ".join(row)
        )
        return
    beside = {
        name: value
        for number, (name, value) in enumerate(zip(names, row, strict=False))
        if number != column and name and value and len(value) <= MAX_META_CHARACTERS
    }
    text = row[column]
    yield from pieces_of(text, {**meta, **beside}, max_bytes)


def _records(chunks: Iterable[str], max_bytes: int) -> Iterator[str | Rejected]:
    """Yield the rows of a file, each with the newlines inside its quotes; one that is too long is given up, its rest skipped."""
    rest, held, held_size, is_open, lost, number = "", list[str](), 0, False, 0, 1
    limit = max_bytes
    for chunk in chunks:
        lines = chunk.split("\n")
        lines[0] = rest + lines[0]
        *whole, rest = lines
        for line in whole:
            if lost or _is_longer(line, limit):
                yield Rejected("row_too_long", f"row {number} has more than {max_bytes:,} bytes", lost + _size_of(line))
                lost, held, held_size, is_open, number = 0, [], 0, False, number + 1
                continue
            held.append(line)
            held_size += len(line) + 1
            is_open ^= line.count('"') % 2 == 1
            if is_open and held_size > limit:
                # A quote that nothing closes would swallow the rest of the file: only its own line is lost.
                yield Rejected("unclosed_quote", f"row {number} opens a quote that is not closed", len(held[0]), held[0][:400])
                number += 1
                for again in held[1:]:
                    yield again
                    number += 1
                held, held_size, is_open = [], 0, False
            elif not is_open:
                yield "\n".join(held)
                held, held_size, number = [], 0, number + 1
        if lost or _is_longer(rest, limit):
            # Nothing of it is kept any more: gathered piece by piece, it would be copied over and over.
            lost, rest = lost + _size_of(rest), ""
    if lost:
        yield Rejected("row_too_long", f"row {number} has more than {max_bytes:,} bytes", lost)
    elif rest or held:
        held.append(rest)
        yield "\n".join(held)


def _is_longer(text: str, num_bytes: int) -> bool:
    return len(text) > num_bytes or (len(text) * 4 > num_bytes and _size_of(text) > num_bytes)


def _size_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _parsed(records: Iterable[str | Rejected], delimiter: str) -> Iterator[list[str] | Rejected]:
    csv.field_size_limit(1 << 30)
    for record in records:
        if isinstance(record, Rejected):
            yield record
        elif record.strip():
            lines = [line + "\n" for line in record.split("\n")]
            quoting = csv.QUOTE_MINIMAL if record.count('"') % 2 == 0 else csv.QUOTE_NONE
            try:
                yield from filter(None, csv.reader(lines, delimiter=delimiter, quoting=quoting))
            except csv.Error as error:
                yield Rejected("invalid_row", str(error), len(record), record[:400])


def delimiter_of(records: Sequence[str]) -> str:
    """Return what separates the cells: what gives the most rows one number of cells, of more than one; a comma where nothing does."""
    best, best_score = ",", 0.0
    for delimiter in _DELIMITERS:
        counts: dict[int, int] = {}
        for row in _parsed(records, delimiter):
            if isinstance(row, list) and len(row) > 1:
                counts[len(row)] = counts.get(len(row), 0) + 1
        score = max(counts.values(), default=0) / max(1, len(records))
        if score > best_score + 1e-9:
            best, best_score = delimiter, score
    return best


def header_of(rows: Sequence[list[str]]) -> list[str]:
    """Return the names of the columns, empty where the first row is a row like the others.

    A header has a short, different name in every column, and at least one that does not look like what stands below: shorter than a third
    of the cells there, or letters above numbers.
    """
    first, below = [cell.strip() for cell in rows[0]], rows[1:21]
    if not all(first) or len(set(first)) < len(first) or any(len(cell) > 60 or _NUMERIC.match(cell) for cell in first):
        return []
    if not below:
        return first if len(first) > 1 and DEFAULT_FIELD in first else []
    for number, name in enumerate(first):
        cells = [row[number] for row in below if number < len(row) and row[number].strip()]
        if cells and (len(name) * 3 < sum(map(len, cells)) / len(cells) or all(_NUMERIC.match(cell) for cell in cells)):
            return first
    return first if DEFAULT_FIELD in first else []


def text_column(rows: Sequence[list[str]], names: Sequence[str], path: Path, source: Source) -> int:
    """Return the column that holds the text, counted from 0.

    Raises:
        CorpusError: none has the name; or several, or none, could be it.
    """
    wanted = source.text_field
    if wanted in names:
        return names.index(wanted)
    width = max((len(row) for row in rows), default=len(names))
    if wanted.isdecimal() and 1 <= int(wanted) <= width:
        return int(wanted) - 1
    present = list(names) or [str(number + 1) for number in range(width)]
    if wanted != DEFAULT_FIELD:
        raise missing_field(path, wanted, present)
    if width == 1:
        return 0
    words = [_mean_words(row[number] for row in rows if number < len(row)) for number in range(width)]
    order = sorted(range(width), key=lambda number: -words[number])
    first, second = order[0], order[1]
    if words[first] < TEXT_WORDS:
        what = f"no column looks like running text (at most {words[first]:.1f} words a cell); there are: {', '.join(present[:12])}"
    elif words[second] >= max(TEXT_WORDS, AMBIGUOUS * words[first]):
        what = f"several columns could be the text: {present[first]!r} and {present[second]!r}"
    else:
        return first
    raise CorpusError(what, where=str(path), fix=f"set the source's text_field to one of them, such as text_field: {present[first]!r}")


def _mean_words(cells: Iterable[str]) -> float:
    """Return how many words a cell has on average; three letters of a script without spaces count as two words."""
    total, count = 0.0, 0
    for cell in cells:
        cell = cell[:2000]
        if cell.strip():
            count += 1
            if not _NUMERIC.match(cell) and "://" not in cell.split()[0]:
                total += len(cell.split()) + len(UNSPACED_LETTER.findall(cell)) * 2 / 3
    return total / max(1, count)
