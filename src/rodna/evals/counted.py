"""What counted n-grams beside a checkpoint change: held-out text under the counts alone, and under both together."""

import math

import numpy as np
from numpy.typing import NDArray

from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.likelihood.scoring import sum_documents
from rodna.evals.models.model import DecoderModel, LanguageModel
from rodna.evals.result import Direction, Evaluation, Measurement
from rodna.models.counted import mixed_nats

TOGETHER, ALONE = "with_counts", "counted"
TASK_VERSION = 1


def evaluate(model: LanguageModel, data: EvaluationData, config: EvalConfig) -> Evaluation:
    """Measure a checkpoint with its counts, and what that saves; of a model without counts, nothing.

    Everything else that is asked of the model is measured without them, so that it holds wherever the checkpoint is opened.

    Args:
        model: any.
        data: the held-out text as tokens.
        config: seed and resamples of the intervals.
    """
    tokens = data.tokens
    if not isinstance(model, DecoderModel) or model.counted is None or tokens is None:
        return Evaluation([])
    counts, weight = model.counted
    alone_N, counted_N = model.token_nats(tokens), counts.token_nats(tokens)
    together_N = mixed_nats(counted_N, alone_N, weight)
    bytes_S = np.asarray(tokens.document_bytes, dtype=np.float64)
    detail = {"order": counts.order, "ngrams": counts.num_ngrams, "weight": weight}
    ids = [document.id for document in data.documents]

    def measured(task: str, metric: str, direction: Direction, nats_N: NDArray[np.float64]) -> Measurement:
        bits_S = sum_documents(nats_N, tokens) / math.log(2)
        return Measurement(task, metric, "bits per UTF-8 byte", direction, ids, bits_S, bytes_S, task_version=TASK_VERSION, detail=detail)

    found = [
        measured(TOGETHER, "bits_per_byte", "lower", together_N),
        measured(TOGETHER, "gain", "higher", alone_N - together_N),
        measured(ALONE, "bits_per_byte", "lower", counted_N),
    ]
    return Evaluation([], {}, found)
