"""What mixing did, what of held-out texts was met in training, and the words only this text has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rodna.core.text import human_bytes
from rodna.corpus.words import OwnWords
from rodna.publish.facts.view import Column, Row, plural, share

MIX_COLUMNS = (
    Column("Source"), Column("Times", "num"), Column("Before", "num"), Column("After", "num"), Column("Share before", "num"),
    Column("Share after", "num"), Column("Left out", "num"),
)  # fmt: skip
HIT_COLUMNS = (
    Column("Training document"),
    Column("Found in"),
    Column("Characters", "num"),
    Column("Of it", "num"),
    Column("What was done"),
)
NUM_HITS = 40
COMMON_SHARE = 0.5
"""A source of more than this share of the training text sets the model's voice."""


@dataclass(frozen=True)
class MixFacts:
    """The section about how much each source weighs."""

    lead: str
    columns: tuple[Column, ...]
    rows: list[Row]


def mix_facts(statistics: Mapping[str, Any]) -> MixFacts | None:
    """Return each source's share of the training text before and after mixing, None where nothing is known."""
    effect = statistics["selection"].get("mix", [])
    if not effect:
        return None
    changed = any(entry["bytes_before"] != entry["bytes_after"] for entry in effect)
    largest = max(effect, key=lambda entry: entry["share_after"])
    lead = (
        "Sources weigh what they have: no weight or cap changed anything."
        if not changed
        else "Weights and caps changed what sources weigh."
    )
    if largest["share_after"] > COMMON_SHARE and len(effect) > 1:
        lead += f" {share(largest['share_after'], 1)} of the training text is {largest['source']}: corpus.mix can cap it."
    rows = [
        Row([entry["source"], f"{entry['factor']:.3g}", human_bytes(entry["bytes_before"]), human_bytes(entry["bytes_after"]),
             share(entry["share_before"], 1), share(entry["share_after"], 1), f"{entry['documents_left_out']:,}"])
        for entry in effect
    ]  # fmt: skip
    return MixFacts(lead, MIX_COLUMNS, rows)


@dataclass(frozen=True)
class ContaminationFacts:
    """The section about held-out text met in training documents."""

    lead: str
    columns: tuple[Column, ...]
    rows: list[Row]
    note: str


def contamination_facts(statistics: Mapping[str, Any]) -> ContaminationFacts:
    """Return what training documents shared with held-out and benchmark texts."""
    hits = statistics["selection"].get("contamination", [])
    if not hits:
        return ContaminationFacts("No training document shares a passage with what is held out, or with a benchmark.", HIT_COLUMNS, [], "")
    dropped = sum(hit["dropped"] for hit in hits)
    lead = f"{plural(len(hits), 'training document')} shared text with what is held out: {dropped:,} dropped; "
    lead += f"from {len(hits) - dropped:,} it was cut."
    rows = [
        Row([hit["document"], hit["held_out"] or f"benchmark {hit['benchmark']}: {hit['text'][:80]}", f"{hit['num_characters']:,}",
             share(hit["share"], 1), "dropped" if hit["dropped"] else "cut"])
        for hit in hits[:NUM_HITS]
    ]  # fmt: skip
    note = f"The {NUM_HITS} longest; all are in statistics.json." if len(hits) > NUM_HITS else ""
    return ContaminationFacts(lead, HIT_COLUMNS, rows, note)


@dataclass(frozen=True)
class WordList:
    """Words of one source, or of the whole corpus."""

    name: str
    note: str
    words: list[tuple[str, str]]


@dataclass(frozen=True)
class WordFacts:
    """The section about words that only this text has."""

    lead: str
    lists: list[WordList]


def word_facts(own: Mapping[str, OwnWords], against: Mapping[str, OwnWords]) -> WordFacts:
    """Return words that only one source has, and those of the corpus that other texts have not."""
    lists = [WordList(f"Not in {name}", _note(words), _listed(words)) for name, words in against.items()]
    if len(own) > 1:
        lists += [WordList(name, _note(words), _listed(words)) for name, words in own.items() if words.words]
    lead = (
        "What each source brings that no other has; the most frequent first, in lower case. Where words are not parted by spaces, pairs of "
    )
    lead += "neighbouring characters are shown instead."
    if len(own) == 1 and not against:
        lead = "One source has nothing to be compared with: name a word list or another text: rodna corpus inspect --against PATH."
    return WordFacts(lead, lists)


def _listed(words: OwnWords) -> list[tuple[str, str]]:
    return [(word, f"{number:,}") for word, number in words.words]


def _note(words: OwnWords) -> str:
    note = f"{plural(words.num_words, 'word')} of its own."
    if words.share_read < 1:
        note += (
            f" Found in a sample of {share(words.share_read, 1)} of the documents: rarer ones are not seen, and some may stand in the rest."
        )
    if words.forgot_below:
        note += f" Words met fewer than {words.forgot_below:,} times were not all kept in memory, and may be missing."
    return note
