"""What held-out text costs the model, in units that compare: bits per byte, beside simple baselines.

Every document of the `test` split is scored by itself, after one end_of_text. Counted is the cost of all its tokens and of the
end_of_text that closes it: a model that cannot tell where a text ends pays for it. Divided by the UTF-8 bytes of the text alone,
which no tokenizer changes. The baselines pay for the ends too.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rodna.evals.baselines import baselines, compare
from rodna.evals.bootstrap import ratio_interval
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.model import DecoderModel
from rodna.evals.result import Direction, Evaluation, Result
from rodna.evals.text import WORD_RULE, words

TASK_VERSION = 1
MOST_NATS = 700.0
"""Of a perplexity's exponent; beyond it float64 ends."""


def evaluate(model: DecoderModel, data: EvaluationData, config: EvalConfig) -> Evaluation:
    """Measure the model, in all and by source, and its baselines, on the held-out text.

    Args:
        model: ours, since the tokens are those of its tokenizer.
        data: the held-out text and its tokens.
        config: windows, resamples and seed.
    """
    nats_D = model.document_nats(data.tokens)
    texts = [document.text for document in data.documents]
    counts = {
        "bytes": np.asarray(data.tokens.document_bytes, dtype=np.int64),
        "characters": np.array([len(text) for text in texts], dtype=np.int64),
        "tokens": np.diff(np.asarray(data.tokens.offsets, dtype=np.int64)),
        "words": np.array([len(words(text)) for text in texts], dtype=np.int64),
    }
    results = _rates(nats_D, counts, config)
    results += _by_source(nats_D, counts["bytes"], [document.source for document in data.documents], config)
    bits_D = nats_D / math.log(2)
    for baseline in baselines(data, config):
        results += compare(baseline, bits_D, counts["bytes"], config)
    return Evaluation(results)


def _rates(nats_D: NDArray[np.float64], counts: dict[str, NDArray[np.int64]], config: EvalConfig) -> list[Result]:
    totals = {name: int(count_D.sum()) for name, count_D in counts.items()}
    detail = {
        "nats": float(nats_D.sum()),
        **totals,
        "documents": len(nats_D),
        "stride": config.stride,
        "compute_dtype": config.compute_dtype,
        "end_of_text": "its cost is counted; the bytes are those of the text alone",
    }
    found = [
        _rate("bits_per_byte", "bits per UTF-8 byte", nats_D, counts["bytes"], config, detail),
        _rate("bits_per_character", "bits per character", nats_D, counts["characters"], config, detail),
        _rate("token_perplexity", "perplexity per token", nats_D, counts["tokens"], config, detail),
    ]
    if totals["words"]:
        found.append(_rate("word_perplexity", "perplexity per word", nats_D, counts["words"], config, {**detail, "words_are": WORD_RULE}))
    return found


def _rate(
    metric: str, unit: str, nats_D: NDArray[np.float64], count_D: NDArray[np.int64], config: EvalConfig, detail: dict[str, Any]
) -> Result:
    """Return the nats spread over a count: as bits, or as a perplexity where the unit is one."""
    is_perplexity = unit.startswith("perplexity")
    nats = float(nats_D.sum() / count_D.sum())
    interval = ratio_interval(nats_D, count_D, samples=config.bootstrap_samples, seed=config.seed)
    value, low, high = (math.exp(min(number, MOST_NATS)) if is_perplexity else number / math.log(2) for number in (nats, *interval))
    direction: Direction = "lower"
    return Result("held_out_text", metric, value, unit, low, high, len(nats_D), direction, TASK_VERSION, detail)


def _by_source(nats_D: NDArray[np.float64], bytes_D: NDArray[np.int64], sources: list[str], config: EvalConfig) -> list[Result]:
    """Return bits per byte of each source that has held-out text; of a single source, nothing new."""
    names = sorted(set(sources))
    results: list[Result] = []
    for name in names if len(names) > 1 else []:
        index = np.flatnonzero(np.array([source == name for source in sources]))
        nats, sizes = nats_D[index], bytes_D[index]
        if not sizes.sum():
            continue
        low, high = ratio_interval(nats / math.log(2), sizes, samples=config.bootstrap_samples, seed=config.seed)
        value = float(nats.sum() / math.log(2) / sizes.sum())
        detail = {"source": name, "bytes": int(sizes.sum())}
        results.append(
            Result(f"source:{name}", "bits_per_byte", value, "bits per UTF-8 byte", low, high, len(index), "lower", TASK_VERSION, detail)
        )
    return results
