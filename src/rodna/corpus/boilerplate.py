"""Menus and lists at a document's edges, where the language's own text has none."""

from rodna.corpus.quality.characters import CharacterModel

MIN_LINES = 5
"""Fewer short lines at an edge may be a title, an author and a date."""
MAX_LIST_SHARE = 0.05
"""Where more of the language's own lines are short and end in nothing (poems, word lists, subtitles), such lines are text."""
MAX_REMOVED = 0.5
"""A document of which more would go is left to the quality filter."""


def strip_boilerplate(text: str, model: CharacterModel) -> tuple[str, int]:
    """Cut runs of short lines that end in no punctuation from the start and the end of a document.

    Args:
        text: a document, normalized.
        model: says how long a line of a few words is, how lines end, and whether the language's own text has such lines.

    Returns:
        The text, the very same where nothing was cut, and how many characters were cut.
    """
    if model.list_share > MAX_LIST_SHARE or text.count("\n") < MIN_LINES:
        return text, 0
    lines = text.split("\n")
    first = _run(lines, model)
    last = len(lines) - _run(lines[::-1], model)
    if first == 0 and last == len(lines):
        return text, 0
    left = "\n".join(lines[first:last]).strip("\n") if first < last else ""
    if len(left) < (1 - MAX_REMOVED) * len(text):
        return text, 0
    return left, len(text) - len(left)


def _run(lines: list[str], model: CharacterModel) -> int:
    """Return how many lines from the first on are as in a menu, 0 where they are too few to be one."""
    number = filled = 0
    for position, line in enumerate(lines):
        if not line:
            continue
        if len(line) > model.short_line or model.alphabet.ends_line(line):
            break
        number, filled = position + 1, filled + 1
    return number if filled >= MIN_LINES else 0
