"""The weights of sources, from the project file to the batches."""

import re
from pathlib import Path

import pytest

from rodna.corpus.documents import read_documents
from rodna.data.curriculum import make_batches
from rodna.data.tokens import Tokens
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.train.config import TrainValues


def values(curriculum: str) -> TrainValues:
    return TrainValues.model_validate(
        {"steps": 100, "batch_size": 1, "micro_batch_size": 1, "learning_rate": 0.01, "adam_learning_rate": 0.01, "weight_decay": 0.1,
         "warmup_steps": 1, "decay_fraction": 0.4, "checkpoint_activations": False, "evaluations": 1, "curriculum": curriculum}
    )  # fmt: skip


def letters(text: str) -> tuple[int, int]:
    """Return how many Devanagari and how many Cyrillic characters there are."""
    return len(re.findall("[\u0900-\u097f]", text)), len(re.findall("[\u0400-\u04ff]", text))


def test_a_source_of_weight_three_is_three_times_as_much_of_what_an_epoch_learns(rodna, as_json, workspace):
    weight = ("--workspace", workspace, "--set", "corpus.mix.weights.devanagari=3")
    for verb in ("corpus build", "tokenizer train"):
        assert rodna(*verb.split(), *weight).exit_code == 0
    tokens_path = Path(as_json(rodna("train", "tokens", *weight, "--json"))["tokens"]["path"])
    corpus = next((workspace / "artifacts" / "corpus").glob("*/manifest.json")).parent
    tokenizer = Tokenizer.load(next((workspace / "artifacts" / "tokenizer").glob("*/manifest.json")).parent)
    once = [letters(text) for text in {document.text for document in read_documents(corpus, "train")}]
    devanagari, cyrillic = sum(found for found, _ in once), sum(found for _, found in once)
    tokens = Tokens.open(tokens_path, "train")

    for curriculum in ("none", "short_first", "context_grows"):
        # A window as long as an epoch: batch 1 holds the second epoch, whatever its order.
        length = -(-tokens.num_tokens // 4) * 4
        ids = make_batches(tokens, values(curriculum), length).batch(1).targets_BT.flatten().tolist()[: tokens.num_tokens]
        learned = letters(tokenizer.decode(ids))
        assert learned[0] == pytest.approx(3 * devanagari, rel=0.03)
        assert learned[1] == pytest.approx(cyrillic, rel=0.03)
