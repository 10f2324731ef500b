"""Logistic regression on features, its strength of regularisation chosen on the training part; and the baselines.

Shapes: N texts, D features, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rodna.core.errors import EvaluationError
from rodna.evals.classify.measure import macro_f1
from rodna.evals.classify.split import folds_of

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Inverse strengths of regularisation that are tried."""
MAX_FOLDS = 5
NGRAM_RANGE = (2, 5)
MAX_NGRAMS = 300_000
"""The most frequent are kept, so that memory does not grow with the text."""
MAX_COMPACT = 2000
"""Training texts up to which n-grams are made compact: some ten times faster for 360 texts; beyond, its cost grows as their cube."""
RANK_TOLERANCE = 1e-10
MAX_ITERATIONS = 1000


@dataclass(frozen=True)
class Predictions:
    """What a method answered.

    Attributes:
        classes_RN: int64, the class of each test text in each run; (1, N) of a method without chance.
        detail: what was chosen on the way; JSON values.
        cut: how many test texts were longer than what the model can read at once.
        scores: for each run, whatever is kept beside an answer; empty where there is nothing.
        warning: what has to be known to read the numbers.
    """

    classes_RN: NDArray[np.int64]
    detail: dict[str, Any] = field(default_factory=dict)
    cut: int = 0
    scores: list[list[dict[str, float]]] = field(default_factory=list)
    warning: str = ""


def majority(train_N: NDArray[np.int64], num_test: int) -> Predictions:
    """Answer with the most frequent class, the first of equals."""
    return Predictions(np.full((1, num_test), int(np.bincount(train_N).argmax())))


def ngrams(train: Sequence[str], train_N: NDArray[np.int64], test: Sequence[str]) -> Predictions:
    """Classify by character n-grams, without a model: TF-IDF of 2 to 5 characters, lower case, and logistic regression.

    The n-grams and their weights come from all training texts, as no label is needed for them.
    """
    check_scikit_learn()
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=NGRAM_RANGE, sublinear_tf=True, max_features=MAX_NGRAMS)
    # A text of one character still has n-grams: those with the spaces around it.
    learned = vectorizer.fit_transform([f" {text} " for text in train])
    asked = vectorizer.transform([f" {text} " for text in test])
    if learned.shape[0] <= min(MAX_COMPACT, learned.shape[1]):
        learned, asked = compact(learned, asked)
    return linear({"tf-idf": (learned, asked)}, train_N, scales=False)


def compact(train: Any, test: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Turn many sparse features into at most as many as there are training texts, (N, N), on which the same regression comes out.

    With the square of its weights as the penalty, it depends on inner products with training texts alone.
    """
    values, vectors = np.linalg.eigh((train @ train.T).toarray())
    kept = values > RANK_TOLERANCE * values.max()
    basis = vectors[:, kept] / np.sqrt(values[kept])
    return (train @ train.T).toarray() @ basis, (test @ train.T).toarray() @ basis


def linear(features: Mapping[str, tuple[Any, Any]], train_N: NDArray[np.int64], *, scales: bool) -> Predictions:
    """Fit logistic regression on the features that do best, with the regularisation that does best, in cross-validation.

    Args:
        features: name -> those of the training texts and of the test texts, (N, D).
        train_N: classes of the training texts, at least two.
        scales: bring every feature to mean 0 and variance 1 first.
    """
    check_scikit_learn()
    smallest = int(np.bincount(train_N)[np.unique(train_N)].min())
    folds = min(MAX_FOLDS, max(2, smallest))
    found = {
        (name, strength): _cross_validated(train, train_N, strength, folds, scales=scales)
        for name, (train, _) in features.items()
        for strength in STRENGTHS
    }
    # Of equals the more strongly regularised, which comes first.
    name, strength = max(found, key=lambda key: found[key])
    train, test = features[name]
    model = _fit(train, train_N, strength, scales=scales)
    detail = {"features": name, "inverse_regularisation": strength, "folds": folds, "cross_validated_macro_f1": found[name, strength]}
    return Predictions(np.asarray(model.predict(test), dtype=np.int64)[None], detail)


def _cross_validated(features: Any, classes_N: NDArray[np.int64], strength: float, folds: int, *, scales: bool) -> float:
    """Return the macro-F1 of what each fold is given by a fit on the others; 0 where no fit is possible."""
    fold_N = folds_of(classes_N, folds)
    predicted_N = np.full(len(classes_N), -1, dtype=np.int64)
    for fold in range(folds):
        learn, ask = np.flatnonzero(fold_N != fold), np.flatnonzero(fold_N == fold)
        if len(ask) and len(np.unique(classes_N[learn])) > 1:
            predicted_N[ask] = _fit(features[learn], classes_N[learn], strength, scales=scales).predict(features[ask])
    answered = predicted_N >= 0
    return macro_f1(classes_N[answered], predicted_N[answered], int(classes_N.max()) + 1) if answered.any() else 0.0


def _fit(features: Any, classes_N: NDArray[np.int64], strength: float, *, scales: bool) -> Any:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
    steps = make_pipeline(StandardScaler(), model) if scales else model
    with warnings.catch_warnings():
        # Weak regularisation may not settle in so many steps; cross-validation judges what came out.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return steps.fit(features, classes_N)


def check_scikit_learn() -> None:
    """Refuse to start where scikit-learn is not installed.

    Raises:
        EvaluationError: it is not.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise EvaluationError(
            "classification needs scikit-learn, for the n-gram baseline and the linear probe",
            where="import sklearn",
            fix="pip install 'rodna[eval]'",
        ) from error
