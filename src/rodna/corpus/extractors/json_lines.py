"""JSON Lines: one JSON object a line, its text in one field."""

import codecs
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rodna.core.errors import CorpusError
from rodna.corpus.config import Source
from rodna.corpus.cutting import cut
from rodna.corpus.encodings import CHUNK_BYTES, by_mark
from rodna.corpus.extractors import Limits, Piece, Rejected

MAX_LINE_BYTES = 1 << 28
MAX_META_CHARACTERS = 500
_EXCERPT_BYTES = 400


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield one document for each object, however the source's `document` is set; a line that is no object is rejected.

    Args:
        path: UTF-8 (or UTF-16 and UTF-32 with a byte order mark), possibly with blank lines.
        source: its `text_field` names the field; a dotted name reaches into objects.
        limits: longer texts are cut into several documents.

    Raises:
        CorpusError: no object of the file has the field.
    """
    num_objects, seen_fields, found = 0, dict[str, None](), False
    for number, (line, num_bytes) in enumerate(_lines(path), start=1):
        if num_bytes > MAX_LINE_BYTES:
            detail = f"line {number} has {num_bytes:,} bytes; a line may have {MAX_LINE_BYTES:,}"
            yield Rejected("line_too_long", detail, num_bytes, _excerpt(line))
            continue
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            what = (
                error.msg
                if isinstance(error, json.JSONDecodeError)
                else "not UTF-8"
                if isinstance(error, UnicodeDecodeError)
                else "a number of too many digits"
                if isinstance(error, ValueError)
                else "too deep"
            )
            yield Rejected("invalid_json", f"line {number}: {what}", len(line), _excerpt(line))
            continue
        num_objects += 1
        if isinstance(values, dict) and not found:
            seen_fields.update(dict.fromkeys(list(values)[:20]))
        text = field_of(values, source.text_field)
        if isinstance(text, str):
            found = True
            yield from pieces_of(text, meta_of(values, source.text_field), limits.max_document_bytes)
        else:
            yield Rejected("no_text", f"line {number}: the field {source.text_field!r} is {_kind(text)}", len(line), _excerpt(line))
    if num_objects and not found:
        raise missing_field(path, source.text_field, list(seen_fields))


def pieces_of(text: str, meta: Mapping[str, Any], max_bytes: int) -> Iterator[Piece]:
    """Yield the text of one record, in parts where it is too long; a blank one too, so that it is counted."""
    for part in cut(text, max_bytes) if text.strip() else [text]:
        yield Piece(part, meta)


def missing_field(path: Path, wanted: str, present: list[str]) -> CorpusError:
    """Return the error for a file in which nothing has the text field, naming the fields that are there."""
    import difflib

    close = difflib.get_close_matches(wanted, present, n=1, cutoff=0.4)
    guess = f"set text_field: {close[0]} for the source" if close else "set the source's text_field to the one that holds the text"
    return CorpusError(f"no field {wanted!r}; there are: {', '.join(present[:12]) or 'none'}", where=str(path), fix=guess)


def field_of(values: Any, name: str) -> Any:
    """Return a field of an object, None where it is missing; `a.b` is the field `b` of the object in `a`, where no field is named `a.b`."""
    if not isinstance(values, dict):
        return None
    if name in values:
        return values[name]
    first, dot, rest = name.partition(".")
    return field_of(values.get(first), rest) if dot else None


def _lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield lines and their lengths without holding more than `MAX_LINE_BYTES` of one: of a longer line only the beginning is given."""
    with path.open("rb") as file:
        mark = by_mark(file.read(4))
        file.seek(0)
        if mark in ("utf-16", "utf-32"):
            for text in io.TextIOWrapper(file, encoding=mark, errors="replace"):
                line = text.encode("utf-8")
                yield line, len(line)
            return
        if mark:
            file.seek(len(codecs.BOM_UTF8))
        while line := file.readline(MAX_LINE_BYTES + 1):
            num_bytes = len(line)
            if num_bytes > MAX_LINE_BYTES:
                is_whole, line = line.endswith(b"\n"), line[:_EXCERPT_BYTES]
                while not is_whole and (more := file.readline(CHUNK_BYTES)):
                    num_bytes, is_whole = num_bytes + len(more), more.endswith(b"\n")
            yield line, num_bytes


def meta_of(values: dict[str, Any], text_field: str) -> dict[str, Any]:
    """Return the short, plain values beside the text: titles, dates, addresses."""
    return {
        key: value
        for key, value in values.items()
        if key != text_field and isinstance(value, str | int | float | bool) and len(str(value)) <= MAX_META_CHARACTERS
    }


def _kind(value: Any) -> str:
    return "missing or null" if value is None else f"not text but {type(value).__name__}"


def _excerpt(line: bytes) -> str:
    return line[:_EXCERPT_BYTES].decode("utf-8", "replace")
