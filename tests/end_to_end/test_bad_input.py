"""What people get wrong, and what machines do to them: the message says what, where and how to mend it; nothing half-written stays."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def write_project(root: Path, *, path: str = "texts", extra: str = "") -> Path:
    (root / "texts").mkdir(parents=True, exist_ok=True)
    (root / "project.yaml").write_text(
        f"language: be\nname: bad\nsources:\n  texts: {{path: {path}, document: line}}\n{extra}", encoding="utf-8"
    )
    return root


def half_written(root: Path) -> list[Path]:
    """Return temporary files, and artifact folders without a manifest."""
    temporary = [path for path in root.rglob("*") if path.name.endswith(".tmp")]
    return temporary + [path for path in (root / "artifacts").glob("*/*") if not (path / "manifest.json").is_file()]


def sentences(number: int) -> str:
    return "".join(f"Сказ {index} кажа пра {index * 7919 % 1000} рэчаў і людзей.\n" for index in range(number))


@pytest.fixture
def refused(rodna):
    """Run a verb that must fail; return what it said."""

    def run(root: Path, *arguments: object) -> str:
        result = rodna(*(arguments or ("run",)), "--workspace", root)
        assert result.exit_code == 1, result.stderr
        assert "Traceback" not in result.stderr
        assert "failed unexpectedly" not in result.stderr
        assert half_written(root) == []
        told = result.stderr[result.stderr.index("error: ") :]
        assert "  where: " in told
        assert "  fix: " in told
        return told

    return run


def test_an_empty_folder(refused, tmp_path):
    told = refused(write_project(tmp_path))

    assert "source 'texts' has no files" in told
    assert "put text files there" in told


def test_a_missing_source(refused, tmp_path):
    assert "the text of source 'texts' is not there" in refused(write_project(tmp_path, path="nowhere.txt"))


def test_only_empty_files(refused, tmp_path):
    write_project(tmp_path)
    (tmp_path / "texts" / "a.txt").write_bytes(b"")
    (tmp_path / "texts" / "b.txt").write_text(" \n\n\t\n", encoding="utf-8")

    told = refused(tmp_path)

    assert "no document is left to learn from: 2 files read" in told
    assert "empty_file" in told


def test_text_smaller_than_the_split_needs(refused, tmp_path):
    write_project(tmp_path)
    (tmp_path / "texts" / "a.txt").write_text(sentences(20), encoding="utf-8")
    told = refused(tmp_path)

    assert "split" in told
    assert "bytes" in told or "kB" in told


def test_a_vocabulary_larger_than_the_text_supports(refused, tmp_path):
    write_project(tmp_path, extra="corpus: {split: {min_bytes: 1000}}\ntokenizer: {vocabulary_size: 50000}\n")
    (tmp_path / "texts" / "a.txt").write_text(sentences(1000), encoding="utf-8")
    told = refused(tmp_path)

    assert "the vocabulary is larger than the text supports" in told
    assert "tokenizer.vocabulary_size" in told


def test_a_project_file_with_five_mistakes(refused, tmp_path):
    write_project(tmp_path)
    (tmp_path / "project.yaml").write_text(
        "language: xx\nname: a/b\nsources: {a: {path: t, licens: CC0}}\ncorpus: {seed: -1}\ntrian: {}\n", encoding="utf-8"
    )
    told = refused(tmp_path)

    assert told.startswith("error: 5 problems in the configuration")
    for part in (
        "language (line 1)",
        "name (line 2)",
        "sources.a.licens (line 3)",
        "`licence`",
        "corpus.seed (line 4)",
        "trian (line 5)",
        "`train`",
    ):
        assert part in told


def test_a_project_file_that_is_not_yaml(refused, tmp_path):
    write_project(tmp_path)
    (tmp_path / "project.yaml").write_text('language: "be\nname: [', encoding="utf-8")

    assert "not valid YAML" in refused(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\x00" * 5000, id="only NUL bytes"),
        pytest.param(bytes(range(256)) * 40, id="every byte there is"),
        pytest.param(b"\xff\xfe\x00\xd8" * 2000, id="broken UTF-16"),
    ],
)
def test_files_that_are_no_text_are_dropped_with_a_reason_and_the_rest_is_kept(rodna, as_json, tmp_path, content: bytes):
    write_project(tmp_path, extra="corpus: {split: {min_bytes: 1000}}\n")
    (tmp_path / "texts" / "bad.txt").write_bytes(content)
    (tmp_path / "texts" / "good.txt").write_text(sentences(1000), encoding="utf-8")
    counts = as_json(rodna("corpus", "build", "--workspace", tmp_path, "--json"))["corpus"]["counts"]
    dropped = as_json(rodna("corpus", "sample", "--workspace", tmp_path, "--dropped", "--json"))

    assert counts["documents_kept"] == 1000
    assert counts["documents_read"] == counts["documents_kept"] + counts["documents_dropped"]
    assert any("bad.txt" in item["id"] and item["reason"] and item["detail"] for item in dropped)


def test_a_huge_single_line_becomes_documents_that_fit(rodna, as_json, tmp_path):
    write_project(tmp_path, extra="corpus: {split: {min_bytes: 1000}, max_document_bytes: 65536, deduplicate: {near: false}}\n")
    (tmp_path / "texts" / "line.txt").write_text(sentences(40_000).replace("\n", " "), encoding="utf-8")
    counts = as_json(rodna("corpus", "build", "--workspace", tmp_path, "--json"))["corpus"]["counts"]

    assert counts["documents_kept"] > 20
    assert sum(counts[split]["bytes"] for split in ("train", "validation", "test")) > 2_000_000


def limited(root: Path, *arguments: str, file_bytes: int) -> "subprocess.CompletedProcess[str]":
    """Type a command in a process whose files may not grow beyond a size, as on a full disk."""
    return subprocess.run(
        [sys.executable, "-m", "rodna.cli", *arguments, "--workspace", str(root)],
        capture_output=True, text=True, check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes)),
    )  # fmt: skip


FULL_AT = {
    "corpus build": 3000,
    "tokenizer train": 3000,
    "plan": 300,
    "train tokens": 5000,
    "train pretrain": 40_000,
    "eval": 1500,
    "report": 3000,
}


@pytest.mark.parametrize("verb", FULL_AT)
def test_a_disk_that_fills_up_in_a_stage_leaves_nothing_behind_and_loses_nothing(rodna, workspace, verb: str):
    order, file_bytes = list(FULL_AT), FULL_AT[verb]
    for before in order[: order.index(verb)]:
        assert rodna(*before.split(), "--workspace", workspace).exit_code == 0
    kept = sorted(path for path in (workspace / "artifacts").rglob("*") if path.is_file())
    done = limited(workspace, *verb.split(), file_bytes=file_bytes)

    assert done.returncode == 1, done.stderr
    assert "error: cannot write: the file is larger than this system allows" in done.stderr or "could not be written" in done.stderr
    assert "  where: " in done.stderr
    assert "  fix: " in done.stderr
    assert "Traceback" not in done.stderr
    assert half_written(workspace) == []
    assert kept == sorted(path for path in (workspace / "artifacts").rglob("*") if path.is_file())
    assert rodna(*verb.split(), "--workspace", workspace).exit_code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_workspace_that_cannot_be_written(refused, workspace):
    workspace.chmod(0o555)
    try:
        assert "permission denied" in refused(workspace)
    finally:
        workspace.chmod(0o755)


def test_a_folder_given_as_a_model_that_is_none(rodna, tmp_path):
    (tmp_path / "folder").mkdir()
    for folder, message in ((tmp_path / "nowhere", "no such checkpoint"), (tmp_path / "folder", "it has no config.json")):
        result = rodna("generate", "a", "--model", folder)
        assert result.exit_code == 1
        assert message in result.stderr
        assert "  fix: " in result.stderr


def test_text_that_is_deleted_while_a_finished_model_exists_loses_nothing(rodna, workspace):
    assert rodna("corpus", "build", "--workspace", workspace).exit_code == 0
    shutil.rmtree(workspace / "texts")
    result = rodna("run", "--workspace", workspace)

    assert result.exit_code == 1
    assert "is not there" in result.stderr
    assert list((workspace / "artifacts" / "corpus").glob("*/manifest.json"))
