"""Text by a model or a corpus on its way to a terminal."""

import sys


def printable(text: str) -> str:
    """Return text without what could command a terminal: control characters other than line breaks and tabs become U+FFFD."""
    return "".join(character if character in "\n\t" or not is_control(character) else "\ufffd" for character in text)


def is_control(character: str) -> bool:
    """Return whether a character is a C0 or C1 control: escape sequences begin with one."""
    return character < " " or "\x7f" <= character <= "\x9f"


def show(text: str) -> None:
    """Write text to stdout at once: as it is into a file or pipe, without control characters to a terminal."""
    print(printable(text) if sys.stdout.isatty() else text, end="", flush=True)
