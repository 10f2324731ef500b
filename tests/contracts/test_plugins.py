"""The contract tests that plugin authors run: they pass what keeps to the contract and name what does not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rodna.corpus.config import Source
from rodna.corpus.documents import Document
from rodna.corpus.extractors import Limits, Piece, Rejected, load_extractor
from rodna.testing import check_extractor, check_step

SENTENCE = "Адзін радок тэксту, які ёсць ва ўсіх фарматах."
WARC = "WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: text/plain\r\n"
FILES = {
    "text": ("a.txt", f"{SENTENCE}\n" * 5),
    "markdown": ("a.md", f"# Назва\n\n{SENTENCE}\n"),
    "json_lines": ("a.jsonl", f'{{"text": "{SENTENCE}"}}\n'),
    "csv": ("a.csv", "text,year\n" + f'"{SENTENCE}",1900\n' * 3),
    "json": ("a.json", f'[{{"text": "{SENTENCE}", "n": 1}}]'),
    "xml": ("a.xml", f"<book><p>{SENTENCE}</p><p>{SENTENCE}</p></book>"),
    "svg": ("a.svg", f'<svg xmlns="http://www.w3.org/2000/svg"><text>{SENTENCE}</text></svg>'),
    "subtitles": ("a.srt", f"1\n00:00:01,000 --> 00:00:02,000\n{SENTENCE}\n"),
    "rtf": ("a.rtf", "{\\rtf1 " + "".join(f"\\u{ord(character)}?" for character in SENTENCE) + "}"),
    "mediawiki": ("a.xml", f"<mediawiki><page><title>А</title><revision><text>{SENTENCE}</text></revision></page></mediawiki>"),
    "warc": ("a.warc", f"{WARC}Content-Length: {len(SENTENCE.encode())}\r\n\r\n{SENTENCE}\r\n\r\n"),
    "html": ("a.html", f"<!doctype html><html><body><article><p>{SENTENCE}</p><p>{SENTENCE}</p></article></body></html>"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_extractors_of_rodna_keep_to_the_contract(name: str, tmp_path: Path):
    path = tmp_path / FILES[name][0]
    path.write_bytes(FILES[name][1].encode())
    broken = tmp_path / "broken"
    broken.mkdir()

    check_extractor(load_extractor(name), path, Source(path=path.name), folder=broken, expected=SENTENCE)
    assert len(list(broken.iterdir())) == 3


def blank(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    yield Piece(SENTENCE)
    yield Piece(" \n")


def too_long(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    yield Piece(SENTENCE)


def wordy(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    yield Piece(SENTENCE[:20])
    yield Rejected("Not Good!", "line 3", 4)


def with_odd_meta(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    yield Piece(SENTENCE[:20], {"tags": ["a"]})


def deaf(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    limits.enter("first")
    yield Piece(SENTENCE[:20])


def test_quotation_marks_do_not_make_a_title_too_long(tmp_path: Path):
    def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
        yield Piece(SENTENCE[:20], {"title": '"' * 500})

    path = tmp_path / "a.txt"
    path.write_text(SENTENCE, encoding="utf-8")
    check_extractor(extract, path, Source(path="a.txt"), folder=tmp_path, expected=SENTENCE[:20])


@pytest.mark.parametrize(
    ("extract", "message"),
    [
        (blank, "white space"),
        (too_long, "above the limit of 64"),
        (wordy, "snake_case"),
        (with_odd_meta, "'tags' is list"),
        (deaf, "'first' although"),
    ],
)
def test_an_extractor_that_breaks_the_contract_is_told_how(extract: Any, message: str, tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text(SENTENCE, encoding="utf-8")

    with pytest.raises(AssertionError, match=message):
        check_extractor(extract, path, Source(path="a.txt"), folder=tmp_path, expected=SENTENCE[:20])


def test_a_step_that_keeps_to_the_contract_passes():
    def make(language: str) -> Any:
        def step(document: Document) -> Document | Rejected:
            if len(document.text) < 3:
                return Rejected("too_short", f"{len(document.text)} characters", len(document.text))
            return replace(document, text=document.text.strip() or "-")

        return step

    check_step(make, [SENTENCE], language="be")
    assert isinstance(make("be")(Document("1", "a", "s", "be")), Rejected)


def remembering(language: str) -> Any:
    seen: list[str] = []

    def step(document: Document) -> Document | Rejected:
        seen.append(document.text)
        return Rejected("late", f"{len(seen)}", 1)

    return step


def renaming(language: str) -> Any:
    return lambda document: replace(document, id="other")


def silent(language: str) -> Any:
    return lambda document: Rejected("bad", "", 1)


def forgetful(language: str) -> Any:
    return lambda document: None


def meddling(language: str) -> Any:
    def step(document: Document) -> Document:
        document.meta["seen"] = True  # type: ignore[index]
        return document

    return step


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (remembering, "what came before"),
        (renaming, "id, source or language"),
        (silent, "without a detail"),
        (forgetful, "returns NoneType"),
        (meddling, "in place"),
    ],
)
def test_a_step_that_breaks_the_contract_is_told_how(make: Any, message: str):
    with pytest.raises(AssertionError, match=message):
        check_step(make, [SENTENCE], language="be")
