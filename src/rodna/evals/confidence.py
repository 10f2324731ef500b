"""How sure a model is of the next token of held-out text, and whether it is right as often as it is sure.

For our own decoders, whose probabilities of all tokens are at hand. Numbers are per token, so only models of one tokenizer compare. A
well calibrated model's entropy is its cross-entropy, and its mean probability of the likeliest token is how often that token is the right
one. Reference: Guo et al. 2017, arXiv:1706.04599; Braverman et al. 2020, "Calibration, entropy rates, and memory in language models".

Shapes: B documents, T positions, V vocabulary, D documents in all.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import DecoderModel, LanguageModel
from rodna.evals.result import Direction, Evaluation, Measurement

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

TASK, TASK_VERSION = "confidence", 1
MAX_DOCUMENTS = 256
"""Held-out documents looked at, drawn by the seed; of each, what the context holds of its beginning."""
UNSURE = 0.5
"""A token is guessed with low confidence where even the likeliest has a smaller probability."""
NAMES: dict[str, tuple[str, Direction]] = {
    "top_token_probability": ("mean probability of the likeliest token", "none"),
    "top_token_accuracy": ("share of tokens that were the likeliest", "higher"),
    "entropy": ("bits per token that the model expects to pay", "none"),
    "cross_entropy": ("bits per token that it pays", "lower"),
    "low_confidence": (f"share of tokens where the likeliest has a probability below {UNSURE}", "none"),
}


def evaluate(model: LanguageModel, data: EvaluationData, config: EvalConfig) -> Evaluation:
    """Measure how sure our decoder is on held-out text; of any other model, nothing.

    Args:
        model: any.
        data: the held-out text.
        config: compute dtype is the model's; the seed draws documents.
    """
    if not isinstance(model, DecoderModel):
        return Evaluation([])
    chosen = np.sort(np.random.default_rng(config.seed).permutation(len(data.documents))[:MAX_DOCUMENTS])
    documents = [data.documents[int(index)] for index in chosen]
    sums_DK, counts_D = _sums(model, [document.text for document in documents])
    gap = float((sums_DK[:, 0].sum() - sums_DK[:, 1].sum()) / counts_D.sum())
    detail: dict[str, Any] = {"tokens": int(counts_D.sum()), "compares": "only models of one tokenizer", "overconfidence": gap}
    digest = prompt_digest(TASK, TASK_VERSION, context_length=model.decoder.config.context_length)
    ids = [document.id for document in documents]
    found = [
        Measurement(
            TASK, name, unit, direction, ids, sums_DK[:, place], counts_D,
            task_version=TASK_VERSION, prompt_digest=digest, detail=detail,
        )
        for place, (name, (unit, direction)) in enumerate(NAMES.items())
    ]  # fmt: skip
    return Evaluation([], {}, found)


@torch.inference_mode()
def _sums(model: DecoderModel, texts: list[str]) -> "tuple[NDArray[np.float64], NDArray[np.float64]]":
    """Return the sum of each of `NAMES` over each document's tokens, and their number."""
    decoder, end = model.decoder, model.tokenizer.end_of_text_id
    was_training = decoder.training
    decoder.eval()
    rows: list[list[float]] = []
    counts: list[int] = []
    try:
        for tokens in model.tokenizer.encode_batch(texts):
            window = [end, *tokens, end][: decoder.config.context_length + 1]
            # One document at a time: no padding, so no number depends on what else was in a batch.
            tokens_T = torch.tensor(window, device=decoder.embedding.weight.device)
            features_1TD = decoder(tokens_T[None, :-1], compute_dtype=model.compute_dtype)
            rows.append(_of_logits(decoder.logits(features_1TD)[0].double(), tokens_T[1:]))
            counts.append(len(window) - 1)
    finally:
        decoder.train(was_training)
    return np.array(rows), np.array(counts, dtype=np.float64)


def _of_logits(logits_TV: "Tensor", targets_T: "Tensor") -> list[float]:
    log_probabilities_TV = logits_TV.log_softmax(-1)
    top = log_probabilities_TV.max(-1)
    probability_T = top.values.exp()
    probabilities_TV = log_probabilities_TV.exp()
    # A score of minus infinity has no part in it: 0 times ln 0 is 0.
    entropy_T = -torch.special.xlogy(probabilities_TV, probabilities_TV).sum(-1)
    paid_T = -log_probabilities_TV.gather(-1, targets_T[:, None])[:, 0]
    sums = [
        probability_T.sum(),
        (top.indices == targets_T).sum(),
        entropy_T.sum() / math.log(2),
        paid_T.sum() / math.log(2),
        (probability_T < UNSURE).sum(),
    ]
    return [float(number) for number in sums]
