"""`rodna plan fit`, and `rodna plan` with it."""

import json

import pytest

from rodna.plan import ladder
from rodna.train import pilots


@pytest.fixture
def quick(monkeypatch):
    """Pilots of a few steps, as if time were short and the machine's speed known."""
    monkeypatch.setattr(ladder, "MIN_STEPS", 2)
    monkeypatch.setattr(pilots, "time_token", lambda model, *_, **__: 1e-4 * model.width / 64)


SMALL = (
    "--set", "train.batch_size=4", "--set", "train.learning_rate=0.01", "--set", "model.context_length=32",
    "--set", "train.evaluation_tokens=300",
)  # fmt: skip


@pytest.mark.slow
def test_the_fit_is_made_once_and_the_plan_uses_it(workspace, rodna, as_json, quick):
    announced = as_json(rodna("plan", "fit", "--workspace", workspace, "--dry-run", "--json", *SMALL))
    assert announced == [{"stage": "scaling", "state": "would be made"}]

    assert rodna("corpus", "build", "--workspace", workspace).exit_code == 0
    assert rodna("tokenizer", "train", "--workspace", workspace).exit_code == 0
    made = as_json(rodna("plan", "fit", "--workspace", workspace, "--minutes", "0.1", "--json", *SMALL))
    assert len(made["points"]) + len(made["left_out"]) >= 7
    assert made["rate_factor"] == 1.0

    again = as_json(rodna("plan", "fit", "--workspace", workspace, "--minutes", "0.1", "--json", *SMALL))
    assert again == made
    planned = as_json(rodna("plan", "--workspace", workspace, "--json", *SMALL))
    plan = json.loads((workspace / planned["path"] / "plan.json").read_text(encoding="utf-8"))
    assert plan["expected"]["source"] == "pilots"

    table = rodna("plan", "fit", "--workspace", workspace, "--minutes", "0.1", *SMALL)
    assert "law: E =" in table.stdout
    assert "learning rate: 1 times the rule's" in table.stdout


def test_too_short_a_time_says_how_much_would_do(workspace, rodna, monkeypatch):
    monkeypatch.setattr(pilots, "time_token", lambda model, *_, **__: 1.0)
    assert rodna("corpus", "build", "--workspace", workspace).exit_code == 0
    assert rodna("tokenizer", "train", "--workspace", workspace).exit_code == 0
    result = rodna("plan", "fit", "--workspace", workspace, "--minutes", "0.1", *SMALL)

    assert result.exit_code == 1
    assert "the time is too short for pilot runs" in result.stderr
    assert "fix:   give it" in result.stderr


def test_without_a_corpus_the_fit_says_what_to_run_first(workspace, rodna):
    result = rodna("plan", "fit", "--workspace", workspace)

    assert result.exit_code == 1
    assert "run `rodna corpus build` first" in result.stderr


def test_an_unknown_verb_below_plan_is_a_usage_error(rodna):
    result = rodna("plan", "fti")

    assert result.exit_code == 2
    assert "No such command 'fti'" in result.stderr


def test_what_a_plan_writes_into_the_project_leaves_the_fit_as_it_is(workspace):
    from rodna.cli.scaling import fit_settings
    from rodna.cli.verbs import open_project

    before = fit_settings(open_project(workspace, [])[0])
    written = [
        "train.steps=100",
        "train.learning_rate=0.02",
        "train.weight_decay=0.3",
        "model.width=64",
        "model.dropout=0.2",
        "train.seed=3",
    ]

    assert fit_settings(open_project(workspace, written)[0]) == before
    assert fit_settings(open_project(workspace, ["train.optimizer=adamw"])[0]) != before
    assert fit_settings(open_project(workspace, ["plan.recipe=compute-limited"])[0]) != before
