"""Second pass: repair and judge each document, and write down all that choices over the whole corpus need to know of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rodna.core.artifact import Artifact
from rodna.core.files import write_bytes, write_json
from rodna.corpus.boilerplate import strip_boilerplate
from rodna.corpus.config import CorpusConfig
from rodna.corpus.deduplicate.exact import keys_of
from rodna.corpus.deduplicate.near import SKETCH, sketch
from rodna.corpus.deduplicate.passages import by_hash, lines_of, windows_of
from rodna.corpus.documents import Document, Dropped, excerpt_of
from rodna.corpus.extractors import Rejected
from rodna.corpus.identify import IDENTIFIED, load_identifier
from rodna.corpus.language import parse_language
from rodna.corpus.passes.extract import merge_evidence
from rodna.corpus.passes.shards import ShardWriter, in_batches, read_shard
from rodna.corpus.privacy import redact
from rodna.corpus.quality.characters import CharacterModel
from rodna.corpus.quality.measures import MEASURES, measure
from rodna.corpus.repair import Repairs, fit_repairs, repair
from rodna.corpus.signals import IDENTITY, write_column
from rodna.corpus.steps import apply, load_steps
from rodna.corpus.tally import Tally

FUNCTION = "rodna.corpus.passes.clean:clean_task"
ROW = np.dtype([*IDENTITY, *((name, IDENTIFIED[name]) for name in IDENTIFIED.names or ()), ("measures", np.float32, (len(MEASURES),))])
SEED_BYTES = 8 << 20
"""How much text the character model is fitted to; more changes its judgement little."""


def fit(documents: Artifact, config: CorpusConfig, out: Path, *, language: str) -> None:
    """Write what the corpus' own text says about how it is to be repaired and judged: `repairs.json` and `characters.npz`."""
    index = json.loads((documents.path / "shards.json").read_text(encoding="utf-8"))
    evidence = merge_evidence(documents.path, index["evidence"])
    repairs = fit_repairs(evidence, parse_language(language), config.normalize)
    write_json(out / "repairs.json", repairs.as_json())
    texts = seed_texts(documents.path, index["shards"], config.quality.seed)
    CharacterModel.fit(repair(text, repairs)[0] for text in texts).save(out / "characters.npz")


def seed_texts(folder: Path, shards: Sequence[Mapping[str, Any]], sources: Sequence[str]) -> Iterator[str]:
    """Yield texts of the named sources (all, where none is named), evenly from the whole corpus, `SEED_BYTES` at most."""
    shards = [shard for shard in shards if not sources or not set(sources).isdisjoint(shard["sources"])]
    total = sum(shard["bytes"] for shard in shards)
    # Whole shards are read, and of a large corpus only every so many-th of them; of each, its start.
    stride = max(1, len(shards) // 64)
    chosen = shards[::stride]
    each = SEED_BYTES // max(1, len(chosen)) if total > SEED_BYTES else total + 1
    for shard in chosen:
        taken = 0
        for document, _ in read_shard(folder, shard["name"]):
            if sources and document.source not in sources:
                continue
            yield document.text
            taken += len(document.text.encode())
            if taken >= each:
                break


def clean_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Clean one shard of documents; write it and its columns.

    Returns:
        `name`; `documents`, how many are left; `dropped`, the name of the file of drops; `tally`.
    """
    out, name = Path(task["out"]), task["name"]
    cleaner = _cleaner(
        json.dumps({key: task[key] for key in ("config", "language", "root", "fitted", "sources", "inputs")}, sort_keys=True)
    )
    tally = Tally()
    rows: list[np.ndarray] = []
    ids: list[str] = []
    columns: dict[str, list[np.ndarray]] = {"sketches": [], "windows": [], "lines": []}
    first = 0
    with ShardWriter(out, name) as kept, ShardWriter(out, f"{name}.dropped") as dropped:
        for batch in in_batches(read_shard(Path(task["documents"]), name)):
            documents: list[Document] = []
            for document, line in batch:
                item = cleaner.clean(document, tally)
                if isinstance(item, Dropped):
                    dropped.write(item, item.size_bytes)
                    continue
                documents.append(item)
                if item is document:
                    kept.write_line(line)
                else:
                    kept.write(item, 0)
            if documents:
                rows.append(cleaner.rows(documents))
                ids += [document.id for document in documents]
                texts = [document.text for document in documents]
                for kind, values in cleaner.columns(texts).items():
                    if kind != "sketches":
                        values["document"] += first
                    columns[kind].append(values)
            first += len(documents)
    empty = {"rows": np.zeros(0, ROW), "sketches": np.zeros(0, SKETCH), "windows": windows_of([]), "lines": lines_of([])}
    for kind, parts in {"rows": rows, **columns}.items():
        values = np.concatenate(parts) if parts else empty[kind]
        write_column(out, name, kind, by_hash(values) if kind in ("windows", "lines") else values)
    write_bytes(out / f"{name}.ids.json", json.dumps(ids, ensure_ascii=False).encode())
    return {"name": name, "documents": first, "dropped": f"{name}.dropped", "tally": tally.as_json()}


class _Cleaner:
    """All that cleaning a document needs, loaded once a process."""

    def __init__(self, config: CorpusConfig, *, language: str, root: Path, fitted: Path, sources: Sequence[str]) -> None:
        self.config = config
        self.repairs = Repairs.from_json(json.loads((fitted / "repairs.json").read_text(encoding="utf-8")))
        self.model = CharacterModel.load(fitted / "characters.npz")
        is_off = config.language.identifier == "off"
        self.identifier = None if is_off else load_identifier(config.language, language=language, root=root)
        self.steps = load_steps(config.steps, language=language)
        self.numbers = {name: number for number, name in enumerate(sources)}

    def clean(self, document: Document, tally: Tally) -> Document | Dropped:
        """Return a document repaired, or its drop by one of the steps."""
        text, repaired = repair(document.text, self.repairs)
        for kind, number in repaired.items():
            tally.add("repaired", kind, number=number)
        current = document
        if text is not document.text:
            tally.add("changed_bytes", document.source, "repair", number=len(text.encode()) - len(document.text.encode()))
            current = replace(document, text=text)
        for name, step in self.steps:
            result = apply(name, step, current)
            size = len(current.text.encode())
            if isinstance(result, Rejected):
                tally.drop(document.source, name, result.reason, size)
                return Dropped(document.id, document.source, name, result.reason, result.detail, size, excerpt_of(current.text))
            tally.add("changed_bytes", document.source, name, number=len(result.text.encode()) - size)
            current = result
        if self.config.quality.boilerplate:
            text, removed = strip_boilerplate(current.text, self.model)
            if removed:
                tally.add("changed_bytes", document.source, "boilerplate", number=len(text.encode()) - len(current.text.encode()))
                current = replace(current, text=text)
        if self.config.privacy.remove:
            text, found = redact(current.text, self.config.privacy.remove, placeholder=self.config.privacy.placeholder)
            for kind, number in found.items():
                tally.add("redacted", kind, number=number)
            tally.add("changed_bytes", document.source, "privacy", number=len(text.encode()) - len(current.text.encode()))
            current = replace(current, text=text)
        if not current.text or current.text.isspace():
            # What was cut from it is already counted as changed.
            tally.drop(document.source, "clean", "blank", len(current.text.encode()))
            detail = "nothing is left but white space"
            return Dropped(document.id, document.source, "clean", "blank", detail, len(current.text.encode()), excerpt_of(document.text))
        return current

    def rows(self, documents: Sequence[Document]) -> np.ndarray:
        """Return what is known of each document."""
        texts = [document.text for document in documents]
        rows = np.zeros(len(documents), ROW)
        rows["key"] = keys_of(texts)
        rows["size_bytes"] = [len(text.encode()) for text in texts]
        rows["num_characters"] = [len(text) for text in texts]
        rows["source"] = [self.numbers[document.source] for document in documents]
        if self.identifier is None:
            rows["label"] = rows["second"] = -1
        else:
            identified = self.identifier.identify(texts)
            for field in IDENTIFIED.names or ():
                rows[field] = identified[field]
        rows["measures"] = measure(texts, self.model)
        return rows

    def columns(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """Return what copies and shared passages are found by."""
        return {"sketches": sketch(texts), "windows": windows_of(texts), "lines": lines_of(texts)}


@lru_cache(maxsize=1)
def _cleaner(settings: str) -> _Cleaner:
    # `inputs` is part of the key: what was fitted to other text may have lain at the same place.
    values = json.loads(settings)
    config = CorpusConfig.model_validate(values["config"])
    root, fitted = Path(values["root"]), Path(values["fitted"])
    return _Cleaner(config, language=values["language"], root=root, fitted=fitted, sources=values["sources"])
