"""A workspace finds its artifacts; a stage is skipped when its result exists, and only then."""

import os
from pathlib import Path

import pytest

from rodna.core.artifact import Artifact, create
from rodna.core.errors import ArtifactError, ConfigError
from rodna.core.registry import PluginError, load, names
from rodna.core.workspace import Stage, Workspace, remove_unfinished


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    (tmp_path / "project.yaml").write_text("language: be\n")
    return Workspace(tmp_path)


def stage(calls: list[Path], *, version: int = 1, written_version: int = 1) -> Stage:
    def make(out: Path) -> Artifact:
        calls.append(out)
        with create(out, kind="corpus", format_version=written_version, inputs={"raw": "abc"}, config={"a": 1}) as draft:
            (draft.path / "x").write_text("x")
        return draft.result

    return Stage("corpus", "be", version, {"raw": "abc"}, {"a": 1}, make)


def test_a_workspace_is_found_from_a_folder_inside_it(workspace):
    inner = workspace.root / "a" / "b"
    inner.mkdir(parents=True)
    assert Workspace.find(inner).root == workspace.root.resolve()


def test_a_missing_workspace_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match=r"no workspace here.*\n  where: .*\n  fix:   run `rodna init LANG FOLDER`"):
        Workspace.find(tmp_path)


def test_a_stage_runs_once(workspace):
    calls: list[Path] = []
    first, second = stage(calls).run(workspace), stage(calls).run(workspace)
    assert first.digest == second.digest == stage(calls).digest
    assert len(calls) == 1
    assert first.path.parent == workspace.artifacts / "corpus"


def test_a_new_format_version_runs_the_stage_again(workspace):
    calls: list[Path] = []
    stage(calls).run(workspace)
    stage(calls, version=2, written_version=2).run(workspace)
    assert len(calls) == 2


def measured(workspace: Workspace, *, machine: str = "here", anew: bool = False) -> Stage:
    """Return a stage whose result comes out otherwise each time, and that depends on the machine."""

    def make(out: Path) -> Artifact:
        with create(out, kind="plan", format_version=1, inputs=result.inputs, config={"a": 1}) as draft:
            (draft.path / "x").write_text("x")
        return draft.result

    result = Stage("plan", "be", 1, {"raw": "abc", "machine": machine}, {"a": 1}, make)
    result = (result.anew if anew else result.newest)(workspace, whatever=("machine",))
    return result


def test_what_is_made_again_is_another_result_and_the_one_that_counts(workspace):
    first = measured(workspace, anew=True).run(workspace)
    assert first.digest == measured(workspace).digest
    again = [measured(workspace, anew=True).run(workspace) for _ in range(2)]
    assert len({item.digest for item in (first, *again)}) == 3
    assert measured(workspace).existing(workspace).digest == again[-1].digest
    assert first.path.is_dir()


def test_another_machines_result_counts_until_one_is_made_here(workspace):
    elsewhere = measured(workspace, machine="there").run(workspace)
    assert measured(workspace).digest == elsewhere.digest
    here = measured(workspace, anew=True).run(workspace)
    assert here.manifest.inputs == {"raw": "abc", "machine": "here"}
    assert measured(workspace).digest == here.digest
    # The other machine has its own until something is made again.
    assert measured(workspace, machine="there").digest == elsewhere.digest
    once_more = measured(workspace, anew=True).run(workspace)
    assert measured(workspace, machine="there").digest == once_more.digest


def test_a_stage_that_writes_another_digest_than_announced_is_a_bug_that_shows(workspace):
    with pytest.raises(AssertionError, match="announced"):
        stage([], written_version=2).run(workspace)


def test_an_artifact_in_the_place_of_another_is_damage(workspace):
    made = stage([]).run(workspace)
    other = stage([], version=2).out(workspace)
    made.path.rename(other)
    with pytest.raises(ArtifactError, match="its manifest has the digest"):
        stage([], version=2).existing(workspace)


def test_artifacts_are_listed_without_damaged_and_unfinished_ones(workspace):
    made = stage([]).run(workspace)
    damaged = stage([], version=2, written_version=2).run(workspace)
    (damaged.path / "x").unlink()
    unfinished = made.path.with_name(f".{made.path.name}.new.{os.getppid()}.tmp")
    unfinished.mkdir()
    (unfinished / "manifest.json").write_bytes((made.path / "manifest.json").read_bytes())
    assert [artifact.path for artifact in workspace.all_artifacts()] == [made.path]
    assert list(workspace.by_digest()) == [made.digest]


def test_only_the_rubbish_of_dead_processes_is_removed(workspace):
    folder = workspace.artifacts / "corpus"
    dead, living = (folder / f".x-00000000.new.{pid}.tmp" for pid in (999_999_999, os.getppid()))
    for path in (dead, living):
        path.mkdir(parents=True)
    assert remove_unfinished(workspace) == [dead]
    assert living.is_dir()


def test_plugins_are_listed_and_an_unknown_one_names_the_known():
    assert "text" in names("rodna.extractors")
    with pytest.raises(PluginError, match=r"unknown extractor: 'nonesuch'\n.*\n  fix:   use one of: .*text"):
        load("rodna.extractors", "nonesuch")
