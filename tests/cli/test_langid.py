"""`rodna corpus langid` at the command line."""

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rodna.cli.langid import app, parse_files
from rodna.core.errors import ConfigError

runner = CliRunner()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Lines of two invented languages, as arguments."""
    source = random.Random(1)
    arguments = []
    for name, syllables in (("be", "ба ве гі до жу зы"), ("rue", "бы ві ги ду жо зі")):
        words = ["".join(source.choices(syllables.split(), k=3)) for _ in range(60)]
        path = tmp_path / f"{name}.txt"
        path.write_text("\n".join(" ".join(source.choices(words, k=6)) for _ in range(80)), encoding="utf-8")
        arguments.append(f"{name}={path}")
    return arguments


def test_an_identifier_is_trained_and_tried(files: list[str], tmp_path: Path):
    out = tmp_path / "mine"
    made = runner.invoke(app, ["train", *files, "--out", str(out)])
    assert made.exit_code == 0, made.output
    assert made.stdout.strip() == str(out)
    assert "be: 80 lines" in made.stderr
    tried = runner.invoke(app, ["test", *files, "--identifier", str(out), "--json"])
    assert {row["language"]: row["recall"] > 0.9 for row in json.loads(tried.stdout)} == {"be": True, "rue": True}
    assert "mostly taken for" in runner.invoke(app, ["test", *files, "--identifier", "builtin"], terminal_width=200).stdout.replace(
        "\n", " "
    )


def test_training_reports_its_numbers_as_json(files: list[str], tmp_path: Path):
    made = runner.invoke(app, ["train", *files, "--out", str(tmp_path / "mine"), "--json"])
    numbers = json.loads(made.stdout)
    assert numbers["lines"] == {"be": 80, "rue": 80}
    assert set(numbers["accuracy"]) == {"be", "rue"}


def test_arguments_of_another_form_are_refused():
    with pytest.raises(ConfigError, match=r"not of the form LANG=FILE: 'be\.txt'"):
        parse_files(["be.txt"])
    with pytest.raises(ConfigError, match="be is named twice"):
        parse_files(["be=a.txt", "be=b.txt"])


def test_the_projects_own_identifier_is_tried_by_default(files: list[str], workspace: Path):
    tried = runner.invoke(app, ["test", *files, "--workspace", str(workspace), "--json"])
    assert [row["language"] for row in json.loads(tried.stdout)] == ["be", "rue"]
