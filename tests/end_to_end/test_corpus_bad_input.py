"""A folder of everything that was ever sent to break a parser: each file costs one document, and the rest becomes a corpus."""

import bz2
import gzip
import io
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rodna.corpus.build import build_corpus, make_documents
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.documents import SPLITS, Document, Dropped, read_documents, read_dropped
from rodna.corpus.inspect import statistics_of
from rodna.corpus.tally import Tally

WORDS = "хата лес рака поле неба зямля сонца дзень вечар ноч вада агонь камень дрэва птушка звер рыба мова слова песня".split()  # noqa: SIM905


def text_of(seed: Any, *, num_words: int = 60) -> str:
    """Return invented text that is no copy of any other."""
    source = random.Random(str(seed))
    return " ".join(f"{source.choice(WORDS)}{source.choice(WORDS)}" for _ in range(num_words)) + "."


@dataclass(frozen=True)
class Built:
    """What came of a folder, by the name of the file without its number."""

    kept: Mapping[str, list[Document]]
    dropped: Mapping[str, list[Dropped]]
    figures: Mapping[str, Any]

    def fate(self, name: str) -> list[tuple[str, str]]:
        """Return reason and detail of all that was dropped of a file, ("kept", "") for what was kept."""
        return [("kept", "")] * len(self.kept.get(name, [])) + [(item.reason, item.detail) for item in self.dropped.get(name, [])]


CONFIG: dict[str, Any] = {"split": {"min_bytes": 100}, "language": {"action": "keep"}, "quality": {"filter": False}}


def build(folder: Path, sources: Mapping[str, Mapping[str, Any]], **config: Any) -> Built:
    """Build a corpus of sources in a folder, and look at what became of each file."""
    out = folder / "out" / "corpus-00000000"
    made = {name: Source.model_validate(values) for name, values in sources.items()}
    corpus = build_corpus(made, CorpusConfig.model_validate(CONFIG | config), out, language="be", root=folder)
    assert [path.name for path in out.parent.iterdir()] == [out.name], "nothing half-written may be left"
    kept: dict[str, list[Document]] = {}
    for split in SPLITS:
        for document in read_documents(corpus.path, split):
            kept.setdefault(name_in(document.id), []).append(document)
    dropped: dict[str, list[Dropped]] = {}
    for item in read_dropped(corpus.path):
        assert item.reason
        dropped.setdefault(name_in(item.id), []).append(item)
    figures = statistics_of(corpus)
    documents, size = figures["balance"], figures["balance_bytes"]
    assert documents["read"] == documents["kept"] + documents["dropped"] == sum(map(len, [*kept.values(), *dropped.values()]))
    assert size["read"] + size["changed"] == size["kept"] + size["dropped"]
    return Built(kept, dropped, figures)


def name_in(identity: str) -> str:
    return identity.partition("/")[2].rpartition("#")[0]


def write_good(folder: Path, *, number: int = 12) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(number):
        (folder / f"good-{index:02d}.txt").write_text(text_of(index), encoding="utf-8")


def is_whole(built: Built, *, number: int = 12) -> bool:
    """Return whether all of the good files are kept as they are."""
    return all([document.text for document in built.kept.get(f"good-{index:02d}.txt", [])] == [text_of(index)] for index in range(number))


def packed(path: Path, members: Mapping[str, str | bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def office(path: Path, xml: str) -> None:
    """Write XML as the main part of an office document or a book, as the name says."""
    container = '<container><rootfiles><rootfile full-path="book.opf"/></rootfiles></container>'
    item = '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
    book = f'<package><manifest>{item}</manifest><spine><itemref idref="a"/></spine></package>'
    packed(
        path,
        {
            ".docx": {"[Content_Types].xml": "<Types/>", "word/document.xml": xml},
            ".odt": {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": xml},
            ".epub": {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "book.opf": book, "a.xhtml": xml},
        }[path.suffix],
    )


def explosive(declarations: str, use: str, suffix: str) -> str:
    """Return XML of one paragraph, in the vocabulary of a kind of file, that uses entities."""
    office_names = "urn:oasis:names:tc:opendocument:xmlns:{}:1.0".format
    root, body = {
        ".docx": (
            "w:document",
            f'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
            f"<w:p><w:r><w:t>{use}</w:t></w:r></w:p></w:body></w:document>",
        ),
        ".odt": (
            "o:document-content",
            f'<o:document-content xmlns:o="{office_names("office")}" xmlns:t="{office_names("text")}">'
            f"<o:body><o:text><t:p>{use}</t:p></o:text></o:body></o:document-content>",
        ),
        ".epub": ("html", f'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>{use}</p></body></html>'),
        ".svg": ("svg", f'<svg xmlns="http://www.w3.org/2000/svg"><text>{use}</text></svg>'),
        ".xml": ("book", f"<book><para>{use}</para></book>"),
    }[suffix]
    return f'<?xml version="1.0"?><!DOCTYPE {root} [{declarations}]>{body}'


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
BOMBS = {
    "laughs": (f'<!ENTITY l0 "смех">{LAUGHS}', "&l11;"),
    "quadratic": (f'<!ENTITY a "{"яма" * 40_000}">', "&a;" * 20_000),
}


def write_bombs(folder: Path) -> None:
    for (name, (declarations, use)), suffix in itertools.product(BOMBS.items(), (".xml", ".svg", ".docx", ".odt", ".epub")):
        xml = explosive(declarations, use, suffix)
        if suffix in (".xml", ".svg"):
            (folder / f"{name}{suffix}").write_text(xml, encoding="utf-8")
        else:
            office(folder / f"{name}{suffix}", xml)
    packed(folder / "bomb.zip", {"zeros.txt": bytes(80 << 20), "after.txt": text_of("after")})
    (folder / "bomb.txt.gz").write_bytes(gzip.compress(bytes(80 << 20)))
    (folder / "bomb.txt.bz2").write_bytes(bz2.compress(b"\n" * (70 << 20)))


def write_escapes(folder: Path, outside: Path) -> None:
    """Write archives and links that lead out of the folder."""
    names = {"traversal": "../../escaped.txt", "absolute": f"{outside}/escaped.txt", "windows": "C:\\escaped.txt"}
    for kind, name in names.items():
        packed(folder / f"{kind}.zip", {name: text_of(kind), "inside.txt": text_of(f"inside {kind} zip")})
        with tarfile.open(folder / f"{kind}.tar.gz", "w:gz") as archive:
            for member, content in ((name, text_of(kind)), ("inside.txt", text_of(f"inside {kind} tar"))):
                info = tarfile.TarInfo(member)
                info.size = len(content.encode())
                archive.addfile(info, io.BytesIO(content.encode()))
    with tarfile.open(folder / "links.tar", "w") as archive:
        for name, kind, target in (("a", tarfile.SYMTYPE, "/etc/passwd"), ("b", tarfile.LNKTYPE, "../../x"), ("c", tarfile.CHRTYPE, "")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)
    (folder / "loop-1").symlink_to("loop-2")
    (folder / "loop-2").symlink_to("loop-1")
    (folder / "self").symlink_to(".", target_is_directory=True)
    (folder / "deeper").mkdir()
    (folder / "deeper" / "up").symlink_to("..", target_is_directory=True)
    (folder / "deeper" / "deep.txt").write_text(text_of("deep"), encoding="utf-8")
    (folder / "out.txt").symlink_to(outside / "secret.txt")
    (folder / "out-folder").symlink_to(outside, target_is_directory=True)
    (folder / "nowhere.txt").symlink_to("not-there")


PDF_LOCKED = (
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n"
    b"trailer<</Size 3/Root 1 0 R/Encrypt<</Filter/Standard/V 1/R 2/O<" + b"11" * 32 + b">/U<" + b"22" * 32 + b">/P -4>>/ID[<"
    + b"33" * 16 + b"><" + b"33" * 16 + b">]>>\n%%EOF"
)  # fmt: skip


def write_disguised(folder: Path) -> None:
    """Write files that are not what their names say, and files nobody has the key to."""
    page = f"<!DOCTYPE html><html><head><title>т</title></head><body><p>{text_of('page')}</p></body></html>"
    (folder / "png.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 8)
    (folder / "page.pdf").write_text(page, encoding="utf-8")
    paragraph = f"<w:p><w:r><w:t>{text_of('letter')}</w:t></w:r></w:p>"
    letter = f'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{paragraph}</w:body></w:document>'
    office(folder / "letter.docx", letter)
    (folder / "letter.docx").rename(folder / "letter.zip")
    (folder / "gzip.txt").write_bytes(gzip.compress(text_of("gzip").encode()))
    (folder / "text.docx").write_text(text_of("text.docx"), encoding="utf-8")
    (folder / "text.parquet").write_text(text_of("text.parquet"), encoding="utf-8")
    (folder / "text.jsonl").write_text(text_of("text.jsonl"), encoding="utf-8")
    (folder / "locked.pdf").write_bytes(PDF_LOCKED)
    packed(folder / "locked.zip", {"a.txt": text_of("locked")})
    data = bytearray((folder / "locked.zip").read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (folder / "locked.zip").write_bytes(data)
    for name in ("nothing.txt", "nothing.pdf", "nothing.docx", "nothing.warc.gz", "nothing.zip", "nothing"):
        (folder / name).write_bytes(b"")


def warc(text: str) -> bytes:
    body = f"<html><body><p>{text}</p></body></html>".encode()
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://example.org/\r\nContent-Length: {len(http)}\r\n\r\n"
    return head.encode() + http + b"\r\n\r\n"


def write_damaged(folder: Path) -> None:
    pages = [warc(text_of(f"page {number}")) for number in range(3)]
    (folder / "whole.warc.gz").write_bytes(b"".join(gzip.compress(page) for page in pages))
    (folder / "short.warc.gz").write_bytes(gzip.compress(warc(text_of("short 1"))) + gzip.compress(warc(text_of("short 2")))[:-90])
    (folder / "short.warc").write_bytes(warc(text_of("short 3")) + warc(text_of("short 4"))[:-200])
    lies = warc(text_of("lies 1")).replace(b"Content-Length: ", b"Content-Length: 9") + warc(text_of("lies 2"))
    (folder / "lies.warc").write_bytes(lies)
    (folder / "noise.warc").write_bytes(b"WARC/1.0\r\n" + random.Random(1).randbytes(5000))
    for name in ("noise.pdf", "noise.docx", "noise.epub", "noise.zip", "noise.txt", "noise.gz", "noise.svg", "noise.parquet"):
        head = {"noise.pdf": b"%PDF-1.7\n", "noise.gz": b"\x1f\x8b\x08\0", "noise.parquet": b"PAR1"}.get(
            name, b"PK\x03\x04" * (name[-3:] in ("ocx", "pub", "zip"))
        )
        (folder / name).write_bytes(head + random.Random(name).randbytes(20_000))


NAMES = [
    "new\nline.txt",
    "esc\x1b[2Jape.txt",
    os.fsdecode(b"byte\xff\xfe.txt"),
    "x" * 251 + ".txt",
    "back\\slash.txt",
    "-rf.txt",
    "a#1.txt",
]


def write_named(folder: Path) -> None:
    for name in NAMES:
        (folder / name).write_text(text_of(name.encode("utf-8", "surrogateescape")), encoding="utf-8")
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(".", os.O_RDONLY)
        # A socket's whole path may be no longer than about a hundred bytes.
        os.chdir(folder)
        try:
            listener.bind("socket.txt")
        finally:
            os.chdir(here)
            os.close(here)
    fields = '"encoding": 5, "title": "\\ud800", "n": 123456789012345678901234567890, "x": NaN, "y": 1e999, "\\udfff": "\\udc00"'
    (folder / "fields.jsonl").write_text(f'{{"text": "{text_of("fields")}", {fields}}}\n', encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("hostile")
    folder, outside = root / "texts", root / "outside"
    write_good(folder)
    outside.mkdir()
    (outside / "secret.txt").write_text(text_of("secret"), encoding="utf-8")
    for write in (write_bombs, write_disguised, write_damaged, write_named):
        write(folder)
    write_escapes(folder, outside)
    built = build(root, {"texts": {"path": "texts"}})
    assert not (outside / "escaped.txt").exists()
    assert not list(root.rglob("escaped*"))
    return built


def test_the_rest_of_the_folder_becomes_a_corpus(hostile: Built) -> None:
    assert is_whole(hostile)
    assert not [item for items in hostile.dropped.values() for item in items if len(item.detail) < 10]
    texts = [document.text for items in hostile.kept.values() for document in items]
    assert not [text for text in texts if "root:" in text or text_of("secret") in text or "WARC/1" in text]


def test_every_file_is_kept_or_named_in_the_drops(hostile: Built) -> None:
    told = {*hostile.kept, *hostile.dropped}
    assert {"self", "deeper/up"} & told == set(), "a link back into the folder is no file of its own"
    assert {"loop-1", "loop-2", "out.txt", "out-folder", "nowhere.txt", "pipe.txt", "socket.txt", "nothing"} <= told
    assert all(hostile.fate(name) != [] for name in told)


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.txt.gz", "bomb.txt.bz2"])
def test_a_packed_bomb_costs_itself(hostile: Built, name: str) -> None:
    ((reason, detail),) = hostile.fate(name)
    assert reason == "archive_bomb"
    assert "unpack to more than 250 times as many" in detail


@pytest.mark.parametrize("suffix", [".xml", ".svg", ".docx", ".odt", ".epub"])
@pytest.mark.parametrize("kind", BOMBS)
def test_an_xml_bomb_costs_itself_whatever_it_is_wrapped_in(hostile: Built, kind: str, suffix: str) -> None:
    ((reason, _),) = hostile.fate(kind + suffix)
    assert reason in (("xml_bomb",) if suffix in (".xml", ".svg") else ("xml_bomb", "no_text", "blank_file", "damaged"))


@pytest.mark.parametrize("kind", ["traversal", "absolute", "windows"])
@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_a_member_that_would_leave_the_archive_costs_itself(hostile: Built, kind: str, suffix: str) -> None:
    assert [document.text for document in hostile.kept[kind + suffix]] == [text_of(f"inside {kind} {suffix.split('.')[1]}")]
    ((reason, detail),) = [(item.reason, item.detail) for item in hostile.dropped[kind + suffix]]
    assert reason == "unsafe_path"
    assert "escaped.txt: its name " in detail


def test_links_and_devices_in_an_archive_are_not_followed(hostile: Built) -> None:
    assert hostile.fate("links.tar") == [("unsafe_path", f"{name}: a link or device") for name in "abc"]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("loop-1", "a link that leads nowhere: Too many levels of symbolic links"),
        ("nowhere.txt", "a link that leads nowhere: No such file or directory"),
        ("out.txt", "a link that leads out of the source: copy what it leads to into the folder"),
        ("out-folder", "a link that leads out of the source: copy what it leads to into the folder"),
        ("pipe.txt", "not a file but a folder, pipe, socket or device"),
        ("socket.txt", "not a file but a folder, pipe, socket or device"),
    ],
)
def test_what_is_no_file_is_named_and_never_opened(hostile: Built, name: str, detail: str) -> None:
    assert hostile.fate(name) == [("not_a_file", detail)]


@pytest.mark.parametrize(
    ("name", "text"),
    [("page.pdf", "page"), ("letter.zip", "letter"), ("gzip.txt", "gzip"), ("text.docx", "text.docx"), ("text.parquet", "text.parquet")],
)
def test_a_wrong_name_does_not_hide_a_text(hostile: Built, name: str, text: str) -> None:
    (document,) = hostile.kept[name]
    assert document.text == text_of(text)


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("png.txt", "not_text", "PNG image: convert it to text first"),
        ("locked.pdf", "password_protected", "without a password"),
        ("locked.zip", "password_protected", "a.txt: encrypted: unpack it with its password"),
        ("nothing", "empty_file", "the file has no bytes"),
        ("nothing.zip", "empty_file", "the file has no bytes"),
        ("nothing.warc.gz", "empty_file", "the file has no bytes"),
        ("noise.pdf", "damaged", "not a PDF that can be opened"),
        ("noise.docx", "damaged", "cannot be opened"),
        ("noise.epub", "damaged", "cannot be opened"),
        ("noise.gz", "damaged", "the gzip data are broken"),
        ("noise.zip", "truncated", "the archive's end, with the list of its members, is missing"),
        ("noise.txt", "not_text", "NUL bytes among the first"),
        ("noise.svg", "not_text", "NUL bytes among the first"),
        ("noise.parquet", "unreadable_file", "the Parquet file cannot be read"),
        ("text.jsonl", "invalid_json", "line 1: Expecting value"),
    ],
)
def test_what_cannot_be_read_says_why(hostile: Built, name: str, reason: str, detail: str) -> None:
    ((found, told),) = hostile.fate(name)
    assert found == reason
    assert detail in told


def test_a_damaged_web_archive_keeps_the_pages_before_the_damage(hostile: Built) -> None:
    def pages(name: str) -> list[str]:
        return [document.text for document in hostile.kept.get(name, [])]

    assert sorted(pages("whole.warc.gz")) == sorted(text_of(f"page {number}") for number in range(3))
    assert text_of("short 1") in pages("short.warc.gz")
    assert "truncated" in {reason for reason, _ in hostile.fate("short.warc.gz")}
    assert text_of("short 3") in pages("short.warc")
    assert pages("lies.warc")[0].startswith(text_of("lies 1"))
    assert {reason for reason, _ in hostile.fate("noise.warc")} == {"damaged", "damaged_record"}


def test_any_name_a_file_can_have_is_read_and_can_be_printed(hostile: Built) -> None:
    texts = {document.text for items in hostile.kept.values() for document in items}
    assert {text_of(name.encode("utf-8", "surrogateescape")) for name in NAMES} <= texts
    assert {"new\\nline.txt", "esc\\x1b[2Jape.txt", "byte\\udcff\\udcfe.txt", "back\\\\slash.txt"} <= set(hostile.kept)


def test_fields_that_json_should_not_have_do_no_harm(hostile: Built) -> None:
    (document,) = hostile.kept["fields.jsonl"]
    assert document.text == text_of("fields")
    assert document.meta == {"encoding": 5, "title": "?", "n": "123456789012345678901234567890", "?": "?"}


PLUGIN = """
import ctypes, os, tempfile
from rodna.corpus.extractors import Piece

def extract(path, source, limits):
    text = path.read_text(encoding="utf-8")
    yield Piece(text)
    command = path.stem.rpartition("-")[2]
    other = path.parent.parent / "texts"
    if command == "spin":
        while True:
            pass
    elif command == "crash":
        ctypes.string_at(0)
    elif command == "bloat":
        hoard = []
        while True:
            # Zeros that nobody touches: the limit is on addresses, and a busy machine takes long to hand out pages.
            hoard.append(bytes(1 << 26))
    elif command == "disk":
        with tempfile.NamedTemporaryFile() as file:
            # A hole, so that the disk of those who test is spared.
            file.seek(1_000_000_000)
            while True:
                file.write(bytes(1 << 20))
    elif command == "grow":
        with path.open("a", encoding="utf-8") as file:
            file.write("больш")
    elif command == "vanish":
        path.unlink()
    elif command == "others":
        (other / "gone.txt").unlink()
        (other / "new.txt").write_text("new", encoding="utf-8")
        (other / "grown.txt").write_text((other / "grown.txt").read_text(encoding="utf-8") * 2, encoding="utf-8")
        (other / "folder.txt").unlink()
        (other / "folder.txt").mkdir()
        (other / "pipe.txt").unlink()
        os.mkfifo(other / "pipe.txt")
"""


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    """A corpus of two sources; the parser of the first, a plugin, does whatever the names of its files say."""
    root = tmp_path_factory.mktemp("plugged")
    folder = root / "packages" / "hostile_parser-1.0.dist-info"
    folder.mkdir(parents=True)
    (root / "packages" / "hostile_parser.py").write_text(PLUGIN, encoding="utf-8")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-parser\nVersion: 1.0\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text("[rodna.extractors]\nhostile_parser = hostile_parser:extract\n", encoding="utf-8")
    (root / "commands").mkdir()
    for number, command in enumerate(("spin", "crash", "bloat", "disk", "grow", "vanish", "others", "nothing")):
        (root / "commands" / f"{number}-{command}.txt").write_text(text_of(command), encoding="utf-8")
    write_good(root / "texts")
    for name in ("gone", "grown", "folder", "pipe"):
        (root / "texts" / f"{name}.txt").write_text(text_of(name), encoding="utf-8")
    sys.path.insert(0, str(root / "packages"))
    try:
        yield build(
            root,
            {"commands": {"path": "commands", "format": "hostile_parser"}, "texts": {"path": "texts"}},
            extract={"seconds": 3, "memory_mb": 512},
        )
    finally:
        sys.path.remove(str(root / "packages"))


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("0-spin.txt", "parser_timed_out", "after document 1: no progress in 3 seconds (extract.seconds)"),
        ("1-crash.txt", "parser_crashed", "after document 1: ended by SIGSEGV"),
        ("2-bloat.txt", "parser_out_of_memory", "after document 1: it took more memory than allowed (extract.memory_mb)"),
        ("3-disk.txt", "parser_wrote_too_much", "after document 1: it wrote a file of more than 1,073,741,824 bytes"),
    ],
)
def test_a_parser_that_goes_astray_costs_what_it_had_not_read_yet(plugged: Built, name: str, reason: str, detail: str) -> None:
    assert is_whole(plugged)
    assert plugged.fate(name) == [("kept", ""), (reason, detail)]
    assert plugged.fate("7-nothing.txt") == [("kept", "")]


@pytest.mark.parametrize("name", ["4-grow.txt", "5-vanish.txt"])
def test_a_file_that_changes_while_it_is_read_is_dropped_whole(plugged: Built, name: str) -> None:
    assert plugged.fate(name) == [("file_changed", "the file changed or vanished while it was read")]


def test_files_that_change_before_their_turn_are_read_as_they_are_then(plugged: Built) -> None:
    assert plugged.fate("gone.txt") == [("unreadable_file", "No such file or directory")]
    assert plugged.fate("new.txt") == []
    assert [document.text for document in plugged.kept["grown.txt"]] == [text_of("grown") * 2]
    for name in ("folder.txt", "pipe.txt"):
        assert plugged.fate(name) == [("unreadable_file", "not a regular file but a folder, pipe or device")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 1 MB; root alone may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def write_project(root: Path, *, num_files: int, workers: int, num_words: int = 60) -> None:
    """Write a workspace whose text is read in several tasks."""
    (root / "texts").mkdir(parents=True)
    for index in range(num_files):
        (root / "texts" / f"{index:05d}.txt").write_text(text_of(index, num_words=num_words), encoding="utf-8")
    (root / "project.yaml").write_text(
        "language: be\nname: try\nsources: {texts: {path: texts}}\n"
        "corpus: {split: {min_bytes: 1000}, language: {action: keep}, quality: {filter: false}, "
        f"runner: {{workers: {workers}}}}}\n",
        encoding="utf-8",
    )


def start_build(root: Path, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "rodna.cli", "corpus", "build", "--workspace", str(root)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment, start_new_session=True
    )


def contents(root: Path) -> dict[str, bytes]:
    """Return the files of all artifacts but their manifests, which say when they were made."""
    files = sorted(path for path in (root / "artifacts").rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files if path.name != "manifest.json"}


@pytest.mark.parametrize(("workers", "size"), [(2, "200k"), pytest.param(1, "700k", marks=pytest.mark.slow)])
def test_a_disk_that_fills_up_is_one_clear_error_and_with_more_space_the_build_goes_on(
    small_disk: Path, tmp_path: Path, workers: int, size: str
) -> None:
    # The smaller one is full in the first stage, in its workers; the larger in the second.
    subprocess.run(["mount", "-o", f"remount,size={size}", str(small_disk)], check=True)
    write_project(tmp_path / "work", num_files=1100, workers=workers)
    (tmp_path / "work" / "artifacts").symlink_to(small_disk, target_is_directory=True)
    full = start_build(tmp_path / "work")
    _, said = full.communicate(timeout=120)
    assert full.returncode == 1, said
    assert "error: cannot write: the disk is full" in said
    assert "  where: " in said
    assert "  fix:   free some space, then run the same command again" in said
    assert "Traceback" not in said
    finished = [path for path in small_disk.glob("*/*") if not path.name.startswith(".")]
    assert [path for path in finished if not (path / "manifest.json").is_file()] == [], "nothing half-written may be left"
    assert len(finished) == (size == "700k")
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    again = start_build(tmp_path / "work")
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert sorted(path.name.split("-")[0] for path in small_disk.glob("*/*")) == ["try"] * 3


def test_no_space_for_what_is_unpacked_is_an_error_and_not_the_loss_of_every_archive(small_disk: Path, tmp_path: Path) -> None:
    write_project(tmp_path / "work", num_files=5, workers=1)
    packed(tmp_path / "work" / "texts" / "large.zip", {"large.txt": "".join(text_of(number) for number in range(15_000))})
    done = start_build(tmp_path / "work", TMPDIR=str(small_disk))
    _, said = done.communicate(timeout=120)
    assert done.returncode == 1, said
    assert "the disk is full" in said or "no space for temporary files" in said
    assert "  fix:   free some space, or set TMPDIR to a larger disk" in said
    assert not list(small_disk.iterdir())


def wait_for_results(process: "subprocess.Popen[str]", root: Path, stage: str) -> Path:
    """Wait until a stage has finished one of its tasks; return its folder for work."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = list((root / "artifacts" / stage).glob(".try-*.work/results/0*.json"))
        if found:
            return found[0].parents[1]
        if process.poll() is not None:
            pytest.fail(f"the build ended before {stage} had a result: {process.communicate()[1]}")
        time.sleep(0.002)
    pytest.fail(f"{stage} had no result in two minutes")


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of three tasks, built in one go."""
    root = tmp_path_factory.mktemp("never") / "work"
    write_project(root, num_files=2100, workers=1, num_words=25)
    process = start_build(root)
    assert process.communicate(timeout=120) is not None
    assert process.returncode == 0
    return root


@pytest.mark.parametrize("stage", ["documents", pytest.param("cleaned", marks=pytest.mark.slow)])
def test_a_build_killed_half_way_goes_on_and_gives_the_same_bytes(never_stopped: Path, tmp_path: Path, stage: str) -> None:
    root, temporary = tmp_path / "work", tmp_path / "temporary"
    temporary.mkdir()
    shutil.copytree(never_stopped / "texts", root / "texts")
    shutil.copyfile(never_stopped / "project.yaml", root / "project.yaml")
    process = start_build(root, TMPDIR=str(temporary))
    work = wait_for_results(process, root, stage)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    tasks = len(list((work / "results").glob("0*.json")))
    assert tasks < 3, "killed too late to say anything"
    finished = {path.name: path.stat().st_ino for path in (work / "files").glob("00000*") if not path.name.endswith((".tmp", ".npz"))}
    assert finished
    assert not [
        path for path in (root / "artifacts").glob("*/*") if not path.name.startswith(".") and not (path / "manifest.json").is_file()
    ]
    for folder in temporary.iterdir():
        os.utime(folder, (1, 1))
    again = start_build(root, TMPDIR=str(temporary))
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert contents(root) == contents(never_stopped)
    (artifact,) = (root / "artifacts" / stage).glob("try-*")
    kept = {path.name: path.stat().st_ino for path in artifact.iterdir()}
    assert {name: kept[name] for name in finished if name in kept} == {name: finished[name] for name in finished if name in kept}
    assert any(name in kept for name in finished), "finished tasks are not done again"
    assert not list((root / "artifacts").glob("*/.*"))
    if stage == "documents":
        assert not list(temporary.iterdir()), "the folder of the killed process goes when files are read again"


LONG_LINES = {
    "line.txt": (b"", b""),
    "line.md": (b"", b""),
    "line.html": (b"<html><body><p>", b"</p></body></html>"),
    "line.jsonl": (b'{"text": "', b'"}\n'),
    "line.csv": (b'a,text\n1,"', b'"\n'),
    "line.xml": (b"<book><para>", b"</para></book>"),
    "line.srt": (b"1\n00:00:01,000 --> 00:00:02,000\n", b"\n"),
    "line.warc": (b"", b""),
}


def write_line(path: Path, num_bytes: int) -> None:
    """Write a file that is one line, of text that does not repeat."""
    before, after = LONG_LINES[path.name]
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.write(before)
        block = " ".join(text_of(number) for number in range(800)).replace(".", "") + " "
        for number in range(num_bytes // len(block.encode()) + 1):
            # A block's words in another order each time: cheaper than inventing them anew.
            words = block.split(" ")[number % 97 :: 1 + number % 7]
            file.write((" ".join(words) + f" {number} ").encode())
            while file.tell() < (number + 1) * len(block.encode()) and file.tell() < num_bytes:
                file.write((" ".join(words[::-1]) + " ").encode())
        file.write(after)


def test_a_long_line_is_cut_and_the_rest_of_the_folder_built(tmp_path: Path) -> None:
    write_good(tmp_path / "texts")
    write_line(tmp_path / "texts" / "line.txt", 8 << 20)
    built = build(tmp_path, {"texts": {"path": "texts"}})
    assert is_whole(built)
    assert 8 <= len(built.fate("line.txt")) < 12
    assert built.figures["balance_bytes"]["read"] >= 8 << 20


@pytest.mark.parametrize(
    ("name", "num_bytes"), [("line.txt", 100 << 20), *[pytest.param(name, 1 << 30, marks=pytest.mark.slow) for name in LONG_LINES]]
)
def test_a_line_without_end_is_cut_or_rejected_and_never_held_whole(tmp_path: Path, name: str, num_bytes: int) -> None:
    write_line(tmp_path / "texts" / name, num_bytes)
    # A parser may have less memory than the line is long.
    config = CorpusConfig.model_validate(CONFIG | {"extract": {"memory_mb": 768}, "runner": {"workers": 1}})
    write_good(tmp_path / "texts", number=1)
    documents = make_documents({"texts": Source(path="texts")}, config, tmp_path / "documents-00000000", language="be", root=tmp_path)
    tally = Tally.from_json(json.loads((documents.path / "tally.json").read_text(encoding="utf-8")))
    reasons = {key[-1] for key in tally.table("dropped_documents")}
    assert reasons <= {"page_too_large", "line_too_long", "row_too_long", "too_large", "damaged"}
    assert tally.total("read_bytes") >= num_bytes
    assert reasons or documents.counts["documents"] > num_bytes >> 20
    assert documents.counts["documents"] >= 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_what_may_not_be_read_is_named_and_the_rest_is_built(tmp_path: Path) -> None:
    write_good(tmp_path / "texts")
    (tmp_path / "texts" / "locked.txt").write_text(text_of("locked"), encoding="utf-8")
    (tmp_path / "texts" / "folder").mkdir()
    (tmp_path / "texts" / "folder" / "inside.txt").write_text(text_of("inside"), encoding="utf-8")
    for name in ("locked.txt", "folder"):
        (tmp_path / "texts" / name).chmod(0)
    try:
        built = build(tmp_path, {"texts": {"path": "texts"}})
    finally:
        for name in ("locked.txt", "folder"):
            (tmp_path / "texts" / name).chmod(0o700)
    assert is_whole(built)
    assert built.fate("locked.txt") == [("unreadable_file", "Permission denied")]
    assert built.fate("folder") == [("not_a_file", "a folder that cannot be opened: Permission denied")]
