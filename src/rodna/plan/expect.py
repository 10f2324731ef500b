"""What held-out bits per byte to expect: from a law fitted to pilot runs on the text itself, or else from an anchor.

The anchor is what counting alone takes: n-grams of the text's own tokens, made in seconds. What a network takes less than they do is much
the same in all languages, so the law of whole runs, which is told in bits of our Belarusian, is scaled to a text by them. By how much our
recorded runs in five languages ended beside that is the expectation's factor; how differently they did is its interval.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from rodna.plan.laws import LEAST_KNOWN_TOKENS, whole_run_loss
from rodna.plan.rules import Text

if TYPE_CHECKING:
    from rodna.data.tokens import Tokens

ANCHOR_TRAIN_BYTES, ANCHOR_HELD_OUT_BYTES, ANCHOR_ORDER = 6_000_000, 300_000, 5
"""What the anchor is counted in and measured on: a few seconds."""
ANCHOR_POWER = 0.05
"""Counts gain more from more text than the law says that a network does: by the tokens counted to this power. docs/planning.md."""
UNANCHORED_SPREAD = 0.30
"""The same without an anchor: languages and scripts differ by a factor of two in bits per byte."""
KNOWN_PARAMETERS, KNOWN_TOKENS, KNOWN_UNIQUE = (1.4e5, 2.2e6), (1.4e5, 9.9e6), (LEAST_KNOWN_TOKENS, 1.9e6)
"""Weights of the blocks, tokens seen, and tokens of the text, that the law was fitted to."""
BEYOND = 0.06
"""Added to the standard deviation for each tenfold outside that range, of either: a judgement, not a measurement."""
NORMAL_95 = 1.96

STUDENT_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Two-sided 95% points of Student's t for 1, 2, ... degrees of freedom."""


class Anchor(NamedTuple):
    """What n-grams of a text's own tokens take.

    Attributes:
        bits_per_byte: of validation text.
        tokens: of training text that they were counted in.
    """

    bits_per_byte: float
    tokens: int

    @property
    def scale(self) -> float:
        """By what the law of whole runs is multiplied, before the factor of recorded runs."""
        return self.bits_per_byte * self.tokens**ANCHOR_POWER


@dataclass(frozen=True)
class RecordedRun:
    """A whole job of ours: what the anchor and the model took, and what the model was.

    Attributes:
        text: language, size and time.
        anchor: what n-grams take of the validation text, and the tokens that they were counted in.
        model: bits per byte of the model on test text.
        train_tokens: of the training split.
        weights: of the blocks.
        epochs: passes.
        dropout: of the training.
    """

    text: str
    anchor: "Anchor"
    model: float
    train_tokens: float
    weights: float
    epochs: float
    dropout: float


RECORDED = (
    RecordedRun("Belarusian, 3.0 MB, 5 minutes", Anchor(1.072, 469_472), 0.951, 469_472, 802_816, 14.1, 0.2),
    RecordedRun("English, 1.0 MB, 5 minutes", Anchor(2.035, 311_636), 1.819, 311_636, 1_208_320, 15.7, 0.2),
    RecordedRun("English, 6.6 MB, 20 minutes", Anchor(1.815, 1_555_275), 1.526, 1_718_126, 802_816, 10.3, 0.1),
    RecordedRun("Basque, 3.3 MB, 5 minutes", Anchor(1.546, 760_680), 1.402, 760_680, 1_208_320, 8.2, 0.1),
    RecordedRun("Basque, 3.3 MB, 20 minutes", Anchor(1.546, 760_680), 1.392, 760_680, 1_208_320, 16.6, 0.2),
    RecordedRun("Icelandic, 2.9 MB, 20 minutes", Anchor(1.867, 697_379), 1.592, 697_379, 3_046_400, 20.4, 0.2),
    RecordedRun("Cantonese, 1.4 MB, 5 minutes", Anchor(2.307, 401_557), 2.017, 401_557, 1_208_320, 17.0, 0.2),
)
"""Those of docs/data-efficiency.md in which one model learned from the text alone, by `python -m benchmarks.recorded_runs`. The expectation
follows from them: when the recipe changes, replace them."""


class BitsLaw(Protocol):
    """A law of held-out bits per byte. A fit to pilot runs is one, too."""

    @property
    def knows_dropout(self) -> bool:
        """Whether it can tell what dropout is worth on this text: else a rule decides about it."""
        ...

    def loss(self, parameters: float, tokens_seen: float, unique_tokens: float, dropout: float = 0.0) -> float:
        """Return the expected bits per byte.

        Args:
            parameters: weights of the blocks.
            tokens_seen: repetitions counted.
            unique_tokens: of the training split.
            dropout: of the training.
        """
        ...

    def predict(self, parameters: float, tokens_seen: float, unique_tokens: float, dropout: float = 0.0) -> tuple[float, float, float]:
        """Return the expected bits per byte, and the ends of its 95% interval."""
        ...


@dataclass(frozen=True)
class AnchoredLaw:
    """The law of whole runs, scaled to a text. How much dropout there is, a rule decides: among all sizes the law tells too little of it.

    Attributes:
        scale: how many times more bits a byte of this text takes than one of our Belarusian.
        spread: standard deviation of the logarithm of the outcome, within the range of our runs.
    """

    scale: float
    spread: float

    @property
    def knows_dropout(self) -> bool:
        return False

    def loss(self, parameters: float, tokens_seen: float, unique_tokens: float, dropout: float = 0.0) -> float:
        return self.scale * whole_run_loss(parameters, tokens_seen, unique_tokens, dropout)

    def predict(self, parameters: float, tokens_seen: float, unique_tokens: float, dropout: float = 0.0) -> tuple[float, float, float]:
        expected = self.loss(parameters, tokens_seen, unique_tokens, dropout)
        outside = (_decades(parameters, KNOWN_PARAMETERS), _decades(tokens_seen, KNOWN_TOKENS), _decades(unique_tokens, KNOWN_UNIQUE))
        spread = math.hypot(self.spread, *(BEYOND * decades for decades in outside))
        factor = math.exp(NORMAL_95 * spread)
        return expected, expected / factor, expected * factor


def anchored_law(text: Text) -> AnchoredLaw:
    """Return the law for a text, by what n-grams take of it where that was measured."""
    factor, spread = calibrate(RECORDED)
    anchor = Anchor(text.ngram_bits_per_byte, text.ngram_tokens)
    if not anchor.bits_per_byte:
        return AnchoredLaw(factor * statistics.geometric_mean(run.anchor.scale for run in RECORDED), UNANCHORED_SPREAD)
    return AnchoredLaw(factor * anchor.scale, spread)


def calibrate(runs: Sequence[RecordedRun]) -> tuple[float, float]:
    """Return by what factor recorded runs ended beside the anchored law, and the spread to expect of another one.

    The factor is the geometric mean; the spread is such that `NORMAL_95` times it is Student's prediction interval for one more run, in
    logarithms.

    Args:
        runs: two to ten of them.
    """
    logs: list[float] = []
    for run in runs:
        expected = run.anchor.scale * whole_run_loss(run.weights, run.epochs * run.train_tokens, run.train_tokens, run.dropout)
        logs.append(math.log(run.model / expected))
    mean, deviation = statistics.mean(logs), statistics.stdev(logs)
    reach = STUDENT_95[len(logs) - 2] * deviation * math.sqrt(1 + 1 / len(logs))
    return math.exp(mean), reach / NORMAL_95


def measure_anchor(train: "Tokens", held_out: "Tokens") -> Anchor:
    """Count n-grams in training documents, and return what they take of held-out ones: 0 where there are none of these."""
    from rodna.models.ngram import NgramModel

    if not held_out.num_bytes or not train.num_tokens:
        return Anchor(0.0, 0)
    nats = float(NgramModel.count(train, order=ANCHOR_ORDER).token_nats(held_out).sum())
    return Anchor(nats / math.log(2) / held_out.num_bytes, train.num_tokens)


def evenly_spread(documents: Sequence[str], limit: int) -> list[str]:
    """Return about `limit` bytes of documents, evenly spread; of a single long one, its beginning."""
    total = sum(len(document.encode("utf-8")) for document in documents)
    every = max(1.0, total / limit)
    # Rounding may carry the last one past the end.
    chosen = [documents[min(int(number * every), len(documents) - 1)] for number in range(math.ceil(len(documents) / every))]
    kept: list[str] = []
    room = limit
    for document in chosen:
        part = document.encode("utf-8")[:room]
        kept.append(part.decode("utf-8", "ignore"))
        room -= len(part)
    return [document for document in kept if document]


def _decades(value: float, known: tuple[float, float]) -> float:
    low, high = known
    return max(0.0, math.log10(low / value), math.log10(value / high))
