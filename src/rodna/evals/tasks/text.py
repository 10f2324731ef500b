"""Text: what documents cost the model, in bits for each UTF-8 byte, in all, by source and by category.

Each document is scored by itself, after one end_of_text and with the end_of_text that closes it where the model has such a token, so models
of different tokenizers are asked for the same bytes of the same documents.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rodna.core.errors import EvaluationError
from rodna.evals.config import EvalConfig
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel, Score
from rodna.evals.result import Measurement
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import Outcome, Row, Task
from rodna.evals.tasks.prompts import find, text_of, usable

FIELDS = frozenset({"text"})
VERSION = 1
WARNING = "perplexity per token depends on the tokenizer: never compare it between models whose tokenizers differ"


@dataclass(frozen=True)
class _Document:
    row: Row
    text: str


@dataclass(frozen=True)
class _Scored:
    document: _Document
    score: Score
    num_bytes: int


def evaluate(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    """Return bits per byte of all documents, of each source and of each category; perplexity per token beside a warning.

    Args:
        model: any that can score.
        task: rows with `text`; `source`, without which the file's name is one.
        config: `category` names the field to tell apart, by default `category`.
        settings: windows over long documents; used by the model.
    """
    documents, skipped = usable(task.rows, lambda row: _Document(row, text_of(row.fields, "text")))
    scores = model.score_documents([document.text for document in documents])
    scored = [
        _Scored(document, score, len(document.text.encode("utf-8", "surrogatepass")))
        for document, score in zip(documents, scores, strict=True)
    ]
    bad = sum(not math.isfinite(item.score.nats) for item in scored)
    if bad:
        raise EvaluationError(
            f"the model's likelihood of {bad} of {len(scored)} documents is not a finite number",
            where=f"task {task.name}",
            fix="the model's weights hold NaN or infinity: train again with a lower learning rate, or choose an earlier checkpoint",
        )
    return Outcome(_measurements(task.name, scored, config), skipped, {item.document.row.id: item.document.text for item in scored})


def _measurements(name: str, scored: Sequence[_Scored], config: TaskConfig) -> list[Measurement]:
    if not scored:
        return []
    found = [_bits_per_byte(name, scored), *_perplexity(name, scored)]
    sources = [_name(find(item.document.row.fields, "source")) or item.document.row.part for item in scored]
    categories = [_name(find(item.document.row.fields, config.category or "category")) for item in scored]
    for prefix, names in (("source", sources), ("category", categories)):
        values = sorted({value for value in names if value})
        # Of a single source there is nothing new to say.
        for value in values if len(values) > 1 else []:
            own = [item for item, other in zip(scored, names, strict=True) if other == value]
            found.append(_bits_per_byte(f"{name}/{prefix}={value}", own))
    return found


def _name(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _bits_per_byte(name: str, scored: Sequence[_Scored]) -> Measurement:
    bits_N = np.array([item.score.nats for item in scored]) / math.log(2)
    return _measure(name, "bits_per_byte", "bits per UTF-8 byte", scored, bits_N, np.array([item.num_bytes for item in scored]))


def _perplexity(name: str, scored: Sequence[_Scored]) -> list[Measurement]:
    tokens_N = np.array([item.score.num_tokens for item in scored])
    if not tokens_N.sum():
        return []
    nats_N = np.array([item.score.nats for item in scored])
    return [_measure(name, "token_perplexity", "perplexity per token", scored, nats_N, tokens_N, warning=WARNING)]


def _measure(name: str, metric: str, unit: str, scored: Sequence[_Scored], top_N: Any, bottom_N: Any, **detail: Any) -> Measurement:
    return Measurement(
        task=name,
        metric=metric,
        unit=unit,
        direction="lower",
        ids=[item.document.row.id for item in scored],
        numerator_N=np.asarray(top_N, dtype=np.float64),
        denominator_N=np.asarray(bottom_N, dtype=np.float64),
        scale="perplexity" if metric == "token_perplexity" else "ratio",
        task_version=VERSION,
        prompt_digest=prompt_digest("text", VERSION),
        detail={
            "bytes": sum(item.num_bytes for item in scored),
            "tokens": sum(item.score.num_tokens for item in scored),
            "end_of_text": "its cost is counted where the model has one; the bytes are those of the text alone",
            **detail,
        },
    )
