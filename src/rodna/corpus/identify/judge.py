"""Which documents are dropped for being in another language: judged over the whole corpus, and only where there is no doubt."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rodna.corpus.config import LanguageConfig
from rodna.corpus.identify.names import means, means_relative, name_of
from rodna.corpus.language import parse_language

LANGUAGE_REASONS = ("", "other_language")
"""Index 0: keep."""


def judge_language(
    rows: npt.NDArray[Any], labels: Sequence[str], num_characters: npt.NDArray[Any], config: LanguageConfig, language: str
) -> npt.NDArray[np.int8]:
    """Return for each document an index into `LANGUAGE_REASONS`.

    Args:
        rows: shape (documents,), with the fields of `IDENTIFIED`.
        labels: of the identifier.
        num_characters: shape (documents,).
        config: thresholds.
        language: the corpus' BCP-47 tag.
    """
    reasons = np.zeros(len(rows), dtype=np.int8)
    if config.action == "keep" or not len(rows):
        return reasons
    label = rows["label"].astype(np.int64)
    accepted = accepted_labels(rows, labels, num_characters, config, language)
    # Where the identifier has no label for the language, shares are of what the document itself looks like.
    known = any(means(name, parse_language(language)) for name in labels)
    other = (
        (label >= 0)
        & ~accepted[label]
        & (rows["confidence"] >= config.min_confidence)
        & (num_characters >= config.min_characters)
        & ((rows["share"] < config.mixed_share) | (not known))
        & ~rows["mixed"]
    )
    reasons[other] = 1
    return reasons


def accepted_labels(
    rows: npt.NDArray[Any], labels: Sequence[str], num_characters: npt.NDArray[Any], config: LanguageConfig, language: str
) -> npt.NDArray[np.bool_]:
    """Return for each label, and one more for no label at all, whether documents so labelled are in the corpus' language.

    The language's own label is, and those of its macrolanguage (ISO 639-3). Where together they name less than half of the corpus, the
    identifier does not know this language, or takes it for a neighbour: then every label of a substantial share of the text counts too.
    """
    tag = parse_language(language)
    same = means_relative if config.relatives else means
    accepted = np.array([*(same(name, tag) for name in labels), True], dtype=np.bool_)
    weight = np.bincount(rows["label"].astype(np.int64) % len(accepted), weights=num_characters, minlength=len(accepted))[:-1]
    total = weight.sum()
    if total and weight[accepted[:-1]].sum() < config.known_share * total:
        accepted[:-1] |= weight >= config.substantial_share * total
    return accepted


def explain_language(row: Any, labels: Sequence[str], reason: int) -> str:
    """Return what a person needs to judge the verdict on one document."""
    if row["label"] < 0:
        return "no language could be told"
    first, other = int(row["label"]), int(row["second"])
    second = f", then {name_of(labels[other])}" if other >= 0 else ""
    share = f"; {float(row['share']):.0%} of its letters look right"
    return f"looks like {name_of(labels[first])} (confidence {float(row['confidence']):.2f}){second}{share if reason else ''}"
