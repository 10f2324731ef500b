"""The figures of a corpus: sizes, scripts, characters, lengths, and what was dropped and why."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from rodna.core.errors import CorpusError
from rodna.corpus.config import Source
from rodna.corpus.documents import SPLITS, Dropped

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

_LENGTH_STEPS = [0, *(10**power * step for power in range(1, 7) for step in (1, 2, 5)), 10_000_000]
_NUM_LISTED_CHARACTERS = 60


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


@dataclass
class SourceCounts:
    """What one source held: files, and documents by fate."""

    files: int = 0
    size_bytes: int = 0
    read: int = 0
    kept: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    kept_bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    kept_characters: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    dropped: int = 0
    dropped_bytes: int = 0


class Statistics:
    """Collects a corpus' figures while it is built."""

    def __init__(self, language: str, sources: Mapping[str, Source]) -> None:
        self.language = language
        self.sources = dict(sources)
        self.by_source = {name: SourceCounts() for name in sources}
        self._by_code = np.zeros(0x110000, dtype=np.int64)
        self._pending: list[str] = []
        self._num_pending = 0
        self.lengths: Counter[int] = Counter()
        self.reasons: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.mended: Counter[str] = Counter()
        self.encodings: Counter[str] = Counter()

    def add_text(self, text: str) -> None:
        """Count the characters of a kept document."""
        self._pending.append(text)
        self._num_pending += len(text)
        if self._num_pending > 1 << 20:
            self._count_pending()

    def _count_pending(self) -> None:
        codes = np.frombuffer("".join(self._pending).encode("utf-32-le"), dtype=np.uint32)
        counts = np.bincount(codes, minlength=1)
        self._by_code[: len(counts)] += counts
        self._pending, self._num_pending = [], 0

    @property
    def characters(self) -> dict[str, int]:
        """How often each character occurs in the kept documents."""
        self._count_pending()
        return {chr(code): int(self._by_code[code]) for code in np.flatnonzero(self._by_code)}

    def add_kept(self, source: str, split: str, size_bytes: int, num_characters: int) -> None:
        counts = self.by_source[source]
        counts.kept[split] += 1
        counts.kept_bytes[split] += size_bytes
        counts.kept_characters[split] += num_characters
        self.lengths[_length_step(size_bytes)] += 1

    def add_dropped(self, dropped: Dropped) -> None:
        counts = self.by_source[dropped.source]
        counts.dropped += 1
        counts.dropped_bytes += dropped.size_bytes
        entry = self.reasons[dropped.step, dropped.reason]
        entry[0] += 1
        entry[1] += dropped.size_bytes

    def check_balance(self) -> None:
        """Check that every document read was kept or dropped.

        Raises:
            CorpusError: it was not: a fault of a step, never of the text.
        """
        for name, counts in self.by_source.items():
            kept = sum(counts.kept.values())
            if counts.read != kept + counts.dropped:
                raise CorpusError(
                    f"the counts do not balance: {counts.read:,} documents read, {kept:,} kept, {counts.dropped:,} dropped",
                    where=f"source {name}",
                    fix="this is a fault of rodna or of a plugin: please report it with the source's settings",
                )

    def counts(self) -> dict[str, Any]:
        """Return the few numbers that go into the artifact's manifest."""
        totals = self._balance()
        return {split: self._split(split) for split in SPLITS} | {
            "documents_read": totals["read"],
            "documents_kept": totals["kept"],
            "documents_dropped": totals["dropped"],
        }

    def _balance(self) -> dict[str, int]:
        sources = self.by_source.values()
        return {
            "read": sum(counts.read for counts in sources),
            "kept": sum(sum(counts.kept.values()) for counts in sources),
            "dropped": sum(counts.dropped for counts in sources),
        }

    def _split(self, split: str) -> dict[str, int]:
        sources = self.by_source.values()
        return {
            "documents": sum(counts.kept[split] for counts in sources),
            "bytes": sum(counts.kept_bytes[split] for counts in sources),
            "characters": sum(counts.kept_characters[split] for counts in sources),
        }

    def as_json(self) -> dict[str, Any]:
        """Return everything, in the form of statistics.json."""
        splits = {split: self._split(split) for split in SPLITS}
        characters = self.characters
        return {
            "language": self.language,
            "balance": self._balance(),
            "total": {key: sum(split[key] for split in splits.values()) for key in ("documents", "bytes", "characters")},
            "splits": splits,
            "sources": {name: self._source(name, counts) for name, counts in self.by_source.items()},
            "dropped": [
                {"step": step, "reason": reason, "documents": documents, "bytes": size}
                for (step, reason), (documents, size) in sorted(self.reasons.items(), key=lambda item: (-item[1][0], item[0]))
            ],
            "mended": dict(sorted(self.mended.items())),
            "encodings": dict(self.encodings.most_common()),
            "scripts": scripts_of(characters),
            "characters": _inventory(characters),
            "lengths": [
                {"from_bytes": low, "below_bytes": high, "documents": self.lengths[low]}
                for low, high in zip(_LENGTH_STEPS, [*_LENGTH_STEPS[1:], None], strict=True)
                if self.lengths[low]
            ],
        }

    def _source(self, name: str, counts: SourceCounts) -> dict[str, Any]:
        source = self.sources[name]
        return {
            "path": source.path,
            "licence": source.licence,
            "origin": source.origin,
            "document": source.document,
            "files": counts.files,
            "size_bytes": counts.size_bytes,
            "read": counts.read,
            "kept": sum(counts.kept.values()),
            "dropped": counts.dropped,
            "dropped_bytes": counts.dropped_bytes,
            "splits": {
                split: {"documents": counts.kept[split], "bytes": counts.kept_bytes[split], "characters": counts.kept_characters[split]}
                for split in SPLITS
            },
        }


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


def _length_step(size_bytes: int) -> int:
    """Return the start of the histogram's step that a length falls into."""
    return _LENGTH_STEPS[bisect_right(_LENGTH_STEPS, size_bytes) - 1]
