"""ZIP and tar archives (tar also packed): each member unpacked to a temporary file, read as what it is, and deleted again.

Nothing is ever written under a name from the archive; names that would lead elsewhere are a sign of an attack all the same, and rejected.
"""

import mmap
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece, Rejected
from rodna.corpus.extractors.compressed import too_deep
from rodna.corpus.extractors.dispatch import extract_member
from rodna.corpus.extractors.formats import HEAD_BYTES, compression_of
from rodna.corpus.extractors.unpacking import Budget, DamagedError, Unpacked, chunks_of, spool, spool_folder

_MAX_NAME_CHARACTERS = 4096
_BROKEN_ZIP = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, EOFError)


@dataclass(frozen=True)
class Member:
    """One file in an archive.

    `size_bytes` is what its header claims, for reports only; `reason` and `detail` say why it must not be unpacked; `chunks` unpacks it.
    """

    name: str
    size_bytes: int
    chunks: Callable[[], Iterator[bytes]]
    reason: str = ""
    detail: str = ""


def extract(path: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    """Yield the documents of all members, in the archive's order.

    Args:
        path: a ZIP or tar archive; tar also packed with gzip, bzip2, xz or zstd.
        source: handed on.
        limits: `depth` counts this archive; `budget` counts what comes out of it and of archives inside it.

    Raises:
        TooMuchError: too much came out of it.
        DiskError: there is no space to unpack into.
    """
    size_bytes = path.stat().st_size
    if limits.depth < 1:
        yield too_deep(size_bytes)
        return
    budget = limits.budget or Budget(size_bytes, limits.max_unpacked_bytes)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    members = _zip_members(path, budget) if head.startswith(b"PK") else _tar_members(path, compression_of(head), budget)
    with spool_folder() as folder:
        while True:
            try:
                member = next(members, None)
            except DamagedError as damage:
                yield Rejected(damage.reason, damage.what, size_bytes)
                return
            if member is None:
                return
            if limits.enter(member.name):
                yield from _documents(member, folder / "member", source, limits)


def _documents(member: Member, spooled: Path, source: Source, limits: Limits) -> Iterator[Piece | Rejected]:
    reason, detail = (member.reason, member.detail) if member.reason else ("unsafe_path", unsafe(member.name))
    if detail:
        yield Rejected(reason, f"{member.name}: {detail}", member.size_bytes)
        return
    damage = spool(member.chunks(), spooled)
    if damage is None or (damage.reason == "truncated" and spooled.stat().st_size):
        yield from extract_member(spooled, source, limits, name=member.name)
    if damage is not None:
        yield Rejected(damage.reason, f"{member.name}: {damage.what}", member.size_bytes)
    spooled.unlink()


def unsafe(name: str) -> str:
    """Return what is wrong with a member's name, "" where nothing is."""
    if "\0" in name:
        return "its name has a NUL character"
    windows = PureWindowsPath(name)
    if windows.drive or windows.root:
        return "its name is an absolute path"
    return "its name leads out of the archive" if ".." in windows.parts else ""


def _zip_members(path: Path, budget: Budget) -> Iterator[Member]:
    try:
        archive = zipfile.ZipFile(path)
    except _BROKEN_ZIP:
        yield from _salvage(path, budget)
        return
    with archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            reason, detail = _zip_obstacle(info)
            # `orig_filename` is the name as it stands; zipfile cuts at a NUL.
            yield Member(info.orig_filename, info.file_size, lambda info=info: _unzip(archive, info, budget), reason, detail)


def _zip_obstacle(info: zipfile.ZipInfo) -> tuple[str, str]:
    """Return the reason and detail why a member cannot be unpacked, two empty strings where it can."""
    mode = info.external_attr >> 16
    # Other systems than Unix (3) and macOS (19) put something else there.
    if info.create_system in (3, 19) and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "unsafe_path", "a link or device"
    if info.flag_bits & 1:
        return "password_protected", "encrypted: unpack it with its password"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        return "unsupported_format", f"packed with method {info.compress_type}: unpack it, and give the folder"
    return "", ""


def _unzip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[bytes]:
    try:
        stream = archive.open(info)
    except (*_BROKEN_ZIP, RuntimeError) as error:
        raise DamagedError("damaged", f"cannot be unpacked: {error}") from error
    with stream:
        try:
            yield from chunks_of(stream, budget)
        except zipfile.BadZipFile as error:
            raise DamagedError("damaged", f"its checksum is wrong: {error}") from error


def _salvage(path: Path, budget: Budget) -> Iterator[Member]:
    """Yield what a ZIP file without its list of members, which stands at the end, still has. Reference: APPNOTE.TXT 4.3.7.

    Raises:
        DamagedError: always, after the last.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = data.find(b"PK\x03\x04")
        while 0 <= start <= len(data) - 30:
            flags, method, packed, unpacked, name_bytes, extra_bytes = struct.unpack_from("<6xHH8xIIHH", data, start)
            begin = start + 30 + name_bytes + extra_bytes
            name = data[start + 30 : start + 30 + name_bytes].decode("utf-8" if flags & 0x800 else "cp437", "replace")
            if len(name) > _MAX_NAME_CHARACTERS or any(character < " " for character in name):
                # Four bytes that happened to look like a header.
                start = data.find(b"PK\x03\x04", start + 4)
                continue
            end = begin + packed
            if not packed or packed == 0xFFFFFFFF:
                found = data.find(b"PK\x03\x04", begin)
                end = found if found > 0 else len(data)
            reason, detail = "", ""
            if flags & 1:
                reason, detail = "password_protected", "encrypted: unpack it with its password"
            elif method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                reason, detail = "damaged", f"packed with method {method}, of which only whole archives are read"
            if name and not name.endswith("/"):
                yield Member(name, unpacked, lambda a=begin, b=end, m=method: _inflate(data, a, b, m, budget), reason, detail)
            start = data.find(b"PK\x03\x04", min(end, len(data)))
    raise DamagedError("truncated", "the archive's end, with the list of its members, is missing; what came before is read")


def _inflate(data: mmap.mmap, start: int, end: int, method: int, budget: Budget) -> Iterator[bytes]:
    decoder: Any = zlib.decompressobj(-15) if method == zipfile.ZIP_DEFLATED else None
    for begin in range(start, min(end, len(data)), 1 << 16):
        chunk = data[begin : min(begin + (1 << 16), end)]
        while chunk:
            try:
                out, chunk = (decoder.decompress(chunk, 1 << 20), decoder.unconsumed_tail) if decoder else (chunk, b"")
            except zlib.error as error:
                raise DamagedError("damaged", f"its data are broken: {error}") from error
            budget.take(len(out))
            if out:
                yield out
    if end > len(data) or (decoder and not decoder.eof):
        raise DamagedError("truncated", "its data end too early")


class _TarHeader(tarfile.TarInfo):
    """Remembers what ended the archive: tarfile itself takes a broken header in the middle for its end."""

    @classmethod
    def fromtarfile(cls, tarfile: Any) -> Any:
        try:
            return super().fromtarfile(tarfile)
        except Exception as error:
            tarfile.ended_by = error
            raise


def _tar_members(path: Path, kind: str, budget: Budget) -> Iterator[Member]:
    with ExitStack() as stack:
        stream = stack.enter_context(Unpacked(path, kind, budget) if kind else path.open("rb"))
        try:
            # As a stream: no header may send the reader anywhere else.
            archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|", tarinfo=_TarHeader, errorlevel=0))
            for info in archive:
                if not info.isdir():
                    yield _tar_member(archive, info, budget)
        except tarfile.TarError as error:
            raise _tar_damage(str(error)) from error
        except (OSError, EOFError, ValueError, struct.error) as error:
            raise DamagedError("damaged", f"the archive is broken ({error}); what came before is read") from error
        ended_by = getattr(archive, "ended_by", None)
        if type(ended_by).__name__ in ("TruncatedHeaderError", "InvalidHeaderError"):
            raise _tar_damage(str(ended_by))


def _tar_damage(message: str) -> DamagedError:
    is_short = "truncated" in message or "unexpected end" in message
    return DamagedError("truncated" if is_short else "damaged", f"the archive is broken ({message}); what came before is read")


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo, budget: Budget) -> Member:
    if not info.isreg():
        return Member(info.name, 0, lambda: iter(()), "unsafe_path", "a link or device")

    def chunks() -> Iterator[bytes]:
        stream = archive.extractfile(info)
        if stream is not None:
            try:
                # What a packed archive yields is counted as it is unpacked; the holes of a sparse member are nowhere but here.
                yield from chunks_of(stream, budget if info.issparse() else None)
            except tarfile.TarError as error:
                raise DamagedError("truncated", f"its data end too early ({error})") from error

    return Member(info.name, info.size, chunks)
