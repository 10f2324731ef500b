"""Classification without training: which label the model finds most likely after some solved examples.

Reference: Brown et al. 2020 (GPT-3), arXiv:2005.14165; calibration: Zhao et al. 2021, arXiv:2102.09690.

Shapes: N test texts, C classes, R runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rodna.core.errors import EvaluationError
from rodna.evals.classify.config import ClassifyConfig
from rodna.evals.classify.linear import Predictions
from rodna.evals.classify.split import shuffled
from rodna.evals.classify.table import Example
from rodna.evals.models.model import LanguageModel

TEXT, LABEL = "{text}", "{label}"


@dataclass(frozen=True)
class Prompt:
    """How a text becomes what the model reads.

    Attributes:
        shots: solved examples, each with the separator after it.
        before: the text, in the template up to the text.
        after: between text and label.
    """

    shots: str
    before: str
    after: str

    def context(self, text: str) -> str:
        """Return what the model reads before a label."""
        return f"{self.shots}{self.before}{text}{self.after}"


def few_shot(model: LanguageModel, train: Sequence[Example], test: Sequence[Example], labels: Sequence[str], config: ClassifyConfig
             ) -> Predictions:  # fmt: skip
    """Answer with the label of least cost after each text.

    Contextual calibration takes away what the label costs after an empty text, in the same prompt: what the model would answer without
    having read anything, and that long labels cost more. Empty, because the paper's "N/A" is a word of English.

    Args:
        model: any.
        train: shots are drawn from it, as many of each class.
        test: what is asked.
        labels: all classes.
        config: template, shots, calibration, runs.

    Raises:
        EvaluationError: the template lacks a field, two labels are the same word, or a cost is not finite.
    """
    words = label_words(labels, config)
    classes, scores, cut = [], [], set()
    for run in range(config.runs if config.shots else 1):
        prompt = make_prompt(train, labels, config, seed=config.seed + run)
        texts = [example.text for example in test]
        nats_NC, is_cut_N = _costs(model, prompt, texts, words)
        cut |= set(np.flatnonzero(is_cut_N).tolist())
        if config.calibration == "contextual":
            nats_NC = nats_NC - _costs(model, prompt, [""], words)[0]
        if not np.isfinite(nats_NC).all():
            raise EvaluationError(
                "the model's costs of labels are not finite numbers",
                where="few-shot",
                fix="choose another checkpoint: the weights of this one are broken, or its compute dtype overflows",
            )
        classes.append(nats_NC.argmin(axis=1))
        scores.append([dict(zip(labels, map(float, row), strict=True)) for row in nats_NC])
    detail = {"shots_per_class": config.shots, "calibration": config.calibration, "template": config.template}
    warning = f"{len(cut):,} of {len(test):,} prompts are longer than the context: the first shots were lost" if cut else ""
    return Predictions(np.array(classes, dtype=np.int64), detail, len(cut), scores, warning)


def make_prompt(train: Sequence[Example], labels: Sequence[str], config: ClassifyConfig, *, seed: int) -> Prompt:
    """Draw the shots, one of each class in turn, and return the prompt; a class of fewer examples gives what it has."""
    before, after = split_template(config.template)
    words = dict(zip(labels, label_words(labels, config), strict=True))
    order = shuffled(train, seed)
    by_class = [[example for example in order if example.label == label][: config.shots] for label in labels]
    drawn = [group[turn] for turn in range(config.shots) for group in by_class if turn < len(group)]
    # Within a turn classes are in another order each time, so that none always stands last.
    drawn = [example for start in range(0, len(drawn), len(labels)) for example in shuffled(drawn[start : start + len(labels)], seed + 1)]
    shots = "".join(f"{before}{example.text}{after}{words[example.label]}{config.separator}" for example in drawn)
    return Prompt(shots, before, after)


def split_template(template: str) -> tuple[str, str]:
    """Return what a template has before the text, and between text and label.

    Raises:
        EvaluationError: it does not hold {text} once and end with {label}.
    """
    before, found, rest = template.partition(TEXT)
    if not found or TEXT in rest or not rest.endswith(LABEL) or template.count(LABEL) != 1 or rest == LABEL:
        raise EvaluationError(
            f"the template {template!r} cannot be used",
            where="--template",
            fix="write {text} once, then something that parts it from the label, then {label} at the very end",
        )
    return before, rest.removesuffix(LABEL)


def label_words(labels: Sequence[str], config: ClassifyConfig) -> list[str]:
    """Return what the model reads for each label.

    Raises:
        EvaluationError: a word is for no label, is empty, or stands for two labels.
    """
    unknown = sorted(set(config.words) - set(labels))
    words = [config.words.get(label, label) for label in labels]
    twice = sorted({word for word in words if words.count(word) > 1 or not word.strip()})
    if unknown or twice:
        problem = "no label is called" if unknown else "each label needs a word of its own, not"
        raise EvaluationError(
            f"{problem} {', '.join(map(repr, unknown or twice))}",
            where="--word",
            fix=f"give --word LABEL=WORD for labels among {', '.join(map(repr, labels))}",
        )
    return words


def _costs(
    model: LanguageModel, prompt: Prompt, texts: Sequence[str], words: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the nats of every label after every text, (N, C), and which texts' prompts were cut, (N,)."""
    contexts = [prompt.context(text) for text in texts for _ in words]
    found = model.score(contexts, [word for _ in texts for word in words])
    nats_NC = np.array([score.nats for score in found]).reshape(len(texts), len(words))
    is_cut_NC = np.array([score.is_cut for score in found]).reshape(len(texts), len(words))
    return nats_NC, np.asarray(is_cut_NC.any(axis=1))
