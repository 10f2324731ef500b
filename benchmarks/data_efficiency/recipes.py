"""The peers: each as published, and the small grid in which its best is searched.

References. beLLM and nanoGPT: their repositories' training settings. BabyLlama: Timiryasov & Tastet 2023, arXiv:2308.02019 (the student's
settings, without teachers). Goldfish: Chang et al. 2024, arXiv:2408.10441 (the model of 5 MB).
"""

from dataclasses import dataclass, replace
from typing import Literal

from rodna.tokenizer.config import Algorithm

Schedule = Literal["constant", "cosine", "linear"]


@dataclass(frozen=True)
class PeerRecipe:
    """How a peer is built and trained; the defaults are nanoGPT's.

    Attributes:
        system: whose recipe it is.
        trainer: our plain loop, or the Hugging Face Trainer.
        architecture: GPT-2 (learned positions, GELU) or LLaMA.
        algorithm: of the tokenizer.
        vocabulary: its size; 0: every character.
        ffn_width: 0: four times the width.
        context: tokens of a sequence.
        batch: sequences of a step.
        dropout: of embeddings, attention and residuals.
        warmup_steps: at most a tenth of all steps.
        warmup_share: of all steps, where that is more.
        precision: bf16 is autocast, as its users run it.
        max_epochs: training ends after so many passes, whatever time is left; 0: never.
    """

    system: str
    trainer: Literal["plain", "hf"] = "plain"
    architecture: Literal["gpt2", "llama"] = "gpt2"
    algorithm: Algorithm = "bpe"
    vocabulary: int = 4096
    width: int = 128
    layers: int = 4
    heads: int = 4
    ffn_width: int = 0
    context: int = 256
    batch: int = 8
    learning_rate: float = 1e-3
    dropout: float = 0.2
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    schedule: Schedule = "cosine"
    warmup_steps: int = 100
    warmup_share: float = 0.0
    clip: float = 1.0
    precision: Literal["fp32", "bf16"] = "bf16"
    max_epochs: int = 0

    @property
    def name(self) -> str:
        """What differs within a grid, short enough for a file's name."""
        vocabulary = f"v{self.vocabulary}" if self.vocabulary else "chars"
        return (f"w{self.width}-l{self.layers}-c{self.context}-b{self.batch}-{vocabulary}"
                f"-lr{self.learning_rate:g}-d{self.dropout:g}-{self.schedule}-{self.precision}")  # fmt: skip

    @property
    def tokens_per_step(self) -> int:
        return self.batch * self.context

    @property
    def speed_key(self) -> str:
        """What a step's time depends on, but for the vocabulary's size, which is the text's."""
        dropout = "dropout" if self.dropout else "plain"
        return (f"{self.trainer}-{self.architecture}-w{self.width}-l{self.layers}-h{self.heads}-f{self.ffn_width}"
                f"-c{self.context}-b{self.batch}-{dropout}-{self.precision}")  # fmt: skip


BELLM = PeerRecipe(
    "bellm", algorithm="character", vocabulary=0, width=512, layers=8, heads=8, batch=32, learning_rate=4e-4, dropout=0.0,
    weight_decay=0.01, betas=(0.9, 0.999), schedule="constant", warmup_steps=0, clip=0.0, precision="fp32",
)  # fmt: skip
"""Weight decay and betas are torch's own, which it does not change."""
NANOGPT_CHAR = PeerRecipe(
    "nanogpt-char", algorithm="character", vocabulary=0, width=384, layers=6, heads=6, batch=64, betas=(0.9, 0.99),
)  # fmt: skip
NANOGPT_BPE = PeerRecipe("nanogpt-bpe", vocabulary=8192, width=384, layers=6, heads=6, batch=64, betas=(0.9, 0.99))
"""The published settings for small texts, with subwords in place of characters."""
BABYLLAMA = PeerRecipe(
    "babyllama", trainer="hf", architecture="llama", vocabulary=16_000, width=512, layers=16, heads=8, ffn_width=1024, context=128,
    batch=32, learning_rate=2.5e-4, dropout=0.0, betas=(0.9, 0.999), warmup_steps=200, max_epochs=6,
)  # fmt: skip
GOLDFISH = PeerRecipe(
    "goldfish", trainer="hf", algorithm="unigram", vocabulary=50_000, width=512, layers=4, heads=8, context=512, batch=4,
    learning_rate=1e-4, dropout=0.1, weight_decay=0.0, betas=(0.9, 0.999), schedule="linear", warmup_share=0.1, warmup_steps=0,
    max_epochs=10,
)  # fmt: skip
PUBLISHED = {recipe.system: recipe for recipe in (BELLM, NANOGPT_CHAR, NANOGPT_BPE, BABYLLAMA, GOLDFISH)}
_SIZES = {(96, 4): 4, (128, 4): 4, (192, 5): 6, (256, 6): 8, (384, 6): 6}


def _bellm() -> list[PeerRecipe]:
    fast = replace(BELLM, precision="bf16")
    return [replace(fast, learning_rate=rate, batch=batch) for batch in (8, 32) for rate in (4e-4, 1e-3, 2e-3)] + [
        replace(fast, batch=8, learning_rate=1e-3, dropout=0.1), replace(fast, batch=8, learning_rate=1e-3, schedule="cosine"),
    ]  # fmt: skip


def _nanogpt() -> list[PeerRecipe]:
    found, base = [], NANOGPT_BPE
    for (width, layers), heads in _SIZES.items():
        for rate in (1e-3, 3e-3) if width < 384 else (1e-3,):
            for dropout in (0.2, 0.0):
                shape = {"width": width, "layers": layers, "heads": heads, "learning_rate": rate, "dropout": dropout}
                found.append(replace(base, batch=8, vocabulary=4096, **shape))
    middle = next(recipe for recipe in found if recipe.width == 192 and recipe.learning_rate == 3e-3 and recipe.dropout)
    small, smaller = (
        next(recipe for recipe in found if recipe.width == width and recipe.learning_rate == 3e-3 and not recipe.dropout)
        for width in (128, 96)
    )
    tiny = replace(smaller, width=64)
    found += [replace(middle, batch=16), replace(middle, context=128), tiny]
    # What did best at the end of a row is tried beyond it.
    found += [replace(recipe, learning_rate=6e-3) for recipe in (middle, small, smaller, tiny)]
    return [*found, replace(middle, vocabulary=2048), replace(middle, vocabulary=8192)]


def _nanogpt_char() -> list[PeerRecipe]:
    """What does well with subwords, and some of their neighbours."""
    shapes = [(64, 4, 4), (96, 4, 4), (128, 4, 4), (192, 5, 6), (256, 6, 8)]
    found = [
        replace(NANOGPT_CHAR, batch=8, width=width, layers=layers, heads=heads, learning_rate=rate, dropout=0.0)
        for width, layers, heads in shapes
        for rate in ((3e-3, 6e-3) if width < 128 else (1e-3, 3e-3))
    ]
    middle = next(recipe for recipe in found if recipe.width == 192 and recipe.learning_rate == 3e-3)
    return [*found, replace(middle, dropout=0.2), replace(middle, context=128)]


def _babyllama() -> list[PeerRecipe]:
    small = {"vocabulary": 4096, "width": 256, "layers": 8, "ffn_width": 512}
    return [replace(BABYLLAMA, learning_rate=rate, batch=batch) for batch in (8, 32) for rate in (2.5e-4, 7e-4, 2e-3)] + [
        replace(BABYLLAMA, learning_rate=rate, batch=16, max_epochs=0, **small) for rate in (7e-4, 2e-3, 4e-3)
    ]


def _goldfish() -> list[PeerRecipe]:
    free = replace(GOLDFISH, max_epochs=0)
    return [replace(GOLDFISH, learning_rate=rate) for rate in (1e-4, 5e-4, 1e-3)] + [
        replace(free, vocabulary=4096, learning_rate=rate, dropout=dropout) for rate in (5e-4, 1e-3, 2e-3) for dropout in (0.1, 0.0)
    ]


GRIDS = {
    "bellm": _bellm(), "nanogpt-char": _nanogpt_char(), "nanogpt-bpe": _nanogpt(), "babyllama": _babyllama(),
    "goldfish": _goldfish(),
}  # fmt: skip
