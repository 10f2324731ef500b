"""Stages through the command line: what is skipped, what is stale and why, and where an artifact comes from."""

import json
import shutil
from pathlib import Path

import pytest

from rodna.cli.stages import STAGES
from rodna.core.artifact import digest_of


@pytest.fixture
def states(rodna, as_json):
    """Return stage -> state for a workspace."""

    def look(workspace: Path, *arguments: str) -> dict[str, str]:
        found = as_json(rodna("status", "--workspace", workspace, "--json", *arguments))
        return {step["stage"]: step["state"] for step in found["stages"]}

    return look


@pytest.fixture
def details(rodna, as_json):
    def look(workspace: Path, *arguments: str) -> dict[str, str]:
        found = as_json(rodna("status", "--workspace", workspace, "--json", *arguments))
        return {step["stage"]: step["detail"] for step in found["stages"]}

    return look


@pytest.fixture(scope="module")
def built_once(make_workspace, tmp_path_factory, go_through) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("built"))
    go_through(root, ("corpus build", "tokenizer train", "plan", "train tokens"))
    return root


@pytest.fixture
def built(built_once: Path, tmp_path: Path) -> Path:
    """A workspace of its own in which everything up to training is done. Artifacts do not know where they lie, so a copy is as good."""
    return Path(shutil.copytree(built_once, tmp_path / "built"))


def test_each_stage_verb_makes_its_artifact_and_prints_its_path(rodna, workspace, states):
    result = rodna("corpus", "build", "--workspace", workspace)

    assert Path(result.stdout.strip()).parent == workspace / "artifacts" / "corpus"
    assert (Path(result.stdout.strip()) / "manifest.json").is_file()
    assert "[3/9] corpus: " in result.stderr
    assert list(states(workspace).values()) == [*["done"] * 3, *["missing"] * 6]


def test_a_verb_names_the_stage_it_needs_first(rodna, workspace):
    result = rodna("tokenizer", "train", "--workspace", workspace)

    assert result.exit_code == 1
    assert "the corpus does not exist yet" in result.stderr
    assert "`rodna corpus build`" in result.stderr
    assert not (workspace / "artifacts" / "tokenizer").exists() or not any((workspace / "artifacts" / "tokenizer").iterdir())


def test_a_second_time_nothing_is_done(rodna, as_json, built):
    before = {path: path.stat().st_mtime_ns for path in (built / "artifacts").rglob("*")}
    again = as_json(rodna("corpus", "build", "--workspace", built, "--json"))

    assert again["corpus"]["made"] is False
    assert before == {path: path.stat().st_mtime_ns for path in (built / "artifacts").rglob("*")}


def test_a_changed_setting_makes_only_what_depends_on_it_stale_and_says_why(rodna, built, states, details):
    change = ("--set", "tokenizer.vocabulary_size=320")

    assert list(states(built, *change).values())[2:6] == ["done", "stale", "stale", "stale"]
    assert details(built, *change)["tokenizer"] == "vocabulary_size: 384 -> 320"
    assert "another tokenizer" in details(built, *change)["tokens"]
    assert list(states(built).values())[:6] == ["done"] * 6


def test_a_changed_threshold_of_the_corpus_reads_no_text_again(rodna, built, states):
    change = ("--set", "corpus.deduplicate.similarity=0.9")

    assert list(states(built, *change).values())[:3] == ["done", "done", "stale"]
    repaired = ("--set", "corpus.normalize.homoglyphs=false")
    assert list(states(built, *repaired).values())[:3] == ["done", "stale", "stale"]
    workers = ("--set", "corpus.runner.workers=1")
    assert set(list(states(built, *workers).values())[:6]) == {"done"}


def test_changed_text_makes_everything_stale_and_a_licence_nothing(rodna, built, states, details):
    project = built / "project.yaml"
    project.write_text(project.read_text(encoding="utf-8").replace("CC0-1.0", "CC-BY-SA-4.0"), encoding="utf-8")
    assert list(states(built).values())[:6] == ["done"] * 6

    with (built / "texts" / "cyrillic.txt").open("a", encoding="utf-8") as file:
        file.write("\nновы радок\n")
    assert list(states(built).values())[:6] == ["stale"] * 6
    assert details(built)["documents"] == "another sources"
    assert details(built)["corpus"] == "another cleaned"


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(rodna, as_json, workspace):
    result = rodna("run", "--workspace", workspace, "--dry-run")
    steps = as_json(rodna("run", "--workspace", workspace, "--dry-run", "--json"))

    assert result.stderr.count("would be made") == len(STAGES)
    assert [step["state"] for step in steps] == ["missing"] * len(STAGES)
    assert not (workspace / "artifacts").exists()


def test_status_names_the_next_command(rodna, workspace):
    result = rodna("status", "--workspace", workspace / "texts")

    assert "to do    documents" in result.stdout
    assert "next: `rodna run`" in result.stdout


def test_a_damaged_artifact_is_named_with_its_mending(rodna, built, states):
    file = next((built / "artifacts" / "tokens").glob("*/train.bin"))
    file.write_bytes(file.read_bytes()[:-3])

    assert states(built)["tokens"] == "damaged"
    told = rodna("train", "tokens", "--workspace", built)
    assert told.exit_code == 1
    assert "damaged artifact: train.bin has" in told.stderr
    assert f"delete {file.parent}" in told.stderr
    shutil.rmtree(file.parent)
    assert rodna("train", "tokens", "--workspace", built).exit_code == 0


def test_doctor_finds_a_changed_byte_that_sizes_do_not_show(rodna, built):
    assert rodna("doctor", "--workspace", built).exit_code == 0
    file = next((built / "artifacts" / "tokens").glob("*/train.bin"))
    data = bytearray(file.read_bytes())
    data[10] ^= 1
    file.write_bytes(data)
    result = rodna("doctor", "--workspace", built)

    assert result.exit_code == 1
    assert "the content of train.bin has changed" in result.stdout


def test_trace_goes_down_to_sources_and_licences(rodna, as_json, built):
    text = rodna("trace", "tokens", "--workspace", built).stdout
    tree = as_json(rodna("trace", "tokens", "--workspace", built, "--json"))

    assert "├─ corpus " in text
    assert "source cyrillic: texts/cyrillic.txt (CC0-1.0; invented)" in text
    assert "source devanagari: texts/devanagari.txt (CC-BY-4.0)" in text
    assert "(shown above)" in text
    assert {item["role"] for item in tree["inputs"]} == {"corpus", "tokenizer"}


def test_trace_finds_artifacts_by_digest_and_explains_what_it_cannot_find(rodna, as_json, workspace, built):
    empty = rodna("trace", "--workspace", workspace)
    assert empty.exit_code == 1
    assert "nothing has been made yet" in empty.stderr
    digest = as_json(rodna("trace", "plan", "--workspace", built, "--json"))["digest"]

    assert as_json(rodna("trace", digest[:12], "--workspace", built, "--json"))["kind"] == "plan"
    unknown = rodna("trace", "zzz", "--workspace", built)
    assert unknown.exit_code == 1
    assert "no artifact is meant by 'zzz'" in unknown.stderr


def test_plan_writes_plain_numbers_into_the_file_and_then_proposes_the_same(rodna, as_json, built, states):
    result = rodna("plan", "--workspace", built, "--write")
    text = (built / "project.yaml").read_text(encoding="utf-8")
    written = as_json(rodna("plan", "--workspace", built, "--json"))

    assert result.exit_code == 0, result.stderr
    assert "train.learning_rate" in result.stderr
    assert "# A comment that must survive." in text
    assert "# the tiniest" in text
    assert "planned" not in text
    assert "tokenizer." not in result.stderr
    assert states(built)["tokenizer"] == "done"
    assert f"learning_rate: {written['train']['learning_rate']}" in text
    assert "all were there already" in rodna("plan", "--workspace", built, "--write").stderr


def test_a_plan_from_another_machine_is_kept_until_asked_for_again(rodna, as_json, built, states):
    plan = next((built / "artifacts" / "plan").iterdir())
    moved = as_if_made_elsewhere(plan)

    assert states(built)["plan"] == "done"
    assert as_json(rodna("trace", "plan", "--workspace", built, "--json"))["path"] == moved.relative_to(built).as_posix()
    assert rodna("plan", "--workspace", built, "--again").exit_code == 0
    assert plan.is_dir()


def test_a_plan_made_again_is_another_plan_and_the_model_of_the_old_one_is_not_its_model(rodna, as_json, built, states):
    first = as_json(rodna("plan", "--workspace", built, "--json"))["path"]
    second = as_json(rodna("plan", "--workspace", built, "--again", "--json"))["path"]

    assert len({first, second}) == 2
    assert (built / first / "plan.json").is_file()
    assert as_json(rodna("plan", "--workspace", built, "--json"))["path"] == second
    assert as_json(rodna("plan", "--workspace", built, "--again", "--json"))["path"] not in (first, second)
    assert states(built)["plan"] == "done"
    assert states(built)["pretrain"] != "done"


def as_if_made_elsewhere(plan: Path) -> Path:
    """Rewrite a plan's manifest as if another machine had made it; return its new place."""
    values = json.loads((plan / "manifest.json").read_text(encoding="utf-8"))
    values["inputs"]["machine"] = "0" * 64
    values["digest"] = digest_of("plan", format_version=values["format_version"], inputs=values["inputs"], config=values["config"])
    (plan / "manifest.json").write_text(json.dumps(values), encoding="utf-8")
    return plan.rename(plan.with_name(f"tiny-{values['digest'][:8]}"))


def test_corpus_inspect_and_sample_show_numbers_and_documents(rodna, as_json, built):
    inspected = rodna("corpus", "inspect", "--workspace", built)
    sampled = as_json(rodna("corpus", "sample", "--workspace", built, "--json", "-n", 3, "--split", "test"))
    wrong = rodna("corpus", "sample", "--workspace", built, "--split", "exam")

    assert "120" in inspected.stdout
    assert len(sampled) == 3
    assert {"id", "text", "source"} <= set(sampled[0])
    assert wrong.exit_code == 2
    assert "'exam'" in wrong.stderr


def test_tokenizers_are_compared_side_by_side_and_kept(rodna, as_json, built, states):
    rows = as_json(rodna("tokenizer", "compare", "-a", "bpe", "-a", "character", "-v", 300, "-v", 384, "--workspace", built, "--json"))

    assert [(row["algorithm"], row["vocabulary_size"]) for row in rows] == [("bpe", "300"), ("bpe", "384"), ("character", "planned")]
    assert all(Path(row["path"]).is_dir() for row in rows)
    assert states(built)["tokenizer"] == "done"


def test_generate_without_a_model_says_how_to_get_one(rodna, workspace):
    result = rodna("generate", "a", "--workspace", workspace)

    assert result.exit_code == 1
    assert "there is no model yet" in result.stderr
    assert "`rodna run`" in result.stderr


def test_outside_a_workspace_the_message_says_how_to_make_one(rodna, tmp_path):
    result = rodna("status", "--workspace", tmp_path)

    assert result.exit_code == 1
    assert "no workspace here" in result.stderr
    assert "rodna init LANG FOLDER" in result.stderr


def test_unfinished_folders_of_dead_processes_are_removed_by_the_next_run(rodna, workspace):
    rubbish = workspace / "artifacts" / "corpus" / ".tiny-00000000.new.999999999.tmp"
    rubbish.mkdir(parents=True)
    rodna("corpus", "build", "--workspace", workspace)

    assert not rubbish.exists()
