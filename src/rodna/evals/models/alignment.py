"""Where in a text each token of a server's echo begins, although servers spell tokens in several ways."""

import re
from collections.abc import Sequence
from itertools import pairwise

UNFINISHED = "\ufffd"
"""How most servers spell a token that holds half a character."""
WORD_START = "\u2581"
"""How SentencePiece spells the space before a word."""
BEFORE = -1
"""The place of a token that stands before the text: one that the server adds to begin it."""
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")


def token_starts(tokens: Sequence[str], offsets: Sequence[int] | None, text: str) -> list[int] | None:
    """Return the character at which each token begins, or None where the tokens are not those of the text.

    A token of half a character begins where that character does.

    Args:
        tokens: as the server spells them.
        offsets: what it says itself, where it does; believed only if every token stands there.
        text: what was sent.
    """
    for skipped in (0, 1):
        rest = tokens[skipped:]
        found = _by_bytes(rest, text)
        if found is None and offsets is not None:
            found = _by_offsets(rest, offsets[skipped:], text)
        if found is None:
            found = _by_spelling(rest, text)
        if found is not None:
            return [BEFORE] * skipped + found
    return None


def _by_bytes(tokens: Sequence[str], text: str) -> list[int] | None:
    """Trust the letters, and the bytes that OpenAI spells for half a character."""
    parts = [
        bytes(int(digits, 16) for digits in _ESCAPED.findall(token)) if token.startswith("bytes:\\x") else token.encode("utf-8", "replace")
        for token in tokens
    ]
    if not b"".join(parts).startswith(text.encode("utf-8")):
        return None
    return _characters(parts, text)


def _characters(parts: Sequence[bytes], text: str) -> list[int]:
    """Return the character that holds the first byte of each part."""
    character_of = [index for index, character in enumerate(text) for _ in character.encode("utf-8")]
    starts, place = [], 0
    for part in parts:
        starts.append(character_of[place] if place < len(character_of) else len(text))
        place += len(part)
    return starts


def _by_offsets(tokens: Sequence[str], offsets: Sequence[int], text: str) -> list[int] | None:
    if not tokens or len(offsets) != len(tokens):
        return None
    # The offsets may count what the server has put before the text.
    starts = [offset - offsets[0] for offset in offsets]
    if any(later < earlier for earlier, later in pairwise(starts)):
        return None
    if any(start >= len(text) and token for token, start in zip(tokens, starts, strict=True)):
        # Where offsets count what half characters are spelled as, they run beyond the text.
        return None
    for token, start in zip(tokens, starts, strict=True):
        if UNFINISHED not in token and not token.startswith("bytes:") and not text.startswith(token, start):
            return None
    return starts if starts[-1] + max(1, len(tokens[-1])) >= len(text) else None


def _by_spelling(tokens: Sequence[str], text: str) -> list[int] | None:
    """Follow whole tokens through the text, and let those of half a character share what lies between."""
    starts: list[int] = []
    place = index = 0
    while index < len(tokens):
        if place >= len(text):
            return starts + [len(text)] * (len(tokens) - index)
        if UNFINISHED not in tokens[index] or text.startswith(tokens[index], place):
            end = _match(tokens[index], text, place)
            if end is None:
                return None
            starts.append(place)
            place, index = end, index + 1
            continue
        after = next((other for other in range(index, len(tokens)) if tokens[other] and UNFINISHED not in tokens[other]), len(tokens))
        end = text.find(tokens[after], place + 1) if after < len(tokens) else len(text)
        if end < 0:
            # The next whole token is beyond the text.
            end, after = len(text), after if after < len(tokens) else len(tokens)
        starts += _shared(text, place, end, after - index)
        place, index = end, after
    return starts if place >= len(text) else None


def _shared(text: str, place: int, end: int, count: int) -> list[int]:
    """Return the starts of tokens of half characters: exact where each is one byte, else that of all of them."""
    between = text[place:end].encode("utf-8")
    if len(between) != count:
        return [place] * count
    return [place + start for start in _characters([b"."] * count, text[place:end])]


def _match(token: str, text: str, place: int) -> int | None:
    """Return where a token ends, spaces spelled or swallowed as SentencePiece has it."""
    spelled = token.replace(WORD_START, " ")
    if text.startswith(spelled, place):
        return place + len(spelled)
    if len(spelled) > len(text) - place and spelled.startswith(text[place:]):
        return len(text)
    if not place and spelled.startswith(" ") and text.startswith(spelled[1:]):
        return len(spelled) - 1
    space = place
    while space < len(text) and text[space].isspace():
        space += 1
    return space + len(spelled) if space > place and spelled and text.startswith(spelled, space) else None
