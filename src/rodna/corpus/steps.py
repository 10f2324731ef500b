"""Corpus steps: plugins that judge or change each document, registered under `rodna.corpus_steps`.

A step is made by a factory that is told the language, once a process, and then called with every document. It must depend on nothing
but the document: documents come in no promised order and to several processes.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from rodna.core import registry
from rodna.core.registry import PluginError
from rodna.corpus.documents import DETAIL_CHARACTERS, Document, excerpt_of
from rodna.corpus.extractors import Rejected

GROUP = "rodna.corpus_steps"
_SURROGATE = re.compile("[\ud800-\udfff]")
Step = Callable[[Document], Document | Rejected]


class StepFactory(Protocol):
    """Makes a step for a language, a BCP-47 tag; may raise a `RodnaError` where it cannot serve that language."""

    def __call__(self, language: str, /) -> Step: ...


def apply(name: str, step: Step, document: Document) -> Document | Rejected:
    """Return what a step makes of a document.

    Raises:
        PluginError: it is neither a document nor a rejection, a document under another name, or text that cannot be written.
    """
    result: Any = step(document)
    if isinstance(result, Rejected):
        return Rejected(excerpt_of(result.reason), excerpt_of(result.detail, max_characters=DETAIL_CHARACTERS), result.size_bytes)
    if not isinstance(result, Document):
        what = type(result).__name__
    elif (result.id, result.source) != (document.id, document.source):
        what = "a document of another id or source"
    elif result is not document and _SURROGATE.search(result.text):
        what = "text that is no Unicode"
    else:
        return result
    raise PluginError(
        f"step {name!r} returned {what}",
        where=f"document {document.id}",
        fix="mend the plugin: it must return `replace(document, text=...)` or a `Rejected`, or take it out of corpus.steps",
    )


def load_steps(names: Sequence[str], *, language: str) -> list[tuple[str, Step]]:
    """Return the named steps, in order, each with its name.

    Raises:
        PluginError: there is none of that name, it cannot be loaded, or what it makes is no step.
    """
    steps: list[tuple[str, Step]] = []
    for name in names:
        factory: Any = registry.load(GROUP, name)
        step: Any = factory(language) if callable(factory) else factory
        if not callable(step):
            raise PluginError(
                f"{name!r} makes no corpus step but {type(step).__name__}",
                where=GROUP,
                fix="register a function that takes the language and returns a function of a document",
            )
        steps.append((name, cast(Step, step)))
    return steps
