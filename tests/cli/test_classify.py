"""`rodna eval classify`, from a table to an evaluation's folder."""

import csv
import json
import random

import pytest
import torch

from rodna.core.artifact import Artifact
from rodna.evals.measure import read_items
from rodna.evals.result import read_results
from rodna.models.checkpoint import save
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.tokenizer.tokenizer import Tokenizer

metrics = pytest.importorskip("sklearn.metrics")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny model with fresh weights whose tokens are bytes."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE(vocab={character: index for index, character in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>"])
    folder = tmp_path_factory.mktemp("model")
    (folder / "tokenizer").mkdir()
    Tokenizer(backend).save(folder / "tokenizer")
    shape = {"vocabulary_size": 257, "context_length": 96, "width": 16, "num_layers": 2, "num_heads": 2, "num_kv_heads": 1, "head_width": 8}
    torch.set_num_threads(1)
    save(folder / "model", Decoder(ModelConfig.model_validate({**shape, "ffn_width": 24})).initialize(seed=1), folder / "tokenizer")
    return folder / "model"


@pytest.fixture
def reviews(tmp_path):
    """Sixty invented reviews of two moods, with one that has none, one copy and one without a text."""
    source = random.Random(0)
    words = {"добра": "цудоўна файна смачна", "дрэнна": "жудасна блага горка"}
    plain = ["кніга", "фільм", "вячэра", "дарога", "размова"]
    rows = [(f"{' '.join(source.choices(plain, k=3))} {source.choice(words[mood].split())} {n}", mood) for mood in words for n in range(30)]
    rows += [rows[0], ("без ацэнкі", ""), ("", "добра")]
    with (tmp_path / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("review", "mood"), *rows])
    return tmp_path / "reviews.csv"


def test_a_table_becomes_an_evaluation_that_says_whether_the_model_is_better(rodna, as_json, checkpoint, reviews, tmp_path):
    options = ("--model", checkpoint, "--text", "review", "--label", "mood", "--language", "be", "--runs", 2, "--epochs", 1, "--shots", 1)
    told = rodna("eval", "classify", reviews, *options, "--out", tmp_path / "out", "--workspace", tmp_path)
    assert told.exit_code == 0, told.stderr
    assert told.stdout.strip() == str(tmp_path / "out")
    assert "against character n-grams:" in told.stderr
    made = Artifact.open(tmp_path / "out", kind="evaluation")
    results = {(result.task, result.metric): result for result in read_results(made.path / "results.json")}
    lines = [json.loads(line) for line in (made.path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    items = read_items(made.path / "items.parquet")
    gold = [line["label"] for line in lines]
    assert len(lines) == 12
    for method in ("majority", "ngram", "few-shot", "linear-probe", "fine-tune"):
        task = f"reviews/{method}"
        runs = list(zip(*(line["predicted"][method] for line in lines), strict=True))
        value = sum(metrics.f1_score(gold, run, average="macro") for run in runs) / len(runs)
        found = results[task, "macro_f1"]
        assert found.value == pytest.approx(value)
        assert found.low <= value <= found.high
        assert (found.n, found.detail["language"]) == (12, "be")
        accuracy = sum(metrics.accuracy_score(gold, run) for run in runs) / len(runs)
        assert results[task, "accuracy"].value == pytest.approx(accuracy)
        assert items[task, "accuracy"].numerator_N.mean() == pytest.approx(accuracy)
        confusion = sum(metrics.confusion_matrix(gold, run, labels=found.detail["confusion"]["labels"]) for run in runs)
        assert found.detail["confusion"]["counts"] == confusion.tolist()
    for method in ("few-shot", "linear-probe", "fine-tune"):
        difference = results[f"reviews/{method}", "macro_f1_minus_ngram"]
        expected = results[f"reviews/{method}", "macro_f1"].value - results["reviews/ngram", "macro_f1"].value
        assert difference.value == pytest.approx(expected)
        verdict = "better" if difference.low > 0 else "worse" if difference.high < 0 else "no difference shown"
        assert difference.detail["verdict"] == verdict
    task = json.loads((made.path / "tasks.json").read_text(encoding="utf-8"))["tasks"]["reviews"]
    reasons = ["the label is missing", "the same text as reviews.csv:1", "the text is empty"]
    assert sorted(item["reason"] for item in task["skipped"]) == reasons
    assert (task["num_items"], task["num_train"], task["contamination"]["is_checked"]) == (12, 48, False)
    again = as_json(rodna("eval", "classify", reviews, *options, "--out", tmp_path / "again", "--workspace", tmp_path, "--json"))
    assert again["results"] == json.loads((made.path / "results.json").read_text(encoding="utf-8"))
    before = (made.path / "manifest.json").read_text(encoding="utf-8")
    unchanged = rodna("eval", "classify", reviews, *options, "--out", tmp_path / "out", "--workspace", tmp_path)
    assert (unchanged.exit_code, (made.path / "manifest.json").read_text(encoding="utf-8")) == (0, before)
    other = rodna("eval", "classify", reviews, *options, "--out", tmp_path / "out", "--workspace", tmp_path, "--seed", 1)
    assert other.exit_code == 1
    assert "another evaluation is in the way" in other.stderr


def test_in_a_workspace_texts_are_looked_up_in_its_training_text(rodna, as_json, go_through, workspace, checkpoint):
    go_through(workspace, ["corpus build"])
    rows = [
        (line, name)
        for name in ("cyrillic", "devanagari")
        for line in (workspace / "texts" / f"{name}.txt").read_text(encoding="utf-8").splitlines()[:20]
        if line
    ]
    rows += [(f"{'абвгджзк'[n % 8] * 30} {n}", "cyrillic") for n in range(20)]
    data = workspace / "lines.jsonl"
    data.write_text("".join(json.dumps({"line": line, "script": name}) + "\n" for line, name in rows), encoding="utf-8")
    options = ("--model", checkpoint, "--text", "line", "--label", "script", "--language", "be", "--method", "few-shot", "--runs", 1)
    found = as_json(rodna("eval", "classify", data, *options, "--workspace", workspace, "--json"))
    assert found["path"].startswith(str(workspace / "evaluations" / "lines-"))
    counts = found["tasks"]["lines"]["contamination"]
    assert counts["is_checked"]
    assert counts["seen"] > 0
    assert counts["unseen"] > 0
    seen = found["tasks"]["lines"]["seen"]
    assert all(item["share"] >= 0.8 and item["passage"] for item in seen.values())
    (result,) = [item for item in found["results"] if (item["task"], item["metric"]) == ("lines/few-shot", "macro_f1")]
    assert (result["detail"]["seen"]["n"], result["detail"]["unseen"]["n"]) == (counts["seen"], result["n"] - counts["seen"])


def test_lines_of_two_real_books_are_told_apart_by_ngrams_and_by_no_fresh_model_better(rodna, as_json, checkpoint, shared_data, tmp_path):
    rows = [
        (line.strip(), name)
        for name in ("grettir", "klim")
        for line in (shared_data / "corpora" / "is" / f"{name}.txt").read_text(encoding="utf-8").split(". ")[:120]
        if len(line) > 20
    ]
    data = tmp_path / "books.tsv"
    data.write_text("line\tbook\n" + "".join(f"{' '.join(line.split())}\t{name}\n" for line, name in rows), encoding="utf-8")
    options = ("--model", checkpoint, "--text", "line", "--label", "book", "--language", "is", "--method", "linear-probe")
    found = as_json(rodna("eval", "classify", data, *options, "--out", tmp_path / "out", "--workspace", tmp_path, "--json"))
    results = {(item["task"], item["metric"]): item for item in found["results"]}
    assert results["books/ngram", "macro_f1"]["low"] > results["books/majority", "macro_f1"]["high"]
    assert results["books/linear-probe", "macro_f1_minus_ngram"]["detail"]["verdict"] != "better"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "http://127.0.0.1:1/v1#m"), "cannot be asked for linear-probe, fine-tune"),
        (("--text", "words"), "no column 'words'"),
        (("--template", "{text}"), "the template '{text}' cannot be used"),
        (("--word", "добра"), "not LABEL=WORD: 'добра'"),
        (("--word", "чужая=x"), "no label is called 'чужая'"),
        (("--method", "guess"), "guess"),
        (("--language", "no such"), "no such"),
        (("--test", "absent.csv"), "no such file of labelled texts"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_computed(rodna, checkpoint, reviews, tmp_path, options, message):
    usual = {"--model": checkpoint, "--text": "review", "--label": "mood", "--language": "be", "--out": tmp_path / "out"}
    given = usual | {options[0]: options[1]} | {"--workspace": tmp_path}
    result = rodna("eval", "classify", reviews, *(item for pair in given.items() for item in pair))
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_without_scikit_learn_the_extra_is_named(monkeypatch, rodna, checkpoint, reviews, tmp_path):
    import sys

    monkeypatch.setitem(sys.modules, "sklearn", None)
    result = rodna("eval", "classify", reviews, "--model", checkpoint, "--text", "review", "--label", "mood", "--language", "be",
                   "--out", tmp_path / "out", "--workspace", tmp_path)  # fmt: skip
    assert result.exit_code == 1
    assert "pip install 'rodna[eval]'" in result.stderr
