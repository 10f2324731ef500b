"""Tiny configurations of the four families, tied and not, with grouped queries and without; and of models beyond them."""

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

GROUPED = SHAPE | {"num_kv_heads": 2, "num_layers": 5}
EVERY_STEP = {"attention_gates": True, "value_residual": "embedding", "unet_skips": True, "residual_scalars": True, "logit_softcap": 3.0,
              "ffn": "relu2", "layer_loops": 2}  # fmt: skip
STEPS = {
    "attention_gates": ModelConfig(**GROUPED, attention_gates=True),
    "value_residual-first_layer": ModelConfig(**GROUPED, value_residual="first_layer"),
    "value_residual-embedding": ModelConfig(**GROUPED, value_residual="embedding"),
    "unet_skips": ModelConfig(**GROUPED, unet_skips=True),
    "residual_scalars": ModelConfig(**GROUPED, residual_scalars=True),
    "logit_softcap": ModelConfig(**GROUPED, logit_softcap=3.0),
    "relu2": ModelConfig(**GROUPED, ffn="relu2"),
    "layer_loops": ModelConfig(**GROUPED, layer_loops=3),
    "all-of-a-qwen3": ModelConfig(**GROUPED, **EVERY_STEP),
    "all-of-a-gpt2": ModelConfig(**GPT2 | {"num_layers": 4} | EVERY_STEP | {"value_residual": "first_layer"}, tied_embeddings=True),
    "all-of-a-gptj": ModelConfig(**GPTJ | {"num_layers": 3} | EVERY_STEP),
    "learned-positions-with-qk-norm": ModelConfig(**SHAPE, position="learned"),
    "layer-norm-with-qk-norm": ModelConfig(**SHAPE, norm="layer"),
}
"""Each architecture step alone, all together, and mixtures of families."""
