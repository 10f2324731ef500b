"""Artifacts are complete or absent, never half-written, and say what they were made from."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rodna.core.artifact import MANIFEST, Artifact, create, digest_of, read_manifest
from rodna.core.config import Section
from rodna.core.errors import ArtifactError, DiskError


class Settings(Section):
    size: int = 3


def make(out: Path, *, text: str = "текст", inputs: dict[str, Artifact | str] | None = None, size: int = 3) -> Artifact:
    with create(out, kind="corpus", format_version=1, inputs=inputs or {}, config=Settings(size=size), seed=7) as draft:
        (draft.path / "part").mkdir()
        (draft.path / "part" / "text.txt").write_text(text, encoding="utf-8")
        draft.counts["documents"] = 2
        draft.licences["letters"] = "CC0-1.0"
    return draft.result


def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", "pass"])
    done.wait()
    return done.pid


def test_a_finished_artifact_opens_with_what_was_written(tmp_path):
    made = make(tmp_path / "letters-00000000")
    opened = Artifact.open(made.path, kind="corpus")
    manifest = opened.manifest
    assert (manifest.kind, manifest.name, manifest.seed, manifest.config) == ("corpus", "letters", 7, {"size": 3})
    assert opened.counts == {"documents": 2}
    assert manifest.files["part/text.txt"].size_bytes == len("текст".encode())
    assert manifest.environment["python"]
    opened.verify()


def test_nothing_appears_when_the_stage_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), create(tmp_path / "x-00000000", kind="corpus", format_version=1, inputs={}, config={}) as draft:
        (draft.path / "half").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_nothing_appears_when_the_process_is_killed_and_the_next_attempt_removes_the_rest(tmp_path):
    out = tmp_path / "letters-00000000"
    code = f"""
import os, signal
from pathlib import Path
from rodna.core.artifact import create
with create(Path({str(out)!r}), kind="corpus", format_version=1, inputs={{}}, config={{}}) as draft:
    (draft.path / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    assert len(list(tmp_path.iterdir())) == 1
    make(out)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_what_a_living_process_is_writing_is_not_deleted(tmp_path):
    out = tmp_path / "letters-00000000"
    living, dead = (tmp_path / f".{out.name}.new.{pid}.tmp" for pid in (os.getppid(), dead_process()))
    living.mkdir()
    dead.mkdir()
    make(out)
    assert living.is_dir()
    assert not dead.exists()


def test_a_folder_that_is_not_an_artifact_is_never_deleted(tmp_path):
    out = tmp_path / "holiday"
    out.mkdir()
    (out / "photo.jpg").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"something that is not an artifact is in the way\n  where: .*holiday\n  fix:   move it away"):
        make(out)
    assert (out / "photo.jpg").exists()


def test_an_artifact_whose_manifest_was_lost_is_built_again(tmp_path):
    made = make(tmp_path / "letters-0a1b2c3d")
    (made.path / MANIFEST).unlink()
    assert make(made.path).path == made.path


def test_a_new_artifact_replaces_a_finished_one(tmp_path):
    make(tmp_path / "letters-00000000", text="old")
    made = make(tmp_path / "letters-00000000", text="new")
    assert (made.path / "part/text.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["letters-00000000"]


def test_the_digest_changes_with_inputs_settings_and_version_only(tmp_path):
    first, same = make(tmp_path / "a-00000000"), make(tmp_path / "b-00000000")
    assert first.digest == same.digest
    base = {"format_version": 1, "inputs": {"corpus": "1"}, "config": {"size": 3}}
    digests = {
        digest_of("tokens", **base),
        digest_of("corpus", **base),
        digest_of("tokens", **{**base, "format_version": 2}),
        digest_of("tokens", **{**base, "inputs": {"corpus": "2"}}),
        digest_of("tokens", **{**base, "config": {"size": 4}}),
    }
    assert len(digests) == 5


def test_licences_are_inherited_from_inputs(tmp_path):
    corpus = make(tmp_path / "letters-00000000")
    with create(tmp_path / "t-00000000", kind="tokenizer", format_version=1, inputs={"corpus": corpus}, config={}) as draft:
        pass
    assert draft.result.manifest.licences == {"letters": "CC0-1.0"}
    assert draft.result.manifest.inputs == {"corpus": corpus.digest}


def test_numbers_that_are_not_finite_survive_the_manifest(tmp_path):
    with create(tmp_path / "t-00000000", kind="model", format_version=1, inputs={}, config={}) as draft:
        draft.counts["loss"] = float("inf")
    assert Artifact.open(draft.result.path).counts["loss"] == float("inf")


def shorten(folder: Path) -> None:
    (folder / "part/text.txt").write_text("т", encoding="utf-8")


def remove(folder: Path) -> None:
    (folder / "part/text.txt").unlink()


def scribble(folder: Path) -> None:
    (folder / MANIFEST).write_text("{ not json")


def unmanifest(folder: Path) -> None:
    (folder / MANIFEST).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shorten, r"damaged artifact: part/text.txt has 2 bytes, its manifest says 10"),
        (remove, r"damaged artifact: part/text.txt is missing"),
        (scribble, r"damaged artifact: manifest.json cannot be read"),
        (unmanifest, r"not a complete artifact: it has no manifest.json"),
    ],
)
def test_a_damaged_artifact_is_named_with_the_fix(tmp_path, damage, message):
    made = make(tmp_path / "letters-00000000")
    damage(made.path)
    with pytest.raises(ArtifactError, match=rf"{message}\n  where: .*letters-00000000\n  fix: .*`rodna run`"):
        Artifact.open(made.path)


def test_verify_finds_a_change_that_kept_the_size(tmp_path):
    made = make(tmp_path / "letters-00000000", text="abc")
    (made.path / "part/text.txt").write_text("abd")
    opened = Artifact.open(made.path)
    with pytest.raises(ArtifactError, match=r"the content of part/text.txt has changed since it was written"):
        opened.verify()


def test_another_kind_is_refused(tmp_path):
    made = make(tmp_path / "letters-00000000")
    with pytest.raises(ArtifactError, match=r"expected a model, found a corpus"):
        Artifact.open(made.path, kind="model")


def test_a_manifest_of_absurd_size_is_refused_before_it_is_read(tmp_path):
    made = make(tmp_path / "letters-00000000")
    with (made.path / MANIFEST).open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(ArtifactError, match="far too large"):
        read_manifest(made.path)


def test_a_full_disk_leaves_nothing_behind_and_says_so(tmp_path):
    """The operating system itself refuses: in a child process no file may grow past 64 KiB."""
    out = tmp_path / "big-00000000"
    code = f"""
import resource, signal
from pathlib import Path
from rodna.core.artifact import create
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
from rodna.core.errors import DiskError
try:
    with create(Path({str(out)!r}), kind="corpus", format_version=1, inputs={{}}, config={{}}) as draft:
        (draft.path / "big").write_bytes(bytes(100_000))
except DiskError as error:
    print(error)
"""
    assert resource.RLIMIT_FSIZE >= 0
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cannot write: the file is larger than this system allows" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_no_space_left_is_explained_and_cleaned_up(tmp_path):
    with (
        pytest.raises(DiskError, match=r"cannot write: the disk is full\n  where: .*x-00000000\n  fix:   free some space"),
        create(tmp_path / "x-00000000", kind="corpus", format_version=1, inputs={}, config={}) as draft,
    ):
        (draft.path / "half").write_text("half")
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_is_plain_json_that_names_the_code(tmp_path):
    made = make(tmp_path / "letters-00000000")
    raw = json.loads((made.path / MANIFEST).read_text(encoding="utf-8"))
    assert raw["code_version"]
    assert set(raw["files"]) == {"part/text.txt"}
