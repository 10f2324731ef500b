"""`rodna demo`: a workspace of real text, ready to run."""

import pytest

from rodna.cli.project import load_project
from rodna.core.workspace import Workspace


def test_a_dry_run_makes_nothing(rodna, tmp_path):
    result = rodna("demo", tmp_path / "demo", "--dry-run")

    assert result.exit_code == 0
    assert "would make the workspace" in result.stderr
    assert not (tmp_path / "demo").exists()


def test_the_demo_names_licence_and_origin_of_every_source(tmp_path):
    pytest.importorskip("pycantonese")
    from rodna.cli.demo import make_demo

    make_demo(tmp_path / "demo", 2.5)
    project = load_project(Workspace(tmp_path / "demo"))

    assert project.language == "yue"
    assert {source.licence for source in project.sources.values()} == {"CC-BY-4.0", "CC0-1.0"}
    assert all(source.origin for source in project.sources.values())
    assert project.plan.time_budget_minutes == 2.5


@pytest.mark.slow
def test_the_demo_ends_with_a_model_that_beats_what_it_is_compared_with_given_nothing(rodna, as_json, tmp_path):
    pytest.importorskip("pycantonese")
    results = as_json(rodna("demo", tmp_path / "demo", "--minutes", 1.5, "--json"))

    assert results["evaluate"]["counts"]["bits_per_byte"] < 3.0
    assert (tmp_path / "demo" / "report" / "index.html").is_file()
