"""`rodna init` looks at a folder and writes a project with reasons."""

import re
from pathlib import Path

import pytest

from rodna.cli.project import load_project
from rodna.core.workspace import Workspace


@pytest.fixture
def texts(workspace):
    return workspace / "texts"


def test_init_writes_a_valid_project_with_sources_reasons_and_the_next_command(rodna, texts, tmp_path):
    result = rodna("init", "be", texts, "--workspace", tmp_path / "new")
    written = (tmp_path / "new" / "project.yaml").read_text(encoding="utf-8")
    project = load_project(Workspace(tmp_path / "new"))

    assert result.exit_code == 0, result.stderr
    assert "next: rodna run" in result.stderr
    assert project.language == "be"
    assert project.sources
    assert "Belarusian" in written
    assert re.search(r"    path: .*# 2 files, \S+ kB\n", written)
    assert re.search(r"    document: \w+  # .+\n", written)
    assert re.search(r'    licence: ""  # needed before anything is published', written)


def test_init_warns_where_the_script_is_not_the_languages(rodna, as_json, texts, tmp_path):
    (texts / "cyrillic.txt").unlink()
    found = as_json(rodna("init", "be", texts, "--workspace", tmp_path / "new", "--json"))

    assert any("Deva" in warning for warning in found["warnings"])


def test_init_never_overwrites(rodna, texts, workspace):
    before = (workspace / "project.yaml").read_bytes()
    other = texts.parent.parent / "other"
    texts.rename(other)
    result = rodna("init", "be", other, "--workspace", workspace)

    assert result.exit_code == 1
    assert "it is not overwritten" in result.stderr
    assert (workspace / "project.yaml").read_bytes() == before


def test_a_dry_run_prints_the_file_and_writes_nothing(rodna, texts, tmp_path):
    result = rodna("init", "be", texts, "--workspace", tmp_path / "new", "--dry-run")

    assert "language: be" in result.stdout
    assert not (tmp_path / "new").exists()


def test_an_unknown_language_is_refused_with_close_ones(rodna, texts, tmp_path):
    result = rodna("init", "belarusian", texts, "--workspace", tmp_path / "new")

    assert result.exit_code == 1
    assert "unknown language tag: 'belarusian'" in result.stderr
    assert "be (Belarusian)" in result.stderr
    assert not (tmp_path / "new").exists()


def test_an_empty_folder_is_refused(rodna, tmp_path):
    (tmp_path / "empty").mkdir()
    result = rodna("init", "be", tmp_path / "empty", "--workspace", tmp_path / "new")

    assert result.exit_code == 1
    assert "the folder has no files" in result.stderr
    assert "put text files there" in result.stderr
    assert not (tmp_path / "new").exists()


def test_a_missing_folder_is_refused(rodna, tmp_path):
    result = rodna("init", "be", tmp_path / "nowhere", "--workspace", tmp_path / "new")

    assert result.exit_code == 1
    assert "there is no such folder" in result.stderr


def test_a_workspace_inside_the_texts_is_refused_with_a_place_beside_them(rodna, texts):
    result = rodna("init", "be", texts, "--workspace", texts / "here")

    assert result.exit_code == 1
    assert "read as text itself" in result.stderr
    assert "--workspace" in result.stderr
    assert not (texts / "here").exists()


def test_texts_beside_the_workspace_are_named_relative_to_it(rodna, texts, tmp_path):
    rodna("init", "be", texts, "--workspace", texts.parent / "project")

    paths = {source.path for source in load_project(Workspace(texts.parent / "project")).sources.values()}
    assert all(path.startswith("../texts") for path in paths)


def test_endings_in_capitals_and_brackets_in_names_are_found_again(rodna, as_json, texts, tmp_path):
    from rodna.cli.verbs import open_project
    from rodna.corpus.sources import walk

    folder = tmp_path / "old [1999]"
    folder.mkdir()
    for name in ("A.TXT", "B.TXT", "c.txt", "d.md", "e.md"):
        (folder / name).write_text("Кароткі тэкст пра мову.\n" * 40, encoding="utf-8")
    made = as_json(rodna("init", "be", folder, "--workspace", tmp_path / "mine", "--json"))
    project, workspace = open_project(Path(made["workspace"]), [])
    found = sorted(file.path.name for source in project.sources.values() for file in walk(source, workspace.root))

    assert found == ["A.TXT", "B.TXT", "c.txt", "d.md", "e.md"]
    assert made["warnings"] == []


def test_files_that_no_source_has_are_named_with_the_reason(rodna, as_json, tmp_path, monkeypatch):
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "text.txt").write_text("Кароткі тэкст пра мову.\n" * 40, encoding="utf-8")
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (folder / "empty.md").write_bytes(b"")
    (folder / "broken.jsonl").write_text("{{{\n")
    (folder / "book.pdf").write_bytes(b"%PDF-1.4\n not one\n")
    warnings = as_json(rodna("init", "be", folder, "--workspace", tmp_path / "mine", "--json"))["warnings"]
    told = {warning.split(": ")[1]: warning.split(": ", 2)[2] for warning in warnings}

    assert set(told) == {"photo.jpg", "empty.md", "broken.jsonl", "book.pdf"}
    assert told["empty.md"] == "empty"
    assert told["photo.jpg"] == "of no kind that is read (.jpg)"
    assert told["broken.jsonl"] == "damaged, or no text in any of its fields"
    assert told["book.pdf"].startswith(("damaged: ", "PDF files need the package pypdfium2: run `pip install"))


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_name_that_no_folder_can_have_is_refused_at_once(rodna, texts, tmp_path, dry):
    result = rodna("init", "be", texts, "--workspace", tmp_path / "mine", "--name", "Мая мова", *dry)
    assert result.exit_code == 1
    assert "'Мая мова' cannot name a project" in result.stderr
    assert "use letters, digits" in result.stderr
    assert not (tmp_path / "mine").exists()


def test_settings_that_were_chosen_for_a_source_are_written(rodna, tmp_path):
    from rodna.corpus.detect import propose_sources

    (tmp_path / "book").mkdir()
    words = [f"слова{index * 7919 % 3001}" for index in range(40_000)]
    (tmp_path / "book" / "a.txt").write_text(" ".join(words), encoding="utf-8")
    (tmp_path / "book" / "b.jsonl").write_text('{"body": "адно"}\n{"body": "два"}\n', encoding="utf-8")
    rodna("init", "be", tmp_path / "book", "--workspace", tmp_path / "new")
    written = load_project(Workspace(tmp_path / "new")).sources
    proposed = {item.name: item.source for item in propose_sources(tmp_path / "book", "be").proposals}

    assert {name: source.model_dump(exclude={"path"}) for name, source in written.items()} == {
        name: source.model_dump(exclude={"path"}) for name, source in proposed.items()
    }
    assert written["b"].text_field == "body"
    assert written["a"].section_bytes != 65536
