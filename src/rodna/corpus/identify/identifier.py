"""From scores of units to a verdict on each document."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rodna.corpus.identify.units import Units, units_of

IDENTIFIED = np.dtype([("label", "i2"), ("confidence", "f4"), ("share", "f4"), ("second", "i2"), ("mixed", "?")])
"""What is known of a document: `label` and `second` index `Identifier.labels`, -1 where there is none."""
SURE = 0.8
"""From this probability on a line counts as being in another language; others go with their document."""

GROUP = 512
"""Documents judged at a time: arrays that stay in the processor's cache."""


class Scorer(Protocol):
    """A model of languages."""

    labels: tuple[str, ...]

    def score(self, units: Units) -> npt.NDArray[np.float32]:
        """Return evidence, shape (units, columns): log-likelihoods and the like, that add up over units."""
        ...

    def probabilities(self, scores: npt.NDArray[np.float32], num_letters: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return calibrated probabilities, shape (rows, labels); rows that sum to less than 1 leave room for unknown languages."""
        ...


class Identifier:
    """Tells the language of documents, and how much of each looks like the language wanted."""

    def __init__(self, scorer: Scorer, *, targets: frozenset[str], scripts: tuple[str, ...], mixed_share: float) -> None:
        self.labels = scorer.labels
        self._scorer, self._scripts, self._mixed_share = scorer, scripts, mixed_share
        self._target_L = np.array([label in targets for label in scorer.labels], dtype=np.bool_)

    def identify(self, texts: Sequence[str]) -> npt.NDArray[np.void]:
        """Judge a batch of documents.

        Documents longer than `SAMPLED_CHARACTERS` are judged by pieces evenly spread over them. A document's result does not depend on
        the others in the batch.

        Returns:
            Shape (documents,), dtype `IDENTIFIED`. `share` counts letters in lines that look like the target language or cannot be told,
            where the identifier knows the language; else in lines that look like the document as a whole. A document without letters
            has the label -1 and the share 1.
        """
        groups = [self._identify(texts[start : start + GROUP]) for start in range(0, len(texts), GROUP)]
        return np.concatenate(groups) if groups else np.zeros(0, dtype=IDENTIFIED)

    def _identify(self, texts: Sequence[str]) -> npt.NDArray[np.void]:
        rows = np.zeros(len(texts), dtype=IDENTIFIED)
        rows["label"], rows["second"], rows["share"] = -1, -1, 1
        units = units_of(texts, self._scripts)
        if not units.num_units:
            return rows
        scores_UL = self._scorer.score(units)
        starts = np.flatnonzero(np.diff(units.document_U, prepend=-1))
        documents = units.document_U[starts]
        letters = np.add.reduceat(units.num_letters_U, starts)
        found_DL = self._scorer.probabilities(np.add.reduceat(scores_UL, starts, axis=0), letters)
        best = found_DL.argmax(axis=1)
        confidence = found_DL[np.arange(len(best)), best]
        known = confidence > 0
        rows["label"][documents] = np.where(known, best, -1)
        rows["confidence"][documents] = confidence
        same_U = self._looks_right(units, scores_UL, np.repeat(best, np.diff(starts, append=units.num_units)))
        share = np.add.reduceat(units.num_letters_U * same_U, starts) / letters
        rows["share"][documents] = share
        others_DL = self._scorer.probabilities(
            np.add.reduceat(scores_UL * ~same_U[:, None], starts, axis=0), np.add.reduceat(units.num_letters_U * ~same_U, starts)
        )
        second = self._second(others_DL, share, best)
        rows["second"][documents] = second
        rows["mixed"][documents] = (share >= self._mixed_share) & (share <= 1 - self._mixed_share)
        return rows

    def _looks_right(
        self, units: Units, scores_UL: npt.NDArray[np.float32], document_best_U: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Return for each unit whether it looks like the target, or like its document where the target is unknown to the model."""
        found_UL = self._scorer.probabilities(scores_UL, units.num_letters_U)
        best_U = found_UL.argmax(axis=1)
        confidence_U = found_UL[np.arange(len(best_U)), best_U]
        if self._target_L.any():
            right_U, document_right_U = self._target_L[best_U], self._target_L[document_best_U]
        else:
            right_U, document_right_U = best_U == document_best_U, np.ones(len(best_U), dtype=np.bool_)
        sure_U = confidence_U >= SURE
        return np.where(sure_U, right_U, np.where(units.foreign_U, right_U, document_right_U))

    def _second(
        self, others_DL: npt.NDArray[np.float32], share: npt.NDArray[np.floating], best: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return the label of what does not look right, taken together; where that is the main label, the target's."""
        second = others_DL.argmax(axis=1)
        target = int(self._target_L.argmax()) if self._target_L.any() else -1
        second = np.where(second == best, np.where(share > 0, target, -1), second)
        return np.where((share >= 1) | (second == best), -1, second)
