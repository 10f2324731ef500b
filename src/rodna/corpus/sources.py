"""The files of a source: found in a fixed order, never outside it, and fingerprinted."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rodna.core.errors import CorpusError
from rodna.core.files import sha256_of
from rodna.corpus.config import Source

_PATTERN_CHARACTERS = frozenset("*?[")
_OUTSIDE = "a link that leads out of the source: copy what it leads to into the folder"
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\\\\]")
_NOT_READ = frozenset({"licence", "origin", "date", "consent", "path"})


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    `name` is its path inside the source, with forward slashes, fit to be printed; `problem` says why it is not to be opened, "" where it
    may be.
    """

    path: Path
    name: str
    size_bytes: int
    problem: str = ""


def source_path(source: Source, root: Path) -> Path:
    """Return where a source lies: its path from `root`, `~` being the user's home."""
    return root / Path(source.path).expanduser()


def walk(source: Source, root: Path, *, name: str = "") -> list[SourceFile]:
    """List the files of a source in a fixed order (by name, folder by folder).

    Hidden files and folders are left out, and so are links back into the source. What is no file, or a link that leads out of the source,
    is listed with its `problem`.

    Args:
        source: where to look.
        root: the workspace's folder.
        name: of the source, for messages.

    Raises:
        CorpusError: there is nothing at the path, or no file in it.
    """
    path = source_path(source, root)
    if path.is_file():
        return [SourceFile(path, _name_of(path, path.parent), path.stat().st_size)]
    if path.is_dir():
        found = list(_walk_folder(path, path.resolve()))
    else:
        found = _glob(path)
        if not found and not _PATTERN_CHARACTERS & set(source.path):
            raise CorpusError(
                f"the text of source {name!r} is not there", where=str(path), fix=f"correct sources.{name}.path in project.yaml"
            )
    if not found:
        raise CorpusError(
            f"source {name!r} has no files",
            where=str(path),
            fix="put text files there (.txt, .md, .jsonl, .parquet, .html), or remove the source",
        )
    return found


def _walk_folder(folder: Path, top: Path) -> Iterator[SourceFile]:
    seen: set[Path] = set()
    unreadable: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=unreadable.append, followlinks=True):
        resolved = Path(here).resolve()
        # A link that leads out of the source is an escape; a folder met twice is a loop, or would be read twice.
        if not resolved.is_relative_to(top) or resolved in seen:
            folders.clear()
            if not resolved.is_relative_to(top):
                yield SourceFile(Path(here), _name_of(Path(here), folder), 0, _OUTSIDE)
            continue
        seen.add(resolved)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(here) / name
            if name.startswith("."):
                continue
            file = _look_at(path, folder, top)
            if not file.problem and path.is_symlink() and path.resolve().parent != resolved:
                continue
            yield file
    for error in unreadable:
        yield SourceFile(
            Path(error.filename), _name_of(Path(error.filename), folder), 0, f"a folder that cannot be opened: {error.strerror}"
        )


def _look_at(path: Path, folder: Path, top: Path) -> SourceFile:
    """Return a file of a source, with what is wrong with it."""
    name = _name_of(path, folder)
    try:
        status = path.stat()
    except OSError as error:
        return SourceFile(path, name, 0, f"a link that leads nowhere: {error.strerror}" if path.is_symlink() else str(error.strerror))
    if not stat.S_ISREG(status.st_mode):
        return SourceFile(path, name, 0, "not a file but a folder, pipe, socket or device")
    if not path.resolve().is_relative_to(top):
        return SourceFile(path, name, 0, _OUTSIDE)
    return SourceFile(path, name, status.st_size)


def _name_of(path: Path, folder: Path) -> str:
    """Return what a file is called in ids and messages: bytes that are no UTF-8, and control characters, escaped."""
    # The backslash too: two names must not become one.
    return _UNFIT.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), path.relative_to(folder).as_posix())


def _glob(path: Path) -> list[SourceFile]:
    """Return the files that match a pattern, below the longest part of it that is a plain folder."""
    parts = path.parts
    plain = next((index for index, part in enumerate(parts) if _PATTERN_CHARACTERS & set(part)), len(parts))
    base = Path(*parts[:plain])
    if plain == len(parts) or not base.is_dir():
        return []
    top = base.resolve()
    matches = sorted(match for match in base.glob("/".join(parts[plain:])) if not match.is_dir())
    shown = [match for match in matches if not any(part.startswith(".") for part in match.relative_to(base).parts)]
    return [_look_at(match, base, top) for match in shown]


def fingerprint(sources: Mapping[str, Source], root: Path) -> str:
    """Return a digest of all that a corpus depends on in its sources: the files' names and bytes, and how they are read.

    Where a source lies, and what is only written down about it (licence, origin, date, consent), is not part of it: moving a folder or
    naming a licence rebuilds nothing.

    Raises:
        CorpusError: a source is missing or empty.
    """
    digest = hashlib.sha256()
    for name in sorted(sources):
        source = sources[name]
        settings = source.model_dump(mode="json", exclude=set(_NOT_READ))
        digest.update(json.dumps([name, settings], sort_keys=True).encode())
        for file in walk(source, root, name=name):
            digest.update(json.dumps([file.name, file.size_bytes, _content_of(file)]).encode())
    return digest.hexdigest()


def _content_of(file: SourceFile) -> str:
    """Return a file's SHA-256; why it cannot be read, where that is so: the corpus is made again when it can."""
    if file.problem:
        return file.problem
    try:
        return sha256_of(file.path)
    except OSError as error:
        return str(error.strerror)


def fingerprint_files(paths: Iterable[str], root: Path, *, where: str) -> str:
    """Return a digest of the names and bytes of files, or of all files in folders, that a setting names; "" for none.

    Raises:
        CorpusError: one is missing.
    """
    digest = hashlib.sha256()
    found = False
    for name in paths:
        path = root / Path(name).expanduser()
        if not path.exists():
            raise CorpusError(f"no such file or folder: {name}", where=where, fix="correct the path: it starts at the workspace's folder")
        for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
            found = True
            digest.update(json.dumps([file.relative_to(path.parent).as_posix(), sha256_of(file)]).encode("utf-8", "surrogateescape"))
    return digest.hexdigest() if found else ""
