"""Parallel text: what does the same meaning cost in each language?

Bits per byte do not compare across languages, whose scripts and spellings use different numbers of bytes for the same content; bits per
sentence of a translation do. The byte premium says how many bytes a language needs for the same content (Arnett et al. 2024,
arXiv:2403.00686), fertility how many tokens this model's tokenizer does (Rust et al. 2021, arXiv:2012.15613).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rodna.core.errors import EvaluationError
from rodna.evals.config import EvalConfig
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel
from rodna.evals.result import Direction, Measurement
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.files import PARALLEL, locate, text_lines
from rodna.evals.tasks.items import TEXT_OF, Outcome, Row, Task
from rodna.evals.tasks.prompts import UnusableItemError, ask, text_of, usable
from rodna.evals.text import WORD_RULE, words

FIELDS: frozenset[str] = frozenset()
VERSION = 1
DOCUMENT_IDS = "DOCUMENT_IDS.tsv"
"""Beside the texts, names the document of each line in its first column, as NTREX has it (Federmann et al. 2022)."""
NOT_LANGUAGES = frozenset({"id", "document", "category", "source"})
MEAN = "the mean of all languages"


def evaluate(model: LanguageModel, task: Task, config: TaskConfig, settings: EvalConfig) -> Outcome:
    """Return for each language bits per sentence and per byte, byte premium and fertility; every language has the same items.

    A sentence is scored by itself, after one end_of_text; its end is not counted, since models differ in what they have for that.

    Args:
        model: any that can score.
        task: a row a sentence, with a field for each language; `document` where sentences belong together, else `DOCUMENT_IDS.tsv`.
        config: `fields` renames languages, and then only those are scored; `pivot`.
        settings: unused: nothing is drawn.

    Raises:
        EvaluationError: there are not two languages, the pivot is none of them, or documents and lines differ in number.
    """
    names = _languages(task.rows, config)
    rows, skipped = usable(task.rows, lambda row: _aligned(row, names))
    if not rows:
        return Outcome([], skipped)
    groups = _documents(rows, task, config)
    texts = {name: [str(row.fields[name]).strip() for row in rows] for name in names}
    scores = iter(ask(model, [""] * len(names) * len(rows), [text for name in names for text in texts[name]], task=task.name))
    bytes_of = {name: np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts[name]], dtype=np.float64) for name in names}
    reference_N = bytes_of[config.pivot] if config.pivot else np.mean([bytes_of[name] for name in names], axis=0)
    digest = prompt_digest("parallel", VERSION)
    measurements: list[Measurement] = []
    for name in names:
        found = [next(scores) for _ in rows]
        language = _Language(
            name, texts[name], bytes_of[name], np.array([score.nats for score in found]) / math.log(2),
            np.array([score.num_tokens for score in found], dtype=np.float64),
        )  # fmt: skip
        detail = {"language": name, "documents": len(set(groups)), "compared_with": config.pivot or MEAN}
        measurements += _measure(language, reference_N, task.name, [row.id for row in rows], groups, digest=digest, detail=detail)
    # The training text may hold one language of a sentence alone.
    by_language = {f"{row.id}{TEXT_OF}{name}": texts[name][place] for place, row in enumerate(rows) for name in names}
    return Outcome(measurements, skipped, by_language)


@dataclass(frozen=True)
class _Language:
    """One language's sentences: their texts, bytes, bits and tokens."""

    name: str
    texts: Sequence[str]
    bytes_N: NDArray[np.float64]
    bits_N: NDArray[np.float64]
    tokens_N: NDArray[np.float64]


def _measure(
    language: _Language,
    reference_N: NDArray[np.float64],
    task: str,
    ids: Sequence[str],
    groups: Sequence[str],
    *,
    digest: str,
    detail: Mapping[str, Any],
) -> list[Measurement]:
    one_N = np.ones(len(ids))
    words_N = np.array([len(words(text)) for text in language.texts], dtype=np.float64)
    characters_N = np.array([len(text) for text in language.texts], dtype=np.float64)
    premium = f"bytes per byte of {detail['compared_with']}"
    rows: list[tuple[str, str, Direction, NDArray[np.float64], NDArray[np.float64], dict[str, str]]] = [
        ("bits_per_sentence", "bits per sentence", "lower", language.bits_N, one_N, {"about": "the same sentences in every language"}),
        (
            "bits_per_byte",
            "bits per UTF-8 byte",
            "lower",
            language.bits_N,
            language.bytes_N,
            {"about": "does not compare across languages"},
        ),
        ("byte_premium", premium, "none", language.bytes_N, reference_N, {"about": "of the text, whatever the model"}),
    ]
    if language.tokens_N.sum():
        rows += [
            ("tokens_per_sentence", "tokens per sentence", "lower", language.tokens_N, one_N, {"level": "part"}),
            ("tokens_per_character", "tokens per character", "lower", language.tokens_N, characters_N, {"level": "part"}),
            ("tokens_per_word", "tokens per word", "lower", language.tokens_N, words_N, {"words_are": WORD_RULE}),
        ]
    return [
        Measurement(
            f"{task}/{language.name}", metric, unit, direction, ids, numerator_N, denominator_N, groups=groups,
            task_version=VERSION, prompt_digest=digest, detail={**detail, **more},
        )
        for metric, unit, direction, numerator_N, denominator_N, more in rows
        if denominator_N.sum()
    ]  # fmt: skip


def _languages(rows: Sequence[Row], config: TaskConfig) -> list[str]:
    """Return the names of the languages, in order.

    Raises:
        EvaluationError: there are not two, or the pivot is none of them.
    """
    first = rows[0].fields if rows else {}
    names = sorted(set(config.fields) - NOT_LANGUAGES) or [
        name for name, value in first.items() if isinstance(value, str) and name not in NOT_LANGUAGES
    ]
    if len(names) < 2:
        raise EvaluationError(
            f"parallel text needs at least two languages, found {', '.join(names) or 'none'}",
            where=f"task {config.name}: {config.path}",
            fix=f"give a folder of aligned {PARALLEL} files, one a language, or name the fields that hold languages in `fields`",
        )
    if config.pivot and config.pivot not in names:
        raise EvaluationError(
            f"the pivot {config.pivot!r} is none of the languages: {', '.join(names)}",
            where=f"task {config.name}: pivot",
            fix="name one of them",
        )
    return names


def _aligned(row: Row, names: Sequence[str]) -> Row:
    """Return the row where it has text in every language: a sentence that lacks one is left out of all."""
    for name in names:
        if not isinstance(row.fields.get(name, ""), str):
            raise UnusableItemError(f"{name} is not text")
        text_of(row.fields, name)
    return row


def _documents(rows: Sequence[Row], task: Task, config: TaskConfig) -> list[str]:
    """Return the name of each row's document; empty where none is known.

    Raises:
        EvaluationError: the list of documents is not as long as the texts.
    """
    own = [str(row.fields.get("document", "")) for row in rows]
    if all(own):
        return own
    folder = locate(config.path, task.root, where=f"task {config.name}", anywhere=task.is_anywhere)
    listed = folder / DOCUMENT_IDS
    if not folder.is_dir() or not listed.is_file():
        return []
    documents = [line.partition("\t")[0].strip() for line in text_lines(listed)]
    num_lines = _num_lines(folder)
    if len(documents) != num_lines:
        raise EvaluationError(
            f"{len(documents):,} lines name a document, but the texts have {num_lines:,} lines", where=str(listed),
            fix="line n of it must name the document of line n of every text: correct the file, or take it away",
        )  # fmt: skip
    return [documents[int(row.id.rpartition(":")[2]) - 1] for row in rows]


def _num_lines(folder: Path) -> int:
    """Return the number of lines of the aligned texts, which `reading` has found equal."""
    return len(text_lines(sorted(folder.glob(f"*{PARALLEL}"))[0]))
