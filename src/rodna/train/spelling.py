"""What tokens that are spelled alike share, learned by AdamW beside each token's own vector.

A token of a small text is seen a few dozen times; its letters are seen thousands of times. So an embedding of V tokens is learned as

    E = own_VD + S_VM marks_MD        S[v, m] = 1 / sqrt(number of v's marks) where token v has mark m

with a mark for every word, run of one to three characters, and case that at least two tokens have in common. Nothing is added to the
model: own and marks change by the gradients dE and S^T dE, both by AdamW's rule, and E by the sum of both changes. What is saved is E.

References: Bojanowski et al. 2017 (fastText), arXiv:1607.04606, for vectors made of character n-grams; Takase et al. 2019,
arXiv:1906.05506, for these beside a language model's own embeddings, at its input and output; Loshchilov & Hutter 2019, arXiv:1711.05101,
for AdamW. Weights that are fixed, so that the sum is all that stays, and the two rates are ours: docs/ablations.md.

Shapes: V tokens, M marks, E pairs of a token and a mark of it, D width.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from rodna.tokenizer.tokenizer import Tokenizer

LONGEST_RUN = 3
"""Characters of the longest mark that is not a whole word."""
LONGEST_TOKEN = 64
"""Of a longer token, one line of a table perhaps, no more characters are looked at."""
OWN_SHARE = 0.5
"""A token's own vector learns at this share of the rate that it has where nothing is shared: docs/ablations.md."""
STAND_IN_MARKS = 12
MOMENT, SQUARE = "spelling_exp_avg", "spelling_exp_avg_sq"


@dataclass(frozen=True)
class Spelling:
    """Which marks each token has: the matrix S, by rows and by columns.

    Attributes:
        marks_E: each token's marks, one token after another.
        first_mark_V: where they begin.
        tokens_E: each mark's tokens, one mark after another.
        first_token_M: where they begin.
        scale_V1: 1 / sqrt(number of a token's marks), float32; 0 where it has none.
    """

    marks_E: Tensor
    first_mark_V: Tensor
    tokens_E: Tensor
    first_token_M: Tensor
    scale_V1: Tensor

    @classmethod
    def of(cls, tokenizer: Tokenizer, vocabulary_size: int) -> "Spelling":
        """Return the marks of a tokenizer's tokens; of those that only a wider matrix has, none."""
        found = [set(marks_of(tokenizer.token_bytes(token))) for token in range(min(tokenizer.vocabulary_size, vocabulary_size))]
        times = Counter(mark for marks in found for mark in marks)
        numbers = {mark: number for number, mark in enumerate(sorted(mark for mark, count in times.items() if count > 1))}
        shared = [sorted(numbers[mark] for mark in marks if mark in numbers) for marks in found]
        return cls._build([*shared, *([] for _ in range(vocabulary_size - len(shared)))], len(numbers))

    @classmethod
    def stand_in(cls, vocabulary_size: int) -> "Spelling":
        """Return as many marks as tokens usually have, for timing steps where there is no tokenizer."""
        generator = torch.Generator().manual_seed(0)
        marks = torch.randint(vocabulary_size, (vocabulary_size, STAND_IN_MARKS), generator=generator)
        return cls._build(marks.tolist(), vocabulary_size)

    @classmethod
    def _build(cls, marks_of_tokens: Sequence[Sequence[int]], num_marks: int) -> "Spelling":
        counts_V = torch.tensor([len(marks) for marks in marks_of_tokens], dtype=torch.int64)
        marks_E = torch.tensor([mark for marks in marks_of_tokens for mark in marks], dtype=torch.int64)
        by_mark_E = marks_E.argsort(stable=True)
        return cls(
            marks_E,
            counts_V.cumsum(0) - counts_V,
            torch.repeat_interleave(counts_V)[by_mark_E],
            torch.searchsorted(marks_E[by_mark_E], torch.arange(num_marks)),
            torch.where(counts_V > 0, counts_V.clamp_min(1).float().rsqrt(), 0.0)[:, None],
        )

    @property
    def num_marks(self) -> int:
        return len(self.first_token_M)

    def to(self, device: torch.device) -> "Spelling":
        return Spelling(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))

    def gather(self, gradient_VD: Tensor) -> Tensor:
        """Return S^T times the gradient of an embedding: that of the marks (M, D)."""
        return embedding_bag(self.tokens_E, gradient_VD * self.scale_V1, self.first_token_M, mode="sum")

    def spread(self, marks_MD: Tensor) -> Tensor:
        """Return S times something of the marks: what the tokens have of it (V, D)."""
        return embedding_bag(self.marks_E, marks_MD, self.first_mark_V, mode="sum") * self.scale_V1


@torch.no_grad()
def learn_shared(parameter: Tensor, state: dict[str, Any], group: dict[str, Any], spelling: Spelling) -> None:
    """Change an embedding (V x D) by what AdamW makes of its marks' gradient.

    Args:
        parameter: with its gradient.
        state: AdamW's of it, whose step was just made; the marks' moments are kept there too.
        group: AdamW's, with `marks_rate`: how much faster than the group the marks learn.
        spelling: on the parameter's device.
    """
    assert parameter.grad is not None
    (beta1, beta2), gradient_MD = group["betas"], spelling.gather(parameter.grad)
    if MOMENT not in state:
        state[MOMENT], state[SQUARE] = torch.zeros_like(gradient_MD), torch.zeros_like(gradient_MD)
    moment_MD = state[MOMENT].lerp_(gradient_MD, 1 - beta1)
    square_MD = state[SQUARE].lerp_(gradient_MD.square(), 1 - beta2)
    step = state["step"].to(parameter.device)
    change_MD = moment_MD / (square_MD / (1 - beta2**step)).sqrt_().add_(group["eps"]) / (1 - beta1**step)
    parameter.sub_(spelling.spread(change_MD), alpha=group["lr"] * group["marks_rate"])


def marks_of(token: bytes) -> Iterator[str]:
    """Yield the marks of a token: its word, its case, whether a space precedes it, and its runs of characters.

    Half a character is its bytes, each of them like a character.
    """
    text = token.decode("utf-8", errors="surrogateescape")[:LONGEST_TOKEN]
    word = text.strip()
    plain = word.lower()
    if not text:
        return
    yield f"word {plain}"
    yield f"form {'space' if text[0].isspace() else 'none'} {'capital' if word[:1] != plain[:1] else 'plain'}"
    # Where a word begins and ends is part of its runs.
    framed = f"\x02{plain}\x03"
    for length in range(1, LONGEST_RUN + 1):
        for start in range(len(framed) - length + 1):
            run = framed[start : start + length]
            if run not in ("\x02", "\x03"):
                yield f"run {run}"
