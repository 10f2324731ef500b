"""Which encoding a file is in. Encodings are guessed from the bytes, never from the language."""

import codecs
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import IncrementalNewlineDecoder
from pathlib import Path

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 18
_WESTERN = frozenset({"cp1252", "iso8859-1", "iso8859-15", "ascii"})
CLEARLY_LIKELIER = 1.8
SOMEWHAT_LIKELIER = 1.1
"""So many times likelier than Windows-1252 another encoding must be, without and with a second witness.

Chosen on 335 files of the Universal Declaration of Human Rights: right answers other than Windows-1252 are 1.88 times as likely at least,
wrong ones 1.71 at most. Lithuanian sentences in Windows-1257, not looked at for that, are 1.4 to 2 times as likely: hence the second."""
MIN_CONFIDENCE = 0.1
"""Less sure guesses are no better than chance: such files are in the private encoding of some font."""
MAX_DAMAGED_SHARE = 0.02
"""UTF-8 in which more than this share of the non-ASCII characters is broken is another encoding."""

BINARY_SHARE = 0.01
"""A file with more than this share of control bytes is no text."""
_NO_LEADS = bytes(range(0xC0))
_CONTROLS = bytes(sorted(set(range(32)) - {7, 8, 9, 10, 12, 13, 26, 27}))


_DOUBLE_BYTE = frozenset({"cp932", "shift_jis", "euc_jp", "gb18030", "gb2312", "gbk", "big5", "big5hkscs", "cp950", "euc_kr", "cp949"})
_ESCAPE = "rodna.escape"


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Stand for each undecodable byte with U+DC00 plus the byte: like surrogateescape, but for bytes below 128 too, as UTF-16 needs."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_ESCAPE, _escape)


@dataclass(frozen=True)
class Encoding:
    """A Python codec's name ("" where the file is no text, or in an unknown encoding), and how sure the guess is, 0 to 1.

    `num_bad_bytes` counts the bytes that are not valid in it, where known; `guess` is a guess too uncertain to be used.
    """

    name: str
    confidence: float
    num_bad_bytes: int = 0
    guess: str = ""


def detect(path: Path) -> Encoding:
    """Guess the encoding of a text file; reads it once, in pieces. An empty name means that it is no text."""
    with path.open("rb") as file:
        head = file.read(CHUNK_BYTES)
    marked = by_mark(head)
    if marked:
        return Encoding(marked, 1.0)
    wide = without_mark(head)
    if wide:
        return Encoding(wide, 0.9)
    if is_binary(head):
        return Encoding("", 1.0)
    num_good, num_bad, sample = scan_utf8(path)
    if num_bad == 0 and not is_escaped(head):
        return Encoding("utf-8", 1.0)
    if num_bad and num_bad <= MAX_DAMAGED_SHARE * num_good:
        return Encoding("utf-8", 0.9, num_bad)
    # Around few bytes beyond ASCII there is little to judge by: a small file is better looked at whole.
    return guess(sample if num_bad and len(head) > SAMPLE_BYTES else head)


def by_mark(head: bytes) -> str:
    """Return the codec that a byte order mark announces, "" without one."""
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return ""


def without_mark(head: bytes) -> str:
    """Return the UTF-16 form of text without a mark, told by where the zero bytes of spaces and newlines stand."""
    sample = head[: min(len(head) & ~1, 65536)]
    if len(sample) < 4 or sample.count(0) < len(sample) // 100 + 2:
        return ""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    name = "utf-16-le" if odd > 8 * even else "utf-16-be" if even > 8 * odd else ""
    if not name:
        return ""
    text = sample.decode(name, "replace")
    return name if sum(character.isprintable() or character.isspace() for character in text) > 0.95 * len(text) else ""


def is_binary(head: bytes) -> bool:
    """Return whether the start of a file holds more control bytes than any text does."""
    return len(head) - len(head.translate(None, _CONTROLS)) > BINARY_SHARE * len(head)


def is_escaped(head: bytes) -> bool:
    """Return whether 7-bit text uses the escapes of ISO-2022 or HZ."""
    return head.isascii() and (b"\x1b$" in head or (b"~{" in head and b"~}" in head))


def scan_utf8(path: Path) -> tuple[int, int, bytes]:
    """Return the number of non-ASCII characters that are valid UTF-8, of bytes that are not, and the lines around these."""
    num_good, num_bad, sample = 0, 0, bytearray()
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        while True:
            data = file.read(min(CHUNK_BYTES, left))
            left -= len(data)
            text = decoder.decode(data, final=not data)
            if not text.isascii():
                bad = 0
                try:
                    text.encode("utf-8")
                except UnicodeEncodeError:
                    bad = sum("\udc80" <= character <= "\udcff" for character in text)
                    if len(sample) < SAMPLE_BYTES:
                        sample += _lines_beyond_ascii(data)[: SAMPLE_BYTES - len(sample)]
                num_bad += bad
                # Of what is valid, only the first bytes of the characters are left to be counted.
                num_good += sum(character > "\x7f" for character in text) - bad if bad else len(data.translate(None, _NO_LEADS))
            if not data:
                return num_good, num_bad - _cut_at_end(text), bytes(sample)


def _cut_at_end(last: str) -> int:
    """Return how many bytes at the very end are the start of a character that was cut off: no sign of another encoding."""
    return len(last) if len(last) <= 3 and all("\udc80" <= character <= "\udcff" for character in last) else 0


def _lines_beyond_ascii(data: bytes) -> bytes:
    return b"\n".join(line for line in data.split(b"\n") if not line.isascii())


def guess(sample: bytes) -> Encoding:
    """Guess a legacy encoding from bytes that are not UTF-8.

    chardet knows the letters of the larger languages only, and takes a small language in Windows-1252 for whatever large one looks similar.
    So Windows-1252 is believed unless another encoding is clearly likelier, or somewhat likelier and the text then reads, to a second
    judge, as the very language that chardet took it for.
    """
    import chardet

    found = [
        (codecs.lookup(item["encoding"]).name, float(item["confidence"]), str(item["language"]))
        for item in chardet.detect_all(sample, ignore_threshold=True)
        if item["encoding"]
    ]
    western = max((confidence for name, confidence, _ in found if name in _WESTERN), default=0.0)
    name, confidence, language = found[0] if found else ("cp1252", 0.0, "")
    times = confidence / western if western else float("inf")
    if name in _WESTERN or not (times >= CLEARLY_LIKELIER or (times >= SOMEWHAT_LIKELIER and _reads_as(language, sample, name))):
        return Encoding("cp1252", western)
    if confidence < MIN_CONFIDENCE and not _is_east_asian_text(sample, name):
        return Encoding("", confidence, len(sample), guess=name)
    return Encoding(name, confidence)


def _is_east_asian_text(sample: bytes, encoding: str) -> bool:
    """Return whether the bytes are valid in a double-byte encoding and give nothing beyond ASCII but East Asian letters and marks.

    That is unlikely by chance, and short texts (a table of names) have too few of the letters that a guess goes by.
    """
    if encoding not in _DOUBLE_BYTE:
        return False
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    beyond = [character for character in text if character > "\x7f"]
    common = sum(
        "\u3000" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7a3" or "\uff01" <= c <= "\uff5e" for c in beyond
    )
    return len(beyond) >= 4 and common == len(beyond)


def _reads_as(language: str, sample: bytes, encoding: str) -> bool:
    """Return whether the bytes, decoded so, are text in a language beyond doubt."""
    # Its tables are large, and most files are plainly UTF-8.
    from rodna.corpus.identify import identify_one

    found, probability = identify_one(sample[:8000].decode(encoding, "replace"))
    return found == language and probability > 0.99


def read_text(path: Path, encoding: Encoding) -> Iterator[str]:
    """Yield a file's text in pieces of about a megabyte, newlines as line feeds; bytes that are not valid come as lone surrogates.

    A file that grows meanwhile is read up to the length it had at first, one that shrinks up to its new end.
    """
    decoder = IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding.name)(_ESCAPE), translate=True)
    with path.open("rb") as file:
        left = os.fstat(file.fileno()).st_size
        while True:
            data = file.read(min(CHUNK_BYTES, left))
            left -= len(data)
            text = decoder.decode(data, final=not data)
            if not data:
                # What is left over at the end is half a character of a file that was cut.
                text = "".join(character for character in text if not "\udc00" <= character <= "\udcff")
            if text:
                yield text
            if not data:
                return
