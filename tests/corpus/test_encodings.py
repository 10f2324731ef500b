import codecs
from collections import Counter

import pytest

from rodna.corpus.encodings import detect, read_text

GOLD = {
    "Latin1": "cp1252",
    "Latin2": "cp1250",
    "err": "cp1250",
    "Cyrillic": "cp1251",
    "UTF8": "utf-8",
    "UTF8~": "utf-8",
    "WinResearcher": "utf-8",
    "Arabic": "cp1256",
    "Greek": "cp1253",
    "Hebrew": "cp1255",
    "Turkish": "cp1254",
    "Baltic": "iso8859-4",
    "EUC": "euc_jp",
    "SJIS": "cp932",
    "JIS": "iso2022_jp",
    "GB2312": "gb18030",
    "HZ": "hz",
    "Unicode": "utf-16",
}
"""Ending of a file's name -> Python codec. What is called Latin-1 and Latin-2 there holds Windows' quotation marks and letters."""

MISLABELLED = {"Czech_Cesky-UTF8": "cp1250", "Hungarian_Magyar-Latin1": "cp1250"}
"""Files whose bytes are plainly in another encoding than their name says (the Hungarian one has ű, which Latin-1 lacks)."""

WITHOUT_A_CODEC = {"Kazakh-Cyrillic", "Mongolian_Khalkha-Cyrillic", "Latvian-Latin1"}
"""Files in the private encoding of a font; so are all whose ending is not in `GOLD`."""


def decoded(data, encoding):
    text = codecs.getincrementaldecoder(encoding)("replace").decode(data)
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def test_legacy_encodings_are_told_apart(shared_data):
    """Every file with a known encoding decodes to exactly its text: 318 of 318 when written (chardet alone: 283)."""
    right, wrong = Counter(), []
    for path in sorted((shared_data / "dirty" / "udhr_legacy_encodings").iterdir()):
        label = path.name.rpartition("-")[2]
        gold = MISLABELLED.get(path.name, GOLD.get(label))
        if gold is None or path.name in WITHOUT_A_CODEC:
            continue
        found = detect(path)
        text = "".join(read_text(path, found)).removeprefix("\ufeff") if found.name else ""
        # The files were cut at 9,999 bytes, some in the middle of a character.
        same = text.encode("utf-8", "replace").decode().rstrip("?\ufffd") == decoded(path.read_bytes(), gold).rstrip("?\ufffd")
        right[label] += same
        wrong += [] if same else [(path.name, found.name)]
    assert not wrong
    assert right.total() == 318


@pytest.mark.parametrize(
    ("corpus", "encodings"),
    [
        ("be/tatoeba.txt", ["cp1251", "koi8-r", "iso8859-5", "mac-cyrillic", "utf-16", "utf-16-le"]),
        ("lt/tatoeba.txt", ["cp1257", "iso8859-4", "iso8859-13", "utf-16-be", "utf-8-sig"]),
        ("yue/common_voice_cc0.txt", ["big5hkscs", "gb18030", "utf-16"]),
        ("is/alexander.txt", ["cp1252", "iso8859-1", "utf-16-le"]),
    ],
)
@pytest.mark.parametrize("size", [500, 20_000])
def test_text_written_in_a_legacy_encoding_comes_back(shared_data, tmp_path, corpus, encodings, size):
    text = (shared_data / "corpora" / corpus).read_text(encoding="utf-8")[:size]
    path = tmp_path / "a.txt"
    for encoding in encodings:
        data = text.encode(encoding, "ignore")
        path.write_bytes(data)
        assert "".join(read_text(path, detect(path))).removeprefix("\ufeff") == data.decode(encoding).removeprefix("\ufeff"), encoding


def test_utf8_with_a_few_broken_bytes_is_still_utf8(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("прывітанне ".encode() * 100 + b"\xff\n" + "добра".encode() * 100)
    found = detect(path)
    assert (found.name, found.num_bad_bytes) == ("utf-8", 1)


def test_utf8_cut_in_its_last_character_is_not_damaged(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("прывітанне".encode()[:-1])
    assert detect(path).name == "utf-8"


def test_bytes_of_a_program_are_no_text(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(range(256)) * 100)
    assert detect(path).name == ""


def test_a_long_utf8_text_with_a_few_broken_bytes_in_ascii_stays_utf8(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(("Слова пра мову.\n" * 100_000).encode() + b"plain words only\n" * 70_000 + b"\xe9 \xe8 \xff \xe9 \xe8\n" * 4)
    found = detect(path)
    assert (found.name, found.num_bad_bytes) == ("utf-8", 20)
