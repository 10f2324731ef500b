"""From a folder of text in two scripts to a model and its report, through the command line alone."""

import json
import shutil
from pathlib import Path

import pytest

from rodna.cli.stages import STAGES


@pytest.fixture(scope="module")
def finished_once(make_workspace, tmp_path_factory) -> Path:
    from typer.testing import CliRunner

    from rodna.cli.main import app

    root = make_workspace(tmp_path_factory.mktemp("whole"))
    result = CliRunner().invoke(app, ["run", "--workspace", str(root)])
    assert result.exit_code == 0, result.stderr
    (root / "said.txt").write_text(result.stdout, encoding="utf-8")
    return root


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """A workspace of its own in which everything is done."""
    return Path(shutil.copytree(finished_once, tmp_path / "finished"))


def test_one_command_makes_every_artifact_and_the_report(rodna, as_json, finished):
    found = as_json(rodna("status", "--workspace", finished, "--json"))

    assert [step["state"] for step in found["stages"]] == ["done"] * len(STAGES)
    assert "rodna chat" in found["next"]
    assert "<html" in (finished / "report" / "index.html").read_text(encoding="utf-8")
    assert [path for path in finished.rglob("*") if path.name.endswith(".tmp")] == []


def test_it_ends_with_bits_per_byte_beside_baselines_samples_the_report_and_three_commands(finished):
    said = (finished / "said.txt").read_text(encoding="utf-8")

    assert "bits per byte of held-out text" in said
    for name in ("this model ", "this model with counted n-grams, as it writes", "xz -9", "zstd -19", "gram"):
        assert name in said
    assert "Report: " in said
    assert said.count("  rodna ") == 3


def test_a_second_run_does_nothing(rodna, as_json, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file() and path.name != ".lock"}
    results = as_json(rodna("run", "--workspace", finished, "--json"))

    assert [result["made"] for result in results.values()] == [False] * len(STAGES)
    assert before == {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_changed_setting_does_again_only_what_depends_on_it(rodna, as_json, finished):
    results = as_json(rodna("run", "--workspace", finished, "--json", "--set", "eval.num_samples=1"))

    assert [name for name, result in results.items() if result["made"]] == ["evaluate", "report"]


def test_the_model_is_a_checkpoint_that_transformers_opens(finished):
    transformers = pytest.importorskip("transformers")
    folder = next((finished / "artifacts" / "model").iterdir())
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)

    assert model.num_parameters() == json.loads((folder / "training.json").read_text(encoding="utf-8"))["parameters"]


@pytest.mark.parametrize("prompt", ["ба ве", "का खि", "", "日本語 🎉 \u200d", "\x00\x1b[31m", "ß" * 500])
def test_any_prompt_is_accepted_and_comes_first(rodna, finished, prompt: str):
    result = rodna("generate", prompt, "--workspace", finished, "--max-tokens", 5)

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(prompt)


def test_the_same_seed_writes_the_same_and_another_something_else(rodna, as_json, finished):
    def write(*arguments: object) -> list[str]:
        return as_json(rodna("generate", "ба", "--workspace", finished, "--json", "--max-tokens", 12, *arguments))["continuations"]

    assert write("--seed", 1) == write("--seed", 1)
    assert len(set(write("--num", 4, "--temperature", 1.0))) > 1
    assert write("--temperature", 0, "--seed", 1) == write("--temperature", 0, "--seed", 2)


def test_counts_beside_the_model_have_their_share_of_what_is_written_unless_left_out(rodna, as_json, finished):
    def write(*arguments: object) -> str:
        return as_json(rodna("generate", "ба", "--json", "--max-tokens", 12, "--temperature", 0, *arguments))["continuations"]

    with_counts, without = write("--workspace", finished), write("--workspace", finished, "--no-counts")
    assert with_counts != without
    (model,) = (finished / "artifacts" / "model").iterdir()
    assert write("--model", model) == with_counts
    (model / "ngram.safetensors").unlink()
    assert write("--model", model) == without
    refused = rodna("generate", "ба", "--workspace", finished)
    assert "ngram.safetensors is missing" in refused.stderr


def test_the_prompt_may_come_through_a_pipe(rodna, finished):
    result = rodna("generate", "-", "--workspace", finished, "--max-tokens", 3, stdin="ба ве\n")

    assert result.stdout.startswith("ба ве")
    assert rodna("generate", "--workspace", finished, "--max-tokens", 3, stdin="гі").stdout.startswith("гі")


def test_impossible_sampling_is_refused_with_every_problem(rodna, finished):
    result = rodna("generate", "a", "--workspace", finished, "--top-p", 0, "--stop", "")

    assert result.exit_code == 1
    assert "top_p is 0.0" in result.stderr
    assert "stop is" in result.stderr


def test_chat_answers_obeys_and_ends(rodna, finished):
    result = rodna("chat", "--workspace", finished, "--max-tokens", 4, stdin="ба ве\n/set temperature=0\n\nका\n/reset\n/quit\nnever read\n")

    assert result.exit_code == 0, result.stderr
    assert "continue text" in result.stdout
    assert "temperature is now 0.0" in result.stdout
    assert "Forgotten" in result.stdout


def test_a_model_of_older_settings_is_used_and_said_so(rodna, finished):
    result = rodna("generate", "a", "--workspace", finished, "--set", "train.seed=5", "--max-tokens", 2)

    assert result.exit_code == 0, result.stderr
    assert "have changed since; using tiny-" in result.stderr


def test_the_projects_own_model_is_used_and_a_newer_one_of_other_settings_is_named(rodna, finished):
    (own,) = (finished / "artifacts" / "model").iterdir()
    assert f"the model is in {own}" in rodna("status", "--workspace", finished).stdout
    newer = own.with_name("small-00000000")
    shutil.copytree(own, newer)
    manifest = json.loads((newer / "manifest.json").read_text(encoding="utf-8"))
    (newer / "manifest.json").write_text(json.dumps(manifest | {"created": "2999-01-01T00:00:00+00:00"}), encoding="utf-8")
    result = rodna("generate", "a", "--workspace", finished, "--max-tokens", 2)

    assert result.exit_code == 0
    assert f"note: using {own.name}, the model of the project's settings; {newer.name} is newer: --model {newer}" in result.stderr


def test_a_finished_model_works_without_its_texts(rodna, finished):
    shutil.rmtree(finished / "texts")

    assert rodna("generate", "ба", "--workspace", finished, "--max-tokens", 2).exit_code == 0
    for artifact in ("", "report", next((finished / "artifacts" / "report").iterdir())):
        assert "source cyrillic" in rodna("trace", artifact, "--workspace", finished).stdout


def test_a_damaged_checkpoint_is_refused_and_mended_by_deleting_it(rodna, finished):
    folder = next((finished / "artifacts" / "model").iterdir())
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    by_workspace = rodna("generate", "a", "--workspace", finished)
    by_folder = rodna("generate", "a", "--model", folder)
    by_run = rodna("run", "--workspace", finished)

    for result in (by_workspace, by_folder, by_run):
        assert result.exit_code == 1
        assert "damaged" in result.stderr
        assert "  fix: " in result.stderr
    shutil.rmtree(folder)
    assert rodna("run", "--workspace", finished).exit_code == 0


def test_trace_of_the_report_reaches_every_source(rodna, finished):
    said = rodna("trace", "--workspace", finished).stdout

    assert said.startswith("report ")
    for part in (
        "evaluation",
        "model",
        "plan",
        "tokens",
        "tokenizer",
        "corpus",
        "source cyrillic",
        "CC0-1.0",
        "source devanagari",
        "CC-BY-4.0",
    ):
        assert part in said


def test_a_copied_workspace_needs_nothing_done_again(rodna, as_json, finished, tmp_path):
    moved = finished.rename(tmp_path / "інакш названы")

    assert [step["state"] for step in as_json(rodna("status", "--workspace", moved, "--json"))["stages"]] == ["done"] * len(STAGES)
