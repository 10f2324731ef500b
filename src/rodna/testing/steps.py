"""What every corpus step must do."""

import copy
import re
from collections.abc import Sequence

from rodna.corpus.documents import Document
from rodna.corpus.extractors import Rejected
from rodna.corpus.steps import StepFactory

_REASON = re.compile(r"[a-z][a-z0-9_]{0,39}")
_ODD_TEXTS = (".", "\n", "a" * 100_000, "\u0301", "\U0010ffff", "漢字かな交じり文", "שלום עולם", "🏳️‍🌈", "word " * 2_000)


def check_step(make: StepFactory, texts: Sequence[str], *, language: str) -> None:
    """Check that a corpus step keeps to its contract.

    Args:
        make: the factory that is registered.
        texts: documents it is meant for.
        language: a BCP-47 tag it serves.

    Raises:
        AssertionError: the contract is broken; the message says how.
    """
    step, other = make(language), make(language)
    documents = [Document(f"tests/{number}", text, "tests", language, {"title": "T"}) for number, text in enumerate([*texts, *_ODD_TEXTS])]
    before = copy.deepcopy(documents)
    results = [step(document) for document in documents]
    _require(documents == before, "changes a document in place: return another (`dataclasses.replace`)")
    backwards = [other(document) for document in reversed(documents)][::-1]
    _require(results == backwards, "judges a document by what came before it: documents come in no promised order")
    for document, result in zip(documents, results, strict=True):
        if isinstance(result, Rejected):
            _require(_REASON.fullmatch(result.reason) is not None, f"drops for {result.reason!r}: not a few words in snake_case")
            _require(bool(result.detail), f"drops for {result.reason} without a detail that says what tripped it")
            continue
        _require(isinstance(result, Document), f"returns {type(result).__name__}: neither Document nor Rejected")
        same = (result.id, result.source, result.language) == (document.id, document.source, document.language)
        _require(same, "changes a document's id, source or language")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"corpus step {message}")
