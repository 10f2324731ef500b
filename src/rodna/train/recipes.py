"""Published settings of ensembles and distillation as plain data: a project file's sections, every value of which may be overridden.

`distill.preset` lays one of them below the project file. Reference: Timiryasov & Tastet 2023 (BabyLlama), arXiv:2308.02019, and
github.com/timinar/BabyLlama: config/llama-360M.yaml, config/gpt-705M.yaml, train.py, distill-ensemble-pretraining-baby-llama.py.
"""

from collections.abc import Mapping
from typing import Any

NONE = "none"

_TRAINER = {
    # What transformers' Trainer does unless told otherwise, and the schedule that the authors chose; ours ends at a tenth instead of 0.
    "optimizer": "adamw", "adam_betas": [0.9, 0.999], "clip_norm": 1.0, "schedule": "cosine", "weight_decay": 0.0,
    "spelling_rate": 0.0, "bpe_dropout": 0.0,
}  # fmt: skip
_LOSS = {"temperature": 2.0, "alpha": 0.5, "loss": "babyllama", "average": "logits"}


def _part(
    preset: str, learning_rate: float, *, epochs: int, batch: int, micro_batch: int, warmup: int, decay: float = 0.0
) -> dict[str, Any]:
    train = {"learning_rate": learning_rate, "batch_size": batch, "micro_batch_size": micro_batch, "warmup_steps": warmup,
             "weight_decay": decay, "embedding_weight_decay": decay}  # fmt: skip
    return {"preset": preset, "model": {"context_length": 128}, "train": train, "epochs": epochs}


RECIPES: Mapping[str, Mapping[str, Any]] = {
    "babyllama": {
        "tokenizer": {"algorithm": "bpe", "vocabulary_size": 16_000},
        "train": _TRAINER,
        "ensemble": {
            "members": 2,
            "overrides": [
                _part("babyllama-360m", 3e-4, epochs=4, batch=128, micro_batch=16, warmup=300),
                _part("babyllama-gpt2-705m", 2.5e-4, epochs=4, batch=128, micro_batch=8, warmup=300),
            ],
        },
        "distill": {**_LOSS, "student": _part("babyllama-58m", 2.5e-4, epochs=6, batch=32, micro_batch=32, warmup=200, decay=0.1)},
    },
    # The same with models of 1 to 3 million parameters. Learning rates are the published ones times published width over own width
    # (Yang et al. 2021, arXiv:2203.03466); fewer steps want a shorter warm-up.
    "babyllama-cpu": {
        "tokenizer": {"algorithm": "bpe", "vocabulary_size": 4_000},
        "train": _TRAINER,
        "ensemble": {
            "members": 2,
            "overrides": [
                _part("babyllama-cpu-llama", 2.1e-3, epochs=4, batch=32, micro_batch=32, warmup=50),
                _part("babyllama-cpu-gpt2", 2e-3, epochs=4, batch=32, micro_batch=32, warmup=50),
            ],
        },
        "distill": {**_LOSS, "student": _part("babyllama-cpu-student", 1.3e-3, epochs=6, batch=32, micro_batch=32, warmup=50, decay=0.1)},
    },
}  # fmt: skip
