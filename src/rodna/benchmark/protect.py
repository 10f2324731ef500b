"""What must come through a translation unchanged: placeholders, markup, formulas, code, addresses, gaps; and line breaks."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rodna.benchmark.numbers import NUMBER
from rodna.benchmark.translators.contract import FIRST_MASK, LAST_MASK, is_mask, mask

_PLACEHOLDER = re.compile(
    r"""
      ```.*?```                                      # code
    | `[^`\n]+`
    | \$\$.+?\$\$                                    # formulas
    | \\\(.+?\\\) | \\\[.+?\\\]
    | (?<![\\\w$]) \$ (?=\S) (?: [^$\n\s]*? [A-Za-z\\^_={}] [^$\n\s]*? | [^$\n]*? [\\^_={}] [^$\n]*? ) (?<=\S) \$ (?![\d$])
    | \\[A-Za-z]+ (?: \{[^{}\n]*\} )+                # \frac{1}{2}
    | <<[^<>\n]*>>                                   # the calculator's notes of GSM8K
    | </?[A-Za-z][^<>\n]*>                           # markup
    | \{\{.*?\}\} | \{[^{}\n]*\}                     # {name}
    | (?<![\d%]) % (?:\(\w+\))? [-+0\#]* \d* (?:\.\d+)? [sdifeEgGxXcr] (?!\w)     # %s, %(name)d, %.2f
    | (?:https?|ftp):// [^\s<>"]+ (?<![.,;:!?)])     # addresses
    | [\w.+-]+ @ [\w-]+ (?:\.[\w-]+)+
    | \\[nrt] (?![a-z])                              # line breaks and tabs written out, but not \nabla
    | \\[A-Za-z]+                                    # \times
    | _{2,} | \.{4,} | …{2,}                         # gaps to fill in
    | \#{2,} (?=\s*\S)                               # what parts the answer from the way to it
    """,
    re.VERBOSE | re.DOTALL,
)
_NATURAL = re.compile(rf"{_PLACEHOLDER.pattern} | (?P<own>[{chr(FIRST_MASK)}-{chr(LAST_MASK)}])", re.VERBOSE | re.DOTALL)


def placeholders(text: str) -> list[str]:
    """Return the spans of a text that must come through a translation as they are, in order."""
    return [found.group() for found in _PLACEHOLDER.finditer(text)]


def lost_and_gained(source: str, translation: str) -> tuple[list[str], list[str]]:
    """Return the placeholders of the source that the translation lacks, and those it has beyond the source's."""
    before, after = Counter(placeholders(source)), Counter(placeholders(translation))
    # Where punctuation or a neighbour makes the pattern see another span, what counts is that the text is there.
    lost = [span for span in (before - after).elements() if translation.count(span) < source.count(span)]
    gained = [span for span in (after - before).elements() if source.count(span) < translation.count(span)]
    return lost, gained


@dataclass(frozen=True)
class Masked:
    """A text whose protected spans are replaced by masks: span *n* by `mask(n)`."""

    text: str
    spans: tuple[str, ...]

    def restore(self, translation: str) -> str:
        """Return a translation with the spans in the masks' places; masks that are not ours disappear."""
        return "".join(
            (self.spans[ord(character) - FIRST_MASK] if ord(character) - FIRST_MASK < len(self.spans) else "")
            if is_mask(character)
            else character
            for character in translation
        )

    @property
    def has_words(self) -> bool:
        """Whether anything is left to translate."""
        return any(character.isalpha() and not is_mask(character) for character in self.text)


def protect(text: str, *, numbers: bool = False, spans: bool = True) -> Masked:
    """Return a text with its placeholders masked.

    Args:
        text: of any length.
        numbers: mask numbers too.
        spans: mask placeholders; False masks only the private characters a text has of its own, which would be taken for masks.
    """
    found: list[str] = []

    def hide(match: re.Match[str]) -> str:
        if len(found) > LAST_MASK - FIRST_MASK:
            return ""
        found.append(match.group())
        return mask(len(found) - 1)

    text = _NATURAL.sub(hide, text) if spans else "".join(hide_character(character, found) for character in text)
    if numbers:
        text = NUMBER.sub(hide, text)
    return Masked(text, tuple(found))


def hide_character(character: str, found: list[str]) -> str:
    """Return a mask for a private character, noting it in `found`; any other character as it is."""
    if not is_mask(character):
        return character
    found.append(character)
    return mask(len(found) - 1)


@dataclass(frozen=True)
class Lines:
    """A text cut at its line breaks: what is to be translated, and what stands around it."""

    bodies: tuple[str, ...]
    frames: tuple[tuple[str, str], ...]

    def join(self, translations: Sequence[str]) -> str:
        """Return the translated lines with the white space and line breaks of the source."""
        parts = zip(self.frames, translations, strict=True)
        return "".join(before + translation + after for (before, after), translation in parts)


def split_lines(text: str) -> Lines:
    """Cut a text into lines without the white space around them; translators are given one line at a time."""
    bodies, frames = [], []
    for line in re.split(r"(?<=\n)", text):
        body = line.strip()
        start = line.index(body) if body else len(line)
        bodies.append(body)
        frames.append((line[:start], line[start + len(body) :]))
    return Lines(tuple(bodies), tuple(frames))
