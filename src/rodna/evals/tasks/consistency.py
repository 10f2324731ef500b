"""Consistency: asked the same question in other words, does the model answer the same?

Items hold `prompts`, two or more ways of asking one question, and may hold an `answer` or options. Without options the model writes, the
likeliest token each time, and answers are compared as wholes and by chrF (Popović 2015), the mean of both directions. With options it is
compared which option the model finds likeliest, per byte. Every pair of an item's prompts is compared; every item weighs the same.
A model that always says the same is consistent too: so `detail["different_questions"]` says how often answers to different questions
agree, and accuracy is told apart. Reference: Elazar et al. 2021, "Measuring and improving consistency in pretrained language models",
arXiv:2102.01017.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, cast

import numpy as np

from rodna.core.errors import EvaluationError
from rodna.core.log import warn
from rodna.corpus.unspaced import UNSPACED_LETTER
from rodna.evals.config import EvalConfig
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel
from rodna.evals.result import Measurement
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.exact_match import normalise
from rodna.evals.tasks.items import Outcome, Row, Task
from rodna.evals.tasks.multiple_choice import Question, read_question
from rodna.evals.tasks.prompts import UnusableItemError, ask, categories, fill, find, parts_of, text_of, usable

FIELDS = frozenset({"prompts"})
VERSION = 1
PROMPT = "{prompt}"
STOP = ("\n",)
OPTION_FIELDS = ("choices", "options", "option_a")


@dataclass(frozen=True)
class Item:
    """One usable item.

    Attributes:
        row: what it was read from.
        prompts: two or more, as the model reads them.
        answers: of which any is right; none where the item has none.
        question: its options and the right one; None where it has no options.
    """

    row: Row
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    question: Question | None


@dataclass(frozen=True)
class Answered:
    """What the model answered to an item.

    Attributes:
        item: what was asked.
        said: for each prompt, the text, or the indexes of the likeliest options: more than one only where they are equally likely.
        right: share of the prompts that were answered rightly.
    """

    item: Item
    said: tuple[Any, ...]
    right: float


def evaluate(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    """Return how often answers agree, in all and by category, and how many are right; keep what was answered.

    Args:
        model: any that can generate; for items with options, any that can score.
        task: rows with `prompts`; `answer` and options where they have them.
        config: `prompt`, with {prompt} and any other field; `stop` and `max_tokens`.
        settings: unused: nothing is drawn.

    Raises:
        EvaluationError: solved items are to be shown, which this kind cannot.
    """
    if config.shots:
        raise EvaluationError("consistency shows no solved items", where=f"task {task.name}: shots", fix="leave out `shots`")
    items, skipped = usable(task.rows, lambda row: read_item(row, config.prompt or PROMPT))
    with_options = [item for item in items if item.question is not None]
    free = [item for item in items if item.question is None]
    stop = tuple(config.stop) or STOP
    digest = prompt_digest("consistency", VERSION, prompt=config.prompt or PROMPT, stop=list(stop), max_tokens=config.max_tokens)
    written = _write(model, free, task.name, stop=stop, max_tokens=config.max_tokens)
    chosen = _choose(model, with_options, task.name)
    category_of = dict(zip((row.id for row in task.rows), categories(task.rows, config), strict=True))
    found: list[Measurement] = []
    for answered, measure in ((written, _measure_written), (chosen, _measure_chosen)):
        for name, index in parts_of(task.name, [category_of[one.item.row.id] for one in answered]) if answered else []:
            found += [replace(item, task=name, prompt_digest=digest) for item in measure([answered[place] for place in index])]
    records = [
        {"id": one.item.row.id, "prompts": one.item.prompts, "said": one.said, "right": one.right if one.item.answers else None}
        for one in [*written, *chosen]
    ]
    texts = {item.row.id: "\n".join([*item.prompts, *item.answers[:1]]) for item in items}
    return Outcome(found, skipped, texts, {f"{task.name}.answers.json": {"items": records}} if records else {})


def read_item(row: Row, template: str) -> Item:
    """Read an item.

    Raises:
        UnusableItemError: there are not two different prompts, or the options or the answer cannot be used.
    """
    raw = find(row.fields, "prompts")
    if not isinstance(raw, list):
        raise UnusableItemError("prompts are not a list")
    prompts = [text_of({"prompt": prompt}, "prompt") for prompt in cast("list[Any]", raw)]
    if len({normalise(prompt) for prompt in prompts}) < 2:
        raise UnusableItemError("prompts are fewer than two, or all the same")
    filled = tuple(fill(template, {**row.fields, "prompt": prompt, "answer": ""}) for prompt in prompts)
    answer = find(row.fields, "answer")
    if any(row.fields.get(name) is not None for name in OPTION_FIELDS):
        # Where no answer is given the first option stands in, and accuracy is left out.
        fields = {**row.fields, "question": prompts[0], "answer": 0 if answer is None else answer}
        question = read_question(replace(row, fields=fields))
        return Item(row, filled, () if answer is None else (question.options[question.gold],), question)
    if answer is None:
        return Item(row, filled, (), None)
    several = cast("list[Any]", answer) if isinstance(answer, list) else [answer]
    if not several:
        raise UnusableItemError("empty answer")
    return Item(row, filled, tuple(text_of({"answer": one}, "answer") for one in several), None)


def _write(model: LanguageModel, items: Sequence[Item], task: str, *, stop: tuple[str, ...], max_tokens: int) -> list[Answered]:
    from rodna.models.generate import Sampling

    prompts = [prompt for item in items for prompt in item.prompts]
    texts = model.generate(prompts, Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens, stop=stop)) if prompts else []
    if len(texts) != len(prompts):
        what = f"the model answered {len(texts)} of {len(prompts)} prompts"
        raise EvaluationError(what, where=f"task {task}", fix="report it: a model answers each")
    said = iter(texts)
    answered: list[Answered] = []
    for item in items:
        own = tuple(next(said) for _ in item.prompts)
        wanted = {normalise(answer) or answer.strip() for answer in item.answers}
        answered.append(Answered(item, own, float(np.mean([(normalise(text) or text.strip()) in wanted for text in own]))))
    return answered


def _choose(model: LanguageModel, items: Sequence[Item], task: str) -> list[Answered]:
    asked = [(item, prompt) for item in items for prompt in item.prompts]
    pairs = [(prompt, _after(prompt, option)) for item, prompt in asked for option in _question(item).options]
    scores = iter(ask(model, [prompt for prompt, _ in pairs], [option for _, option in pairs], task=task) if pairs else [])
    answered: list[Answered] = []
    for item in items:
        question, said = _question(item), []
        for _ in item.prompts:
            costs = [next(scores).nats / len(option.encode("utf-8")) for option in question.options]
            said.append(tuple(index for index, cost in enumerate(costs) if cost == min(costs)))
        right = [(question.gold in likeliest) / len(likeliest) for likeliest in said]
        answered.append(Answered(item, tuple(said), float(np.mean(right))))
    return answered


def _question(item: Item) -> Question:
    assert item.question is not None
    return item.question


def _after(prompt: str, option: str) -> str:
    """Return an option as it follows a prompt: after a space, unless one is there or the script has none."""
    joined = prompt[-1:].isspace() or UNSPACED_LETTER.match(prompt[-1:]) or UNSPACED_LETTER.match(option)
    return option if joined else f" {option}"


def _measure_written(answered: Sequence[Answered]) -> list[Measurement]:
    def same(one: str, other: str) -> float:
        return float(bool(normalise(one)) and normalise(one) == normalise(other))

    empty = sum(not normalise(text) for one in answered for text in one.said)
    detail = {"different_questions": _between(answered, same), "empty_answers": empty}
    found = [_measurement("agreement", "share of pairs of prompts with the same answer", answered, _pairs(answered, same), detail)]
    score = _chrf()
    if score is not None:
        detail = {"different_questions": _between(answered, score), "chrf": "order 6, beta 2, the mean of both directions, from 0 to 1"}
        found.append(_measurement("agreement_chrf", "chrF between answers, from 0 to 1", answered, _pairs(answered, score), detail))
    return found + _accuracy("exact_match", answered)


def _measure_chosen(answered: Sequence[Answered]) -> list[Measurement]:
    def same(one: tuple[int, ...], other: tuple[int, ...]) -> float:
        # Of options that are equally likely one would be drawn.
        return len(set(one) & set(other)) / (len(one) * len(other))

    chance = float(np.mean([1 / len(_question(one.item).options) for one in answered]))
    detail = {"different_questions": _between(answered, same), "chance": chance}
    unit = "share of pairs of prompts after which the same option is likeliest"
    found = [_measurement("same_option", unit, answered, _pairs(answered, same), detail)]
    return found + _accuracy("accuracy", answered, chance=chance)


def _pairs(answered: Sequence[Answered], score: Callable[[Any, Any], float]) -> list[float]:
    """Return the mean score of each item's pairs of answers."""
    return [float(np.mean([score(*pair) for pair in combinations(one.said, 2)])) for one in answered]


def _between(answered: Sequence[Answered], score: Callable[[Any, Any], float]) -> float | None:
    """Return the mean score of answers to an item and to the next: what agreement is worth that has nothing to do with the question."""
    following = [*answered[1:], *answered[:1]]
    scores = [
        score(said, other)
        for one, after in zip(answered, following, strict=True)
        for said, other in zip(one.said, after.said, strict=False)
    ]
    return float(np.mean(scores)) if len(answered) > 1 else None


def _accuracy(metric: str, answered: Sequence[Answered], **detail: Any) -> list[Measurement]:
    known = [one for one in answered if one.item.answers]
    return [_measurement(metric, "share of prompts answered rightly", known, [one.right for one in known], detail)] if known else []


def _measurement(metric: str, unit: str, answered: Sequence[Answered], value_N: Sequence[float], detail: dict[str, Any]) -> Measurement:
    ids = [one.item.row.id for one in answered]
    ones = np.ones(len(ids))
    return Measurement("", metric, unit, "higher", ids, np.array(value_N), ones, task_version=VERSION, detail=detail)


def _chrf() -> Callable[[str, str], float] | None:
    """Return what compares two texts by chrF; nothing where sacrebleu is not installed."""
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        warn("answers are not compared by chrF, which needs the package sacrebleu: pip install 'rodna[eval]'")
        return None
    metric = CHRF()

    def score(one: str, other: str) -> float:
        if not one.strip() or not other.strip():
            return 0.0
        return (metric.sentence_score(one, [other]).score + metric.sentence_score(other, [one]).score) / 200

    return score
