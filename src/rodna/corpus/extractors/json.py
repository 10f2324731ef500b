"""JSON that is one value: an array of objects, an object of them, or a Jupyter notebook."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.encodings import detect, read_text
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.json_lines import field_of, meta_of, missing_field, pieces_of
from rodna.corpus.extractors.text import reject_undecodable


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield one document for each object that has the text field, at any depth, in the order of the file; a notebook's prose as one.

    Args:
        path: the file, up to `max_page_bytes`: larger ones belong into JSON Lines.
        source: its `text_field` names the field; a dotted name reaches into objects.
        limits: longer texts are cut into several documents.

    Raises:
        CorpusError: no object of the file has the field.
    """
    size_bytes = path.stat().st_size
    if size_bytes > limits.max_page_bytes:
        detail = f"{size_bytes:,} bytes; a JSON value is read whole, up to {limits.max_page_bytes:,}: convert it to JSON Lines"
        yield Rejected("page_too_large", detail, size_bytes)
        return
    encoding = detect(path)
    if not encoding.name:
        yield reject_undecodable(path, encoding)
        return
    markup = "".join(read_text(path, encoding)).removeprefix("\ufeff")
    try:
        value = json.loads(markup)
    except (ValueError, RecursionError) as error:
        reason = "too_deep" if isinstance(error, RecursionError) else "invalid_json"
        what = "arrays or objects inside each other without end" if reason == "too_deep" else str(error)
        yield Rejected(reason, what, size_bytes, markup[:400])
        return
    if isinstance(value, dict) and isinstance(value.get("cells"), list) and "nbformat" in value:
        yield from _notebook(value, path, source, limits)
        return
    seen, found = dict[str, None](), False
    for item in _objects(value):
        text = field_of(item, source.text_field)
        if isinstance(text, str):
            found = True
            yield from pieces_of(text, meta_of(item, source.text_field), limits.max_document_bytes)
        else:
            seen.update(dict.fromkeys(list(item)[:20]))
    if not found:
        raise missing_field(path, source.text_field, list(seen))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object, outer ones first; iterative."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(reversed([inner for inner in item.values() if isinstance(inner, dict | list)]))
        elif isinstance(item, list):
            stack.extend(reversed([inner for inner in item if isinstance(inner, dict | list)]))


def _notebook(value: dict[str, Any], path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the Markdown cells of a notebook as plain text; code and its output are no prose."""
    from rodna.corpus.extractors.markdown import plain_lines

    texts = []
    for cell in value["cells"]:
        if isinstance(cell, dict) and cell.get("cell_type") == "markdown":
            lines = cell.get("source", "")
            text = lines if isinstance(lines, str) else "".join(line for line in lines if isinstance(line, str))
            texts.append("".join(plain_lines([text])).strip("\n"))
    whole = "\n\n".join(text for text in texts if text.strip())
    if not whole:
        yield Rejected("no_text", "the notebook has no Markdown cell with text", path.stat().st_size)
        return
    metadata = value.get("metadata")
    title = metadata.get("title") if isinstance(metadata, dict) else None
    for part in documents_of([whole], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, {"title": title[:500]} if isinstance(title, str) else {})
