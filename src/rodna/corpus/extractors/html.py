"""HTML pages: the text without navigation, scripts and styles."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.encodings import MAX_DAMAGED_SHARE, SAMPLE_BYTES, Encoding, by_mark, guess, is_binary, is_escaped, without_mark
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.html_text import text_of
from rodna.corpus.extractors.text import reject_undecodable

HEAD_BYTES = 4096
_DECLARED = re.compile(
    rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)|<\?xml[^>]+encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.IGNORECASE
)


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the documents of a page: one, unless the source's `document` cuts further.

    Args:
        path: the page.
        source: its `document` says what one document is.
        limits: larger pages are left out, longer documents cut.
    """
    size_bytes = path.stat().st_size
    if size_bytes > limits.max_page_bytes:
        yield Rejected("page_too_large", f"{size_bytes:,} bytes; a page is read whole, up to {limits.max_page_bytes:,}", size_bytes)
        return
    markup, encoding = decode_page(path.read_bytes())
    if not encoding.name:
        yield reject_undecodable(path, encoding)
        return
    text, title = text_of(markup)
    if not text.strip():
        yield Rejected("no_text", "the page has no text outside navigation and scripts", size_bytes, markup[:2000])
        return
    meta: dict[str, Any] = {"title": title} if title else {}
    if not encoding.name.startswith("utf-8"):
        meta["encoding"] = encoding.name
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, meta)


def decode_page(data: bytes, charset: str = "") -> tuple[str, Encoding]:
    """Return the text of a page's bytes and their encoding; its name is empty where there is none that fits.

    In order: a byte order mark, UTF-8 where the bytes are that (a little damage aside), what the server and then the page itself declares,
    a guess. Undecodable bytes become U+FFFD.

    Args:
        data: the whole page.
        charset: what the server said.
    """
    encoding = _encoding_of(data, charset)
    if not encoding.name:
        return "", encoding
    return data.decode(encoding.name, "replace").removeprefix("\ufeff"), encoding


def _encoding_of(data: bytes, charset: str) -> Encoding:
    head = data[:SAMPLE_BYTES]
    marked = by_mark(head) or without_mark(head)
    if marked:
        return Encoding(marked, 1.0)
    if is_binary(head):
        return Encoding("", 1.0)
    num_bad = 0
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
        num_bad = sum("\udc80" <= character <= "\udcff" for character in text)
        num_good = sum(character > "\x7f" for character in text) - num_bad
        if num_bad <= MAX_DAMAGED_SHARE * num_good:
            return Encoding("utf-8", 0.9, num_bad)
    if not num_bad and not is_escaped(head):
        return Encoding("utf-8", 1.0)
    match = _DECLARED.search(data[:HEAD_BYTES])
    for name in (charset, (match[1] or match[2]).decode("ascii") if match else ""):
        declared = _codec(name)
        if declared:
            return Encoding(declared, 0.8)
    # Markup says nothing about the encoding, and text lines beyond ASCII all there is to say.
    lines = b"\n".join(line for line in data.split(b"\n") if not line.isascii()) if num_bad else data
    return guess(lines[:SAMPLE_BYTES])


def _codec(name: str) -> str:
    """Return the codec that a page means by a name; "" where it means none, or UTF-8, which the bytes are not."""
    try:
        codec = codecs.lookup(name).name if name else ""
        # Some of Python's codecs are no encodings of text.
        "".encode(codec or "utf-8")
    except (LookupError, ValueError, TypeError):
        return ""
    # As in browsers: what calls itself Latin-1 is written in the Windows encoding, as the larger sets of Asian encodings are.
    same = {
        "iso8859-1": "cp1252",
        "ascii": "cp1252",
        "iso8859-9": "cp1254",
        "gb2312": "gb18030",
        "gbk": "gb18030",
        "shift_jis": "cp932",
        "euc_kr": "cp949",
    }
    return "" if codec.startswith("utf") else same.get(codec, codec)
