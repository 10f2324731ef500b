"""Third pass: carry out what was decided over the whole corpus, document by document."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from rodna.corpus.deduplicate.spans import PASSAGE_KINDS, snapped
from rodna.corpus.documents import SPLITS, Document, Dropped, excerpt_of
from rodna.corpus.identify import LANGUAGE_REASONS, explain_language
from rodna.corpus.passes.select import CUT_STEPS, REASONS, Judgement
from rodna.corpus.passes.shards import ShardWriter, read_shard
from rodna.corpus.quality.thresholds import explain_quality
from rodna.corpus.signals import Signals
from rodna.corpus.stats import length_step
from rodna.corpus.tally import Tally

FUNCTION = "rodna.corpus.passes.write:write_task"
LEVEL = 5


@dataclass(frozen=True)
class Cut:
    """A passage taken out of a document that was kept: because of what, and where else it stands."""

    id: str
    source: str
    step: str
    reason: str
    detail: str
    size_bytes: int
    excerpt: str


def write_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Write the kept, dropped and cut text of one shard.

    Returns:
        `name`; `tally`; `files`: split or kind -> name of the shard's file.
    """
    cleaned, out, name = Path(task["cleaned"]), Path(task["out"]), task["name"]
    signals = Signals.open(cleaned)
    shard = next(shard for shard in signals.shards if shard.name == name)
    writer = _Writer(Judgement.load(Path(task["selected"])), Tally())
    writer.open_shard(Path(task["selected"]), name, signals.rows(shard))
    with ExitStack() as stack:
        files = {kind: stack.enter_context(ShardWriter(out, f"{name}.{kind}", level=LEVEL)) for kind in (*SPLITS, "dropped", "cut")}
        for number, document in enumerate(read_shard(cleaned, name)):
            for kind, item in writer.items(number, document):
                files[kind].write(item, 0)
    writer.count_characters(last=True)
    return {"name": name, "tally": writer.tally.as_json(), "files": {kind: file.path.name for kind, file in files.items()}}


class _Writer:
    """Turns a decision about a document into what is written of it."""

    def __init__(self, judgement: Judgement, tally: Tally) -> None:
        self.judgement, self.tally = judgement, tally
        self._by_code = np.zeros(0x110000, dtype=np.int64)
        self._pending: list[str] = []
        self._num_pending = 0

    def open_shard(self, selected: Path, name: str, rows: np.ndarray) -> None:
        self._rows = rows
        self._decisions = np.load(selected / f"{name}.decisions.npy", allow_pickle=False)
        self._passages = np.load(selected / f"{name}.passages.npy", allow_pickle=False)
        self._bounds = np.searchsorted(self._passages["document"], np.arange(len(rows) + 1))
        self._others = json.loads((selected / f"{name}.others.json").read_text(encoding="utf-8"))

    def items(self, number: int, document: Document) -> Any:
        """Yield (split or kind, item) for all that is to be written about a document."""
        decision, size_bytes = self._decisions[number], int(self._rows["size_bytes"][number])
        step, reason = REASONS[decision["fate"]]
        if reason:
            yield "dropped", self._drop(document, step, reason, self._explain(number, step, reason), size_bytes)
            return
        first, last = self._bounds[number], self._bounds[number + 1]
        text = document.text
        if first < last:
            text, cuts = self._cut(document, self._passages[first:last])
            if not text:
                detail = "all of it stands in other documents: " + ", ".join(dict.fromkeys(cut.detail for cut in cuts))[:200]
                yield "dropped", self._drop(document, cuts[0].step, "nothing_new", detail, size_bytes)
                return
            for cut in cuts:
                yield "cut", cut
            self._count_changes(document.source, cuts, len(text.encode()) - size_bytes)
            size_bytes = len(text.encode())
        split = SPLITS[decision["split"]]
        meta = dict(document.meta)
        if self._rows["mixed"][number]:
            meta["share"] = round(float(self._rows["share"][number]), 3)
        self._count(document, text, size_bytes, split, number)
        kept = replace(document, text=text, meta=meta)
        yield split, kept
        for copy in range(2, int(decision["repeats"]) + 1):
            self.tally.add("copied_documents", document.source)
            self.tally.add("copied_bytes", document.source, number=size_bytes)
            self.tally.add("copied_characters", document.source, number=len(text))
            yield split, replace(kept, id=f"{document.id}~{copy}")

    def _drop(self, document: Document, step: str, reason: str, detail: str, size_bytes: int) -> Dropped:
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
        return other

    def _cut(self, document: Document, passages: np.ndarray) -> tuple[str, list[Cut]]:
        """Return a text without its passages, and what each was."""
        parts: list[str] = []
        cuts: list[Cut] = []
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
                Cut(document.id, document.source, CUT_STEPS[reason], reason, f"stands in {other}", len(text.encode()), excerpt_of(text))
            )
        parts.append(document.text[end:])
        kept = "".join(parts)
        while "\n\n\n" in kept:
            kept = kept.replace("\n\n\n", "\n\n")
        return kept.strip(), cuts

    def _count_changes(self, source: str, cuts: list[Cut], change: int) -> None:
        """Count the bytes cut by step; the white space that went with them falls to the first."""
        for cut in cuts:
            self.tally.add("changed_bytes", source, cut.step, number=-cut.size_bytes)
        self.tally.add("changed_bytes", source, cuts[0].step, number=change + sum(cut.size_bytes for cut in cuts))

    def _count(self, document: Document, text: str, size_bytes: int, split: str, number: int) -> None:
        tally, row = self.tally, self._rows[number]
        tally.add("kept_documents", document.source, split)
        tally.add("kept_bytes", document.source, split, number=size_bytes)
        tally.add("kept_characters", document.source, split, number=len(text))
        tally.add("lengths", str(length_step(size_bytes)))
        label = int(row["label"])
        language = self.judgement.labels[label] if label >= 0 else ""
        tally.add("languages", language)
        tally.add("language_bytes", language, number=size_bytes)
        if row["mixed"]:
            tally.add("mixed", "documents")
            tally.add("mixed", "bytes", number=size_bytes)
        domain = domain_of(document)
        if domain:
            tally.add("domains", document.source, domain, number=size_bytes)
        self._pending.append(text)
        self._num_pending += len(text)
        if self._num_pending > 1 << 20:
            self.count_characters()

    def count_characters(self, *, last: bool = False) -> None:
        """Count the characters of the texts put aside; the last time, put the counts into the tally."""
        codes = np.frombuffer("".join(self._pending).encode("utf-32-le"), dtype=np.uint32)
        counts = np.bincount(codes, minlength=1)
        self._by_code[: len(counts)] += counts
        self._pending, self._num_pending = [], 0
        if last:
            for code in np.flatnonzero(self._by_code):
                self.tally.add("characters", chr(code), number=int(self._by_code[code]))


def domain_of(document: Document) -> str:
    """Return the host a document was published at, "" where it has no address."""
    address = document.meta.get("url", "")
    try:
        host = urlsplit(address).hostname if isinstance(address, str) else None
    except ValueError:
        return ""
    return (host or "").removeprefix("www.")
