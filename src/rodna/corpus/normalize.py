"""The one form all text takes: NFC, `\\n` newlines, no control characters, mojibake mended where there are signs of it.

Nothing here depends on a language: quotation marks, full-width punctuation, ligatures, ZWJ, ZWNJ and direction marks stay as they are.
"""

import re
import unicodedata
from dataclasses import dataclass

_NEWLINES = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
# C0 and C1 controls but tab and newline, byte order marks, noncharacters and the soft hyphen, which only says where a line may break.
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\u00ad]")
_SPACES_AT_LINE_END = re.compile(r"[^\S\n]+\n")
_MANY_BLANK_LINES = re.compile(r"\n{3,}")
_MAY_BE_MOJIBAKE = re.compile("[\u0080-\u00bf\u0152-\u0192\u02c6-\u02dc\u2013-\u2122][\u0080-\u00ff\u0152-\u0192\u02c6-\u02dc\u2013-\u2122]|[ÃÂâÐÑÅÄÎÏØÙ][\u0080-\u00bf\u0152-\u0192\u02c6-\u02dc\u2013-\u2122]")


@dataclass(frozen=True)
class Normalized:
    """A text in its final form, and what had to be done: `nfc`, `controls`, `mojibake`, each True where it changed something."""

    text: str
    nfc: bool
    controls: bool
    mojibake: bool


def normalize(text: str, *, mend: bool) -> Normalized:
    """Return a text in the corpus' form; doing so twice changes nothing more.

    Args:
        text: any text without lone surrogates.
        mend: undo mojibake, line by line.
    """
    mojibake = controls = nfc = False
    if not text.isascii():
        if mend and _MAY_BE_MOJIBAKE.search(text):
            mended = mend_mojibake(text)
            mojibake, text = mended != text, mended
        if not unicodedata.is_normalized("NFC", text):
            nfc, text = True, unicodedata.normalize("NFC", text)
    if _NEWLINES.search(text):
        text = _NEWLINES.sub("\n", text)
    if _REMOVED.search(text):
        controls, text = True, _REMOVED.sub("", text)
        # Without what stood between them, a letter and its mark may now compose.
        text = unicodedata.normalize("NFC", text)
    text = _SPACES_AT_LINE_END.sub("\n", text)
    text = _MANY_BLANK_LINES.sub("\n\n", text)
    return Normalized(text.strip(), nfc, controls, mojibake)


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
