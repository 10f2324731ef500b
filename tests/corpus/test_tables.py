import json

import pytest

from rodna.core.errors import CorpusError
from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, csv
from rodna.corpus.extractors import json as json_value

SENTENCE = "Гэта сказ, у якім даволі многа слоў, нумар"


def read(tmp_path, content, extractor=csv, field="text", **limits):
    path = tmp_path / "a"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(extractor.extract(path, Source(path=".", text_field=field), Limits(**limits)))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_row_is_a_document_with_its_other_columns_in_any_dialect(tmp_path, delimiter, encoding):
    rows = [("id", "text", "год"), ("1", f'"Ён сказаў: ""Так{delimiter} і не""\nі пайшоў"', "1900"), ("2", "Проста", "1901")]
    found = read(tmp_path, "\r\n".join(delimiter.join(row) for row in rows).encode(encoding))
    encoding_meta = {"encoding": "utf-16"} if encoding == "utf-16" else {}
    assert found == [
        Piece(f'Ён сказаў: "Так{delimiter} і не"\nі пайшоў', {**encoding_meta, "id": "1", "год": "1900"}),
        Piece("Проста", {**encoding_meta, "id": "2", "год": "1901"}),
    ]


def test_without_a_column_of_that_name_the_one_that_reads_as_text_is_taken(tmp_path):
    content = "нумар,назва,змест\n" + "".join(f'{n},Імя {n},"{SENTENCE} {n}."\n' for n in range(5))
    found = read(tmp_path, content)
    assert found[0] == Piece(f"{SENTENCE} 0.", {"нумар": "0", "назва": "Імя 0"})
    assert len(found) == 5


def test_a_table_without_a_header_loses_no_row_and_columns_can_be_numbered(tmp_path):
    content = "".join(f"{n}\t{SENTENCE} {n}.\n" for n in range(3))
    assert [piece.text for piece in read(tmp_path, content)] == [f"{SENTENCE} {n}." for n in range(3)]
    assert [piece.text for piece in read(tmp_path, content, field="1")] == ["0", "1", "2"]
    assert [piece.text for piece in read(tmp_path, "слова адно\nслова два\n")] == ["слова адно", "слова два"]


def test_scripts_without_spaces_read_as_text_too(tmp_path):
    content = "編號,名,內容\n" + "".join(f"{n},陳大文,你老公有冇平機票啊噉就好今日天氣好好\n" for n in range(4))
    assert {piece.text for piece in read(tmp_path, content)} == {"你老公有冇平機票啊噉就好今日天氣好好"}


def test_several_columns_that_could_be_the_text_are_an_error_that_names_them(tmp_path):
    content = "be,en\n" + "".join(f"{SENTENCE} {n},This is a sentence of quite some words too {n}\n" for n in range(4))
    with pytest.raises(CorpusError, match=r"several columns could be the text: '(be|en)' and '(be|en)'") as error:
        read(tmp_path, content.replace("сказ, у якім", "сказ у якім").replace("слоў, ", "слоў "))
    assert error.value.fix.startswith("set the source's text_field to one of them, such as text_field: '")
    with pytest.raises(CorpusError, match=r"no column looks like running text \(at most 1.0 words a cell\); there are: імя, горад"):
        read(
            tmp_path,
            "імя,горад\nАлесь,Мінск\nМарыя,Гродна\n".replace("імя,горад", "імя,горад,n")
            .replace("Мінск", "Мінск,1")
            .replace("Гродна", "Гродна,2"),
        )
    with pytest.raises(CorpusError, match=r"no field 'змест'; there are: be, en"):
        read(tmp_path, content, field="змест")


def test_short_rows_long_rows_and_open_quotes_cost_only_themselves(tmp_path):
    content = "id,text\n1,адзін\n2\n3," + "х" * 4000 + '\n4,"чатыры\n' + "5,пяць\n" * 900 + "6,шэсць\n"
    found = read(tmp_path, content, max_page_bytes=4000)
    reasons = [(item.reason, item.detail) for item in found if not isinstance(item, Piece)]
    assert ("no_text", "a row of 1 cells has no cell 2") in reasons
    assert ("row_too_long", "row 4 has more than 4,000 bytes") in reasons
    assert ("unclosed_quote", "row 5 opens a quote that is not closed") in reasons
    texts = [item.text for item in found if isinstance(item, Piece)]
    assert texts == ["адзін"] + ["пяць"] * 900 + ["шэсць"]


def test_a_binary_file_is_no_table(tmp_path):
    (rejected,) = read(tmp_path, b"\0\1\2" * 100)
    assert rejected.reason == "not_text"


def test_a_json_array_gives_its_objects_at_any_depth(tmp_path):
    value = {"items": [{"text": "Адзін", "year": 1900, "list": [1]}, {"in": {"text": "Два"}}, {"text": " "}]}
    assert read(tmp_path, json.dumps(value), json_value) == [Piece("Адзін", {"year": 1900}), Piece("Два", {}), Piece(" ", {})]
    assert read(tmp_path, json.dumps([{"a": {"b": "тры"}}]), json_value, field="a.b") == [Piece("тры", {})]


def test_json_that_is_broken_deep_large_or_without_the_field_says_so(tmp_path):
    (broken,) = read(tmp_path, '[{"text": "а"', json_value)
    assert broken.reason == "invalid_json"
    assert broken.detail.startswith("Expecting ',' delimiter")
    (deep,) = read(tmp_path, "[" * 200_000, json_value)
    assert (deep.reason, deep.detail) == ("too_deep", "arrays or objects inside each other without end")
    (large,) = read(tmp_path, json.dumps(["а" * 3000]), json_value, max_page_bytes=2000)
    assert large.reason == "page_too_large"
    assert large.detail.endswith("convert it to JSON Lines")
    with pytest.raises(CorpusError, match="no field 'text'; there are: body, id") as error:
        read(tmp_path, '[{"body": "а", "id": 1}]', json_value)
    assert error.value.where == str(tmp_path / "a")


def test_a_notebook_gives_its_prose_without_code(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# Сшытак\n", "\n", "Гэта *тэкст*."]},
        {"cell_type": "code", "source": "print(1)", "outputs": []},
        {"cell_type": "markdown", "source": "Канец."},
    ]
    notebook = {"cells": cells, "metadata": {"title": "Мой"}, "nbformat": 4}
    assert read(tmp_path, json.dumps(notebook), json_value) == [Piece("Сшытак\n\nГэта тэкст.\n\nКанец.", {"title": "Мой"})]
    (rejected,) = read(tmp_path, json.dumps({"cells": cells[1:2], "nbformat": 4}), json_value)
    assert (rejected.reason, rejected.detail) == ("no_text", "the notebook has no Markdown cell with text")


def test_real_tables_and_notebooks_are_read(shared_data):
    folder = shared_data / "dirty" / "markitdown"
    (notebook,) = json_value.extract(folder / "test_notebook.ipynb", Source(path="."), Limits())
    assert notebook == Piece("Test Notebook\n\nCode Cell Below\n\nEnd", {"title": "Test Notebook Title"})
    rows = list(csv.extract(folder / "test_mskanji.csv", Source(path=".", text_field="住所"), Limits()))
    assert rows[0] == Piece("東京", {"encoding": "cp932", "名前": "佐藤太郎", "年齢": "30"})
