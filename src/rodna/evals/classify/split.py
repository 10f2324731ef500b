"""Which texts a method learns from and which it is asked about: stratified, the same every time, no text on both sides."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rodna.core.errors import EvaluationError
from rodna.evals.classify.table import Example, Table, keys_of, label_counts
from rodna.evals.tasks.items import Skipped

MIN_EXAMPLES = 2
"""Of a class: one to learn from and one to be asked about."""
VALIDATION_SHARE = 0.15


@dataclass(frozen=True)
class Split:
    """What is learned from and what is asked.

    Attributes:
        train: in an order that the seed decides.
        test: likewise.
        labels: all classes, sorted.
        skipped: rows that were left out, each with its reason.
    """

    train: list[Example]
    test: list[Example]
    labels: list[str]
    skipped: list[Skipped]


def split_table(table: Table, *, test_share: float, seed: int) -> Split:
    """Part one table, class by class.

    Which side a text falls on depends on the text and the seed, not on its place in the file.

    Raises:
        EvaluationError: fewer than two classes are left.
    """
    skipped = list(table.skipped)
    examples = _without_rare(_without_copies(table.examples, skipped), skipped)
    labels = _labels(examples, skipped)
    train: list[Example] = []
    test: list[Example] = []
    for members in _by_class(examples, seed):
        count = min(len(members) - 1, max(1, round(test_share * len(members))))
        test += members[:count]
        train += members[count:]
    return Split(shuffled(train, seed), shuffled(test, seed), labels, skipped)


def split_tables(train: Table, test: Table, *, seed: int) -> Split:
    """Use two tables as they are, without texts that stand in both and test rows whose class is not learned.

    Raises:
        EvaluationError: fewer than two classes to learn, or nothing to ask.
    """
    skipped = [*train.skipped, *test.skipped]
    asked = _without_copies(test.examples, skipped)
    in_test = dict(zip(keys_of(asked), asked, strict=True))
    learned: list[Example] = []
    for example, key in zip(train.examples, keys_of(train.examples), strict=True):
        if key in in_test:
            skipped.append(_skip(example, f"the same text is asked about: {in_test[key].id}"))
        else:
            learned.append(example)
    learned = _without_rare(_without_copies(learned, skipped), skipped)
    labels = _labels(learned, skipped)
    known = [example for example in asked if example.label in set(labels)]
    skipped += [
        _skip(example, f"no training text has the label {example.label!r}") for example in asked if example.label not in set(labels)
    ]
    if not known:
        raise EvaluationError(
            f"no test text has a label that can be learned: {', '.join(labels)}",
            where=_reasons(skipped),
            fix="give a test file whose labels are spelled as in the training file",
        )
    return Split(shuffled(learned, seed), shuffled(known, seed), labels, skipped)


def hold_out(examples: Sequence[Example], *, share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Part training texts into those to learn from and those to stop by, class by class; a class of one has none of the latter."""
    learn: list[Example] = []
    stop: list[Example] = []
    for members in _by_class(examples, seed):
        count = min(len(members) - 1, math.ceil(share * len(members)))
        stop += members[:count]
        learn += members[count:]
    return shuffled(learn, seed), shuffled(stop, seed)


def folds_of(classes_N: np.ndarray, num_folds: int) -> np.ndarray:
    """Return the fold of each example, int64 (N,): the members of each class are dealt out in turn."""
    fold_N = np.zeros(len(classes_N), dtype=np.int64)
    start = 0
    for number in np.unique(classes_N):
        members = np.flatnonzero(classes_N == number)
        fold_N[members] = (np.arange(len(members)) + start) % num_folds
        start += len(members)
    return fold_N


def shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    """Return examples in an order that their texts and the seed decide."""
    return sorted(examples, key=lambda example: (_order(example, seed), example.id))


def _by_class(examples: Sequence[Example], seed: int) -> list[list[Example]]:
    found: defaultdict[str, list[Example]] = defaultdict(list)
    for example in shuffled(examples, seed):
        found[example.label].append(example)
    return [found[label] for label in sorted(found)]


def _order(example: Example, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\n{example.key}".encode("utf-8", "surrogatepass")).digest()


def _without_copies(examples: Sequence[Example], skipped: list[Skipped]) -> list[Example]:
    """Keep the first of texts that are the same; none where their labels differ."""
    keys = keys_of(examples)
    first: dict[str, Example] = {}
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for example, key in zip(examples, keys, strict=True):
        first.setdefault(key, example)
        labels[key].add(example.label)
    kept: list[Example] = []
    for example, key in zip(examples, keys, strict=True):
        if len(labels[key]) > 1:
            names = ", ".join(map(repr, sorted(labels[key])))
            skipped.append(_skip(example, f"the same text has different labels: {names}"))
        elif first[key] is not example:
            skipped.append(_skip(example, f"the same text as {first[key].id}"))
        else:
            kept.append(example)
    return kept


def _without_rare(examples: Sequence[Example], skipped: list[Skipped]) -> list[Example]:
    counts = label_counts(examples)
    skipped += [_skip(example, f"the only text of class {example.label!r}") for example in examples if counts[example.label] < MIN_EXAMPLES]
    return [example for example in examples if counts[example.label] >= MIN_EXAMPLES]


def _labels(examples: Sequence[Example], skipped: Sequence[Skipped]) -> list[str]:
    labels = sorted({example.label for example in examples})
    if len(labels) < 2:
        raise EvaluationError(
            f"nothing to tell apart: {len(examples):,} usable texts of {len(labels)} class{'es' if len(labels) != 1 else ''}",
            where=_reasons(skipped) or ", ".join(labels),
            fix=f"give at least two classes of {MIN_EXAMPLES} different texts each",
        )
    return labels


def _reasons(skipped: Sequence[Skipped]) -> str:
    """Return the first reasons, to be read in an error."""
    return "; ".join(f"{item.where}: {item.reason}" for item in skipped[:3]) + ("; ..." if len(skipped) > 3 else "")


def _skip(example: Example, reason: str) -> Skipped:
    return Skipped(example.id, example.id, reason)
