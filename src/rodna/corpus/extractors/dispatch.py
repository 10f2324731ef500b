"""One file in, its documents out: the extractor picked by content and name."""

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rodna.core.errors import DiskError, RodnaError
from rodna.core.registry import PluginError
from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected, load_extractor, sniff
from rodna.corpus.extractors.unpacking import Budget, TooMuchError

CONTAINERS = ("archive", "compressed")
"""What a source's own `format` does not replace: it says what is inside."""


def extract_file(path: Path, source: Source, limits: Limits, *, name: str = "") -> Iterator[Piece | Rejected]:
    """Yield the documents of a file of any kind, and a rejection for each that cannot be read; never nothing at all.

    Args:
        path: the file.
        source: its `format`, where it is not `auto`, is believed; in an archive, of each member.
        limits: what it may cost. Where it has no `budget` yet, one is opened.
        name: what the file is called, where that is not the path's own name: a member of an archive.

    Raises:
        DiskError: there is no space for what is unpacked.
        PluginError: the source's `format` names no extractor.
        RodnaError: the file as a whole is of no use, and the user can do something about it: a field that is not there, say.
    """
    size_bytes = path.stat().st_size
    if limits.budget is not None:
        yield from _extract(path, source, limits, name or path.name)
        return
    try:
        yield from _extract(path, source, replace(limits, budget=Budget(size_bytes, limits.max_unpacked_bytes)), name or path.name)
    except TooMuchError as error:
        yield Rejected(error.reason, f"{error.what}: {error.fix}", size_bytes)


def _extract(path: Path, source: Source, limits: Limits, name: str) -> Iterator[Piece | Rejected]:
    size_bytes = path.stat().st_size
    if not size_bytes:
        yield Rejected("empty_file", "the file has no bytes", 0)
        return
    found = sniff(path, name)
    extractor = found.extractor if source.format == "auto" or found.extractor in CONTAINERS else source.format
    if not extractor:
        yield Rejected(found.reason, found.detail, size_bytes)
        return
    is_silent = True

    def enter(member: str) -> bool:
        nonlocal is_silent
        may = limits.enter(member)
        # What is left out has been reported by who leaves it out.
        is_silent = is_silent and may
        return may

    for item in load_extractor(extractor)(path, source, replace(limits, enter=enter)):
        is_silent = False
        yield item
    if is_silent:
        yield Rejected("blank_file", "nothing but white space, or no text in it", size_bytes)


def extract_member(path: Path, source: Source, limits: Limits, *, name: str) -> Iterator[Piece | Rejected]:
    """Yield the documents of what was unpacked from an archive; whatever is wrong with it is a rejection, so that the others are read.

    Args:
        path: where it was unpacked to.
        source: of the archive.
        limits: of the archive: one level less is left for what is inside.
        name: of the member; it goes into `meta` and before each detail.
    """
    size_bytes = path.stat().st_size
    inner = replace(limits, depth=limits.depth - 1, enter=lambda member: limits.enter(f"{name}/{member}"))
    try:
        for item in extract_file(path, source, inner, name=name):
            if isinstance(item, Rejected):
                yield replace(item, detail=f"{name}: {item.detail}")
            else:
                member = "/".join(part for part in (name, str(item.meta.get("member", ""))) if part)
                yield replace(item, meta={**item.meta, "member": member[:500]})
    except (TooMuchError, PluginError, DiskError, MemoryError):
        raise
    except RodnaError as error:
        yield Rejected("unreadable_file", f"{name}: {'; '.join(part for part in (error.what, error.fix) if part)}", size_bytes)
    except Exception as error:  # whatever a parser throws at a member nobody foresaw is that member's problem
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM):
            raise
        yield Rejected("parser_failed", f"{name}: {type(error).__name__}: {error}"[:400], size_bytes)
