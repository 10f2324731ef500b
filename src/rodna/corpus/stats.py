"""The figures of a corpus: sizes, scripts, characters, lengths, and what was dropped and why."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.documents import SPLITS
from rodna.corpus.tally import Table, Tally

SCRIPTS = """
Adlm Aghb Ahom Arab Armi Armn Avst Bali Bamu Bass Batk Beng Bhks Bopo Brah Bugi Buhd Cakm Cans Cari Cham Cher Chrs Copt Cprt
Cyrl Deva Diak Dogr Dsrt Dupl Egyp Elba Elym Ethi Geor Glag Gong Gonm Goth Gran Grek Gujr Guru Hang Hani Hano Hatr Hebr Hira
Hluw Hmng Hmnp Hung Ital Java Kali Kana Khar Khmr Khoj Kits Knda Kthi Lana Laoo Latn Lepc Limb Lina Linb Lisu Lyci Lydi Mahj
Maka Mand Mani Marc Medf Mend Merc Mero Mlym Modi Mong Mroo Mtei Mult Mymr Nand Narb Nbat Newa Nkoo Nshu Ogam Olck Orkh Orya
Osge Osma Palm Pauc Perm Phag Phli Phlp Phnx Plrd Prti Rjng Rohg Runr Samr Sarb Saur Sgnw Shaw Shrd Sidd Sind Sinh Sogd Sogo
Sora Soyo Sund Sylo Syrc Tagb Takr Tale Talu Taml Tang Tavt Telu Tfng Tglg Thaa Thai Tibt Tirh Ugar Vaii Wara Wcho Xpeo Xsux
Yezi Yiii Zanb
""".split()  # noqa: SIM905 - a list of 150 quoted codes is no easier to read
"""ISO 15924 codes of the scripts of Unicode 13, in alphabetical order."""

LENGTH_STEPS = [0, *(10**power * step for power in range(1, 7) for step in (1, 2, 5)), 10_000_000]
_NUM_LISTED_CHARACTERS = 60
_NUM_LISTED_DOMAINS = 50


def scripts_of(characters: Mapping[str, int]) -> dict[str, float]:
    """Return the share of each script among the letters counted, largest first.

    Only characters of a script of their own count: digits, punctuation and marks shared by scripts do not.
    """
    counts: Counter[str] = Counter()
    for character, count in characters.items():
        script = script_of(character)
        if script:
            counts[script] += count
    total = sum(counts.values())
    return {script: round(count / total, 6) for script, count in counts.most_common()}


@cache
def script_of(character: str) -> str:
    """Return the ISO 15924 code of a character's script, "" where it has none of its own."""
    match = _script_pattern().match(character)
    return str(match.lastgroup) if match else ""


@cache
def _script_pattern() -> Any:
    import regex

    return regex.compile("|".join(rf"(?P<{code}>\p{{Script={code}}})" for code in sorted(SCRIPTS, key=lambda code: code not in _COMMON)))


_COMMON = ("Latn", "Cyrl", "Arab", "Hani", "Deva")


def statistics_of_tally(tally: Tally, sources: Mapping[str, Source], *, language: str) -> dict[str, Any]:
    """Return a corpus' figures in the form of statistics.json."""
    characters = {key[0]: number for key, number in tally.table("characters").items()}
    splits = {split: _split(tally, split) for split in SPLITS}
    return {
        "language": language,
        "balance": {
            "read": tally.total("read_documents"),
            "kept": tally.total("kept_documents"),
            "dropped": tally.total("dropped_documents"),
        },
        "balance_bytes": {
            "read": tally.total("read_bytes"),
            "changed": tally.total("changed_bytes"),
            "kept": tally.total("kept_bytes"),
            "dropped": tally.total("dropped_bytes"),
        },
        "total": {key: sum(split[key] for split in splits.values()) for key in ("documents", "bytes", "characters")},
        "splits": splits,
        "sources": {name: _source(name, source, tally) for name, source in sources.items()},
        "dropped": [
            {"step": step, "reason": reason, "documents": documents, "bytes": size}
            for (step, reason), documents, size in sorted(_reasons(tally), key=lambda item: (-item[1], item[0]))
        ],
        "changed": {step: number for step, number in sorted(_by_step(tally).items())},
        "mended": _plain(tally, "mended"),
        "repaired": _plain(tally, "repaired"),
        "redacted": _plain(tally, "redacted"),
        "encodings": _ranked(tally, "encodings"),
        "languages": [
            {"language": key[0], "documents": tally.table("languages")[key], "bytes": size}
            for key, size in tally.table("language_bytes").most_common()
        ],
        "mixed": {"documents": tally.total("mixed", "documents"), "bytes": tally.total("mixed", "bytes")},
        "domains": [
            {"source": source, "domain": domain, "bytes": size}
            for (source, domain), size in tally.table("domains").most_common(_NUM_LISTED_DOMAINS)
        ],
        "num_domains": len(tally.table("domains")),
        "scripts": scripts_of(characters),
        "characters": _inventory(characters),
        "lengths": [
            {"from_bytes": low, "below_bytes": high, "documents": tally.total("lengths", str(low))}
            for low, high in zip(LENGTH_STEPS, [*LENGTH_STEPS[1:], None], strict=True)
            if tally.total("lengths", str(low))
        ],
    }


def counts_of(tally: Tally) -> dict[str, Any]:
    """Return the few numbers that go into the artifact's manifest."""
    return {split: _split(tally, split) for split in SPLITS} | {
        "documents_read": tally.total("read_documents"),
        "documents_kept": tally.total("kept_documents"),
        "documents_dropped": tally.total("dropped_documents"),
    }


def _split(tally: Tally, split: str) -> dict[str, int]:
    """Return what the file of a split holds; copies made for a source's weight are in train, and counted."""
    measures: tuple[tuple[str, Table, Table], ...] = (
        ("documents", "kept_documents", "copied_documents"),
        ("bytes", "kept_bytes", "copied_bytes"),
        ("characters", "kept_characters", "copied_characters"),
    )
    return {
        name: sum(number for (_, where), number in tally.table(kept).items() if where == split)
        + (tally.total(copied) if split == "train" else 0)
        for name, kept, copied in measures
    }


def _source(name: str, source: Source, tally: Tally) -> dict[str, Any]:
    return {
        "path": source.path,
        "licence": source.licence,
        "origin": source.origin,
        "date": source.date,
        "consent": source.consent,
        "document": source.document,
        "files": tally.total("files", name),
        "size_bytes": tally.total("file_bytes", name),
        "read": tally.total("read_documents", name),
        "kept": tally.total("kept_documents", name),
        "dropped": tally.total("dropped_documents", name),
        "dropped_bytes": tally.total("dropped_bytes", name),
        "changed_bytes": tally.total("changed_bytes", name),
        "copied": tally.total("copied_documents", name),
        "splits": {
            split: {
                "documents": tally.total("kept_documents", name, split),
                "bytes": tally.total("kept_bytes", name, split),
                "characters": tally.total("kept_characters", name, split),
            }
            for split in SPLITS
        },
    }


def _reasons(tally: Tally) -> list[tuple[tuple[str, str], int, int]]:
    documents, sizes = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for (_, step, reason), number in tally.table("dropped_documents").items():
        documents[step, reason] += number
    for (_, step, reason), number in tally.table("dropped_bytes").items():
        sizes[step, reason] += number
    return [(key, number, sizes[key]) for key, number in documents.items()]


def _by_step(tally: Tally) -> Counter[str]:
    steps = Counter[str]()
    for (_, step), number in tally.table("changed_bytes").items():
        steps[step] += number
    return steps


def _plain(tally: Tally, table: Table) -> dict[str, int]:
    return {key[0]: number for key, number in sorted(tally.table(table).items())}


def _ranked(tally: Tally, table: Table) -> dict[str, int]:
    return {key[0]: number for key, number in tally.table(table).most_common()}


def _inventory(characters: Mapping[str, int]) -> dict[str, Any]:
    """Return how many different characters there are, the most frequent ones, and how many make up nearly all of the text."""
    total = sum(characters.values())
    ranked = sorted(characters.items(), key=lambda item: (-item[1], item[0]))
    covered, needed = 0, 0
    for _, count in ranked:
        if covered >= 0.999 * total:
            break
        covered, needed = covered + count, needed + 1
    return {
        "num_distinct": len(ranked),
        "num_for_99_9_percent": needed,
        "num_seen_once": sum(count == 1 for _, count in ranked),
        "most_frequent": [[character, count] for character, count in ranked[:_NUM_LISTED_CHARACTERS]],
    }
