import time
import tracemalloc
from itertools import repeat

import pytest

from rodna.corpus.config import Source
from rodna.corpus.cutting import cut, documents_of
from rodna.corpus.encodings import detect, read_text
from rodna.corpus.extractors import Limits, Piece, markdown, text


def read(path, document="file", extractor=text, **limits):
    return list(extractor.extract(path, Source(path=".", document=document), Limits(**limits)))


@pytest.mark.parametrize("document", ["file", "line", "blank_line", "section"])
@pytest.mark.parametrize("extractor", [text, markdown])
def test_a_file_that_is_one_line_is_read_in_bounded_memory_and_nothing_is_lost(tmp_path, document, extractor):
    path = tmp_path / "a.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(repeat("слова " * 1000, 1500))
    num_bytes = path.stat().st_size
    tracemalloc.start()
    total = sum(len(piece.text.encode()) for piece in extractor.extract(path, Source(path=".", document=document), Limits()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert abs(total - num_bytes) <= 1  # Markdown ends its line
    assert peak < 24 << 20


@pytest.mark.parametrize("document", ["file", "line", "blank_line", "section"])
def test_cutting_a_large_text_into_small_documents_takes_time_in_proportion_to_it(document):
    source = Source(path=".", document=document, section_bytes=256)

    def seconds(num_characters):
        start = time.process_time()
        assert sum(map(len, documents_of(["a" * num_characters], source, max_bytes=256))) == num_characters
        assert sum(map(len, cut("a" * num_characters, 256))) == num_characters
        return time.process_time() - start

    seconds(1000)
    assert seconds(4_000_000) < 12 * max(seconds(1_000_000), 0.05)


@pytest.mark.parametrize("document", ["line", "blank_line"])
def test_waiting_for_a_separator_does_not_search_the_same_text_again(document):
    chunks = repeat("слова " * 2000, 1000)
    start = time.process_time()
    (whole,) = documents_of(chunks, Source(path=".", document=document), max_bytes=1 << 30)
    assert len(whole) == 12_000_000
    assert time.process_time() - start < 5


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_documents_are_the_same_however_the_text_arrives(size):
    whole = "адзін\n\nдва\nтры \n \n\n чатыры\n\n\n\nпяць\n"
    for unit in ("line", "blank_line"):
        source = Source(path=".", document=unit)
        chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
        found = [part.split() for part in documents_of(chunks, source, max_bytes=4096)]
        assert found == [part.split() for part in documents_of([whole], source, max_bytes=4096)]


@pytest.mark.parametrize("unit", ["*a ", "`a ``b ", "_a ", "[a [b] ", "<a ", "# ", "![", "~~a ", "<!-- ", "\\", "| "])
def test_hostile_markdown_costs_time_in_proportion_to_its_length(tmp_path, unit):
    path = tmp_path / "a.md"
    path.write_text("x " + unit * (200_000 // len(unit)) + " " * 10_000 + "y", encoding="utf-8")
    start = time.process_time()
    assert read(path, extractor=markdown)
    assert time.process_time() - start < 6  # quadratic time would be minutes


def test_a_long_markdown_line_loses_its_markup_too(tmp_path):
    path = tmp_path / "a.md"
    path.write_text("# " + "слова **тоўстае** і [спасылка](x) " * 2000 + " ##\n", encoding="utf-8")
    (piece,) = read(path, extractor=markdown)
    assert piece.text.count("слова тоўстае і спасылка") > 1990
    short = tmp_path / "b.md"
    short.write_text("# Мова C# ##\n", encoding="utf-8")
    assert read(short, extractor=markdown)[0].text == "Мова C#\n"


def test_a_few_nul_bytes_do_not_make_a_text_binary(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("Гэта тэкст. ".encode() * 100 + b"\0" + "Канец.".encode())
    (piece,) = read(path)
    assert piece.text.endswith("\0Канец.")
    path.write_bytes(b"ab\0" * 100)
    (rejected,) = read(path)
    assert (rejected.reason, rejected.detail) == ("not_text", "100 NUL bytes among the first 300")


def test_a_file_that_grows_or_shrinks_while_it_is_read_ends_where_it_ended(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("слова " * 400_000, encoding="utf-8")
    size = path.stat().st_size
    chunks = read_text(path, detect(path))
    total = len(next(chunks).encode())
    with path.open("a", encoding="utf-8") as file:
        file.write("новае " * 100_000)
    assert total + sum(len(chunk.encode()) for chunk in chunks) == size
    chunks = read_text(path, detect(path))
    next(chunks)
    path.write_text("", encoding="utf-8")
    assert list(chunks) in ([], [""])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Ён&nbsp;і яна &amp; дзеці &#8212; усе. &quot;Так&quot;", 'Ён\xa0і яна & дзеці — усе. "Так"'),
        ("У HTML пішуць &amp; замест &, а &lt; замест <. R&D &gt; усё", None),
        ("Толькі адзін &amp; тут", None),
        ("&abc; &xyz; &qqq;", None),
    ],
)
def test_entities_are_decoded_only_where_a_text_shows_that_all_of_it_was_encoded(tmp_path, given, expected):
    path = tmp_path / "a.txt"
    path.write_text(given, encoding="utf-8")
    assert read(path) == [Piece(expected or given, {})]


def test_a_short_table_of_names_in_shift_jis_is_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n".encode("cp932"))
    (piece,) = read(path)
    assert piece.text.startswith("名前,年齢,住所\n佐藤太郎")
    assert piece.meta == {"encoding": "cp932"}
