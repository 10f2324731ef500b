"""A tiny model, tiny text and its tokenizer, to train in a second."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.train.stage_bench import Bench
from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers

from rodna.core.artifact import Artifact, create
from rodna.data.batches import Batches
from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.train.config import TrainValues
from rodna.train.loop import Speedometer, train
from rodna.train.optim import build_optimizers
from rodna.train.state import Progress, RunFolder

VOCABULARY = 259


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory) -> Path:
    """A tokenizer of the 256 bytes and the special tokens."""
    from rodna.tokenizer.tokenizer import Tokenizer

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    engine = Engine(models.BPE({symbol: number for number, symbol in enumerate(alphabet)}, []))
    engine.pre_tokenizer, engine.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    engine.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    folder = tmp_path_factory.mktemp("tokenizer")
    engine.save(str(folder / "tokenizer.json"))
    Tokenizer.load(folder).save(folder)
    return folder


@pytest.fixture
def model_config():
    return ModelConfig(
        vocabulary_size=VOCABULARY, width=32, num_layers=2, num_heads=2, num_kv_heads=1, head_width=16, ffn_width=48, context_length=16,
        tied_embeddings=True, dropout=0.1,
    )  # fmt: skip


@pytest.fixture
def values():
    return TrainValues(
        steps=12, batch_size=4, micro_batch_size=2, learning_rate=0.01, adam_learning_rate=0.003, weight_decay=0.1, warmup_steps=2,
        decay_fraction=0.5, checkpoint_activations=False, evaluations=3, precision="fp32", compile="off", log_every=2, trackers=(),
    )  # fmt: skip


def text_tokens(num_documents: int, *, seed: int) -> Tokens:
    """Return documents in which every token follows from the one before: easy to learn."""
    source = np.random.default_rng(seed)
    documents = [np.append((source.integers(256) + np.arange(30)) % 256, 256) for _ in range(num_documents)]
    offsets = np.cumsum([0, *map(len, documents)]).astype(np.int64)
    return Tokens(np.concatenate(documents).astype(np.uint16), offsets, np.full(num_documents, 30, np.int64), 256, VOCABULARY)


class Run:
    """A run in a folder, that can be started again and again."""

    def __init__(self, path: Path, tokenizer_folder: Path, model: ModelConfig, values: TrainValues, *, setup: str = "one") -> None:
        self.values = values
        self.decoder = Decoder(model).initialize(seed=values.seed)
        self.optimizers = build_optimizers(self.decoder, values)
        self.folder = RunFolder(path, tokenizer_folder=tokenizer_folder, setup=setup)
        self.batches = Batches(text_tokens(40, seed=1), seed=values.seed, batch_size=values.batch_size, context_length=model.context_length)
        self.validation = text_tokens(8, seed=2)

    def go(self, **changes) -> Progress:
        progress = self.folder.resume(self.decoder, self.optimizers)
        return train(
            self.decoder, self.optimizers, self.batches, changes.pop("validation", self.validation), self.values, folder=self.folder,
            progress=progress, dtype=torch.float32, speedometer=Speedometer(1e6, 1e9), **changes,
        )  # fmt: skip


@pytest.fixture
def make_run(tokenizer_folder, model_config, values):
    """Start a run of the tiny model in a folder."""

    def make(path: Path, *, setup: str = "one", **changes) -> Run:
        return Run(path, tokenizer_folder, model_config, values.model_copy(update=changes), setup=setup)

    return make


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder, tmp_path_factory) -> Artifact:
    with create(tmp_path_factory.mktemp("made") / "tokenizer-00000003", kind="tokenizer", format_version=1, inputs={}, config={}) as draft:
        for file in tokenizer_folder.iterdir():
            (draft.path / file.name).write_bytes(file.read_bytes())
    return draft.result


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory, tokenizer: Artifact) -> Path:
    """A folder in which an ensemble of two is finished."""
    bench = Bench(tmp_path_factory.mktemp("trained"), tokenizer)
    bench.ensemble()
    return bench.root


@pytest.fixture
def bench(tmp_path: Path, trained_once: Path, tokenizer: Artifact) -> Bench:
    """A folder in which the members of the plainest ensemble of two are finished already."""
    return Bench(Path(shutil.copytree(trained_once, tmp_path / "bench")), tokenizer)
