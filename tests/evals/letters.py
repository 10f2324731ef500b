"""A language model small enough to be worked out by hand, and tasks made from rows."""

from pathlib import Path

from rodna.evals.config import EvalConfig
from rodna.evals.models.model import Score
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.items import Row, Task

SETTINGS = EvalConfig(bootstrap_samples=100)


class Letters:
    """Every letter costs 2 nats, or 1 where the context has it, or what `cost` says of it. It writes what `writes` says of a prompt's end.

    Attributes:
        asked: the contexts and continuations of every call.
        prompts: those it was given to go on from.
    """

    def __init__(self, *, cost=None, writes=None, context_length=10_000):
        self.cost, self.writes, self.context_length = cost or {}, writes or {}, context_length
        self.asked, self.prompts, self.sampling = [], [], None
        self.description = {"where": "letters", "kind": "letters"}

    def score(self, contexts, continuations):
        self.asked.append((list(contexts), list(continuations)))
        return [
            Score(sum(self._one(context, letter) for letter in text), len(text), is_cut=len(context) > self.context_length)
            for context, text in zip(contexts, continuations, strict=True)
        ]

    def _one(self, context, letter):
        return self.cost.get(letter, 1.0 if letter in context else 2.0)

    def score_documents(self, texts):
        return self.score([""] * len(texts), texts)

    def generate(self, prompts, sampling):
        self.prompts, self.sampling = list(prompts), sampling
        return [next((text for end, text in self.writes.items() if prompt.endswith(end)), "") for prompt in prompts]


def config(kind, **more):
    return TaskConfig(**{"name": "task", "kind": kind, "path": "items.jsonl", **more})


def task_of(*items, root="."):
    """Return a task of items as `reading` gives them: each with an id."""
    rows = [Row(str(item.get("id", f"items:{line}")), "items", item, f"items.jsonl:{line}") for line, item in enumerate(items, 1)]
    return Task("task", rows, [], "digest", Path(root))


def found(outcome):
    """Return (task, metric) -> measurement."""
    return {(item.task, item.metric): item for item in outcome.measurements}


def value(outcome, metric, task="task"):
    item = found(outcome)[task, metric]
    return float(item.numerator_N.sum() / item.denominator_N.sum())
