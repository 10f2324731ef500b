"""What a person reviews: the items of a translated benchmark, what the checks found in words, and the person's verdicts.

Verdicts are appended to the benchmark's own file at once; the files that follow from them are made anew behind the reader's back.
"""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rodna.benchmark import store
from rodna.benchmark.errors import BenchmarkError
from rodna.benchmark.items import option_labels
from rodna.benchmark.recheck import Rechecker
from rodna.benchmark.validate import Check
from rodna.benchmark.words import WORDS
from rodna.core.errors import RodnaError
from rodna.core.files import sync_file

MEASURED = frozenset({"length_ratio", "language", "copied_words", "round_trip", "agreement"})
"""Checks whose value says more than how many mistakes there are."""
REST = 4
"""Times as long as it takes to make the files they are left alone: the page goes first, also with 10,000 items and more."""
NOT_SHOWN = 2_000
"""Characters from which a field that is not translated is cut."""


@dataclass(frozen=True)
class Filter:
    """Which items are looked through; "" for any.

    Attributes:
        status: accepted, repaired, rejected or failed, after the verdicts.
        reason: for which the checks rejected it, whatever a person said since.
        seen: `no`, `yes`, or a verdict.
        find: text that stands in its id, source or translation, in small letters or large.
        order: `random`: drawn once for all from the ids, so that the first so many are a random sample; else as in the source.
    """

    status: str = ""
    reason: str = ""
    seen: str = ""
    find: str = ""
    order: str = ""


class ConflictError(BenchmarkError):
    """Somebody judged the item since it was shown."""


class Review:
    """A translated benchmark under review; every method may be called from several threads.

    Args:
        folder: of the benchmark.
        who: the person, as verdicts are signed.

    Raises:
        BenchmarkError: the folder holds no translated benchmark, or the name is none.
    """

    def __init__(self, folder: Path, who: str) -> None:
        self.who = " ".join(who.split())
        if not self.who or len(self.who) > 100 or not self.who.isprintable():
            raise BenchmarkError(f"not a name: {who[:100]!r}", where="--who", fix="give up to 100 letters; they sign each verdict")
        self.folder = folder
        # Also mends what was left half-made, and shows that the folder is what it should be.
        store.rebuild(folder)
        self._records = store.read_records(folder)
        self.config = store.read_config(folder)
        self._places = {record["id"]: place for place, record in enumerate(self._records)}
        self._shuffled = sorted(self._places.values(), key=lambda place: hashlib.sha256(self._records[place]["id"].encode()).digest())
        self._rechecker = Rechecker(self._records, self.config)
        self._lock = threading.RLock()
        self._read_size = -1
        self._final = [store.judged(record, None) for record in self._records]
        self._revisions: Counter[str] = Counter()
        self._refresh()
        self._files = _Files(folder)

    def overview(self) -> dict[str, Any]:
        """Return how far the review is, and how many items each filter would show."""
        with self._lock:
            self._refresh()
            counts = store.count(self._final, 0)
            reasons = Counter(reason for record in self._records for reason in record["reasons"])
            by_size = sorted(reasons, key=lambda name: (-reasons[name], name))
            return {
                "items": counts["items"],
                "status": {name: counts[name] for name in ("accepted", "repaired", "rejected", "failed")},
                "human": counts["human"],
                "reasons": [{"name": name, "count": reasons[name], "words": WORDS.get(name, name)} for name in by_size],
                "problem": self._files.problem,
            }

    def find(self, wanted: Filter, start: int, step: int) -> dict[str, Any]:
        """Return the first item from a place on that a filter lets through, and its rank among those.

        Args:
            wanted: the filter.
            start: place in the filter's order of the whole benchmark, from 0; of any size.
            step: 1 to look forwards, -1 backwards.
        """
        with self._lock:
            self._refresh()
            order = self._shuffled if wanted.order == "random" else range(len(self._records))
            places = [place for place, record in enumerate(order) if self._passes(record, wanted)]
            ahead = [place for place in places if place >= start] if step > 0 else [place for place in reversed(places) if place <= start]
            found = {**self.item(self._records[order[ahead[0]]]["id"]), "place": ahead[0]} if ahead else None
            return {"item": found, "rank": places.index(ahead[0]) + 1 if ahead else 0, "total": len(places)}

    def item(self, id: str) -> dict[str, Any]:
        """Return an item as the page shows it.

        Raises:
            BenchmarkError: there is no such item.
        """
        with self._lock:
            self._refresh()
            place = self._place(id)
            record, final = self._records[place], self._final[place]
            texts = {segment["path"]: segment["translation"] for segment in final["segments"]}
            return {
                "id": id,
                "place": place,
                "line": record["line"],
                "status": final["status"],
                "human": final["human"],
                "who": final["who"],
                "revision": self._revisions[id],
                "reasons": [{"name": name, "words": WORDS.get(name, name)} for name in record["reasons"]],
                "detail": record["detail"] if not record["checks"] else [],
                "segments": self._segments(record, texts),
                "findings": findings(self._rechecker.check(record, texts), _labels(record)) if record["segments"] else [],
                "others": _others(record),
            }

    def check(self, id: str, texts: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return what the checks find in an item with these texts.

        Raises:
            BenchmarkError: there is no such item, or the texts are not those of its segments.
        """
        record = self._records[self._place(id)]
        self._fitting(record, texts)
        return findings(self._rechecker.check(record, texts), _labels(record))

    def save(self, id: str, keep: bool, texts: Mapping[str, str], revision: int) -> dict[str, Any]:
        """Write a verdict down: when this returns, it is on the disk.

        Args:
            id: of the item.
            keep: whether it is part of the benchmark.
            texts: path -> text, of every segment; what differs from the translation is an edit. Not looked at where it is not kept.
            revision: of the item as it was shown.

        Raises:
            ConflictError: somebody judged it since.
            BenchmarkError: there is no such item, or the texts do not suit it.
        """
        with self._lock:
            self._refresh()
            record = self._records[self._place(id)]
            if revision != self._revisions[id]:
                final = self._final[self._place(id)]
                raise ConflictError(
                    f"{final['who'] or 'somebody'} judged this item since it was shown", where=f"item {id}", fix="look at what they said"
                )
            changed = {}
            if keep:
                self._fitting(record, texts)
                changed = {segment["path"]: texts[segment["path"]] for segment in record["segments"]}
                changed = {path: changed[path] for path, now in _translations(record).items() if changed[path] != now}
            verdict = "reject" if not keep else "edit" if changed else "accept"
            store.write_verdict(self.folder, record, verdict, changed, self.who)
            sync_file(self.folder / store.VERDICTS)
            self._refresh()
        self._files.make()
        return self.item(id)

    def close(self) -> dict[str, Any]:
        """Wait until what is being written is written; return the counts."""
        with self._lock:
            self._files.close()
            return store.rebuild(self.folder)

    def _place(self, id: str) -> int:
        place = self._places.get(id)
        if place is None:
            raise BenchmarkError(f"no item has the id {id[:100]!r}", where=str(self.folder), fix="reload the page")
        return place

    def _fitting(self, record: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        wanted = {segment["path"] for segment in record["segments"]}
        if texts.keys() != wanted:
            raise BenchmarkError(
                f"texts are wanted for {', '.join(sorted(wanted)) or 'nothing'}", where=f"item {record['id']}", fix="reload"
            )

    def _refresh(self) -> None:
        """Read the verdicts where the file has grown: another process may have written to it."""
        path = self.folder / store.VERDICTS
        size = path.stat().st_size if path.is_file() else 0
        if size == self._read_size:
            return
        revisions: Counter[str] = Counter(verdict["id"] for verdict in store.read_json_lines(path) if verdict.get("id") in self._places)
        verdicts = store.read_verdicts(self.folder)
        for id in (id for id in self._places if revisions[id] != self._revisions[id]):
            record = self._records[self._places[id]]
            self._final[self._places[id]] = store.judged(record, store.valid_verdicts([record], verdicts).get(id))
        self._revisions, self._read_size = revisions, size

    def _passes(self, place: int, wanted: Filter) -> bool:
        record, final = self._records[place], self._final[place]
        if wanted.status and final["status"] != wanted.status:
            return False
        if wanted.reason and wanted.reason not in record["reasons"]:
            return False
        if wanted.seen and wanted.seen != ("yes" if final["human"] else "no") and wanted.seen != final["human"]:
            return False
        if not wanted.find:
            return True
        texts = [record["id"], *(text for segment in final["segments"] for text in (segment["source"], segment["translation"]))]
        return any(wanted.find.casefold() in text.casefold() for text in texts)

    def _segments(self, record: Mapping[str, Any], texts: Mapping[str, str]) -> list[dict[str, Any]]:
        options, labels = list(record["options"]), _labels(record)
        return [
            {
                "path": segment["path"],
                "label": labels[segment["path"]],
                "option": segment["path"] in options,
                "right": bool(options) and record["gold"] >= 0 and segment["path"] == options[record["gold"]],
                "source": segment["source"],
                "machine": segment["translation"],
                "text": texts[segment["path"]],
                "back": segment["back"],
                "second": segment["second"],
                "translator": segment["translator"],
                "repairs": [WORDS.get(edit, edit) for edit in segment["edits"]],
                "because": segment.get("because", ""),
            }
            for segment in record["segments"]
        ]


class _Files:
    """Makes the files that follow from the verdicts anew, in a thread of its own; verdicts given meanwhile share the next time."""

    def __init__(self, folder: Path) -> None:
        self.problem = ""
        self._folder = folder
        self._wanted = threading.Condition()
        self._is_stale, self._is_closed = False, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def make(self) -> None:
        """Have the files made."""
        with self._wanted:
            self._is_stale = True
            self._wanted.notify()

    def close(self) -> None:
        """Let the thread end its work."""
        with self._wanted:
            self._is_closed = True
            self._wanted.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wanted:
                self._wanted.wait_for(lambda: self._is_stale or self._is_closed)
                if self._is_closed:
                    return
                self._is_stale = False
            started = time.perf_counter()
            try:
                store.rebuild(self._folder)
                self.problem = ""
            except (RodnaError, OSError) as error:
                self.problem = str(error)
            with self._wanted:
                self._wanted.wait_for(lambda: self._is_closed, REST * (time.perf_counter() - started))


def findings(checks: Sequence[Check], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return checks for people: those that fail first.

    Args:
        checks: of an item.
        labels: path of a text -> what it is called.
    """
    order = {False: 0, None: 1, True: 2}
    return [
        {
            "name": check.name,
            "level": {False: "problem", None: "unknown", True: "fine"}[check.passed],
            "words": WORDS.get(check.name, check.name),
            "detail": _named(check.detail, labels),
            "value": str(check.value) if check.name in MEASURED and check.value is not None else "",
        }
        for check in sorted(checks, key=lambda check: order[check.passed])
    ]


def _named(detail: str, labels: Mapping[str, str]) -> str:
    """Return what a check says, the text it speaks of called as on the page."""
    path, colon, rest = detail.partition(": ")
    return f"{labels[path]}{colon}{rest}" if colon and path in labels else detail


def _labels(record: Mapping[str, Any]) -> dict[str, str]:
    """Return path -> what a text is called: `Option B`, or its path."""
    options = list(record["options"])
    called = dict(zip(options, option_labels(record["source"], options), strict=True)) if options else {}
    paths = [segment["path"] for segment in record["segments"]]
    return {path: f"Option {called[path]}" if path in called else path for path in paths}


def _translations(record: Mapping[str, Any]) -> dict[str, str]:
    return {segment["path"]: segment["translation"] for segment in record["segments"]}


def _others(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what an item has besides the texts that are translated: all of it where it could not be read."""
    source = record["source"]
    if not isinstance(source, dict):
        return [{"name": "item", "text": str(source)[:NOT_SHOWN]}]
    heads = {segment["path"].split(".")[0] for segment in record["segments"]}
    return [
        {"name": str(name), "text": (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:NOT_SHOWN]}
        for name, value in source.items()
        if name not in heads
    ]
