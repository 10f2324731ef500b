"""Every named size has the parameters that its authors report."""

import math
from typing import Any

import pytest
import torch

from rodna.core.errors import ModelError
from rodna.models.decoder import Decoder
from rodna.models.presets import PRESETS, find_preset, preset, preset_names

LLAMA = {"model_type": "llama", "vocab_size": 16_000, "max_position_embeddings": 256}
GPT2 = {"model_type": "gpt2", "vocab_size": 16_000, "n_positions": 256}
AUTHORS: dict[str, dict[str, Any]] = {
    "babyllama-10m": LLAMA | {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 6},
    "babyllama-16m": LLAMA | {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 8, "num_attention_heads": 8},
    "babyllama-58m": LLAMA | {"hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 16, "num_attention_heads": 8},
    "babyllama-95m": LLAMA | {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 10, "num_attention_heads": 12},
    "babyllama-97m": LLAMA
    | {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12, "tie_word_embeddings": True},
    "babyllama-360m": LLAMA | {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 24, "num_attention_heads": 8},
    "babyllama-gpt2-97m": GPT2 | {"n_embd": 768, "n_layer": 12, "n_head": 12},
    "babyllama-gpt2-705m": GPT2 | {"n_embd": 1536, "n_layer": 24, "n_head": 16},
    "babyllama-gptj-97m": GPT2 | {"model_type": "gptj", "n_embd": 768, "n_layer": 12, "n_head": 12, "tie_word_embeddings": True},
}
"""What the authors' training scripts give to transformers' configuration classes."""


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_parameter_count_that_was_published(name: str) -> None:
    found = find_preset(name)
    published = float(found.published.removesuffix("M"))
    digits = len(found.published.removesuffix("M").partition(".")[2])

    count = preset(name, vocabulary_size=found.vocabulary_size).num_parameters

    # Authors round up or down ("16M" is 16.6 million): the printed figure is one of the two neighbours.
    scaled = count / 1e6 * 10**digits
    assert round(published * 10**digits) in (math.floor(scaled), math.ceil(scaled))


@pytest.mark.parametrize("name", PRESETS)
def test_the_decoder_built_from_a_preset_has_exactly_these_parameters(name: str) -> None:
    config = preset(name, vocabulary_size=find_preset(name).vocabulary_size)
    with torch.device("meta"):
        decoder = Decoder(config)

    assert sum(parameter.numel() for parameter in decoder.parameters()) == config.num_parameters


@pytest.mark.parametrize("name", AUTHORS)
def test_the_class_its_authors_used_built_from_their_settings_has_exactly_these_parameters(name: str) -> None:
    transformers: Any = pytest.importorskip("transformers", reason="comparing with transformers needs it: pip install 'rodna[hf]'")
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**AUTHORS[name]))

    assert model.num_parameters() == preset(name, vocabulary_size=16_000).num_parameters


def test_the_vocabulary_comes_from_the_users_tokenizer() -> None:
    assert preset("speed-s", vocabulary_size=4321).vocabulary_size == 4321
    assert preset_names() == list(PRESETS)


def test_an_unknown_preset_is_answered_with_the_closest_and_the_list() -> None:
    with pytest.raises(ModelError) as caught:
        preset("BabyLlama-16", vocabulary_size=100)

    assert "unknown preset: 'BabyLlama-16' (did you mean 'babyllama-16m'?)" in str(caught.value)
    assert "babyllama-gptj-97m" in str(caught.value)
