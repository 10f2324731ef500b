"""Unpacking within limits: every byte counted as it comes out, whatever a header promises; damage told from the end."""

import io
import lzma
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from rodna.core.errors import CorpusError, explain_disk_errors

CHUNK_BYTES = 1 << 20
ALLOWANCE_BYTES = 64 << 20
MAX_RATIO = 250
"""A file that unpacks to more than `ALLOWANCE_BYTES` and to more than `MAX_RATIO` times its own size is a bomb. Real text packs to
between a third and a fortieth; Deflate ends at 1:1032, the others far beyond."""
XZ_MEMORY_BYTES = 1 << 28


class TooMuchError(CorpusError):
    """What a file unpacks to is too much, or out of all proportion: nothing more of it is read. `reason` is the rejection's."""

    def __init__(self, reason: str, what: str, *, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.reason = reason


class DamagedError(CorpusError):
    """A packed file ends too early or is broken; what came before is sound. `reason` is the rejection's."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what, fix="download or pack it again")
        self.reason = reason


class Budget:
    """Counts what one file and everything inside it unpack to.

    Args:
        packed_bytes: the size of that file.
        max_bytes: what it may unpack to.
    """

    def __init__(self, packed_bytes: int, max_bytes: int) -> None:
        self.packed_bytes, self.max_bytes = packed_bytes, max_bytes
        self.num_bytes = 0

    def take(self, num_bytes: int) -> None:
        """Count bytes that came out.

        Raises:
            TooMuchError: they are too many.
        """
        self.num_bytes += num_bytes
        if self.num_bytes > self.max_bytes:
            raise TooMuchError(
                "too_large_unpacked",
                f"unpacks to more than {self.max_bytes:,} bytes; the rest is left out",
                fix="unpack it, or raise corpus.extract.max_unpacked_bytes",
            )
        if self.num_bytes > max(ALLOWANCE_BYTES, MAX_RATIO * self.packed_bytes):
            raise TooMuchError(
                "archive_bomb",
                f"{self.packed_bytes:,} bytes unpack to more than {MAX_RATIO} times as many; the rest is left out",
                fix="unpack it yourself if it is sound",
            )


class Unpacked(io.RawIOBase):
    """The content of a gzip, bzip2, xz or zstd file as a stream that can only be read forwards.

    Raises:
        DamagedError: on reading, after the last sound byte.
        TooMuchError: on reading, when the budget is spent.
    """

    def __init__(self, path: Path, kind: str, budget: Budget) -> None:
        super().__init__()
        self._path, self._kind, self._budget = path, kind, budget
        self._file = path.open("rb")
        self._stream = _open(self._file, kind)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, fewer only at the end or just before damage; all that is left, where it is negative."""
        parts: list[bytes] = []
        missing = size if size >= 0 else 1 << 62
        while missing:
            try:
                part = self._read_some(min(missing, CHUNK_BYTES))
            except DamagedError:
                # What is sound is given out first; the next call meets the damage again.
                if parts:
                    break
                raise
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _read_some(self, size: int) -> bytes:
        import zstandard

        try:
            # Not `read`: it loses what it has when the stream breaks in the middle of a call.
            part = self._stream.read1(size)
        except EOFError as error:
            raise DamagedError("truncated", f"the {self._kind} data end too early; what came before is read") from error
        except (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, ValueError) as error:
            raise DamagedError("damaged", f"the {self._kind} data are broken ({error}); what came before is read") from error
        if not part and self._kind == "zstd" and not zstd_is_complete(self._path):
            raise DamagedError("truncated", "the zstd data end too early; what came before is read")
        self._budget.take(len(part))
        return part

    def close(self) -> None:
        self._file.close()
        super().close()


def _open(file: BinaryIO, kind: str) -> Any:
    import bz2
    import gzip

    import zstandard

    if kind == "gzip":
        return gzip.GzipFile(fileobj=file)
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "xz":
        return _Xz(file)
    return _Zstd(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False))


class _Zstd:
    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read1(self, size: int) -> bytes:
        return self._reader.read(size)


class _Xz:
    """Like `lzma.LZMAFile`, with a limit on memory: a header may ask for 4 GB."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._rest = file, b""
        self._decoder: lzma.LZMADecompressor | None = None

    def read1(self, size: int) -> bytes:
        while True:
            if self._decoder is None or self._decoder.eof:
                # Zero bytes may pad the end of a stream, and another stream may follow.
                rest = (self._decoder.unused_data if self._decoder else b"").lstrip(b"\0") or self._file.read(CHUNK_BYTES).lstrip(b"\0")
                if not rest:
                    return b""
                self._decoder, self._rest = lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES), rest
            elif self._decoder.needs_input:
                self._rest = self._file.read(CHUNK_BYTES)
                if not self._rest:
                    raise EOFError
            data, self._rest = self._decoder.decompress(self._rest, size), b""
            if data:
                return data


def zstd_is_complete(path: Path) -> bool:
    """Return whether a zstd file's last frame is whole: its reader ends silently where the data do. Reference: RFC 8878, section 3.1."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while len(magic := file.read(4)) == 4:
            if magic[1:] == b"\x2a\x4d\x18" and magic[0] & 0xF0 == 0x50:
                file.seek(int.from_bytes(file.read(4), "little"), io.SEEK_CUR)
                continue
            descriptor = (file.read(1) or b"\0")[0]
            is_single, id_bytes, size_flag = descriptor >> 5 & 1, (0, 1, 2, 4)[descriptor & 3], descriptor >> 6
            file.seek((not is_single) + id_bytes + ((is_single, 2, 4, 8)[size_flag]), io.SEEK_CUR)
            is_last = 0
            while not is_last:
                header = file.read(3)
                if len(header) < 3:
                    return False
                block = int.from_bytes(header, "little")
                is_last = block & 1
                file.seek(1 if block >> 1 & 3 == 1 else block >> 3, io.SEEK_CUR)
            file.seek(4 if descriptor >> 2 & 1 else 0, io.SEEK_CUR)
        return file.tell() <= size and not magic


def peek(path: Path, kind: str, size: int) -> bytes:
    """Return up to `size` bytes of what a compressed file holds, fewer where it is damaged."""
    with Unpacked(path, kind, Budget(path.stat().st_size, ALLOWANCE_BYTES)) as stream:
        try:
            return stream.read(size)
        except (DamagedError, TooMuchError):
            return b""


@contextmanager
def spool_folder() -> Iterator[Path]:
    """Give a private folder for what is being unpacked, empty again afterwards; below `TMPDIR`."""
    with TemporaryDirectory(prefix="rodna-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def spool(chunks: Iterable[bytes], path: Path) -> DamagedError | None:
    """Write chunks into a file; return the damage that ended them, None where they came to their end.

    Raises:
        DiskError: there is no space for them.
        TooMuchError: they are too many.
    """
    with path.open("wb") as file:
        try:
            for chunk in chunks:
                with explain_disk_errors(path):
                    file.write(chunk)
        except DamagedError as damage:
            return damage
        with explain_disk_errors(path):
            file.flush()
    return None


def chunks_of(stream: Any, budget: Budget | None = None) -> Iterator[bytes]:
    """Yield what a stream holds; count it where a budget is given.

    Raises:
        DamagedError: the stream is broken.
    """
    try:
        while chunk := stream.read(CHUNK_BYTES):
            if budget is not None:
                budget.take(len(chunk))
            yield chunk
    except EOFError as error:
        raise DamagedError("truncated", "its data end too early") from error
    except (zlib.error, lzma.LZMAError, OSError, ValueError, struct.error) as error:
        raise DamagedError("damaged", f"its data are broken: {error}") from error
