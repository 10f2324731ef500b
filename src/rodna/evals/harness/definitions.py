"""Definitions of tasks: those that lm-evaluation-harness ships, and two of ours."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rodna.core.errors import EvaluationError
from rodna.evals.tasks.multiple_choice import Question
from rodna.evals.tasks.prompts import UnusableItemError

SPLITS = ("test_split", "validation_split", "training_split")
"""Which the harness measures: the first that a task has."""
OURS: dict[str, dict[str, Any]] = {
    "multiple_choice": {
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}\n",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": "{{answer}}",
        "target_delimiter": "",
        "metric_list": [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm", "acc_bytes")],
        "metadata": {"version": 1},
    },
    "text": {
        "test_split": "test",
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{text}}",
        "metric_list": [{"metric": "bits_per_byte"}, {"metric": "byte_perplexity"}, {"metric": "word_perplexity"}],
        "metadata": {"version": 1},
    },
}
"""Definitions that the harness lacks, under names of ours: as `rodna eval` asks the kinds of these names."""
TEMPLATES = {"mmlu": "mmlu/default/_default_template_yaml"}
"""Names of ours for definitions of the harness that are no task by themselves: one file of many subjects is one task."""


def _arc(question: Question) -> dict[str, Any]:
    return {
        "question": question.question,
        "choices": {"text": list(question.options), "label": list(question.labels)},
        "answerKey": question.labels[question.gold],
    }


def _mmlu(question: Question) -> dict[str, Any]:
    if len(question.options) != 4:
        raise UnusableItemError(f"{len(question.options)} options, where the definition lists 4")
    return {"question": question.question, "choices": list(question.options), "answer": question.gold}


def _plain(question: Question) -> dict[str, Any]:
    return {"question": question.question, "choices": list(question.options), "answer": question.gold}


SHAPES: dict[str, Callable[[Question], dict[str, Any]]] = {
    "arc_easy": _arc,
    "arc_challenge": _arc,
    "mmlu": _mmlu,
    "multiple_choice": _plain,
}
"""Tasks whose items may have any of the shapes that `read_question` knows -> the one shape that the definition reads."""


def packaged(name: str) -> Path | None:
    """Return the harness' own file that defines a task or group, None where there is none."""
    import lm_eval.tasks

    root = Path(lm_eval.tasks.__file__).parent
    wanted = re.compile(
        rb"^[\"']?(?:task|group)[\"']?:[ \t]*[\"']?" + re.escape(name.encode()) + rb"[\"']?[ \t]*(?:#.*)?\r?$", re.MULTILINE
    )
    near = root / re.split(r"[_-]", name)[0]
    for place in (near, root):
        for file in sorted(place.rglob("*.yaml")) if place.is_dir() else ():
            if wanted.search(file.read_bytes()):
                return file
    return None


def definition_of(name: str) -> Path | None:
    """Return the harness' file of a task, a group or a template of that name, None where there is none."""
    import lm_eval.tasks

    if name in TEMPLATES:
        return Path(lm_eval.tasks.__file__).parent / TEMPLATES[name]
    return packaged(name)


def unknown_task(name: str, known: set[str]) -> EvaluationError:
    """Return what to say of a name that neither the harness nor the user's folder knows."""
    has = f"; the folder of task files has {', '.join(sorted(known)[:8])}" if known else ""
    return EvaluationError(
        f"no task is called {name!r}: neither lm-evaluation-harness nor --harness-path has one of that name{has}",
        where="--harness",
        fix=f"correct the name, write a task file for it and give its folder with --harness-path, or use one of ours: {', '.join(OURS)}",
    )
