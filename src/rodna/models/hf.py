"""Our decoder in the words of Hugging Face transformers: `config.json` and tensor names of GPT-2, GPT-J, LLaMA and Qwen3.

Nothing here imports transformers. A folder written with these tables is opened by `AutoModelForCausalLM.from_pretrained` with no
custom code, and by every engine that knows the family.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from rodna.core.errors import ModelError
from rodna.models.config import Family, ModelConfig

ARCHITECTURES: dict[Family, str] = {
    "gpt2": "GPT2LMHeadModel",
    "gptj": "GPTJForCausalLM",
    "llama": "LlamaForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
PREFIXES: dict[Family, str] = {"gpt2": "transformer.", "gptj": "transformer.", "llama": "model.", "qwen3": "model."}
"""What the names of a full model's tensors start with; a checkpoint of the bare body leaves it out."""

TANH_GELU = ("gelu_new", "gelu_pytorch_tanh")
BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq", ".attn.embed_positions")
"""Endings of names that older versions of transformers saved although they are not weights."""
INITIALIZER_RANGE = 0.02


@dataclass(frozen=True)
class Name:
    """One tensor of a Hugging Face checkpoint.

    Args:
        theirs: its name.
        ours: the decoder's parameters it is made of, concatenated along their first dimension.
        transposed: whether it is kept as (inputs, outputs); GPT-2's linear layers are.
    """

    theirs: str
    ours: tuple[str, ...]
    transposed: bool = False

    def join(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return their tensor, made of ours; contiguous."""
        parts = [parameters[name] for name in self.ours]
        joined = parts[0] if len(parts) == 1 else torch.cat(parts)
        return (joined.t() if self.transposed else joined).contiguous()

    def split(self, tensor: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return our parameters, cut from their tensor to the shapes of `parameters`.

        Raises:
            ModelError: the tensor's shape is not what the configuration asks for.
        """
        sizes = [parameters[name].shape[0] for name in self.ours]
        expected = (sum(sizes), *parameters[self.ours[0]].shape[1:])
        expected = tuple(reversed(expected)) if self.transposed else expected
        if tuple(tensor.shape) != expected:
            raise ModelError(
                f"{self.theirs} has the shape {tuple(tensor.shape)}, config.json asks for {expected}",
                fix="config.json and the weights are of different models: copy both from the same checkpoint",
            )
        return dict(zip(self.ours, (tensor.t() if self.transposed else tensor).split(sizes), strict=True))


def names(config: ModelConfig) -> list[Name]:
    """Return every tensor of this configuration's Hugging Face checkpoint.

    Raises:
        ModelError: no published family holds this configuration.
    """
    family = family_of(config)
    layer = {"gpt2": _gpt2_layer, "gptj": _gptj_layer, "llama": _llama_layer, "qwen3": _llama_layer}[family]
    prefix = PREFIXES[family]
    found = [Name(f"{prefix}{theirs}", ours) for theirs, ours in _BODIES[family].items()]
    for index in range(config.num_layers):
        found += layer(config, prefix, index)
    if not config.tied_embeddings:
        found.append(Name("lm_head.weight", ("head.weight",)))
    if config.head_bias:
        found.append(Name("lm_head.bias", ("head.bias",)))
    return found


def family_of(config: ModelConfig) -> Family:
    """Return the published family of a configuration.

    Raises:
        ModelError: there is none, or its transformers implementation cannot hold this shape.
    """
    family = config.family
    if family is None:
        raise ModelError(
            "this model is not a GPT-2, GPT-J, LLaMA or Qwen3: no standard checkpoint holds it", where="model",
            fix="distill it into a student of one of these families, or train one from the start (the defaults of the model section are "
            "Qwen3's)",
        )  # fmt: skip
    if family == "llama" and config.width % config.num_heads:
        raise ModelError(
            f"a LLaMA checkpoint needs a width that its heads divide: width {config.width}, num_heads {config.num_heads}",
            where="model.width", fix="change one of them, or set model.qk_norm to true for a Qwen3",
        )  # fmt: skip
    return family


_LAYER_NORM = ("weight", "bias")
_BODIES: dict[Family, dict[str, tuple[str, ...]]] = {
    "gpt2": {"wte.weight": ("embedding.weight",), "wpe.weight": ("positions.weight",)}
    | {f"ln_f.{kind}": (f"norm.{kind}",) for kind in _LAYER_NORM},
    "gptj": {"wte.weight": ("embedding.weight",)} | {f"ln_f.{kind}": (f"norm.{kind}",) for kind in _LAYER_NORM},
    "llama": {"embed_tokens.weight": ("embedding.weight",), "norm.weight": ("norm.weight",)},
    "qwen3": {"embed_tokens.weight": ("embedding.weight",), "norm.weight": ("norm.weight",)},
}


def _gpt2_layer(config: ModelConfig, prefix: str, index: int) -> list[Name]:
    ours, theirs = f"blocks.{index}", f"{prefix}h.{index}"
    found = []
    for kind in ("weight", "bias"):
        linear = kind == "weight"
        qkv = tuple(f"{ours}.attention.{part}.{kind}" for part in ("query", "key", "value"))
        found += [
            Name(f"{theirs}.ln_1.{kind}", (f"{ours}.attention_norm.{kind}",)),
            Name(f"{theirs}.attn.c_attn.{kind}", qkv, transposed=linear),
            Name(f"{theirs}.attn.c_proj.{kind}", (f"{ours}.attention.output.{kind}",), transposed=linear),
            Name(f"{theirs}.ln_2.{kind}", (f"{ours}.ffn_norm.{kind}",)),
            Name(f"{theirs}.mlp.c_fc.{kind}", (f"{ours}.ffn.up.{kind}",), transposed=linear),
            Name(f"{theirs}.mlp.c_proj.{kind}", (f"{ours}.ffn.down.{kind}",), transposed=linear),
        ]
    return found


def _gptj_layer(config: ModelConfig, prefix: str, index: int) -> list[Name]:
    ours, theirs = f"blocks.{index}", f"{prefix}h.{index}"
    parts = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}
    found = [Name(f"{theirs}.attn.{part}.weight", (f"{ours}.attention.{our}.weight",)) for part, our in parts.items()]
    for kind in ("weight", "bias"):
        found += [
            Name(f"{theirs}.ln_1.{kind}", (f"{ours}.attention_norm.{kind}",)),
            Name(f"{theirs}.mlp.fc_in.{kind}", (f"{ours}.ffn.up.{kind}",)),
            Name(f"{theirs}.mlp.fc_out.{kind}", (f"{ours}.ffn.down.{kind}",)),
        ]
    return found


def _llama_layer(config: ModelConfig, prefix: str, index: int) -> list[Name]:
    ours, theirs = f"blocks.{index}", f"{prefix}layers.{index}"
    parts = {
        "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attention.query", "self_attn.k_proj": "attention.key",
        "self_attn.v_proj": "attention.value", "self_attn.o_proj": "attention.output",
        "mlp.gate_proj": "ffn.gate", "mlp.up_proj": "ffn.up", "mlp.down_proj": "ffn.down",
    }  # fmt: skip
    if config.qk_norm:
        parts |= {"self_attn.q_norm": "attention.query_norm", "self_attn.k_norm": "attention.key_norm"}
    return [Name(f"{theirs}.{part}.weight", (f"{ours}.{our}.weight",)) for part, our in parts.items()]


def is_buffer(name: str) -> bool:
    """Return whether a checkpoint's tensor is no weight, so that it may be left unread."""
    return name.endswith(BUFFERS)


# --- config.json ---------------------------------------------------------------------------------------------------------------


def to_config_json(config: ModelConfig, *, end_of_text_id: int) -> dict[str, Any]:
    """Return the `config.json` that makes transformers build this model.

    Raises:
        ModelError: no published family holds this configuration.
    """
    family = family_of(config)
    shared = {
        "architectures": [ARCHITECTURES[family]],
        "model_type": family,
        "vocab_size": config.vocabulary_size,
        "tie_word_embeddings": config.tied_embeddings,
        "bos_token_id": end_of_text_id,
        "eos_token_id": end_of_text_id,
        "pad_token_id": end_of_text_id,
        "initializer_range": INITIALIZER_RANGE,
        "use_cache": True,
        "dtype": "float32",
    }
    if family in ("gpt2", "gptj"):
        rotary = {"rotary_dim": config.rotary_width} if family == "gptj" else {}
        return shared | rotary | {
            "n_positions": config.context_length, "n_embd": config.width, "n_layer": config.num_layers, "n_head": config.num_heads,
            "n_inner": config.ffn_width, "activation_function": "gelu_new", "layer_norm_epsilon": config.norm_epsilon,
            "resid_pdrop": config.dropout, "embd_pdrop": config.dropout, "attn_pdrop": 0.0,
        }  # fmt: skip
    # Both spellings of the rotary base: transformers 5 reads `rope_parameters`, older tools and other engines `rope_theta`.
    rotary = {"rope_theta": config.rotary_base, "rope_parameters": {"rope_type": "default", "rope_theta": config.rotary_base}}
    return shared | rotary | {
        "hidden_size": config.width, "intermediate_size": config.ffn_width, "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads, "num_key_value_heads": config.num_kv_heads, "head_dim": config.head_width,
        "max_position_embeddings": config.context_length, "hidden_act": "silu", "rms_norm_eps": config.norm_epsilon,
        "attention_bias": False, "attention_dropout": 0.0,
    }  # fmt: skip


def from_config_json(values: Mapping[str, Any]) -> ModelConfig:
    """Return the configuration that a `config.json` describes; keys left out have transformers' defaults.

    Raises:
        ModelError: an unknown architecture, a feature the decoder does not have, or values that make no sense; all at once.
    """
    readers: dict[str, Callable[[_Reader], dict[str, Any]]] = {
        "gpt2": _read_gpt2,
        "gptj": _read_gptj,
        "llama": _read_llama,
        "qwen3": _read_qwen3,
    }
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in readers:
        raise ModelError(
            f"unknown architecture: model_type is {kind!r}", fix=f"convert it to one of: {', '.join(readers)}; others cannot be opened"
        )
    reader = _Reader(values)
    fields = readers[kind](reader)
    if reader.problems:
        raise ModelError(
            f"this {kind} needs what the decoder does not have: {'; '.join(reader.problems)}",
            fix="use a checkpoint without these features",
        )
    try:
        return ModelConfig(**fields)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'shape'}: {item['msg']}" for item in error.errors())
        raise ModelError(f"config.json describes no possible model: {problems}", fix="copy config.json anew from where it came") from error


class _Reader:
    """Reads settings with their defaults, collecting those that the decoder cannot honour."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.problems: list[str] = []

    def get(self, key: str, default: Any) -> Any:
        value = self.values.get(key)
        return default if value is None else value

    def number(self, key: str, default: float) -> Any:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.problems.append(f"{key}: {value!r} is not a number")
            return default
        return value

    def require(self, key: str, accepted: tuple[Any, ...]) -> None:
        """Collect a problem unless the setting has one of the accepted values, the first of which is its default."""
        value = self.get(key, accepted[0])
        if value not in accepted:
            self.problems.append(f"{key}: {value!r} (accepted: {', '.join(repr(item) for item in accepted)})")


def _read_gpt(reader: _Reader, defaults: dict[str, Any]) -> dict[str, Any]:
    reader.require("activation_function", TANH_GELU)
    width, num_heads = reader.number("n_embd", defaults["n_embd"]), reader.number("n_head", defaults["n_head"])
    if num_heads < 1 or width % num_heads:
        reader.problems.append(f"n_embd: {width} is not a multiple of n_head {num_heads}")
        num_heads = 1
    return {
        "vocabulary_size": reader.number("vocab_size", defaults["vocab_size"]),
        "context_length": reader.number("n_positions", defaults["n_positions"]),
        "width": width,
        "num_layers": reader.number("n_layer", defaults["n_layer"]),
        "num_heads": num_heads,
        "num_kv_heads": num_heads,
        "head_width": width // num_heads,
        "ffn_width": reader.number("n_inner", 4 * width),
        "norm": "layer",
        "norm_epsilon": reader.number("layer_norm_epsilon", 1e-5),
        "qk_norm": False,
        "ffn": "gelu",
        "ffn_bias": True,
        "dropout": reader.number("resid_pdrop", defaults["dropout"]),
        "tied_embeddings": bool(reader.get("tie_word_embeddings", defaults["tied"])),
    }


def _read_gpt2(reader: _Reader) -> dict[str, Any]:
    reader.require("scale_attn_weights", (True,))
    reader.require("scale_attn_by_inverse_layer_idx", (False,))
    reader.require("add_cross_attention", (False,))
    defaults = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12, "dropout": 0.1, "tied": True}
    return _read_gpt(reader, defaults) | {"position": "learned", "attention_bias": True}


def _read_gptj(reader: _Reader) -> dict[str, Any]:
    defaults = {"vocab_size": 50400, "n_positions": 2048, "n_embd": 4096, "n_layer": 28, "n_head": 16, "dropout": 0.0, "tied": False}
    return _read_gpt(reader, defaults) | {
        "position": "rotary", "rotary_pairs": "neighbours", "rotary_width": reader.number("rotary_dim", 64), "block": "parallel",
        "head_bias": True,
    }  # fmt: skip


def _read_llama(reader: _Reader) -> dict[str, Any]:
    reader.require("mlp_bias", (False,))
    defaults = {"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
                "max_position_embeddings": 2048}  # fmt: skip
    return _read_swiglu(reader, defaults) | {"qk_norm": False}


def _read_qwen3(reader: _Reader) -> dict[str, Any]:
    reader.require("use_sliding_window", (False,))
    kinds = reader.get("layer_types", [])
    if not isinstance(kinds, list) or any(kind != "full_attention" for kind in kinds):
        reader.problems.append("layer_types: only 'full_attention' is accepted")
    defaults = {"vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
                "max_position_embeddings": 32768, "head_dim": 128}  # fmt: skip
    return _read_swiglu(reader, defaults) | {"qk_norm": True}


def _read_swiglu(reader: _Reader, defaults: dict[str, int]) -> dict[str, Any]:
    reader.require("hidden_act", ("silu", "swish"))
    reader.require("attention_bias", (False,))
    width, num_heads = (
        reader.number("hidden_size", defaults["hidden_size"]),
        reader.number("num_attention_heads", defaults["num_attention_heads"]),
    )
    return {
        "vocabulary_size": reader.number("vocab_size", defaults["vocab_size"]),
        "context_length": reader.number("max_position_embeddings", defaults["max_position_embeddings"]),
        "width": width,
        "num_layers": reader.number("num_hidden_layers", defaults["num_hidden_layers"]),
        "num_heads": num_heads,
        "num_kv_heads": reader.number("num_key_value_heads", num_heads),
        "head_width": reader.number("head_dim", defaults["head_dim"] if "head_dim" in defaults else width // max(1, num_heads)),
        "ffn_width": reader.number("intermediate_size", defaults["intermediate_size"]),
        "norm": "rms",
        "norm_epsilon": reader.number("rms_norm_eps", 1e-6),
        "rotary_base": _rotary_base(reader),
        "ffn": "swiglu",
        "tied_embeddings": bool(reader.get("tie_word_embeddings", False)),
    }


def _rotary_base(reader: _Reader) -> float:
    """Read the base of the rotary angles in transformers 5's spelling or the older one; scaled variants are problems."""
    parameters = reader.get("rope_parameters", reader.get("rope_scaling", {}))
    if not isinstance(parameters, Mapping):
        reader.problems.append(f"rope_parameters: {parameters!r} is not a mapping")
        return 10_000.0
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if kind != "default":
        reader.problems.append(f"rope_type: {kind!r} (accepted: 'default')")
    return float(_Reader(parameters).number("rope_theta", reader.number("rope_theta", 10_000.0)))
