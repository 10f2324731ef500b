import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rodna.core.errors import CorpusError
from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected, format_of, load_extractor
from rodna.corpus.extractors.markdown import plain_line, plain_lines

SOURCE = Source(path=".")


def read(path, source=SOURCE, *, max_bytes=1 << 20):
    return list(load_extractor(format_of(path))(path, source, Limits(max_document_bytes=max_bytes)))


def texts(pieces):
    return [piece.text for piece in pieces if isinstance(piece, Piece)]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", b"text", "text"),
        ("a.MD", b"# text", "markdown"),
        ("a.jsonl", b"{}", "json_lines"),
        ("a", b"\xef\xbb\xbf<!DOCTYPE html><p>x", "html"),
        ("a.log", b'{"text": "x"}', "json_lines"),
        ("a.txt", b"PAR1....", "parquet"),
        ("a.txt", b"%PDF-1.4", "pdf"),
        ("a.docx", b"PK\x03\x04", "docx"),
    ],
)
def test_the_format_is_told_by_content_where_unmistakable_then_by_name(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    assert format_of(path) == expected


def test_text_is_cut_into_the_documents_the_source_asks_for(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("адзін\nдва\n\n\nтры\n", encoding="utf-8")
    assert texts(read(path)) == ["адзін\nдва\n\n\nтры\n"]
    assert texts(read(path, Source(path=".", document="line"))) == ["адзін", "два", "тры"]
    assert [text.strip() for text in texts(read(path, Source(path=".", document="blank_line")))] == ["адзін\nдва", "тры"]


def test_a_binary_file_is_rejected_with_what_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(range(256)) * 50)
    (rejected,) = read(path)
    assert rejected.reason == "not_text"
    assert "NUL bytes" in rejected.detail


def test_text_in_a_fonts_private_encoding_is_rejected_with_the_best_guess(tmp_path, shared_data):
    (rejected,) = read(shared_data / "dirty" / "udhr_legacy_encodings" / "Amharic-Afenegus6..60375", Source(path="."))
    assert rejected.reason == "unknown_encoding"
    assert "no known encoding fits (best guess:" in rejected.detail


MARKDOWN = """---
title: Front matter
---
# Загаловак #

Гэта **тлусты**, _курсіў_, `a*b*c` і [спасылка](http://x.by/a_(b) "назва").
![Выява](img.png) і <b>тэг</b>, 2 * 3 * 4, snake_case_name, \\*не курсіў\\*.

- [x] першы
1. другі
> цытата
> > глыбей

| a | b |
|---|:-:|
| 1 | 2 |

```python
x = **не чапаць**
```
<!-- каментар
на два радкі --> пасля
[1]: http://example.org "title"
AT&amp;T <https://rodna.by>
Setext
======
"""


def test_markdown_loses_its_markup_and_no_text():
    text = "".join(plain_lines([MARKDOWN]))
    assert text == (
        "Загаловак\n\nГэта тлусты, курсіў, a*b*c і спасылка.\nВыява і тэг, 2 * 3 * 4, snake_case_name, *не курсіў*.\n\n"
        "першы\n1. другі\nцытата\nглыбей\n\na b\n1 2\n\nx = **не чапаць**\n пасля\nAT&T https://rodna.by\nSetext\n"
    )


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("---\nАдзін.\n\nДва.\n", "Адзін.\n\nДва.\n"),
        ("---\n\nАдзін.\n\n---\n\nДва.\n", "\nАдзін.\n\n\nДва.\n"),
        ("---\ntitle: А\n---\nАдзін.\n", "Адзін.\n"),
        ("Знак <!-- адкрывае\nкаментар.\n\nКанец.\n", "Знак <!-- адкрывае\nкаментар.\n\nКанец.\n"),
        ("а <!-- б\nв --> г <!-- д --> е\nё\n", "а  г  е\nё\n"),
        ("а <!-- б\nв --> г <!-- д\nе --> ё\n", "а  г  ё\n"),
        ("<!--\n" * 3 + "а\n", "<!--\n" * 3 + "а\n"),
        ("---\n" + "а: б\n" * 3000, "а: б\n" * 3000),
    ],
)
def test_what_nothing_closes_hides_no_text(markdown, text):
    assert "".join(plain_lines([markdown])) == text


@pytest.mark.parametrize("line", ["5 < 6 і 7 > 3", "a_b_c", "2*3*4 = 24", "«~»", "[sic]", "x ~ y", "кошт: 5* 6*", "R&D", "100 % <- так"])
def test_plain_sentences_pass_through_markdown_unchanged(line):
    assert plain_line(line) == line


def test_json_lines_give_text_meta_and_a_reason_for_every_bad_line(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        json.dumps({"text": "добры", "title": "Т", "year": 2020, "tags": [1]}),
        "{broken",
        "[1]",
        '{"text": null}',
        "",
        '{"text": "яшчэ"}',
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    pieces = read(path)
    assert pieces[0] == Piece("добры", {"title": "Т", "year": 2020})
    assert [(piece.reason, piece.detail) for piece in pieces if isinstance(piece, Rejected)] == [
        ("invalid_json", "line 2: Expecting property name enclosed in double quotes"),
        ("no_text", "line 3: the field 'text' is missing or null"),
        ("no_text", "line 4: the field 'text' is missing or null"),
    ]
    assert texts(pieces) == ["добры", "яшчэ"]


def test_a_number_that_is_too_long_costs_its_own_line_only(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "адзін"}\n{"text": "два", "n": ' + "9" * 5000 + '}\n{"text": "тры"}\n', encoding="utf-8")
    one, bad, three = read(path)
    assert (one.text, three.text) == ("адзін", "тры")
    assert (bad.reason, bad.detail) == ("invalid_json", "line 2: a number of too many digits")


def test_a_json_lines_file_without_the_field_names_the_fields_it_has(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"content": "x", "id": 1}\n', encoding="utf-8")
    with pytest.raises(CorpusError) as error:
        read(path, Source(path=".", text_field="contents"))
    assert error.value.what == "no field 'contents'; there are: content, id"
    assert error.value.fix == "set text_field: content for the source"


def test_a_dotted_text_field_reaches_into_objects(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": {"b": "тэкст"}}\n', encoding="utf-8")
    assert texts(read(path, Source(path=".", text_field="a.b"))) == ["тэкст"]


def test_parquet_gives_one_document_a_row_with_its_plain_columns(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["адзін", None, "тры"], "n": [1, 2, 3], "list": [[1], [2], [3]]}), path, row_group_size=2)
    pieces = read(path)
    assert pieces[0] == Piece("адзін", {"n": 1})
    assert (pieces[1].reason, pieces[1].detail) == ("no_text", "row 2: the column 'text' is null")
    assert texts(pieces) == ["адзін", "тры"]


def test_a_damaged_parquet_file_says_so(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + b"rubbish" * 20)
    with pytest.raises(CorpusError, match=r"the Parquet file cannot be read") as error:
        read(path)
    assert error.value.fix == "download or write it again"


def test_a_parquet_column_that_is_no_text_or_is_missing_is_named(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [1, 2], "body": ["a", "b"]}), path)
    with pytest.raises(CorpusError, match="the column 'text' holds int64, not text"):
        read(path)
    with pytest.raises(CorpusError, match="no field 'words'; there are: text, body"):
        read(path, Source(path=".", text_field="words"))


def test_html_gives_the_article_without_navigation_and_scripts(tmp_path):
    path = tmp_path / "a.html"
    paragraph = "Гэта доўгі абзац артыкула пра родную мову, у якім дастаткова слоў, каб яго знайсці. " * 4
    path.write_text(
        f"<html><head><title>Назва</title><script>var x;</script></head><body><nav><a href='/'>Галоўная</a></nav>"
        f"<article><h1>Загаловак</h1><p>{paragraph}</p><p>Другі абзац: {paragraph}</p></article></body></html>",
        encoding="utf-8",
    )
    (piece,) = read(path)
    assert paragraph.strip() in piece.text
    assert "Другі абзац" in piece.text
    assert "var x" not in piece.text
    assert "Галоўная" not in piece.text
    assert piece.meta == {"title": "Назва"}


def test_a_tiny_page_keeps_all_of_its_text(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("<p>Добры<br>дзень</p><ul><li>раз<li>два</ul><style>p{}</style>", encoding="utf-8")
    (piece,) = read(path)
    assert piece.text == "Добры\nдзень\n\nраз\nдва"


def test_a_page_in_a_declared_legacy_encoding_is_decoded_so(tmp_path):
    path = tmp_path / "a.html"
    path.write_bytes('<html><head><meta charset="windows-1251"></head><body><p>Ўсё добра</p></body></html>'.encode("cp1251"))
    assert texts(read(path)) == ["Ўсё добра"]


def test_a_page_without_text_is_rejected(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("<html><head><title>x</title></head><body><script>var x</script></body></html>", encoding="utf-8")
    (rejected,) = read(path)
    assert (rejected.reason, rejected.detail) == ("no_text", "the page has no text outside navigation and scripts")


def test_markdown_in_a_legacy_encoding_says_which(tmp_path):
    file = tmp_path / "a.md"
    file.write_bytes(("# Дзень\n\n" + "Добры дзень, шаноўныя сябры! Сёння *вельмі* добрае надвор'е.\n" * 40).encode("cp1251"))

    (piece,) = load_extractor("markdown")(file, Source(path=str(file), document="file"), Limits())

    assert piece.text.startswith("Дзень")
    assert "вельмі добрае" in piece.text
    assert piece.meta["encoding"].replace("windows-", "cp").lower() == "cp1251"
