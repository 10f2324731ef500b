"""First pass: from files to documents in the one form all text takes."""

import atexit
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rodna.core.files import write_bytes
from rodna.corpus.config import CorpusConfig, ExtractConfig, Source
from rodna.corpus.documents import DETAIL_CHARACTERS, Document, Dropped, excerpt_of
from rodna.corpus.extractors import Piece, Rejected
from rodna.corpus.extractors.ocr import check_ocr
from rodna.corpus.isolation import Isolated
from rodna.corpus.normalize import normalize
from rodna.corpus.passes.shards import RollingWriter, ShardWriter
from rodna.corpus.repair import Evidence
from rodna.corpus.sources import SourceFile, walk
from rodna.corpus.tally import Tally

FUNCTION = "rodna.corpus.passes.extract:extract_task"
TASK_BYTES = 2 << 20, 32 << 20
NUM_TASKS = 16
"""Into so many tasks files are parted, so that every core has work; a task has at least and at most `TASK_BYTES` of them."""
TASK_FILES = 1000


def extract_tasks(sources: Mapping[str, Source], config: CorpusConfig, out: Path, *, language: str, root: Path) -> list[dict[str, Any]]:
    """Return the tasks of this pass: stretches of files, the same whatever runs them.

    Raises:
        CorpusError: a source is missing or empty, or Tesseract or one of its languages is not installed.
    """
    described = {name: source.model_dump(mode="json") for name, source in sources.items()}
    settings = config.model_dump(mode="json", include={"extract", "normalize", "max_document_bytes"})
    if config.extract.ocr:
        check_ocr(config.extract.ocr)
    tasks: list[dict[str, Any]] = []
    files: list[list[Any]] = []
    size = 0
    found = {name: walk(source, root, name=name) for name, source in sources.items()}
    least, most = TASK_BYTES
    # From the text alone, never from the number of workers: shards must be the same everywhere.
    limit = min(most, max(least, sum(file.size_bytes for listed in found.values() for file in listed) // NUM_TASKS))
    for name, listed in found.items():
        for file in listed:
            if files and (size + file.size_bytes > limit or len(files) >= TASK_FILES):
                tasks.append({"files": files})
                files, size = [], 0
            files.append([name, str(file.path), file.name, file.size_bytes, file.problem])
            size += file.size_bytes
    tasks.append({"files": files})
    shared = {"config": settings, "language": language, "out": str(out)}
    for number, task in enumerate(tasks):
        used = {name: described[name] for name in dict.fromkeys(file[0] for file in task["files"])}
        first, last = task["files"][0], task["files"][-1]
        task.update(shared, number=number, sources=used, name=f"{first[0]}/{first[2]} to {last[0]}/{last[2]}")
    return tasks


def extract_task(task: Mapping[str, Any]) -> dict[str, Any]:
    """Read the files of one task and write their documents, their drops and the evidence for repairs.

    Returns:
        `shards`, in order, each with its name and size; `dropped`, the name of the file of drops; `tally`.
    """
    out, prefix = Path(task["out"]), f"{task['number']:05d}"
    config = CorpusConfig.model_validate(task["config"])
    sources = {name: Source.model_validate(values) for name, values in task["sources"].items()}
    reader = _Reader(config, task["language"])
    documents = RollingWriter(out, prefix)
    with ShardWriter(out, f"{prefix}.dropped") as dropped:
        for source, path, name, size_bytes, problem in task["files"]:
            file = SourceFile(Path(path), name, size_bytes, problem)
            for item in reader.read(source, sources[source], file):
                if isinstance(item, Dropped):
                    dropped.write(item, item.size_bytes)
                else:
                    documents.write(item, len(item.text.encode()))
        documents.close()
    evidence = f"{prefix}.evidence.json"
    write_bytes(out / evidence, json.dumps(reader.evidence.as_json(), ensure_ascii=False).encode())
    return {"shards": documents.shards, "dropped": f"{prefix}.dropped", "evidence": evidence, "tally": reader.tally.as_json()}


@dataclass
class _Reader:
    """Reads files into documents and drops, and counts both."""

    config: CorpusConfig
    language: str

    def __post_init__(self) -> None:
        self.tally = Tally()
        self.evidence = Evidence()
        self._isolated = _isolated(self.config.extract.model_dump_json(), self.config.max_document_bytes)

    def read(self, source_name: str, source: Source, file: SourceFile) -> Iterator[Document | Dropped]:
        """Yield one `Document` or `Dropped` for each document in a file."""
        self.tally.add("files", source_name)
        self.tally.add("file_bytes", source_name, number=file.size_bytes)
        number = 0
        for piece in [Rejected("not_a_file", file.problem, 0)] if file.problem else self._isolated.extract(file.path, source):
            whole = isinstance(piece, Piece) and is_valid(piece.text)
            for part in (piece,) if whole else without_damage(piece):
                number += 1
                yield self._judge(f"{source_name}/{file.name}#{number}", source_name, part)

    def _judge(self, identity: str, source: str, piece: Piece | Rejected) -> Document | Dropped:
        self.tally.add("read_documents", source)
        if isinstance(piece, Rejected):
            self.tally.add("read_bytes", source, number=piece.size_bytes)
            self.tally.drop(source, "extract", piece.reason, piece.size_bytes)
            detail = excerpt_of(piece.detail, max_characters=DETAIL_CHARACTERS)
            return Dropped(identity, source, "extract", piece.reason, detail, piece.size_bytes, excerpt_of(piece.excerpt))
        meta = storable(piece.meta)
        read_bytes = len(piece.text.encode())
        self.tally.add("read_bytes", source, number=read_bytes)
        done = normalize(piece.text, self.config.normalize, wrapped=bool(meta.pop("wrapped", False)))
        for change in done.changes:
            self.tally.add("mended", change)
        if meta and "encoding" in meta:
            # Not always an extractor's word: a field of a table may be called so.
            self.tally.add("encodings", str(meta["encoding"]))
        if not done.text or done.text.isspace():
            self.tally.drop(source, "normalize", "blank", read_bytes)
            detail = "nothing is left but white space"
            return Dropped(identity, source, "normalize", "blank", detail, read_bytes, excerpt_of(piece.text))
        if done.text is not piece.text:
            self.tally.add("changed_bytes", source, "normalize", number=len(done.text.encode()) - read_bytes)
        self.evidence.add(done.text, source)
        return Document(identity, done.text, source, self.language, meta)


@cache
def _isolated(settings: str, max_document_bytes: int) -> Isolated:
    """Return this process' child for parsers: one for all of its tasks, since starting it costs more than reading a page."""
    isolated = Isolated(ExtractConfig.model_validate_json(settings), max_document_bytes=max_document_bytes)
    atexit.register(isolated.close)
    return isolated


def without_damage(piece: Piece | Rejected) -> Iterator[Piece | Rejected]:
    """Yield a piece without the lines that hold undecodable bytes, and a rejection for these lines."""
    if isinstance(piece, Rejected) or is_valid(piece.text):
        yield piece
        return
    lines = piece.text.split("\n")
    whole = "\n".join(line for line in lines if is_valid(line))
    if whole and not whole.isspace():
        yield Piece(whole, piece.meta)
    damaged = [line for line in lines if not is_valid(line)]
    text = "\n".join(damaged)
    bad = [character for character in text if "\ud800" <= character <= "\udfff"]
    # read_text turns the byte 0xE9 into U+DCE9; other surrogates were written so, as JSON allows.
    kinds = dict.fromkeys(f"byte 0x{ord(c) - 0xDC00:02X}" if "\udc00" <= c <= "\udcff" else f"U+{ord(c):04X}" for c in bad)
    where = "1 line" if len(damaged) == 1 else f"{len(damaged):,} lines"
    detail = f"not valid {piece.meta.get('encoding', 'UTF-8')}: {', '.join(list(kinds)[:5])} ({len(bad):,} in {where})"
    yield Rejected("undecodable", detail, len(text.encode("utf-8", "surrogatepass")), text)


def storable(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file says about a document in a form that every reader of JSON takes, whatever the file says."""
    if not meta:
        return {}
    values: dict[str, Any] = {}
    for key, value in meta.items():
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
            value = str(value)
        elif isinstance(value, float) and not math.isfinite(value):
            continue
        values[_utf8(str(key))] = _utf8(value) if isinstance(value, str) else value
    return values


def _utf8(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def is_valid(text: str) -> bool:
    """Return whether a text can be written as UTF-8: it holds no lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def merge_evidence(folder: Path, names: Sequence[str]) -> Evidence:
    """Return the evidence of all tasks together."""
    evidence = Evidence()
    for name in names:
        evidence.merge(Evidence.from_json(json.loads((folder / name).read_text(encoding="utf-8"))))
    return evidence
