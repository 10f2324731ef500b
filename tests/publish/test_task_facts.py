"""The report's section about tasks."""

from pathlib import Path
from typing import Any

import pytest

from rodna.core.artifact import Artifact, create
from rodna.core.files import write_json
from rodna.evals.result import Result, write_results
from rodna.publish.config import ReportConfig
from rodna.publish.facts.results import results_of
from rodna.publish.facts.tasks import tasks_facts
from rodna.publish.report import render, sections_of

BITS, NASTY = "bits per UTF-8 byte", "<script>alert(1)</script>"


def made(folder: Path, tasks: Any) -> Artifact:
    def accuracy(task: str, value: float, **detail: Any) -> Result:
        return Result(task, "accuracy", value, "share of pairs", value - 0.1, value + 0.1, 200, "higher", detail={"chance": 0.5, **detail})

    parts = {"seen": {"n": 2, "value": 1.0}, "unseen": {"n": 198, "value": 0.69}}
    results = [
        Result("held_out_text", "bits_per_byte", 1.6, BITS, 1.5, 1.7, 40, "lower"),
        accuracy("blimp", 0.7, level="task", **parts),
        accuracy("blimp/islands", 0.6, level="group"),
        accuracy("blimp/islands/adjunct", 0.6, level="part"),
        Result("songs", "bits_per_byte", 1.9, BITS, 1.8, 2.0, 9, "lower"),
        Result("songs", "token_perplexity", 30, "perplexity per token", 29, 31, 9, "lower", detail={"warning": "never compare it"}),
    ]
    with create(folder / "evaluation-00000000", kind="evaluation", format_version=2, inputs={}, config={}) as draft:
        write_results(draft.path / "results.json", results)
        write_json(draft.path / "tasks.json", tasks)
    return draft.result


TASKS = {
    "blimp": {
        "kind": "minimal_pairs", "num_items": 200, "num_skipped": 1, "skipped": [{"id": "x", "where": "a.jsonl:3", "reason": NASTY}],
        "contamination": {"is_checked": True, "seen": 2},
    },
    "songs": {"kind": "text", "num_items": 9, "num_skipped": 0, "skipped": [], "contamination": {"is_checked": False}},
}  # fmt: skip


@pytest.fixture
def evaluation(tmp_path: Path) -> Artifact:
    return made(tmp_path, {"model": {}, "tasks": TASKS})


def test_tasks_show_the_whole_and_groups_with_what_has_to_be_known(evaluation: Artifact):
    facts = tasks_facts(evaluation, results_of(evaluation))
    assert facts is not None
    blimp, songs = facts.tasks
    assert [column.title for column in blimp.columns] == ["What", "Measure", "Value", "95% interval", "Chance", "Unseen items only", "n"]
    assert [list(row.cells) for row in blimp.rows] == [
        ["All", "Accuracy, higher is better", "70%", "60% to 80%", "50%", "69% of 198", "200"],
        ["islands", "Accuracy, higher is better", "60%", "50% to 70%", "50%", "–", "200"],
    ]
    assert blimp.note == "Minimal pairs, 200 items. 1 more result in results.json."
    assert blimp.warnings == [
        f"1 item could not be used (a.jsonl:3: {NASTY}).",
        "2 items stood in the training text: read the number of the unseen ones.",
    ]
    assert [column.title for column in songs.columns] == ["What", "Measure", "Value", "95% interval", "n"]
    assert songs.warnings == ["Token perplexity: never compare it.", "Whether the model has seen the items was not looked up."]


def test_tasks_have_a_section_of_their_own_and_are_not_repeated(evaluation: Artifact):
    sections = {section.id: section.facts for section in sections_of({"evaluation": evaluation}, ReportConfig())}
    assert sections["tasks"] is not None
    assert [group.title for group in sections["results"].groups] == ["Held-out text"]
    text = render(language="be", name="проба", artifacts={"evaluation": evaluation}, config=ReportConfig())
    assert "never compare it" in text
    assert NASTY not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize("tasks", [None, [], {"tasks": 3}, {"tasks": {}}, {"tasks": {"blimp": None}}, {"tasks": {"songs": {"skipped": 1}}}])
def test_unreadable_tasks_never_fail_the_page(tmp_path: Path, tasks: Any):
    evaluation = made(tmp_path, tasks)
    text = render(language="be", name="проба", artifacts={"evaluation": evaluation}, config=ReportConfig())
    named = isinstance(tasks, dict) and isinstance(tasks["tasks"], dict) and bool(tasks["tasks"])
    assert ("What it was asked" in text) == named
