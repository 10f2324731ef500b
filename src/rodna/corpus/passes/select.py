"""What happens to each document, decided over the whole corpus at once: in another language, bad, a copy, held out, or kept.

Works on arrays of one number a document; texts are not read. What is decided is written shard by shard, for `write` to carry out.
"""

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from rodna.core.artifact import Artifact
from rodna.core.files import write_json, write_text
from rodna.corpus.config import CorpusConfig
from rodna.corpus.decontaminate import REASONS as CONTAMINATED
from rodna.corpus.decontaminate import Contamination, find_contamination, load_benchmarks
from rodna.corpus.deduplicate.near import find_copies
from rodna.corpus.deduplicate.passages import find_passages
from rodna.corpus.deduplicate.spans import PASSAGE_KINDS
from rodna.corpus.distributions import describe_copies
from rodna.corpus.identify import IDENTIFIED, LANGUAGE_REASONS, judge_language, load_identifier
from rodna.corpus.mix import mix
from rodna.corpus.quality.thresholds import QUALITY_REASONS, Thresholds, fit_thresholds, judge_quality
from rodna.corpus.signals import Shard, Signals, write_column
from rodna.corpus.split import assign_splits, positions_of

REASONS: tuple[tuple[str, str], ...] = (
    ("", ""),
    *[("language", reason) for reason in LANGUAGE_REASONS[1:]],
    ("filter", "too_short"),
    *[("quality", reason) for reason in QUALITY_REASONS[1:]],
    ("deduplicate", "duplicate"),
    ("deduplicate", "near_duplicate"),
    ("decontaminate", "in_held_out"),
    ("decontaminate", "in_benchmark"),
    ("mix", "over_cap"),
)
"""Step and reason by number; 0: the document is kept."""
FATE: dict[tuple[str, str], int] = {entry: number for number, entry in enumerate(REASONS)}
CUT_STEPS = dict.fromkeys(PASSAGE_KINDS[:2], "deduplicate") | dict.fromkeys(PASSAGE_KINDS[2:], "decontaminate")
"""Why a passage is cut, and the step that does."""
DROPPED_SPLIT = 255
NUM_LISTED_HITS = 1000

DECISION = np.dtype([("fate", np.uint8), ("split", np.uint8), ("repeats", np.uint8)])


@dataclass(frozen=True)
class Judgement:
    """What the drops of a corpus are explained with."""

    labels: tuple[str, ...]
    thresholds: Thresholds
    min_document_bytes: int

    def save(self, folder: Path) -> None:
        values = {"labels": self.labels, "thresholds": self.thresholds.as_json(), "min_document_bytes": self.min_document_bytes}
        write_json(folder / "judgement.json", values)

    @classmethod
    def load(cls, folder: Path) -> Self:
        values = json.loads((folder / "judgement.json").read_text(encoding="utf-8"))
        return cls(tuple(values["labels"]), Thresholds.from_json(values["thresholds"]), values["min_document_bytes"])


class Selection:
    """The fate of every document of a corpus while it is being decided."""

    def __init__(self, signals: Signals, config: CorpusConfig, sources: Sequence[str]) -> None:
        self.signals, self.config, self.sources = signals, config, sources
        self.fate = np.zeros(signals.num_documents, dtype=np.uint8)
        self.source = signals.field("source")
        self._patterns: dict[str, np.ndarray] = {}

    @property
    def alive(self) -> np.ndarray:
        """Which documents nothing has dropped yet, shape (D,)."""
        return self.fate == 0

    def drop(self, which: np.ndarray, step: str, reason: str) -> None:
        """Drop documents, unless a rule of the project keeps them.

        Args:
            which: bool, shape (D,).
            step: what drops them.
            reason: why.
        """
        self.fate[which & self.alive & ~self.protected(reason)] = FATE[step, reason]

    def protected(self, reason: str) -> np.ndarray:
        """Return which documents a rule of the project keeps from being dropped for a reason, bool (D,)."""
        result = np.zeros(len(self.fate), dtype=bool)
        for rule in self.config.keep:
            if rule.reason not in ("", reason) or (rule.source and rule.source not in self.sources):
                continue
            meant = np.ones(len(result), dtype=bool)
            if rule.source:
                meant &= self.source == self.sources.index(rule.source)
            if rule.document:
                meant &= self._matches(rule.document)
            result |= meant
        return result

    def reasons(self) -> list[tuple[str, str, int]]:
        """Return (step, reason, documents) of what has been dropped."""
        return [(*REASONS[fate], int(number)) for fate, number in enumerate(np.bincount(self.fate)) if fate and number]

    def drop_by_number(self, numbers: np.ndarray, step: str, reasons: Sequence[str]) -> None:
        """Drop documents by an array of indices into a step's reasons, shape (D,); 0 keeps."""
        for number, reason in enumerate(reasons):
            if number:
                self.drop(numbers == number, step, reason)

    def _matches(self, pattern: str) -> np.ndarray:
        """Return which documents' ids match a pattern."""
        if pattern not in self._patterns:
            parts = [
                np.fromiter(
                    (fnmatch.fnmatchcase(name, pattern) for name in ids_of(self.signals, shard)), dtype=bool, count=shard.num_documents
                )
                for shard in self.signals.shards
            ]
            self._patterns[pattern] = np.concatenate(parts) if parts else np.zeros(0, dtype=bool)
        return self._patterns[pattern]


def ids_of(signals: Signals, shard: Shard) -> list[str]:
    """Return the ids of a shard's documents."""
    return json.loads((signals.folder / f"{shard.name}.ids.json").read_text(encoding="utf-8"))


def select(cleaned: Artifact, config: CorpusConfig, out: Path, *, language: str, sources: Sequence[str], root: Path) -> dict[str, Any]:
    """Decide over every document of a corpus, and write the decisions of each shard to `out`.

    Returns:
        What is worth telling: `documents`, how many are left (where none is, only `dropped` beside it, which says why); `thresholds`;
        `copies`, by similarity and number; `contamination`, what of held-out and benchmark texts was met; `mix`, its effect on each
        source.

    Raises:
        CorpusError: there is too little text to hold any out, or a setting names what does not exist.
    """
    signals = Signals.open(cleaned.path)
    chosen = Selection(signals, config, sources)
    sizes = signals.field("size_bytes").astype(np.int64)
    labels = _judge_language(chosen, language, root)
    chosen.drop(sizes < config.min_document_bytes, "filter", "too_short")
    thresholds = _judge_quality(chosen)
    Judgement(labels, thresholds, config.min_document_bytes).save(out)
    copies = find_copies(signals, chosen.alive, config.deduplicate)
    for kind, reason in enumerate(("duplicate", "near_duplicate"), start=1):
        chosen.drop(copies["kind"] == kind, "deduplicate", reason)
    if not chosen.alive.any():
        return {"documents": 0, "dropped": chosen.reasons()}
    keys = signals.field("key")
    split = _hold_out(chosen, keys, sizes, copies["cluster"])
    benchmarks = load_benchmarks(benchmark_paths(config, root))
    found = find_contamination(signals, split, config.decontaminate, benchmarks)
    chosen.drop_by_number(found.reasons, "decontaminate", CONTAMINATED)
    split[~chosen.alive] = DROPPED_SPLIT
    wanted = chosen.protected("over_cap")
    repeats, effect = mix(sizes, chosen.source, split, keys[:, 0], sources, config.mix, config.seed, wanted=wanted)
    chosen.drop(chosen.alive & (repeats == 0), "mix", "over_cap")
    # After mixing: a passage must not be cut because it stands in a document that is then left out.
    split[~chosen.alive] = DROPPED_SPLIT
    passages = find_passages(signals, split, config.deduplicate)
    cuts = np.concatenate([passages, found.passages])
    cuts = cuts[chosen.alive[cuts["document"]]]
    cuts = cuts[np.lexsort((cuts["start"], cuts["document"]))]
    others = np.where(found.reasons > 0, found.other, copies["kept"])
    names = _Names(signals, tuple(text for _, texts in benchmarks for text in texts), found, copies["similarity"])
    _write_decisions(chosen, out, split, repeats, cuts, others, names)
    return {
        "documents": int(chosen.alive.sum()),
        "thresholds": thresholds.as_json(),
        "copies": describe_copies(copies),
        "contamination": names.hits(),
        "mix": [entry.as_json() for entry in effect],
    }


def benchmark_paths(config: CorpusConfig, root: Path) -> list[Path]:
    """Return where the benchmarks lie: their paths from `root`, `~` being the user's home."""
    return [root / Path(path).expanduser() for path in config.decontaminate.benchmarks]


def _judge_language(chosen: Selection, language: str, root: Path) -> tuple[str, ...]:
    """Drop documents in other languages; return the identifier's labels, none where it is off."""
    config, signals = chosen.config.language, chosen.signals
    if config.identifier == "off":
        return ()
    identifier = load_identifier(config, language=language, root=root)
    identified = np.zeros(signals.num_documents, IDENTIFIED)
    for name in IDENTIFIED.names or ():
        identified[name] = signals.field(name)
    num_characters = signals.field("num_characters").astype(np.int64)
    judged = judge_language(identified, identifier.labels, num_characters, config, language)
    chosen.drop_by_number(judged, "language", LANGUAGE_REASONS)
    return tuple(identifier.labels)


def _judge_quality(chosen: Selection) -> Thresholds:
    """Drop documents beyond the thresholds, which are fitted to the seed sources, or to all where none is named."""
    config = chosen.config.quality
    measures = chosen.signals.field("measures")
    seed = chosen.alive
    if config.seed:
        seed = seed & np.isin(chosen.source, [chosen.sources.index(name) for name in config.seed])
    thresholds = fit_thresholds(measures[seed], config)
    chosen.drop_by_number(judge_quality(measures, thresholds, config), "quality", QUALITY_REASONS)
    return thresholds


def _hold_out(chosen: Selection, keys: np.ndarray, sizes: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Return the split of every document, `DROPPED_SPLIT` where it is dropped, uint8 (D,): near copies are never on two sides."""
    documents = np.flatnonzero(chosen.alive)
    first, member = np.unique(clusters[documents], return_inverse=True)
    together = np.bincount(member, weights=sizes[documents]).astype(np.int64)
    positions = positions_of(keys[first], chosen.config.seed)
    split = np.full(len(sizes), DROPPED_SPLIT, dtype=np.uint8)
    split[documents] = assign_splits(positions, together, chosen.config.split, where="project.yaml, corpus.split")[member]
    return split


@dataclass(frozen=True)
class _Names:
    """What documents and benchmark texts are called where a drop or a cut is explained."""

    signals: Signals
    benchmark_texts: tuple[str, ...]
    found: Contamination
    similarity: np.ndarray

    def of(self, numbers: np.ndarray) -> dict[int, str]:
        """Return number -> id, for documents anywhere in the corpus."""
        wanted = np.unique(numbers[numbers >= 0])
        names: dict[int, str] = {}
        for shard in self.signals.shards:
            inside = wanted[(wanted >= shard.first) & (wanted < shard.first + shard.num_documents)]
            if len(inside):
                ids = ids_of(self.signals, shard)
                names.update((int(number), ids[number - shard.first]) for number in inside)
        return names

    def hits(self) -> list[dict[str, Any]]:
        """Return what of held-out and benchmark texts was met in training documents, the longest `NUM_LISTED_HITS` of it."""
        hits = sorted(self.found.hits, key=lambda hit: (-hit.num_characters, hit.document))[:NUM_LISTED_HITS]
        names = self.of(np.array([number for hit in hits for number in (hit.document, hit.held_out)], dtype=np.int64))
        return [{**hit.as_json(), "document": names[hit.document], "held_out": names.get(hit.held_out, "")} for hit in hits]


def _write_decisions(
    chosen: Selection, out: Path, split: np.ndarray, repeats: np.ndarray, cuts: np.ndarray, others: np.ndarray, names: _Names
) -> None:
    """Write, shard by shard, each document's fate, what is cut from it, and what the explanations of both refer to."""
    decisions = np.zeros(len(split), DECISION)
    decisions["fate"], decisions["split"], decisions["repeats"] = chosen.fate, split, repeats
    is_text = cuts["kind"] == PASSAGE_KINDS.index("in_benchmark")
    explained = np.isin(chosen.fate, [FATE[entry] for entry in FATE if entry[0] in ("deduplicate", "decontaminate")])
    in_benchmark = chosen.fate == FATE["decontaminate", "in_benchmark"]
    called = names.of(np.concatenate([others[explained & ~in_benchmark], cuts["other"][~is_text]]))
    for shard in chosen.signals.shards:
        own = slice(shard.first, shard.first + shard.num_documents)
        low, high = np.searchsorted(cuts["document"], (own.start, own.stop))
        inside = cuts[low:high].copy()
        referred = {
            f"{PASSAGE_KINDS[kind]}:{other}": names.benchmark_texts[other] if text else called[other]
            for kind, other, text in zip(inside["kind"].tolist(), inside["other"].tolist(), is_text[low:high].tolist(), strict=True)
        }
        for number in np.flatnonzero(explained[own]).tolist():
            document = shard.first + number
            other, fate = int(others[document]), REASONS[chosen.fate[document]]
            text = f"the benchmark text {names.benchmark_texts[other][:80]!r}" if in_benchmark[document] else called[other]
            share = f" ({names.similarity[document]:.0%} of it)" if fate[1] == "near_duplicate" else ""
            referred[str(number)] = text + share
        inside["document"] -= shard.first
        write_column(out, shard.name, "decisions", decisions[own])
        write_column(out, shard.name, "passages", inside)
        write_text(out / f"{shard.name}.others.json", json.dumps(referred, ensure_ascii=False))
