"""Whether translations are in the language wanted: where that can be told."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rodna.benchmark import protect
from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.validate import Check, num_letters

KNOWN_SHARE, SUBSTANTIAL_SHARE = 0.5, 0.05
"""As in `LanguageConfig`: an identifier that finds the language in less than half of the batch does not know it well, and what it takes
a substantial part of the batch for is then no error."""
SOURCE_LETTERS = 40
"""Letters from which an item that looks like the source language is judged: what was not translated at all is the likeliest mistake."""


def check_languages(texts: Sequence[str], config: BenchmarkConfig) -> list[Check]:
    """Return for each translated item whether it is in the language; not judged where the identifier is unsure or the item is short.

    The source language, where it is told surely, always fails.
    """
    if config.identifier == "off" or not texts:
        return [Check("language", None, None, "not identified") for _ in texts]
    from rodna.corpus.config import LanguageConfig
    from rodna.corpus.identify import load_identifier
    from rodna.corpus.identify.names import means, means_relative, name_of
    from rodna.corpus.language import parse_language

    target, source = parse_language(config.language), parse_language(config.source_language)
    identifier = load_identifier(LanguageConfig(identifier=config.identifier), language=config.language, root=Path.cwd())
    plain = ["".join(character for character in protect.protect(text, numbers=True).text if character.isprintable()) for text in texts]
    rows = identifier.identify(plain)
    right = np.array([means_relative(label, target) for label in identifier.labels], dtype=bool)
    is_source = np.array([means(label, source) and not means(label, target) for label in identifier.labels], dtype=bool)
    labels = rows["label"].astype(np.int64)
    letters = np.array([num_letters(text) for text in plain])
    weight = np.bincount(labels[labels >= 0], weights=letters[labels >= 0], minlength=len(right))
    if weight[right].sum() < KNOWN_SHARE * weight.sum():
        right |= (weight >= SUBSTANTIAL_SHARE * weight.sum()) & ~is_source
    checks = []
    for row, label, count in zip(rows, labels.tolist(), letters.tolist(), strict=True):
        confidence = float(row["confidence"])
        value = f"{identifier.labels[label]} {confidence:.2f}" if label >= 0 else ""
        if label >= 0 and right[label]:
            checks.append(Check("language", True, value))
        elif label < 0 or confidence < config.min_confidence or count < (SOURCE_LETTERS if is_source[label] else config.min_letters):
            checks.append(Check("language", None, value, "too short or too uncertain to tell"))
        else:
            checks.append(Check("language", False, value, f"looks like {name_of(identifier.labels[label])}"))
    return checks
