"""Markdown: its markup removed, its text kept."""

import html
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.text import extract_plain

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r"^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,}|=+[ \t]*)$")
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+")
_MAX_LINE = 8192
"""Longer lines are read in parts: marks that open and never close cost time with the square of a line's length."""
_MAX_HELD_LINES = 2000
"""Longer front matter and comments are none."""
_QUOTE = re.compile(r"^ {0,3}(?:>[ \t]?)+")
_BULLET = re.compile(r"^([ \t]*)[-*+][ \t]+(?:\[[ xX]\][ \t]+)?")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]*\S+(?:[ \t]+[\"'(].*[\"')])?[ \t]*$")
_TABLE_RULE = re.compile(r"^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?[ \t]*)?$")
_CLOSES_STRONG, _CLOSES_UNDERSCORED = re.compile(r"[^\s\\*]\*"), re.compile(r"[^\s\\_]_(?!\w)")
_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>\n]*)?/?>")
_AUTOLINK = re.compile(r"<((?:https?|ftp|mailto):[^\s<>]+)>")
_CODE = re.compile(r"(?<!`)(`+)(?!`)(.{1,1000}?)(?<!`)\1(?!`)")
_IMAGE = re.compile(r"!\[([^\[\]\n]*)\](?:\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\]\n]*\])")
_LINK = re.compile(r"\[((?:[^\[\]\n]|\[[^\[\]\n]*\])+)\](?:\((?:[^()\n]|\([^()\n]*\))*\)|\[[^\]\n]*\])")
_STRONG = re.compile(r"(?<![\\*\d])(\*{1,3})(?=[^\s*])(.{1,1000}?)(?<=[^\s\\*])\1(?!\*)")
_UNDERSCORED = re.compile(r"(?<![\w\\])(_{1,3})(?=[^\s_])(.{1,1000}?)(?<=[^\s\\_])\1(?!\w)")
_STRUCK = re.compile(r"~~(?=[^\s~])([^~\n]{1,1000}?)(?<=\S)~~")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_HELD = re.compile("\ue000(\\d+)\ue001")


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the documents of a Markdown file, without markup.

    Args:
        path: the file.
        source: its `document` says what one document is.
        limits: longer documents are cut.
    """
    return extract_plain(path, source, limits=limits, plain=plain_lines)


def plain_lines(chunks: Iterable[str]) -> Iterator[str]:
    """Yield a Markdown file's lines as plain text, each with its newline; front matter, comments and link definitions are left out.

    Only what is closed counts as front matter or a comment: a rule in the first line, or a `<!--` in a text about HTML, hides nothing.
    """
    lines, again = _without_front_matter(_lines(chunks)), deque[str]()
    fence, num_literal = "", 0
    while whole := again.popleft() if again else next(lines, ""):
        num_literal = max(0, num_literal - 1)
        line = whole.removesuffix("\n")
        newline = whole[len(line) :]
        found = _FENCE.match(line)
        if fence:
            if found and line.strip() == found[1] and found[1].startswith(fence):
                fence = ""
            else:
                yield line + newline
            continue
        if found and not (found[1][0] == "`" and "`" in line[found.end() :]):
            fence = found[1]
            continue
        if "<!--" in line:
            kept, is_open = _without_comments(line)
            if is_open and not num_literal:
                rest, held = _rest_of_comment(again, lines)
                if rest is not None:
                    if len(kept) > _MAX_LINE:
                        yield plain_line(kept)
                        kept = ""
                    again.appendleft(kept + rest)
                    continue
                # Nothing closes it: these lines are text, and are not searched once more.
                again.extendleft(reversed(held))
                num_literal = len(held) + 1
            line = line if is_open else kept
        if len(line) > _MAX_LINE:
            yield from (plain_line(part) for part in _parts(line))
            yield newline
        elif not (_RULE.match(line) or _REFERENCE.match(line) or _TABLE_RULE.match(line)):
            yield plain_line(line) + newline


def _without_front_matter(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines but for the block of fields that the first may open; a blank line or the file's end shows that it opened none."""
    held = list(islice(lines, 1))
    if held and held[0].rstrip() == "---":
        for line in islice(lines, _MAX_HELD_LINES):
            held.append(line)
            if line.rstrip() in ("---", "..."):
                held.clear()
                break
            if len(held) == 2 and not line.strip():
                break
    return chain(held, lines)


def _rest_of_comment(again: deque[str], lines: Iterator[str]) -> tuple[str | None, list[str]]:
    """Return what stands behind a comment's end in the line that it ends in, None where it has none; and the lines looked at."""
    held: list[str] = []
    while len(held) < _MAX_HELD_LINES and (line := again.popleft() if again else next(lines, "")):
        held.append(line)
        _, end, rest = line.partition("-->")
        if end:
            return rest, held
    return None, held


def _without_comments(line: str) -> tuple[str, bool]:
    """Return a line without its comments, and whether the last of them goes on in the next line."""
    kept, position = [], 0
    while (start := line.find("<!--", position)) >= 0:
        kept.append(line[position:start])
        end = line.find("-->", start + 4)
        if end < 0:
            return "".join(kept), True
        position = end + 3
    return "".join(kept) + line[position:], False


def _parts(line: str) -> Iterator[str]:
    """Yield a long line in parts, each up to a space where there is one."""
    start = 0
    while len(line) - start > _MAX_LINE:
        space = line.rfind(" ", start + _MAX_LINE // 2, start + _MAX_LINE)
        end = space if space > 0 else start + _MAX_LINE
        yield line[start:end]
        start = end
    yield line[start:]


def plain_line(line: str) -> str:
    """Return one line of Markdown, outside code blocks, as plain text."""
    line = _QUOTE.sub("", line)
    heading = _HEADING.match(line)
    if heading:
        title = line[heading.end() :].rstrip()
        without = title.rstrip("#")
        line = without.rstrip() if without[-1:] in ("", " ", "\t") else title
    line = _BULLET.sub(r"\1", line)
    if line.lstrip().startswith("|") and line.rstrip().endswith("|"):
        line = " ".join(cell.strip() for cell in line.strip().strip("|").split("|")).strip()
    if not any(mark in line for mark in "`[<*_~\\&"):
        return line
    held: list[str] = []

    def hold(text: str) -> str:
        held.append(text)
        return f"\ue000{len(held) - 1}\ue001"

    # What must not be read as markup again is put aside first.
    line = line.replace("\ue000", "").replace("\ue001", "")
    line = _CODE.sub(lambda match: hold(match[2].strip() or match[2]), line)
    line = _ESCAPE.sub(lambda match: hold(match[1]), line)
    line = _AUTOLINK.sub(lambda match: hold(match[1]), line)
    line = _TAG.sub("", line)
    line = _IMAGE.sub(r"\1", line)
    line = _LINK.sub(r"\1", line)
    for _ in range(3):
        # Most marks that open nothing (a list's `* `, a product's `a * b`) are told by there being none that closes.
        line = _STRONG.sub(r"\2", line) if _CLOSES_STRONG.search(line) else line
        line = _UNDERSCORED.sub(r"\2", line) if _CLOSES_UNDERSCORED.search(line) else line
        line = _STRUCK.sub(r"\1", line)
    line = html.unescape(line)
    return _HELD.sub(lambda match: held[int(match[1])], line)


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    """Yield lines, each with its newline; an endless one in parts of about a megabyte, for nobody writes markup across megabytes."""
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from (line + "\n" for line in whole)
        if len(rest) > 1 << 20:
            end = rest.rfind(" ", len(rest) // 2) + 1 or len(rest)
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest + "\n"
