"""Minimal pairs with a real decoder: the same at any batch size, and what lm-evaluation-harness' `blimp` finds, pair by pair."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.conftest import invented_text
from tests.evals.letters import SETTINGS, config
from tests.evals.test_multiple_choice_harness import SCRIPT, checkpoint  # noqa: F401

from rodna.evals.models.open import open_language_model
from rodna.evals.tasks.run import run_tasks
from rodna.models.checkpoint import load

YAML = """\
task: invented
dataset_path: json
dataset_kwargs: {data_files: {train: ITEMS}}
validation_split: train
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{[sentence_good, sentence_bad]}}"
num_fewshot: 0
metric_list: [{metric: acc}]
"""
"""All of the harness' own template of BLiMP that decides a number."""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Sentences and what is left of them when two words change places; some are longer than the context."""
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    lines = [line for script in ("Cyrl", "Deva") for line in invented_text(16, script=script, seed=5).split("\n") if line]
    rows = []
    for number in range(30):
        words = " ".join(lines[number * 4 : number * 4 + 1 + 3 * (number % 5 == 0)]).split()
        swapped = [*words[:1], words[2], words[1], *words[3:]]
        if words != swapped:
            names = {"id": str(number), "UID": f"order_{number % 3}", "linguistics_term": "order"}
            rows.append({**names, "sentence_good": " ".join(words), "sentence_bad": " ".join(swapped)})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def ours(folder, items, *, batch_size=16):
    settings = SETTINGS.model_copy(update={"batch_size": batch_size})
    return run_tasks(open_language_model(str(folder), settings), [config("by_fields", path=items.name)], settings, root=items.parent)


def slow_nats(decoder, tokenizer, sentence):
    """Return what a sentence that fits the context costs after one end_of_text, token by token."""
    tokens = [tokenizer.end_of_text_id, *tokenizer.encode(" " + sentence)]
    total = 0.0
    for place in range(1, len(tokens)):
        hidden = decoder(torch.tensor([tokens[:place]]))
        scores = (hidden[0, -1] @ decoder.head.weight.T).double()
        total += float(torch.logsumexp(scores, 0) - scores[tokens[place]])
    return total, len(tokens) - 1


def test_any_batch_size_gives_the_same_and_so_does_reading_token_by_token(checkpoint, pairs):  # noqa: F811
    one, many = (ours(checkpoint, pairs, batch_size=size) for size in (1, 64))
    assert one.results == many.results
    whole = next(item for item in one.measurements if item.task == "task" and item.metric == "accuracy")
    right = dict(zip(whole.ids, (whole.numerator_N / whole.denominator_N).round(6).tolist(), strict=True))
    decoder, tokenizer = load(checkpoint)
    compared = 0
    with torch.inference_mode():
        for row in map(json.loads, pairs.read_text(encoding="utf-8").splitlines()):
            (good, length), (bad, _) = (slow_nats(decoder, tokenizer, row[name]) for name in ("sentence_good", "sentence_bad"))
            if length < decoder.config.context_length and not math.isclose(good, bad, rel_tol=1e-5):
                assert right[row["id"]] == float(good < bad)
                compared += 1
    assert compared > 10
    assert 0 < whole.numerator_N.sum() < whole.denominator_N.sum()


@pytest.mark.slow
def test_accuracy_is_that_of_the_harness_to_the_digit(checkpoint, pairs, tmp_path):  # noqa: F811
    pytest.importorskip("lm_eval")
    # The harness ends with an assertion where a sentence alone is longer than the context.
    short = tmp_path / "short.jsonl"
    lines = [line for line in pairs.read_text(encoding="utf-8").splitlines() if len(json.loads(line)["sentence_good"].split()) < 12]
    short.write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "invented.yaml").write_text(YAML.replace("ITEMS", json.dumps(str(short))), encoding="utf-8")
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(checkpoint)]
    done = subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    accuracy = {identity: float(row["acc"]) for identity, (row, _) in rows.items()}
    paradigms = [item for item in ours(checkpoint, short).measurements if item.detail["level"] == "part"]
    assert sum(len(item.ids) for item in paradigms) == len(rows)
    for item in paradigms:
        assert item.detail["accuracy_ties_right"] == np.mean([accuracy[identity] for identity in item.ids])
