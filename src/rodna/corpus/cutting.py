"""Cutting text into documents, at the most natural place, without ever holding a whole file."""

import re
from collections.abc import Iterable, Iterator
from unicodedata import combining

import regex

from rodna.corpus.config import DocumentUnit, Source

_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_LINE = re.compile(r"\n")
_SEPARATORS: dict[DocumentUnit, re.Pattern[str]] = {"blank_line": _BLANK_LINE, "line": _LINE}
_SENTENCE_END = regex.compile(r"[。！？｡][\p{Pe}\p{Pf}\"']*|\p{Sentence_Terminal}[\p{Pe}\p{Pf}\"']*\s")
_SPACE = regex.compile(r"\s")
CHUNK_CHARACTERS = 1 << 20
_JOINERS = "\u200c\u200d"


def documents_of(chunks: Iterable[str], source: Source, *, max_bytes: int) -> Iterator[str]:
    """Yield the documents of a stream of text.

    Args:
        chunks: the text, in pieces of any length; newlines are line feeds.
        source: its `document` says what one document is.
        max_bytes: a longer document is cut into several, nothing lost.
    """
    limit = min(source.section_bytes, max_bytes) if source.document == "section" else max_bytes
    separator = _SEPARATORS.get(source.document)
    rest, searched = "", 0
    for chunk in _small(chunks):
        rest += chunk
        if separator is not None:
            start = 0
            for match in separator.finditer(rest, searched):
                yield from cut(rest[start : match.start()], limit)
                start = match.end()
            rest = rest[start:]
            # White space at the end may be the beginning of a separator; nothing before it is looked at twice.
            trailing = len(chunk) - len(chunk.rstrip())
            searched = max(0, searched - start) if trailing == len(chunk) else max(0, len(rest) - trailing)
        start = 0
        while len(rest) - start > limit:
            end = start + place_to_cut(rest[start : start + limit + 1], limit)
            yield rest[start:end]
            start = end
        if start:
            rest, searched = rest[start:], max(0, searched - start)
    yield from cut(rest, limit)


def _small(chunks: Iterable[str]) -> Iterator[str]:
    """Yield the same text in pieces of at most a million characters, so that what is left over is never long to copy."""
    for chunk in chunks:
        for start in range(0, len(chunk), CHUNK_CHARACTERS):
            yield chunk[start : start + CHUNK_CHARACTERS]


def cut(text: str, limit: int) -> Iterator[str]:
    """Yield a text whole, or in parts of at most `limit` UTF-8 bytes; blank parts are left out."""
    start = 0
    while _is_longer(text, start, limit):
        end = start + place_to_cut(text[start : start + limit + 1], limit)
        yield text[start:end]
        start = end
    if start < len(text) and not (text := text[start:]).isspace():
        yield text


def _is_longer(text: str, start: int, limit: int) -> bool:
    length = len(text) - start
    return length > limit or (length * 4 > limit and len(text[start:].encode("utf-8", "surrogatepass")) > limit)


def place_to_cut(text: str, limit: int) -> int:
    """Return where to cut so that the first part has at most `limit` UTF-8 bytes.

    In its second half, the last paragraph's end, else line's, sentence's or word's; failing all, between two letters, never before a
    combining mark. The answer depends on nothing after the limit, so text added at a file's end moves no earlier cut.
    """
    data = text[: limit + 1].encode("utf-8", "surrogatepass")
    end_byte = min(limit, len(data) - 1)
    while end_byte > 0 and (data[end_byte] & 0xC0) == 0x80:
        end_byte -= 1
    end = max(1, len(data[:end_byte].decode("utf-8", "surrogatepass")))
    half = end // 2
    for mark in ("\n\n", "\n"):
        found = text.rfind(mark, half, end)
        if found > 0:
            return found + len(mark)
    # The last few thousand characters are enough to find a sentence's end in.
    near = max(half, end - 4096)
    for pattern in (_SENTENCE_END, _SPACE):
        ends = [match.end() for match in pattern.finditer(text, near, end)]
        if ends:
            return ends[-1]
    safe = end
    while safe > half + 1 and (combining(text[safe]) or text[safe] in _JOINERS or text[safe - 1] in _JOINERS):
        safe -= 1
    return safe
