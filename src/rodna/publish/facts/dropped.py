"""What was read but not kept, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rodna.core.artifact import Artifact
from rodna.core.errors import RodnaError
from rodna.core.text import human_bytes
from rodna.corpus.documents import Dropped, read_dropped
from rodna.publish.facts.view import amount, get, plural, share

REASONS = {
    "duplicate": "the same text as an earlier document",
    "blank": "nothing left but white space",
    "blank_file": "no text in the file",
    "empty_file": "a file without bytes",
    "too_short": "shorter than the shortest document wanted",
    "undecodable": "bytes that are not text in any encoding tried",
    "file_too_large": "a file larger than allowed",
    "unreadable_file": "the file could not be read",
    "binary": "not text",
}


@dataclass(frozen=True)
class Excerpt:
    """The start of a dropped document."""

    id: str
    text: str
    detail: str


@dataclass(frozen=True)
class Reason:
    """One reason, with examples."""

    name: str
    step: str
    amount: str
    excerpts: list[Excerpt]


@dataclass(frozen=True)
class DroppedFacts:
    """The section about what was left out."""

    lead: str
    reasons: list[Reason]


def dropped_facts(
    corpus: Artifact | None, statistics: Mapping[str, Any] | None, *, num_excerpts: int, characters: int
) -> DroppedFacts | None:
    """Return the section, None where there are no statistics."""
    if corpus is None or statistics is None:
        return None
    read, kept, dropped = (int(amount(get(statistics, "balance", key))) for key in ("read", "kept", "dropped"))
    lead = f"{plural(read, 'document')} read = {kept:,} kept + {dropped:,} dropped"
    lead += f" ({share(dropped, read)})." if read == kept + dropped else ". These counts do not balance: a fault, please report it."
    rows = [row for row in get(statistics, "dropped") or [] if isinstance(row, Mapping)]
    wanted = {(row.get("step"), row.get("reason")) for row in rows}
    examples = _examples(corpus, wanted, num_excerpts)
    return DroppedFacts(
        lead if dropped else f"Nothing: all {plural(read, 'document')} read were kept.",
        [_reason(row, examples, characters) for row in rows],
    )


def _examples(corpus: Artifact, wanted: set[tuple[Any, Any]], limit: int) -> dict[tuple[str, str], list[Dropped]]:
    """Return the first dropped documents of each reason; reading stops as soon as there are enough of all."""
    found: dict[tuple[str, str], list[Dropped]] = {}
    missing = len(wanted) * limit
    try:
        for item in read_dropped(corpus.path) if missing else ():
            examples = found.setdefault((item.step, item.reason), [])
            if len(examples) < limit:
                examples.append(item)
                missing -= 1
                if missing <= 0:
                    break
    except (RodnaError, OSError, TypeError):
        return found
    return found


def _reason(row: Mapping[str, Any], examples: Mapping[tuple[str, str], list[Dropped]], characters: int) -> Reason:
    step, reason = str(row.get("step", "")), str(row.get("reason", ""))
    documents = int(amount(row.get("documents")))
    items = [Excerpt(item.id, cut(item.excerpt, characters), item.detail) for item in examples.get((step, reason), [])]
    text = REASONS.get(reason, reason.replace("_", " "))
    return Reason(text[:1].upper() + text[1:], step, f"{plural(documents, 'document')}, {human_bytes(amount(row.get('bytes')))}", items)


def cut(text: str, characters: int) -> str:
    """Return at most so many characters, an ellipsis in place of the rest."""
    return text if len(text) <= characters else text[:characters].rstrip() + "…"
