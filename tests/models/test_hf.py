"""Our checkpoints are transformers' checkpoints: the same folder gives the same scores in both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import CONFIGS

from rodna.core.errors import ModelError
from rodna.models import checkpoint
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.hf import from_config_json, names, to_config_json
from rodna.tokenizer.tokenizer import Tokenizer

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="comparing with transformers needs it: pip install 'rodna[hf]'")


def tokens_of(config: ModelConfig) -> torch.Tensor:
    return torch.randint(0, config.vocabulary_size, (3, config.context_length), generator=torch.Generator().manual_seed(5))


def logits_of(decoder: Decoder, tokens_BT: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return decoder.logits(decoder(tokens_BT))


def their_logits(model: Any, tokens_BT: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(tokens_BT).logits


@pytest.mark.parametrize("name", CONFIGS)
def test_transformers_opens_what_we_saved_and_computes_the_same_scores(
    name: str, transformers: Any, make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path
) -> None:
    config = CONFIGS[name]
    decoder = make_decoder(config)
    checkpoint.save(tmp_path, decoder, tokenizer_folder)

    model, report = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)

    assert not any(report.values()), report
    assert sum(parameter.numel() for parameter in model.parameters()) == config.num_parameters
    difference = (their_logits(model, tokens_of(config)) - logits_of(decoder, tokens_of(config))).abs().max()
    assert difference < TOLERANCE


@pytest.mark.parametrize("name", CONFIGS)
def test_we_open_what_transformers_saved_and_compute_the_same_scores(
    name: str, transformers: Any, tokenizer_folder: Path, tmp_path: Path
) -> None:
    theirs = to_config_json(CONFIGS[name], end_of_text_id=256)
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**theirs))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    # The smallest shards there are: one tensor a file, so that the index is read too.
    model.save_pretrained(tmp_path, max_shard_size="1KB")
    Tokenizer.load(tokenizer_folder).save(tmp_path)
    assert (tmp_path / checkpoint.INDEX).is_file()

    decoder, tokenizer = checkpoint.load(tmp_path)

    assert decoder.config == CONFIGS[name]
    assert tokenizer.end_of_text_id == 256
    assert (decoder.head.weight is decoder.embedding.weight) == CONFIGS[name].tied_embeddings
    difference = (their_logits(model, tokens_of(decoder.config)) - logits_of(decoder, tokens_of(decoder.config))).abs().max()
    assert difference < TOLERANCE


def test_transformers_generates_with_our_folder_and_its_tokenizer_opens(
    transformers: Any, make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path
) -> None:
    checkpoint.save(tmp_path, make_decoder(CONFIGS["qwen3"]), tokenizer_folder)

    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    encoded = tokenizer("Добры дзень", return_tensors="pt")
    written = model.generate(encoded["input_ids"], attention_mask=encoded["attention_mask"], max_new_tokens=3, do_sample=False)

    assert encoded["input_ids"][0].tolist() == Tokenizer.load(tmp_path).encode("Добры дзень")
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id == model.config.eos_token_id == 256
    assert written.shape[1] <= encoded["input_ids"].shape[1] + 3


@pytest.mark.parametrize("name", CONFIGS)
def test_config_json_read_back_is_the_same_configuration(name: str) -> None:
    # LLaMA's and Qwen3's configurations have no place for dropout of the residual stream: it is of training, and is forgotten.
    config = CONFIGS[name].model_copy(update={"dropout": 0.1 if name.startswith("gpt") else 0.0})

    assert from_config_json(to_config_json(config, end_of_text_id=0)) == config


@pytest.mark.parametrize("family", ["gpt2", "gptj", "llama", "qwen3"])
def test_keys_left_out_of_config_json_have_the_defaults_of_transformers(family: str, transformers: Any) -> None:
    defaults = transformers.AutoConfig.for_model(family)

    config = from_config_json({"model_type": family})

    assert config.vocabulary_size == defaults.vocab_size
    assert config.context_length == defaults.max_position_embeddings
    assert (config.width, config.num_layers, config.num_heads) == (
        defaults.hidden_size, defaults.num_hidden_layers, defaults.num_attention_heads,
    )  # fmt: skip
    assert config.tied_embeddings == defaults.tie_word_embeddings
    assert config.num_kv_heads == getattr(defaults, "num_key_value_heads", config.num_heads)
    assert config.head_width == getattr(defaults, "head_dim", config.width // config.num_heads)
    assert config.ffn_width == getattr(defaults, "intermediate_size", 4 * config.width)
    assert config.dropout == getattr(defaults, "resid_pdrop", 0.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_name_tables_cover_every_parameter_once(name: str) -> None:
    config = CONFIGS[name]
    with torch.device("meta"):
        parameters = dict(Decoder(config).named_parameters())

    ours = [part for item in names(config) for part in item.ours]

    assert sorted(ours) == sorted(parameters)


def test_older_spellings_of_the_rotary_base_are_read() -> None:
    assert from_config_json({"model_type": "llama", "rope_theta": 500.0}).rotary_base == 500.0
    assert from_config_json({"model_type": "llama", "rope_theta": 500.0, "rope_scaling": None}).rotary_base == 500.0


def test_an_unknown_architecture_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"unknown architecture: model_type is 'mamba'\n.*gpt2, gptj, llama, qwen3"):
        from_config_json({"model_type": "mamba"})


def test_every_feature_the_decoder_lacks_is_named_at_once() -> None:
    values = {"model_type": "llama", "hidden_act": "relu", "rope_scaling": {"rope_type": "yarn", "factor": 4}, "mlp_bias": True}

    with pytest.raises(ModelError) as caught:
        from_config_json(values)

    for part in ("hidden_act: 'relu' (accepted: 'silu', 'swish')", "rope_type: 'yarn'", "mlp_bias: True"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"model_type": "gpt2", "n_embd": 30, "n_head": 4}, "n_embd: 30 is not a multiple of n_head 4"),
        ({"model_type": "gpt2", "n_embd": "wide"}, "n_embd: 'wide' is not a number"),
        ({"model_type": "gpt2", "n_head": 0}, "not a multiple of n_head 0"),
        ({"model_type": "llama", "num_attention_heads": 32, "num_key_value_heads": 5}, "num_heads 32 is not a multiple of num_kv_heads 5"),
        ({"model_type": "llama", "num_key_value_heads": 0}, "num_kv_heads"),
        ({"model_type": "llama", "vocab_size": -3}, "vocabulary_size"),
        ({"model_type": "llama", "rope_parameters": "default"}, "rope_parameters: 'default' is not a mapping"),
        ({"model_type": "qwen3", "layer_types": ["sliding_attention"]}, "only 'full_attention' is accepted"),
        ({"model_type": "qwen3", "layer_types": 3}, "layer_types"),
        ({"model_type": ["gpt2"]}, "unknown architecture"),
        ({}, "model_type is None"),
    ],
)
def test_impossible_values_are_explained(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ModelError, match=problem.replace("(", r"\(")):
        from_config_json(values)


@pytest.mark.parametrize("change", [{"norm": "layer"}, {"attention_gates": True}, {"logit_softcap": 15.0}, {"ffn": "relu2"}])
def test_a_model_of_no_published_family_is_refused_with_the_way_to_one(change: dict[str, Any]) -> None:
    config = CONFIGS["qwen3"].model_copy(update=change)

    with pytest.raises(ModelError, match=r"not a GPT-2, GPT-J, LLaMA or Qwen3[\s\S]*distill it into a student"):
        to_config_json(config, end_of_text_id=0)


def test_a_llama_whose_heads_do_not_divide_its_width_is_refused_before_transformers_would() -> None:
    config = ModelConfig(vocabulary_size=9, width=10, num_layers=1, num_heads=4, num_kv_heads=4, head_width=4, ffn_width=8, qk_norm=False)

    with pytest.raises(ModelError, match="width 10, num_heads 4"):
        to_config_json(config, end_of_text_id=0)
