"""Models that transformers runs: the same numbers as our own decoder's, and as one text at a time."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rodna.core.errors import ArtifactError, ModelError, TokenizerError
from rodna.evals.hf_model import TransformersModel
from rodna.evals.hf_open import open_folder
from rodna.evals.model import DecoderModel
from rodna.models import checkpoint
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.generate import Sampling
from rodna.tokenizer.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")

CONTEXT = 24
SHAPE = {"vocabulary_size": 260, "context_length": CONTEXT, "width": 16, "num_layers": 2, "num_heads": 2, "num_kv_heads": 2, "head_width": 8,
         "ffn_width": 24}  # fmt: skip
GPT = SHAPE | {"norm": "layer", "norm_epsilon": 1e-5, "qk_norm": False, "ffn": "gelu", "ffn_bias": True}
OURS = {
    "gpt2": GPT | {"position": "learned", "attention_bias": True, "tied_embeddings": True},
    "gptj": GPT | {"rotary_width": 4, "rotary_pairs": "neighbours", "block": "parallel", "head_bias": True},
    "llama": SHAPE | {"qk_norm": False},
    "qwen3": SHAPE,
}
LAYERS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": CONTEXT}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "GPT-NeoX": ("GPTNeoXConfig", LAYERS),
    "Mistral": ("MistralConfig", LAYERS | {"num_key_value_heads": 1, "sliding_window": None}),
    "OPT": ("OPTConfig", {**LAYERS, "ffn_dim": 32, "word_embed_proj_dim": 12, "dropout": 0.3}),
    "BLOOM": ("BloomConfig", {"hidden_size": 16, "n_layer": 2, "n_head": 2}),
    "Gemma 2, whose scores are capped": (
        "Gemma2Config", LAYERS | {"num_key_value_heads": 1, "head_dim": 8, "final_logit_softcapping": 1.5, "query_pre_attn_scalar": 8},
    ),
    "Cohere, whose scores are scaled": ("CohereConfig", LAYERS | {"num_key_value_heads": 2, "logit_scale": 0.3}),
}  # fmt: skip
CONTEXTS = ["", "Кот ", "ба ве", "", "एक दो तीन चार", "a", "x" * 60, "пачатак", "trailing  "]
CONTINUATIONS = ["ба", "спіць", " гі.", "", "ok", "b" * 70, "канец", "я", "z"]
TEXTS = ["", "ба ве гі", "का खि गु चे जो टं डा ति नु पे फो बं", "a", "long " * 40]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def byte_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of the bytes, some pairs of them, and the end of a text."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    vocabulary |= {"Ġb": 256, "lo": 257}
    backend = Backend(models.BPE(vocab=vocabulary, merges=[("Ġ", "b"), ("l", "o")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>"])
    folder = tmp_path_factory.mktemp("bytes")
    Tokenizer(backend).save(folder)
    return folder


def loud(model: torch.nn.Module, *, seed: int = 0) -> torch.nn.Module:
    """Draw weights so large that context matters: fresh ones make every token about equally likely."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.4 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture
def ours(tmp_path: Path, byte_tokenizer: Path) -> Callable[..., Path]:
    """Write a checkpoint of our own decoder."""

    def write(family: str = "llama", **changes: Any) -> Path:
        decoder = Decoder(ModelConfig(**OURS[family] | changes)).initialize(seed=1)
        loud(decoder)
        checkpoint.save(tmp_path / family, decoder, byte_tokenizer)
        return tmp_path / family

    return write


@pytest.fixture
def theirs(tmp_path: Path, byte_tokenizer: Path) -> Callable[..., Path]:
    """Write a folder of a model that our decoder cannot be."""

    def write(name: str) -> Path:
        kind, values = OTHERS[name]
        torch.manual_seed(3)
        ends = {"bos_token_id": 258, "eos_token_id": 258, "pad_token_id": None}
        model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(vocab_size=260, **values, **ends))
        loud(model).save_pretrained(tmp_path / kind)
        for file in byte_tokenizer.iterdir():
            shutil.copy(file, tmp_path / kind)
        return tmp_path / kind

    return write


def slow_nats(model: TransformersModel, context: list[int], continuation: list[int]) -> float:
    """Score one text by itself, token by token, from the model's own scores: the obvious way."""
    total = 0.0
    for index, token in enumerate(continuation):
        before = (context + continuation[:index])[-CONTEXT:]
        with torch.no_grad():
            scores = model.model(input_ids=torch.tensor([before])).logits[0, -1].double()
        total -= float(scores.log_softmax(-1)[token])
    return total


@pytest.mark.parametrize("family", sorted(OURS))
def test_transformers_and_our_decoder_find_the_same_numbers(ours: Callable[..., Path], family: str) -> None:
    folder = ours(family)
    decoder = DecoderModel(*checkpoint.load(folder), batch_size=3)
    model = TransformersModel.open(folder, batch_size=2)
    for mine, other in ((model.score(CONTEXTS, CONTINUATIONS), decoder.score(CONTEXTS, CONTINUATIONS)),
                        (model.score_documents(TEXTS), decoder.score_documents(TEXTS))):  # fmt: skip
        assert [score.nats for score in mine] == pytest.approx([score.nats for score in other], abs=1e-5, rel=1e-6)
        assert [(score.num_tokens, score.is_cut) for score in mine] == [(score.num_tokens, score.is_cut) for score in other]
    assert model.score(CONTEXTS, CONTINUATIONS)[0].nats > 1


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_padding_batches_and_one_text_at_a_time_agree(theirs: Callable[..., Path], name: str) -> None:
    opened = open_folder(theirs(name), device="cpu", dtype=torch.float32)
    found = [
        TransformersModel(opened, batch_size=batch_size, padding_side=side).score(CONTEXTS[:5], CONTINUATIONS[:5])
        for batch_size, side in ((1, "right"), (4, "right"), (4, "left"))
    ]
    one, right, left = ([score.nats for score in scores] for scores in found)
    assert right == pytest.approx(one, abs=1e-6, rel=1e-6)
    assert left == pytest.approx(one, abs=1e-6, rel=1e-6)
    model = TransformersModel(opened)
    encode = Tokenizer.load(Path(opened.model.name_or_path)).encode
    pairs = [([258], "ба"), (encode("Кот"), " спіць"), (encode("ба ве"), " гі."), ([258], ""), (encode("एक दो तीन चार"), "ok")]
    slow = [slow_nats(model, context[-CONTEXT:], encode(text)) for context, text in pairs]
    assert one[:4] == pytest.approx(slow[:4], abs=1e-5, rel=1e-5)
    assert one[3] == 0
