"""The account of a corpus: what was read, changed, dropped and kept, and what the kept text is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from rodna.core.text import human_bytes
from rodna.corpus.inspect import Entry, balances, ledger_of, without_licence
from rodna.publish.charts import Bar, bar_list
from rodna.publish.facts.text import script_name
from rodna.publish.facts.view import MINUS, Column, Number, Row, plural, share

LEDGER_COLUMNS = (
    Column("Step"), Column("What it did"), Column("Documents", "num"), Column("Bytes", "num"), Column("Documents left", "num"),
    Column("Bytes left", "num"),
)  # fmt: skip
SOURCE_COLUMNS = (
    Column("Source"), Column("Licence", "licence"), Column("Origin", "why"), Column("Date"), Column("Consent", "why"),
    Column("Documents kept", "num"), Column("Text kept", "num"),
)  # fmt: skip
SPLIT_COLUMNS = (Column("Split"), Column("Documents", "num"), Column("Text", "num"), Column("Characters", "num"), Column("Share", "num"))
LANGUAGE_COLUMNS = (Column("Label"), Column("Documents", "num"), Column("Text", "num"), Column("Share", "num"))
DOMAIN_COLUMNS = (Column("Domain"), Column("Source"), Column("Text", "num"), Column("Share", "num"))
NO_LICENCE = "NO LICENCE GIVEN"
NUM_LISTED = 12
LEAST_SHARE = 0.0005
"""Labels of less of the text are summed up."""


@dataclass(frozen=True)
class AccountFacts:
    """The section that shows that nothing was lost unsaid."""

    lead: str
    balanced: bool
    numbers: list[Number]
    columns: tuple[Column, ...]
    rows: list[Row]
    repairs: str


def account_facts(statistics: Mapping[str, Any]) -> AccountFacts:
    """Return the ledger, one row a step and reason, with what is left after each."""
    balance, sizes = statistics["balance"], statistics["balance_bytes"]
    good = balances(statistics)
    lead = (
        f"{balance['read']:,} documents read = {balance['kept']:,} kept + {balance['dropped']:,} dropped. "
        f"{sizes['read']:,} bytes of text read {'+' if sizes['changed'] >= 0 else MINUS} {abs(sizes['changed']):,} changed = "
        f"{sizes['kept']:,} kept + {sizes['dropped']:,} dropped."
    )
    lead += " The account balances to the document and the byte." if good else " The account does not balance: a fault, please report it."
    return AccountFacts(
        lead, good, _numbers(statistics), LEDGER_COLUMNS, [_ledger_row(entry) for entry in ledger_of(statistics)], _repairs(statistics)
    )


def _numbers(statistics: Mapping[str, Any]) -> list[Number]:
    balance, total = statistics["balance"], statistics["total"]
    return [
        Number("documents kept", f"{total['documents']:,}"),
        Number("of text, UTF-8", human_bytes(total["bytes"])),
        Number("characters", f"{total['characters']:,}"),
        Number("different characters", f"{statistics['characters']['num_distinct']:,}"),
        Number("of the documents dropped", share(balance["dropped"], balance["read"])),
    ]


def _ledger_row(entry: Entry) -> Row:
    if not entry.step:
        return Row([entry.what, "", "", "", f"{entry.documents_left:,}", f"{entry.bytes_left:,}"], total=True)
    changes = {"changed": "changed", "cut": "cut from documents that stay"}
    what = changes.get(entry.what) or f"dropped: {entry.what.replace('_', ' ')}"
    return Row([entry.step, what, signed(entry.documents), signed(entry.size_bytes), f"{entry.documents_left:,}", f"{entry.bytes_left:,}"])


def signed(number: int) -> str:
    """Return a number with its sign: 12 -> '+12'."""
    return f"{MINUS if number < 0 else '+'}{abs(number):,}" if number else "0"


def _repairs(statistics: Mapping[str, Any]) -> str:
    """Say what was repaired, and what personal data was taken out."""
    parts = [f"{number:,} characters ({kind})" for kind, number in statistics["repaired"].items()]
    said = [f"Repaired: {', '.join(parts)}."] if parts else []
    mended = [f"{plural(number, 'document')} ({kind})" for kind, number in statistics["mended"].items()]
    said += [f"Normalised: {', '.join(mended)}."] if mended else []
    redacted = [f"{number:,} x {kind}" for kind, number in statistics["redacted"].items()]
    said += [f"Personal data replaced: {', '.join(redacted)}."] if redacted else []
    foreign = [f"{name} ({number:,})" for name, number in statistics["encodings"].items() if name.lower() not in ("utf-8", "ascii")]
    said += [f"Encodings besides UTF-8: {', '.join(foreign)}."] if foreign else []
    return " ".join(said)


@dataclass(frozen=True)
class SourceFacts:
    """The section about where the text comes from and who may use it."""

    lead: str
    missing: str
    chart: Markup
    columns: tuple[Column, ...]
    rows: list[Row]
    split_columns: tuple[Column, ...]
    splits: list[Row]


def source_facts(statistics: Mapping[str, Any]) -> SourceFacts:
    """Return the sources by size, with their licences; a missing one is shouted."""
    sources = sorted(statistics["sources"].items(), key=lambda item: -_kept_bytes(item[1]))
    missing = without_licence(statistics)
    whole = sum(_kept_bytes(values) for _, values in sources)
    said = (
        f"{NO_LICENCE}: {', '.join(missing)}. The corpus can be used here, but neither it nor what is made from it can be published."
        if missing
        else ""
    )
    bars = [
        Bar(name, _kept_bytes(values), f"{human_bytes(_kept_bytes(values))}, {share(_kept_bytes(values), whole)}", 0, 0, strong=True)
        for name, values in sources
    ]
    rows = [
        Row([name, values["licence"] or NO_LICENCE, values["origin"] or "–", values["date"] or "–", values["consent"] or "–",
             _kept_of(values), human_bytes(_kept_bytes(values))])
        for name, values in sources
    ]  # fmt: skip
    total = statistics["total"]
    splits = [
        Row(
            [
                name,
                f"{split['documents']:,}",
                human_bytes(split["bytes"]),
                f"{split['characters']:,}",
                share(split["bytes"], total["bytes"]),
            ]
        )
        for name, split in statistics["splits"].items()
    ]
    lead = f"{plural(len(sources), 'source')}; sizes are of the text that was kept."
    return SourceFacts(lead, said, bar_list(bars, label="Kept text by source"), SOURCE_COLUMNS, rows, SPLIT_COLUMNS, splits)


def _kept_bytes(values: Mapping[str, Any]) -> int:
    return sum(split["bytes"] for split in values["splits"].values())


def _kept_of(values: Mapping[str, Any]) -> str:
    return f"{values['kept']:,}" if values["kept"] == values["read"] else f"{values['kept']:,} of {values['read']:,}"


@dataclass(frozen=True)
class MakeUpFacts:
    """The section about scripts, languages, domains and characters."""

    lead: str
    scripts: Markup
    language_columns: tuple[Column, ...]
    languages: list[Row]
    mixed: str
    domain_columns: tuple[Column, ...]
    domains: list[Row]
    domain_note: str
    characters: list[tuple[str, str]]
    character_note: str


def make_up_facts(statistics: Mapping[str, Any]) -> MakeUpFacts:
    """Return what the kept text is made of."""
    whole = max(1, statistics["total"]["bytes"])
    scripts = [
        Bar(f"{script_name(code)} ({code})", part, share(part, 1), 0, 0, strong=not number)
        for number, (code, part) in enumerate(list(statistics["scripts"].items())[:NUM_LISTED])
    ]
    found = statistics["languages"]
    common = [entry for entry in found[:NUM_LISTED] if entry["bytes"] >= LEAST_SHARE * whole]
    languages = [_language_row(entry["language"] or "cannot be told", [entry], whole) for entry in common]
    if rare := [entry for entry in found if entry not in common]:
        languages.append(_language_row(plural(len(rare), "more label"), rare, whole))
    mixed = statistics["mixed"]
    said = (
        f"{plural(mixed['documents'], 'document')} ({human_bytes(mixed['bytes'])}) switch between languages, and are kept: each says which "
    )
    said += "share of it is in the language." if mixed["documents"] else ""
    domains = [
        Row([entry["domain"], entry["source"], human_bytes(entry["bytes"]), share(entry["bytes"], whole)])
        for entry in statistics["domains"][:NUM_LISTED]
    ]
    more = statistics["num_domains"] - len(domains)
    characters = statistics["characters"]
    names = {" ": "space", "\n": "line break", "\t": "tab", "\u00a0": "no-break space"}
    listed = [
        (character if character.strip() else names.get(character, f"U+{ord(character):04X}"), f"{count:,}")
        for character, count in characters["most_frequent"]
    ]
    return MakeUpFacts(
        "Sizes are of the kept text. Languages are what an identifier says: of short documents and close relatives, take it as a hint.",
        bar_list(scripts, label="Letters by script"),
        LANGUAGE_COLUMNS,
        languages,
        said if mixed["documents"] else "",
        DOMAIN_COLUMNS,
        domains,
        f"And {plural(more, 'domain')} more." if more else "",
        listed,
        f"{plural(characters['num_distinct'], 'different character')}; {characters['num_for_99_9_percent']:,} make up 99.9% of the text, "
        f"{characters['num_seen_once']:,} occur once.",
    )


def _language_row(name: str, entries: Sequence[Mapping[str, Any]], whole: int) -> Row:
    documents, size = sum(entry["documents"] for entry in entries), sum(entry["bytes"] for entry in entries)
    return Row([name, f"{documents:,}", human_bytes(size), share(size, whole)])
