"""What held-out text costs a model, in units that compare: bits per byte, beside simple baselines.

Every document of the `test` split is scored by itself, after one end_of_text. Counted is the cost of all its tokens and of the
end_of_text that closes it: a model that cannot tell where a text ends pays for it. Divided by the UTF-8 bytes of the text alone,
which no tokenizer changes. The baselines pay for the ends too.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rodna.evals.baselines import baselines, compare
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.measure import result_of
from rodna.evals.models.ensemble import EnsembleModel
from rodna.evals.models.model import DecoderModel, LanguageModel
from rodna.evals.result import Evaluation, Measurement
from rodna.evals.text import WORD_RULE, words

TASK, TASK_VERSION = "held_out_text", 1
PERPLEXITY_WARNING = "perplexity per token depends on the tokenizer: never compare it between models whose tokenizers differ"


def evaluate(model: LanguageModel, data: EvaluationData, config: EvalConfig) -> Evaluation:
    """Measure the model, in all and by source, and its baselines, on the held-out text.

    Args:
        model: any that can score.
        data: the held-out text, and its tokens where they are of the model's own tokenizer.
        config: windows, resamples and seed.
    """
    measured = held_out(model, data, config)
    first = measured.measurements[0]
    bits_D, bytes_D = first.numerator_N, first.denominator_N.astype(np.int64)
    results = measured.results
    for baseline in baselines(data, config):
        results += compare(baseline, bits_D, bytes_D, config)
    return Evaluation(results, {}, measured.measurements)


def held_out(model: LanguageModel, data: EvaluationData, config: EvalConfig) -> Evaluation:
    """Measure the model alone on the held-out text, in all and by source; bits per byte in all is the first measurement."""
    nats_D, tokens_D = _costs(model, data)
    texts = [document.text for document in data.documents]
    counts = {
        "bytes": np.array([len(text.encode("utf-8")) for text in texts], dtype=np.int64),
        "characters": np.array([len(text) for text in texts], dtype=np.int64),
        "tokens": tokens_D,
        "words": np.array([len(words(text)) for text in texts], dtype=np.int64),
    }
    ids = [document.id for document in data.documents]
    measurements = _rates(nats_D, counts, ids, config)
    measurements += _by_source(nats_D / math.log(2), counts["bytes"], ids, [document.source for document in data.documents])
    results = [result_of(item, samples=config.bootstrap_samples, seed=config.seed) for item in measurements]
    return Evaluation(results, {}, measurements)


def _costs(model: LanguageModel, data: EvaluationData) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the nats and the number of tokens of each document, its end counted."""
    if data.tokens is not None and isinstance(model, DecoderModel | EnsembleModel):
        return model.document_nats(data.tokens), np.diff(np.asarray(data.tokens.offsets, dtype=np.int64))
    scores = model.score_documents([document.text for document in data.documents])
    return np.array([score.nats for score in scores]), np.array([score.num_tokens for score in scores], dtype=np.int64)


def _rates(nats_D: NDArray[np.float64], counts: dict[str, NDArray[np.int64]], ids: list[str], config: EvalConfig) -> list[Measurement]:
    totals = {name: int(count_D.sum()) for name, count_D in counts.items()}
    detail = {
        "nats": float(nats_D.sum()),
        **totals,
        "documents": len(nats_D),
        "stride": config.stride,
        "compute_dtype": config.compute_dtype,
        "end_of_text": "its cost is counted; the bytes are those of the text alone",
    }

    def rate(metric: str, unit: str, count: str, **more: Any) -> Measurement:
        is_perplexity = unit.startswith("perplexity")
        return Measurement(
            TASK, metric, unit, "lower", ids, nats_D if is_perplexity else nats_D / math.log(2), counts[count].astype(np.float64),
            scale="perplexity" if is_perplexity else "ratio", task_version=TASK_VERSION, detail={**detail, **more},
        )  # fmt: skip

    found = [
        rate("bits_per_byte", "bits per UTF-8 byte", "bytes"),
        rate("bits_per_character", "bits per character", "characters"),
        rate("token_perplexity", "perplexity per token", "tokens", warning=PERPLEXITY_WARNING),
    ]
    if totals["words"]:
        found.append(rate("word_perplexity", "perplexity per word", "words", words_are=WORD_RULE))
    return found


def _by_source(bits_D: NDArray[np.float64], bytes_D: NDArray[np.int64], ids: list[str], sources: list[str]) -> list[Measurement]:
    """Return bits per byte of each source that has held-out text; of a single source, nothing new."""
    names = sorted(set(sources))
    found: list[Measurement] = []
    for name in names if len(names) > 1 else []:
        index = np.flatnonzero(np.array([source == name for source in sources]))
        sizes = bytes_D[index]
        if not sizes.sum():
            continue
        detail = {"source": name, "bytes": int(sizes.sum())}
        found.append(
            Measurement(
                f"source:{name}",
                "bits_per_byte",
                "bits per UTF-8 byte",
                "lower",
                [ids[place] for place in index],
                bits_D[index],
                sizes.astype(np.float64),
                task_version=TASK_VERSION,
                detail=detail,
            )
        )
    return found
