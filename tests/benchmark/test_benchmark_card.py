"""The data card says what the folder's files say, and nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from review_folder import make_folder, translations

from rodna.benchmark import store
from rodna.benchmark.card import MARK, card_of
from rodna.core.artifact import Artifact
from rodna.core.log import read_json_lines


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("card"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / made.name)


def card(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def front(folder: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    _, head, _ = card(folder).split("---\n", 2)
    return YAML(typ="safe").load(head)


def rows(text: str, first: str) -> dict[str, list[str]]:
    """Return first cell -> other cells of the table whose head begins with a cell."""
    lines = text.split("\n")
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {first} |"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return {cells[0]: cells[1:] for cells in table}


def test_translating_writes_a_card_that_the_hub_can_read(folder: Path):
    head = front(folder)
    assert head["language"] == ["be"]
    assert head["license"] == "mit"
    assert head["task_categories"] == ["multiple-choice"]
    assert head["multilinguality"] == ["translation"]
    assert head["language_creators"] == ["machine-generated"]
    assert head["configs"] == [{"config_name": "default", "data_files": [{"split": "test", "path": "benchmark.jsonl"}]}]
    assert "README.md" in Artifact.open(folder, kind="benchmark").manifest.files


def test_its_numbers_are_those_of_the_items(folder: Path):
    records = store.read_records(folder)
    outcome = rows(card(folder), "outcome")
    counted = {
        "accepted": "accepted",
        "repaired or edited": "repaired",
        "rejected": "rejected",
        "failed: the translator gave no answer": "failed",
    }
    for label, status in counted.items():
        number = sum(record["status"] == status for record in records)
        assert outcome[label] == [str(number), f"{number / 24:.1%}"]
    checks = rows(card(folder), "check")
    for name, cells in checks.items():
        results = [check["passed"] for record in records for check in record["checks"] if check["name"] == name]
        assert cells[1:] == [str(results.count(outcome)) for outcome in (True, False, None)]
        assert cells[0]
    assert checks["numbers"][2] == "1"
    assert "at least 50" in checks["round_trip"][0]
    reasons = rows(card(folder), "why items are left out (an item may have several reasons)")
    assert sum(int(cells[0]) for cells in reasons.values()) == sum(len(record["reasons"]) for record in records)
    assert f"{len(read_json_lines(folder / 'benchmark.jsonl'))} of the 24 items" in card(folder)


def test_it_names_source_licence_translators_and_thresholds(folder: Path):
    text = card(folder)
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    for words in (
        "source.jsonl",
        about["source"]["sha256"],
        "licence: mit, which",
        "first 1",
        "second 1",
        "back 1",
        "`question`, `choices`",
    ):
        assert words in text
    assert "Draft" not in text
    assert "**No person has seen any of them.**" in text
    assert "No check told the language" in text
    assert "no person has seen" in text.split("## Known limits")[1]
    assert "--include_path FOLDER/harness --tasks words-be" in text
    assert (folder / "harness" / "words-be.yaml").is_file()


def test_people_are_counted_and_how_often_they_overrule_the_checks(folder: Path):
    machine = translations(folder, "q2")
    for id, verdict, text, who in [
        ("q2", "edit", {"question": "Іншае 6"}, "Ona"),
        ("q3", "accept", {}, "Ona"),
        ("q4", "reject", {}, "Jonas"),
        ("q4", "accept", {}, "Ona"),
        ("q7", "accept", {}, "Ona"),
        ("q1", "reject", {}, "Ona"),
    ]:
        store.apply_verdict(folder, id, verdict, text, who)
    store.rebuild(folder)
    text = card(folder)

    assert machine["question"] != "Іншае 6"
    assert "2 people saw 5 of 24 items: 3 accepted as they were, 1 edited, 1 rejected." in text
    assert "Of 3 seen items that the checks had let through, 1 (33.3%) had to be edited or rejected." in text
    assert "Of 2 seen items that the checks had rejected, 1 (50.0%) were right as they were." in text
    assert rows(text, "repair")["Edited by a person."] == ["1"]
    assert front(folder)["language_creators"] == ["machine-generated", "expert-generated"]


def test_verdicts_on_other_words_are_not_counted_as_seen(folder: Path):
    with (folder / "verdicts.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "q2", "verdict": "accept", "text": {}, "who": "Ona", "seen": "of another translation"}) + "\n")
    store.rebuild(folder)

    assert "**No person has seen any of them.**" in card(folder)
    assert "1 more verdict is on translations that have since been replaced" in card(folder)


def test_the_card_is_the_same_again(folder: Path):
    before = card(folder)
    store.rebuild(folder)
    assert card(folder) == before


def test_a_licence_given_later_makes_a_draft_publishable(folder: Path, rodna: Any):
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    about["config"]["licence"] = ""
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    store.rebuild(folder)
    assert "Draft: not to be published" in card(folder)
    assert front(folder)["license"] == "unknown"

    refused = rodna("benchmark", "card", folder)
    assert refused.exit_code == 1
    assert "the source has no licence" in refused.stderr
    assert "--licence" in refused.stderr

    done = rodna("benchmark", "card", folder, "--licence", "Our own 1.0", "--origin", "https://example.org/[x]|y")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == str(folder / "README.md")
    assert (front(folder)["license"], front(folder)["license_name"]) == ("other", "Our own 1.0")
    assert "Draft" not in card(folder)
    assert r"https://example.org/\[x\]\|y" in card(folder)
    assert Artifact.open(folder, kind="benchmark").manifest.licences == {"source.jsonl": "Our own 1.0"}
    assert rodna("benchmark", "card", folder, "--json").exit_code == 0


def test_a_card_of_other_origin_is_left_as_it_is(folder: Path, rodna: Any, capsys: pytest.CaptureFixture[str]):
    (folder / "README.md").write_text("# By hand\n", encoding="utf-8")
    store.rebuild(folder)
    assert card(folder) == "# By hand\n"
    assert "is not by rodna, and is left as it is" in capsys.readouterr().err

    refused = rodna("benchmark", "card", folder)
    assert refused.exit_code == 1
    assert "a README.md that rodna did not write" in refused.stderr
    assert card(folder) == "# By hand\n"


def test_a_folder_that_is_no_benchmark_has_no_card(tmp_path: Path, rodna: Any):
    result = rodna("benchmark", "card", tmp_path, "--licence", "mit")
    assert result.exit_code == 1
    assert "no translated benchmark here" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_benchmark_of_which_nothing_is_left_has_a_card_too(folder: Path):
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    records = [{**record, "status": "rejected", "human": "", "who": "", "by_checks": "rejected"} for record in store.read_records(folder)]
    text = card_of("empty", about, records, store.count(records, 0), [], harness=[])

    assert text.count(MARK) == 1
    assert "0 of the 24 items" in text
    assert "lm_eval" not in text
