"""Rejoin lines that were broken to fit a page, and words that were broken at a line's end.

A text shows by its own lines whether it was broken so: a line is *full* if the next line's first word would not have fitted into the page's
width. In broken prose nearly all lines but a paragraph's last are full, whatever the width, and they end in the middle of a sentence.
Verse, lists, tables, dialogue and a sentence a line are not like that, and are left alone, in a text of their own or between a book's
prose.

No letter is lost or added: only line breaks, the spaces beside them and hyphens at the end of a line change.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import accumulate

import regex

_MIN_WIDTH, _MIN_WIDTH_UNSPACED = 30, 15
_MIN_PAIRS = 4
_SAMPLE = 512
_MAX_WORD = 20
_MAX_HALF = 100
"""Half a broken word is looked for in so many characters: a search through all of a line that is one run of letters takes forever."""
# Shares of lines, measured on 68 texts in seven languages: of wrapped ones at least 0.30 fit one width, 0.10 or fewer are longer than
# it, and 0.55 or more go on with a small letter; Milton has 0.43, 0.08, 0.00, small-letter sentences a line (Kinyarwanda) 0.26, 0.28, 0.90.
_FULL, _FULL_UNCASED, _FULL_SMALL, _FULL_KNOWN = 0.5, 0.65, 0.28, 0.2
_MID_SENTENCE = 0.5
_SMALL = 0.6
_OVER = 0.12
# The length that a tenth of the lines exceed by the one that three tenths do: at most 1.1 in wrapped texts, 1.2 or more in most lists.
_ALIKE = 1.15
_VERSE = 0.75

_HYPHENS = "-\u2010\u058a\u00ac\u2e17"
# These only ever say that a word goes on.
_ONLY_BREAKS = "\u00ac\u2e17"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3001-\u303f\u3040-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
_UNSPACED += "\uf900-\ufaff\uff01-\uff60\U00020000-\U0003ffff"
_STARTS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_BROKEN_WORD = regex.compile(rf"([\p{{L}}\p{{M}}][\p{{L}}\p{{M}}'’ʼ\-‐]*)[{_HYPHENS}]$")
_FIRST_WORD = regex.compile(r"[\p{L}\p{M}]+(?:['’ʼ\-‐][\p{L}\p{M}]+)*")
_ENDS_SENTENCE = regex.compile(r"[\p{Sentence_Terminal}:][\p{Pe}\p{Pf}\p{Pi}\"'*_]*$")
_NEW_ITEM = regex.compile(r"\s*(?:[-–—―•*·‣◦▪►●○■□–>|#+]|\(?\d{1,3}[.):]|\(?\p{L}[.)]\s|\p{Lu}+:|[ivx]+[.)]\s)")
_TABLE = re.compile(r"\S(?: {4,}|\t+)\S|\S {3,}\S.*\S {3,}\S|\|.*\|")


def reflow(text: str, *, wrapped: bool = False) -> str:
    """Return a text with the lines and words that a page's width broke rejoined; the same text where nothing shows that.

    Args:
        text: with line feeds, without soft hyphens, no spaces at line ends.
        wrapped: the lines are known to be a page's, as a PDF's are, so that fewer signs are asked for.
    """
    if text.count("\n") < _MIN_PAIRS - 2 * wrapped:
        return text
    lines = text.split("\n")
    if not wrapped and text.count("-\n") < 3 and not _may_be_wrapped(lines):
        return text
    page = _Page(lines)
    if not page.find_width(known=wrapped):
        return text
    return "\n".join(page.paragraphs())


def _may_be_wrapped(lines: Sequence[str]) -> bool:
    """Return whether enough lines are about as long as the long ones; that rules out most texts at little cost."""
    lengths = sorted(filter(None, map(len, lines)))
    return len(lengths) > _MIN_PAIRS and lengths[len(lengths) * 9 // 10] <= _ALIKE * lengths[len(lengths) * 7 // 10]


class _Page:
    """The lines of a text and how wide they may be."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.lengths = [len(line) for line in lines]
        self.width = 0

    def find_width(self, *, known: bool) -> bool:
        """Find the width that most lines were broken at; return whether the text is prose broken so."""
        pairs = [i for i in range(len(self.lines) - 1) if self.lengths[i] and self.lengths[i + 1]]
        if len(pairs) < (2 if known else _MIN_PAIRS):
            return False
        pairs = pairs[:: max(1, len(pairs) // _SAMPLE)]
        longest = max(self.lengths[i] for i in pairs)
        # Line i may have been broken at any width from its length to the character before its next word's end: +1 from there, -1 beyond.
        steps = [0] * (longest + _MAX_WORD + 3)
        for i in pairs:
            steps[self.lengths[i]] += 1
            steps[self.lengths[i] + 1 + self._next_word(i)] -= 1
        votes = list(accumulate(steps))
        self.width = max(range(len(votes)), key=lambda width: votes[width])
        full = [i for i in pairs if self._is_full(i)]
        if len(full) < (2 if known else _MIN_PAIRS):
            return False
        unspaced = sum(_STARTS_UNSPACED.match(self.lines[i].lstrip()) is not None for i in full) * 2 > len(full)
        if self.width < (_MIN_WIDTH_UNSPACED if unspaced else _MIN_WIDTH):
            return False
        middle = sum(self._is_mid_sentence(i) for i in full)
        return middle >= _MID_SENTENCE * len(full) and votes[self.width] >= len(pairs) * self._enough(pairs, known=known, unspaced=unspaced)

    def _enough(self, pairs: Sequence[int], *, known: bool, unspaced: bool) -> float:
        """Return the share of lines that must have been broken at one width: the less, the more else speaks for it."""
        broken = sum(self._is_broken_word(i) for i in pairs)
        if known or broken >= max(3, 0.02 * len(pairs)):
            return _FULL_KNOWN
        small = sum(self._starts_small(i + 1) and self._is_mid_sentence(i) for i in pairs)
        over = sum(self.lengths[i] > self.width + self._slack for i in pairs)
        if small >= _SMALL * len(pairs) and over <= _OVER * len(pairs):
            return _FULL_SMALL
        return _FULL if small or unspaced else _FULL_UNCASED

    def paragraphs(self) -> list[str]:
        """Return the text's lines, the broken ones rejoined."""
        joined = self._joined()
        out: list[str] = []
        i = 0
        while i < len(self.lines):
            if i in joined:
                i, paragraph = self._paragraph(i, joined)
                out.append(paragraph.lstrip(" \t"))
            else:
                out.append(self.lines[i])
            i += 1
        return out

    def _paragraph(self, i: int, joined: Mapping[int, int]) -> tuple[int, str]:
        """Return the last line of the paragraph that begins at line i, and its text."""
        parts = [self.lines[i]]
        tail = parts[0][-_MAX_HALF:]
        while i in joined:
            i = joined[i]
            after = self.lines[i].lstrip()
            drops_sign, between = self._seam(tail, after)
            if drops_sign:
                parts[-1], tail = parts[-1][:-1], tail[:-1]
            parts.append(between + after)
            tail = (tail + between + after[-_MAX_HALF:])[-_MAX_HALF:]
        return i, "".join(parts)

    def _joined(self) -> dict[int, int]:
        """Return line -> the line that goes on from it."""
        joined: dict[int, int] = {}
        start = 0
        num_lines = len(self.lines)
        while start < num_lines:
            end = start
            while end < num_lines and self.lengths[end]:
                end += 1
            pairs = range(start, end - 1)
            prose = self._is_prose(pairs)
            for i in pairs:
                if self._goes_on(i, prose=prose):
                    joined[i] = i + 1
            # A paragraph that a new page parts: full, mid-sentence, and small letters after the blank line.
            last, after = end - 1, end + 1
            if (
                end > start
                and after < num_lines
                and self.lengths[after]
                and self._is_full(last, after)
                and self._is_mid_sentence(last, after)
                and self._starts_small(after)
                and not self._is_apart(last, after)
            ):
                joined[last] = after
            start = end + 1
        return joined

    def _is_prose(self, pairs: range) -> bool:
        """Return whether a block of lines is broken prose rather than verse or a list."""
        if not pairs:
            return False
        full = sum(self._is_full(i) for i in pairs)
        capitals = sum(self.lines[i + 1].lstrip()[:1].isupper() for i in pairs)
        return full >= _FULL * len(pairs) and (len(pairs) < 3 or capitals < _VERSE * len(pairs))

    def _goes_on(self, i: int, *, prose: bool) -> bool:
        """Return whether the next line goes on from line i."""
        if self._is_apart(i, i + 1):
            return False
        if self._is_broken_word(i) and not self.lines[i + 1].lstrip()[:1].isupper():
            return True
        if prose and self._is_full(i):
            return True
        # A line that is a little short, as where a printer would not break a word; or one of a short paragraph.
        return self._is_mid_sentence(i) and self._starts_small(i + 1) and (prose or self._is_full(i))

    def _is_apart(self, i: int, following: int) -> bool:
        """Return whether the following line is an item, a row, a new paragraph or the text under a heading."""
        line, after = self.lines[i], self.lines[following]
        if _TABLE.search(line) or _TABLE.search(after) or _NEW_ITEM.match(after) or line.lstrip()[:1] in ("#", "|", ">"):
            return True
        if line.isupper() and not after.isupper():
            return True
        return _indent(after) >= _indent(line) + 2

    def _next_word(self, i: int, following: int = 0) -> int:
        """Return the length of the first word after line i; of text without spaces, one character."""
        after = self.lines[following or i + 1].lstrip()
        if _STARTS_UNSPACED.match(after):
            return 0
        space = after.find(" ", 0, _MAX_WORD)
        return space if space >= 0 else min(len(after), _MAX_WORD)

    def _is_full(self, i: int, following: int = 0) -> bool:
        return self.lengths[i] + 1 + self._next_word(i, following) > self.width - self._slack

    @property
    def _slack(self) -> int:
        """By how many characters a line of proportional type may miss the width."""
        return 1 + self.width // 16

    def _is_broken_word(self, i: int) -> bool:
        return (
            self.lines[i][-1:] in _HYPHENS
            and self.lengths[i] > 1
            and _BROKEN_WORD.search(self.lines[i][-_MAX_HALF:]) is not None
            and _FIRST_WORD.match(self.lines[i + 1].lstrip()) is not None
        )

    def _starts_small(self, i: int) -> bool:
        return self.lines[i].lstrip(" \t\"'«„“‘(")[:1].islower()

    def _is_mid_sentence(self, i: int, following: int = 0) -> bool:
        """Return whether line i does not end as a sentence does, nor the next begin as one or as an item."""
        after = self.lines[following or i + 1]
        return not (_ENDS_SENTENCE.search(self.lines[i]) or after.lstrip()[:1].isupper() or _NEW_ITEM.match(after))

    def _seam(self, before: str, after: str) -> tuple[bool, str]:
        """Return whether the last sign before a line's end goes, and what stands between it and the next line instead."""
        if before[-1] in _HYPHENS:
            broken, rest = _BROKEN_WORD.search(before), _FIRST_WORD.match(after)
            if broken and rest:
                return True, self._hyphen(broken[1], rest[0], before[-1])
            if before[-2:] == "--" or (rest is None and before[-2:-1].isdigit() and after[:1].isdigit()):
                return False, ""
        if before[-1] in "—–" and before[-2:-1].isalpha():
            return False, ""
        return False, "" if _STARTS_UNSPACED.match(before[-1]) and _STARTS_UNSPACED.match(after) else " "

    def _hyphen(self, left: str, right: str, sign: str) -> str:
        """Return what stands between the halves of a broken word: nothing, or its hyphen where the word has one.

        The text's other words decide. Its hyphen stays where it occurs so elsewhere, before a capital, in a compound, and where both halves
        are words, the whole is not, and the text has enough hyphens for some to be at line ends; with a space after it where the text
        writes `- und` elsewhere, too.
        """
        if sign in _ONLY_BREAKS:
            return ""
        whole, compound = self._words[(left + right).lower()], self._words[f"{left}-{right}".replace("‐", "-").lower()]
        if whole or compound:
            return "" if whole >= compound else sign
        if right.lower() in self._after_suspended:
            return f"{sign} "
        capital = right[0].isupper() and not left.isupper()
        both = self._has_own_hyphens and self._words[left.lower()] and self._words[right.lower()]
        return sign if capital or both or "-" in left or "‐" in left else ""

    @cached_property
    def _words(self) -> Counter[str]:
        """The text's words in small letters, compounds whole; no halves of broken words."""
        words: Counter[str] = Counter()
        broken = False
        for line in self.lines:
            found = _FIRST_WORD.findall(line.lower().replace("‐", "-"))
            if broken:
                found = found[1:]
            broken = line[-1:] in _HYPHENS and bool(line)
            words.update(found[:-1] if broken else found)
        return words

    @cached_property
    def _has_own_hyphens(self) -> bool:
        """Return whether a hyphen between two words at a line's end is more likely the word's own than the printer's.

        Compounds fall on line ends as often as other words do; about one printer's break in seven lies between two words of the text.
        """
        compounds = sum(count for word, count in self._words.items() if "-" in word)
        own = compounds * sum(length > 0 for length in self.lengths) / max(1, self._words.total())
        broken = sum(self.lengths[i + 1] > 0 and self._is_broken_word(i) for i in range(len(self.lines) - 1))
        return own >= (broken - own) / 7

    @cached_property
    def _after_suspended(self) -> frozenset[str]:
        """Words that follow a hyphen and a space within a line: what parts `Vor- und Nachteile`."""
        return frozenset(word.lower() for line in self.lines for word in regex.findall(r"(?<=\p{L}[-‐] )[\p{L}\p{M}]+", line))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
