"""Identifiers made from a few hundred lines of each language: they judge what the built-in identifier cannot tell apart.

The built-in identifier says how likely the languages are that it takes the training lines for (for Samogitian, Lithuanian); these share
out among the trained languages by naive Bayes over character n-grams. All other languages stay the built-in identifier's.
"""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rodna.core.artifact import Artifact
from rodna.core.errors import ArtifactError
from rodna.corpus.identify.builtin import builtin, damping, softmax
from rodna.corpus.identify.ngrams import ngrams_of
from rodna.corpus.identify.units import Units

KIND = "language_identifier"
FORMAT_VERSION = 1
NO, WEAKLY, STRONGLY = 0, 1, 2
"""Whether a built-in label stands for the trained languages: never, for text much like the training text, always."""
MIN_LETTERS = 20
"""Shorter texts are too short to look like the training text, or unlike everything known."""
_TINY = 1e-3


class Trained:
    """Trained languages first, then those of the built-in identifier that are none of their look-alikes.

    The model: `weights` (n-grams, trained languages + 1) float32, the last column 1 where training text has the n-gram; `shares` (trained
    languages, built-in labels): of training lines that get a built-in label, how many are in which language, were all equally frequent;
    `alike` (built-in labels): `NO`, `WEAKLY` or `STRONGLY`; `scale` of the evidence. `min_seen` and `typically_seen` are shares of n-grams
    that training text has: less than the first is nothing known, from the second on a text is much like the training text.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        weights: npt.NDArray[np.float32],
        shares: npt.NDArray[np.float32],
        alike: npt.NDArray[np.int8],
        *,
        scale: float,
        min_seen: float,
        typically_seen: float,
    ) -> None:
        self._names, self._weights, self._shares, self._alike = names, weights, shares, alike
        self._scale, self._min_seen, self._typically_seen = scale, min_seen, typically_seen
        self._builtin = builtin()
        self._outside = np.flatnonzero((alike < STRONGLY) & ~np.isin(self._builtin.labels, names))
        self.labels = (*names, *(self._builtin.labels[index] for index in self._outside.tolist()))

    @classmethod
    def open(cls, path: Path) -> "Trained":
        """Read a model.

        Raises:
            ArtifactError: it is no complete identifier.
        """
        artifact = Artifact.open(path, kind=KIND)
        about = json.loads((artifact.path / "identifier.json").read_text(encoding="utf-8"))
        with np.load(artifact.path / "model.npz", allow_pickle=False) as arrays:
            weights, shares, alike = arrays["weights"], arrays["shares"], arrays["alike"]
        if tuple(about["builtin"]) != builtin().labels:
            raise ArtifactError(
                "this identifier was made with another version of the built-in one",
                where=str(path),
                fix="make it again with `rodna corpus langid train`",
            )
        numbers = {name: float(about[name]) for name in ("scale", "min_seen", "typically_seen")}
        return cls(tuple(about["labels"]), weights, shares, alike, **numbers)

    def score(self, units: Units) -> npt.NDArray[np.float32]:
        """Return evidence: the built-in identifier's columns, the trained languages', n-grams, and n-grams known from training."""
        own = naive_bayes(self._weights, units)
        return np.concatenate([self._builtin.score(units), own], axis=1)

    def probabilities(self, scores: npt.NDArray[np.float32], num_letters: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return probabilities; rows of texts unlike anything known sum to 0."""
        num_builtin, num_names = len(self._builtin.labels), len(self._names)
        general = self._builtin.probabilities(scores[:, :num_builtin], num_letters)
        own = scores[:, num_builtin : num_builtin + num_names] * (self._scale * damping(num_letters))[:, None]
        seen = scores[:, -1] / np.maximum(scores[:, -2], 1)
        typical = (seen >= self._typically_seen) & (num_letters >= MIN_LETTERS)
        meant = (self._alike == STRONGLY) | ((self._alike == WEAKLY) & typical[:, None])
        prior = general * meant
        shared = softmax(own + prior_of(prior, self._shares)) * prior.sum(axis=1, keepdims=True)
        found = np.concatenate([shared, (general - prior)[:, self._outside]], axis=1)
        strange = (seen < self._min_seen) & (num_letters >= MIN_LETTERS) & (found.argmax(axis=1) < num_names)
        found[strange] = 0
        return found


def prior_of(general: npt.NDArray[np.float32], shares: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return what the built-in identifier's probabilities say of the trained languages, as log-odds, shape (rows, trained languages)."""
    return np.log(general @ shares.T + _TINY).astype(np.float32)


def naive_bayes(weights: npt.NDArray[np.float32], units: Units) -> npt.NDArray[np.float32]:
    """Return shape (units, languages + 2): log-likelihoods, how many n-grams there are, and how many of them training text has.

    The last column of the weights says whether an n-gram is in the training text.
    """
    unit, ngram, count = ngrams_of(units)
    terms = np.empty((len(unit), weights.shape[1] + 1), dtype=np.float32)
    np.take(weights[:, :-1], ngram, axis=0, out=terms[:, :-2])
    terms[:, -2], terms[:, -1] = 1, weights[ngram, -1]
    terms *= np.log2(1 + count.astype(np.float32))[:, None]
    scores = np.zeros((units.num_units, terms.shape[1]), dtype=np.float32)
    starts = np.flatnonzero(np.diff(unit, prepend=-1))
    if len(starts):
        scores[unit[starts]] = np.add.reduceat(terms, starts, axis=0)
    return scores
