"""XML of any kind: TEI, DocBook, feeds, records. What is a paragraph is told by the file itself, not by the names of its elements."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.spaces import squeezed

_HEAD_BYTES = 4096
_LEFT_OUT = frozenset({"script", "style", "teiHeader", "binary", "svg", "math"})
"""Elements that hold no running text in any vocabulary that has them."""
_OPENING, _CLOSING = re.compile(r"[(\[{«“‘¿¡„]$"), re.compile(r"[)\]}»”’.,;:!?…。、，！？；：]")
_MARKUP = re.compile(r"</?[A-Za-z][^<>]*>|&(?:[A-Za-z]{2,8}|#\d{2,6});")


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the text of an XML file, one line a paragraph; of a feed (RSS, Atom) one document an item.

    Args:
        path: the file; entities that it declares for itself are resolved within libxml2's limits, nothing is fetched.
        source: its `document` says what one document is.
        limits: larger files than `max_page_bytes` are rejected; longer documents are cut.
    """
    root = parse(path, limits)
    if isinstance(root, Rejected):
        yield root
        return
    if local_name(root) in ("rss", "RDF", "feed") and any(local_name(node) in ("item", "entry") for node in root.iter()):
        yield from _items(root, source, limits)
        return
    text = text_of(root)
    if not text:
        yield Rejected("no_text", "no element has text in it", path.stat().st_size)
        return
    title = _title(root)
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part, {"title": title} if title else {})


def parse(path: Path, limits: Limits) -> Any:
    """Return the root element of an XML file, or its rejection."""
    import lxml.etree

    size_bytes = path.stat().st_size
    if size_bytes > limits.max_page_bytes:
        return Rejected("page_too_large", f"{size_bytes:,} bytes; XML is read whole, up to {limits.max_page_bytes:,}", size_bytes)
    parser = lxml.etree.XMLParser(
        resolve_entities="internal", no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        with path.open("rb") as file:
            root = lxml.etree.parse(file, parser).getroot()
    except (lxml.etree.XMLSyntaxError, ValueError, OSError) as error:
        message = str(error).splitlines()[0] if str(error) else "empty"
        is_bomb = "ntit" in message and ("amplification" in message or "loop" in message)
        reason = "xml_bomb" if is_bomb else "too_deep" if "depth" in message.lower() else "invalid_xml"
        with path.open("rb") as file:
            return Rejected(reason, message[:300], size_bytes, file.read(400).decode("utf-8", "replace"))
    return root if root is not None else Rejected("invalid_xml", "there is no element", size_bytes)


def local_name(node: Any) -> str:
    """Return an element's name without its namespace, "" for what is no element."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def text_of(root: Any) -> str:
    """Return the text below an element, one line a paragraph.

    An element with text directly in it is a paragraph. An element is part of the line around it where most elements of its name stand
    beside text, or where it lies in one that does; everything else begins a line of its own. Elements of which each holds a single word,
    as in annotated corpora, are joined to a line.
    """
    beside = _beside_text(root)
    lines: list[str] = []
    current: list[str] = []

    def end_line() -> None:
        line = squeezed("".join(current))
        if line:
            lines.append(line)
        current.clear()

    stack: list[tuple[Any, bool, bool]] = [(root, False, False)]
    while stack:
        node, is_inline, is_closing = stack.pop()
        if is_closing:
            if not is_inline:
                end_line()
            current.append(node.tail or "" if node is not root else "")
            continue
        if not is_inline:
            end_line()
        stack.append((node, is_inline, True))
        name = local_name(node)
        if not name or name in _LEFT_OUT:
            continue
        if len(node) >= 2 and not is_inline and _is_line_of_words(node):
            current.append(_words(node))
            continue
        current.append(node.text or "")
        stack.extend((child, is_inline or beside[local_name(child)] > 0, False) for child in reversed(node))
    end_line()
    return "\n".join(lines)


def _beside_text(root: Any) -> Counter[str]:
    """Return for each name of an element how many more of them stand beside text than do not."""
    counts: Counter[str] = Counter()
    for node in root.iter():
        if len(node):
            mixed = bool((node.text and not node.text.isspace()) or any(child.tail and not child.tail.isspace() for child in node))
            for child in node:
                counts[local_name(child)] += 1 if mixed else -1
    return counts


def _is_line_of_words(node: Any) -> bool:
    """Return whether an element's children hold one word each."""
    if node.text and not node.text.isspace():
        return False
    return not any(len(child) or (child.tail and not child.tail.isspace()) or len((child.text or "").split()) > 1 for child in node)


def _words(node: Any) -> str:
    line = ""
    for child in node:
        word = (child.text or "").strip()
        if word:
            line += word if not line or _CLOSING.match(word) or _OPENING.search(line) else f" {word}"
    return line


def _title(root: Any) -> str:
    for node in root.iter():
        if local_name(node) == "title":
            return " ".join("".join(node.itertext()).split())[:200]
    return ""


def _items(root: Any, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    for number, item in enumerate((node for node in root.iter() if local_name(node) in ("item", "entry")), start=1):
        fields: dict[str, str] = {}
        for child in item:
            name = local_name(child)
            value = child.get("href", "") if name == "link" and child.get("href") else "".join(child.itertext())
            if name and value.strip() and (name not in fields or len(value) > len(fields[name])):
                fields[name] = value.strip()
        title = _from_html(fields.get("title", ""))
        body = max((fields.get(name, "") for name in ("encoded", "content", "description", "summary")), key=len)
        text = _from_html(body)
        meta = {
            "title": " ".join(title.split())[:500],
            "url": fields.get("link", fields.get("guid", ""))[:500],
            "date": (fields.get("pubDate") or fields.get("date") or fields.get("published") or fields.get("updated") or "")[:100],
        }
        if not limits.enter(meta["url"] or meta["title"] or str(number)):
            continue
        if not text.strip():
            yield Rejected("no_text", f"item {number} of the feed has no text: {meta['title'] or 'no title'}", len(body))
            continue
        for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
            yield Piece(part, {key: value for key, value in meta.items() if value})


def _from_html(value: str) -> str:
    """Return the text of a field that may hold HTML."""
    if not _MARKUP.search(value):
        return value
    from rodna.corpus.extractors import html

    return html.text_of(f"<html><body>{value}</body></html>")[0]
