"""What a file is: told by its content where that is unmistakable, else by its name."""

import json
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 1 << 16
_OFFICE = "save it as {name} in the program that wrote it (or: soffice --headless --convert-to {to} FILE)"
_UNPACK = "unpack it, and give the folder"


@dataclass(frozen=True)
class Format:
    """What a file is.

    `extractor` is the name of what reads it, "" for none; then `reason` is why, `kind` what a person calls it and `fix` what to do.
    """

    extractor: str
    kind: str = ""
    reason: str = "not_text"
    fix: str = "convert it to text first"

    @property
    def detail(self) -> str:
        return f"{self.kind}: {self.fix}"


SUFFIXES = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".jsonl": "json_lines",
    ".ndjson": "json_lines",
    ".json": "json",
    ".ipynb": "json",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".mhtml": "text",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".xml": "xml",
    ".svg": "svg",
    ".fb2": "xml",
    ".srt": "subtitles",
    ".vtt": "subtitles",
    ".ass": "subtitles",
    ".ssa": "subtitles",
    ".sub": "subtitles",
}
"""File name endings and the extractor that reads them; only of formats that are text. Packed formats are known by their first bytes."""

BINARY_SIGNATURES: dict[bytes, str] = {
    b"\x89PNG": "PNG image",
    b"\xff\xd8\xff": "JPEG image",
    b"GIF8": "GIF image",
    b"II*\x00": "TIFF image",
    b"MM\x00*": "TIFF image",
    b"\x00\x00\x01\x00": "icon",
    b"SQLite format 3": "SQLite database",
    b"ID3": "MP3 sound",
    b"\xff\xfb": "MP3 sound",
    b"fLaC": "FLAC sound",
    b"OggS": "Ogg sound",
    b"RIFF": "RIFF image, sound or video",
    b"\x1aE\xdf\xa3": "Matroska video",
    b"\x7fELF": "program",
    b"MZ\x90": "program",
    b"\xca\xfe\xba\xbe": "program",
    b"\x00\x01\x00\x00\x00": "font",
    b"OTTO": "font",
    b"wOFF": "font",
    b"wOF2": "font",
    b"%!PS": "PostScript",
    b"AT&TFORM": "DjVu",
    b"ITSF": "compiled HTML help",
}
"""How files that hold no text we can read begin."""

_UNSUPPORTED: dict[bytes, tuple[str, str]] = {
    b"7z\xbc\xaf\x27\x1c": ("7-Zip archive", _UNPACK),
    b"Rar!\x1a\x07": ("RAR archive", _UNPACK),
    b"\x04\x22\x4d\x18": ("LZ4 file", "unpack it with lz4 -d"),
    b"\x1f\x9d": ("compress (.Z) file", "unpack it with gunzip"),
    b"!<arch>\n": ("ar archive", _UNPACK),
    b"MSCF": ("cabinet archive", _UNPACK),
    b"%!PS": ("PostScript", "convert it with ps2pdf"),
    b"AT&TFORM": ("DjVu", "convert it with djvutxt, or ddjvu -format=pdf"),
    b"ITSF": ("compiled HTML help", "unpack its pages with extract_chmLib or 7z"),
    b"SQLite format 3": ("SQLite database", "export its text as CSV or JSON Lines"),
}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_OOXML = {"word/": "docx", "xl/": "XLSX spreadsheet", "ppt/": "PPTX presentation"}
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_OLE = {"WordDocument": ("DOC document", "docx"), "Workbook": ("XLS spreadsheet", "csv"), "Book": ("XLS spreadsheet", "csv")}
_SUBTITLE = re.compile(
    r"\s*(?:WEBVTT(?=\s|$)|\d+\s*\n\s*\d{1,3}:\d\d:\d\d[,.:]\d{1,3}\s*-->|\[Script Info\]|\{\d+\}\{\d+\}\S)", re.IGNORECASE
)
_ROOT = re.compile(
    r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>\s*)*<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)[\s/>]", re.DOTALL
)
_HTML_DOCTYPE = re.compile(r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*)*<!doctype\s+html", re.IGNORECASE | re.DOTALL)
_HTML_ROOTS = frozenset({"html", "head", "body"})


def sniff(path: Path, name: str = "") -> Format:
    """Return what a file is.

    Args:
        path: the file.
        name: what it is called, where that is not the path's own name: a member of an archive.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    suffix = Path(name or path.name).suffix.lower()
    return _packed(path, head, suffix, name or path.name) or _binary(path, head) or Format(_text(head, suffix))


def kind_of_binary(head: bytes) -> str:
    """Return what a file that begins like this is, "" where it may be text."""
    known = {**BINARY_SIGNATURES, **{mark: kind for mark, (kind, _) in _UNSUPPORTED.items()}, **_COMPRESSED}
    known |= {b"%PDF": "PDF", b"PK\x03\x04": "ZIP", b"\xd0\xcf\x11\xe0": "old Microsoft Office", b"{\\rtf": "RTF", b"PAR1": "Parquet"}
    return next((kind for mark, kind in known.items() if head.startswith(mark)), "")


def _packed(path: Path, head: bytes, suffix: str, name: str) -> Format | None:
    """Return the format of what is known by its first bytes and read by an extractor."""
    if head.startswith(b"PAR1"):
        return Format("parquet")
    # Mailers and servers put lines before a PDF; readers allow for 1,024 bytes.
    if head.startswith(b"%PDF-") or (suffix == ".pdf" and b"%PDF-" in head[:1024]):
        return Format("pdf")
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{\\rtf"):
        return Format("rtf")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")):
        return _zip(path, head, suffix)
    if head.startswith((b"WARC/0", b"WARC/1", b"filedesc://")):
        return Format("warc")
    if is_tar(head):
        return Format("archive")
    kind = compression_of(head)
    return Format(_inside(path, kind, name)) if kind else None


def compression_of(head: bytes) -> str:
    """Return how a file that begins like this is compressed: gzip, bzip2, xz, zstd or ""."""
    # "BZh" could begin a word: a level and the mark of a block follow it, or of the end of an empty file.
    if head.startswith(b"BZh") and head[4:10] not in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"):
        return ""
    if re.match(rb"[\x50-\x5f]\x2a\x4d\x18", head):  # a skippable frame of zstd, as pzstd writes
        return "zstd"
    return next((kind for mark, kind in _COMPRESSED.items() if head.startswith(mark)), "")


def is_tar(head: bytes) -> bool:
    """Return whether a file begins with the header of a tar archive, whose checksum is right."""
    if len(head) < 512 or not head[0]:
        return False
    field = head[148:156].strip(b" \0")
    if not re.fullmatch(rb"[0-7]{1,7}", field):
        return False
    return int(field, 8) == sum(head[:148]) + 8 * 32 + sum(head[156:512])


def _zip(path: Path, head: bytes, suffix: str) -> Format:
    """Tell the formats that are ZIP files apart by the names of their members."""
    names, mimetype = _zip_names(path, head)
    if mimetype == "application/epub+zip" or "META-INF/container.xml" in names:
        return Format("epub")
    if mimetype.startswith(_OPEN_DOCUMENT):
        if mimetype.removeprefix(_OPEN_DOCUMENT).startswith("text"):
            return Format("odt")
        return Format("", f"OpenDocument {mimetype.removeprefix(_OPEN_DOCUMENT)}", "unsupported_format", "save its text as ODT, CSV or TXT")
    if "[Content_Types].xml" in names:
        for folder, kind in _OOXML.items():
            if any(name.startswith(folder) for name in names):
                fix = "save it as CSV" if folder == "xl/" else "save it as PDF, or its outline as RTF"
                return Format(kind) if kind == "docx" else Format("", kind, "unsupported_format", fix)
        return Format("", "Office Open XML file of an unknown kind", "unsupported_format", _save_as("docx"))
    # A truncated file has lost the list of its members.
    return Format({".docx": "docx", ".epub": "epub", ".odt": "odt"}.get(suffix, "archive") if not names else "archive")


def _zip_names(path: Path, head: bytes) -> tuple[frozenset[str], str]:
    """Return the names of a ZIP file's members, none where its list is damaged, and what its member `mimetype` says."""
    mimetype = ""
    # As the first member, and not packed, it is there even in a file that was cut off.
    if head[26:28] == b"\x08\x00" and head[30:38] == b"mimetype" and head[8:10] == b"\0\0":
        start = 38 + int.from_bytes(head[28:30], "little")
        mimetype = head[start : start + min(100, int.from_bytes(head[18:22], "little"))].decode("ascii", "replace").strip()
    try:
        with zipfile.ZipFile(path) as file:
            names = frozenset(file.namelist())
            if not mimetype and "mimetype" in names:
                mimetype = file.open("mimetype").read(100).decode("ascii", "replace").strip()
            return names, mimetype
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, struct.error, EOFError, zlib.error):
        return frozenset(), mimetype


def _inside(path: Path, kind: str, name: str) -> str:
    """Return the extractor of a compressed file: of its content where that reads compressed files itself, else `compressed`."""
    from rodna.corpus.extractors.unpacking import peek

    inner = peek(path, kind, HEAD_BYTES)
    if is_tar(inner):
        return "archive"
    if kind in ("gzip", "zstd") and inner.startswith((b"WARC/0", b"WARC/1", b"filedesc://")):
        return "warc"
    if inner and _text(inner, Path(Path(name).stem).suffix.lower()) == "mediawiki":
        return "mediawiki"
    return "compressed"


def _binary(path: Path, head: bytes) -> Format | None:
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole(path, head)
    for mark, (kind, fix) in _UNSUPPORTED.items():
        if head.startswith(mark):
            return Format("", kind, "unsupported_format", fix)
    if head[60:68] in (b"BOOKMOBI", b"TEXtREAd"):
        return Format("", "Mobipocket or Kindle book", "unsupported_format", "convert it to EPUB, with Calibre for one")
    if head[4:8] == b"ftyp":
        return Format("", "MP4 video or HEIF image")
    kind = next((kind for mark, kind in BINARY_SIGNATURES.items() if head.startswith(mark)), "")
    return Format("", kind) if kind and _has_controls(head) else None


def _has_controls(head: bytes) -> bool:
    """Return whether a head has NUL or control bytes: "OTTO" or "GIF8" may begin a text too."""
    return any(byte < 9 or 13 < byte < 27 for byte in head[:512])


def _ole(path: Path, head: bytes) -> Format:
    """Tell the old formats of Microsoft Office apart by the names in their directory. Reference: MS-CFB 2.2, 2.6."""
    names: set[str] = set()
    size = 1 << int.from_bytes(head[30:32], "little") if head[30:32] in (b"\x09\x00", b"\x0c\x00") else 512
    with path.open("rb") as file:
        file.seek((int.from_bytes(head[48:52], "little") + 1) * size)
        directory = file.read(max(size, 4096))
    for start in range(0, len(directory) - 127, 128):
        length = int.from_bytes(directory[start + 64 : start + 66], "little")
        names.add(directory[start : start + min(64, max(0, length - 2))].decode("utf-16-le", "replace"))
    for name, (kind, to) in _OLE.items():
        if name in names:
            return Format("", kind, "unsupported_format", _save_as(to))
    if any(name.startswith("PowerPoint") for name in names):
        return Format("", "PPT presentation", "unsupported_format", _save_as("pdf"))
    if any(name.startswith(("__substg1.0_", "__nameid_", "__properties_")) for name in names):
        return Format("", "Outlook message", "unsupported_format", "save it as text or HTML in Outlook")
    if "EncryptedPackage" in names:
        return Format("", "encrypted Office document", "password_protected", "save it without a password")
    return Format("", "old Microsoft Office file", "unsupported_format", _save_as("docx"))


def _save_as(to: str) -> str:
    return _OFFICE.format(name=to.upper(), to=to)


def _text(head: bytes, suffix: str) -> str:
    """Return the extractor of what may be text, in any encoding."""
    from rodna.corpus.encodings import by_mark, without_mark

    wide = by_mark(head) or without_mark(head) or "utf-8"
    start = head.decode(wide, "replace").lstrip("\ufeff \t\r\n")
    by_name = SUFFIXES.get(suffix, "")
    if start.startswith("<"):
        return _markup(start, by_name)
    if _SUBTITLE.match(start):
        return "subtitles"
    if start.startswith(("{", "[")) and by_name in ("", "json", "json_lines", "text"):
        return _json(start, by_name, suffix)
    # A name that promises markup the content does not begin with; HTML may begin with text.
    if by_name in ("json", "json_lines", "xml", "svg") and not start.startswith(("{", "[", '"')):
        return by_name if not start or by_name == "json_lines" else "text"
    return by_name or "text"


def _markup(start: str, by_name: str) -> str:
    if _HTML_DOCTYPE.match(start):
        return "html"
    root = _ROOT.match(start)
    tag = root[1].lower() if root else ""
    if tag == "mediawiki":
        return "mediawiki"
    if tag in _HTML_ROOTS:
        return "html"
    if tag == "svg":
        return "svg"
    if start.startswith("<?xml") or tag in ("rss", "feed", "tei", "fictionbook", "tmx", "book", "article"):
        return "xml" if by_name != "html" else "html"
    return by_name or ("html" if tag in ("title", "meta", "p", "div", "table", "h1", "center", "ul") else "text")


def _json(start: str, by_name: str, suffix: str) -> str:
    if by_name == "json_lines" or suffix == ".ipynb":
        return by_name
    if start.startswith("["):
        return "json" if by_name == "json" or re.match(r'\[\s*[{"]', start) else by_name or "text"
    first, newline, rest = start.partition("\n")
    try:
        whole = isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        whole = False
    if whole and (by_name != "json" or rest.lstrip().startswith("{")):
        return "json_lines"
    if by_name == "json":
        return "json"
    if re.match(r'\{\s*"(?:[^"\\]|\\.){0,200}"\s*:', start):
        # One object a line, the first longer than what was read; or one object over many lines.
        return "json" if newline and not whole and len(first) < 200 else "json_lines"
    return by_name or "text"
