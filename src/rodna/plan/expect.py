"""What held-out bits per byte to expect: from a law fitted to pilot runs on the text itself, or else from an anchor and a wide interval.

The anchor is a byte n-gram model of the user's own text, which takes seconds. It says how many times harder a byte of this text is than a
byte of as much Belarusian, in whose bits the law of whole runs is told. That factor, times the law, times by how much our recorded runs in
five languages ended above it, is the expectation; how differently they did is the interval.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rodna.plan.laws import LEAST_KNOWN_TOKENS, whole_run_loss
from rodna.plan.rules import Text

ANCHOR_TRAIN_BYTES, ANCHOR_HELD_OUT_BYTES, ANCHOR_ORDER = 1_600_000, 150_000, 8
"""What the anchor is measured with: about six seconds."""
REFERENCE_NGRAM = (1.1596, 0.1969, 0.355)
"""p, q, gamma of p + q (bytes / 10^6)^-gamma: the n-gram's bits per byte on our Belarusian, given so much of it. docs/planning.md."""
UNANCHORED_SPREAD = 0.30
"""The same without an anchor: languages and scripts differ by a factor of two in bits per byte."""
KNOWN_PARAMETERS, KNOWN_TOKENS, KNOWN_UNIQUE = (1.4e5, 2.2e6), (1.4e5, 9.9e6), (LEAST_KNOWN_TOKENS, 1.9e6)
"""Weights of the blocks, tokens seen, and tokens of the text, that the law was fitted to."""
BEYOND = 0.06
"""Added to the standard deviation for each tenfold outside that range, of either: a judgement, not a measurement."""
NORMAL_95 = 1.96

STUDENT_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Two-sided 95% points of Student's t for 1, 2, ... degrees of freedom."""


@dataclass(frozen=True)
class RecordedRun:
    """A whole job of ours: what the anchor and the model took, and what the model was.

    Attributes:
        text: language, size and time.
        ngram: bits per byte of the anchor on validation text.
        model: bits per byte of the model on test text.
        ngram_bytes: training text that the anchor was given.
        train_tokens: of the training split.
        weights: of the blocks.
        epochs: passes.
        dropout: of the training.
    """

    text: str
    ngram: float
    model: float
    ngram_bytes: float
    train_tokens: float
    weights: float
    epochs: float
    dropout: float


RECORDED = (
    RecordedRun("Cantonese, 0.7 MB, the demo", 2.307, 2.146, 0.72e6, 235_295, 802_816, 13.2, 0.2),
    RecordedRun("Cantonese, 1.4 MB, 5 minutes", 2.343, 2.017, 1.36e6, 401_557, 1_208_320, 17.0, 0.2),
    RecordedRun("Belarusian, 3.0 MB, 5 minutes", 1.319, 0.951, 1.6e6, 469_394, 802_816, 14.1, 0.2),
    RecordedRun("Belarusian, 3.0 MB, 20 minutes", 1.319, 0.963, 1.6e6, 469_394, 2_211_840, 20.0, 0.2),
    RecordedRun("Icelandic, 2.9 MB, 5 minutes", 1.951, 1.653, 1.6e6, 698_857, 442_368, 14.1, 0.1),
    RecordedRun("Basque, 3.3 MB, 5 minutes", 1.614, 1.402, 1.6e6, 761_259, 1_208_320, 8.2, 0.1),
    RecordedRun("English, 1.0 MB, 5 minutes", 2.022, 1.818, 1.0e6, 311_636, 1_208_320, 15.7, 0.2),
    RecordedRun("English, 6.6 MB, 5 minutes", 1.966, 1.550, 1.6e6, 1_714_243, 802_816, 4.6, 0.0),
)
"""The demo's run, and those of docs/data-efficiency.md; docs/planning.md says of which recipes. The expectation follows from them: when the
recipe changes, replace them."""


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
    """Return the law for a text, by its n-gram figure where that was measured."""
    if not text.ngram_bits_per_byte:
        return AnchoredLaw(calibrate(RECORDED)[0], UNANCHORED_SPREAD)
    factor, spread = calibrate(RECORDED)
    return AnchoredLaw(factor * text.ngram_bits_per_byte / reference_ngram(text.ngram_bytes), spread)


def calibrate(runs: Sequence[RecordedRun]) -> tuple[float, float]:
    """Return by what factor recorded runs ended above the anchored law, and the spread to expect of another one.

    The factor is the geometric mean; the spread is such that `NORMAL_95` times it is Student's prediction interval for one more run, in
    logarithms.

    Args:
        runs: two to ten of them.
    """
    logs: list[float] = []
    for run in runs:
        scale = run.ngram / reference_ngram(run.ngram_bytes)
        expected = scale * whole_run_loss(run.weights, run.epochs * run.train_tokens, run.train_tokens, run.dropout)
        logs.append(math.log(run.model / expected))
    mean, deviation = statistics.mean(logs), statistics.stdev(logs)
    reach = STUDENT_95[len(logs) - 2] * deviation * math.sqrt(1 + 1 / len(logs))
    return math.exp(mean), reach / NORMAL_95


def reference_ngram(num_bytes: float) -> float:
    """Return what a byte n-gram model of our Belarusian takes, given so much of it, in bits per byte."""
    limit, scale, power = REFERENCE_NGRAM
    return limit + scale * (num_bytes / 1e6) ** -power


def measure_anchor(train: Sequence[str], held_out: Sequence[str]) -> tuple[float, int]:
    """Return the bits per byte of the best byte n-gram model on held-out documents, and the bytes of training text it was given.

    Args:
        train: documents; those evenly spread that make up `ANCHOR_TRAIN_BYTES` are counted.
        held_out: validation documents, of which `ANCHOR_HELD_OUT_BYTES` are scored.
    """
    from rodna.evals.ngram import best_ngram

    counted, scored = _spread(train, ANCHOR_TRAIN_BYTES), _spread(held_out, ANCHOR_HELD_OUT_BYTES)
    num_bytes = sum(map(len, scored))
    if not num_bytes:
        return 0.0, 0
    found = best_ngram(counted, scored, scored, max_order=ANCHOR_ORDER)
    return float(found.bits_D.sum()) / num_bytes, sum(map(len, counted))


def _spread(documents: Sequence[str], limit: int) -> list[bytes]:
    """Return about `limit` bytes of documents, evenly spread; of a single long one, its beginning."""
    total = sum(len(document.encode("utf-8")) for document in documents)
    every = max(1.0, total / limit)
    chosen = [documents[int(number * every)] for number in range(math.ceil(len(documents) / every))]
    kept: list[bytes] = []
    room = limit
    for document in chosen:
        kept.append(document.encode("utf-8")[:room])
        room -= len(kept[-1])
    return [document for document in kept if document]


def _decades(value: float, known: tuple[float, float]) -> float:
    low, high = known
    return max(0.0, math.log10(low / value), math.log10(value / high))
