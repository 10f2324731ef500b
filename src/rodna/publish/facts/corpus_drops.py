"""What was dropped and cut, with samples and what tripped them; and samples of what was kept."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rodna.core.artifact import Artifact
from rodna.core.text import human_bytes
from rodna.corpus.documents import EXCERPT_CHARACTERS, Document, Dropped, read_cut, read_dropped
from rodna.corpus.inspect import cut_reasons, samples_by_reason, samples_by_source
from rodna.corpus.overrule import can_return, how_instead
from rodna.publish.facts.dropped import Excerpt, cut
from rodna.publish.facts.view import plural, share

WORDS = {
    "cut": "cut from documents that stay",
    "duplicate": "the same text as another document",
    "near_duplicate": "most of it stands in another document",
    "nothing_new": "all of it stands in other documents",
    "other_language": "surely in another language",
    "wrong_script": "mostly in another script",
    "too_few_letters": "too few letters, too many digits or signs",
    "too_repetitive": "repeats itself far more than the language's text does",
    "unlikely_text": "unlike the rest of the text, letter by letter",
    "not_running_text": "no running text: words or lines of an unusual form",
    "too_short": "shorter than the shortest document wanted",
    "in_held_out": "shares text with what is held out",
    "in_benchmark": "shares text with a benchmark",
    "over_cap": "left out by its source's weight or cap in the mix",
    "repeated_line": "lines that stand in other documents too",
    "repeated_passage": "passages that stand in other documents too",
    "blank": "nothing left but white space",
    "blank_file": "no text in the file",
    "empty_file": "a file without bytes",
    "undecodable": "bytes that are not text in any encoding tried",
    "unreadable_file": "the file could not be read",
    "not_text": "not text",
    "page_needs_ocr": "scanned pages, which need character recognition",
}
"""Reason -> what it says to a reader; other reasons are shown as they are written."""


DETAIL_CHARACTERS = 180


@dataclass(frozen=True)
class Reason:
    """One reason, with samples and how to overrule it."""

    name: str
    step: str
    code: str
    amount: str
    excerpts: list[Excerpt]
    overrule: str
    instead: str


@dataclass(frozen=True)
class DropFacts:
    """The section about what was dropped or cut."""

    lead: str
    reasons: list[Reason]


@dataclass(frozen=True)
class KeptFacts:
    """The section with samples of what was kept."""

    lead: str
    sources: list[tuple[str, list[Excerpt]]]


def drop_facts(corpus: Artifact, statistics: Mapping[str, Any], *, num_samples: int, characters: int, seed: int) -> DropFacts:
    """Return every reason for which documents were dropped, most frequent first."""
    samples = samples_by_reason(read_dropped(corpus.path), num_each=num_samples, seed=seed)
    reasons = [
        _reason(
            entry["step"],
            entry["reason"],
            f"{plural(entry['documents'], 'document')}, {human_bytes(entry['bytes'])}",
            samples.get((entry["step"], entry["reason"]), []),
            characters,
        )
        for entry in statistics["dropped"]
    ]
    balance = statistics["balance"]
    lead = f"{plural(balance['dropped'], 'document')} of {balance['read']:,} ({share(balance['dropped'], balance['read'])}) were dropped. "
    lead += (
        "The samples are chosen at random; under each stands what tripped it. A speaker's judgement counts more than any of these rules."
    )
    return DropFacts(lead if reasons else "Nothing was dropped.", reasons)


def cut_facts(corpus: Artifact, *, num_samples: int, characters: int, seed: int) -> DropFacts:
    """Return the passages that were cut from documents that were kept, by reason."""
    numbers = cut_reasons(corpus)
    samples = samples_by_reason(read_cut(corpus.path), num_each=num_samples, seed=seed)
    reasons = [
        _reason(step, reason, plural(number, "passage"), samples[step, reason], characters, is_cut=True)
        for (step, reason), number in numbers.most_common()
    ]
    lead = f"{plural(numbers.total(), 'passage')} were cut from documents that were kept, because they stand elsewhere too."
    return DropFacts(lead if reasons else "Nothing was cut from the documents that were kept.", reasons)


def _reason(step: str, reason: str, amount: str, samples: Iterable[Dropped], characters: int, *, is_cut: bool = False) -> Reason:
    text = WORDS.get(reason, reason.replace("_", " "))
    excerpts = [Excerpt(item.id, _shown(item.excerpt, characters), cut(item.detail, DETAIL_CHARACTERS)) for item in samples]
    returning = can_return(step, reason) and not is_cut
    command = f"rodna corpus sample --dropped --reason {shlex.quote(reason)} --keep" if returning else ""
    instead = "" if returning or is_cut else how_instead(step).replace("`", "")
    return Reason(text[:1].upper() + text[1:], step, reason, amount, excerpts, command, instead)


def _shown(excerpt: str, characters: int) -> str:
    """Return an excerpt with an ellipsis where the document went on."""
    return cut(excerpt + ("…" if len(excerpt) >= EXCERPT_CHARACTERS else ""), characters)


def kept_facts(corpus: Artifact, statistics: Mapping[str, Any], *, num_samples: int, characters: int, seed: int) -> KeptFacts:
    """Return samples of the training text of every source."""
    samples = samples_by_source(corpus, num_each=num_samples, seed=seed)
    found = [(name, _excerpts(samples[name], characters)) for name in statistics["sources"] if name in samples]
    return KeptFacts("Documents of the training text, chosen at random; long ones are shortened.", found)


def _excerpts(documents: Sequence[Document], characters: int) -> list[Excerpt]:
    return [Excerpt(document.id, cut(document.text, characters), "") for document in documents]
