"""Third pass: carry out what was decided over the whole corpus, document by document."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from rodna.corpus.deduplicate.spans import PASSAGE_KINDS, snapped
from rodna.corpus.documents import SPLITS, Document, Dropped, copy_id, excerpt_of
from rodna.corpus.identify import LANGUAGE_REASONS, explain_language
from rodna.corpus.passes.select import CUT_STEPS, REASONS, Judgement
from rodna.corpus.passes.shards import ShardWriter, read_shard
from rodna.corpus.quality.thresholds import explain_quality
from rodna.corpus.signals import Signals
from rodna.corpus.stats import LENGTH_STEPS
from rodna.corpus.tally import Table, Tally

FUNCTION = "rodna.corpus.passes.write:write_task"
LEVEL = 1
GONE = 255
"""The fate of a document of which nothing is left once its passages are cut."""


def write_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the kept, dropped and cut text of one shard.

    Returns:
        `name`; `tally`; `files`: split or kind -> name of the shard's file.
    """
    cleaned, selected, out, name = Path(task["cleaned"]), Path(task["selected"]), Path(task["out"]), task["name"]
    signals = Signals.open(cleaned)
    rows = signals.rows(next(shard for shard in signals.shards if shard.name == name))
    writer = _Writer(selected, name, np.asarray(rows), task["sources"])
    with ExitStack() as stack:
        files = {kind: stack.enter_context(ShardWriter(out, f"{name}.{kind}", level=LEVEL)) for kind in (*SPLITS, "dropped", "cut")}
        plain = writer.plain.tolist()
        for number, (document, line) in enumerate(read_shard(cleaned, name)):
            if plain[number]:
                writer.see(document, document.text)
                files[SPLITS[writer.splits[number]]].write_line(line)
            else:
                for kind, item in writer.items(number, document):
                    files[kind].write(item, 0)
    writer.count()
    return {"name": name, "tally": writer.tally.as_json(), "files": {kind: file.path.name for kind, file in files.items()}}


class _Writer:
    """Turns the decisions about a shard's documents into what is written of them, and counts it.

    `plain`, bool (D,): which documents go out as they came in.
    """

    def __init__(self, selected: Path, name: str, rows: np.ndarray, sources: Sequence[str]) -> None:
        self.judgement, self.tally, self.sources = Judgement.load(selected), Tally(), sources
        self._rows = rows
        self._sizes, self._characters = rows["size_bytes"].astype(np.int64), rows["num_characters"].astype(np.int64)
        decisions = np.load(selected / f"{name}.decisions.npy", allow_pickle=False)
        self._fate, self._repeats, self.splits = decisions["fate"], decisions["repeats"], decisions["split"]
        self._passages = np.load(selected / f"{name}.passages.npy", allow_pickle=False)
        self._bounds = np.searchsorted(self._passages["document"], np.arange(len(rows) + 1))
        self._others = json.loads((selected / f"{name}.others.json").read_text(encoding="utf-8"))
        is_cut = self._bounds[1:] > self._bounds[:-1]
        self.plain = (self._fate == 0) & (self._repeats == 1) & ~is_cut & ~rows["mixed"]
        self._by_code = np.zeros(0x110000, dtype=np.int64)
        self._pending: list[str] = []
        self._num_pending = 0

    def items(self, number: int, document: Document) -> Iterator[tuple[str, Document | Dropped]]:
        """Yield (split or kind, item) for all that is to be written about a document."""
        step, reason = REASONS[self._fate[number]]
        if reason:
            yield "dropped", self._drop(number, document, step, reason, self._explain(number, step, reason))
            return
        first, last = self._bounds[number], self._bounds[number + 1]
        text = document.text
        if first < last:
            text, cuts = self._cut(document, self._passages[first:last])
        else:
            cuts = []
        if cuts:
            if not text:
                detail = "all of it stands in other documents: " + ", ".join(dict.fromkeys(cut.detail for cut in cuts))[:200]
                self._fate[number] = GONE
                yield "dropped", self._drop(number, document, cuts[0].step, "nothing_new", detail)
                return
            yield from (("cut", cut) for cut in cuts)
            size = len(text.encode())
            self._count_changes(document.source, cuts, size - int(self._sizes[number]))
            self._sizes[number], self._characters[number] = size, len(text)
        meta = dict(document.meta)
        if self._rows["mixed"][number]:
            meta["share"] = round(float(self._rows["share"][number]), 3)
        self.see(document, text)
        kept = replace(document, text=text, meta=meta)
        split = SPLITS[self.splits[number]]
        yield split, kept
        for copy in range(2, int(self._repeats[number]) + 1):
            yield split, replace(kept, id=copy_id(document.id, copy))

    def see(self, document: Document, text: str) -> None:
        """Count the characters of a kept text, and where it was published."""
        if document.meta and (domain := domain_of(document)):
            self.tally.add("domains", document.source, domain, number=len(text.encode()))
        self._pending.append(text)
        self._num_pending += len(text)
        if self._num_pending > 1 << 20:
            self._count_characters()

    def count(self) -> None:
        """Count what was kept of the shard as a whole: cheaper by far than document by document."""
        self._count_characters()
        for code in np.flatnonzero(self._by_code):
            self.tally.add("characters", chr(code), number=int(self._by_code[code]))
        kept = np.flatnonzero(self._fate == 0)
        rows, sizes, characters = self._rows[kept], self._sizes[kept], self._characters[kept]
        source, split, one = rows["source"].astype(np.int64), self.splits[kept], np.ones(len(kept))

        def of_split(group: int) -> tuple[str, str]:
            return self.sources[group // len(SPLITS)], SPLITS[group % len(SPLITS)]

        def of_language(group: int) -> tuple[str]:
            return (self.judgement.labels[group - 1] if group else "",)

        where = source * len(SPLITS) + split
        self._sum("kept_documents", where, one, of_split)
        self._sum("kept_bytes", where, sizes, of_split)
        self._sum("kept_characters", where, characters, of_split)
        self._sum("lengths", np.searchsorted(LENGTH_STEPS, sizes, side="right") - 1, one, lambda step: (str(LENGTH_STEPS[step]),))
        language = rows["label"].astype(np.int64) + 1
        self._sum("languages", language, one, of_language)
        self._sum("language_bytes", language, sizes, of_language)
        self.tally.add("mixed", "documents", number=int(rows["mixed"].sum()))
        self.tally.add("mixed", "bytes", number=int(sizes[rows["mixed"]].sum()))
        copies = self._repeats[kept].astype(np.int64) - 1
        self._sum("copied_documents", source, copies, self._source)
        self._sum("copied_bytes", source, copies * sizes, self._source)
        self._sum("copied_characters", source, copies * characters, self._source)

    def _source(self, number: int) -> tuple[str]:
        return (self.sources[number],)

    def _sum(self, table: Table, groups: np.ndarray, weights: np.ndarray, name: Callable[[int], tuple[str, ...]]) -> None:
        """Add the weights of each group to a table, under the group's name."""
        sums = np.bincount(groups, weights=weights)
        for group in np.flatnonzero(sums).tolist():
            self.tally.add(table, *name(group), number=int(sums[group]))

    def _drop(self, number: int, document: Document, step: str, reason: str, detail: str) -> Dropped:
        size_bytes = int(self._sizes[number])
        self.tally.drop(document.source, step, reason, size_bytes)
        return Dropped(document.id, document.source, step, reason, detail, size_bytes, excerpt_of(document.text))

    def _explain(self, number: int, step: str, reason: str) -> str:
        """Say what tripped a document, with the figures."""
        row, judgement = self._rows[number], self.judgement
        other = self._others.get(str(number), "")
        if step == "language":
            return explain_language(row, judgement.labels, LANGUAGE_REASONS.index(reason))
        if step == "quality":
            return explain_quality(row["measures"], judgement.thresholds, reason)
        if reason == "too_short":
            return f"{int(row['size_bytes'])} bytes; corpus.min_document_bytes is {judgement.min_document_bytes:,}"
        if reason == "duplicate":
            return f"same text as {other}"
        if reason == "near_duplicate":
            return f"near copy of {other}"
        if step == "decontaminate":
            return f"most of it stands in {other}"
        return f"left out to bring {self.sources[row['source']]} to its weight or share of the training text (corpus.mix)"

    def _cut(self, document: Document, passages: np.ndarray) -> tuple[str, list[Dropped]]:
        """Return a text without its passages, and what each was; the text as it is where all of them lie inside words."""
        parts: list[str] = []
        cuts: list[Dropped] = []
        end = 0
        for passage in passages:
            start, stop = snapped(document.text, max(int(passage["start"]), end), int(passage["end"]))
            if stop <= start:
                continue
            parts.append(document.text[end:start])
            end, text = stop, document.text[start:stop]
            reason = PASSAGE_KINDS[passage["kind"]]
            other = self._others[f"{reason}:{passage['other']}"]
            cuts.append(
                Dropped(document.id, document.source, CUT_STEPS[reason], reason, f"stands in {other}", len(text.encode()), excerpt_of(text))
            )
        if not cuts:
            return document.text, []
        parts.append(document.text[end:])
        kept = "".join(parts)
        while "\n\n\n" in kept:
            kept = kept.replace("\n\n\n", "\n\n")
        return kept.strip(), cuts

    def _count_changes(self, source: str, cuts: list[Dropped], change: int) -> None:
        """Count the bytes cut by step; the white space that went with them falls to the first."""
        for cut in cuts:
            self.tally.add("changed_bytes", source, cut.step, number=-cut.size_bytes)
        self.tally.add("changed_bytes", source, cuts[0].step, number=change + sum(cut.size_bytes for cut in cuts))

    def _count_characters(self) -> None:
        codes = np.frombuffer("".join(self._pending).encode("utf-32-le"), dtype=np.uint32)
        counts = np.bincount(codes, minlength=1)
        self._by_code[: len(counts)] += counts
        self._pending, self._num_pending = [], 0


def domain_of(document: Document) -> str:
    """Return the host a document was published at, "" where it has no address."""
    address = document.meta.get("url", "")
    try:
        host = urlsplit(address).hostname if isinstance(address, str) else None
    except ValueError:
        return ""
    return (host or "").removeprefix("www.")
