"""Subtitles (SubRip, WebVTT, SubStation Alpha, MicroDVD, TMPlayer, MPL2): cues joined into the sentences that were said."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import regex

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.encodings import detect, read_text
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.spaces import squeezed
from rodna.corpus.extractors.text import reject_undecodable
from rodna.corpus.unspaced import UNSPACED_LETTER

_FRAMES_PER_SECOND = 25.0
"""MicroDVD counts frames; the text does not depend on how many a second has."""
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>|<\d\d[:\d.]{3,10}>")
_OVERRIDE = re.compile(r"\{(?:[\\=]|[yYcCfFsSpPoO]:)[^{}\n]{0,200}\}")
_MUSIC = re.compile(r"[♩♪♫♬♭♯#]+")
_DASH = re.compile(r"^\s*[-‐‑‒–—―]\s*(?=\S)")
_SENTENCE_END = regex.compile(r"(?:\p{Sentence_Terminal}|[。！？｡…])[\p{Pe}\p{Pf}\"'”’»]*$")
_PAUSE_MS = 2500
"""A sentence that no mark ends is over where nobody speaks for so long."""
_FULL_LINE = 400
"""Speech without any full stop (speech recognition writes none) is cut at the next cue after so many characters."""
_PUNCTUATED_SHARE = 0.1
"""Where fewer cues end as sentences do, nobody wrote full stops (as in most Chinese and Thai subtitles): a cue ends a line unless the next
one follows without a gap."""


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the dialogue of a file of subtitles: a line a sentence or a speaker's turn, without times, tags and sound signs.

    Args:
        path: in any encoding.
        source: its `document` says what one document is.
        limits: larger files than `max_page_bytes` are rejected; longer documents are cut.
    """
    size_bytes = path.stat().st_size
    if size_bytes > limits.max_page_bytes:
        yield Rejected("page_too_large", f"{size_bytes:,} bytes; subtitles are read whole, up to {limits.max_page_bytes:,}", size_bytes)
        return
    encoding = detect(path)
    if not encoding.name:
        yield reject_undecodable(path, encoding)
        return
    markup = "".join(read_text(path, encoding)).removeprefix("\ufeff").replace("\x00", "")
    meta = {} if encoding.name in ("utf-8", "utf-8-sig") else {"encoding": encoding.name}
    cues = cues_of(markup)
    if not cues:
        yield Rejected("no_text", "no subtitle with a time and words in it was found", size_bytes, markup[:400])
        return
    for text in documents_of(["\n".join(dialogue(cues))], source, max_bytes=limits.max_document_bytes):
        yield Piece(text, meta)


def cues_of(markup: str) -> list[tuple[int, int, list[str]]]:
    """Return each cue's start and end in milliseconds and its lines, markup removed; empty where the format is unknown."""
    import pysubs2

    try:
        subtitles = pysubs2.SSAFile.from_string(markup, fps=_FRAMES_PER_SECOND)
    except (pysubs2.exceptions.Pysubs2Error, ValueError, IndexError, KeyError, TypeError, OverflowError):
        return []
    cues = []
    for event in sorted(subtitles.events, key=lambda event: event.start):
        if event.is_comment or event.is_drawing:
            continue
        text = event.text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
        lines = [clean_line(line) for line in text.split("\n")]
        lines = [line for line in lines if line]
        if lines:
            cues.append((event.start, event.end, lines))
    return cues


def clean_line(line: str) -> str:
    """Return one line of a cue without tags, positions and music signs."""
    import html

    line = _TAG.sub("", _OVERRIDE.sub("", line))
    line = _MUSIC.sub(lambda match: match[0] if match[0].strip("♭♯#") == "" else " ", line)
    if "&" in line:
        line = html.unescape(line)
    return squeezed(line)


def dialogue(cues: Iterable[tuple[int, int, list[str]]]) -> Iterator[str]:
    """Yield what was said, a sentence or a turn a line.

    A line of a cue goes on in the next cue until a mark ends its sentence, a dash opens another speaker's turn, or there is a pause.
    Rolling captions, which show the last line of a cue again, are said once.
    """
    cues = list(cues)
    num_ended = sum(_SENTENCE_END.search(lines[-1]) is not None for _, _, lines in cues)
    pause_ms = _PAUSE_MS if num_ended >= _PUNCTUATED_SHARE * len(cues) else 0
    said, shown, last_end = "", list[str](), 0
    for start, end, lines in cues:
        fresh = lines[_overlap(shown, lines) :]
        for number, line in enumerate(fresh):
            turn = _DASH.sub("", line) if _DASH.match(line) else ""
            pause = number == 0 and start - last_end > pause_ms
            if said and (turn or pause or _SENTENCE_END.search(said) or (len(said) > _FULL_LINE and number == 0)):
                yield said
                said = ""
            said = _joined(said, turn or line)
        shown, last_end = lines, max(end, last_end)
    if said:
        yield said


def _overlap(shown: list[str], lines: list[str]) -> int:
    """Return how many of a cue's first lines are the last ones of the cue before."""
    return next((count for count in range(min(len(shown), len(lines)), 0, -1) if shown[-count:] == lines[:count]), 0)


def _joined(said: str, line: str) -> str:
    if not said:
        return line
    if line.startswith(said):
        return line  # captions that grow word by word
    space = "" if UNSPACED_LETTER.match(said[-1]) and UNSPACED_LETTER.match(line[0]) else " "
    return f"{said}{space}{line}"
