"""Which encoding a file is in. Encodings are guessed from the bytes, never from the language."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from io import IncrementalNewlineDecoder
from pathlib import Path

CHUNK_BYTES = 1 << 20
SAMPLE_BYTES = 1 << 18
MAX_DAMAGED_SHARE = 0.02
"""UTF-8 in which more than this share of the non-ASCII characters is broken is another encoding."""

BINARY_SHARE = 0.01
"""A file with more than this share of control bytes is no text."""
_CONTROLS = bytes(sorted(set(range(32)) - {7, 8, 9, 10, 12, 13, 26, 27}))


@dataclass(frozen=True)
class Encoding:
    """A Python codec's name, how sure the guess is (0 to 1), and the number of bytes that are not valid in it, where known."""

    name: str
    confidence: float
    num_bad_bytes: int = 0


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
    return guess(sample if num_bad else head)


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
        while True:
            data = file.read(CHUNK_BYTES)
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
                num_good += sum(character > "\x7f" for character in text) - bad if bad else 1
            if not data:
                return num_good, num_bad - _cut_at_end(text), bytes(sample)


def _cut_at_end(last: str) -> int:
    """Return how many bytes at the very end are the start of a character that was cut off: no sign of another encoding."""
    return len(last) if len(last) <= 3 and all("\udc80" <= character <= "\udcff" for character in last) else 0


def _lines_beyond_ascii(data: bytes) -> bytes:
    return b"\n".join(line for line in data.split(b"\n") if not line.isascii())


def guess(sample: bytes) -> Encoding:
    """Guess a legacy encoding from bytes that are not UTF-8."""
    import chardet

    found = chardet.detect(sample)
    name = found["encoding"]
    if not name:
        return Encoding("windows-1252", 0.0)
    return Encoding(codecs.lookup(name).name, float(found["confidence"]))


def read_text(path: Path, encoding: Encoding) -> Iterator[str]:
    """Yield a file's text in pieces of about a megabyte, newlines as `\\n`; bytes that are not valid come as lone surrogates."""
    decoder = IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding.name)("surrogateescape"), translate=True)
    with path.open("rb") as file:
        while True:
            data = file.read(CHUNK_BYTES)
            text = decoder.decode(data, final=not data)
            if text:
                yield text
            if not data:
                return
