"""The last step from wikitext to plain text: lines, once all brackets are resolved."""

import html
import re
from collections.abc import Iterator

import regex

from rodna.corpus.extractors.spaces import squeezed
from rodna.corpus.unspaced import UNSPACED_LETTER

# Noncharacters (Unicode 23.7) are free for a program's own use: no valid text has them.
_SPECIAL = "[]{}|'=<>*#:;-_~&!"
PROTECT = {ord(character): 0xFDD0 + number for number, character in enumerate(_SPECIAL)} | {10: "\n"}
_UNPROTECT = {0xFDD0 + number: character for number, character in enumerate(_SPECIAL)}
CAPTION_START, CAPTION_END, GONE, STRAY = "\ufde8", "\ufde9", "\ufdea", "\ufdeb"
"""Around a caption; where something was left out; before a table's row that is in no table."""

_CAPTION = re.compile(f"{CAPTION_START}([^{CAPTION_START}{CAPTION_END}]*){CAPTION_END}")
_QUOTES = re.compile("''+")
_MAGIC_WORD = re.compile(r"__[^\W\d_]{3,40}__")
_GONE_BEFORE_MARK = re.compile(f"[ \u00a0]*{GONE}+[ \u00a0]*(?=[\\s,.;:!?)\\]»、，。；：！？）]|$)")
_GONE_IN_WORD = re.compile(rf"(?<=\w){GONE}+(?=\w)")
_EMPTY_BRACKETS = re.compile(r"[ \u00a0]?[(（][\s,;:、，；：]*[)）]")
_OPENING = re.compile(r"([(（])[\s,;、，；]+")
_HELD = re.compile("[\ufdd0-\ufdef]")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BLANK_LINES = re.compile(r"\n{3,}")
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}]*")
_ENDS_SENTENCE = regex.compile(r"(?:\p{Sentence_Terminal}|[。！？｡…])[\p{Pe}\p{Pf}\"'”’»]*\s*$")
TEXT_WORDS, SENTENCE_WORDS, UNSPACED_LETTERS = 7, 3, 14
"""What reads as text has so many words, or fewer that end as a sentence does, or so many letters of a script without spaces."""


def reads_as_text(value: str, *, strict: bool = False) -> bool:
    """Return whether a cell, caption or template's value is running text rather than a name, an option or a number.

    Args:
        value: without brackets.
        strict: only where it ends as a sentence does.
    """
    if len(value) < 6:
        return False
    head = value[:400]
    num_words = 0
    for match in _WORD.finditer(head):
        num_words += len(match[0]) > 1 or match[0].isalpha()
    ends = _ENDS_SENTENCE.search(value[-60:]) is not None
    unspaced = len(UNSPACED_LETTER.findall(head))
    if strict and not ends:
        return False
    letters = sum(map(str.isalpha, head))
    if letters < 0.55 * len(head.replace(" ", "")):
        return False
    return num_words >= TEXT_WORDS or (ends and num_words >= SENTENCE_WORDS) or unspaced >= UNSPACED_LETTERS


def tidy(text: str) -> str:
    """Return the text with its last marks removed, headings that nothing follows left out, one line a paragraph or list item."""
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    headings: list[tuple[int, str]] = []
    out: list[str] = []
    for line in _lines(text):
        level, title = _heading(line)
        if level:
            while headings and headings[-1][0] >= level:
                headings.pop()
            headings.append((level, title))
            continue
        if not line:
            out.append("")
            continue
        for _, title in headings:
            out.extend(("", title, ""))
        headings.clear()
        out.append(line)
    joined = _BLANK_LINES.sub("\n\n", "\n".join(out)).strip("\n")
    return joined.translate(_UNPROTECT) if _HELD.search(joined) else joined


def _heading(line: str) -> tuple[int, str]:
    """Return a heading's level and text, or 0."""
    if not line.startswith("=") or not line.endswith("=") or len(line) < 3:
        return 0, ""
    level = min(len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("=")), 6, (len(line) - 1) // 2)
    return level, line[level:-level].strip()


def _lines(text: str) -> Iterator[str]:
    """Yield the lines, each caption after the line that it stood in."""
    for line in text.split("\n"):
        captions: list[str] = []
        # Captions may hold captions; two rounds are more than anybody writes.
        for _ in range(2):
            if CAPTION_END in line:
                captions += [caption.strip() for caption in _CAPTION.findall(line)]
                line = _CAPTION.sub("", line)
        line = line.replace(CAPTION_START, "").replace(CAPTION_END, "")
        if STRAY in line:
            line = line.replace(STRAY, " ").replace("|", " ")
            line = line if reads_as_text(line) else ""
        cleaned = _clean(line)
        if cleaned or not captions:
            yield cleaned
        for caption in captions:
            if reads_as_text(caption):
                # A picture's words belong to no paragraph of the text.
                yield from ("", _clean(caption), "")


def _clean(line: str) -> str:
    if "''" in line:
        line = _QUOTES.sub(lambda match: "'" * (1 if len(match[0]) == 4 else max(0, len(match[0]) - 5)), line)
    if "__" in line:
        line = _MAGIC_WORD.sub(lambda match: match[0] if match[0] != match[0].upper() else "", line)
    # Runs of spaces go first: what follows looks at one at a time.
    line = squeezed(line)
    if GONE in line:
        line = _GONE_IN_WORD.sub(" ", _GONE_BEFORE_MARK.sub("", line)).replace(GONE, "")
        line = squeezed(line)
        if "(" in line or "（" in line:
            # Brackets that somebody left empty, as in `main()`, stay in all other lines.
            line = _OPENING.sub(r"\1", _EMPTY_BRACKETS.sub("", line))
    return line.strip() if line.strip("{}[]|! ") else ""
