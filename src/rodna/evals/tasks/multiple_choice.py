"""Multiple choice: is the right option the likeliest?

Two ways to ask. Where the prompt lists the {options}, their labels are compared, as MMLU is asked (Hendrycks et al. 2021,
arXiv:2009.03300); where it does not, their texts are, as ARC is (Clark et al. 2018, arXiv:1803.05457). Long options are less likely
whatever they say, so the likelihood of texts is also divided by their length, and compared with how likely the option is without
the question (PMI_DC of Holtzman et al. 2021, arXiv:2104.08315).
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import regex

from rodna.evals.config import EvalConfig
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel
from rodna.evals.result import Measurement
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import Outcome, Row, Task
from rodna.evals.tasks.prompts import (
    UnusableItemError,
    ask,
    categories,
    checked_template,
    cut_warning,
    fill,
    find,
    level_of,
    make_shots,
    parts_of,
    placeholders,
    text_of,
    usable,
)

FIELDS = frozenset({"question", "choices", "answer"})
VERSION = 1
PROMPT = "{question}\n"
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Of options that have none in the file."""
TIE = 1e-6
"""Likelihoods this close, relatively, are equal: about what the order of sums in float32 changes."""
ABOUT = {
    "acc": "the right option is the likeliest",
    "acc_norm": "the likeliest after dividing log-likelihoods by the option's characters, as acc_norm of lm-evaluation-harness",
    "acc_bytes": "the likeliest after dividing log-likelihoods by the option's UTF-8 bytes",
    "acc_pmi": "the option made likelier by the question than any other, compared with the premise alone",
}
_FLAT = regex.compile(r"option_(\p{L}|\p{N}+)")


@dataclass(frozen=True)
class Question:
    """One usable item.

    Attributes:
        row: what it was read from.
        question: its text.
        options: at least 2, different, none empty.
        labels: one an option.
        gold: index of the right option.
    """

    row: Row
    question: str
    options: tuple[str, ...]
    labels: tuple[str, ...]
    gold: int

    @property
    def fields(self) -> dict[str, Any]:
        """What a template may name."""
        listed = "\n".join(f"{label}. {option}" for label, option in zip(self.labels, self.options, strict=True))
        return {**self.row.fields, "question": self.question, "options": listed}


def read_question(row: Row) -> Question:
    """Read an item of any of the usual shapes.

    Options are a list of texts, of `{text, label}`, an object of `label: text` or of two lists `text` and `label`, or fields `option_a`,
    `option_b`, ...; the question is text, or an object of `stem` and `choices`; the answer is a label, the text of an option, or an
    index from 0.

    Raises:
        UnusableItemError: with the reason.
    """
    fields = row.fields
    question = find(fields, "question") if "question" in fields else find(fields, "instruction")
    raw = next((fields[name] for name in ("choices", "options") if fields.get(name) is not None), None)
    if isinstance(question, Mapping):
        nested = cast("Mapping[str, Any]", question)
        question, raw = nested.get("stem"), nested.get("choices") if raw is None else raw
    stem = text_of({"question": question}, "question")
    pairs = _options(raw) if raw is not None else _flat_options(fields)
    labels, options = tuple(label for label, _ in pairs), tuple(option for _, option in pairs)
    if len(options) < 2:
        raise UnusableItemError(f"{len(options)} options, where at least 2 are needed")
    if not all(option.strip() for option in options):
        raise UnusableItemError(f"empty option: {labels[[bool(option.strip()) for option in options].index(False)]}")
    for what, texts in (("options", [option.strip() for option in options]), ("labels", labels)):
        if len(set(texts)) < len(texts):
            raise UnusableItemError(f"duplicated {what}: {next(text for text in texts if list(texts).count(text) > 1)[:60]}")
    answer = find(fields, "answer") if "answer" in fields else find(fields, "answerKey")
    return Question(row, stem, options, labels, _gold(answer, labels, options))


def _options(raw: Any) -> list[tuple[str, str]]:
    """Return (label, text) of options in one field."""
    if isinstance(raw, Mapping):
        named = cast("Mapping[str, Any]", raw)
        if isinstance(named.get("text"), list) and isinstance(named.get("label"), list):
            texts, labels = cast("list[Any]", named["text"]), cast("list[Any]", named["label"])
            if len(texts) != len(labels):
                raise UnusableItemError(f"{len(texts)} options but {len(labels)} labels")
            return [(str(label), _option(text)) for label, text in zip(labels, texts, strict=True)]
        return [(label, _option(text)) for label, text in named.items()]
    if not isinstance(raw, list):
        raise UnusableItemError(f"options are {json.dumps(raw, ensure_ascii=False)[:60]}, not a list")
    found: list[tuple[str, str]] = []
    items = list(cast("list[Any]", raw))
    # A table of five columns of options leaves the fifth empty where there are four.
    while items and items[-1] is None:
        items.pop()
    for index, item in enumerate(items):
        label = LABELS[index] if index < len(LABELS) else str(index + 1)
        if isinstance(item, Mapping):
            named = cast("Mapping[str, Any]", item)
            found.append((str(named.get("label", label)), _option(named.get("text"))))
        else:
            found.append((label, _option(item)))
    return found


def _flat_options(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (label, text) of fields option_a, option_b, ...; one that is null is none."""
    named = {match[1].upper(): value for name, value in fields.items() if (match := _FLAT.fullmatch(name)) and value is not None}
    if not named:
        raise UnusableItemError("missing field: options")
    return [(label, _option(named[label])) for label in sorted(named, key=lambda label: (len(label), label))]


def _option(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnusableItemError(f"an option is {json.dumps(value, ensure_ascii=False)[:60]}, not text")
    return str(value)


def _gold(answer: Any, labels: Sequence[str], options: Sequence[str]) -> int:
    """Return the index of the right option: a label before a text before, for a whole number, an index from 0."""
    if answer is None:
        raise UnusableItemError("missing field: answer")
    for texts in (labels, [option.strip() for option in options]):
        if (text := str(answer).strip()) in texts:
            return list(texts).index(text)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return answer
    raise UnusableItemError(f"answer outside the options: {str(answer)[:60]!r} is not among {', '.join(labels)}")


@dataclass(frozen=True)
class _Asked:
    """An item with what the model reads before an answer, and in the question's absence."""

    question: Question
    prompt: str
    premise: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class _Scored:
    """An item with what each answer costs, in nats, after the prompt and after the premise alone."""

    asked: _Asked
    nats: tuple[float, ...]
    premise_nats: tuple[float, ...]
    is_cut: bool

    def likelihoods(self) -> dict[str, list[float]]:
        """Return metric -> what is compared, the higher the better."""
        pairs = list(zip(self.nats, self.asked.answers, strict=True))
        return {
            "acc": [-nats for nats, _ in pairs],
            "acc_norm": [-nats / len(answer) for nats, answer in pairs],
            "acc_bytes": [-nats / len(answer.encode("utf-8", "surrogatepass")) for nats, answer in pairs],
            "acc_pmi": [premise - nats for nats, premise in zip(self.nats, self.premise_nats, strict=True)],
        }

    def record(self) -> dict[str, Any]:
        question = self.asked.question
        return {
            "id": question.row.id,
            "right": question.labels[question.gold],
            "labels": list(question.labels),
            "nats": [round(nats, 6) for nats in self.nats],
            "premise_nats": [round(nats, 6) for nats in self.premise_nats],
        }


def credit(likelihoods: Sequence[float], gold: int) -> tuple[float, bool]:
    """Return what an item adds to the accuracy, and whether the likeliest are several: the right one among k likeliest is worth 1/k."""
    best = max(likelihoods)
    tied = [index for index, value in enumerate(likelihoods) if math.isclose(value, best, rel_tol=TIE, abs_tol=TIE)]
    return (1 / len(tied) if gold in tied else 0.0), len(tied) > 1


def evaluate(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    """Return accuracies over all items and over each category.

    Args:
        model: any that can score.
        task: rows that `read_question` understands.
        config: `prompt`, with {question}, {options} where labels are to be compared, and any other field; `premise`, by default the prompt
            without question and options; `shots`.
        settings: the seed that draws solved items.
    """
    template = checked_template(config, PROMPT)
    by_label = "options" in placeholders(template)
    category_of = dict(zip((row.id for row in task.rows), categories(task.rows, config), strict=True))

    def ask_about(row: Row) -> _Asked:
        item = read_question(row)
        answers = item.labels if by_label else item.options
        without = {**item.fields, "question": "", "options": ""}
        premise = fill(config.premise, item.fields) if config.premise else fill(template, without)
        return _Asked(item, fill(template, item.fields), premise, answers)

    def solve(row: Row) -> tuple[str, str]:
        asked = ask_about(row)
        return asked.question.question, asked.prompt + asked.answers[asked.question.gold]

    asked, skipped = usable(task.rows, ask_about)
    shots = make_shots(task, config, settings, solve)
    contexts = [
        shots.before(item.question.row.id, item.question.question, category_of[item.question.row.id]) + item.prompt for item in asked
    ]
    scored = _score(model, asked, contexts, task=task.name)
    digest = prompt_digest(
        "multiple_choice", VERSION, prompt=template, premise=config.premise, shots=config.shots, solved=shots.digest,
        seed=settings.seed if config.shots else 0,
    )  # fmt: skip
    detail = {"compared": "labels" if by_label else "texts", "shots": config.shots}
    parts = parts_of(task.name, [category_of[item.question.row.id] for item in asked])
    measurements = [
        measurement
        for name, index in parts
        for measurement in _measure(name, [scored[place] for place in index], digest=digest, detail={**detail, **level_of(name, parts)})
    ]
    texts = {item.question.row.id: f"{item.question.question}\n{item.question.options[item.question.gold]}" for item in asked}
    example = {"prompt": contexts[0], "answers": list(asked[0].answers)} if asked else {}
    kept = {f"{task.name}.options.json": {"example": example, "items": [item.record() for item in scored]}}
    return Outcome(measurements, skipped, texts, kept if asked else {})


def _score(model: LanguageModel, asked: Sequence[_Asked], contexts: Sequence[str], *, task: str) -> list[_Scored]:
    """Return what the answers cost; all are asked in one call, so that the model may order them as suits it."""
    before = [context for item, context in zip(asked, contexts, strict=True) for _ in item.answers]
    before += [item.premise for item in asked for _ in item.answers]
    scores = iter(ask(model, before, [answer for _ in range(2) for item in asked for answer in item.answers], task=task))
    given = [[next(scores) for _ in item.answers] for item in asked]
    alone = [[next(scores) for _ in item.answers] for item in asked]
    return [
        _Scored(item, tuple(score.nats for score in after), tuple(score.nats for score in premise), any(score.is_cut for score in after))
        for item, after, premise in zip(asked, given, alone, strict=True)
    ]


def _measure(name: str, scored: Sequence[_Scored], *, digest: str, detail: Mapping[str, Any]) -> list[Measurement]:
    """Return every metric over some of the items; of labels, which are of one length, those that lengths change are left out."""
    if not scored:
        return []
    questions = [item.asked.question for item in scored]
    chance = float(np.mean([1 / len(question.options) for question in questions]))
    num_cut = sum(item.is_cut for item in scored)
    found: list[Measurement] = []
    for metric, about in ABOUT.items():
        if metric in ("acc_norm", "acc_bytes") and detail["compared"] == "labels":
            continue
        outcomes = [credit(item.likelihoods()[metric], question.gold) for item, question in zip(scored, questions, strict=True)]
        more: dict[str, Any] = {"chance": chance, "ties": sum(is_tied for _, is_tied in outcomes), "cut": num_cut, "about": about}
        if metric == "acc" and detail["level"] == "task":
            more |= cut_warning(num_cut, len(scored), name)
        found.append(
            Measurement(
                name, metric, "share of questions", "higher", [question.row.id for question in questions],
                np.array([right for right, _ in outcomes]), np.ones(len(scored)),
                task_version=VERSION, prompt_digest=digest, detail={**detail, **more},
            )
        )  # fmt: skip
    return found
