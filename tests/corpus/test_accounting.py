"""Whatever lies in a folder, its account balances to the document and the byte, and comes out the same twice."""

import bz2
import gzip
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rodna.core.artifact import Artifact
from rodna.core.errors import CorpusError
from rodna.corpus.build import build_corpus
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.documents import SPLITS, read_cut, read_documents, read_dropped
from rodna.corpus.inspect import statistics_of

WORDS = st.sampled_from(
    [
        "хата",
        "лес",
        "木",
        "نهر",
        "ක්\u200dර",
        "é",
        "é",
        "\u200d",
        "\xad",
        "&amp;",
        "<b>",
        "{{x}}",
        "[[y]]",
        "'''z'''",
        "a@b.org",
        "�",
        "\x0b",
        "1234",
        "ǅ",
        "i̇",
        "𐐷",
        "-",
    ]
)
PROSE = st.lists(WORDS, max_size=40).map(" ".join)
TEXT = st.lists(st.one_of(PROSE, st.text(max_size=30)), max_size=8).map("\n".join)
SCALAR = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2))


def as_warc(texts: list[str]) -> bytes:
    records = b""
    for text in texts:
        body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>{text}</p>".encode()
        records += f"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"
    return records


def as_wiki(texts: list[str]) -> bytes:
    pages = "".join(f"<page><title>{n}</title><ns>0</ns><revision><text>{text}</text></revision></page>" for n, text in enumerate(texts))
    return f"<mediawiki>{pages}</mediawiki>".encode()


def as_json_lines(rows: list[dict[str, object]]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def as_subtitles(texts: list[str]) -> bytes:
    return "".join(f"{n}\n00:00:{n:02d},000 --> 00:00:{n:02d},900\n{text}\n\n" for n, text in enumerate(texts)).encode()


def as_docx(texts: list[str]) -> bytes:
    paragraphs = "".join(f"<w:p><w:r><w:t>{text.translate(_MARKS)}</w:t></w:r></w:p>" for text in texts)
    names = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    return as_zip(
        [
            ("[Content_Types].xml", b"<Types/>"),
            ("word/document.xml", f"<w:document {names}><w:body>{paragraphs}</w:body></w:document>".encode()),
        ]
    )


_MARKS = {ord("<"): "&lt;", ord("&"): "&amp;"}


def as_zip(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in dict(members).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def as_tar(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


TEXTS = st.lists(TEXT, min_size=1, max_size=4)
ROWS = st.lists(
    st.fixed_dictionaries({"text": st.one_of(TEXT, SCALAR)}, optional={name: SCALAR for name in ("url", "encoding", "wrapped")}), max_size=5
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1251", "cp1252", "koi8-r", "gb18030", "shift_jis"])
ENCODED = st.builds(lambda text, encoding: text.encode(encoding, "replace"), TEXT, ENCODINGS)
NOISE = st.builds(bytes.__add__, st.sampled_from([b"", b"%PDF-1.4\n", b"PK\x03\x04", b"PAR1", b"\x89PNG"]), st.binary(max_size=300))
PLAIN = st.one_of(
    st.tuples(st.sampled_from([".txt", ".md", ".html", ".xml", ".svg", ".csv", ".json", "", ".pdf"]), ENCODED),
    st.tuples(st.just(".html"), TEXT.map(lambda text: f"<html><body><p>{text}</p></body></html>".encode())),
    st.tuples(st.just(".svg"), TEXT.map(lambda text: f"<svg><text>{text.translate(_MARKS)}</text></svg>".encode())),
    st.tuples(st.just(".csv"), TEXTS.map(lambda texts: "".join(f'{n},"{text}"\n' for n, text in enumerate(texts)).encode())),
    st.tuples(st.just(".rtf"), TEXT.map(lambda text: b"{\\rtf1\\ansi " + text.encode("cp1251", "replace") + b"}")),
    st.tuples(st.just(".srt"), TEXTS.map(as_subtitles)),
    st.tuples(st.just(".jsonl"), ROWS.map(as_json_lines)),
    st.tuples(st.just(".warc"), TEXTS.map(as_warc)),
    st.tuples(st.just(".xml"), TEXTS.map(as_wiki)),
    st.tuples(st.just(".docx"), TEXTS.map(as_docx)),
    st.tuples(st.just(".bin"), NOISE),
)  # fmt: skip
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name.strip(".") == name
)
MEMBERS = st.lists(st.builds(lambda name, plain: (name + plain[0], plain[1]), NAME, PLAIN), min_size=1, max_size=4)
PACKED = st.one_of(
    st.tuples(st.just(".zip"), MEMBERS.map(as_zip)),
    st.tuples(st.just(".tar"), MEMBERS.map(as_tar)),
    *(
        st.builds(lambda plain, suffix=suffix, pack=pack: (plain[0] + suffix, pack(plain[1])), PLAIN)
        for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress), (".zst", zstandard.compress))
    ),
)


def damaged(file: tuple[str, bytes], where: float, how: str) -> tuple[str, bytes]:
    suffix, data = file
    at = int(where * len(data))
    if how == "cut":
        return suffix, data[:at]
    if how == "flip" and data:
        return suffix, data[:at] + bytes([data[min(at, len(data) - 1)] ^ 0xFF]) + data[at + 1 :]
    return suffix, data


FILE = st.builds(damaged, st.one_of(PLAIN, PACKED), st.floats(0, 0.99), st.sampled_from(["no", "no", "cut", "flip"]))
SOURCE = st.fixed_dictionaries({"document": st.sampled_from(["file", "line", "blank_line", "section"]), "section_bytes": st.just(256)})


def build(folder: Path, out: Path, source: dict[str, object]) -> Path:
    """Build one in this process, with all steps on and with small limits, so that each of them has something to do."""
    config = {
        "split": {"min_bytes": 50},
        "max_document_bytes": 1024,
        "privacy": {"remove": ["email"]},
        "quality": {"boilerplate": True},
        "runner": {"workers": 1},
    }
    return build_corpus(
        {"s": Source.model_validate({"path": folder.name, **source})},
        CorpusConfig.model_validate(config),
        out,
        language="be",
        root=folder.parent,
    ).path


@settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(FILE, min_size=8, max_size=24), SOURCE)
def test_any_folder_balances_and_is_built_the_same_twice(files: list[tuple[str, bytes]], source: dict[str, object]) -> None:
    check(files, source)


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(FILE, min_size=4, max_size=14), SOURCE)
def test_many_folders_balance_and_are_built_the_same_twice(files: list[tuple[str, bytes]], source: dict[str, object]) -> None:
    check(files, source)


def check(files: list[tuple[str, bytes]], source: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "texts"
        folder.mkdir()
        for number, (suffix, data) in enumerate(files):
            (folder / f"{number}{suffix}").write_bytes(data)
        for number in range(8):
            (folder / f"good-{number}.txt").write_text(" ".join(f"слова{number * 1009 % (n + 7)}" for n in range(30)), encoding="utf-8")
        outs = [Path(temporary) / name / "corpus-00000000" for name in ("one", "two")]
        try:
            first = build(folder, outs[0], source)
        except CorpusError as error:
            problem = error.what
        else:
            problem = ""
        if problem:
            assert problem.startswith(("no document is left", "too little text"))
            assert list(outs[0].parent.iterdir()) == []
            return
        figures, kept, dropped = look_at(first)
        documents, size = figures["balance"], figures["balance_bytes"]
        assert documents == {"read": len(kept) + len(dropped), "kept": len(kept), "dropped": len(dropped)}
        assert size["kept"] == sum(len(text.encode()) for _, text in kept)
        assert size["dropped"] == sum(number for _, number in dropped)
        assert size["read"] + size["changed"] == size["kept"] + size["dropped"]
        ids = [identity for identity, _ in (*kept, *dropped)]
        assert len(set(ids)) == len(ids)
        assert {identity.rpartition("#")[0] for identity in ids} == {f"s/{path.name}" for path in folder.iterdir()}
        second = build(folder, outs[1], source)
        assert {path.name: path.read_bytes() for path in first.iterdir() if path.name != "manifest.json"} == {
            path.name: path.read_bytes() for path in second.iterdir() if path.name != "manifest.json"
        }
        shutil.rmtree(folder)


def look_at(corpus: Path) -> tuple[dict[str, dict[str, int]], list[tuple[str, str]], list[tuple[str, int]]]:
    kept = [(document.id, document.text) for split in SPLITS for document in read_documents(corpus, split)]
    list(read_cut(corpus))
    dropped = [(item.id, item.size_bytes) for item in read_dropped(corpus)]
    return statistics_of(Artifact.open(corpus)), kept, dropped
