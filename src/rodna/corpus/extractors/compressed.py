"""One file packed with gzip, bzip2, xz or zstd: unpacked to a temporary file, then read as what it is."""

from collections.abc import Iterator
from pathlib import Path

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.dispatch import extract_member
from rodna.corpus.extractors.formats import HEAD_BYTES, compression_of
from rodna.corpus.extractors.unpacking import Budget, Unpacked, chunks_of, spool, spool_folder


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the documents inside; of a truncated or broken file, those before the damage, and one rejection.

    Args:
        path: the packed file, of one stream or several.
        source: handed on.
        limits: `depth` counts this file.
    """
    size_bytes = path.stat().st_size
    if limits.depth < 1:
        yield too_deep(size_bytes)
        return
    with path.open("rb") as file:
        kind = compression_of(file.read(HEAD_BYTES))
    if not kind:
        yield Rejected("damaged", "not gzip, bzip2, xz or zstd", size_bytes)
        return
    budget = limits.budget or Budget(size_bytes, limits.max_unpacked_bytes)
    with spool_folder() as folder:
        inside = folder / "content"
        with Unpacked(path, kind, budget) as stream:
            damage = spool(chunks_of(stream), inside)
        if inside.stat().st_size or damage is None:
            yield from extract_member(inside, source, limits, name=path.stem)
        if damage is not None:
            yield Rejected(damage.reason, damage.what, size_bytes)


def too_deep(size_bytes: int) -> Rejected:
    """Return the rejection of an archive that lies in too many others."""
    return Rejected("archive_too_deep", "lies in too many archives: unpack the outer ones, or raise corpus.extract.max_depth", size_bytes)
