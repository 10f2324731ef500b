"""The folder of a translated benchmark: its files, the verdicts of people, and how one follows from the other.

`items.jsonl` has a line for every item of the source, whatever became of it, and changes only when the benchmark is translated again.
`verdicts.jsonl` is appended to. `benchmark.jsonl`, `rejected.jsonl`, `harness/`, the data card and the manifest
follow from these two (`rebuild`).
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from rodna.benchmark import card
from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import BenchmarkError
from rodna.benchmark.items import Item, translated
from rodna.benchmark.validate import check_numbers, check_placeholders
from rodna.core.artifact import MANIFEST, FileEntry, Manifest, code_commit, digest_of, environment
from rodna.core.files import sha256_of, write_json, write_text
from rodna.core.log import JsonLines, read_json_lines

ITEMS, BENCHMARK, REJECTED, VERDICTS, MEMORY, ABOUT = (
    "items.jsonl",
    "benchmark.jsonl",
    "rejected.jsonl",
    "verdicts.jsonl",
    "memory.jsonl",
    "about.json",
)
KIND, FORMAT_VERSION = "benchmark", 1
PROVENANCE = "provenance"
"""The field that every item of `benchmark.jsonl` has beside its source's; `translation_provenance` where the source has one so named."""

Verdict = Literal["accept", "edit", "reject"]


def unusable(item: Item) -> dict[str, Any]:
    """Return the line of `items.jsonl` for an item that could not be read."""
    reason, detail = item.problem
    return {
        "id": item.id, "line": item.line, "status": "rejected", "reasons": [reason], "detail": [detail], "edits": [], "source": item.source,
        "translation": None, "segments": [], "options": [], "gold": -1, "answer_path": "", "checks": [],
    }  # fmt: skip


def write(folder: Path, records: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the items of a finished translation, and all that follows from them; return the counts."""
    folder.mkdir(parents=True, exist_ok=True)
    # Without a manifest the folder is known to be unfinished, whatever happens from here on.
    (folder / MANIFEST).unlink(missing_ok=True)
    _write_lines(folder / ITEMS, records)
    write_json(folder / ABOUT, dict(about))
    return rebuild(folder)


def read_records(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of `items.jsonl`.

    Raises:
        BenchmarkError: there is no such file.
    """
    if not (folder / ITEMS).is_file():
        raise BenchmarkError(
            f"no translated benchmark here: {ITEMS} not found", where=str(folder), fix="make one with `rodna benchmark translate`"
        )
    return read_json_lines(folder / ITEMS)


def read_verdicts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return item id -> its last verdict."""
    return {record["id"]: record for record in read_json_lines(folder / VERDICTS) if isinstance(record.get("id"), str)}


def valid_verdicts(records: Sequence[Mapping[str, Any]], given: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the verdicts on the translations that stand now: what a person said of another translation says nothing about this one."""
    return {record["id"]: given[record["id"]] for record in records if given.get(record["id"], {}).get("seen") == seen(record)}


def read_config(folder: Path) -> BenchmarkConfig:
    """Return the settings a benchmark was translated with."""
    return BenchmarkConfig.model_validate(json.loads((folder / ABOUT).read_text(encoding="utf-8"))["config"])


def check_card(folder: Path, licence: str) -> None:
    """Check that a card can be written, and could be published.

    Args:
        folder: of the benchmark.
        licence: that the user names now; empty where it is written down.

    Raises:
        BenchmarkError: nobody named a licence, or a card that rodna did not write is in the way.
    """
    if card.is_in_the_way(folder):
        raise BenchmarkError(f"there is a {card.CARD} that rodna did not write", where=str(folder / card.CARD), fix="move it away")
    if not (licence.strip() or read_config(folder).licence):
        raise BenchmarkError(
            "the source has no licence: what is made from it cannot be published",
            where=str(folder),
            fix="find out what its owners allow, and name it with --licence",
        )


def set_source(folder: Path, licence: str, origin: str) -> None:
    """Write down licence and origin of the source; empty ones stay as they are. `rebuild` makes it take effect."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    about["config"] |= {name: value.strip() for name, value in (("licence", licence), ("origin", origin)) if value.strip()}
    write_json(folder / ABOUT, about)


def apply_verdict(folder: Path, id: str, verdict: Verdict, text: Mapping[str, str], who: str) -> list[str]:
    """Write down what a person decided about an item; the last verdict on an item counts. `rebuild` makes it take effect.

    Args:
        folder: of the translated benchmark.
        id: of the item.
        verdict: `accept` or `reject` it as it is, or `edit` it.
        text: of an edit: path of a segment -> its new text; the other segments stay. Empty for the other verdicts.
        who: the person, as they want to be named.

    Returns:
        Warnings about an edit: placeholders and numbers that differ from the source. The verdict stands all the same.

    Raises:
        BenchmarkError: there is no such item, the verdict is unknown, or the text does not suit it.
    """
    record = next((record for record in read_records(folder) if record["id"] == id), None)
    if record is None:
        raise BenchmarkError(f"no item has the id {id!r}", where=str(folder), fix=f"use one that stands in {ITEMS}")
    return write_verdict(folder, record, verdict, text, who)


def write_verdict(folder: Path, record: Mapping[str, Any], verdict: Verdict, text: Mapping[str, str], who: str) -> list[str]:
    """Do what `apply_verdict` does for an item whose line is at hand.

    Raises:
        BenchmarkError: the verdict is unknown, or the text does not suit the item.
    """
    where = f"{folder}, item {record['id']}"
    if verdict not in get_args(Verdict):
        raise BenchmarkError(f"unknown verdict: {verdict!r}", where=where, fix=f"use {', '.join(get_args(Verdict))}")
    sources = {segment["path"]: segment["source"] for segment in record["segments"]}
    given = {segment["path"]: text.get(segment["path"], segment["translation"]) for segment in record["segments"]}
    if (verdict == "edit") != bool(text):
        raise BenchmarkError("an edit needs a text, and no other verdict has one", where=where, fix="give path -> text with edit only")
    unknown = [path for path in text if path not in sources]
    if unknown:
        raise BenchmarkError(f"the item has no text at {unknown[0]!r}", where=where, fix=f"use {', '.join(sources) or 'reject'}")
    empty = [path for path, one in given.items() if not one.strip()]
    if verdict != "reject" and (empty or not sources):
        what = f"{empty[0]} has no translation" if empty else "the item could not be read, so there is nothing to keep"
        raise BenchmarkError(what, where=where, fix="edit it, giving every text, or reject it" if empty else "reject it")
    log = JsonLines(folder / VERDICTS)
    log.write(
        {
            "id": record["id"],
            "verdict": verdict,
            "text": dict(text),
            "who": who,
            "seen": seen(record),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    log.close()
    found = [(path, check(sources[path], new)) for path, new in text.items() for check in (check_placeholders, check_numbers)]
    return [f"{path}: {check.name}: {check.detail}" for path, check in found if not check.passed]


def seen(record: Mapping[str, Any]) -> str:
    """Return a digest of what a person judges: the texts of an item and their translations."""
    texts = [[segment["path"], segment["source"], segment["translation"]] for segment in record["segments"]]
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()


def rebuild(folder: Path) -> dict[str, Any]:
    """Write `benchmark.jsonl`, `rejected.jsonl`, `harness/`, the data card and the manifest anew, from the items and the verdicts.

    Returns:
        Counts. `items` is the sum of `accepted`, `repaired`, `rejected` and `failed`, each after the verdicts.

    Raises:
        BenchmarkError: the folder holds no translated benchmark, or its items are damaged.
    """
    started = time.perf_counter()
    records, given = read_records(folder), read_verdicts(folder)
    verdicts = valid_verdicts(records, given)
    stale = sum(record["id"] in given and record["id"] not in verdicts for record in records)
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    (folder / MANIFEST).unlink(missing_ok=True)
    final = [judged(record, verdicts.get(record["id"])) for record in records]
    kept = [record for record in final if record["status"] in ("accepted", "repaired")]
    config = BenchmarkConfig.model_validate(about["config"])
    lines = [_with_provenance(record, about) for record in kept]
    _write_lines(folder / BENCHMARK, lines)
    _write_lines(folder / REJECTED, [_rejected(record) for record in final if record["status"] not in ("accepted", "repaired")])
    from rodna.benchmark.harness_tasks import write_harness_tasks

    write_harness_tasks(folder, kept, config)
    counts = count(final, stale)
    digests = {record["id"]: seen(record) for record in records}
    given_now = [verdict for verdict in read_json_lines(folder / VERDICTS) if digests.get(verdict.get("id", "")) == verdict.get("seen", "")]
    card.write_card(folder, about, final, counts, given_now)
    _write_manifest(folder, about, counts, time.perf_counter() - started)
    return counts


def judged(record: Mapping[str, Any], verdict: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return an item as it is after a person's verdict.

    `human` names the verdict, "" where nobody saw the item; `by_checks` is the status it had before.
    """
    result = {
        **record,
        "by_checks": record["status"],
        "human": verdict["verdict"] if verdict else "",
        "who": verdict["who"] if verdict else "",
    }
    if verdict is None:
        return result
    if verdict["verdict"] == "reject":
        return {**result, "status": "rejected", "reasons": ["human"], "detail": [f"rejected by {verdict['who']}"]}
    texts = {segment["path"]: segment["translation"] for segment in record["segments"]} | dict(verdict["text"])
    if not texts or not all(text.strip() for text in texts.values()):
        return result
    edits = sorted({*record["edits"], "human"}) if verdict["verdict"] == "edit" else record["edits"]
    result["segments"] = [{**segment, "translation": texts[segment["path"]]} for segment in record["segments"]]
    status = "repaired" if edits else "accepted"
    answer = record.get("answer_path")
    if answer:
        texts[answer] = texts[record["options"][record["gold"]]]
    return {**result, "status": status, "reasons": [], "detail": [], "edits": edits, "translation": translated(record["source"], texts)}


def count(final: Sequence[Mapping[str, Any]], stale: int) -> dict[str, Any]:
    """Return what became of the items: the four outcomes add up to all of them.

    Args:
        final: items after the verdicts.
        stale: verdicts on translations that were since replaced; they have no effect.
    """
    status = Counter(record["status"] for record in final)
    reasons = Counter(reason for record in final for reason in record["reasons"])
    edits = Counter(edit for record in final for edit in record["edits"])
    human = Counter(record["human"] for record in final if record["human"])
    result = {
        "items": len(final),
        **{name: status[name] for name in ("accepted", "repaired", "rejected", "failed")},
        "reasons": dict(sorted(reasons.items())),
        "edits": dict(sorted(edits.items())),
        "human": {"seen": sum(human.values()), **{name: human[name] for name in get_args(Verdict)}, "stale": stale},
    }
    assert sum(result[name] for name in ("accepted", "repaired", "rejected", "failed")) == len(final), "every item has an outcome"
    return result


def _with_provenance(record: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return an item in its source's shape, with where it is from; texts only, so that every reader of tables takes it."""
    config = about["config"]
    provenance = {
        "id": record["id"],
        "source": about["source"]["file"],
        "from": config["source_language"],
        "to": config["language"],
        "status": record["status"],
        "edits": ", ".join(record["edits"]),
        "translators": ", ".join(dict.fromkeys(segment["translator"] for segment in record["segments"])),
        "human": record["human"],
    }
    # Nothing of the source's own is written over.
    name = PROVENANCE if PROVENANCE not in record["translation"] else f"translation_{PROVENANCE}"
    return {**record["translation"], name: provenance}


def _rejected(record: Mapping[str, Any]) -> dict[str, Any]:
    names = ("id", "line", "status", "reasons", "detail", "human", "source", "translation")
    return {name: record[name] for name in names}


def _write_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _write_manifest(folder: Path, about: Mapping[str, Any], counts: Mapping[str, Any], seconds: float) -> None:
    """Write the manifest of a benchmark: what it was made from, its counts, and the digest of each file but the two that grow."""
    inputs = {"source": about["source"]["sha256"], **about["translators"]}
    growing = {VERDICTS, MEMORY, MANIFEST}
    found = (path for path in folder.rglob("*") if path.is_file() and path.name not in growing)
    files = sorted(path for path in found if not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts))
    manifest = Manifest(
        kind=KIND,
        name=folder.name,
        digest=digest_of(KIND, format_version=FORMAT_VERSION, inputs=inputs, config=about["config"]),
        format_version=FORMAT_VERSION,
        inputs=inputs,
        config=about["config"],
        counts=dict(counts),
        licences={about["source"]["file"]: about["config"]["licence"]} if about["config"]["licence"] else {},
        files={path.relative_to(folder).as_posix(): FileEntry(size_bytes=path.stat().st_size, sha256=sha256_of(path)) for path in files},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(seconds, 3),
        code_commit=code_commit(),
        environment=environment(),
    )
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
