"""`rodna eval`: tasks through the command line, in a workspace and without one."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from rodna.core.artifact import Artifact, create
from rodna.corpus.documents import Document, JsonLinesWriter
from rodna.evals.measure import read_items
from rodna.evals.result import read_results

TEXT = "над ціхай ракой стаіць старая хата у хаце жыве бабуля з унукам і котка лісце падае долу птушкі ляцяць"
WORDS = TEXT.split()
QUICK = ("--set", "eval.bootstrap_samples=100")


def sentence(random, count: int = 6) -> str:
    return " ".join(random.choice(WORDS, size=count)) + "."


def write_pairs(folder: Path, name: str, count: int, *, seed: int, **more: str) -> list[dict[str, str]]:
    """Write a BLiMP-like file whose wrong sentences have their words reversed."""
    random = np.random.default_rng(seed)
    good = [sentence(random) for _ in range(count)]
    rows = [{"sentence_good": text, "sentence_bad": " ".join(text.split()[::-1]), "UID": name, **more} for text in good]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return rows


@pytest.fixture(scope="module")
def checkpoint_once(tmp_path_factory) -> Path:
    """An untrained model with a tokenizer of a few hundred tokens."""
    from rodna.models.checkpoint import save
    from rodna.models.config import ModelConfig
    from rodna.models.decoder import Decoder
    from rodna.tokenizer.config import TokenizerConfig
    from rodna.tokenizer.train import train_tokenizer

    root, random = tmp_path_factory.mktemp("model"), np.random.default_rng(0)
    with create(root / "corpus-00000000", kind="corpus", format_version=1, inputs={}, config={}) as draft:
        for split, count in {"train": 60, "validation": 4, "test": 4}.items():
            with JsonLinesWriter(draft.path / f"{split}.jsonl.zst") as file:
                for number in range(count):
                    file.write(Document(f"{split}{number}", sentence(random, 20), "s", "be", {}))
    tokenizer = train_tokenizer(draft.result, TokenizerConfig(vocabulary_size=300), root / "tokenizer-00000000")
    shape = {"context_length": 16, "width": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2, "head_width": 8, "ffn_width": 32}
    decoder = Decoder(ModelConfig.model_validate({**shape, "vocabulary_size": tokenizer.counts["vocabulary_size"]})).initialize(seed=0)
    save(root / "tiny", decoder, tokenizer.path)
    return root / "tiny"


@pytest.fixture
def checkpoint(checkpoint_once: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of it in a folder that is no workspace, where the user stands."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(checkpoint_once, tmp_path / "tiny"))


def results_of(path: Path) -> dict[tuple[str, str], object]:
    return {(item.task, item.metric): item for item in read_results(path / "results.json")}


def test_any_checkpoint_is_asked_pairs_without_a_workspace(rodna, checkpoint, tmp_path):
    write_pairs(tmp_path / "pairs", "order_1", 8, seed=1, linguistics_term="order")
    write_pairs(tmp_path / "pairs", "order_2", 8, seed=2, linguistics_term="order")

    done = rodna("eval", "--model", checkpoint, "--task", "pairs", "--out", "out", "--seed", "3", *QUICK)

    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == "out"
    results = results_of(tmp_path / "out")
    assert list(results) == [(f"pairs{part}", "accuracy") for part in ("", "/order", "/order/order_1", "/order/order_2")]
    whole = results["pairs", "accuracy"]
    assert (whole.n, whole.seed, whole.detail["chance"]) == (16, 3, 0.5)
    assert len(whole.prompt_digest) == 64
    assert whole.low <= whole.value <= whole.high
    items = read_items(tmp_path / "out" / "items.parquet")["pairs", "accuracy"]
    assert items.numerator_N.sum() / items.denominator_N.sum() == pytest.approx(whole.value)
    assert Artifact.open(tmp_path / "out", kind="evaluation").counts == {"results": 4, "tasks": 1, "items": 16, "skipped": 0}
    assert "pairs/order" in done.stderr
    assert "order_1" not in done.stderr
    assert "2 more results: show them with --all" in done.stderr
    assert "note: pairs: not looked up in any training text" in done.stderr


def test_the_same_command_again_measures_nothing_and_other_tasks_need_another_folder(rodna, checkpoint, tmp_path):
    write_pairs(tmp_path / "pairs", "order", 4, seed=1)
    command = ("eval", "--model", checkpoint, "--task", "pairs/order.jsonl", "--out", "out", *QUICK)
    assert rodna(*command).exit_code == 0
    before = (tmp_path / "out" / "manifest.json").stat().st_mtime_ns

    assert "unchanged" in rodna(*command).stderr
    assert "unchanged" in rodna(*command, "--processes", "2").stderr, "numbers do not depend on it"
    assert (tmp_path / "out" / "manifest.json").stat().st_mtime_ns == before
    write_pairs(tmp_path / "pairs", "order", 4, seed=2)
    changed = rodna(*command)
    assert changed.exit_code == 1
    assert "another evaluation is in the way" in changed.stderr
    assert "choose another --out" in changed.stderr


def test_all_shows_parts_and_json_prints_everything(rodna, as_json, checkpoint, tmp_path):
    write_pairs(tmp_path / "pairs", "order_1", 4, seed=1, field="syntax")
    write_pairs(tmp_path / "pairs", "order_2", 3, seed=2, field="syntax")
    command = ("eval", "-m", checkpoint, "-t", "pairs:minimal_pairs", *QUICK)

    shown = rodna(*command, "--all")
    printed = as_json(rodna(*command, "--json"))

    assert "pairs/order_1" in shown.stderr
    assert Path(printed["path"]).parent == tmp_path / "evaluations"
    assert {row["metric"] for row in printed["results"]} == {"accuracy", "accuracy_pooled"}
    assert printed["tasks"]["pairs"]["kind"] == "minimal_pairs"


def test_skipped_items_are_counted_and_named(rodna, checkpoint, tmp_path):
    rows = write_pairs(tmp_path / "pairs", "order", 3, seed=1)
    with (tmp_path / "pairs" / "order.jsonl").open("a", encoding="utf-8") as file:
        file.write("{broken\n" + json.dumps({"sentence_good": "так"}) + "\n" + json.dumps({**rows[0], "sentence_bad": " "}) + "\n")

    done = rodna("eval", "--model", checkpoint, "--task", "pairs", "--out", "out", *QUICK)

    assert "warning: pairs: items that were skipped: 3 (order.jsonl:4: not JSON" in done.stderr
    kept = json.loads((tmp_path / "out" / "tasks.json").read_text(encoding="utf-8"))["tasks"]["pairs"]
    assert [item["where"] for item in kept["skipped"]] == ["order.jsonl:4", "order.jsonl:5", "order.jsonl:6"]
    assert [item["reason"].partition(";")[0] for item in kept["skipped"][1:]] == ["no field bad", "empty text in bad"]


def test_every_checkpoint_of_a_run_is_measured_into_a_folder_of_its_own(rodna, as_json, checkpoint, tmp_path):
    for step in (10, 9):
        shutil.copytree(checkpoint, tmp_path / "run" / f"step-{step}")
    write_pairs(tmp_path / "pairs", "order", 4, seed=1)

    found = as_json(rodna("eval", "--checkpoints", "run", "--task", "pairs", "--out", "ladder", "--json", *QUICK))

    assert [one["path"] for one in found] == ["ladder/step-9", "ladder/step-10"]
    assert results_of(tmp_path / "ladder" / "step-9").keys() == {("pairs", "accuracy")}


def test_prompt_shots_and_a_limit_may_be_given_on_the_command_line(rodna, checkpoint, tmp_path):
    items = [{"id": str(number), "question": f"{number} + 1?", "choices": ["так", "не"], "answer": "A"} for number in range(6)]
    (tmp_path / "quiz.jsonl").write_text("\n".join(json.dumps(item) for item in items), encoding="utf-8")

    given = ("--prompt", "{question}\\n- ", "--shots", "1", "--limit", "3")
    rodna("eval", "--model", checkpoint, "--task", "quiz.jsonl", "--out", "out", *given, *QUICK)
    kept = json.loads((tmp_path / "out" / "tasks.json").read_text(encoding="utf-8"))["tasks"]["quiz"]

    assert (kept["config"]["shots"], kept["num_items"]) == (1, 3)
    assert re.fullmatch(r"\d \+ 1\?\n- так\s+\d \+ 1\?\n- ?", kept["example"]["context"])


def test_a_dry_run_only_says_what_would_be_measured(rodna, as_json, checkpoint, tmp_path):
    write_pairs(tmp_path / "pairs", "order", 4, seed=1)
    command = ("eval", "--model", checkpoint, "--task", "pairs", "--out", "out", "--dry-run")

    assert "would be measured, in out" in rodna(*command).stderr
    assert as_json(rodna(*command, "--json")) == [{"model": str(checkpoint), "path": "out", "state": "missing"}]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--task", "pairs"), "no model to measure"),
        (("--model", "nowhere", "--task", "pairs"), "no such checkpoint"),
        (("--model", "tiny"), "nothing to measure: no task, and no held-out text"),
        (("--model", "tiny", "--checkpoints", "tiny"), "both --model and --checkpoints"),
        (("--checkpoints", "pairs", "--task", "pairs"), "no checkpoints here"),
        (("--model", "tiny", "--task", "pairs:quiz"), "no kind of task is called 'quiz'"),
        (("--model", "tiny", "--task", "nothing.jsonl"), "no such file or folder: nothing.jsonl"),
    ],
)
def test_what_cannot_be_measured_is_said(rodna, checkpoint, tmp_path, arguments, message):
    write_pairs(tmp_path / "pairs", "order", 2, seed=1)
    done = rodna("eval", *arguments)

    assert done.exit_code == 1
    assert message in done.stderr
    assert "  fix:   " in done.stderr


@pytest.fixture(scope="module")
def trained_once(make_workspace, tmp_path_factory, go_through) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("trained"))
    go_through(root, ("corpus build", "tokenizer train", "plan", "train tokens", "train pretrain"))
    return root


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained_once, tmp_path / "trained"))


def test_in_a_workspace_tasks_are_part_of_the_evaluation_and_looked_up_in_the_training_text(rodna, as_json, trained, checkpoint):
    """The first pair is a line that training has read."""
    from rodna.corpus.documents import read_documents

    corpus = next((trained / "artifacts" / "corpus").iterdir())
    known = next(line for line in read_documents(corpus, "train").__next__().text.split("\n") if len(line) > 40)
    rows = write_pairs(trained / "pairs", "order", 4, seed=1)
    rows.append({**rows[0], "sentence_good": known, "sentence_bad": known[::-1]})
    (trained / "pairs" / "order.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with (trained / "project.yaml").open("a", encoding="utf-8") as file:
        file.write("  tasks: [{name: order, path: pairs}]\n")
    text = (trained / "project.yaml").read_text(encoding="utf-8")
    assert text.rstrip().endswith("tasks: [{name: order, path: pairs}]")
    text = text.replace("ngram_order: 3}\n  tasks: [{name: order, path: pairs}]", "ngram_order: 3, tasks: [{name: order, path: pairs}]}")
    (trained / "project.yaml").write_text(text, encoding="utf-8")

    done = rodna("eval", "--workspace", trained)
    assert done.exit_code == 0, done.stderr
    path = Path(done.stdout.strip())
    results = results_of(path)
    assert {("held_out_text", "bits_per_byte"), ("order", "accuracy")} <= results.keys()
    assert results["order", "accuracy"].detail["seen"]["n"] == 1
    assert results["order", "accuracy"].detail["unseen"]["n"] == 4
    tasks = json.loads((path / "tasks.json").read_text(encoding="utf-8"))["tasks"]
    assert list(tasks["order"]["seen"]) == ["order:5"]
    assert "items that stand in the training text: 1" in done.stderr

    # The same again is nothing to do; another item makes it stale; another model meets the same bytes.
    assert as_json(rodna("eval", "--workspace", trained, "--json"))["evaluate"]["made"] is False
    rodna_other = as_json(rodna("eval", "--workspace", trained, "--model", checkpoint, "--json", *QUICK))
    other = {(row["task"], row["metric"]): row for row in rodna_other["results"]}
    assert other["held_out_text", "bits_per_byte"]["detail"]["bytes"] == results["held_out_text", "bits_per_byte"].detail["bytes"]
    assert other["order", "accuracy"]["n"] == 5
    write_pairs(trained / "pairs", "order", 4, seed=2)
    assert "another tasks" in as_json(rodna("eval", "--workspace", trained, "--dry-run", "--json"))[0]["detail"]


def test_the_ladder_of_a_run_has_held_out_text_on_every_rung_and_no_baselines(rodna, as_json, trained):
    run = next(folder for folder in (trained / "runs").iterdir() if any(folder.glob("step-*")))

    found = as_json(rodna("eval", "--workspace", trained, "--checkpoints", run, "--json", *QUICK))

    assert [Path(one["path"]).name for one in found] == [folder.name for folder in sorted(run.glob("step-*"))]
    assert Path(found[0]["path"]).parent == trained / "evaluations" / run.name
    tasks = {row["task"] for one in found for row in one["results"]}
    assert "held_out_text" in tasks
    assert not any(task.startswith(("baseline:", "generation")) for task in tasks)


def test_a_task_in_the_project_file_does_not_lead_out_of_the_workspace(rodna, trained, tmp_path):
    write_pairs(tmp_path / "outside", "order", 2, seed=1)

    done = rodna("eval", "--workspace", trained, "--set", "eval.tasks=[{name: order, path: ../outside}]")

    assert done.exit_code == 1
    assert "a task's files lie outside the workspace: ../outside" in done.stderr
    assert "rodna eval --task ../outside" in done.stderr
