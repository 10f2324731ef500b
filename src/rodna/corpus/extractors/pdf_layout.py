"""From the lines of a PDF's pages to running text: what repeats on every page gone, notes after their chapter, paragraphs whole."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import regex

HYPHEN = "\ufffe"
"""PDFium's mark for a hyphen at a line's end, where the word goes on in the next line."""
MIN_REPEATS = 3
"""A line at a page's edge is a running head or foot where it stands, numbers aside, at the same height of so many pages."""
_OUTERMOST = 3
MAX_ORDERED = 2000
"""Pages of more lines are no pages of text; their order is left as it is."""
_LEADERS = re.compile(r"\s*(?:[.·…_] ?){4,}\s*([\divxlcdm]{1,6})?\s*$", re.IGNORECASE)
_NUMBER = regex.compile(r"\p{N}+|\b[ivxlcdm]+\b", regex.IGNORECASE)
_NOTE = regex.compile(r"(?:[\p{No}\d]{1,3}|[*†‡§¶]{1,3})(?=\s?\p{L}|\s?\p{P})")
_ENDS_SENTENCE = regex.compile(r"[\p{Sentence_Terminal}:][\p{Pe}\p{Pf}\"']*\s*$")
_ITEM = regex.compile(r"[\p{So}\p{Sm}\p{Pd}•‣◦·*▪■●○∙-]\s")
_PRINTED_LINK = re.compile(r"\s?\(((?:[a-z]+://|mailto:)[^()\s]*(?:\s[^()\s]+){0,5})\s*\)(\s?[.,;:)]|)")


@dataclass(slots=True)
class Line:
    """One printed line; lengths in points, `base` counted from the page's bottom. `goes_on`: its last word ends in the next line."""

    text: str
    left: float
    right: float
    base: float
    size: float
    goes_on: bool = False


def text_of_pages(pages: Sequence[Sequence[Line]], links: Iterable[str] = ()) -> str:
    """Return the text of a document's pages, a line feed after each printed line and two after each paragraph.

    Args:
        pages: their lines in the order of the file.
        links: addresses that the document's links lead to; printed in brackets after a link's own words, they are left out.
    """
    ordered = [in_reading_order(list(page)) for page in pages]
    bodies = _without_running_heads(ordered)
    text = _paragraphs(_with_notes_after_chapters(bodies))
    return _without_printed_links(_rejoined(text), frozenset(_bare_link(link) for link in links if link))


def in_reading_order(lines: list[Line]) -> list[Line]:
    """Return a page's lines as the file has them, or by their place on the page where the file jumps upwards in a column."""
    if len(lines) > MAX_ORDERED or not any(_stands_above(line, lines[:index]) for index, line in enumerate(lines)):
        return lines
    return _by_place(lines)


def _stands_above(line: Line, before: list[Line]) -> bool:
    """Return whether any of the lines that come before stands below this one, in its column."""
    return any(
        line.base > other.base + other.size
        and min(line.right, other.right) - max(line.left, other.left) > 0.5 * min(_width(line), _width(other))
        for other in before
    )


def _width(line: Line) -> float:
    return max(1.0, line.right - line.left)


def _by_place(lines: list[Line]) -> list[Line]:
    """Order lines by columns of prose, within the bands that lines across the page part; else by rows (X-Y cut, Nagy 1984)."""
    if len(lines) > 5:
        columns = _columns(lines)
        if columns:
            return [*_by_place(columns[0]), *_by_place(columns[1])]
        width = max(line.right for line in lines) - min(line.left for line in lines)
        narrow = [line for line in lines if _width(line) < 0.6 * width]
        if narrow and len(narrow) < len(lines):
            return _by_bands(lines, width)
    return _by_rows(lines)


def _columns(lines: list[Line]) -> tuple[list[Line], list[Line]] | None:
    """Part lines at a gutter that runs from top to bottom between columns of prose; None where there is none."""
    by_left = sorted(lines, key=lambda line: line.left)
    reach = by_left[0].right
    for index, line in enumerate(by_left[1:], start=1):
        if line.left - reach > line.size:
            sides = by_left[:index], by_left[index:]
            if all(len(side) > 2 and median(len(item.text) for item in side) > 20 for side in sides):
                return sides
        reach = max(reach, line.right)
    return None


def _by_bands(lines: list[Line], width: float) -> list[Line]:
    """Order the lines between those that reach across the page on their own."""
    result: list[Line] = []
    band: list[Line] = []
    for line in _by_rows(lines):
        if _width(line) < 0.6 * width:
            band.append(line)
        else:
            result += [*_by_place(band), line]
            band = []
    return [*result, *_by_place(band)]


def _by_rows(lines: list[Line]) -> list[Line]:
    rows = sorted(lines, key=lambda line: -line.base)
    top = rows[0].base if rows else 0.0
    keys: list[tuple[float, float]] = []
    for line in rows:
        # What stands less than half a line lower is in the same row.
        top = line.base if top - line.base > 0.5 * line.size else top
        keys.append((-top, line.left))
    return [rows[index] for index in sorted(range(len(rows)), key=keys.__getitem__)]


def _body_size(pages: list[list[Line]]) -> float:
    """Return the line size that most of the text is set in."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page:
            sizes[round(line.size, 1)] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _without_running_heads(pages: list[list[Line]]) -> list[list[Line]]:
    """Take away the outermost lines of pages that repeat, numbers aside, at the same height; from the edge inwards.

    What is set larger than the text heads a chapter ("Chapter 7"), not a page.
    """
    largest = 1.3 * _body_size(pages)
    for _ in range(_OUTERMOST):
        seen: Counter[tuple[str, int]] = Counter()
        edges: list[tuple[list[Line], list[Line]]] = []
        for page in pages:
            if not page:
                edges.append(([], []))
                continue
            top, bottom = max(line.base for line in page), min(line.base for line in page)
            edge = [line for line in page if (line.base > top - 2 or line.base < bottom + 2) and line.size < largest]
            edges.append((page, edge))
            seen.update({_edge_key(line) for line in edge})
        gone = False
        kept: list[list[Line]] = []
        for page, edge in edges:
            heads = {id(line) for line in edge if seen[_edge_key(line)] >= MIN_REPEATS}
            gone = gone or bool(heads)
            kept.append([line for line in page if id(line) not in heads])
        pages = kept
        if not gone:
            break
    return pages


def _edge_key(line: Line) -> tuple[str, int]:
    return _NUMBER.sub("#", line.text).strip(), round(line.base / 4)


def _with_notes_after_chapters(pages: list[list[Line]]) -> list[list[Line]]:
    """Move the notes at pages' feet behind the chapter they belong to, so that a paragraph that crosses a page is not cut in two."""
    body = _body_size(pages)
    tops = Counter(round(page[0].size, 1) for page in pages if page and page[0].size > 1.2 * body)
    chapter = max((size for size, count in tops.items() if count > 1), default=float("inf"))
    result: list[list[Line]] = []
    notes: list[Line] = []
    for page in pages:
        if notes and page and page[0].size > 0.85 * chapter:
            result.append(notes)
            notes = []
        first = len(page)
        while first and page[first - 1].size < 0.92 * body:
            first -= 1
        while first < len(page) and not _NOTE.match(page[first].text):
            first += 1
        # A page of nothing but small type is a page of small type.
        if first == 0:
            first = len(page)
        result.append(page[:first])
        notes += page[first:]
    return [*result, notes] if notes else result


def _paragraphs(pages: list[list[Line]]) -> str:
    leading, margin = _leading(pages), _margin(pages)
    parts: list[str] = []
    last: Line | None = None
    for page in pages:
        for index, line in enumerate(page):
            text = _LEADERS.sub("", line.text).rstrip()
            if not text:
                continue
            if last is not None:
                after = page[index + 1] if index + 1 < len(page) else None
                is_same = last.goes_on or _goes_on(last, line, after, leading, margin, is_new_page=index == 0)
                parts.append("" if last.goes_on else "\n" if is_same else "\n\n")
            parts.append(text + (HYPHEN if line.goes_on else ""))
            last = line
    return "".join(parts)


def _leading(pages: list[list[Line]]) -> float:
    """Return the usual distance of lines, in line sizes."""
    gaps = [
        (before.base - after.base) / before.size
        for page in pages
        for before, after in pairwise(page)
        if before.size > 0 and abs(before.size - after.size) < 0.1 * before.size and 0.5 < (before.base - after.base) / before.size < 4
    ]
    return median(gaps) if gaps else 1.2


def _margin(pages: list[list[Line]]) -> float:
    """Return where the lines of justified text end, 0.0 where they end anywhere."""
    rights = Counter(round(line.right / 2) for page in pages for line in page if len(line.text) > 20)
    total = sum(rights.values())
    if not total:
        return 0.0
    place = rights.most_common(1)[0][0]
    return 2.0 * place if rights[place - 1] + rights[place] + rights[place + 1] > 0.4 * total else 0.0


def _goes_on(last: Line, line: Line, after: Line | None, leading: float, margin: float, *, is_new_page: bool) -> bool:
    """Return whether a line belongs to the paragraph of the one before it."""
    if abs(line.size - last.size) > 0.12 * max(line.size, last.size) or _ITEM.match(line.text):
        return False
    is_short = bool(margin) and last.right < margin - 3 * last.size and _width(last) > 3 * last.size
    if is_new_page or line.base > last.base:
        return not is_short and not _ENDS_SENTENCE.search(last.text)
    if (last.base - line.base) > 1.25 * leading * last.size:
        return False
    if abs(last.base - line.base) < 0.5 * last.size:
        return True
    is_indented = 0.8 * line.size < line.left - last.left < 6 * line.size and after is not None and abs(after.left - last.left) < 2
    if is_indented and not _ITEM.match(last.text):
        return False
    return not (is_short and _ENDS_SENTENCE.search(last.text))


def _rejoined(text: str) -> str:
    """Decide what was a hyphen and what only parted a word at a line's end: as the document itself writes the word elsewhere."""
    if HYPHEN not in text:
        return text
    words = Counter(regex.findall(r"[\p{L}\p{M}\p{N}'’-]+", text))
    known: dict[str, int] = defaultdict(int)
    for word, count in words.items():
        known[word.lower()] += count

    def join(match: regex.Match[str]) -> str:
        before, after = match[1], match[2]
        whole, parted = known[(before + after).lower()], known[f"{before}-{after}".lower()]
        if whole != parted:
            return before + after if whole > parted else f"{before}-{after}"
        if min(len(before), len(after)) > 2 and known[before.lower()] and known[after.lower()]:
            return f"{before}-{after}"  # two words of their own: a compound
        # An upper-case letter or a number begins a word of its own.
        return before + after if before[-1:].isalpha() and after[:1].isalpha() and not after[:1].isupper() else f"{before}-{after}"

    joined = regex.sub(rf"([\p{{L}}\p{{M}}\p{{N}}'’-]*){HYPHEN}\s*([\p{{L}}\p{{M}}\p{{N}}'’]*)", join, text)
    return joined.replace(HYPHEN, "-")


def _bare_link(link: str) -> str:
    return re.sub(rf"[-\s{HYPHEN}]", "", unicodedata.normalize("NFKC", link))


def _without_printed_links(text: str, links: frozenset[str]) -> str:
    if not links:
        return text
    # A space that only parted the address from a stop goes too.
    return _PRINTED_LINK.sub(lambda match: match[2].lstrip() if _bare_link(match[1]) in links else match[0], text)
