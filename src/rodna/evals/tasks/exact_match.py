"""Exact match: the model writes an answer, which is compared with the right one.

Where the right answer is a worked solution that ends in `#### number`, as GSM8K's do (Cobbe et al. 2021, arXiv:2110.14168), the number
is compared, found strictly (after the model's own `####`) or flexibly (its last number), as lm-evaluation-harness' `gsm8k` does. Any other
answer is compared whole, apart from case, spaces and the punctuation around it.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import regex

from rodna.core.errors import EvaluationError
from rodna.evals.config import EvalConfig
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel
from rodna.evals.result import Measurement
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import Outcome, Row, Task
from rodna.evals.tasks.numbers import MARK, is_number, is_same_number, last_number, marked_number
from rodna.evals.tasks.prompts import (
    BETWEEN_SHOTS,
    UnusableItemError,
    categories,
    checked_template,
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
STOP = (BETWEEN_SHOTS,)
ABOUT = {
    "exact_match": "the whole answer, apart from case, spaces and the punctuation around it",
    "holds_answer": "the answer stands anywhere in what was written, in any case and even inside a word",
    "exact_match_strict": "the number after ####, as strict-match of lm-evaluation-harness' gsm8k",
    "exact_match_flexible": "the last number of the answer, as flexible-extract of lm-evaluation-harness' gsm8k",
}
_AROUND = regex.compile(r"^[\p{P}\p{Z}]+|[\p{P}\p{Z}]+$")


@dataclass(frozen=True)
class Problem:
    """One usable item.

    Attributes:
        row: what it was read from.
        question: its text.
        answers: any of them is right; as they stand in the file.
    """

    row: Row
    question: str
    answers: tuple[str, ...]

    @property
    def is_worked(self) -> bool:
        return MARK in self.answers[0]


def read_problem(row: Row) -> Problem:
    """Read an item.

    Raises:
        UnusableItemError: a field is missing or empty, or `####` is followed by no number.
    """
    question = text_of(row.fields, "question")
    raw = find(row.fields, "answer")
    if isinstance(raw, list):
        answers = tuple(text_of({"answer": answer}, "answer") for answer in cast("list[Any]", raw))
        if not answers:
            raise UnusableItemError("empty answer")
    else:
        answers = (text_of(row.fields, "answer"),)
    if any(MARK in answer for answer in answers) and not all(_number_of(answer) for answer in answers):
        raise UnusableItemError(f"no number follows {MARK}")
    return Problem(row, question, answers)


def _number_of(answer: str) -> str:
    """Return the number that an answer ends in or is, "" where it is none."""
    if MARK in answer:
        return last_number(answer.rpartition(MARK)[2])
    return answer.strip() if is_number(answer) else ""


def normalise(text: str) -> str:
    """Return a text in one case, with single spaces, without the punctuation around it."""
    return _AROUND.sub("", " ".join(unicodedata.normalize("NFKC", text).casefold().split()))


def grade(problem: Problem, written: str) -> dict[str, bool]:
    """Return metric -> whether what the model wrote is right, of those metrics that the problem has."""
    found: dict[str, bool] = {}
    if not problem.is_worked:
        wanted = {normalise(answer) or answer.strip() for answer in problem.answers}
        whole = normalise(written) or written.strip()
        found["exact_match"] = whole in wanted
        found["holds_answer"] = any(answer in whole for answer in wanted)
    numbers = [number for answer in problem.answers if (number := _number_of(answer))]
    if problem.is_worked:
        found["exact_match_strict"] = any(is_same_number(marked_number(written), number) for number in numbers)
    if len(numbers) == len(problem.answers):
        found["exact_match_flexible"] = any(is_same_number(last_number(written), number) for number in numbers)
    return found


def evaluate(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    """Return the share of right answers, in all and by category, and keep what the model wrote.

    Args:
        model: any that can generate; it takes the likeliest token each time.
        task: rows with `question` and `answer`, which is text, a number, or a list of which any is right.
        config: `prompt`, with {question} and any other field; `shots`; `stop`; `max_tokens`.
        settings: the seed that draws solved items.
    """
    from rodna.models.generate import Sampling

    template, stop = checked_template(config, PROMPT), tuple(config.stop) or STOP
    category_of = dict(zip((row.id for row in task.rows), categories(task.rows, config), strict=True))

    def asked(row: Row) -> tuple[Problem, str]:
        problem = read_problem(row)
        return problem, fill(template, row.fields)

    def solve(row: Row) -> tuple[str, str]:
        problem, prompt = asked(row)
        return problem.question, prompt + problem.answers[0]

    pairs, skipped = usable(task.rows, asked)
    shots = make_shots(task, config, settings, solve)
    problems = [problem for problem, _ in pairs]
    prompts = [shots.before(problem.row.id, problem.question, category_of[problem.row.id]) + prompt for problem, prompt in pairs]
    written = model.generate(prompts, Sampling(temperature=0.0, top_p=1.0, max_tokens=config.max_tokens, stop=stop)) if prompts else []
    if len(written) != len(prompts):
        raise EvaluationError(
            f"the model answered {len(written)} of {len(prompts)} prompts", where=f"task {task.name}", fix="report it: a model answers each"
        )
    grades = [grade(problem, answer) for problem, answer in zip(problems, written, strict=True)]
    digest = prompt_digest(
        "exact_match", VERSION, prompt=template, stop=list(stop), max_tokens=config.max_tokens, shots=config.shots, solved=shots.digest,
        seed=settings.seed if config.shots else 0,
    )  # fmt: skip
    detail = {"shots": config.shots, "max_tokens": config.max_tokens, "stop": list(stop)}
    parts = parts_of(task.name, [category_of[problem.row.id] for problem in problems])
    measurements = [
        measurement
        for name, i in parts
        for measurement in _measure(
            name, [problems[k] for k in i], [grades[k] for k in i], digest=digest, detail={**detail, **level_of(name, parts)}
        )
    ]
    records = [
        {"id": problem.row.id, "written": answer, "wanted": list(problem.answers), "right": right}
        for problem, answer, right in zip(problems, written, grades, strict=True)
    ]
    files = {f"{task.name}.answers.json": {"prompt": prompts[0], "items": records}} if records else {}
    texts = {problem.row.id: f"{problem.question}\n{problem.answers[0]}" for problem in problems}
    return Outcome(measurements, skipped, texts, files)


def _measure(
    name: str, problems: Sequence[Problem], grades: Sequence[Mapping[str, bool]], *, digest: str, detail: Mapping[str, Any]
) -> list[Measurement]:
    found: list[Measurement] = []
    for metric, about in ABOUT.items():
        pairs = [(problem.row.id, grade[metric]) for problem, grade in zip(problems, grades, strict=True) if metric in grade]
        if pairs:
            found.append(
                Measurement(
                    name, metric, "share of answers", "higher", [identity for identity, _ in pairs],
                    np.array([float(right) for _, right in pairs]), np.ones(len(pairs)),
                    task_version=VERSION, prompt_digest=digest, detail={**detail, "about": about},
                )
            )  # fmt: skip
    return found
