"""Wikitext to plain text, in time that grows with the text's length whatever the text: two scans, no backtracking, no recursion.

Nothing here knows a language. The names of namespaces come from the wiki itself. A template's name says nothing, its shape and place do:
one that stands where a word would is replaced by its words, one that annotates or frames is left out but for whole sentences in it.
"""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import regex

from rodna.corpus.extractors.wikitags import without_tags
from rodna.corpus.extractors.wikitidy import CAPTION_END, CAPTION_START, GONE, STRAY, reads_as_text, tidy
from rodna.corpus.unspaced import UNSPACED_LETTER

MAX_DEPTH = 100
"""Deeper nesting is not markup that anybody wrote: MediaWiki itself stops at 100 for templates (`$wgMaxPPExpandDepth`)."""

_FILE, _MEDIA, _CATEGORY = 6, -2, 14
CANONICAL = {"file": _FILE, "image": _FILE, "media": _MEDIA, "category": _CATEGORY}
"""Names that MediaWiki understands on every wiki, beside those of the wiki's own language."""

_TOKEN = re.compile(
    r"""\{\{+ | \}\}+ | \[\[ | \]+ | \|\|? | !! | -\{(?!\{) | \}-
    | \[(?:(?:[a-z]{2,9}:)?//|mailto:)[^\s\[\]<>{}|]*[ \t]*
    | \n[ \t\n]*(?:[*\#:;]*[ \t]*\{\|(?!\}) | \|-+[^\n|]* | \|\+ | \|\}(?!\}(?!\})) | \|\|? | ! | [*\#:;]+ | -{4,}
        | (?P<heading>(?==[^\n]*=[ \t]*(?:\n|$))))?
    """,
    re.VERBOSE,
)
_MEDIA_FILE = re.compile(
    r"\.(?:jpe?g|png|svg|gif|tiff?|webp|xcf|pdf|djvu|og[gav]|oga|webm|mp[34]|wav|midi?|flac|opus|stl)\s*$", re.IGNORECASE
)
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,10})*$|simple$")
_VARIANT = re.compile(r"\s*[a-z]{2,3}(?:-[a-z]+)*\s*:\s*([^;]*)")
_NUMBER = re.compile(r"[.,\s\u2212+-]*\d[\d.,\s\u2212+-]*$")
_OTHER_MEANING = re.compile(r"(?<!\s)\s?[(（][^()（）]*[)）]$")
_LETTER = regex.compile(r"\p{L}")
_OPENERS = "([{«\"'“„‘—–-/（「"


@dataclass(slots=True)
class _Frame:
    """An opened bracket: where its content begins in the output, and where the bars of its own stand there."""

    kind: str
    start: int
    width: int = 2
    bars: list[int] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def plain(wikitext: str, namespaces: Mapping[str, int] | None = None) -> str:
    """Return the text of a page: paragraphs, headings, list items and captions, without markup.

    Args:
        wikitext: the page's source.
        namespaces: the wiki's names of namespaces, in lower case, and their numbers (6 is files, 14 is categories).
    """
    return tidy(_Scanner(without_tags("\n" + wikitext), {**CANONICAL, **(namespaces or {})}).scan())


class _Scanner:
    """Resolves brackets in one pass. `out` holds the text so far, in pieces; a closed bracket's pieces are replaced by what it shows."""

    def __init__(self, text: str, namespaces: Mapping[str, int]) -> None:
        self.text, self.namespaces = text, namespaces
        self.out: list[str] = []
        self.stack: list[_Frame] = []
        self.num_templates = self.num_tables = 0

    def scan(self) -> str:
        text, out, last = self.text, self.out, 0
        for match in _TOKEN.finditer(text):
            start, end = match.span()
            if start > last:
                out.append(text[last:start])
            last = end
            token = match[0]
            first = token[0]
            if first == "\n":
                self._line(token, match["heading"] is not None)
            elif first == "{":
                self._open_braces(len(token))
            elif first == "}":
                if token == "}-":
                    self._close_if("convert", token, end)
                else:
                    self._close_braces(len(token), end)
            elif first == "[":
                self._push("link" if token == "[[" else "external")
            elif first == "]":
                self._close_brackets(len(token), end)
            elif first == "-":
                self._push("convert")
            else:
                self._bar(token)
        out.append(text[last:])
        while self.stack:
            self._abandon()
        return "".join(out)

    def _push(self, kind: str, width: int = 2) -> None:
        if len(self.stack) >= MAX_DEPTH:
            return
        self.stack.append(_Frame(kind, len(self.out), width))
        self.num_templates += kind == "template"
        self.num_tables += kind == "table"

    def _pop(self) -> _Frame:
        frame = self.stack.pop()
        self.num_templates -= frame.kind == "template"
        self.num_tables -= frame.kind == "table"
        return frame

    def _abandon(self) -> None:
        """Give up on a bracket that nothing closes: its content is text."""
        frame = self._pop()
        if frame.kind == "table":
            self._end_cell(frame)
            self.out.append("\n" + "\n".join(frame.kept) + "\n")
        for place in frame.bars:
            if place < len(self.out) and self.out[place] == "|":
                self.out[place] = " "

    def _open_braces(self, count: int) -> None:
        while count >= 2:
            width = 3 if count == 3 else 2
            self._push("template", width)
            count -= width

    def _close_braces(self, count: int, end: int) -> None:
        while count >= 2 and self.num_templates:
            while self.stack[-1].kind != "template":
                self._abandon()
            width = min(self.stack[-1].width, count)
            count -= width
            self._close_template(end - count)

    def _close_brackets(self, count: int, end: int) -> None:
        while count:
            kind = self.stack[-1].kind if self.stack else ""
            if kind == "external":
                count -= 1
                frame = self._pop()
                label = "".join(self.out[frame.start :])
                del self.out[frame.start :]
                self.out.append(label or GONE)
            elif kind == "link" and count >= 2:
                count -= 2
                self._close_link(end - count)
            else:
                if count == 1:
                    self.out.append("]")
                count -= min(count, 2)

    def _close_if(self, kind: str, token: str, end: int) -> None:
        if not self.stack or self.stack[-1].kind != kind:
            self.out.append(token)
            return
        frame = self._pop()
        *flags, content = self._segments(frame)
        if flags and set(flags[0].strip()) & set("HT-"):
            return
        variant = _VARIANT.match(content)
        self.out.append((variant[1].strip() if variant else content) or GONE)

    def _segments(self, frame: _Frame) -> list[str]:
        """Take a bracket's content off the output, parted at its bars."""
        segments, start = [], frame.start
        for bar in frame.bars:
            segments.append("".join(self.out[start:bar]))
            start = bar + 1
        segments.append("".join(self.out[start:]))
        del self.out[frame.start :]
        return segments

    def _line(self, token: str, is_heading: bool) -> None:
        is_break = token.count("\n") > 1
        mark = token.strip()
        stack = self.stack
        while stack and (stack[-1].kind == "external" or (stack[-1].kind in ("link", "convert") and (is_break or mark in ("|-", "|}")))):
            self._abandon()
        if is_heading:
            while stack and stack[-1].kind != "table":
                self._abandon()
        kind = stack[-1].kind if stack else ""
        self.out.append("\n\n" if is_break or is_heading else "\n")
        if mark.endswith("{|"):
            self._push("table")
            return
        if not mark or mark[0] not in "|!":
            return
        if kind == "table":
            frame = stack[-1]
            self._end_cell(frame)
            if mark == "|}":
                self._pop()
                self.out.append("\n" + "\n".join(frame.kept) + "\n")
        elif kind in ("link", "template") and mark[0] == "|":
            for _ in range(mark.count("|")):
                self._mark()
            if mark[-1] != "|":
                self.out.append(mark.lstrip("|"))
        else:
            self.out.append(STRAY if mark[0] == "|" else mark)

    def _bar(self, token: str) -> None:
        kind = self.stack[-1].kind if self.stack else ""
        if kind == "table":
            if len(token) == 2:
                self._end_cell(self.stack[-1])
            else:
                self._mark()
        elif token[0] == "!" or not kind or kind == "external":
            self.out.append(token)
        else:
            for _ in token:
                self._mark()

    def _mark(self) -> None:
        self.stack[-1].bars.append(len(self.out))
        self.out.append("|")

    def _end_cell(self, frame: _Frame) -> None:
        """Keep of a table's cell the lines that read as text: rows of names and numbers are no sentences."""
        bar = frame.bars[0] + 1 if frame.bars else frame.start
        cell = "".join(self.out[bar:])
        del self.out[frame.start :]
        frame.bars.clear()
        frame.kept.extend(line for line in cell.split("\n") if CAPTION_START in line or reads_as_text(line))

    def _close_link(self, end: int) -> None:
        frame = self._pop()
        target, *labels = self._segments(frame)
        target = " ".join(target.split())
        prefix, colon, rest = target.lstrip(":").partition(":")
        namespace = self.namespaces.get(prefix.strip().replace("_", " ").lower(), 0) if colon else 0
        if not target.startswith(":"):
            if namespace in (_FILE, _MEDIA) or (colon and _MEDIA_FILE.search(rest) and "/" not in prefix):
                if labels and "=" not in labels[-1].partition(" ")[0]:
                    self.out.append(f"{CAPTION_START}{labels[-1]}{CAPTION_END}")
                return
            alone = self._before(len(self.out)) == "\n" and self.text[end : end + 1] in ("\n", "")
            if namespace == _CATEGORY or (colon and not labels and alone and _LANGUAGE_CODE.match(prefix)):
                return
        if labels and labels[-1].strip():
            self.out.append(labels[-1])
            return
        shown = target.lstrip(":").lstrip("#")
        if labels or (colon and prefix.islower() and namespace == 0 and not rest.startswith((" ", "//"))):
            # The pipe trick, and pages of other wikis.
            shown = rest if colon else _OTHER_MEANING.sub("", shown)
        self.out.append(shown.replace("_", " ") or GONE)

    def _before(self, index: int) -> str:
        """Return the character that the output before a piece ends with, a newline at its beginning."""
        while index > 0:
            index -= 1
            if self.out[index]:
                return self.out[index][-1]
        return "\n"

    def _close_template(self, end: int) -> None:
        frame = self._pop()
        before = self._before(frame.start)
        after = self.text[end : end + 1]
        name, *values = self._segments(frame)
        if frame.width == 3:
            self.out.append(values[0] if values and values[0] else GONE)
            return
        is_block = before == "\n" and after in ("\n", "", "{")
        self.out.append((block_template if is_block else inline_template)(name.strip(), values, before))


def _parameters(values: list[str]) -> tuple[list[str], list[str]]:
    """Return a template's values without names (or with numbers for names), and those with names."""
    unnamed, named = [], []
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or len(key) > 40 or "\n\n" in key:
            unnamed.append(value.strip())
        elif key.strip().isdecimal():
            unnamed.append(rest.strip())
        else:
            named.append(rest.strip())
    return unnamed, named


def block_template(name: str, values: list[str], before: str) -> str:
    """Return the running text in a template that stands by itself; tables of facts and notices have none."""
    unnamed, named = _parameters(values)
    kept = [value for value in unnamed if reads_as_text(value)]
    if len(named) <= 4 and not kept:
        kept = [value for value in named if reads_as_text(value, strict=True)]
    return "\n" + "\n".join(kept) + "\n" if kept else GONE


def inline_template(name: str, values: list[str], before: str) -> str:
    """Return what a template within a line shows: words where it takes a word's place, nothing where it hangs on to one."""
    unnamed, _ = _parameters(values)
    unnamed = [value for value in unnamed if value]
    if not unnamed:
        entity = html.unescape(f"&{name};")
        function, colon, argument = name.partition(":")
        if colon and _NUMBER.match(argument) and "#" not in function:
            return argument.strip()
        return "|" if name == "!" else "=" if name == "=" else entity if len(entity) <= 2 and not entity.isspace() else GONE
    takes_place = before.isspace() or before in _OPENERS
    first, *others = unnamed
    sentence = next((value for value in unnamed if reads_as_text(value)), "")
    if sentence:
        # A note that hangs on to a word is read after the line, like a caption.
        return sentence if takes_place else f"{CAPTION_START}{sentence}{CAPTION_END}"
    if not takes_place:
        return first if not others and UNSPACED_LETTER.match(first) else GONE
    if _NUMBER.match(first):
        if others and len(others[0]) <= 12 and _LETTER.search(others[0]):
            return f"{first} {others[0]}"
        return "-".join(unnamed) if len(unnamed) == 3 and all(map(_NUMBER.match, unnamed)) else first if not others else GONE
    if others and _LANGUAGE_CODE.match(first):
        return others[0]
    # Formulas come in pieces.
    return "".join(unnamed) if max(map(len, unnamed)) <= 3 else first
