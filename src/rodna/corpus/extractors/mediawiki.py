"""MediaWiki XML dumps, plain or compressed, read as a stream: memory depends on the largest page, never on the dump."""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.parsers import expat

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.encodings import by_mark
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.formats import HEAD_BYTES, compression_of
from rodna.corpus.extractors.unpacking import Budget, DamagedError, TooMuchError, Unpacked
from rodna.corpus.extractors.wikitext import plain

CHUNK_BYTES = 1 << 16
_REDIRECT = re.compile(r"\s*#\s?[^\W\d_]+\s*:?\s*\[\[[^\[\]\n]*\]\]")
_FIELDS = frozenset({"title", "ns", "text", "timestamp", "model", "base"})


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield one document for each article, cut further as the source's `document` says.

    Redirects and pages outside the main namespace are counted and rejected together, once a file and kind; so that a full dump
    with millions of them stays readable. Of pages with several revisions the last one is read.

    Args:
        path: a dump as exported by MediaWiki; plain, or packed with bzip2, gzip, xz or zstd.
        source: its `document` says what one document is.
        limits: pages above `max_page_bytes` are rejected, longer documents are cut.
    """
    left_out: dict[str, Counter[str]] = {"redirect": Counter(), "not_an_article": Counter()}
    sizes: Counter[str] = Counter()
    dump = _Dump(limits.max_page_bytes)
    rest = None
    for page in _pages(path, dump, limits):
        if isinstance(page, Rejected):
            rest = page
            continue
        kind, what = dump.kind_of(page)
        if kind:
            left_out[kind][what] += 1
            sizes[kind] += page["size"]
        else:
            yield from _documents(page, dump, source, limits)
    if rest is not None:
        yield rest
    for kind, counts in left_out.items():
        if counts:
            listed = ", ".join(f"{count:,} {what}" for what, count in counts.most_common(8))
            yield Rejected(kind, f"{counts.total():,} pages: {listed}", sizes[kind])


def _documents(page: dict[str, Any], dump: "_Dump", source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    title = page.get("title", "")
    if not limits.enter(title):
        return
    size = page["size"]
    if size > limits.max_page_bytes:
        yield Rejected("page_too_large", f"{title}: {size:,} bytes; a page is read whole, up to {limits.max_page_bytes:,}", size)
        return
    text = plain(page.get("text", ""), dump.namespaces)
    if not text.strip():
        yield Rejected("no_text", f"{title}: nothing but templates, tables and references", size, page.get("text", "")[:400])
        return
    meta = {"title": title[:500], "url": dump.address(title)[:500], "date": page.get("timestamp", "")}
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, {key: value for key, value in meta.items() if value})


def _pages(path: Path, dump: "_Dump", limits: Limits) -> Iterator[dict[str, Any] | Rejected]:
    """Yield the pages of a dump; last, where it cannot be read to its end, the rejection of the rest."""
    try:
        for chunk in _chunks(path, limits):
            yield from dump.feed(chunk)
        dump.close()
    except (DamagedError, TooMuchError) as error:
        yield Rejected(error.reason, f"after {dump.num_pages:,} pages: {error.what}", 0)
    except (expat.ExpatError, UnicodeDecodeError, _DeclaredEntityError) as error:
        yield Rejected("damaged_xml", f"after {dump.num_pages:,} pages: {error}", 0)


def _chunks(path: Path, limits: Limits) -> Iterator[bytes]:
    """Yield a dump's XML as UTF-8, or in the encoding that it declares."""
    with path.open("rb") as file:
        kind = compression_of(file.read(HEAD_BYTES))
    budget = limits.budget or Budget(path.stat().st_size, limits.max_unpacked_bytes)
    with Unpacked(path, kind, budget) if kind else path.open("rb") as file:
        data = file.read(CHUNK_BYTES)
        mark = by_mark(data)
        decoder = codecs.getincrementaldecoder(mark)() if mark in ("utf-16", "utf-32") else None
        while data:
            yield decoder.decode(data).encode("utf-8", "surrogatepass") if decoder else data
            data = file.read(CHUNK_BYTES)


class _DeclaredEntityError(ValueError):
    """The dump declares an entity of its own."""


class _Dump:
    """Collects the pages of a dump as its bytes arrive. Entities that a file declares itself are refused: no dump has any."""

    def __init__(self, max_page_bytes: int) -> None:
        self.max_page_bytes = max_page_bytes
        self.namespaces: dict[str, int] = {}
        self.names: dict[int, str] = {}
        self.base = ""
        self.num_pages = 0
        self._pages: list[dict[str, Any]] = []
        self._page: dict[str, Any] | None = None
        self._field, self._parts, self._size, self._key = "", list[str](), 0, 0
        self._parser: Any = None

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """Parse some more bytes and return the pages that they complete."""
        if self._parser is None:
            parser = self._parser = expat.ParserCreate("utf-8" if not chunk.startswith(b"<?xml") else None)
            parser.buffer_text, parser.buffer_size = True, 1 << 16
            parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
            parser.EntityDeclHandler = self._refuse
        self._parser.Parse(chunk, False)
        pages, self._pages = self._pages, []
        return pages

    def close(self) -> None:
        """Check that the dump is complete."""
        if self._parser is not None:
            self._parser.Parse(b"", True)

    def kind_of(self, page: dict[str, Any]) -> tuple[str, str]:
        """Return why a page is no article and what it is instead; empty where it is one."""
        if page.get("redirect") or _REDIRECT.match(page.get("text", "")[:400]):
            return "redirect", "redirects"
        number = page.get("ns", "0").strip()
        namespace = int(number) if number.lstrip("-").isdecimal() else 0
        if "ns" not in page:
            namespace = self.namespaces.get(page.get("title", "").partition(":")[0].lower(), 0)
        if namespace:
            return "not_an_article", self.names.get(namespace) or f"namespace {namespace}"
        model = page.get("model", "wikitext").strip()
        return ("", "") if model == "wikitext" else ("not_an_article", model)

    def address(self, title: str) -> str:
        """Return the address of a page on its wiki, "" where the dump does not say."""
        return self.base.rpartition("/")[0] + "/" + quote(title.replace(" ", "_"), safe="/:,;@!()*'") if "://" in self.base else ""

    def _refuse(self, name: str, *_: Any) -> None:
        raise _DeclaredEntityError(f"it declares an entity ({name}), as no dump does")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if name == "page":
            self._page = {"size": 0}
        elif name == "redirect" and self._page is not None:
            self._page["redirect"] = True
        elif name == "namespace":
            key = attributes.get("key", "0")
            self._key = int(key) if key.lstrip("-").isdecimal() else 0
        if name in _FIELDS or name == "namespace":
            self._field, self._parts, self._size = name, [], 0
            self._parser.CharacterDataHandler = self._text

    def _text(self, data: str) -> None:
        self._size += len(data) if data.isascii() else len(data.encode("utf-8"))
        if self._size <= self.max_page_bytes:
            self._parts.append(data)

    def _end(self, name: str) -> None:
        name = name.rpartition(":")[2]
        if name == self._field:
            self._parser.CharacterDataHandler = None
            self._field = ""
            self._keep(name, "".join(self._parts))
            self._parts = []
        if name == "page" and self._page is not None:
            self.num_pages += 1
            self._pages.append(self._page)
            self._page = None

    def _keep(self, name: str, value: str) -> None:
        if name == "namespace":
            self.names[self._key] = value
            if value:
                self.namespaces[value.lower()] = self._key
        elif name == "base":
            self.base = value.strip()
        elif self._page is not None:
            self._page[name] = value
            if name == "text":
                self._page["size"] = self._size
