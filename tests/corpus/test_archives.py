"""Archives and compressed files: limits by what really comes out, and nothing lost without a word."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.archive import unsafe
from rodna.corpus.extractors.dispatch import extract_file
from rodna.corpus.extractors.unpacking import zstd_is_complete

SOURCE = Source(path=".")
TEXT = "Дзень добры, свет.\n"
LONG = "".join(f"Радок нумар {number}, як {number * 7919 % 1000}.\n" for number in range(20000))
PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstandard.compress}


def read(path, source=SOURCE, **limits):
    return list(extract_file(path, source, Limits(**limits)))


def texts(items):
    return [item.text for item in items if isinstance(item, Piece)]


def reasons(items):
    return [item.reason for item in items if isinstance(item, Rejected)]


def packed_zip(path: Path, members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def packed_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_members_are_read_in_the_archives_order_and_named_in_meta(tmp_path):
    items = read(packed_zip(tmp_path / "a.zip", {"b/два.txt": "два", "a.html": "<html><body><p>адзін</p></body></html>"}))
    assert [text.strip() for text in texts(items)] == ["два", "адзін"]
    assert [item.meta["member"] for item in items] == ["b/два.txt", "a.html"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_archive_is_read_however_it_is_packed(tmp_path, mode):
    path = packed_tar(tmp_path / "named_wrongly.txt", {"x.txt": TEXT.encode(), "empty.txt": b""}, mode)
    items = read(path)
    assert texts(items) == [TEXT]
    assert reasons(items) == ["empty_file"]


def test_a_zstd_tar_archive_is_read(tmp_path):
    plain = packed_tar(tmp_path / "a.tar", {"x.txt": TEXT.encode()})
    (tmp_path / "a.tar.zst").write_bytes(zstandard.compress(plain.read_bytes()))
    assert texts(read(tmp_path / "a.tar.zst")) == [TEXT]


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_packed_file_is_read_as_what_is_inside_even_of_many_streams(tmp_path, suffix):
    path = tmp_path / f"x.txt.{suffix}"
    path.write_bytes(PACKERS[suffix](TEXT.encode()) + PACKERS[suffix](TEXT.encode()))
    (item,) = read(path)
    assert isinstance(item, Piece)
    assert item.text == TEXT * 2
    assert item.meta["member"] == "x.txt"


@pytest.mark.parametrize("suffix", PACKERS)
def test_of_a_truncated_packed_file_the_beginning_is_kept_and_the_rest_rejected_once(tmp_path, suffix):
    path = tmp_path / f"x.txt.{suffix}"
    whole = PACKERS[suffix](LONG.encode()) if suffix != "bz2" else b"".join(bz2.compress(part.encode()) for part in (LONG, LONG))
    path.write_bytes(whole[: len(whole) * 3 // 4])
    items = read(path)
    (text,) = texts(items)
    assert reasons(items) == ["truncated"]
    assert len(text) > 1000
    assert (LONG * 2).startswith(text[:1000])
    assert isinstance(items[-1], Rejected)
    assert "end too early" in items[-1].detail


def test_garbage_after_a_gzip_stream_is_damage_and_costs_no_text(tmp_path):
    path = tmp_path / "x.txt.gz"
    path.write_bytes(gzip.compress(TEXT.encode()) + b"garbage")
    items = read(path)
    assert texts(items) == [TEXT]
    assert reasons(items) == ["damaged"]


def test_zstd_frames_are_followed_to_their_end(tmp_path):
    path = tmp_path / "a.zst"
    with_checksum = zstandard.ZstdCompressor(write_checksum=True).compress(b"a" * 999)
    for data in (zstandard.compress(LONG.encode()), zstandard.compress(b"") * 3, with_checksum):
        path.write_bytes(data)
        assert zstd_is_complete(path)
        path.write_bytes(data[: len(data) // 2 + 1])
        assert not zstd_is_complete(path)


def test_a_zip_bomb_is_stopped_long_before_it_has_unpacked(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("before.txt", TEXT)
        with archive.open("zeros.txt", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
        archive.writestr("after.txt", TEXT)
    items = read(path)
    assert texts(items) == [TEXT]
    assert reasons(items) == ["archive_bomb"]
    assert "times as many" in items[-1].detail


@pytest.mark.parametrize("suffix", ["bz2", "xz", "zst"])
def test_a_few_kilobytes_that_unpack_to_gigabytes_are_a_bomb(tmp_path, suffix):
    path = tmp_path / f"bomb.txt.{suffix}"
    megabytes = PACKERS[suffix](bytes(64 << 20))
    # Streams one after the other: two gigabytes.
    path.write_bytes(megabytes * 32)
    assert path.stat().st_size < 1 << 20
    assert reasons(read(path)) == ["archive_bomb"]


def test_a_bomb_inside_archives_is_measured_against_the_outermost_file(tmp_path):
    inner = packed_zip(tmp_path / "inner.zip", {f"{number}.txt": bytes(20 << 20) for number in range(2)})
    path = packed_zip(tmp_path / "outer.zip", {f"{number}.zip": inner.read_bytes() for number in range(20)})
    assert reasons(read(path))[-1] == "archive_bomb"


def test_a_header_that_lies_about_its_size_gains_nothing(tmp_path):
    path = packed_zip(tmp_path / "a.zip", {"zeros.txt": bytes(70 << 20), "after.txt": TEXT})
    data = path.read_bytes()
    path.write_bytes(data.replace((70 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    items = read(path)
    assert reasons(items) == ["damaged"]
    assert texts(items) == [TEXT]


def test_what_an_archive_may_unpack_to_is_limited(tmp_path):
    path = packed_zip(tmp_path / "a.zip", {"1.txt": LONG, "2.txt": LONG, "3.txt": LONG})
    size = len(LONG.encode())
    items = read(path, max_unpacked_bytes=2 * size + 10)
    assert texts(items) == [LONG, LONG]
    assert reasons(items) == ["too_large_unpacked"]
    assert "max_unpacked_bytes" in items[-1].detail


def test_archives_inside_archives_are_read_to_the_depth_allowed(tmp_path):
    path = packed_zip(tmp_path / "0.zip", {"x.txt": TEXT})
    for number in range(1, 4):
        path = packed_zip(tmp_path / f"{number}.zip", {f"{number - 1}.zip": path.read_bytes(), "y.txt": str(number)})
    items = read(path, depth=3)
    assert texts(items) == ["1", "2", "3"]
    assert reasons(items) == ["archive_too_deep"]
    assert "2.zip: 1.zip: 0.zip: lies in too many archives" in "".join(item.detail for item in items if isinstance(item, Rejected))
    items = read(path, depth=4)
    assert reasons(items) == []
    assert items[0].meta["member"] == "2.zip/1.zip/0.zip/x.txt"


@pytest.mark.parametrize("name", ["../../evil.txt", "/etc/evil.txt", "C:\\evil.txt", "a\\..\\..\\evil.txt", "\\\\server\\evil.txt"])
def test_a_name_that_leads_out_of_an_archive_is_rejected_and_nothing_written(tmp_path, name):
    inside = tmp_path / "room"
    inside.mkdir()
    path = inside / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        archive.writestr(info, "evil")
        archive.writestr("good.txt", TEXT)
    items = read(path)
    assert reasons(items) == ["unsafe_path"]
    assert texts(items) == [TEXT]
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["a.zip", "room"]


def test_a_name_with_a_nul_is_unsafe_and_ordinary_names_are_not():
    assert "NUL" in unsafe("a\0.txt")
    assert unsafe("кніга/раздзел 1..2.txt") == ""
    assert "leads out" in unsafe("a/../../b")


def test_links_and_devices_in_a_tar_archive_are_rejected(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "../x"), (tarfile.CHRTYPE, ""), (tarfile.FIFOTYPE, "")):
            info = tarfile.TarInfo(f"odd{kind.decode()}")
            info.type, info.linkname = kind, target
            archive.addfile(info)
        info = tarfile.TarInfo("good.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"good"))
    items = read(path)
    assert reasons(items) == ["unsafe_path"] * 4
    assert texts(items) == ["good"]


def test_a_symbolic_link_in_a_zip_archive_is_rejected(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link.txt")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    (item,) = read(path)
    assert item.reason == "unsafe_path"
    assert "link" in item.detail


def encrypted(data: bytes) -> bytes:
    """Set the encryption flag of a ZIP file's only member, in both of its headers."""
    data = bytearray(data)
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def test_an_encrypted_member_is_rejected_as_such(tmp_path):
    path = packed_zip(tmp_path / "a.zip", {"x.txt": TEXT})
    path.write_bytes(encrypted(path.read_bytes()))
    (item,) = read(path)
    assert item.reason == "password_protected"
    assert "x.txt: encrypted" in item.detail


def test_a_member_packed_in_an_unknown_way_is_named(tmp_path):
    path = packed_zip(tmp_path / "a.zip", {"x.txt": TEXT})
    data = bytearray(path.read_bytes())
    data[8] = 9
    data[data.index(b"PK\x01\x02") + 10] = 9
    path.write_bytes(data)
    (item,) = read(path)
    assert item.reason == "unsupported_format"
    assert "method 9" in item.detail


def test_of_a_truncated_zip_archive_the_members_before_the_cut_are_kept(tmp_path):
    path = packed_zip(tmp_path / "a.zip", {"1.txt": TEXT, "2.txt": TEXT * 2, "3.txt": LONG})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    items = read(path)
    assert texts(items)[:2] == [TEXT, TEXT * 2]
    assert LONG.startswith(texts(items)[2][:500])
    assert reasons(items) == ["truncated", "truncated"]
    assert "list of its members" in items[-1].detail


def test_of_a_truncated_tar_archive_the_members_before_the_cut_are_kept(tmp_path):
    path = packed_tar(tmp_path / "a.tar", {"1.txt": TEXT.encode(), "2.txt": LONG.encode()})
    data = path.read_bytes()
    path.write_bytes(data[:20000])
    items = read(path)
    assert texts(items)[0] == TEXT
    assert set(reasons(items)) == {"truncated"}


def test_a_broken_header_in_the_middle_of_a_tar_archive_is_not_taken_for_its_end(tmp_path):
    path = packed_tar(tmp_path / "a.tar", {"1.txt": TEXT.encode(), "2.txt": TEXT.encode()})
    data = bytearray(path.read_bytes())
    data[1024:1100] = b"\xff" * 76
    path.write_bytes(data)
    items = read(path)
    assert texts(items) == [TEXT]
    assert reasons(items) == ["damaged"]


def test_one_bad_member_does_not_cost_the_others(tmp_path):
    path = packed_zip(
        tmp_path / "a.zip",
        {"1.parquet": b"PAR1 nonsense", "2.docx": b"PK\x03\x04 nonsense", "3.txt": TEXT, "4.png": b"\x89PNG\r\n\x1a\n\0"},
    )
    items = read(path)
    assert texts(items) == [TEXT]
    assert reasons(items) == ["unreadable_file", "damaged", "not_text"]
    assert all(item.detail[0].isdigit() for item in items if isinstance(item, Rejected))


def test_members_that_are_not_to_be_entered_are_left_out(tmp_path):
    path = packed_zip(tmp_path / "a.zip", {"1.txt": "1", "2.txt": "2"})
    seen = []

    def enter(name):
        seen.append(name)
        return name != "1.txt"

    assert texts(read(path, enter=enter)) == ["2"]
    assert seen == ["1.txt", "2.txt"]


def test_a_sources_format_says_what_is_inside_an_archive(tmp_path):
    path = packed_zip(tmp_path / "a.zip", {"x.dat": '{"body": "тэкст"}\n'})
    assert texts(read(path, Source(path=".", format="json_lines", text_field="body"))) == ["тэкст"]


def test_nothing_is_left_behind_in_the_folder_for_temporary_files(tmp_path, monkeypatch):
    import tempfile

    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    assert texts(read(packed_zip(tmp_path / "a.zip", {"x.txt": TEXT}))) == [TEXT]
    assert list(room.iterdir()) == []
