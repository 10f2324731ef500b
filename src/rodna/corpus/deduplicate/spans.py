"""Stretches of documents that are to be cut."""

import unicodedata

import numpy as np

PASSAGE = np.dtype([("document", np.int64), ("start", np.uint32), ("end", np.uint32), ("kind", np.uint8), ("other", np.int64)])
"""`start` and `end` count code points of the cleaned text; `other` is the document that keeps the text (or, for a benchmark, the number of
its text: see `decontaminate`)."""
PASSAGE_KINDS = ("repeated_line", "repeated_passage", "in_held_out", "in_benchmark")
_CONNECTORS = "'’ʼ-‐‑"


def joined(spans: np.ndarray) -> np.ndarray:
    """Return spans, PASSAGE (S,), sorted by document, with those of one kind that overlap or touch made one.

    `other` is that of the first.
    """
    spans = spans[np.lexsort((spans["start"], spans["kind"], spans["document"]))]
    if not len(spans):
        return spans
    is_new = np.ones(len(spans), dtype=bool)
    same = (spans["document"][1:] == spans["document"][:-1]) & (spans["kind"][1:] == spans["kind"][:-1])
    # The farthest end so far of the same document and kind: shifted apart by group, one running maximum does for all.
    group = np.concatenate(([0], np.cumsum(~same)))
    reach = np.maximum.accumulate(spans["end"].astype(np.int64) + (group << 33)) - (group << 33)
    is_new[1:] = ~same | (spans["start"][1:].astype(np.int64) > reach[:-1])
    begins = np.flatnonzero(is_new)
    result = spans[begins]
    result["end"] = reach[np.append(begins[1:], len(spans)) - 1]
    return result[np.lexsort((result["start"], result["document"]))]


def snapped(text: str, start: int, end: int) -> tuple[int, int]:
    """Return a span made smaller until it cuts no word and no letter from its marks; an empty one where nothing is left.

    Where letters are words or syllables, a span may end between any two.
    """
    while start < end and _is_inside_word(text, start):
        start += 1
    while end > start and _is_inside_word(text, end):
        end -= 1
    return start, end


def _is_inside_word(text: str, place: int) -> bool:
    """Return whether a cut before `place` would part a word."""
    if not 0 < place < len(text):
        return False
    before, after = text[place - 1], text[place]
    if unicodedata.category(after)[0] == "M":
        return True
    if before in _CONNECTORS and place > 1:
        return _joins(text[place - 2]) and _joins(after)
    if after in _CONNECTORS and place + 1 < len(text):
        return _joins(before) and _joins(text[place + 1])
    return _joins(before) and _joins(after) and not (_is_alone(before) or _is_alone(after))


def _joins(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _is_alone(character: str) -> bool:
    """Return whether a character needs no space to its neighbours: ideographs, kana, and the scripts of South-East Asia."""
    code = ord(character)
    return (
        0x0E00 <= code <= 0x0EFF  # Thai, Lao
        or 0x0F00 <= code <= 0x109F  # Tibetan, Myanmar
        or 0x1780 <= code <= 0x17FF  # Khmer
        or 0x1950 <= code <= 0x1AAF  # Tai Le, New Tai Lue, Buginese, Tai Tham
        or 0x1B00 <= code <= 0x1B7F  # Balinese
        or 0x3040 <= code <= 0x312F
        or 0x31A0 <= code <= 0xA4CF
        or 0xA980 <= code <= 0xA9FF  # Javanese, Myanmar's extension B
        or 0xAA60 <= code <= 0xAADF  # Myanmar's extension A, Tai Viet
        or 0xF900 <= code <= 0xFAFF
        or code >= 0x20000
    )
