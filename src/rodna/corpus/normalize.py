"""The one form all text takes: NFC, line feeds, plain spaces, nothing invisible that no script needs; mojibake mended, lines re-flowed.

Nothing here depends on a language. Quotation marks, full-width punctuation, the ideographic space (visible, and a separator in Han text),
ZWJ and ZWNJ in scripts that need them, and direction marks in lines written from right to left stay as they are. No-break, thin and other
blank spaces become the plain space: which of them stands between two words is a matter of layout, and each would be a word boundary
of its own to a model. Presentation forms, which fonts and PDFs leave behind, become the letters they show; no other compatibility
character is changed.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import regex

from rodna.corpus.config import NormalizeConfig
from rodna.corpus.reflow import reflow

_NEWLINES = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
# C0 and C1 controls but tab and newline; what marks, joins or parts without being seen; the object replacement and annotation characters;
# noncharacters; the soft hyphen, which only says where a line may break.
_REMOVED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060-\u2064\u206a-\u206f\ufdd0-\ufdef\ufeff\ufff9-\ufffc\ufffe\uffff]"
)
_JOINING = (
    "\u0600-\u08ff"  # Arabic, Syriac, N'Ko, Mandaic
    "\u0900-\u0dff\u0f00-\u109f\u1700-\u18af\u1900-\u1cff\ua800-\ua8ff\ua900-\uaaff\uabc0-\uabff"  # Indic, Tibetan, Khmer, Mongolian
    "\ufb50-\ufdff\ufe70-\ufefe\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
# Emoji are joined by ZWJ; some are older symbols, and a variation selector or skin tone may stand between.
_EMOJI = "\u2190-\u2bff\u3030\u303d\ufe0e\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f"
_USELESS_JOINERS = re.compile(f"(?<![{_JOINING}])\u200c(?![{_JOINING}])|(?<![{_JOINING}{_EMOJI}])\u200d(?![{_JOINING}])")
# The Mongolian vowel separator is part of a word's spelling, and means nothing elsewhere.
_USELESS_SEPARATORS = re.compile("(?<![\u1820-\u18aa])\u180e|\u180e(?![\u1820-\u18aa])")
_TO_REMOVE = "\uffff"  # a noncharacter, of which no text has any left by then
_BETWEEN_MARKS = regex.compile(r"(?<=[^\p{CCC=0}])\uffff+(?=[^\p{CCC=0}])")
_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
_OPENS = {
    "\u202a": "\u202c",
    "\u202b": "\u202c",
    "\u202d": "\u202c",
    "\u202e": "\u202c",
    "\u2066": "\u2069",
    "\u2067": "\u2069",
    "\u2068": "\u2069",
}
# Latin and Armenian ligatures, Hebrew and Arabic presentation forms but the word signs (FDF0 and on), and Kangxi radicals (for ideographs).
_PRESENTATION = re.compile("[\u2f00-\u2fd5\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufb28\ufb2a-\ufdc7\ufe70-\ufefc]")
# No letter has so many marks; putting them in order takes time with the square of their number. The combining grapheme joiner parts
# them, as in the stream-safe form of Unicode (UAX 15, section 13).
_ENDLESS_MARKS = regex.compile(r"([^\p{CCC=0}]{30})(?=[^\p{CCC=0}])")
_MANY_BLANK_LINES = re.compile(r"\n{3,}")
# UTF-8 beyond ASCII read as Latin-1, Windows-1250, 1252 or 1257: a lead byte's letter and as many of the others as it asks for.
_BYTES = "\u0080-\u00bf\u0152-\u0192\u02c6-\u02dc\u2013-\u2122"
_MAY_BE_MOJIBAKE = re.compile(f"[\u00c2-\u00f4ĂĹā][{_BYTES}](?:[{_BYTES}]|(?<=[\u00c2-\u00dfĂĹ].))")

# UTF-8 read in an encoding of Cyrillic, which ftfy seldom finds bad: a lead byte's letter and one that only stands for a continuation
# byte. Such pairs occur in good text too (`Сі`); that whole lines of them are valid UTF-8 does not happen by chance.
# One class of all that may begin a pair comes first, since a search for that is fast; of the rarer encodings, only Cyrillic's own.
_CYRILLIC = {"cp1251": range(0xC2, 0xE0), "cp866": range(0xD0, 0xD2), "koi8-r": range(0xD0, 0xD2), "mac-cyrillic": range(0xD0, 0xD2)}
_LEADS = {codec: re.escape(bytes(leads).decode(codec)) for codec, leads in _CYRILLIC.items()}
_CYRILLIC_MOJIBAKE = re.compile(
    "[{}](?:{})".format(
        "".join(_LEADS.values()),
        "|".join(f"(?<=[{leads}])([{re.escape(bytes(range(0x80, 0xC0)).decode(codec, 'ignore'))}])" for codec, leads in _LEADS.items()),
    )
)
_MIN_SEQUENCES = 2


class Normalized(NamedTuple):
    """A text in its final form, and what had to be done to it.

    `changes` holds any of `mojibake`, `nfc`, `presentation`, `spaces`, `controls`, `joiners`, `directions`, `reflow`.
    """

    text: str
    changes: tuple[str, ...]


def normalize(text: str, config: NormalizeConfig, *, wrapped: bool = False) -> Normalized:
    """Return a text in the corpus' form; but for mending and re-flowing, doing so twice changes nothing more.

    Args:
        text: any text without lone surrogates.
        config: what is to be done.
        wrapped: the lines are known to be those of a page (a PDF's), so that fewer signs of it are asked for.
    """
    changes: list[str] = []
    if config.mend_mojibake and not text.isascii():
        if _MAY_BE_MOJIBAKE.search(text):
            text = _noted(text, mend_mojibake(text), "mojibake", changes)
        if _CYRILLIC_MOJIBAKE.search(text):
            text = _noted(text, _by_line(text, _CYRILLIC_MOJIBAKE, _decoded_again), "mojibake", changes)
    if config.unicode:
        text = _one_form(text, changes, keep_breaks=config.reflow)
    if config.reflow and "\n" in text:
        text = _noted(text, reflow(text, wrapped=wrapped), "reflow", changes)
    return Normalized(text, tuple(dict.fromkeys(changes)))


def _noted(before: str, after: str, change: str, changes: list[str]) -> str:
    if before != after:
        changes.append(change)
    return after


def _one_form(text: str, changes: list[str], *, keep_breaks: bool) -> str:
    # isprintable costs a tenth of the searches, and most text has nothing for them.
    unseen = not text.replace("\n", "").isprintable()
    if unseen:
        text = _without_unseen(_NEWLINES.sub("\n", text), changes, keep_breaks=keep_breaks)
    if not text.isascii():
        text = _composed(text, changes)
        if unseen:
            # Only now, since what stands beside these depends on the order that composing gives to marks.
            text = _noted(text, _without(_USELESS_SEPARATORS, text), "controls", changes)
            text = _noted(text, _without(_USELESS_JOINERS, text), "joiners", changes)
    if "\n" in text:
        text = "\n".join([line.rstrip() for line in text.split("\n")])
        if "\n\n\n" in text:
            text = _MANY_BLANK_LINES.sub("\n\n", text)
    return text.strip()


def _without_unseen(text: str, changes: list[str], *, keep_breaks: bool) -> str:
    """Return the text without what is not seen and no script needs, but for joiners."""
    text = _noted(text, _SPACES.sub(" ", text), "spaces", changes)
    if keep_breaks:
        # PDFs say by U+FFFE or U+0002 what a soft hyphen says: the word goes on in the next line.
        text = _noted(text, _BROKEN_BY_SIGN.sub("", text), "reflow", changes)
    text = _noted(text, _REMOVED.sub("", text), "controls", changes)
    if _DIRECTION.search(text):
        text = _noted(text, "\n".join([_directed(line) for line in text.split("\n")]), "directions", changes)
    return text


def _composed(text: str, changes: list[str]) -> str:
    """Return the text in NFC, with letters for their presentation forms and no more marks in a row than can be put in order quickly."""
    if _PRESENTATION.search(text):
        text = _noted(text, _PRESENTATION.sub(_letters_shown, text), "presentation", changes)
    text = _noted(text, _parted(text), "nfc", changes)
    if not unicodedata.is_normalized("NFC", text):
        # Some marks are composed as two, so that there may be more of them than before.
        text = _noted(text, _parted(unicodedata.normalize("NFC", text)), "nfc", changes)
    return text


def _parted(text: str) -> str:
    return _ENDLESS_MARKS.sub("\\1\u034f", text) if _ENDLESS_MARKS.search(text) else text


def _without(useless: re.Pattern[str], text: str) -> str:
    """Return a text in NFC without joiners or separators that have nothing to join or to part, in NFC again.

    Where one parts two marks, the combining grapheme joiner takes its place: marks that met would change their order.
    """
    found = useless.sub(_TO_REMOVE, text)
    if found == text:
        return text
    return unicodedata.normalize("NFC", _BETWEEN_MARKS.sub("\u034f", found).replace(_TO_REMOVE, ""))


_BROKEN_BY_SIGN = re.compile("(?<=\\w)[\xad\ufffe\x02][ \t]*\n[ \t]*(?=\\w)")


def _letters_shown(match: re.Match[str]) -> str:
    """Return the letters a presentation form stands for; a vowel sign shown on its own goes onto the letter before it."""
    return unicodedata.normalize("NFKC", match.group()).replace(" ", "")


def _directed(line: str) -> str:
    """Return a line without direction marks if nothing in it runs from right to left, without unpaired ones if something does."""
    if not _DIRECTION.search(line):
        return line
    if not _RIGHT_TO_LEFT.search(line.replace("\u061c", "")):
        return _DIRECTION.sub("", line)
    kept: list[str] = []
    opened: list[tuple[int, str]] = []
    for character in line:
        closes = _OPENS.get(character)
        if closes:
            opened.append((len(kept), closes))
        elif character in "\u202c\u2069":
            if not opened or opened[-1][1] != character:
                continue
            opened.pop()
        kept.append(character)
    for index, _ in opened:
        kept[index] = ""
    return "".join(kept)


def mend_mojibake(text: str) -> str:
    """Undo wrong decodings (`Ã©`), only in lines that ftfy finds bad and only where the line becomes better.

    ftfy's other repairs are left off: they turn full-width punctuation and curly quotes into ASCII.
    """
    return _by_line(text, _MAY_BE_MOJIBAKE, _mended)


def _mended(line: str, match: re.Match[str]) -> str:
    from ftfy import fix_encoding
    from ftfy.badness import badness

    before = badness(line)
    if not before:
        return line
    mended = fix_encoding(line)
    return mended if "\ufffd" not in mended and badness(mended) < before else line


def _decoded_again(line: str, match: re.Match[str]) -> str:
    """Return a line that is UTF-8 read in an encoding of Cyrillic (`РџСЂ`) as it was meant: all of it must be valid, several times over."""
    codec = tuple(_CYRILLIC)[(match.lastindex or 1) - 1]
    try:
        # Windows-1251 leaves byte 0x98 out, which most decoders pass on as the control character.
        mended = b"\x98".join([part.encode(codec) for part in line.split("\x98")]).decode("utf-8")
    except UnicodeError:
        return line
    return mended if sum(not character.isascii() for character in mended) >= _MIN_SEQUENCES else line


def _by_line(text: str, pattern: re.Pattern[str], change: Callable[[str, re.Match[str]], str]) -> str:
    """Return a text with the lines changed in which a pattern is found; the others cost nothing."""
    parts: list[str] = []
    done = 0
    for match in pattern.finditer(text):
        if match.start() < done:
            continue
        start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
        end = end if end >= 0 else len(text)
        parts += [text[done:start], change(text[start:end], match)]
        done = end
    return "".join([*parts, text[done:]])
