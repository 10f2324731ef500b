"""`rodna plan`: what it prints, draws and writes, and what it refuses."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rodna.cli.fit import target_of
from rodna.cli.plan import draw
from rodna.cli.verbs import open_stages
from rodna.core.errors import PlanError
from rodna.core.text import human_seconds
from rodna.core.workspace import Workspace
from rodna.models.checkpoint import save
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.plan import rules
from rodna.plan.propose import Plan
from rodna.plan.speed import STARTUP_SECONDS
from rodna.publish.facts.plan import plan_facts
from rodna.tokenizer.tokenizer import Tokenizer

SHAPE = {"vocabulary_size": 300, "width": 32, "num_layers": 1, "num_heads": 1, "num_kv_heads": 1, "head_width": 32, "ffn_width": 64}
GPU = ("--set", "plan.device=auto", "--set", "plan.hardware=l4", "--set", "plan.price_per_hour=0.8", "--set", "plan.currency=EUR")


@pytest.fixture(scope="module")
def prepared_once(make_workspace, tmp_path_factory, go_through) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("prepared"))
    go_through(root, ("corpus build", "tokenizer train"))
    return root


@pytest.fixture
def prepared(prepared_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared_once, tmp_path / "prepared"))


def test_the_plan_for_a_named_gpu_has_a_price_an_expectation_and_curves(rodna, as_json, prepared):
    found = as_json(rodna("plan", "--workspace", prepared, *GPU, "--set", "plan.money_budget=0.2", "--json"))
    assert {"model", "train", "estimates", "reasons", "machine", "expected", "binds", "isoflop", "path"} == set(found)
    assert found["machine"]["name"] == "L4"
    assert found["machine"]["at_hand"] is False
    assert 0 < found["estimates"]["money"] <= 0.2
    assert found["expected"]["source"] == "ngram"
    assert found["expected"]["low"] < found["expected"]["bits_per_byte"] < found["expected"]["high"]
    assert found["binds"]["limit"] in ("text", "compute")
    assert len(found["isoflop"]["budgets"]) == 5
    assert json.loads((Path(found["path"]) / "plan.json").read_text(encoding="utf-8"))["expected"] == found["expected"]


def test_people_are_told_the_limit_the_cost_and_the_best_size_for_several_budgets(rodna, prepared):
    told = rodna("plan", "--workspace", prepared, *GPU).stdout
    words = ("expected bits", "limit", "compute-optimal", "data-constrained", "energy", "money", "EUR", "best size")
    assert [word for word in words if word not in " ".join(told.split())] == []


def test_options_before_fit_are_refused_as_they_would_be_of_no_effect(rodna, prepared):
    refused = rodna("plan", "--set", "plan.device=cpu", "--write", "fit", "--workspace", prepared)
    assert refused.exit_code != 0
    assert "--write, --set before `fit` would be of no effect" in " ".join(refused.stderr.split())


def test_the_figure_is_written_where_it_is_asked_for_and_the_report_shows_it_too(rodna, prepared, tmp_path):
    result = rodna("plan", "--workspace", prepared, "--figure", tmp_path / "sizes.svg")
    assert f"wrote {tmp_path / 'sizes.svg'}" in result.stderr
    root = ElementTree.fromstring((tmp_path / "sizes.svg").read_text(encoding="utf-8"))
    assert "chosen: " in "".join(root.itertext())

    plan = next(artifact for artifact in Workspace.find(prepared).all_artifacts() if artifact.kind == "plan")
    facts = plan_facts(plan)
    assert "<figure" in facts.figure
    assert len(facts.budgets) == 5
    assert facts.numbers[0].label.startswith("bits per byte expected, ")


def test_more_time_than_fixed_steps_use_is_said(rodna, prepared):
    steps = ("--set", "train.steps=30")
    assert "train.steps is fixed at 30, which takes" in rodna("plan", "--workspace", prepared, *steps).stderr
    assert "train.steps is fixed" not in rodna("plan", "--workspace", prepared, "--set", "train.steps=planned").stderr


def test_writing_a_plan_that_leaves_time_writes_an_ensemble_that_uses_it(rodna, prepared):
    project = prepared / "project.yaml"
    time = ("--set", "plan.time_budget_minutes=60", "--set", "plan.calibration=estimated")
    own = project.read_text(encoding="utf-8").replace("steps: 12", "steps: planned")
    project.write_text(own + "ensemble: {members: 0}\n", encoding="utf-8")
    assert rodna("plan", "--workspace", prepared, "--write", *time).exit_code == 0
    assert "members: 0" in project.read_text(encoding="utf-8")

    project.write_text(own, encoding="utf-8")
    told = rodna("plan", "--workspace", prepared, "--write", *time)
    assert "ensemble.members, ensemble.share" in " ".join(told.stderr.split())
    written = project.read_text(encoding="utf-8")
    assert "members: 8" in written
    assert "steps: planned" in written, "those of members and student follow from their own time"
    assert "the members' own plan follows" in " ".join(told.stderr.split())
    numbers = rodna("plan", "--workspace", prepared, "--write", *time)
    assert "train.weight_decay" in numbers.stderr
    for name in ("ensemble.members", "train.steps", "train.learning_rate", "model.width", "model.dropout"):
        assert name not in numbers.stderr, "a student has its own"


def test_a_plan_without_curves_says_how_to_get_them(tmp_path):
    with pytest.raises(PlanError, match="made before curves were kept") as error:
        draw(Plan(ModelConfig.model_validate(SHAPE), {}, {}, [], {}), tmp_path / "sizes.svg")
    assert "rodna plan --again" in error.value.fix


@pytest.mark.parametrize(("settings", "message"), [
    (["plan.hardware=h10o"], "no data sheet of a GPU 'h10o' is known; did you mean H100"),
    (["plan.money_budget=-5"], "should be greater than or equal to 0 (found -5)"),
    (["plan.money_budget=5"], "money_budget needs price_per_hour"),
    (["plan.money_budget=5", "plan.price_per_hour=1", "plan.time_budget_minutes=20"], "money_budget pays for 300 minutes"),
])  # fmt: skip
def test_what_cannot_be_planned_is_refused(rodna, prepared, settings, message):
    result = rodna("plan", "--workspace", prepared, *(part for setting in settings for part in ("--set", setting)))
    assert result.exit_code == 1
    assert message in result.stderr


def test_the_plan_of_an_ensemble_is_that_of_one_member_and_says_how_the_time_is_split(rodna, as_json, prepared):
    members = ("plan", "--workspace", prepared, *GPU, "--set", "ensemble.members=4", "--set", "plan.time_budget_minutes=60")
    said, found = rodna(*members).stdout, as_json(rodna(*members, "--json"))

    assert "This is the plan of one of 4 members: each has 10 min, and of 1 h the student has 20 min." in said
    assert found["ensemble"]["member_minutes"] == pytest.approx(10)
    student, alone = found["ensemble"]["student"], found["expected"]
    assert student["expected"]["bits_per_byte"] == pytest.approx((1 - rules.TAUGHT_GAIN * 4 / 5) * alone["bits_per_byte"])
    assert f"Their student, {student['width']} x {student['num_layers']}, reads the text" in said
    # The workspace's steps are given, and few.
    assert f"All of it together: about {human_seconds(found['ensemble']['seconds'])}, " in said
    planned = rodna(*members, "--set", "train.steps=planned").stdout
    assert f"All of it together: up to 1 h, {found['machine']['watts'] / 1000:.3g} kWh, 0.8 EUR." in planned
    assert "should do better" not in said
    assert found["estimates"]["ensemble_members"] == 0
    assert "ensemble" not in as_json(rodna(*members[:-4], "--json"))


def test_pilots_are_for_what_is_trained_which_of_an_ensemble_is_a_member(prepared):
    settings = [*GPU[1::2], "train.steps=planned", "plan.time_budget_minutes=60"]
    member, alone = (open_stages(prepared, [*settings, *members]) for members in (["ensemble.members=4"], []))
    assert (member.plan_config.minutes, alone.plan_config.minutes) == (pytest.approx(10), 60)
    affordable = [target_of(stages).binds["affordable_epochs"] for stages in (member, alone)]
    assert affordable[0] == pytest.approx(affordable[1] / 6, rel=0.1)


def test_members_with_settings_of_their_own_are_told_and_nothing_is_promised_of_their_student(rodna, as_json, prepared):
    deep = "ensemble={members: 2, overrides: [{model: {num_layers: 12}}, {model: {num_layers: 12}}]}"
    given = ("plan", "--workspace", prepared, *GPU, "--set", "plan.time_budget_minutes=60", "--set", "train.steps=planned")
    told, found = rodna(*given, "--set", deep).stdout, as_json(rodna(*given, "--set", deep, "--json"))["ensemble"]
    usual = as_json(rodna(*given, "--set", "ensemble.members=2", "--json"))["ensemble"]

    assert [model["num_layers"] for model in found["models"]] == [12, 12]
    assert "Member 2 has settings of its own: " in told
    assert "has settings of its own" not in rodna(*given, "--set", "ensemble.members=2").stdout
    assert usual["student"]["expected"] is not None
    assert found["student"]["expected"] is None
    assert "of what such a student takes our runs say nothing" in told


def test_the_plan_of_a_student_of_other_checkpoints_says_what_the_student_is(rodna, as_json, prepared, tmp_path):
    tokenizer = open_stages(prepared, []).artifact("tokenizer").path
    shape = SHAPE | {"vocabulary_size": Tokenizer.load(tokenizer).vocabulary_size}
    save(tmp_path / "teacher", Decoder(ModelConfig.model_validate(shape)).initialize(seed=0), tokenizer)
    teachers = ("--set", f"distill.teachers=[{tmp_path / 'teacher'}]")
    given = ("plan", "--workspace", prepared, *GPU, *teachers)
    told, found = rodna(*given).stdout, as_json(rodna(*given, "--json"))

    assert found["student"]["teachers"] == 1
    assert f"What is trained is a student of 1 teacher: {found['student']['width']} x {found['student']['num_layers']}" in told
    assert found["student"]["expected"] is None


def test_passes_that_were_asked_for_are_what_all_of_it_costs(rodna, as_json, prepared):
    given = ("plan", "--workspace", prepared, *GPU, "--set", "plan.time_budget_minutes=60", "--set", "distill.preset=babyllama-cpu")
    found = as_json(rodna(*given, "--json"))["ensemble"]
    told = " ".join(rodna(*given).stdout.split())

    assert [round(model["epochs"]) for model in found["models"]] == [4, 4]
    assert found["fixed"]
    assert f"All of it together: about {human_seconds(found['seconds'])}" in told


def test_a_gpu_may_be_named_by_a_number_alone(rodna, as_json, prepared):
    found = as_json(rodna("plan", "--workspace", prepared, *GPU, "--set", "plan.hardware=4090", "--json"))
    assert found["machine"]["name"] == "RTX 4090"


def test_a_gpu_that_is_not_at_hand_compiles_too(rodna, as_json, prepared):
    found = as_json(rodna("plan", "--workspace", prepared, *GPU, "--set", "train.compile=auto", "--json"))["estimates"]
    assert found["startup_seconds"] == STARTUP_SECONDS["cuda"]
    assert found["seconds"] > found["startup_seconds"]


def test_the_picture_may_go_into_a_folder_that_is_not_there_yet(rodna, prepared, tmp_path):
    rodna("plan", "--workspace", prepared, *GPU, "--figure", tmp_path / "new" / "sizes.svg")
    assert (tmp_path / "new" / "sizes.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(("budget", "key"), [
    (["plan.money_budget=0.0005", "plan.price_per_hour=2"], "plan.money_budget"),
    (["plan.time_budget_minutes=0.01"], "plan.time_budget_minutes"),
])  # fmt: skip
def test_too_little_for_one_of_several_members_says_how_much_of_the_whole_would_do(rodna, prepared, budget, key):
    large = "model={width: 1024, num_layers: 24, num_heads: 16, num_kv_heads: 16, head_width: 64, ffn_width: 2816, context_length: 64}"
    settings = [*GPU[1::2], *budget, "ensemble.members=4", "train.steps=planned", large]
    plan = ("plan", "--workspace", prepared, *(part for setting in settings for part in ("--set", setting)))
    refused = rodna(*plan)
    assert refused.exit_code == 1
    assert f"{key}: " in refused.stderr
    assert ", of which one member has " in refused.stderr
    (enough,) = re.findall(rf"set {key} to ([\d.e-]+) or more", refused.stderr)

    assert rodna(*plan, "--set", f"{key}={enough}").exit_code == 0


def test_settings_far_from_what_was_measured_are_told_beside_the_expectation(rodna, as_json, prepared):
    given = ("plan", "--workspace", prepared, *GPU, "--set", "train.weight_decay=30", "--set", "train.decay_fraction=0.4")
    told, found = " ".join(rodna(*given).stdout.split()), as_json(rodna(*given, "--json"))["expected"]

    assert list(found["unlike"]) == ["train.weight_decay"]
    assert found["unlike"]["train.weight_decay"][0] == 30
    assert "train.weight_decay" in told
    assert as_json(rodna("plan", "--workspace", prepared, *GPU, "--json"))["expected"]["unlike"] == {}


def test_counting_that_does_better_is_not_called_worse(rodna, as_json, prepared):
    found = as_json(rodna("plan", "--workspace", prepared, *GPU, "--json"))
    (reason,) = (row["reason"] for row in found["reasons"] if row["setting"] == "expected bits per byte")
    # The workspace has a few sentences again and again.
    assert found["expected"]["bits_per_byte"] > found["expected"]["ngram_bits_per_byte"]
    assert "counting learns more" in reason
    assert "networks take less by much the same" not in reason
