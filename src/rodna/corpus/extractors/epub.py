"""EPUB: the chapters in reading order, without navigation."""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.html import decode_page
from rodna.corpus.extractors.html_text import text_of
from rodna.corpus.extractors.packed_xml import Package, UnreadableError, attribute, core_meta, local

_PAGES = ("application/xhtml+xml", "text/html", "text/x-oeb1-document")


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield a book's text: one document, or one a chapter where the source's `document` is `section`.

    Args:
        path: an EPUB 2 or 3.
        source: its `document` says what one document is; the chapters of a book are separated by blank lines.
        limits: `max_page_bytes` is the most that one chapter may have.
    """
    try:
        with Package(path, limits) as package:
            yield from _documents(package, source, limits)
    except UnreadableError as error:
        yield error.rejected


def _documents(package: Package, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    manifest = _manifest_name(package)
    meta = core_meta(package, manifest)
    protected = _protected(package)
    texts: list[str] = []
    for name in chapters(package, manifest):
        if name in protected:
            yield Rejected("password_protected", f"{name} is encrypted (digital rights management)", 0)
            continue
        try:
            markup, encoding = decode_page(package.read(name))
        except UnreadableError as error:
            yield Rejected(error.rejected.reason, error.rejected.detail, 0)
            continue
        if not encoding.name:
            fits = f"no known encoding fits (best guess: {encoding.guess})" if encoding.guess else "it is not text"
            yield Rejected("unknown_encoding" if encoding.guess else "not_text", f"{name}: {fits}", 0)
            continue
        text, title = text_of(markup)
        if not text.strip():
            continue  # a cover or a picture
        if source.document == "section":
            section = {**meta, "section": (title or name)[:500]}
            for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
                yield Piece(part, section)
        else:
            texts.append(text.strip("\n"))
    for part in documents_of(["\n\n".join(texts)], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, meta)


def chapters(package: Package, manifest: str) -> list[str]:
    """Return the members that hold the book's text, in reading order; navigation and the cover page left out.

    Reference: EPUB 3.3, sections 5.6 (manifest) and 5.7 (spine).
    """
    items: dict[str, Any] = {}
    spine: list[str] = []
    for node in package.xml(manifest).iter():
        name = local(node)
        if name == "item":
            items[node.get("id", "")] = node
        elif name == "itemref" and node.get("linear", "yes") != "no":
            spine.append(node.get("idref", ""))
    folder = posixpath.dirname(manifest)
    found: list[str] = []
    for identity in spine:
        item = items.get(identity)
        if item is None or item.get("media-type", _PAGES[0]) not in _PAGES or "nav" in item.get("properties", "").split():
            continue
        member = posixpath.normpath(posixpath.join(folder, unquote(item.get("href", "").partition("#")[0])))
        if member not in found:
            found.append(member)
    return found


def _manifest_name(package: Package) -> str:
    if "META-INF/container.xml" in package.names:
        for node in package.xml("META-INF/container.xml").iter():
            if local(node) == "rootfile" and node.get("full-path", "") in package.names:
                return node.get("full-path")
    found = sorted(name for name in package.names if name.endswith(".opf"))
    if not found:
        raise package.refuse("damaged", "the book has no list of its chapters (.opf)")
    return found[0]


def _protected(package: Package) -> frozenset[str]:
    """Return the members that are encrypted; fonts mostly, all of a book with digital rights management."""
    if "META-INF/encryption.xml" not in package.names:
        return frozenset()
    return frozenset(attribute(node, "URI") for node in package.xml("META-INF/encryption.xml").iter() if local(node) == "CipherReference")
