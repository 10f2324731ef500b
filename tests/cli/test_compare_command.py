"""`rodna compare` through the command line."""

import csv
import io

import pytest

from made_evaluations import answers, measured, write_made


@pytest.fixture
def evaluations(tmp_path, monkeypatch):
    """Three evaluations where the user stands, and two of checkpoints."""
    monkeypatch.chdir(tmp_path)
    for seed, (name, right) in enumerate({"small": 0.3, "large": 0.95, "third": 0.35}.items(), 1):
        write_made(tmp_path / name, [measured("pairs", answers(120, right, seed=seed)), measured("more", answers(30, 0.5, seed=1))])
    for step in (100, 200):
        pairs = measured("pairs", answers(60, step / 400, seed=step))
        write_made(tmp_path / "run" / f"step-{step}", [pairs], where=f"runs/be/step-{step}")
    return tmp_path


def test_verdicts_and_tables_are_printed(rodna, evaluations):
    done = rodna("compare", "small", "large")
    assert done.exit_code == 0, done.stderr
    assert "large, beside small: of 2 comparisons better in 1, worse in 0; in 1 the two cannot be told apart." in done.stdout
    assert "large less small" in done.stdout
    assert "Holm, 2 comparisons" in done.stdout
    assert "note: pairs, more: not looked up in the training text of any model" in done.stdout
    assert "Ranking" not in done.stdout
    assert "Ranking" in rodna("compare", "small", "large", "third").stdout


def test_everything_is_written_into_a_folder(rodna, evaluations):
    done = rodna("compare", "small", "mine=large", "--out", "comparison", "--ladder", "run")
    assert done.exit_code == 0, done.stderr
    out = evaluations / "comparison"
    names = {path.name for path in out.iterdir()}
    assert names >= {"index.html", "comparison.md", "comparison.csv", "comparison.tex", "comparison.json", "ladder.json", "manifest.json"}
    pictures = {path.name for path in (out / "figures").glob("*.svg")}
    assert pictures == {
        "01-differences-mine-less-small.svg", "02-bars-pairs-accuracy.svg", "03-bars-more-accuracy.svg", "04-training-pairs-accuracy.svg",
    }  # fmt: skip
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "pairs, accuracy: mine is better than small by" in page
    assert "Over training" in page
    before = (out / "index.html").read_bytes()
    assert rodna("compare", "small", "mine=large", "--out", "comparison", "--ladder", "run").exit_code == 0
    assert (out / "index.html").read_bytes() == before


def test_single_files_are_written_where_asked(rodna, evaluations):
    done = rodna("compare", "small", "large", "--markdown", "a/x.md", "--csv", "x.csv", "--latex", "x.tex")
    assert done.exit_code == 0, done.stderr
    assert "wrote a/x.md" in done.stderr
    assert (evaluations / "a" / "x.md").read_text(encoding="utf-8").startswith("# Comparison with small")
    rows = list(csv.DictReader(io.StringIO((evaluations / "x.csv").read_text(encoding="utf-8"))))
    assert [(row["task"], row["model"], row["verdict"]) for row in rows] == [
        ("pairs", "large", "better"),
        ("more", "large", "cannot be told apart"),
    ]
    assert "\\toprule" in (evaluations / "x.tex").read_text(encoding="utf-8")


def test_json_holds_everything(as_json, rodna, evaluations):
    printed = as_json(rodna("compare", "large", "small", "--json", "--only", "pairs", "--seed", "3", "--samples", "1000"))
    comparison = printed["comparison"]
    assert (comparison["baseline"], comparison["seed"], comparison["samples"]) == ("large", 3, 1000)
    assert [match["task"] for match in comparison["matches"]] == ["pairs"]
    assert comparison["matches"][0]["differences"][0]["verdict"] == "worse"
    assert printed["ladder"] == []


def test_a_ladder_needs_no_second_model(rodna, evaluations):
    done = rodna("compare", "--ladder", "run", "--out", "ladder")
    assert done.exit_code == 0, done.stderr
    assert "Over training" in done.stdout
    assert "How the model grew" in (evaluations / "ladder" / "index.html").read_text(encoding="utf-8")
    refused = rodna("compare", "--ladder", "run", "--csv", "x.csv")
    assert refused.exit_code == 1
    assert "--csv has nothing to write" in refused.stderr
    assert "--out FOLDER" in refused.stderr


def test_checkpoints_of_one_run_become_a_ladder_by_themselves(as_json, rodna, evaluations):
    write_made(evaluations / "run" / "step-300", [measured("pairs", answers(60, 0.9, seed=300))], where="runs/be/step-300")
    printed = as_json(rodna("compare", "run/step-300", "run/step-100", "run/step-200", "--json"))
    assert [rung["step"] for rung in printed["ladder"][0]["lines"]["be"]] == [100, 200, 300]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("small",), "only one evaluation to compare"),
        ((), "nothing to compare"),
        (("small", "./small"), "the same evaluation is given twice"),
        (("small", "nowhere"), "no evaluation here"),
        (("small", "large", "--baseline", "huge"), "no model here is called 'huge'"),
        (("small", "run/step-100", "--only", "more"), "the evaluations have no result in common"),
        (("--ladder", "small"), "no ladder: 0 evaluations"),
        (("small", "large", "--out", "run"), "something that is not an artifact is in the way"),
    ],
)
def test_what_cannot_be_done_is_said(rodna, evaluations, arguments, said: str):
    done = rodna("compare", *arguments)
    assert done.exit_code == 1
    assert said in done.stderr
    assert "fix:" in done.stderr
