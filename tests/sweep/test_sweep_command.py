"""The command: from settings and minutes to a table, a picture and a changed project file."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def prepared(make_workspace, tmp_path_factory) -> Path:
    """A workspace with everything up to training done."""
    from typer.testing import CliRunner

    from rodna.cli.main import app

    root = make_workspace(tmp_path_factory.mktemp("sweep"))
    for verb in ("corpus build", "tokenizer train", "plan", "train tokens"):
        result = CliRunner().invoke(app, [*verb.split(), "--workspace", str(root)])
        assert result.exit_code == 0, result.stderr
    return root


def test_a_sweep_ends_with_a_table_a_picture_and_the_best_settings_in_the_file(prepared, rodna, as_json):
    command = ("sweep", "--workspace", prepared, "--over", "train.learning_rate=0.001,0.01,0.1", "--trials", 4, "--method", "grid",
               "--set", "train.steps=60", "--json", "--write")  # fmt: skip
    outcome = as_json(rodna(*command))

    assert len(outcome["trials"]) == 4
    assert (Path(outcome["folder"]) / "sweep.svg").read_text(encoding="utf-8").startswith("<svg")
