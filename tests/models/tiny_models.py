"""Tiny configurations of the four families, tied and not, with grouped queries and without."""

from rodna.models.config import ModelConfig

VOCABULARY_SIZE = 257
SHAPE = {"vocabulary_size": VOCABULARY_SIZE, "context_length": 48, "width": 32, "num_layers": 2, "num_heads": 4, "num_kv_heads": 4,
         "head_width": 8, "ffn_width": 64}  # fmt: skip
GPT = SHAPE | {"norm": "layer", "norm_epsilon": 1e-5, "qk_norm": False, "ffn": "gelu", "ffn_bias": True}
GPT2 = GPT | {"position": "learned", "attention_bias": True}
GPTJ = GPT | {"rotary_width": 4, "rotary_pairs": "neighbours", "block": "parallel", "head_bias": True}
LLAMA = SHAPE | {"qk_norm": False, "rotary_base": 5000.0}
CONFIGS = {
    "gpt2": ModelConfig(**GPT2),
    "gpt2-tied": ModelConfig(**GPT2, tied_embeddings=True),
    "gptj": ModelConfig(**GPTJ),
    "gptj-tied": ModelConfig(**GPTJ, tied_embeddings=True),
    "llama": ModelConfig(**LLAMA),
    "llama-tied-grouped": ModelConfig(**LLAMA | {"num_kv_heads": 2}, tied_embeddings=True),
    "qwen3": ModelConfig(**SHAPE | {"head_width": 16}),
    "qwen3-tied-grouped": ModelConfig(**SHAPE | {"head_width": 12, "num_kv_heads": 1}, tied_embeddings=True),
}
