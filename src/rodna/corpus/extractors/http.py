"""What a web server answered, as archives keep it: status, type and body, unpacked, whatever the crawler did to it."""

import re
import zlib
from dataclasses import dataclass

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?\s+(\d{3})")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


class TooLargeError(ValueError):
    """A body unpacks to more than a page may have."""


@dataclass
class Response:
    """An answer: `content_type` in lower case without parameters; `problem` says in the plural what such answers are, if not usable."""

    status: int
    content_type: str
    charset: str
    body: bytes
    problem: str = ""


def parse_response(data: bytes, *, max_bytes: int) -> Response:
    """Return an HTTP answer, chunks joined and content unpacked.

    Crawlers often keep the headers of a body that they have joined and unpacked already, so these are believed only where they fit.

    Args:
        data: status line, headers, blank line, body.
        max_bytes: what the body may unpack to.

    Raises:
        TooLargeError: it is more.
    """
    end = _HEAD_END.search(data)
    head, body = (data[: end.start()], data[end.end() :]) if end else (data, b"")
    status = _STATUS.match(head)
    headers: dict[str, str] = {}
    for line in head.split(b"\n")[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    content_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = _CHARSET.search(parameters)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = joined(body)
    problem = ""
    for coding in reversed(headers.get("content-encoding", "").lower().split(",")):
        body, problem = unpacked(body, coding.strip(), max_bytes=max_bytes)
        if problem:
            break
    return Response(int(status[1]) if status else 0, content_type.strip().lower(), charset[1] if charset else "", body, problem)


def joined(body: bytes) -> bytes:
    """Return a body without the lengths of its chunks; what does not look like chunks is returned as it is, from there on."""
    parts, start = [], 0
    while match := _CHUNK.match(body, start):
        size = int(match[1], 16)
        if not size:
            return b"".join(parts)
        parts.append(body[match.end() : match.end() + size])
        start = match.end() + size
        start += 2 if body[start : start + 2] == b"\r\n" else 1 if body[start : start + 1] == b"\n" else 0
    return b"".join([*parts, body[start:]])


def unpacked(body: bytes, coding: str, *, max_bytes: int) -> tuple[bytes, str]:
    """Return a body unpacked, and what is wrong with it, if anything, in the plural."""
    if coding in ("gzip", "x-gzip", "deflate"):
        return _inflated(body, coding, max_bytes)
    if coding == "br":
        import brotli

        try:
            data = brotli.Decompressor().process(body, output_buffer_limit=max_bytes + 1)
        except brotli.error:
            return body, "" if _is_markup(body) else "pages packed in a way that cannot be undone"
    elif coding == "zstd":
        import zstandard

        try:
            with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
                data = reader.read(max_bytes + 1)
        except zstandard.ZstdError:
            return body, "" if _is_markup(body) else "pages packed in a way that cannot be undone"
    else:
        return body, "" if coding in ("", "identity", "none", "utf-8") or _is_markup(body) else "pages packed in an unknown way"
    if len(data) > max_bytes:
        raise TooLargeError
    return data, ""


def _inflated(body: bytes, coding: str, max_bytes: int) -> tuple[bytes, str]:
    """Undo gzip or deflate, of the latter both kinds in use; a body cut short gives what it has."""
    if coding == "deflate":
        kinds = (zlib.MAX_WBITS, -zlib.MAX_WBITS)
    elif body[:2] == b"\x1f\x8b":
        kinds = (zlib.MAX_WBITS | 16,)
    else:
        # Unpacked by the crawler already.
        return body, ""
    for window in kinds:
        try:
            data = zlib.decompressobj(window).decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(data) > max_bytes:
            raise TooLargeError
        return data, ""
    return body, "" if _is_markup(body) else "pages packed in a way that cannot be undone"


def _is_markup(body: bytes) -> bool:
    return body[:1024].lstrip()[:1] == b"<"
