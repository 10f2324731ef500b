"""The one form all text takes: NFC, line feeds, no control characters, mojibake mended where there are signs of it.

Nothing here depends on a language: quotation marks, full-width punctuation, ligatures, ZWJ, ZWNJ and direction marks stay as they are.
"""

import re
import unicodedata
from typing import NamedTuple

_NEWLINES = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# C0 and C1 controls but tab and newline, byte order marks, noncharacters and the soft hyphen, which only says where a line may break.
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\u00ad]")
_MANY_BLANK_LINES = re.compile(r"\n{3,}")
_MAY_BE_MOJIBAKE = re.compile(
    "[\u0080-\u00bf\u0152-\u0192\u02c6-\u02dc\u2013-\u2122][\u0080-\u00ff\u0152-\u0192\u02c6-\u02dc\u2013-\u2122]|[ÃÂâÐÑÅÄÎÏØÙ][\u0080-\u00bf\u0152-\u0192\u02c6-\u02dc\u2013-\u2122]"
)


class Normalized(NamedTuple):
    """A text in its final form, and what had to be done to it: any of `nfc`, `controls`, `mojibake`."""

    text: str
    changes: tuple[str, ...]


def normalize(text: str, *, mend: bool) -> Normalized:
    """Return a text in the corpus' form; but for mending, doing so twice changes nothing more.

    Args:
        text: any text without lone surrogates.
        mend: undo mojibake, line by line.
    """
    changes: tuple[str, ...] = ()
    if not text.isascii():
        if mend and _MAY_BE_MOJIBAKE.search(text):
            mended = mend_mojibake(text)
            if mended != text:
                changes, text = ("mojibake",), mended
        if not unicodedata.is_normalized("NFC", text):
            changes, text = (*changes, "nfc"), unicodedata.normalize("NFC", text)
    # isprintable costs a tenth of the searches, and most text has nothing for them.
    if not text.replace("\n", "").isprintable():
        text = _NEWLINES.sub("\n", text)
        if _REMOVED.search(text):
            # Without what stood between them, a letter and its mark may now compose.
            changes, text = (*changes, "controls"), unicodedata.normalize("NFC", _REMOVED.sub("", text))
    if "\n" in text:
        text = "\n".join([line.rstrip() for line in text.split("\n")])
        if "\n\n\n" in text:
            text = _MANY_BLANK_LINES.sub("\n\n", text)
    return Normalized(text.strip(), changes)


def mend_mojibake(text: str) -> str:
    """Undo wrong decodings (`РџСЂ`, `Ã©`), only in lines that ftfy finds bad and only where the line becomes better.

    ftfy's other repairs are left off: they turn full-width punctuation and curly quotes into ASCII.
    """
    from ftfy import fix_encoding
    from ftfy.badness import badness

    lines = text.split("\n")
    for index, line in enumerate(lines):
        if line.isascii() or not _MAY_BE_MOJIBAKE.search(line):
            continue
        before = badness(line)
        if before:
            mended = fix_encoding(line)
            if mended != line and "\ufffd" not in mended and badness(mended) < before:
                lines[index] = mended
    return "\n".join(lines)
