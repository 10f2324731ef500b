import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from rodna.core.registry import PluginError
from rodna.corpus.config import ExtractConfig, Source
from rodna.corpus.extractors import Piece, Rejected
from rodna.corpus.isolation import Isolated

HOSTILE = """
import ctypes, os, time
from rodna.corpus.extractors import Piece, Rejected

def extract(path, source, limits):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        if "/" in line and not limits.enter(line):
            continue
        command, _, rest = line.partition(" ")
        if command.endswith("crash"):
            ctypes.string_at(0)
        elif command.endswith("spin"):
            while True:
                pass
        elif command.endswith("sleep"):
            time.sleep(1000)
        elif command.endswith("bloat"):
            data = bytearray(1 << 33)
        elif command.endswith("killed"):
            os.kill(os.getpid(), 9)
        elif command.endswith("fail"):
            raise ZeroDivisionError("nobody foresaw this")
        elif command.endswith("exit"):
            os._exit(3)
        elif command.endswith("print"):
            print("noise" * 1000)
            os.write(1, b"more noise")
            yield Piece("printed")
        elif command.endswith("change"):
            with path.open("a", encoding="utf-8") as file:
                file.write("more")
            yield Piece("changed")
        elif command.endswith("vanish"):
            path.unlink()
            path.open()
        elif command.endswith("endless"):
            while True:
                yield Piece("x" * 1000000)
        elif command.endswith("temporary"):
            import tempfile
            yield Piece(tempfile.mkstemp()[1])
            ctypes.string_at(0)
        elif command.endswith("reject"):
            yield Rejected("some_reason", "what and where", 7, "excerpt \\udcff")
        else:
            yield Piece(line, {"number": number})
"""


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A folder and a source whose extractor does what the lines of a file tell it; registered as any plugin is."""
    packages = tmp_path / "packages"
    folder = packages / "hostile-1.0.dist-info"
    folder.mkdir(parents=True)
    (packages / "hostile_extractor.py").write_text(HOSTILE, encoding="utf-8")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text("[rodna.extractors]\nhostile = hostile_extractor:extract\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(packages))
    return tmp_path


def run(folder, *lines, name="a.txt", **config):
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    with Isolated(ExtractConfig(**config), max_document_bytes=1 << 20) as isolated:
        return list(isolated.extract(path, Source(path=".", format="hostile")))


def told(items):
    return [item.text if isinstance(item, Piece) else (item.reason, item.detail) for item in items]


def test_documents_come_through_with_their_text_and_meta_unchanged(hostile):
    text = "Добры дзень 𐐷 \udcff"[:-1]
    items = run(hostile, text, "reject")
    assert items == [Piece(text, {"number": 0}), Rejected("some_reason", "what and where", 7, "excerpt \udcff")]


def test_megabytes_come_through_in_order_and_whole(tmp_path):
    path = tmp_path / "a.txt"
    lines = [f"{number} " + "ў" * (number % 977) for number in range(20000)]
    path.write_text("\n".join(lines), encoding="utf-8")
    with Isolated(ExtractConfig(), max_document_bytes=1 << 20) as isolated:
        items = list(isolated.extract(path, Source(path=".", document="line")))
        assert told(items) == lines
        assert "".join(told(isolated.extract(path, Source(path=".")))) == "\n".join(lines)


@pytest.mark.parametrize(
    ("command", "expected", "config"),
    [
        ("crash", ("parser_crashed", "ended by SIGSEGV"), {}),
        ("exit", ("parser_crashed", "ended with exit status 3"), {}),
        ("killed", ("parser_out_of_memory", "it took more memory than allowed (extract.memory_mb)"), {}),
        ("bloat", ("parser_out_of_memory", "it took more memory than allowed (extract.memory_mb)"), {}),
        ("spin", ("parser_timed_out", "no progress in 3 seconds (extract.seconds)"), {"seconds": 3}),
        ("sleep", ("parser_timed_out", "no progress in 2.5 seconds (extract.seconds)"), {"seconds": 2.5}),
        ("fail", ("parser_failed", "ZeroDivisionError: nobody foresaw this"), {}),
    ],
)
def test_a_parser_that_does_not_survive_a_member_costs_that_member_only(hostile, command, expected, config):
    reason, detail = expected
    items = run(hostile, "first", "a/one", f"a/{command}", "a/two", "last", **config)
    assert sorted(text for text in told(items) if isinstance(text, str)) == ["a/one", "a/two", "first", "last"]
    assert [item for item in told(items) if isinstance(item, tuple)] == [(reason, f"a/{command}: {detail}")]


def test_a_file_without_members_keeps_what_came_before_the_crash(hostile):
    items = run(hostile, "first", "second", "crash", "third")
    assert told(items) == ["first", "second", ("parser_crashed", "after document 2: ended by SIGSEGV")]
    assert items[-1].size_bytes == len("first\nsecond\ncrash\nthird")


def test_a_file_that_crashes_at_once_is_one_rejection_and_the_next_file_is_read(hostile):
    path, source = hostile / "a.txt", Source(path=".", format="hostile")
    with Isolated(ExtractConfig(), max_document_bytes=1 << 20) as isolated:
        path.write_text("crash", encoding="utf-8")
        assert told(isolated.extract(path, source)) == [("parser_crashed", "ended by SIGSEGV")]
        path.write_text("fine", encoding="utf-8")
        assert told(isolated.extract(path, source)) == ["fine"]


def test_many_crashes_in_one_file_give_the_same_items_every_time(hostile):
    lines = [line for number in range(5) for line in (f"a/{number}", f"b/{number}crash", f"c/{number}fail")]
    first = run(hostile, *lines)
    assert first == run(hostile, *lines)
    assert sorted(text for text in told(first) if isinstance(text, str)) == [f"a/{number}" for number in range(5)]
    assert [item.reason for item in first if isinstance(item, Rejected)].count("parser_crashed") == 5
    assert [item.reason for item in first if isinstance(item, Rejected)].count("parser_failed") == 5


def test_what_parsers_print_does_not_mix_with_the_text(hostile):
    assert told(run(hostile, "print", "fine")) == ["printed", "fine"]


def test_a_file_that_changes_while_it_is_read_is_rejected(hostile):
    assert told(run(hostile, "first", "change")) == [("file_changed", "the file changed or vanished while it was read")]


def test_a_file_that_vanishes_while_it_is_read_is_rejected(hostile):
    assert told(run(hostile, "first", "vanish")) == [("file_changed", "the file changed or vanished while it was read")]


def test_a_file_that_never_ends_is_bounded(hostile):
    items = run(hostile, "endless", max_unpacked_bytes=100_000_000)
    assert told(items)[-1] == ("too_much_text", "more than 100,000,000 bytes of text; the rest is left out")
    assert 100 <= len(items) < 200


def test_files_that_cannot_be_read_say_why(tmp_path):
    loop, pipe, empty, large = (tmp_path / name for name in ("loop", "pipe", "empty.txt", "large.txt"))
    loop.symlink_to(loop)
    os.mkfifo(pipe)
    empty.touch()
    large.write_text("long" * 10, encoding="utf-8")
    source = Source(path=".")
    with Isolated(ExtractConfig(max_file_bytes=30), max_document_bytes=1 << 20) as isolated:
        (missing,) = isolated.extract(tmp_path / "missing", source)
        (looped,) = isolated.extract(loop, source)
        (folder,) = isolated.extract(tmp_path, source)
        (piped,) = isolated.extract(pipe, source)
        (nothing,) = isolated.extract(empty, source)
        (too_large,) = isolated.extract(large, source)
    assert (missing.reason, missing.detail) == ("unreadable_file", "No such file or directory")
    assert (looped.reason, looped.detail) == ("unreadable_file", "Too many levels of symbolic links")
    assert folder.reason == piped.reason == "unreadable_file"
    assert piped.detail == folder.detail == "not a regular file but a folder, pipe or device"
    assert nothing.size_bytes == 0
    assert (too_large.reason, too_large.detail) == ("file_too_large", "40 bytes; extract.max_file_bytes is 30")


def test_a_problem_with_the_whole_file_names_its_cure(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"content": "x"}\n', encoding="utf-8")
    with Isolated(ExtractConfig(), max_document_bytes=1 << 20) as isolated:
        *_, rejected = isolated.extract(path, Source(path=".", text_field="contents"))
    assert rejected.reason == "unreadable_file"
    assert rejected.detail == "after document 1: no field 'contents'; there are: content; set text_field: content for the source"


def test_an_unknown_format_is_the_runs_problem_not_the_files(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")
    with (
        Isolated(ExtractConfig(), max_document_bytes=1 << 20) as isolated,
        pytest.raises(PluginError, match="unknown extractor: 'nonesuch'"),
    ):
        list(isolated.extract(path, Source(path=".", format="nonesuch")))


def test_a_file_left_half_read_does_not_leak_into_the_next(tmp_path):
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("first\n" * 500_000, encoding="utf-8")
    second.write_text("second", encoding="utf-8")
    with Isolated(ExtractConfig(), max_document_bytes=1 << 20) as isolated:
        items = isolated.extract(first, Source(path=".", document="line"))
        assert next(items) == Piece("first")
        assert told(isolated.extract(second, Source(path="."))) == ["second"]


def test_temporary_files_of_a_crashed_parser_are_removed(hostile):
    (path, crashed) = told(run(hostile, "temporary"))
    assert crashed[0] == "parser_crashed"
    assert not Path(path).exists()


def test_the_child_dies_with_its_parent(hostile):
    path = hostile / "a.txt"
    path.write_text("fine\nspin", encoding="utf-8")
    program = (
        "import sys; from pathlib import Path; from rodna.corpus.isolation import Isolated; from rodna.corpus.config import *\n"
        "isolated = Isolated(ExtractConfig(), max_document_bytes=1 << 20)\n"
        f"list(isolated.extract(Path({str(path)!r}), Source(path='.', format='hostile')))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment)
    parent = psutil.Process(process.pid)
    end = time.monotonic() + 60
    while not (children := parent.children()) or children[0].cpu_times().user < 0.5:
        assert time.monotonic() < end
        time.sleep(0.05)
    process.kill()
    process.wait()
    gone, _ = psutil.wait_procs(children, timeout=10)
    assert gone == children


def open_files() -> set[tuple[str, str]]:
    """Return the numbers of this process' open files and what they lead to; nothing where the system does not tell."""
    found: set[tuple[str, str]] = set()
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.add((link.name, str(link.readlink())))
    # The listing itself is open while it is made, under a free number.
    return {(number, target) for number, target in found if not target.endswith("/fd")}


def test_nothing_is_left_open_after_closing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")
    # Each is told by what it leads to: what other tests left open may be closed meanwhile, and must not hide a new one.
    gc.collect()
    children = psutil.Process().children()
    before = open_files()
    for _ in range(3):
        with Isolated(ExtractConfig(), max_document_bytes=1 << 20) as isolated:
            assert told(isolated.extract(path, Source(path="."))) == ["text"]
    gc.collect()
    assert open_files() - before == set()
    assert set(psutil.Process().children()) <= set(children)


def test_what_a_killed_process_left_behind_is_removed_and_what_is_in_use_is_not(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("text", encoding="utf-8")
    abandoned = tmp_path / "rodna-extract-abandoned"
    abandoned.mkdir()
    for name in ("errors", "member"):
        (abandoned / name).write_bytes(bytes(1000))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Isolated(ExtractConfig(), max_document_bytes=1 << 20) as first, Isolated(ExtractConfig(), max_document_bytes=1 << 20) as second:
        list(first.extract(path, Source(path=".")))
        (in_use,) = set(tmp_path.glob("rodna-extract-*")) - {abandoned}
        for folder in (in_use, abandoned):
            os.utime(folder, (1, 1))
        list(second.extract(path, Source(path=".")))
        assert in_use.exists()
        assert not abandoned.exists()
    assert not list(tmp_path.glob("rodna-extract-*"))


def test_a_legacy_encoding_is_judged_however_little_an_archive_may_unpack_to(tmp_path):
    path = tmp_path / "a.txt"
    text = "Ąžuolas žaliuoja prie upės, o vaikai šaukia ir bėga į mišką. Šiandien gražus rytas, ir mes einame į mokyklą.\n" * 20
    path.write_bytes(text.encode("cp1257"))
    with Isolated(ExtractConfig(max_unpacked_bytes=1000), max_document_bytes=1 << 20) as isolated:
        assert told(isolated.extract(path, Source(path="."))) == [text]
