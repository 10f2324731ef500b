"""RTF: its text in whatever code pages its fonts say. Reference: Microsoft, Rich Text Format Specification 1.9.1."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rodna.corpus.config import Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.extractors import Limits, Piece, Rejected

_TOKEN = re.compile(rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+|\\)")
_MARKS = {
    "par": "\n\n", "sect": "\n\n", "page": "\n\n", "line": "\n", "tab": "\t", "cell": "\t", "nestcell": "\t", "row": "\n", "nestrow": "\n",
    "emdash": "—", "endash": "–", "emspace": " ", "enspace": " ", "qmspace": " ", "bullet": "•", "lquote": "‘", "rquote": "’",
    "ldblquote": "“", "rdblquote": "”", "zwj": "\u200d", "zwnj": "\u200c", "zwbo": "\u200b", "ltrmark": "\u200e", "rtlmark": "\u200f",
}  # fmt: skip
_LEFT_OUT = frozenset(
    """fonttbl colortbl stylesheet info pict object themedata colorschememapping latentstyles datastore listtable listoverridetable rsidtbl
    generator header headerl headerr headerf footer footerl footerr footerf annotation atnid atnauthor atntime atndate atnref atnparent
    fldinst ftnsep ftnsepc aftnsep aftnsepc xmlnstbl mmathPr nonshppict pntext listtext filetbl revtbl userprops shpinst sp sn sv bkmkstart
    bkmkend private xe tc txe rxe objdata""".split()  # noqa: SIM905
)
_STARRED_TEXT = frozenset({"shptxt", "shppict"})
_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "cp950", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
"""Windows' character sets of fonts, by their numbers in `\\fcharset`."""


@dataclass(frozen=True)
class _State:
    """What a group inherits and does not pass back.

    `font`: its number, -1 for the document's own; `skip`: how many characters stand for a Unicode one; `shows`: whether this is a place
    for text; `is_hidden`, `is_deleted`: what the letters are.
    """

    font: int = -1
    skip: int = 1
    shows: bool = True
    is_hidden: bool = False
    is_deleted: bool = False
    in_fonts: bool = False
    in_note: bool = False


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield a document's text, its notes at the end; pictures, heads, feet, comments and deleted text left out.

    Args:
        path: an RTF file.
        source: its `document` says what one document is.
        limits: `max_page_bytes` is the most that the file may have.
    """
    size_bytes = path.stat().st_size
    if size_bytes > limits.max_page_bytes:
        yield Rejected("page_too_large", f"{size_bytes:,} bytes; corpus.extract.max_page_bytes is {limits.max_page_bytes:,}", size_bytes)
        return
    text, depth = text_of(path.read_bytes())
    for part in documents_of([text], source, max_bytes=limits.max_document_bytes):
        yield Piece(part)
    if depth > 0:
        yield Rejected("truncated", f"ends inside {depth:,} open groups; what came before is read", size_bytes)


def text_of(data: bytes) -> tuple[str, int]:
    """Return the text of an RTF file, and how many of its groups are left open at its end."""
    reader = _Reader()
    position = 0
    while match := _TOKEN.match(data, position):
        position = reader.take(match, data)
    text = "\n".join(line.strip(" \t") for line in reader.finish().split("\n"))
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n"), len(reader.stack)


class _Reader:
    def __init__(self) -> None:
        self.state = _State()
        self.stack: list[_State] = []
        self._default = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font = self._own_font = 0
        self._parts: list[str] = []
        self._notes: list[str] = []
        self._bytes = bytearray()
        self._to_skip = 0
        self._is_starred = False

    def take(self, match: re.Match[bytes], data: bytes) -> int:
        """Read one token; return where the next one begins."""
        word, number, code, symbol, brace, plain = match.groups()
        starred, self._is_starred = self._is_starred, False
        if brace == b"{":
            self._flush()
            self.stack.append(self.state)
            self._to_skip = 0
        elif brace == b"}":
            self._flush()
            self._to_skip = 0
            if self.stack:
                self.state = self.stack.pop()
        elif code:
            self._byte(bytes([int(code, 16)]))
        elif plain:
            self._byte(plain)
        elif symbol:
            self._symbol(symbol)
        elif word:
            name, value = word.decode("ascii"), int(number) if number else None
            if name == "bin":
                return match.end() + max(0, value or 0)
            self._word(name, value, starred=starred)
        return match.end()

    def finish(self) -> str:
        self._flush()
        # Characters beyond the first plane are written as two halves.
        return "".join([*self._parts, *self._notes]).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _byte(self, data: bytes) -> None:
        skipped = min(self._to_skip, len(data))
        self._to_skip -= skipped
        if self._is_seen():
            self._bytes += data[skipped:]

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._is_starred = True
        elif symbol in (b"\\", b"{", b"}"):
            self._byte(symbol)
        elif symbol in (b"\r", b"\n"):
            self._write("\n\n")
        else:
            self._write({b"~": "\u00a0", b"-": "\u00ad", b"_": "\u2011"}.get(symbol, ""))

    def _word(self, name: str, value: int | None, *, starred: bool) -> None:
        if name == "u" and value is not None:
            self._write(chr(value % 65536))
            self._to_skip = self.state.skip
        elif name == "uc":
            self.state = replace(self.state, skip=max(0, value or 0))
        elif name in _MARKS:
            self._write(_MARKS[name])
        elif name == "fonttbl":
            self._flush()
            self.state = replace(self.state, shows=False, in_fonts=True)
        elif name in _LEFT_OUT or (starred and name not in _STARRED_TEXT):
            self._flush()
            self.state = replace(self.state, shows=False)
        elif name == "footnote":
            self._flush()
            self.state = replace(self.state, in_note=True)
            self._write("\n\n")
        elif name in ("deleted", "v"):
            self._flush()
            self.state = replace(self.state, **{"is_hidden" if name == "v" else "is_deleted": value != 0})
        else:
            self._font_word(name, value)

    def _is_seen(self) -> bool:
        return self.state.shows and not (self.state.is_hidden or self.state.is_deleted)

    def _font_word(self, name: str, value: int | None) -> None:
        if name == "ansicpg" and value:
            self._default = _known(f"cp{value}")
        elif name in ("mac", "pc", "pca"):
            self._default = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}[name]
        elif name == "f" and value is not None and self.state.in_fonts:
            self._font = value
        elif name == "fcharset" and self.state.in_fonts:
            # 0 is Windows' Western set and also what programs write that do not care: then the document's own page holds.
            self._fonts[self._font] = _CHARSETS.get(value or 0, "") if value else ""
        elif name in ("f", "af") and value is not None:
            self._flush()
            self.state = replace(self.state, font=value)
        elif name == "deff":
            self._own_font = value or 0
        elif name == "plain":
            self._flush()
            self.state = replace(self.state, font=-1, is_hidden=False, is_deleted=False)

    def _codec(self) -> str:
        return self._fonts.get(self.state.font if self.state.font >= 0 else self._own_font) or self._default

    def _write(self, text: str) -> None:
        self._flush()
        if self._is_seen():
            (self._notes if self.state.in_note else self._parts).append(text)

    def _flush(self) -> None:
        if self._bytes:
            (self._notes if self.state.in_note else self._parts).append(self._bytes.decode(self._codec(), "replace"))
            self._bytes.clear()


def _known(codec: str) -> str:
    import codecs

    try:
        return codecs.lookup({"cp65001": "utf-8", "cp10000": "mac_roman", "cp0": "cp1252"}.get(codec, codec)).name
    except LookupError:
        return "cp1252"
