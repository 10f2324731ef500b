"""HTML pages: the text without navigation, scripts and styles."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.encodings import Encoding, detect, read_text
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.text import reject_undecodable

MAX_PAGE_BYTES = 64 * 1024 * 1024
_DECLARED = re.compile(
    rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)|<\?xml[^>]+encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.IGNORECASE
)
_SMALL_CHARACTERS = 200
"""trafilatura is built for pages with an article in them; on one that yields less than this, or less than half of its paragraphs' text,
all of the body's text is taken instead."""


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the documents of a page: one, unless the source's `document` cuts further.

    Args:
        path: the page.
        source: its `document` says what one document is.
        limits: longer documents are cut.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_PAGE_BYTES:
        yield Rejected("page_too_large", f"{size_bytes:,} bytes; a page is read whole, up to {MAX_PAGE_BYTES:,}", size_bytes)
        return
    encoding = encoding_of(path)
    if not encoding.name:
        yield reject_undecodable(path, encoding)
        return
    markup = "".join(read_text(path, encoding)).encode("utf-8", "replace").decode("utf-8").removeprefix("\ufeff")
    text, title = text_of(markup)
    if not text.strip():
        yield Rejected("no_text", "the page has no text outside navigation and scripts", size_bytes, markup)
        return
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, {"title": title} if title else {})


def encoding_of(path: Path) -> Encoding:
    """Return a page's encoding: UTF-8 where its bytes are, else what it declares, else a guess."""
    import codecs

    found = detect(path)
    if found.name.startswith("utf") or not found.name:
        return found
    with path.open("rb") as file:
        match = _DECLARED.search(file.read(4096))
    if match:
        try:
            name = codecs.lookup((match[1] or match[2]).decode("ascii")).name
        except LookupError:
            return found
        # As in browsers: what calls itself Latin-1 is written in the Windows encoding.
        return Encoding("cp1252" if name in ("iso8859-1", "ascii") else name, 0.8) if not name.startswith("utf") else found
    return found


def text_of(markup: str) -> tuple[str, str]:
    """Return the main text of a page and its title; empty strings where there is none."""
    import lxml.etree
    import lxml.html
    import trafilatura

    try:
        page = lxml.html.document_fromstring(markup.encode("utf-8"), parser=lxml.html.HTMLParser(encoding="utf-8", huge_tree=True))
    except (lxml.etree.ParserError, lxml.etree.XMLSyntaxError, ValueError):
        return "", ""
    # What trafilatura says about pages it cannot read is of no use to the person who waits for a corpus.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    title = " ".join((page.findtext(".//title") or "").split())[:200]
    body = body_text(page)
    try:
        article = trafilatura.extract(markup, include_comments=False, include_tables=True, favor_recall=True, deduplicate=False) or ""
    except Exception:  # trafilatura meets pages nobody foresaw; the plain text of the body is still there
        article = ""
    # trafilatura passes on the indentation of the markup.
    article = "\n".join(" ".join(line.split()) for line in article.split("\n"))
    paragraphs = sum(len(" ".join("".join(node.itertext()).split())) for node in page.iter("p"))
    if len(article) < _SMALL_CHARACTERS or len(article) < 0.5 * paragraphs:
        return body or article, title
    return article, title


_LEFT_OUT = ("script", "style", "noscript", "template", "nav", "head", "form", "iframe", "svg", "select", "button")
_BLOCKS = frozenset(
    """
    address article aside blockquote body br dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr li main ol p pre
    section table td th tr ul
    """.split()  # noqa: SIM905 - as in the standard
)


def body_text(page: Any) -> str:
    """Return all text of a page's body, one line a block; scripts, styles, forms and navigation left out."""
    parts: list[str] = []
    _collect(page, parts)
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return "\n".join(line for line in lines if line)


def _collect(root: Any, parts: list[str]) -> None:
    """Append the text below a node, with newlines around blocks; iterative, so that deep nesting is no danger."""
    stack: list[tuple[Any, bool]] = [(root, False)]
    while stack:
        node, is_closing = stack.pop()
        is_block = node.tag in _BLOCKS
        if is_closing:
            parts.append("\n" if is_block else "")
            parts.append(node.tail or "" if node is not root else "")
            continue
        stack.append((node, True))
        if isinstance(node.tag, str) and node.tag not in _LEFT_OUT:
            parts.append("\n" if is_block else "")
            # A line break in the source is a space on the page, but for <pre>.
            parts.append((node.text or "").replace("\n", " ") if node.tag != "pre" else node.text or "")
            stack.extend((child, False) for child in reversed(node))
