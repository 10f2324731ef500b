"""Real files of every kind in one folder, built in one go: nothing is lost without a word, no markup is left."""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from markup import leftovers

from rodna.corpus.build import build_corpus
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.documents import SPLITS, Document, Dropped, read_documents, read_dropped
from rodna.corpus.inspect import statistics_of

EVERY = {"udhr_legacy_encodings": 8, "libreoffice_help_eu": 8, "gimp_help_lt": 8}
"""Folders of many files alike, of which one in so many is enough for a quick look."""

THEIR_OWN_EXAMPLES = {
    "wiki emphasis": ("python_document_events.html", "''' Atzitu aplikazioan oinarritutako Basic scripta '''"),
    "HTML tag with attributes": ("shared_01_05020400.html", '<A HREF="http://www.example.com/" NAME="Nametext" TARGET="_blank"'),
    "HTML tags in a pair": ("shared_00_00000002.html", "<h1> etiketarekin markatzen da, eta bukaera </h1>"),
}
"""What manuals show of markup and programs, as text for people: no leftover."""


@dataclass(frozen=True)
class Built:
    """What came of the folder."""

    files: frozenset[str]
    kept: tuple[Document, ...]
    dropped: tuple[Dropped, ...]
    figures: Mapping[str, Any]


def name_in(identity: str) -> str:
    return identity.partition("/")[2].rpartition("#")[0]


def build(folder: Path, out: Path, *, tag: str, **config: Any) -> Built:
    made = CorpusConfig.model_validate(config)
    corpus = build_corpus({"dirty": Source(path=folder.name)}, made, out / "corpus-00000000", language=tag, root=folder.parent)
    kept = tuple(document for split in SPLITS for document in read_documents(corpus.path, split))
    files = frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return Built(files, kept, tuple(read_dropped(corpus.path)), statistics_of(corpus))


def check(built: Built) -> None:
    """Check what holds of every folder."""
    told = {name_in(item.id) for item in (*built.kept, *built.dropped)}
    assert told == built.files, "every file is kept or named in the drops"
    assert [item for item in built.dropped if not item.reason or len(item.detail) < 10] == []
    assert [item for item in built.dropped if item.reason.startswith("parser_")] == [], "no real file is more than its parser survives"
    documents, size = built.figures["balance"], built.figures["balance_bytes"]
    assert documents == {"read": len(built.kept) + len(built.dropped), "kept": len(built.kept), "dropped": len(built.dropped)}
    assert size["read"] + size["changed"] == size["kept"] + size["dropped"]
    assert size["kept"] == sum(len(document.text.encode()) for document in built.kept)
    assert size["dropped"] == sum(item.size_bytes for item in built.dropped)
    ids = [item.id for item in (*built.kept, *built.dropped)]
    assert len(set(ids)) == len(ids)


def marks_in(built: Built) -> dict[tuple[str, str], str]:
    """Return (id, kind) of the markup left in kept texts, and what it is; manuals' own examples set apart."""
    found: dict[tuple[str, str], str] = {}
    for document in built.kept:
        for kind, example in leftovers(document.text).items():
            name, shown = THEIR_OWN_EXAMPLES.get(kind, ("", ""))
            if not (name and name_in(document.id).endswith(name) and shown in document.text):
                found[document.id, kind] = example
    return found


@pytest.fixture(scope="module")
def dirty(shared_data: Path) -> Path:
    folder = shared_data / "dirty"
    if not folder.is_dir():
        pytest.skip(f"needs real files in {folder}, which is absent")
    return folder


@pytest.fixture(scope="module")
def sample(dirty: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A corpus of a part of the folder, with something of everything; whatever its language, so that all of it is looked at."""
    root = tmp_path_factory.mktemp("dirty")
    for folder in sorted(path for path in dirty.iterdir() if path.is_dir()):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in files[:: EVERY.get(folder.name, 1)]:
            target = root / "dirty" / path.relative_to(dirty)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    return build(root / "dirty", root / "out", tag="ca", language={"action": "keep"}, quality={"filter": False})


def test_every_file_is_kept_or_dropped_with_a_reason_and_the_counts_balance(sample: Built) -> None:
    check(sample)
    assert len(sample.files) > 150


def test_no_markup_is_left_in_what_is_kept(sample: Built) -> None:
    assert marks_in(sample) == {}


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("markitdown/random.bin", "not_text", "7 NUL bytes among the first 1,024"),
        ("markitdown/test.xlsx", "unsupported_format", "XLSX spreadsheet: save it as CSV"),
        ("markitdown/test_outlook_msg.msg", "unsupported_format", "Outlook message: save it as text or HTML in Outlook"),
        ("markitdown/MEDRPT-2024-PAT-3847_medical_report_scan.pdf", "page_needs_ocr", "3 of 3 pages are pictures without text"),
        ("markitdown/test.json", "unreadable_file", "set the source's text_field"),
        ("warc/bad.arc", "damaged_record", "bytes that belong to no record"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_to_do(sample: Built, name: str, reason: str, detail: str) -> None:
    (found, *_) = [item for item in sample.dropped if name_in(item.id) == name]
    assert found.reason == reason
    assert detail in found.detail


def test_each_kind_of_file_gives_text(sample: Built) -> None:
    # What is a copy of another file in the folder has been read, too.
    read = Counter(
        Path(name_in(item.id)).suffix for item in (*sample.kept, *(drop for drop in sample.dropped if drop.step == "deduplicate"))
    )
    for suffix in (".html", ".svg", ".srt", ".pdf", ".epub", ".docx", ".warc", ".gz", ".bz2", ".xml", ".ipynb", ".md", ".arc"):
        assert read[suffix] > 0, suffix
    assert sum(name_in(document.id).endswith(".be.svg") for document in sample.kept) == 8


@pytest.mark.parametrize(("folder", "tag", "share"), [("gimp_help_lt", "lt", 0.9), ("libreoffice_help_eu", "eu", 0.9)])
def test_help_in_a_language_mixed_with_english_is_kept(dirty: Path, tmp_path: Path, folder: str, tag: str, share: float) -> None:
    texts = tmp_path / folder
    texts.mkdir()
    for path in sorted((dirty / folder).iterdir())[::2]:
        shutil.copyfile(path, texts / path.name)
    built = build(texts, tmp_path / "out", tag=tag, split={"min_bytes": 1000})
    check(built)
    assert len(built.kept) > share * len(built.files)
    assert {item.step for item in built.dropped} <= {"deduplicate", "decontaminate", "quality"}
    labels = {entry["language"]: entry["documents"] for entry in built.figures["languages"]}
    mixed = [document for document in built.kept if "share" in document.meta]
    assert len(mixed) == built.figures["mixed"]["documents"]
    assert all(0 < document.meta["share"] < 1 for document in mixed)
    if tag == "lt":
        assert set(labels) == {"en", "lt"}
        assert len(mixed) > 0.25 * len(built.kept)
    else:
        assert labels[tag] > 0.98 * len(built.kept)


@pytest.mark.slow
def test_all_of_the_folder_is_built_in_one_go(dirty: Path, tmp_path: Path) -> None:
    built = build(dirty, tmp_path, tag="ca", language={"action": "keep"}, quality={"filter": False})
    check(built)
    assert marks_in(built) == {}
    assert len(built.kept) > 800


@pytest.mark.slow
def test_all_of_the_folder_is_built_with_every_default_too(dirty: Path, tmp_path: Path) -> None:
    built = build(dirty, tmp_path, tag="eu")
    check(built)
    assert marks_in(built) == {}
    assert sum("libreoffice_help_eu" in document.id for document in built.kept) > 200
