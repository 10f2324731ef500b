"""Held-out and benchmark text in the training text: found, cut or dropped, and listed."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rodna.core.errors import CorpusError
from rodna.corpus.config import DecontaminateConfig
from rodna.corpus.deduplicate.groups import Groups, groups_of
from rodna.corpus.deduplicate.letters import blocks, is_dense, keys_of_runs, letters_of
from rodna.corpus.deduplicate.near import Sketches, copies_of_texts, sketch
from rodna.corpus.deduplicate.passages import MIN_LINE_LETTERS, as_passages, every_window
from rodna.corpus.deduplicate.spans import PASSAGE, PASSAGE_KINDS, joined
from rodna.corpus.signals import Column, Signals

REASONS = ("", "in_held_out", "in_benchmark")
_TEXT_SUFFIXES = (".txt", ".md")
_JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
_TABLE_SUFFIXES = (".tsv", ".csv")
_MAX_ITEM_CHARACTERS = 1 << 20
_SPANS_AT_A_TIME = 1 << 20
_MIN_NEAR_SHARE = 0.4
"""Sketches say little about documents that share less."""


@dataclass(frozen=True)
class Hit:
    """What one training document shares with held-out documents or with one benchmark.

    `document` and `held_out` count documents; `held_out` is -1 for a benchmark, whose name and first text that was hit are given.
    `num_characters` is how much of the training document was found there; `dropped` whether it went as a whole.
    """

    document: int
    held_out: int
    benchmark: str
    text: str
    num_characters: int
    share: float
    dropped: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Contamination:
    """What training documents share with held-out and benchmark texts.

    Attributes:
        reasons: uint8 (D,), index into REASONS: why a document must go as a whole.
        other: int64 (D,), the held-out document, or the number of the benchmark text (counted over all benchmarks), it was found in; -1
            for none.
        passages: PASSAGE (P,), what is to be cut from documents that stay, sorted by document; `other` as above.
        hits: what was found, document by document.
    """

    reasons: np.ndarray
    other: np.ndarray
    passages: np.ndarray
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Benchmarks:
    """Texts that training must not hold.

    Attributes:
        names: of the benchmarks.
        texts: the start of each text.
        benchmark: int64 (T,), whose text each is.
        windows: uint64 (W,) sorted hashes of all windows of the texts, and `window_text`, int64 (W,), the text of each.
        keys: uint64 (K,) sorted keys of the letters of whole texts and of their lines, and `key_text`, int64 (K,), the text of each.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    benchmark: np.ndarray
    windows: np.ndarray
    window_text: np.ndarray
    keys: np.ndarray
    key_text: np.ndarray


def load_benchmarks(paths: Sequence[Path]) -> list[tuple[str, list[str]]]:
    """Read the texts of benchmarks: every string in `.txt` (a line each), `.jsonl`, `.json`, `.tsv`, `.csv` and `.parquet` files.

    Args:
        paths: files or folders; a folder's files make one benchmark, named after it.

    Returns:
        (name, texts), in the order of the paths.

    Raises:
        CorpusError: a path is missing, holds no text, or cannot be read as what its name says.
    """
    return [(path.name, _texts_of(path)) for path in paths]


def _texts_of(path: Path) -> list[str]:
    readable = (*_TEXT_SUFFIXES, *_JSON_SUFFIXES, *_TABLE_SUFFIXES, ".parquet")
    if not path.exists():
        raise CorpusError(f"no such benchmark: {path.name}", where=str(path), fix="correct the path in corpus.decontaminate.benchmarks")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in readable)
    texts: dict[str, None] = {}
    for file in files:
        try:
            for text in _strings_in(file):
                if text.strip():
                    texts[text[:_MAX_ITEM_CHARACTERS]] = None
        except (ValueError, OSError, csv.Error) as error:
            raise CorpusError(
                f"cannot read a benchmark: {error}",
                where=str(file),
                fix="save it as UTF-8 text, JSON Lines, TSV, CSV or Parquet, or leave it out of corpus.decontaminate.benchmarks",
            ) from error
    if not texts:
        raise CorpusError(
            f"a benchmark without text: {path.name}", where=str(path), fix=f"name a file or folder with text in {', '.join(readable)}"
        )
    return list(texts)


def _strings_in(file: Path) -> Iterator[str]:
    suffix = file.suffix.lower()
    if suffix == ".parquet":
        from pyarrow import parquet

        for batch in parquet.ParquetFile(file).iter_batches():
            yield from _strings(batch.to_pylist())
        return
    if suffix == ".json":
        yield from _strings(json.loads(file.read_text(encoding="utf-8-sig")))
        return
    with file.open(encoding="utf-8-sig", newline="" if suffix in _TABLE_SUFFIXES else None) as lines:
        if suffix == ".tsv":
            # Not the csv module: quotes in such files are part of the text.
            for line in lines:
                yield from (field.strip() for field in line.split("\t"))
        elif suffix == ".csv":
            yield from _strings(list(csv.reader(lines)))
        elif suffix in _JSON_SUFFIXES:
            for line in lines:
                if line.strip():
                    yield from _strings(json.loads(line))
        else:
            yield from (line.strip() for line in lines)


def _strings(value: Any) -> Iterator[str]:
    """Yield every string in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def index_benchmarks(benchmarks: Sequence[tuple[str, Sequence[str]]]) -> Benchmarks:
    """Hash benchmarks' texts: all windows of each, and the letters of the whole and of each line, where they are long enough."""
    texts = [text for _, items in benchmarks for text in items]
    windows = every_window(texts)
    order = np.argsort(windows["hash"], kind="stable")
    lines = [line for text in texts for line in {text, *text.splitlines()}]
    owners = np.repeat(np.arange(len(texts)), [len({text, *text.splitlines()}) for text in texts])
    keys, enough = _keys_of_lines(lines)
    owners, keys = owners[enough], keys[enough]
    by_key = np.argsort(keys, kind="stable")
    return Benchmarks(
        tuple(name for name, _ in benchmarks),
        tuple(text[:200] for text in texts),
        np.repeat(np.arange(len(benchmarks)), [len(items) for _, items in benchmarks]),
        windows["hash"][order],
        windows["document"][order].astype(np.int64),
        keys[by_key],
        owners[by_key],
    )


def _keys_of_lines(lines: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the keys of lines' letters, uint64 (L,), and which lines have enough letters to be told apart, bool (L,)."""
    keys, weights = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
    for _, block in blocks(lines):
        letters = letters_of(block)
        keys.append(keys_of_runs(letters.codes, letters.offsets))
        sums = np.concatenate(([0], np.cumsum(1 + is_dense(letters.codes))))
        weights.append(sums[letters.offsets[1:]] - sums[letters.offsets[:-1]])
    return np.concatenate(keys), np.concatenate(weights) >= MIN_LINE_LETTERS


def find_contamination(
    store: Signals, split: np.ndarray, config: DecontaminateConfig, benchmarks: Sequence[tuple[str, Sequence[str]]]
) -> Contamination:
    """Find what training documents share with held-out documents and benchmarks. What is held out is never touched.

    A window of letters (see `passages`) that a protected text holds too is contaminated, and so is a whole document or line of the same
    letters. Documents mostly contaminated go; of others what is contaminated is cut, short passages of held-out documents excepted:
    set phrases are no leak.

    Args:
        store: the corpus.
        split: uint8 (D,), index into `SPLITS`, 255 for dropped documents.
        config: what is protected, and how much is too much.
        benchmarks: (name, texts), see `load_benchmarks`.
    """
    index = index_benchmarks(benchmarks)
    train = split == 0
    held_out = (split == 1) | (split == 2) if config.held_out else np.zeros(len(split), dtype=bool)
    found = [_whole_documents(store, train, held_out, index), _near_copies(store, train, benchmarks, config.max_share)]
    protected: tuple[tuple[Column, np.ndarray, np.ndarray], ...] = (
        ("windows", index.windows, index.window_text),
        ("lines", index.keys, index.key_text),
    )
    for kind, keys, texts in protected:
        for group in groups_of(store, kind, train | held_out):
            if len(group.hashes):
                found.extend(_shared(group, train, held_out, keys, texts))
            # Windows that overlap are many times as many as the passages they make.
            if sum(map(len, found)) > _SPANS_AT_A_TIME:
                found = [joined(np.concatenate(found))]
    spans = joined(np.concatenate(found))
    return _judge(spans, store.field("num_characters"), config, index)


def _shared(group: Groups, train: np.ndarray, held_out: np.ndarray, keys: np.ndarray, texts: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the training documents' rows whose hash a protected text has."""
    is_train = train[group.documents]
    place = np.where(held_out[group.documents], group.documents, np.iinfo(np.int64).max)
    owner = group.spread(np.minimum.reduceat(place, group.begins))
    which = np.flatnonzero(is_train & (owner < np.iinfo(np.int64).max))
    yield as_passages(group, which, PASSAGE_KINDS.index("in_held_out"), owner[which])
    if len(keys):
        which = np.flatnonzero(is_train & _contains(keys, group.hashes))
        yield as_passages(group, which, PASSAGE_KINDS.index("in_benchmark"), texts[np.searchsorted(keys, group.hashes[which])])


def _contains(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return which values are among sorted keys."""
    places = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
    return keys[places] == values


def _whole_documents(store: Signals, train: np.ndarray, held_out: np.ndarray, index: Benchmarks) -> np.ndarray:
    """Return training documents of the same letters as a held-out document or line, or a benchmark's text or line; PASSAGE (P,)."""
    letters = store.field("letters_key", "sketches")
    result = []
    held = np.flatnonzero(held_out)
    held = held[np.argsort(letters[held], kind="stable")]
    protected = (
        ("in_held_out", letters[held], held),
        ("in_held_out", *_lines_like(store, held_out, np.sort(letters[train & (letters != 0)]))),
        ("in_benchmark", index.keys, index.key_text),
    )
    for kind, keys, owners in protected:
        if len(keys):
            which = np.flatnonzero(train & (letters != 0) & _contains(keys, letters))
            part = np.zeros(len(which), PASSAGE)
            part["document"], part["end"], part["kind"] = which, store.field("num_characters")[which], PASSAGE_KINDS.index(kind)
            part["other"] = owners[np.searchsorted(keys, letters[which])]
            result.append(part)
    return np.concatenate([np.zeros(0, PASSAGE), *result])


def _lines_like(store: Signals, held_out: np.ndarray, letters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the held-out lines that are all there is of some training document, such as a loose sentence.

    Args:
        store: the corpus.
        held_out: bool (D,).
        letters: uint64 (T,), sorted keys of the training documents' letters.

    Returns:
        The lines' keys, uint64 (L,), sorted, and the held-out document each stands in, int64 (L,).
    """
    keys, owners = [np.zeros(0, dtype=np.uint64)], [np.zeros(0, dtype=np.int64)]
    for shard in store.shards if held_out.any() and len(letters) else ():
        lines = store.column("lines", shard)
        documents = lines["document"].astype(np.int64) + shard.first
        held = np.flatnonzero(held_out[documents])
        held = held[_contains(letters, lines["hash"][held])]
        keys.append(lines["hash"][held])
        owners.append(documents[held])
    key, owner = np.concatenate(keys), np.concatenate(owners)
    order = np.lexsort((owner, key))
    return key[order], owner[order]


def _near_copies(store: Signals, train: np.ndarray, benchmarks: Sequence[tuple[str, Sequence[str]]], share: float) -> np.ndarray:
    """Return training documents most of whose shingles one long benchmark text has; PASSAGE (P,).

    Held-out text needs no such search: near copies are in one cluster, which falls on one side of the split.
    """
    texts = [text for _, items in benchmarks for text in items]
    copies = copies_of_texts(Sketches(store, np.flatnonzero(train), longest=False), sketch(texts), max(share, _MIN_NEAR_SHARE))
    result = np.zeros(len(copies), PASSAGE)
    result["document"], result["other"], result["kind"] = copies["left"], copies["right"], PASSAGE_KINDS.index("in_benchmark")
    result["end"] = store.field("num_characters")[copies["left"]]
    return result


def _judge(spans: np.ndarray, sizes: np.ndarray, config: DecontaminateConfig, index: Benchmarks) -> Contamination:
    """Say which documents go and what is cut from others."""
    reasons, other = np.zeros(len(sizes), dtype=np.uint8), np.full(len(sizes), -1, dtype=np.int64)
    covered = {}
    for number, reason in enumerate(REASONS[1:], start=1):
        own = spans[spans["kind"] == PASSAGE_KINDS.index(reason)]
        count = np.bincount(own["document"], weights=own["end"].astype(np.float64) - own["start"], minlength=len(sizes))
        covered[reason] = count
        documents, first = np.unique(own["document"], return_index=True)
        mostly = (count[documents] > config.max_share * sizes[documents]) & (reasons[documents] == 0)
        reasons[documents[mostly]] = number
        other[documents[mostly]] = own["other"][first[mostly]]
    lengths = spans["end"].astype(np.int64) - spans["start"]
    short = (spans["kind"] == PASSAGE_KINDS.index("in_held_out")) & (lengths < config.min_characters)
    relevant = spans[(reasons[spans["document"]] > 0) | ~short]
    passages = relevant[reasons[relevant["document"]] == 0]
    return Contamination(reasons, other, passages, tuple(_hits(relevant, sizes, reasons, index)))


def _hits(spans: np.ndarray, sizes: np.ndarray, reasons: np.ndarray, index: Benchmarks) -> Iterator[Hit]:
    """Yield one hit for each training document and held-out document or benchmark."""
    totals: dict[tuple[int, int, str], tuple[int, int]] = {}
    held_out = PASSAGE_KINDS.index("in_held_out")
    for document, start, end, kind, other in spans.tolist():
        name = "" if kind == held_out else index.names[index.benchmark[other]]
        key = (document, other if kind == held_out else -1, name)
        so_far, first = totals.get(key, (0, other))
        totals[key] = (so_far + end - start, first)
    for (document, held, name), (number, first) in totals.items():
        text = "" if held >= 0 else index.texts[first]
        yield Hit(document, held, name, text, number, round(number / int(sizes[document]), 4), bool(reasons[document]))
