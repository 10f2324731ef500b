"""Multiple choice with a real decoder: the same at any batch size, and what lm-evaluation-harness finds."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from tests.conftest import invented_text
from tests.evals.letters import SETTINGS, config

from rodna.evals.models.open import open_language_model
from rodna.evals.tasks.run import run_tasks
from rodna.models.checkpoint import save
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.train import learn

HARNESS_METRICS = {"acc": "acc", "acc_norm": "acc_norm", "acc_bytes": "acc_bytes", "acc_pmi": "acc_mutual_info"}
YAML = """\
task: invented
dataset_path: json
dataset_kwargs: {data_files: {test: ITEMS}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}, {metric: acc_mutual_info}]
"""
SCRIPT = """\
import json, sys
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
folder, checkpoint = sys.argv[1:]
tasks = TaskManager(include_path=folder, include_defaults=False)
found = simple_evaluate(model="hf", model_args={"pretrained": checkpoint, "dtype": "float32"}, tasks=["invented"], task_manager=tasks,
                        device="cpu", bootstrap_iters=0, log_samples=True)
rows = {row["doc"]["id"]: [row, [float(answer[0][0]) for answer in row["resps"]]] for row in found["samples"]["invented"]}
with open(folder + "/found.json", "w") as file:
    json.dump(rows, file, default=str)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny decoder with weights large enough that what it reads matters."""
    folder = tmp_path_factory.mktemp("model")
    texts = [text for script in ("Cyrl", "Deva") for text in invented_text(20, script=script).split("\n\n")]
    tokenizer, _ = learn(texts, TokenizerConfig.model_validate({"vocabulary_size": 320}))
    (folder / "tokenizer").mkdir()
    tokenizer.save(folder / "tokenizer")
    shape = {"vocabulary_size": tokenizer.vocabulary_size, "context_length": 64, "width": 16, "num_layers": 2, "num_heads": 2}
    decoder = Decoder(ModelConfig.model_validate({**shape, "num_kv_heads": 1, "head_width": 8, "ffn_width": 24})).initialize(seed=1)
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    save(folder / "checkpoint", decoder, folder / "tokenizer")
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    """Questions of two scripts whose options differ in length; some are longer than the context."""
    path = tmp_path_factory.mktemp("items") / "items.jsonl"
    lines = [line for script in ("Cyrl", "Deva") for line in invented_text(16, script=script, seed=3).split("\n") if line]
    rows = []
    for number in range(24):
        words = lines[(number * 5 + 1) % len(lines)].split()
        options = [" ".join(words[: 1 + place]) + f" {place}" for place in range(4)]
        question = " ".join(lines[number * 5 : number * 5 + 1 + 3 * (number % 4 == 0)])
        rows.append({"id": str(number), "question": question, "choices": options, "answer": number % 4})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def ours(checkpoint, items, *, batch_size=16, **more):
    settings = SETTINGS.model_copy(update={"batch_size": batch_size})
    task = config("multiple_choice", path=items.name, **{"prompt": "{question} ", **more})
    return run_tasks(open_language_model(str(checkpoint), settings), [task], settings, root=items.parent)


def costs(evaluation):
    return np.array([item["nats"] + item["premise_nats"] for item in evaluation.files["task.options.json"]["items"]])


def test_any_batch_size_gives_the_same(checkpoint, items):
    one, many = (ours(checkpoint, items, batch_size=size, shots=1) for size in (1, 64))
    np.testing.assert_allclose(costs(one), costs(many), rtol=1e-5)
    assert [result.value for result in one.results] == [result.value for result in many.results]
    assert any(result.detail["cut"] for result in one.results)


@pytest.mark.slow
def test_every_accuracy_of_every_item_is_the_harness(checkpoint, items, tmp_path):
    pytest.importorskip("lm_eval")
    (tmp_path / "invented.yaml").write_text(YAML.replace("ITEMS", json.dumps(str(items))), encoding="utf-8")
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(checkpoint)]
    done = subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    evaluation = ours(checkpoint, items)
    ids = [item["id"] for item in evaluation.files["task.options.json"]["items"]]
    np.testing.assert_allclose(costs(evaluation), -np.array([rows[identity][1] for identity in ids]), rtol=1e-5)
    for measurement in evaluation.measurements:
        expected = [float(rows[identity][0][HARNESS_METRICS[measurement.metric]]) for identity in measurement.ids]
        assert measurement.numerator_N.tolist() == expected
