"""The two presets of training choices, as plain data: change a number here, and name its evidence beside it.

`data-limited` is for text that is read many times; `compute-limited` for text of which the time allows a pass or a few.
Every field is a choice; `EVIDENCE` says of each where its value comes from, and a test keeps the two together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

RecipeName = Literal["data-limited", "compute-limited"]
DATA_LIMITED_BELOW_BYTES = 200_000_000
"""Less text than this is planned as data-limited."""


@dataclass(frozen=True)
class TrainingRecipe:
    """What is chosen the same for every model of a regime.

    Attributes:
        name: of the preset.
        max_epochs: passes over a text of up to `epochs_tokens` after which training ends, whatever time is left, without dropout.
        max_epochs_with_dropout: the same with dropout.
        light_dropout: where there is time for at least `light_dropout_epochs` passes; else none.
        light_dropout_epochs: passes over a text of any length; see `light_dropout`.
        dropout: where there is time for at least `dropout_epochs` passes.
        dropout_epochs: passes over a text of up to `epochs_tokens`; see `dropout`.
        dropout_exponent: with longer texts they grow to this power.
        epochs_tokens: these and the most passes are for texts of at most so many tokens.
        epochs_exponent: with longer texts the most passes grow to this power: of more text less is learned by heart in as many.
        bpe_dropout: where the text is read at least `bpe_dropout_share` of the most passes, in the tokenizer's own tokens.
        bpe_dropout_share: see `bpe_dropout`.
        weight_decay: where the text is read less than `repeated_epochs` times.
        weight_decay_repeated: where it is read more often.
        repeated_epochs: see `weight_decay`.
        decay_fraction: share of the steps, the last ones, over which the rate falls.
        batch_tokens: tokens of a step in a training of `batch_reach` tokens.
        batch_reach: see `batch_tokens`.
        batch_exponent: the batch grows with the tokens of the training to this power.
        batch_text: tokens of a text; of a shorter one the batch is smaller, and the rate by the square root of that.
        batch_text_exponent: the batch falls with the tokens of such a text to this power.
        learning_rate: peak with Muon, or a variant of it, at `learning_rate_width`; less for wider models, by the square root.
        adamw_learning_rate: peak where AdamW does everything.
        learning_rate_width: see `learning_rate`.
        max_weights_per_token: weights of the blocks for each token of the text; larger models would learn it by heart.
        train: other settings of the section `train`, where the user gave none.
    """

    name: RecipeName
    max_epochs: float
    max_epochs_with_dropout: float
    light_dropout: float
    light_dropout_epochs: float
    dropout: float
    dropout_epochs: float
    dropout_exponent: float
    epochs_tokens: float
    epochs_exponent: float
    bpe_dropout: float
    bpe_dropout_share: float
    weight_decay: float
    weight_decay_repeated: float
    repeated_epochs: float
    decay_fraction: float
    batch_tokens: int
    batch_reach: float
    batch_exponent: float
    batch_text: float
    batch_text_exponent: float
    learning_rate: float
    adamw_learning_rate: float
    learning_rate_width: int
    max_weights_per_token: float
    train: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


DATA_LIMITED = TrainingRecipe(
    name="data-limited",
    max_epochs=5.0,
    max_epochs_with_dropout=12.0,
    light_dropout=0.1,
    light_dropout_epochs=7.0,
    dropout=0.2,
    dropout_epochs=12.0,
    dropout_exponent=0.2,
    epochs_tokens=200e3,
    epochs_exponent=0.6,
    bpe_dropout=0.1,
    bpe_dropout_share=0.8,
    weight_decay=0.1,
    weight_decay_repeated=0.3,
    repeated_epochs=4.0,
    decay_fraction=0.4,
    batch_tokens=2048,
    batch_reach=1.5e6,
    batch_exponent=0.5,
    batch_text=600e3,
    batch_text_exponent=0.5,
    learning_rate=0.01,
    adamw_learning_rate=2e-3,
    learning_rate_width=128,
    max_weights_per_token=5.0,
    train=MappingProxyType({"optimizer": "muon", "schedule": "wsd", "ngram_order": 5, "spelling_rate": 4.0}),
)

COMPUTE_LIMITED = TrainingRecipe(
    name="compute-limited",
    max_epochs=4.0,
    max_epochs_with_dropout=4.0,
    light_dropout=0.0,
    light_dropout_epochs=float("inf"),
    dropout=0.0,
    dropout_epochs=float("inf"),
    dropout_exponent=0.0,
    epochs_tokens=200e3,
    epochs_exponent=0.0,
    bpe_dropout=0.0,
    bpe_dropout_share=1.0,
    weight_decay=0.1,
    weight_decay_repeated=0.1,
    repeated_epochs=4.0,
    decay_fraction=0.65,
    batch_tokens=2048,
    batch_reach=1.5e6,
    batch_exponent=0.383,
    batch_text=600e3,
    batch_text_exponent=0.0,
    learning_rate=0.01,
    adamw_learning_rate=2e-3,
    learning_rate_width=128,
    max_weights_per_token=5.0,
    train=MappingProxyType({"optimizer": "muon", "schedule": "wsd", "ngram_order": 0, "spelling_rate": 0.0}),
)

RECIPES: dict[RecipeName, TrainingRecipe] = {recipe.name: recipe for recipe in (DATA_LIMITED, COMPUTE_LIMITED)}

_REPEATS = "docs/planning.md, How often a small text may be read"
_DROPOUT = "docs/planning.md, How much dropout"
_BATCH = "docs/planning.md, Batch and rate"
_WIDTH = "128 is the width that docs/planning.md, Batch and rate, was measured at; from there as nanochat's rates, with 1/sqrt(width)"
_ONCE = "docs/ablations.md, read once"
_SEGMENTATIONS = "docs/planning.md, Other segmentations"
EVIDENCE: dict[RecipeName, dict[str, str]] = {
    "data-limited": {
        "max_epochs": _REPEATS,
        "max_epochs_with_dropout": _REPEATS,
        "light_dropout": _DROPOUT,
        "light_dropout_epochs": _DROPOUT,
        "dropout": _REPEATS,
        "dropout_epochs": _DROPOUT,
        "dropout_exponent": _DROPOUT,
        "epochs_tokens": f"{_REPEATS}; the demo's 196,000 tokens were learned by heart in 15 passes with dropout",
        "epochs_exponent": f"{_REPEATS}: of the law fitted to these runs; docs/ablations.md, several passes",
        "bpe_dropout": _SEGMENTATIONS,
        "bpe_dropout_share": f"{_SEGMENTATIONS}: between 0.7, where it lost, and 0.86, where it gained",
        "weight_decay": "docs/ablations.md, few passes",
        "weight_decay_repeated": "docs/ablations.md, confirm a preset: at ten passes 0.1 and 3 are worse, 1 as good",
        "repeated_epochs": "Muennighoff et al. 2023, arXiv:2305.16264: up to four passes are nearly as good as fresh text",
        "decay_fraction": "docs/ablations.md, confirm a preset: 0.2 as well, 0.7 and 1 worse",
        "batch_tokens": _BATCH,
        "batch_reach": _BATCH,
        "batch_exponent": f"{_BATCH}: our extrapolation from one column",
        "batch_text": f"{_BATCH}: of little text; between 312,000 tokens, for which it is too much, and 469,000",
        "batch_text_exponent": f"{_BATCH}: of little text",
        "learning_rate": _BATCH,
        "adamw_learning_rate": "docs/ablations.md, confirm a preset: the best of 0.001, 0.002 and 0.004",
        "learning_rate_width": _WIDTH,
        "max_weights_per_token": f"{_REPEATS}: at 15, a model knew 300 kB by heart after 19 passes, and was far worse than after 6",
        "train.optimizer": "docs/ablations.md, confirm a preset: AdamW takes 5 to 8% more bits of three languages",
        "train.schedule": "docs/ablations.md, confirm a preset: a cosine takes 0.5 to 1.6% more bits of three languages",
        "train.spelling_rate": "docs/ablations.md, tokens that are spelled alike",
        "train.ngram_order": "docs/data-efficiency.md, with counts; not varied: the vocabulary leaves four or five tokens",
    },
    "compute-limited": {
        "max_epochs": "Muennighoff et al. 2023, arXiv:2305.16264: up to four passes are nearly as good as fresh text",
        "max_epochs_with_dropout": "Muennighoff et al. 2023, arXiv:2305.16264",
        "light_dropout": f"{_ONCE}: 0.1 takes 2.1 to 2.6% more bits of three languages; there is nothing to learn by heart",
        "light_dropout_epochs": "no dropout at any number of passes",
        "dropout": f"{_ONCE}: 0.1 takes 2.1 to 2.6% more bits of three languages; there is nothing to learn by heart",
        "dropout_epochs": "no dropout at any number of passes",
        "dropout_exponent": "without effect",
        "epochs_tokens": "without effect",
        "epochs_exponent": "four passes of any text: nothing is known to depend on its length here",
        "bpe_dropout": "none: text that is hardly repeated shows enough that is new",
        "bpe_dropout_share": "without effect",
        "weight_decay": f"{_ONCE}: 1 takes 0.9% fewer bits in 244 steps; decay works by its product with rate and steps (Wang & Aitchison "
        "2024, arXiv:2405.13698), so that in the steps of much text it is 0.1 that does as much",
        "weight_decay_repeated": "the same: four passes are the most",
        "repeated_epochs": "Muennighoff et al. 2023, arXiv:2305.16264",
        "decay_fraction": f"nanochat's warm-down; {_ONCE}: 0.4 and 1 as well",
        "batch_tokens": f"{_BATCH}; {_ONCE}: half of it as well, twice as much 2.5% more",
        "batch_reach": _BATCH,
        "batch_exponent": "nanochat: the batch grows with the tokens to the power 0.383",
        "batch_text": "without effect",
        "batch_text_exponent": "none: nothing is known to depend on the length of so long texts",
        "learning_rate": f"{_BATCH}; {_ONCE}: half and twice as well",
        "adamw_learning_rate": f"usual at the widths of much text; {_ONCE}: 0.004 takes 2% fewer bits of the narrow model there",
        "learning_rate_width": _WIDTH,
        "max_weights_per_token": _REPEATS,
        "train.optimizer": f"{_ONCE}: AdamW takes 15 to 17% more bits of three languages, at the best of four rates",
        "train.schedule": f"{_ONCE}: a cosine as well in three languages, a square root 1.4% more; Hägele et al. 2024, arXiv:2405.18392",
        "train.spelling_rate": f"none: {_ONCE}: 5.3% fewer bits where a token is seen 122 times, 2.4% at 179, 1.0% at 456; 200 MB show "
        "a token 2,000 times, where less is left to gain than it costs of a step",
        "train.ngram_order": "none: the counts of so much text would take many times the model's place",
    },
}
"""Recipe -> choice -> where its value comes from."""


def choose_recipe(wish: str, num_bytes: int) -> TrainingRecipe:
    """Return the recipe asked for; of `planned`, the one for so much text.

    Args:
        wish: `planned`, or a recipe's name.
        num_bytes: of the training split, UTF-8.
    """
    if wish == "planned":
        return DATA_LIMITED if num_bytes < DATA_LIMITED_BELOW_BYTES else COMPUTE_LIMITED
    return next(recipe for name, recipe in RECIPES.items() if name == wish)
