"""The rules a plan follows: what our own runs and the field's found for small corpora. docs/planning.md holds the evidence."""

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from rodna.models.config import ModelConfig
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import DeviceKind
from rodna.plan.recipes import DATA_LIMITED, TrainingRecipe

MIN_TRAIN_TOKENS = 2_000
"""Fewer tokens than this cannot teach even the smallest model more than letter frequencies."""
MIN_STEPS = 20
"""Fewer optimizer steps than this leave a model close to its random start."""
EVALUATIONS = 12
EVALUATION_SHARE = 0.04
"""Evaluations are made fewer until they take no more than this share of the time, but at least `MIN_EVALUATIONS`."""
MIN_EVALUATIONS = 4
EVALUATION_COST = 0.5
"""Time of scoring a token, as a share of training on it: the forward pass is a third of the arithmetic, and is not compiled."""
MIN_BATCH_TOKENS, MAX_BATCH_TOKENS = 1024, 65_536
MOST_COUNTED_TOKENS = 10_000_000
"""Of more text no n-grams are kept beside the model: at 20 to 40 bytes a token they would take hundreds of megabytes."""
SIZES: tuple[tuple[int, int], ...] = (
    (64, 3), (96, 3), (96, 4), (128, 4), (160, 4), (192, 5), (224, 5), (256, 6), (320, 6), (384, 7), (448, 8), (512, 8), (640, 10),
    (768, 12), (1024, 16), (1280, 20), (1536, 24),
)  # fmt: skip
"""(width, layers) of the planned sizes, smallest first."""
TIED_BELOW_WIDTH = 1024
"""Narrower models share one matrix between embedding and head: a vocabulary would otherwise be most of their parameters."""
TEACHER_SHARE = 1 / 3
"""Time of a teacher's forward pass, as a share of the step of a student of its size."""
MOST_MEMBERS = 8
TAUGHT_GAIN, TAUGHT_GAIN_LARGER = 0.044, 0.066
"""What very many teachers should take off a student's bits, as a share of those of a teacher's recipe alone: where the student is as large,
and where it is larger. m of them take off m / (m + 1) of that. Means over languages, which differ by as much: docs/planning.md."""
TAUGHT_SPREAD = 0.045
"""Half of the 95% interval of what a student takes off: twice the scatter of languages."""
WORTH_AN_ENSEMBLE = 0.02
"""What it must take off to be named: the expectation is not known better."""
TAUGHT_DROPOUT = 0.5
"""A student's dropout, as a share of what a model that learns alone would have: docs/ensembles.md."""
TAUGHT_SIZES = 2
"""A student may be up to so many sizes larger than a model that learns alone: docs/ensembles.md."""
SIZED = frozenset({"preset", "width", "num_layers", "num_heads", "num_kv_heads", "head_width", "ffn_width"})
"""Who gives one of these has chosen a size."""
MICRO_BATCH_TOKENS: dict[DeviceKind, int] = {"cpu": 2048, "cuda": 65_536}
"""More tokens at a time than this make no step faster, but take more memory."""


@dataclass(frozen=True)
class Text:
    """What there is to learn from.

    Attributes:
        num_bytes: UTF-8 bytes of the training split.
        num_tokens: tokens of it, the end of each document counted.
        num_documents: of the training split.
        vocabulary_size: of the tokenizer.
        validation_tokens: of the split that is scored during training.
        ngram_bits_per_byte: what n-grams of its tokens take of the validation text; 0 where it was not measured.
        ngram_tokens: of training text that they were counted in.
        has_merges: whether the tokenizer is BPE, so that merges may be left out.
        vocabulary_reason: why the tokenizer has so many tokens; empty where it does not say.
    """

    num_bytes: int
    num_tokens: int
    num_documents: int
    vocabulary_size: int
    validation_tokens: int = 0
    ngram_bits_per_byte: float = 0.0
    ngram_tokens: int = 0
    has_merges: bool = True
    vocabulary_reason: str = ""


def shape(width: int, num_layers: int, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a Qwen3-style decoder: heads of 64 features, of 32 in narrow models; SwiGLU of 8/3 the width.

    A feed-forward layer of two matrices instead of three is 4 times as wide as the stream: it has as many weights.

    Args:
        width: planned features of the residual stream.
        num_layers: planned layers.
        kept: fields the user gave; the others follow from them.
    """
    width = int(kept.get("width", width))
    if "num_heads" in kept and "head_width" not in kept:
        head_width = max(2, width // int(kept["num_heads"]) // 2 * 2)
    else:
        head_width = int(kept.get("head_width", 64 if width >= 384 else 32))
    num_heads = int(kept.get("num_heads", max(1, width // head_width)))
    return {
        "width": width,
        "num_layers": num_layers,
        "head_width": head_width,
        "num_heads": num_heads,
        "num_kv_heads": num_heads,
        "ffn_width": max(32, round(width * (8 / 3 if kept.get("ffn", "swiglu") == "swiglu" else 4) / 32) * 32),
        "context_length": context_length(width),
        "tied_embeddings": width < TIED_BELOW_WIDTH,
        **kept,
    }


def context_length(width: int) -> int:
    """Return the sequence length in tokens: models too small to use a long memory are not given one."""
    return 256 if width < 384 else 512 if width < 768 else 1024


def batch_tokens(tokens_seen: float, num_tokens: float, recipe: TrainingRecipe = DATA_LIMITED) -> int:
    """Return the tokens of one optimizer step, a power of two.

    Args:
        tokens_seen: in the whole training, repetitions counted.
        num_tokens: of the text.
        recipe: whose numbers.
    """
    wanted = recipe.batch_tokens * (max(tokens_seen, 1.0) / recipe.batch_reach) ** recipe.batch_exponent
    wanted = max(wanted, recipe.batch_tokens) * min(1.0, num_tokens / recipe.batch_text) ** recipe.batch_text_exponent
    return min(MAX_BATCH_TOKENS, max(MIN_BATCH_TOKENS, 2 ** round(math.log2(wanted))))


def micro_batch_sizes(batch_size: int, model: ModelConfig, *, device: DeviceKind) -> list[int]:
    """Return the divisors of the batch that are worth trying as micro-batches, largest first."""
    largest = max(1, MICRO_BATCH_TOKENS[device] // model.context_length)
    return [size for size in range(min(batch_size, largest), 0, -1) if batch_size % size == 0]


def learning_rate(model: ModelConfig, *, optimizer: str, recipe: TrainingRecipe = DATA_LIMITED) -> float:
    """Return the peak learning rate of the matrices: less for wider models, by 1/sqrt(width), as nanochat's at its widths."""
    peak = recipe.adamw_learning_rate if optimizer == "adamw" else recipe.learning_rate
    return two_digits(peak * rate_at(model.width, recipe))


def rate_at(width: int, recipe: TrainingRecipe = DATA_LIMITED) -> float:
    """Return the learning rate of a width, as a share of that of the recipe's."""
    return min(1.0, math.sqrt(recipe.learning_rate_width / width))


def adam_learning_rate(model: ModelConfig, *, recipe: TrainingRecipe = DATA_LIMITED) -> float:
    """Return the peak learning rate of embeddings, head, norms and biases where the matrices have Muon."""
    return learning_rate(model, optimizer="muon", recipe=recipe)


def two_digits(value: float) -> float:
    """Return a value rounded to two significant digits."""
    return float(f"{value:.2g}")


def dropout(epochs: float, num_tokens: float, recipe: TrainingRecipe = DATA_LIMITED) -> float:
    """Return the dropout where there is time for so many passes of so many tokens: it learns slower, and goes on learning longer."""
    if epochs >= recipe.dropout_epochs * max(1.0, num_tokens / recipe.epochs_tokens) ** recipe.dropout_exponent:
        return recipe.dropout
    return recipe.light_dropout if epochs >= recipe.light_dropout_epochs else 0.0


def max_epochs(model: ModelConfig, num_tokens: float, recipe: TrainingRecipe = DATA_LIMITED) -> float:
    """Return after how many passes a model begins to learn the text by heart instead of its language: training ends there."""
    return (recipe.max_epochs_with_dropout if model.dropout else recipe.max_epochs) * _patience(num_tokens, recipe)


def bpe_dropout(epochs: float, most: float, recipe: TrainingRecipe = DATA_LIMITED) -> float:
    """Return the BPE-dropout of a training that reads its text so often, where `most` passes are the most: new tokens slow learning."""
    return recipe.bpe_dropout if epochs >= recipe.bpe_dropout_share * most else 0.0


def _patience(num_tokens: float, recipe: TrainingRecipe) -> float:
    """Return how many times more passes a text of so many tokens bears than those that the recipe's numbers are for."""
    return max(1.0, num_tokens / recipe.epochs_tokens) ** recipe.epochs_exponent


def weight_decay(epochs: float, recipe: TrainingRecipe = DATA_LIMITED) -> float:
    """Return the weight decay: more when the text is repeated more, so that it is not learned by heart."""
    return recipe.weight_decay if epochs < recipe.repeated_epochs else recipe.weight_decay_repeated


def warmup_steps(steps: int) -> int:
    """Return the steps over which the learning rate rises."""
    return max(1, min(100, steps // 50))


def student_shapes(model: ModelConfig, asked: Set[str]) -> list[dict[str, Any]]:
    """Return in what the sizes that a student may have differ from a model that learns alone: the largest first, its own last.

    Args:
        model: planned to learn alone.
        asked: settings of the model that the user gave; a size that was chosen is kept.
    """
    larger = [] if asked & SIZED else [size for size in SIZES if size[0] > model.width and size[1] >= model.num_layers][:TAUGHT_SIZES]
    kept = {"ffn": model.ffn, "context_length": model.context_length, "tied_embeddings": model.tied_embeddings}
    return [*(shape(*size, kept) for size in reversed(larger)), {}]


def taught_gain(members: int, *, larger: bool) -> float:
    """Return what a student of so many members should take off the bits of one of them, as a share; see `TAUGHT_GAIN`.

    Args:
        members: of the ensemble.
        larger: the student is larger than they are.
    """
    return (TAUGHT_GAIN_LARGER if larger else TAUGHT_GAIN) * members / (members + 1)


def student_work(model: ModelConfig, asked: Set[str]) -> float:
    """Return the arithmetic of the largest student for a token, without teachers, in times of that of a model that learns alone."""
    largest = model.model_copy(update=student_shapes(model, asked)[0])
    return flops_per_token(largest).model / flops_per_token(model).model


def evaluation_seconds(text: Text, most_tokens: int, token_seconds: float) -> float:
    """Return how long one evaluation takes where training on a token takes `token_seconds`; `most_tokens` 0 scores all."""
    return EVALUATION_COST * token_seconds * (min(text.validation_tokens, most_tokens) if most_tokens else text.validation_tokens)


def evaluations(seconds: float, seconds_each: float) -> int:
    """Return how often to score the validation text in a training of `seconds`."""
    affordable = int(EVALUATION_SHARE * seconds / seconds_each) if seconds_each else EVALUATIONS
    return max(MIN_EVALUATIONS, min(EVALUATIONS, affordable))


def suits(model: ModelConfig, num_tokens: float, recipe: TrainingRecipe = DATA_LIMITED) -> bool:
    """Return whether a text of so many tokens is long enough for a model of this size."""
    return block_parameters(model) <= recipe.max_weights_per_token * num_tokens


def block_parameters(model: ModelConfig) -> int:
    """Return the weights of the blocks' matrices: the part of a small model that decides how good it is."""
    return model.num_matmul_parameters - model.vocabulary_size * model.width
