"""Tiny models and a byte tokenizer."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.tokenizer.tokenizer import Tokenizer


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only lose time to the hand-over between threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer whose tokens are the 256 bytes and the end of a text."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE(vocab={character: index for index, character in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>"])
    folder = tmp_path_factory.mktemp("tokenizer")
    Tokenizer(backend).save(folder)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    return Tokenizer.load(tokenizer_folder)


@pytest.fixture
def make_decoder() -> Callable[..., Decoder]:
    """Make a decoder whose every weight, biases and norms included, is far from what it starts as."""

    def make(config: ModelConfig, *, seed: int = 0, noise: float = 0.2) -> Decoder:
        decoder = Decoder(config).initialize(seed=seed).eval()
        generator = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter += noise * torch.randn(parameter.shape, generator=generator)
        return decoder

    return make
