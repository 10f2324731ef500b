"""From an item to what a model reads: templates, solved examples before the question, categories, and items that cannot be used."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import regex

from rodna.core.errors import EvaluationError
from rodna.evals.config import EvalConfig
from rodna.evals.models.model import LanguageModel, Score
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import Row, Skipped, Task

T = TypeVar("T")

BETWEEN_SHOTS = "\n\n"
"""Parts solved items from one another, as lm-evaluation-harness' `fewshot_delimiter` does."""
CATEGORY_FIELDS = ("category", "subject", "info.subject")
"""Where an item's category is looked for unless the task names a field."""
ANSWERS = frozenset({"answer", "answerKey"})
"""Fields that no prompt may hold."""
MOST_GROUPS = 8
"""Categories that are shown beside the whole without being asked for; MMLU has 57."""
_PLACE = regex.compile(r"\{([\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}\p{N}_]+)*)\}")


class UnusableItemError(EvaluationError):
    """An item cannot be scored; it is counted, with this reason, and left out."""


def find(fields: Mapping[str, Any], name: str) -> Any:
    """Return a field, dots leading into nested ones; None where it is missing."""
    if name in fields:
        return fields[name]
    value: Any = fields
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, Any]", value).get(part)
    return value


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Return a field as text; numbers become text, as a file may hold an answer either way.

    Raises:
        UnusableItemError: it is missing, empty, or neither text nor a number.
    """
    value = find(fields, name)
    if value is None:
        raise UnusableItemError(f"missing field: {name}")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UnusableItemError(f"{name} is {json.dumps(value, ensure_ascii=False)[:60]}, not text")
    text = str(value)
    if not text.strip():
        raise UnusableItemError(f"empty {name}")
    return text


def fill(template: str, fields: Mapping[str, Any]) -> str:
    """Return a template with each {field} replaced; other braces stay as they are.

    Raises:
        UnusableItemError: the item lacks a field that the template names.
    """

    def value(match: "regex.Match[str]") -> str:
        name = match[1]
        found = find(fields, name)
        return "" if found == "" else text_of(fields, name)

    return _PLACE.sub(value, template)


def placeholders(template: str) -> set[str]:
    """Return the names of a template's fields."""
    return {match[1] for match in _PLACE.finditer(template)}


def checked_template(config: TaskConfig, default: str) -> str:
    """Return the task's template, or the kind's own where it has none.

    Raises:
        EvaluationError: it is the same for every item, or it or the premise tells the answer.
    """
    template = config.prompt or default
    where = f"task {config.name}: prompt"
    if not placeholders(template):
        raise EvaluationError(
            f"the prompt names no field, so every item would be asked the same: {template!r}",
            where=where,
            fix="name one, such as {question}",
        )
    told = sorted(name for name in placeholders(template) | placeholders(config.premise) if name.split(".")[0] in ANSWERS)
    if told:
        raise EvaluationError(f"the prompt tells the model the answer: {{{told[0]}}}", where=where, fix="take that field out of it")
    return template


def usable(rows: Sequence[Row], parse: Callable[[Row], T]) -> tuple[list[T], list[Skipped]]:
    """Return the items that can be scored, and for each other one the reason why not."""
    items: list[T] = []
    skipped: list[Skipped] = []
    for row in rows:
        try:
            items.append(parse(row))
        except UnusableItemError as error:
            skipped.append(Skipped(row.id, row.where or row.part, error.what))
    return items, skipped


@dataclass(frozen=True)
class Solved:
    """A solved item as the model would read it.

    Attributes:
        id: of the item.
        question: tells the same item apart where ids differ.
        text: prompt and answer.
        category: of the item; "" where it has none.
    """

    id: str
    question: str
    text: str
    category: str


@dataclass
class Shots:
    """Solved items to show before a question: the same ones for every model, and never the item itself.

    Those of the item's own category come first, as each subject of MMLU has its own (Hendrycks et al. 2021, arXiv:2009.03300).
    Items of a category nearly all see the same ones, so a model that remembers prefixes reads them once.

    Args:
        candidates: in any order; a seeded one is drawn.
        count: how many are shown.
        seed: of the order.
    """

    candidates: Sequence[Solved]
    count: int
    seed: int
    _by_category: dict[str, list[Solved]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        order = np.random.default_rng(self.seed).permutation(len(self.candidates))
        self.candidates = [self.candidates[index] for index in order]

    @property
    def digest(self) -> str:
        """Of everything that may be shown; "" where nothing is."""
        shown = [[solved.category, solved.text] for solved in self.candidates] if self.count else []
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest() if shown else ""

    def before(self, item_id: str, question: str, category: str) -> str:
        """Return the text of the solved items that precede an item, each followed by a blank line; "" for none."""
        if not self.count:
            return ""
        if category not in self._by_category:
            near = [solved for solved in self.candidates if solved.category == category]
            far = [solved for solved in self.candidates if solved.category != category]
            self._by_category[category] = near + far
        chosen: list[str] = []
        for solved in self._by_category[category]:
            if solved.id != item_id and solved.question != question:
                chosen.append(solved.text)
            if len(chosen) == self.count:
                break
        return "".join(text + BETWEEN_SHOTS for text in chosen)


def make_shots(task: Task, config: TaskConfig, settings: EvalConfig, solve: Callable[[Row], tuple[str, str]]) -> Shots:
    """Return what solved items are drawn from: `shots_path`, or the task's own items.

    Args:
        task: what is asked.
        config: how many are shown, and where they are from.
        settings: the seed.
        solve: an item's question, and its prompt and answer as the model reads them.

    Raises:
        EvaluationError: there are fewer usable ones than `shots`.
    """
    if not config.shots:
        return Shots([], 0, settings.seed)
    rows = _shot_rows(task, config, settings)
    category_of = dict(zip((row.id for row in rows), categories(rows, config), strict=True))
    solved, _ = usable(rows, lambda row: Solved(row.id, *solve(row), category=category_of[row.id]))
    # Of the task's own items one is always the question.
    available = len(solved) - (not config.shots_path)
    if available < config.shots:
        raise EvaluationError(
            f"{config.shots} solved items are to be shown before each question, but only {max(0, available)} can be used",
            where=f"task {task.name}: {config.shots_path or config.path}",
            fix="lower `shots`, or name a larger file in `shots_path`",
        )
    return Shots(solved, config.shots, settings.seed)


def _shot_rows(task: Task, config: TaskConfig, settings: EvalConfig) -> Sequence[Row]:
    if not config.shots_path:
        return task.rows
    from rodna.evals.tasks.reading import read_task

    of_shots = config.model_copy(update={"path": config.shots_path, "max_items": 0, "shots": 0, "shots_path": ""})
    return read_task(of_shots, task.root, seed=settings.seed, anywhere=task.is_anywhere).rows


def categories(rows: Sequence[Row], config: TaskConfig) -> list[str]:
    """Return the category of each row, "" where it has none.

    It is the field that the task names; else the item's `category` or `subject`; else what an id such as `anatomy/test/7` begins with;
    else the file, where there are several.

    Raises:
        EvaluationError: no row has the field that the task names.
    """
    if config.category:
        found = [_plain(find(row.fields, config.category)) for row in rows]
        if rows and not any(found):
            raise EvaluationError(
                f"no item has the field `{config.category}`, by which results were to be told apart",
                where=f"task {config.name}: category",
                fix=f"choose one that items have: {', '.join(sorted(rows[0].fields))}",
            )
        return found
    for name in CATEGORY_FIELDS:
        found = [_plain(find(row.fields, name)) for row in rows]
        if any(found):
            return found
    ids = [_plain(row.fields.get("id")) for row in rows]
    found = [identity.partition("/")[0] if "/" in identity else "" for identity in ids]
    if all(found) and 1 < len(set(found)) <= len(found) / 2:
        return found
    return [row.part for row in rows] if len({row.part for row in rows}) > 1 else [""] * len(rows)


def _plain(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def parts_of(name: str, category_N: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return the task's name with the index of every item, and `name/category` with those of each category where there are several."""
    parts = [(name, list(range(len(category_N))))]
    names = sorted({category for category in category_N if category})
    if len(names) > 1 or (names and "" in category_N):
        parts += [(f"{name}/{part}", [index for index, category in enumerate(category_N) if category == part]) for part in names]
    return parts


def level_of(name: str, parts: Sequence[tuple[str, list[int]]]) -> dict[str, str]:
    """Return the `level` of a part of `parts_of`: of many categories, each is a detail that is shown only when asked for."""
    if name == parts[0][0]:
        return {"level": "task"}
    return {"level": "group" if len(parts) <= MOST_GROUPS + 1 else "part"}


def cut_warning(num_cut: int, num_items: int, task: str) -> dict[str, str]:
    """Return a `warning` where the model did not see all of some items."""
    if not num_cut:
        return {}
    what = f"{num_cut:,} of {num_items:,} items of {task} are longer than the model's context and lost their beginning"
    return {"warning": f"{what}: show fewer solved items, or leave such items out"}


def ask(model: LanguageModel, contexts: Sequence[str], continuations: Sequence[str], *, task: str) -> list[Score]:
    """Return the cost of each continuation after its context; equal pairs are scored once.

    Raises:
        EvaluationError: a cost is not a number.
    """
    pairs = list(dict.fromkeys(zip(contexts, continuations, strict=True)))
    scores = dict(zip(pairs, model.score([pair[0] for pair in pairs], [pair[1] for pair in pairs]), strict=True))
    bad = sum(not math.isfinite(score.nats) for score in scores.values())
    if bad:
        raise EvaluationError(
            f"the model's likelihood of {bad} of {len(pairs)} texts is not a finite number",
            where=f"task {task}",
            fix="the model's weights hold NaN or infinity: train again with a lower learning rate, or choose an earlier checkpoint",
        )
    return [scores[pair] for pair in zip(contexts, continuations, strict=True)]
