"""Parquet: one document a row, its text in one column; read in batches, so that memory use follows the row groups."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.core.errors import CorpusError
from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.json_lines import MAX_META_CHARACTERS, missing_field, pieces_of

_BATCH_ROWS = 1024


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield one document for each row.

    Args:
        path: a Parquet file.
        source: its `text_field` names the column.
        limits: longer texts are cut into several documents.

    Raises:
        CorpusError: the file is damaged or no Parquet, or has no such column of text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            schema = file.schema_arrow
            if source.text_field not in schema.names:
                raise missing_field(path, source.text_field, schema.names)
            kind = schema.field(source.text_field).type
            if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or _is_dictionary_of_text(pa, kind)):
                raise CorpusError(
                    f"the column {source.text_field!r} holds {kind}, not text", where=str(path), fix="set text_field to a column of strings"
                )
            columns = [
                source.text_field,
                *(field.name for field in schema if field.name != source.text_field and _is_plain(pa, field.type)),
            ]
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield from _documents(row, number, source.text_field, limits.max_document_bytes)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"the Parquet file cannot be read: {str(error).splitlines()[0]}", where=str(path), fix="download or write it again"
        ) from error


def _documents(row: dict[str, Any], number: int, text_field: str, max_bytes: int) -> Iterator[Piece | Rejected]:
    text = row.pop(text_field)
    if not isinstance(text, str):
        yield Rejected("no_text", f"row {number}: the column {text_field!r} is null", 0)
        return
    meta = {key: value for key, value in row.items() if value is not None and len(str(value)) <= MAX_META_CHARACTERS}
    yield from pieces_of(text, meta, max_bytes)


def _is_dictionary_of_text(pa: Any, kind: Any) -> bool:
    return pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)


def _is_plain(pa: Any, kind: Any) -> bool:
    """Return whether a column's values fit into a document's `meta` as they are."""
    return pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind)
