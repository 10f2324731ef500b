"""Tiny decoders and tokens, made where they are needed."""

import numpy as np
import pytest
import torch

from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder

VOCABULARY, CONTEXT, END = 50, 16, 0


@pytest.fixture
def decoder():
    shape = {"vocabulary_size": VOCABULARY, "context_length": CONTEXT, "width": 16, "num_layers": 2, "num_heads": 2}
    config = ModelConfig.model_validate({**shape, "num_kv_heads": 1, "head_width": 8, "ffn_width": 24, "dropout": 0.3})
    model = Decoder(config).initialize(seed=1)
    with torch.no_grad():
        # Fresh weights are so small that every token is about equally likely; larger ones make context matter.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return model


@pytest.fixture
def tokens():
    """Nine documents, some far longer than the context, one empty."""
    random = np.random.default_rng(2)
    documents = [[*random.integers(1, VOCABULARY, size=size).tolist(), END] for size in (3, 40, 16, 0, 15, 17, 100, 1, 33)]
    offsets = np.cumsum([0, *map(len, documents)])
    flat = np.array([token for document in documents for token in document], dtype="<u2")
    return Tokens(flat, offsets, np.array([3 * (len(document) - 1) for document in documents]), END, VOCABULARY)


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny matrices are faster on one thread, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
