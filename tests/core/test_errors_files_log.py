"""Errors say what, where and how to fix; files appear at once; logs survive a crash."""

import errno
import os
from pathlib import Path

import pytest

from rodna.core.errors import DiskError, RodnaError, explain_disk_errors
from rodna.core.files import is_abandoned, process_is_alive, temporary_name, write_json, write_text
from rodna.core.log import JsonLines, read_json_lines, say, warn
from rodna.core.text import human_bytes, human_count, human_seconds


def test_an_error_reads_what_where_fix():
    assert str(RodnaError("it broke", where="a.yaml", fix="mend it")) == "it broke\n  where: a.yaml\n  fix:   mend it"
    assert str(RodnaError("it broke")) == "it broke"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "cannot write: the disk is full"),
        (errno.EDQUOT, "cannot write: the disk quota is used up"),
        (errno.EROFS, "cannot write: the file system is read-only"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_refusals_of_the_disk_are_explained(number, message):
    with pytest.raises(DiskError, match=rf"{message}\n  where: /place\n  fix: "), explain_disk_errors(Path("/place")):
        raise OSError(number, os.strerror(number))


def test_the_file_the_system_names_is_the_one_reported():
    with pytest.raises(DiskError, match="where: /other/file"), explain_disk_errors(Path("/place")):
        raise PermissionError(errno.EACCES, "denied", "/other/file")


def test_other_system_errors_pass_unchanged():
    with pytest.raises(FileNotFoundError), explain_disk_errors(Path("/place")):
        raise FileNotFoundError(errno.ENOENT, "absent", "x")


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="the disk is full"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_json_is_written_readable(tmp_path):
    write_json(tmp_path / "a.json", {"мова": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "мова": 1\n}\n'


def test_a_name_of_a_living_process_is_not_abandoned(tmp_path):
    own = temporary_name(tmp_path / "x")
    assert is_abandoned(own)  # an id used again: this process has not begun to write
    assert not is_abandoned(own.with_name(f".x.new.{os.getppid()}.tmp"))
    assert is_abandoned(own.with_name(".x.new.999999999.tmp"))
    assert is_abandoned(own.with_name(".x.garbage.tmp"))
    assert process_is_alive(os.getpid())


def test_a_record_cut_short_by_a_crash_costs_no_other_record(tmp_path):
    path = tmp_path / "log.jsonl"
    first = JsonLines(path)
    first.write({"step": 1, "text": "line\u2028separator\u0085"})
    first.close()
    with path.open("a") as file:
        file.write('{"step": 2, "te')
    second = JsonLines(path)
    second.write({"step": 3})
    second.event("saved", step=3)
    second.close()
    records = read_json_lines(path)
    assert [record["step"] for record in records] == [1, 3, 3]
    assert records[0]["text"] == "line\u2028separator\u0085"
    assert records[2]["event"] == "saved"


def test_reading_an_absent_log_gives_nothing(tmp_path):
    assert read_json_lines(tmp_path / "absent.jsonl") == []


def test_lines_for_people_go_to_stderr(capsys):
    say("hello")
    warn("careful")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "hello\nwarning: careful\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (human_bytes(0), "0 B"),
        (human_bytes(3_200_000), "3.2 MB"),
        (human_count(10_900_000), "10.9M"),
        (human_count(999), "999"),
        (human_seconds(0.25), "250 ms"),
        (human_seconds(9.97), "10 s"),
        (human_seconds(59.7), "1 min"),
        (human_seconds(4000), "1 h 7 min"),
        (human_seconds(3600), "1 h"),
    ],
)
def test_numbers_for_people(text, expected):
    assert text == expected
