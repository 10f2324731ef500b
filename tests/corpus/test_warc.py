import gzip
import zlib

import pytest

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.dispatch import extract_file
from rodna.corpus.extractors.http import TooLargeError, joined, parse_response, unpacked
from rodna.corpus.extractors.warc import CHUNK_BYTES, extract

PAGE = "<html><title>Назва</title><body><p>Добры дзень, гэта старонка з архіва.</p></body></html>"
TEXT = "Добры дзень, гэта старонка з архіва."
URL = "http://example.org/старонка"


def http(body, *headers, status=200):
    head = "\r\n".join([f"HTTP/1.1 {status} OK", "Content-Type: text/html; charset=utf-8", *headers])
    return head.encode() + b"\r\n\r\n" + body


def record(payload, kind="response", *headers, url=URL, length=None):
    lines = ["WARC/1.0", f"WARC-Type: {kind}", f"WARC-Target-URI: {url}", "WARC-Date: 2024-05-06T07:08:09Z", *headers]
    lines.append(f"Content-Length: {len(payload) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload + b"\r\n\r\n"


def read(tmp_path, data, name="a.warc", **limits):
    path = tmp_path / name
    path.write_bytes(data)
    return list(extract(path, Source(path="."), Limits(**limits)))


def told(items):
    return [item.text if isinstance(item, Piece) else (item.reason, item.detail) for item in items]


def test_a_page_comes_with_its_address_date_and_title(tmp_path):
    (piece,) = read(tmp_path, record(http(PAGE.encode())))
    assert piece == Piece(TEXT, {"url": URL, "date": "2024-05-06T07:08:09Z", "title": "Назва"})


@pytest.mark.parametrize("pack", [lambda records: gzip.compress(b"".join(records)), lambda records: b"".join(map(gzip.compress, records))])
def test_packed_archives_are_read_whole_or_record_by_record(tmp_path, pack):
    items = read(tmp_path, pack([record(http(PAGE.encode()))] * 3), "a.warc.gz")
    assert told(items) == [TEXT] * 3


def test_records_that_are_no_pages_are_counted_by_kind(tmp_path):
    data = record(b"software: x", "warcinfo") + record(b"GET / HTTP/1.0", "request") * 2 + record(http(PAGE.encode()))
    data += record(http(PAGE.encode(), status=404)) + record(b"\x89PNG", "resource", "Content-Type: image/png") + record(http(b""))
    items = read(tmp_path, data)
    assert told(items) == [
        TEXT,
        ("not_a_page", "1 answers with status 404"),
        ("not_a_page", "1 empty pages"),
        ("not_a_page", "1 files of image/png"),
        ("not_a_page", "2 request records"),
        ("not_a_page", "1 warcinfo records"),
    ]
    assert items[4].size_bytes == 2 * len(b"GET / HTTP/1.0")


def test_plain_text_resources_and_conversions_are_pages_too(tmp_path):
    data = record(TEXT.encode("cp1251"), "resource", "Content-Type: text/plain; charset=windows-1251")
    data += record(TEXT.encode(), "conversion", "Content-Type: text/plain")
    first, second = read(tmp_path, data)
    assert (first.text, first.meta["encoding"]) == (TEXT, "cp1251")
    assert (second.text, "encoding" in second.meta) == (TEXT, False)


def test_chunked_packed_and_legacy_encoded_answers_are_undone(tmp_path):
    packed = gzip.compress(PAGE.encode())
    chunked = b"%x\r\n%s\r\n%x;ext=1\r\n%s\r\n0\r\n\r\n" % (10, packed[:10], len(packed) - 10, packed[10:])
    data = record(http(chunked, "Content-Encoding: gzip", "Transfer-Encoding: chunked"))
    data += record(http(zlib.compress(PAGE.encode()), "Content-Encoding: deflate"))
    data += record(http(PAGE.encode(), "Content-Encoding: gzip", "Transfer-Encoding: chunked"))
    data += record(http(PAGE.encode(), "Content-Encoding: br"))
    assert told(read(tmp_path, data)) == [TEXT] * 4


def test_brotli_and_zstd_are_undone():
    brotli, zstandard = pytest.importorskip("brotli"), pytest.importorskip("zstandard")
    assert unpacked(brotli.compress(PAGE.encode()), "br", max_bytes=1000) == (PAGE.encode(), "")
    assert unpacked(zstandard.compress(PAGE.encode()), "zstd", max_bytes=1000) == (PAGE.encode(), "")


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "lzma"])
def test_a_body_that_cannot_be_unpacked_says_so(coding):
    assert unpacked(b"\xffrubbish", coding, max_bytes=1000)[1].startswith("pages packed in a")


def test_wrong_chunks_are_taken_as_they_are_from_there_on():
    assert joined(b"3\r\nabc\r\nnot a length") == b"abcnot a length"
    assert joined(b"<html>") == b"<html>"


def test_an_answer_that_unpacks_to_too_much_is_left_out(tmp_path):
    bomb = http(gzip.compress(bytes(1 << 20)), "Content-Encoding: gzip")
    with pytest.raises(TooLargeError):
        parse_response(bomb, max_bytes=1000)
    assert told(read(tmp_path, record(bomb), max_page_bytes=100_000)) == [("not_a_page", "1 pages too large when unpacked")]


def test_a_record_larger_than_a_page_is_left_out_and_the_next_is_read(tmp_path):
    items = read(tmp_path, record(http(b"x" * 5000)) + record(http(PAGE.encode())), max_page_bytes=1000)
    assert [item.reason for item in items if isinstance(item, Rejected)] == ["page_too_large"]
    assert told(items)[-1] == TEXT


def test_damage_costs_the_records_it_is_in(tmp_path):
    data = record(http(PAGE.encode())) + b"rubbish\r\n" * 10 + record(http(PAGE.encode()), length="many") + record(http(PAGE.encode()))
    items = read(tmp_path, data)
    assert told(items)[0] == told(items)[2] == TEXT
    assert items[1].reason == "damaged_record"
    assert items[1].detail.endswith("bytes that belong to no record, as their headers have it")


def test_a_truncated_last_page_keeps_what_there_is_of_it_and_says_so(tmp_path):
    whole = record(http(PAGE.encode()))
    first, second = read(tmp_path, whole + whole[:-20])
    assert "truncated" not in first.meta
    assert (second.text, second.meta["truncated"]) == (TEXT, True)


def test_a_truncated_packed_archive_is_read_up_to_the_damage(tmp_path):
    packed = gzip.compress(record(http(PAGE.encode())))
    items = read(tmp_path, packed + packed[:-30], "a.warc.gz")
    assert told(items)[0] == TEXT
    assert items[-1].reason == "truncated"


def test_an_archive_without_one_record_is_damaged(tmp_path):
    assert told(read(tmp_path, b"WARC/1.0\r\n"))[-1] == ("damaged", "not one whole record in the archive")


def test_a_page_without_text_is_rejected_with_its_address(tmp_path):
    (rejected,) = read(tmp_path, record(http(b"<html><script>x</script></html>")))
    assert (rejected.reason, rejected.detail) == ("no_text", f"{URL}: the page has no text outside navigation and scripts")


def test_bytes_that_are_no_text_are_rejected(tmp_path):
    (rejected,) = read(tmp_path, record(http(b"<html>" + bytes(range(20)) * 50)))
    assert (rejected.reason, rejected.detail) == ("not_text", f"{URL}: it is not text")


def test_each_page_is_entered_before_it_is_parsed_and_left_out_on_request(tmp_path):
    entered = []
    data = record(http(PAGE.encode()), url="http://a/") + record(http(PAGE.encode()), url="http://b/")
    path = tmp_path / "a.warc"
    path.write_bytes(data)
    items = list(extract(path, Source(path="."), Limits(enter=lambda name: entered.append(name) or name != "http://a/")))
    assert entered == ["http://a/", "http://b/"]
    assert [piece.meta["url"] for piece in items if isinstance(piece, Piece)] == ["http://b/"]


def test_the_older_arc_is_read_too(tmp_path):
    page = http(PAGE.encode())
    data = b"filedesc://a.arc 0.0.0.0 20240506070809 text/plain 3\n1 0\n\n"
    data += b"http://example.org/with space 1.2.3.4 20240506070809 text/html %d\n%s\n" % (len(page), page)
    data += b"http://example.org/bad 1.2.3.4 20240506070809 text/html -1\n"
    items = read(tmp_path, data, "a.arc")
    assert items[0] == Piece(TEXT, {"url": "http://example.org/with space", "date": "2024-05-06T07:08:09Z", "title": "Назва"})
    assert [item.reason for item in items[1:]] == ["damaged_record", "not_a_page"]


@pytest.mark.parametrize(
    ("name", "num_pages", "reasons"),
    [
        ("bad.arc", 0, {"damaged_record", "not_a_page"}),
        ("example-bad-non-chunked.warc.gz", 1, {"not_a_page"}),
        ("example-bad.warc.gz.bad", 1, {"not_a_page"}),
        ("example-iana.org-chunked.warc", 1, {"not_a_page"}),
        ("example-resource.warc.gz", 1, {"not_a_page"}),
        ("example-space-in-url.arc", 1, {"not_a_page"}),
        ("example-trunc.warc", 1, {"not_a_page", "damaged_record"}),
        ("example-wrong-chunks.warc.gz", 1, {"not_a_page"}),
        ("example.arc.gz", 1, {"not_a_page"}),
        ("example-wget-bad-target-uri.warc.gz", 1, {"not_a_page"}),
        ("post-test.warc.gz", 0, {"not_a_page"}),
    ],
)
def test_real_archives_good_and_bad_yield_their_pages(shared_data, name, num_pages, reasons):
    items = list(extract(shared_data / "dirty" / "warc" / name, Source(path="."), Limits()))
    pages = [item for item in items if isinstance(item, Piece)]
    assert len(pages) == num_pages
    assert {item.reason for item in items if isinstance(item, Rejected)} == reasons
    assert all("<" not in page.text and page.meta["url"].startswith("http") for page in pages)


@pytest.mark.parametrize("claimed", [4000, 10_000_000_000])
@pytest.mark.parametrize("padding", [0, CHUNK_BYTES - 250, CHUNK_BYTES])
def test_a_header_that_claims_too_much_costs_no_other_record(tmp_path, claimed, padding):
    first = PAGE.replace("<body>", "<body>" + " " * padding)
    data = record(http(first.encode()), length=claimed + padding) + record(b"GET /", "request") + record(http(PAGE.encode()), url=URL + "2")
    items = read(tmp_path, data)
    assert told(items) == [TEXT, TEXT, ("not_a_page", "1 request records")]
    assert items[0].meta["truncated"]
    assert items[1].meta == {"url": URL + "2", "date": "2024-05-06T07:08:09Z", "title": "Назва"}


@pytest.mark.parametrize("shift", range(0, 60, 7))
def test_the_next_record_is_found_wherever_it_begins(tmp_path, shift):
    body = b"x" * (CHUNK_BYTES - shift)
    data = record(body, "resource", "Content-Type: text/plain", length=9 * CHUNK_BYTES) + record(http(PAGE.encode()))
    first, second = read(tmp_path, data)
    assert (len(first.text), second.text) == (len(body), TEXT)


def test_packed_pages_that_unpack_to_out_of_all_proportion_are_a_bomb(tmp_path):
    path = tmp_path / "a.warc"
    bomb = record(http(gzip.compress(b"<p>" + b" " * (1 << 20)), "Content-Encoding: gzip"))
    path.write_bytes(record(http(PAGE.encode())) + bomb * 70)
    first, *_, last = extract_file(path, Source(path="."), Limits())
    assert told([first]) == [TEXT]
    assert last.reason == "archive_bomb"
