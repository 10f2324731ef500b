"""Ensembles and students on the command line: what is announced, what presets stand for, and what is refused."""

import json

import pytest

from rodna.cli.project import load_project
from rodna.cli.stages import STAGES, stages_of
from rodna.core.workspace import Workspace
from rodna.models.presets import find_preset
from rodna.train.recipes import RECIPES


def names(rodna, as_json, workspace, *arguments: str) -> list[str]:
    return [step["stage"] for step in as_json(rodna("run", "-w", workspace, "--dry-run", "--json", *arguments))]


def test_without_members_and_teachers_one_model_is_trained(rodna, as_json, workspace):
    assert names(rodna, as_json, workspace) == list(STAGES)


def test_members_put_ensemble_and_student_in_the_place_of_the_model(rodna, as_json, workspace):
    assert names(rodna, as_json, workspace, "--set", "ensemble.members=2")[5:] == ["tokens", "ensemble", "distill", "evaluate", "report"]
    assert names(rodna, as_json, workspace, "--set", "distill.teachers=[a]")[5:] == ["tokens", "distill", "evaluate", "report"]


@pytest.mark.parametrize(("setting", "message"), [
    ("ensemble.members=1", "1 model is no ensemble: give 2 or more, or 0 for none"),
    ("distill.alpha=1.5", "distill.alpha (--set): should be less than or equal to 1 (found 1.5)"),
    ("distill.alpha=-0.1", "distill.alpha (--set): should be greater than or equal to 0"),
    ("distill.temperature=0", "distill.temperature (--set): should be greater than 0"),
    ("distill.student={model: {widht: 3}}", "unknown key 'widht'; did you mean `width`?"),
    ("ensemble={members: 2, overrides: [{train: {lerning_rate: 3}}]}", "unknown key 'lerning_rate'; did you mean `learning_rate`?"),
    ("ensemble={members: 2, overrides: [{}, {}, {}]}", "3 are given for 2 members"),
    ("ensemble={members: 2, vary: []}", "two members have the same overrides: they would be the same model"),
    ("ensemble.vary=[colour]", "ensemble.vary.0"),
    ("distill.preset=babylama", "no such preset: 'babylama'; did you mean 'babyllama'?"),
])  # fmt: skip
def test_settings_that_cannot_be_are_refused_with_the_reason(rodna, workspace, setting: str, message: str):
    result = rodna("run", "-w", workspace, "--dry-run", "--set", setting)

    assert result.exit_code == 1
    assert message in result.stderr


def test_distill_without_teachers_says_where_they_could_come_from(rodna, workspace):
    distill, ensemble = rodna("train", "distill", "-w", workspace), rodna("train", "ensemble", "-w", workspace)

    assert "there are no teachers: ensemble.members is 0 and distill.teachers is empty" in distill.stderr
    assert "set ensemble.members to 2 or more, name checkpoints in distill.teachers, or give --preset" in distill.stderr
    assert "there is no ensemble to train: ensemble.members is 0" in ensemble.stderr
    assert (distill.exit_code, ensemble.exit_code) == (1, 1)


def test_a_cache_that_cannot_be_is_refused_before_any_work(rodna, workspace):
    result = rodna("run", "-w", workspace, "--set", "ensemble.members=2", "--set", "distill.cache_top_k=8",
                   "--set", "train.curriculum=context_grows")  # fmt: skip

    assert result.exit_code == 1
    assert "the curriculum context_grows cuts them shorter at first" in result.stderr
    assert not list((workspace / "artifacts").glob("*/*"))


def test_a_teacher_that_is_missing_is_named_before_any_work(rodna, workspace):
    result = rodna("run", "-w", workspace, "--set", "distill.teachers=[teachers/none]")

    assert result.exit_code == 1
    assert "the teacher cannot be opened: no such checkpoint" in result.stderr
    assert str(workspace / "teachers" / "none") in result.stderr
    assert not (workspace / "artifacts").exists()


def test_a_preset_lies_below_the_file_and_the_file_below_set(workspace):
    project = workspace / "project.yaml"
    project.write_text(
        project.read_text(encoding="utf-8") + "distill: {preset: babyllama, temperature: 3}\nensemble: {share: 0.5}\n", encoding="utf-8"
    )
    found = load_project(Workspace(workspace), ["distill.alpha=0.25", "ensemble.overrides.1.train.learning_rate=1e-4"])

    assert found.ensemble.members == 2
    assert found.ensemble.share == 0.5
    assert [variant.preset for variant in found.ensemble.overrides] == ["babyllama-360m", "babyllama-gpt2-705m"]
    assert [variant.train["learning_rate"] for variant in found.ensemble.overrides] == [3e-4, 1e-4]
    assert (found.distill.temperature, found.distill.alpha, found.distill.loss) == (3, 0.25, "babyllama")
    assert found.tokenizer.vocabulary_size == 384
    assert "distill" in stages_of(found)


def test_babyllama_is_what_its_authors_published():
    recipe = RECIPES["babyllama"]
    teachers, student, distill = recipe["ensemble"]["overrides"], recipe["distill"]["student"], recipe["distill"]

    assert [(part["preset"], part["train"]["learning_rate"]) for part in teachers] == [
        ("babyllama-360m", 3e-4),
        ("babyllama-gpt2-705m", 2.5e-4),
    ]
    assert (student["preset"], student["epochs"], student["train"]["batch_size"]) == ("babyllama-58m", 6, 32)
    assert {part["model"]["context_length"] for part in (*teachers, student)} == {128}
    assert (distill["temperature"], distill["alpha"], distill["loss"], distill["average"]) == (2, 0.5, "babyllama", "logits")
    assert recipe["tokenizer"]["vocabulary_size"] == 16_000


def test_its_small_sister_has_one_to_three_million_parameters_a_model():
    recipe = RECIPES["babyllama-cpu"]
    parts = [*recipe["ensemble"]["overrides"], recipe["distill"]["student"]]

    assert [float(find_preset(part["preset"]).published.removesuffix("M")) for part in parts] == [2.8, 3.0, 1.3]


@pytest.mark.parametrize("name", RECIPES)
def test_every_preset_is_a_project_that_can_be_announced(rodna, workspace, name: str):
    result = rodna("train", "distill", "--preset", name, "--dry-run", "--json", "-w", workspace)

    assert [step["stage"] for step in json.loads(result.stdout)][-2:] == ["ensemble", "distill"]


def test_the_help_lists_the_presets(rodna):
    assert "babyllama-cpu" in rodna("train", "distill", "--help").stdout
