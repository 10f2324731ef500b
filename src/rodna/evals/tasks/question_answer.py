"""Question and answer: how surprised is the model by the right answer?

The measure of LT-Llama2's table 4 (Nakvosas et al. 2024, arXiv:2408.12963), perplexity over pairs by category, in a unit that compares
across tokenizers: bits per byte of the answer given the question, and of the whole pair. Nothing is generated, so it tells small models
apart where accuracies are all at chance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rodna.evals.config import EvalConfig
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel, Score
from rodna.evals.result import Measurement
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import Outcome, Row, Task
from rodna.evals.tasks.multiple_choice import read_question
from rodna.evals.tasks.prompts import (
    ask,
    categories,
    checked_template,
    cut_warning,
    fill,
    find,
    level_of,
    make_shots,
    parts_of,
    text_of,
    usable,
)

FIELDS = frozenset({"question", "answer"})
VERSION = 1
PROMPT = "{question}\n"
WARNING = "perplexity per token compares only models with the same tokenizer: longer tokens raise it; compare bits per byte"


@dataclass(frozen=True)
class _Pair:
    row: Row
    question: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class _Scored:
    pair: _Pair
    answer: Score
    whole: Score


def evaluate(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    """Return what answers and whole pairs cost, in all and by category.

    Args:
        model: any that can score.
        task: rows with `question` and `answer`.
        config: `prompt`, with {question} and any other field; `shots` precede the answer's question, never the whole pair.
        settings: the seed that draws solved items.
    """
    template = checked_template(config, PROMPT)
    category_of = dict(zip((row.id for row in task.rows), categories(task.rows, config), strict=True))

    def read(row: Row) -> _Pair:
        if find(row.fields, "choices") is None:
            question, answer = text_of(row.fields, "question"), text_of(row.fields, "answer")
        else:
            # `B` tells nothing: the text of the right option is the answer.
            item = read_question(row)
            question, answer = item.question, item.options[item.gold]
        return _Pair(row, question, fill(template, {**row.fields, "question": question}), answer)

    def solve(row: Row) -> tuple[str, str]:
        pair = read(row)
        return pair.question, pair.prompt + pair.answer

    pairs, skipped = usable(task.rows, read)
    shots = make_shots(task, config, settings, solve)
    contexts = [shots.before(pair.row.id, pair.question, category_of[pair.row.id]) + pair.prompt for pair in pairs]
    scores = ask(
        model, contexts + [""] * len(pairs), [pair.answer for pair in pairs] + [pair.prompt + pair.answer for pair in pairs], task=task.name
    )
    scored = [_Scored(*item) for item in zip(pairs, scores[: len(pairs)], scores[len(pairs) :], strict=True)]
    digest = prompt_digest(
        "question_answer", VERSION, prompt=template, shots=config.shots, solved=shots.digest, seed=settings.seed if config.shots else 0
    )
    parts = parts_of(task.name, [category_of[pair.row.id] for pair in pairs])
    measurements = [
        measurement
        for name, index in parts
        for measurement in _measure(
            name, [scored[i] for i in index], digest=digest, detail={"shots": config.shots, **level_of(name, parts)}
        )
    ]
    return Outcome(measurements, skipped, {pair.row.id: f"{pair.question}\n{pair.answer}" for pair in pairs})


def _measure(name: str, scored: Sequence[_Scored], *, digest: str, detail: Mapping[str, Any]) -> list[Measurement]:
    if not scored:
        return []
    ids = [item.pair.row.id for item in scored]
    nats = {"answer": np.array([item.answer.nats for item in scored]), "whole": np.array([item.whole.nats for item in scored])}
    answer_bytes = np.array([_num_bytes(item.pair.answer) for item in scored], dtype=np.float64)
    whole_bytes = answer_bytes + np.array([_num_bytes(item.pair.prompt) for item in scored], dtype=np.float64)
    tokens = np.array([item.whole.num_tokens for item in scored], dtype=np.float64)
    num_cut = sum(item.answer.is_cut for item in scored)
    more = {**detail, "cut": num_cut}
    warning = cut_warning(num_cut, len(scored), name) if detail["level"] == "task" else {}
    common: dict[str, Any] = {"task_version": VERSION, "prompt_digest": digest}
    unit = "bits per UTF-8 byte"
    found = [
        Measurement(
            name, "answer_bits_per_byte", unit, "lower", ids, nats["answer"] / math.log(2), answer_bytes,
            detail={**more, "about": "the answer, given the question", **warning}, **common,
        ),
        Measurement(
            name, "pair_bits_per_byte", unit, "lower", ids, nats["whole"] / math.log(2), whole_bytes,
            detail={**more, "about": "question and answer as one text"}, **common,
        ),
    ]  # fmt: skip
    if tokens.sum():
        found.append(
            Measurement(
                name, "token_perplexity", "perplexity per token", "lower", ids, nats["whole"], tokens, scale="perplexity",
                detail={**more, "about": "question and answer as one text", "warning": WARNING}, **common,
            )
        )  # fmt: skip
    return found


def _num_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
