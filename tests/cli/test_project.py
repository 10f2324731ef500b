"""The project file: what it may say, and how mistakes in it are told."""

from pathlib import Path

import pytest

from rodna.cli.plan import write_into
from rodna.cli.project import load_project
from rodna.cli.projectfile import NewSource, create_workspace, render, scalar
from rodna.core.config import read_yaml
from rodna.core.errors import ConfigError
from rodna.core.workspace import Workspace

FIVE_MISTAKES = """\
language: belarusian
name: tiny
sources:
  a: {path: texts, document: paragraph}
corpus:
  sed: 3
tokenizer:
  vocabulary_size: many
plan:
  time_budget_minutes: -5
"""


def problems_of(root: Path, text: str, *overrides: str) -> str:
    (root / "project.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_project(Workspace(root), overrides)
    return str(caught.value)


def test_five_mistakes_are_told_at_once_each_with_its_line(tmp_path):
    told = problems_of(tmp_path, FIVE_MISTAKES)

    assert told.startswith("5 problems in the configuration")
    assert "language (line 1): unknown language tag: 'belarusian'; did you mean be (Belarusian)?" in told
    assert "sources.a.document (line 4): should be 'file', 'blank_line', 'line' or 'section' (found 'paragraph')" in told
    assert "corpus.sed (line 6): unknown key; did you mean `seed`?" in told
    assert "tokenizer.vocabulary_size (line 8): should be a valid integer" in told
    assert "plan.time_budget_minutes (line 10): should be greater than 0 (found -5)" in told


def test_a_mistake_in_set_is_blamed_on_set(tmp_path):
    assert "plan.time_budget_minutes (--set)" in problems_of(
        tmp_path, "language: be\nname: x\nsources: {a: {path: t}}\n", "plan.time_budget_minutes=no"
    )


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a b", "x" * 65])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name: str):
    assert "name" in problems_of(tmp_path, f'language: be\nname: "{name}"\nsources: {{a: {{path: t}}}}\n')


@pytest.mark.parametrize("name", ["be", "мова", "ჩემი-ენა", "हिन्दी", "a.b_c-2"])
def test_a_name_may_be_written_in_any_script(tmp_path, name: str):
    (tmp_path / "project.yaml").write_text(f"language: be\nname: {name}\nsources: {{a: {{path: t}}}}\n", encoding="utf-8")

    assert load_project(Workspace(tmp_path)).name == name


def test_a_project_without_sources_is_refused(tmp_path):
    assert "sources" in problems_of(tmp_path, "language: be\nname: x\nsources: {}\n")


def test_a_written_project_file_reads_back_as_it_was_meant(tmp_path):
    source = NewSource(
        {"path": "тэксты/a b: #1.txt", "format": "text", "licence": "", "origin": 'said "so"'}, {"path": "why: because # so"}
    )
    workspace = create_workspace(
        tmp_path / "new",
        language="no",
        name="no",
        sources={"a: b": source, "true": source},
        facts=["a fact"],
        sections={"plan": {"time_budget_minutes": 3.5}},
    )
    project = load_project(workspace)

    assert (project.language, project.name, sorted(project.sources)) == ("no", "no", ["a: b", "true"])
    assert project.sources["true"].path == "тэксты/a b: #1.txt"
    assert project.sources["true"].origin == 'said "so"'
    assert project.plan.time_budget_minutes == 3.5


@pytest.mark.parametrize(
    "value", ["yes", "null", "1e3", "0x10", "~", "a: b", "- a", "#", "", "true", "NO", 3, 2.5, True, "日本語", "a\nb", "1_000", ".5"]
)
def test_every_value_survives_yaml(tmp_path, value: object):
    (tmp_path / "file.yaml").write_text(f"key: {scalar(value)}\n", encoding="utf-8")

    assert read_yaml(tmp_path / "file.yaml") == {"key": value}


def test_an_existing_project_is_never_overwritten(tmp_path):
    (tmp_path / "project.yaml").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="not overwritten"):
        create_workspace(tmp_path, language="be", name="be", sources={}, facts=[])

    assert (tmp_path / "project.yaml").read_text(encoding="utf-8") == "mine"


def test_reasons_stand_beside_what_they_explain():
    source = NewSource({"path": "t", "document": "line"}, {"document": "each line is a sentence"})
    text = render(language="be", name="be", sources={"a": source}, facts=["3 files"], sections={})

    assert "# 3 files" in text
    assert "    document: line  # each line is a sentence\n" in text


def test_writing_numbers_keeps_comments_order_and_everything_else(tmp_path):
    file = tmp_path / "project.yaml"
    file.write_text(
        '# top\nlanguage: no  # not false\nname: "x"\n\n# about training\ntrain:\n  seed: 1   # mine\nplan:\n  # only a comment\n',
        encoding="utf-8",
    )
    changed = write_into(file, {"train": {"learning_rate": 0.003, "seed": 1}, "model": {"width": 96}, "tokenizer": {}})
    text = file.read_text(encoding="utf-8")

    assert changed == ["train.learning_rate", "model.width"]
    for kept in ("# top", "language: no  # not false", 'name: "x"', "# about training", "seed: 1   # mine", "# only a comment"):
        assert kept in text
    assert read_yaml(file)["train"] == {"seed": 1, "learning_rate": 0.003}
    assert read_yaml(file)["model"] == {"width": 96}
    assert read_yaml(file)["language"] == "no"


def test_numbers_are_written_into_the_file_that_a_link_points_to(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "project.yaml"
    real.write_text("language: be\n", encoding="utf-8")
    (tmp_path / "project.yaml").symlink_to(real)
    write_into(tmp_path / "project.yaml", {"model": {"width": 96}})

    assert (tmp_path / "project.yaml").is_symlink()
    assert "width: 96" in real.read_text(encoding="utf-8")
