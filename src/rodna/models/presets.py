"""Named sizes as plain data: the published models that this project reproduces, and the shapes its benchmarks run.

A preset fixes everything but the vocabulary, which comes from the user's tokenizer. `published` holds the vocabulary and the
parameter count that its authors report, so that a test can hold us to them.
"""

import difflib
from dataclasses import dataclass
from typing import Any

from rodna.core.errors import ModelError
from rodna.models.config import ModelConfig

_LLAMA = {"qk_norm": False}
_GPT2 = {"norm": "layer", "norm_epsilon": 1e-5, "qk_norm": False, "position": "learned", "ffn": "gelu", "attention_bias": True,
         "ffn_bias": True, "tied_embeddings": True}  # fmt: skip
_GPTJ = {"norm": "layer", "norm_epsilon": 1e-5, "qk_norm": False, "rotary_width": 64, "rotary_pairs": "neighbours", "ffn": "gelu",
         "block": "parallel", "ffn_bias": True, "head_bias": True, "tied_embeddings": True}  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """One named size.

    Args:
        source: where its numbers come from.
        vocabulary_size: of the published model.
        published: its parameter count as its authors write it, e.g. "58.3M".
        fields: every field of `ModelConfig` that differs from the default, without the vocabulary.
    """

    source: str
    vocabulary_size: int
    published: str
    fields: dict[str, Any]


def _shape(width: int, num_layers: int, num_heads: int, ffn_width: int, context_length: int) -> dict[str, int]:
    return {"width": width, "num_layers": num_layers, "num_heads": num_heads, "num_kv_heads": num_heads,
            "head_width": width // num_heads, "ffn_width": ffn_width, "context_length": context_length}  # fmt: skip


_BABY = "BabyLlama, Timiryasov & Tastet 2023, arXiv:2308.02019, github.com/timinar/BabyLlama"

PRESETS: dict[str, Preset] = {
    "babyllama-10m": Preset("github.com/pgryko/BabyLlama, config/llama-10M.yaml", 16_000, "10M",
                            _LLAMA | _shape(192, 6, 6, 768, 128)),
    "babyllama-16m": Preset(f"{_BABY}, config/llama-16M.yaml", 16_000, "16M", _LLAMA | _shape(256, 8, 8, 1024, 256)),
    "babyllama-58m": Preset(f"{_BABY}, the distilled student", 16_000, "58M", _LLAMA | _shape(512, 16, 8, 1024, 256)),
    "babyllama-95m": Preset(f"{_BABY}, config/llama-95M.yaml", 16_000, "95M", _LLAMA | _shape(768, 10, 12, 2048, 256)),
    "babyllama-97m": Preset(f"{_BABY}, config/llama-97M.yaml", 16_000, "97M",
                            _LLAMA | {"tied_embeddings": True} | _shape(768, 12, 12, 2048, 256)),
    "babyllama-360m": Preset(f"{_BABY}, config/llama-360M.yaml", 16_000, "360M", _LLAMA | _shape(1024, 24, 8, 3072, 256)),
    "babyllama-gpt2-97m": Preset(f"{_BABY}, config/gpt-97M.yaml", 16_000, "97M", _GPT2 | _shape(768, 12, 12, 3072, 256)),
    "babyllama-gpt2-705m": Preset(f"{_BABY}, config/gpt-705M.yaml with the width of its train.py", 16_000, "705M",
                                  _GPT2 | {"dropout": 0.1} | _shape(1536, 24, 16, 6144, 256)),
    "babyllama-gptj-97m": Preset(f"{_BABY}, config/gpt-j-97M.yaml", 16_000, "97M", _GPTJ | _shape(768, 12, 12, 3072, 256)),
    "babyllama-cpu-llama": Preset("a small BabyLlama teacher for CPUs", 4_000, "2.8M", _LLAMA | _shape(144, 6, 4, 432, 256)),
    "babyllama-cpu-gpt2": Preset("a small BabyLlama teacher for CPUs", 4_000, "3.0M",
                                 _GPT2 | {"dropout": 0.1} | _shape(192, 5, 4, 768, 256)),
    "babyllama-cpu-student": Preset("a small BabyLlama student for CPUs", 4_000, "1.3M", _LLAMA | _shape(96, 6, 4, 192, 256)),
    "bellm": Preset("beLLM, a Belarusian character model of 8 layers, 8 heads, width 512", 123, "25.5M",
                    _GPT2 | {"tied_embeddings": False} | _shape(512, 8, 8, 2048, 256)),
    "fifty-dollars": Preset('"Training A Not-So-Large Language Model for $50", hippocampus-garden.com/llm_from_scratch', 50_304, "51M",
                            _GPT2 | _shape(512, 8, 8, 2048, 64)),
    "speed-s": Preset("the small shape of this project's speed benchmarks", 16_000, "10.9M",
                      _LLAMA | {"tied_embeddings": True} | _shape(256, 8, 8, 768, 256)),
    "speed-g": Preset("the larger shape of this project's speed benchmarks", 30_000, "42.6M",
                      _LLAMA | {"tied_embeddings": True} | _shape(512, 8, 8, 1536, 256)),
}  # fmt: skip


def preset_names() -> list[str]:
    """Return every preset's name, in the order of the table."""
    return list(PRESETS)


def preset(name: str, *, vocabulary_size: int) -> ModelConfig:
    """Return a named size for a tokenizer of `vocabulary_size` tokens.

    Raises:
        ModelError: there is no such preset; the message names the closest.
    """
    return ModelConfig(vocabulary_size=vocabulary_size, **find_preset(name).fields)


def find_preset(name: str) -> Preset:
    """Return a preset's data, without a vocabulary.

    Raises:
        ModelError: there is no such preset; the message names the closest.
    """
    if name in PRESETS:
        return PRESETS[name]
    close = difflib.get_close_matches(name.lower(), PRESETS, n=1, cutoff=0.4)
    raise ModelError(
        f"unknown preset: {name!r}" + (f" (did you mean {close[0]!r}?)" if close else ""),
        where="plan.preset",
        fix=f"use one of: {', '.join(PRESETS)}",
    )
