"""A corpus as Parquet files, which every common loader reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.core.artifact import Artifact
from rodna.core.errors import explain_disk_errors
from rodna.core.files import sha256_of, sync_file, temporary_name
from rodna.corpus.documents import SPLITS, Document, Split, read_documents

FIELDS = {
    "id": "which document: source, file and number in it",
    "text": "the document, as UTF-8 text in Unicode's composed form",
    "source": "the source it is from; its licence is in the table of sources",
    "language": "BCP-47 tag of the corpus",
    "meta": "what else is known of it (title, address, date, page), as JSON",
}
ROW_GROUP_BYTES = 32 << 20


def write_splits(corpus: Artifact, folder: Path) -> list[dict[str, Any]]:
    """Write each split that holds something to `data/SPLIT.parquet`.

    Returns:
        For each: `split`, `path` below the folder, `size_bytes`, `sha256`, `documents`.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    files: list[dict[str, Any]] = []
    for split in SPLITS:
        path = folder / "data" / f"{split}.parquet"
        path.unlink(missing_ok=True)
        if corpus.counts[split]["documents"]:
            number = _write(corpus, split, path)
            size = path.stat().st_size
            files.append({"split": split, "path": f"data/{path.name}", "size_bytes": size, "sha256": sha256_of(path), "documents": number})
    return files


def _write(corpus: Artifact, split: Split, path: Path) -> int:
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.string()) for name in FIELDS])
    temporary = temporary_name(path)
    number = 0
    with explain_disk_errors(path):
        try:
            with parquet.ParquetWriter(temporary, schema, compression="zstd") as writer:
                for batch in _batches(read_documents(corpus.path, split)):
                    columns = {name: [_value(document, name) for document in batch] for name in FIELDS}
                    writer.write_table(pyarrow.table(columns, schema=schema), row_group_size=len(batch))
                    number += len(batch)
            sync_file(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return number


def _value(document: Document, name: str) -> str:
    # One text column: the keys of `meta` differ from document to document, and a table wants one form.
    return json.dumps(document.meta, ensure_ascii=False, sort_keys=True) if name == "meta" else getattr(document, name)


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size > ROW_GROUP_BYTES // 2 or len(batch) >= 100_000:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
