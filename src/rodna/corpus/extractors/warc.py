"""Web archives: WARC and the older ARC, packed or not; truncated and damaged ones up to and after the damage.

Pages in them yield text; every other record is counted by kind in one rejection at the end, so that nothing is lost without a word.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.formats import HEAD_BYTES, compression_of
from rodna.corpus.extractors.html import decode_page
from rodna.corpus.extractors.html_text import text_of
from rodna.corpus.extractors.http import Response, TooLargeError, parse_response
from rodna.corpus.extractors.unpacking import Budget, DamagedError, Unpacked

MAX_LINE_BYTES = 65536
MAX_HEADER_LINES = 1000
CHUNK_BYTES = 1 << 20
_KEPT_BYTES = 128
_WARC_START = re.compile(rb"WARC/[01]\.\d+\s*$")
_NEXT = re.compile(rb"\r\n\r\n(?=WARC/1\.\d\r\nWARC-[\w-]{1,40}: )")
"""Another record's beginning: inside of a record it shows that its header claims too much."""
_ARC_START = re.compile(rb"(\S.*) (\S+) (\d{12,14}) (\S+)(?: .*)? (-?\d+)\r?\n?$")
_PAGE_KINDS = ("response", "resource", "conversion")
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_HTML_START = (b"<!doctype html", b"<html")


@dataclass
class Record:
    """One record, its payload not yet read. `content_type` is that of the record, not of what was served."""

    kind: str
    url: str
    date: str
    content_type: str
    size_bytes: int
    is_truncated: bool = False


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the text of each page in an archive, with its address, date and title.

    Args:
        path: the archive.
        source: its `document` says what one document is; a page where it says `file`.
        limits: larger pages are left out, longer documents cut.
    """
    size_bytes = path.stat().st_size
    others, other_bytes = Counter[str](), Counter[str]()
    num_pages = 0
    for item in _records(path, limits):
        if isinstance(item, Rejected):
            yield item
            continue
        record, payload = item
        page, why_not = _page_of(record, payload, limits)
        if page is None:
            others[why_not] += 1
            other_bytes[why_not] += record.size_bytes
            continue
        num_pages += 1
        if limits.enter(record.url):
            yield from _documents(record, page, source, limits)
    for kind, number in sorted(others.items()):
        yield Rejected("not_a_page", f"{number:,} {kind}", other_bytes[kind])
    if not num_pages and not others:
        yield Rejected("damaged", "not one whole record in the archive", size_bytes)


def _documents(record: Record, page: Response, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    text, encoding = decode_page(page.body, page.charset)
    if not encoding.name:
        detail = f"no known encoding fits (best guess: {encoding.guess})" if encoding.guess else "it is not text"
        yield Rejected("unknown_encoding" if encoding.guess else "not_text", f"{record.url}: {detail}", len(page.body))
        return
    excerpt, title = text[:2000], ""
    if page.content_type in _HTML_TYPES:
        if record.is_truncated and text.rfind("<") > text.rfind(">"):
            text = text[: text.rfind("<")]
        text, title = text_of(text)
    if not text.strip():
        yield Rejected("no_text", f"{record.url}: the page has no text outside navigation and scripts", len(page.body), excerpt)
        return
    meta: dict[str, Any] = {"url": record.url[:500], "date": record.date, "title": title, "truncated": record.is_truncated}
    if not encoding.name.startswith("utf-8"):
        meta["encoding"] = encoding.name
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, {key: value for key, value in meta.items() if value})


def _page_of(record: Record, payload: bytes, limits: Limits) -> tuple[Response | None, str]:
    """Return the page that a record holds, or None and what it is instead, in the plural."""
    if record.kind not in _PAGE_KINDS:
        return None, f"{record.kind} records"
    content_type, _, rest = record.content_type.partition(";")
    if payload[:5].upper() == b"HTTP/":
        try:
            page = parse_response(payload, max_bytes=limits.max_page_bytes)
        except TooLargeError:
            return None, "pages too large when unpacked"
        if page.status // 100 != 2:
            return None, f"answers with status {page.status}"
        if page.problem:
            return None, page.problem
        if limits.budget is not None and len(page.body) > len(payload):
            # A small archive of packed pages may be as much of a bomb as a packed archive.
            limits.budget.take(len(page.body) - len(payload))
    else:
        charset = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", rest, re.IGNORECASE)
        page = Response(200, content_type.strip().lower(), charset[1] if charset else "", payload)
    if record.url.startswith("metadata:") or record.url.endswith("/robots.txt"):
        return None, "files for crawlers"
    if not page.content_type or page.content_type in ("application/http", "unk", "no-type"):
        page.content_type = "text/html" if page.body[:1024].lstrip().lower().startswith(_HTML_START) else "unknown type"
    if page.content_type != "text/plain" and page.content_type not in _HTML_TYPES:
        return None, f"files of {page.content_type[:80]}"
    if not page.body.strip():
        return None, "empty pages"
    return page, ""


def _records(path: Path, limits: Limits) -> Iterator[tuple[Record, bytes] | Rejected]:
    """Yield the records with their payloads, those that are no pages without; and what is wrong with the archive."""
    with ExitStack() as stack, path.open("rb") as file:
        kind = compression_of(file.read(HEAD_BYTES))
        file.seek(0)
        readable = None
        if kind:
            budget = limits.budget or Budget(path.stat().st_size, limits.max_unpacked_bytes)
            readable = _Readable(stack.enter_context(Unpacked(path, kind, budget)))
        stream = _Stream(BufferedReader(readable, CHUNK_BYTES) if readable is not None else file)
        num_lost = 0
        while line := stream.readline(MAX_LINE_BYTES):
            record = _record_at(line, stream)
            if record is None:
                num_lost += len(line.strip())
                continue
            if num_lost:
                yield _lost(num_lost)
                num_lost = 0
            yield _read_payload(record, stream, limits)
        if num_lost:
            yield _lost(num_lost)
        if readable is not None and readable.damage is not None:
            yield Rejected(readable.damage.reason, readable.damage.what, 0)


class _Readable(RawIOBase):
    """What `BufferedReader` needs of a stream; damage is kept in `damage`, and looks like the end."""

    def __init__(self, stream: Unpacked) -> None:
        super().__init__()
        self._stream = stream
        self.damage: DamagedError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            data = self._stream.read(len(buffer))
        except DamagedError as error:
            self.damage = error
            return 0
        buffer[: len(data)] = data
        return len(data)


class _Stream:
    """Lines and stretches of a stream, of which the last can be given back."""

    def __init__(self, stream: Any) -> None:
        self._stream, self._data, self._at = stream, b"", 0

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none only at the end."""
        if self._at == len(self._data):
            self._fill()
        data = self._data[self._at : self._at + size]
        self._at += len(data)
        return data

    def readline(self, size: int) -> bytes:
        end = self._data.find(b"\n", self._at, self._at + size)
        if end < 0 and len(self._data) - self._at < size:
            self._fill()
            end = self._data.find(b"\n", self._at, self._at + size)
        return self.read(end + 1 - self._at if end >= 0 else size)

    def give_back(self, num_bytes: int) -> None:
        """Have the last bytes read, `CHUNK_BYTES` at most, come once more."""
        self._at -= num_bytes

    def _fill(self) -> None:
        # A little of what has been read stays, so that a mark that lies across two chunks can be given back.
        start = max(0, self._at - _KEPT_BYTES)
        self._data, self._at = self._data[start:] + self._stream.read(CHUNK_BYTES), self._at - start


def _lost(num_bytes: int) -> Rejected:
    return Rejected("damaged_record", f"{num_bytes:,} bytes that belong to no record, as their headers have it", num_bytes)


def _record_at(line: bytes, stream: Any) -> Record | None:
    """Return the record that a line begins, its headers read; None where it begins none, which is how damage is passed over."""
    if _WARC_START.match(line):
        headers: dict[str, str] = {}
        for _ in range(MAX_HEADER_LINES):
            header = stream.readline(MAX_LINE_BYTES)
            if not header.strip():
                break
            name, _, value = header.decode("utf-8", "replace").partition(":")
            headers.setdefault(name.strip().lower(), value.strip())
        size = headers.get("content-length", "")
        if not size.isascii() or not size.isdigit():
            return None
        url = headers.get("warc-target-uri", "").removeprefix("<").removesuffix(">")
        kind = headers.get("warc-type", "nameless").lower()[:40]
        return Record(kind, url, headers.get("warc-date", ""), headers.get("content-type", ""), int(size))
    match = _ARC_START.match(line)
    if match is None or int(match[5]) < 0:
        return None
    url, date = match[1].decode("utf-8", "replace"), match[3].decode("ascii")
    iso = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:] or '00'}Z"
    kind = "filedesc" if url.startswith("filedesc:") else "response"
    return Record(kind, url, iso, match[4].decode("latin-1"), int(match[5]))


def _read_payload(record: Record, stream: _Stream, limits: Limits) -> tuple[Record, bytes] | Rejected:
    is_page, parts, num_read, tail = record.kind in _PAGE_KINDS, [], 0, b""
    while num_read < record.size_bytes:
        data = stream.read(min(record.size_bytes - num_read, CHUNK_BYTES))
        found = _NEXT.search(tail + data)
        if found:
            stream.give_back(len(tail) + len(data) - found.end())
            record.size_bytes = num_read - len(tail) + found.start()
        if is_page and num_read <= limits.max_page_bytes:
            parts.append(data)
        if found or not data:
            record.is_truncated = True
            break
        num_read += len(data)
        tail = data[-_KEPT_BYTES:]
    if is_page and record.size_bytes > limits.max_page_bytes:
        return Rejected(
            "page_too_large", f"{record.url}: {record.size_bytes:,} bytes; a page may have {limits.max_page_bytes:,}", record.size_bytes
        )
    return record, b"".join(parts)[: record.size_bytes]
