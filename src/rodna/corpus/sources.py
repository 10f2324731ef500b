"""The files of a source: found in a fixed order, never outside it, and fingerprinted."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rodna.core.errors import CorpusError
from rodna.core.files import sha256_of
from rodna.corpus.config import Source

_PATTERN_CHARACTERS = frozenset("*?[")
_NOT_READ = frozenset({"licence", "origin", "path"})


@dataclass(frozen=True)
class SourceFile:
    """One file of a source; `name` is its path inside the source, with forward slashes."""

    path: Path
    name: str
    size_bytes: int


def source_path(source: Source, root: Path) -> Path:
    """Return where a source lies: its path from `root`, `~` being the user's home."""
    return root / Path(source.path).expanduser()


def walk(source: Source, root: Path, *, name: str = "") -> list[SourceFile]:
    """List the files of a source in a fixed order (by name, folder by folder).

    Hidden files and folders are left out, and so are links that lead out of the source or back into it.

    Args:
        source: where to look.
        root: the workspace's folder.
        name: of the source, for messages.

    Raises:
        CorpusError: there is nothing at the path, or no file in it.
    """
    path = source_path(source, root)
    if path.is_file():
        return [SourceFile(path, path.name, path.stat().st_size)]
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
    for here, folders, files in os.walk(folder, followlinks=True):
        resolved = Path(here).resolve()
        # A link that leads out of the source is an escape; a folder met twice is a loop, or would be read twice.
        if not resolved.is_relative_to(top) or resolved in seen:
            folders.clear()
            continue
        seen.add(resolved)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(here) / name
            if name.startswith(".") or not path.is_file() or not path.resolve().is_relative_to(top):
                continue
            if path.is_symlink() and path.resolve().parent != resolved and path.resolve().exists():
                continue
            yield SourceFile(path, path.relative_to(folder).as_posix(), path.stat().st_size)


def _glob(path: Path) -> list[SourceFile]:
    """Return the files that match a pattern, below the longest part of it that is a plain folder."""
    parts = path.parts
    plain = next((index for index, part in enumerate(parts) if _PATTERN_CHARACTERS & set(part)), len(parts))
    base = Path(*parts[:plain])
    if plain == len(parts) or not base.is_dir():
        return []
    top = base.resolve()
    matches = sorted(match for match in base.glob("/".join(parts[plain:])) if match.is_file() and not match.name.startswith("."))
    return [
        SourceFile(match, match.relative_to(base).as_posix(), match.stat().st_size)
        for match in matches
        if match.resolve().is_relative_to(top)
    ]


def fingerprint(sources: Mapping[str, Source], root: Path) -> str:
    """Return a digest of all that a corpus depends on in its sources: the files' names and bytes, and how they are read.

    Where a source lies, its licence and its origin are not part of it: moving a folder or naming a licence rebuilds nothing.

    Raises:
        CorpusError: a source is missing or empty.
    """
    digest = hashlib.sha256()
    for name in sorted(sources):
        source = sources[name]
        settings = source.model_dump(mode="json", exclude=set(_NOT_READ))
        digest.update(json.dumps([name, settings], sort_keys=True).encode())
        for file in walk(source, root, name=name):
            digest.update(json.dumps([file.name, file.size_bytes, sha256_of(file.path)]).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


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
