"""One attempt at asking a server over HTTP: its answer, or why there is none and whether a further attempt may help."""

import email.utils
import json
import time
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
"""Statuses after which the same question may be answered: overload, restarts, gateways. 52x are Cloudflare's, 529 Anthropic's."""
UNPAID = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""Codes that OpenAI sends with 429 where no waiting helps."""
MAX_EXCERPT = 400
CHUNK_BYTES = 65536


@dataclass(frozen=True)
class Answer:
    """A complete answer.

    Attributes:
        body: as it arrived.
    """

    body: bytes


class FailedAttemptError(Exception):
    """No answer.

    Args:
        what: why not.
        status: of HTTP; 0 where there was none.
        is_passing: whether a further attempt may help.
        retry_after_s: how long the server asks to wait; 0 where it says nothing.
    """

    def __init__(self, what: str, *, status: int = 0, is_passing: bool = True, retry_after_s: float = 0.0) -> None:
        super().__init__(what)
        self.what, self.status, self.is_passing, self.retry_after_s = what, status, is_passing, retry_after_s


class BrokenAnswerError(FailedAttemptError):
    """The answer arrived, but makes no sense: half of it, or not one to the question."""


def send(url: str, body: bytes, *, key: str, timeout_s: float, max_bytes: int) -> Answer:
    """Post JSON and read the whole answer.

    Args:
        url: where to.
        body: JSON.
        key: sent as a bearer token; empty: none is sent.
        timeout_s: in all, from connecting to the last byte.
        max_bytes: of the answer.

    Raises:
        FailedAttemptError: with the reason, in which the key never stands.
    """
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    deadline = time.monotonic() + timeout_s
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "rodna"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with _opener(url).open(request, timeout=timeout_s) as response:
            return Answer(_read(response, max_bytes, deadline))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, key, deadline) from error
    except (TimeoutError, urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise FailedAttemptError(f"no answer within {timeout_s:g} s") from error
        hopeless = isinstance(reason, ssl.SSLCertVerificationError | http.client.InvalidURL)
        raise FailedAttemptError(f"the connection failed: {_named(reason)}", is_passing=not hopeless) from error


def _opener(url: str) -> Any:
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        """Follows nothing: the key must not go to another server."""

        def redirect_request(self, *arguments: Any, **named: Any) -> None:
            return None

    local = (urlsplit(url).hostname or "") in ("localhost", "127.0.0.1", "::1")
    proxies = [urllib.request.ProxyHandler({})] if local else []
    return urllib.request.build_opener(NoRedirect, *proxies)


def _read(response: Any, max_bytes: int, deadline: float) -> bytes:
    announced = response.headers.get("Content-Length")
    parts: list[bytes] = []
    size = 0
    # read1 returns what has arrived, so a server that drips a byte now and then cannot outlast the deadline.
    while chunk := response.read1(CHUNK_BYTES):
        parts.append(chunk)
        size += len(chunk)
        if size > max_bytes:
            raise FailedAttemptError(f"the answer is larger than {max_bytes:,} bytes", is_passing=False)
        if time.monotonic() > deadline:
            raise TimeoutError
    if announced is not None and announced.isdigit() and size < int(announced):
        raise BrokenAnswerError(f"the answer broke off after {size:,} of {announced} bytes")
    return b"".join(parts)


def _refusal(error: Any, key: str, deadline: float) -> FailedAttemptError:
    """Return what an HTTP error says, in the server's own words."""
    status = int(error.code)
    try:
        body = _read(error, CHUNK_BYTES, deadline)
    except (FailedAttemptError, OSError):
        body = b""
    message, code = _message(body)
    if key:
        message = message.replace(key, "***")
    if 300 <= status < 400:
        message = f"it redirects elsewhere, which is not followed: give the final address. {message}"
    is_passing = status in PASSING and code not in UNPAID
    wait = _retry_after_s(error.headers.get("Retry-After")) if is_passing else 0.0
    what = f"HTTP {status} {error.reason}: {message[:MAX_EXCERPT]}".rstrip(": ")
    return FailedAttemptError(what, status=status, is_passing=is_passing, retry_after_s=wait)


def _message(body: bytes) -> tuple[str, str]:
    """Return the message and the code of an error in OpenAI's form, `{"error": {"message": ..., "code": ...}}`; else the body itself."""
    text = body.decode("utf-8", "replace").strip()
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text, ""
    if isinstance(value, dict):
        found: Any = cast("dict[str, Any]", value).get("error", value)
        if isinstance(found, str):
            return found, ""
        if isinstance(found, dict):
            fields = cast("dict[str, Any]", found)
            return str(fields.get("message", fields.get("detail", text))), str(fields.get("code", ""))
    return text, ""


def _retry_after_s(value: str | None) -> float:
    """Return the seconds that a Retry-After header asks for, as a number or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return 0.0
    return seconds if 0 < seconds < float("inf") else 0.0


def _named(reason: Any) -> str:
    return f"{type(reason).__name__}: {reason}" if str(reason) else type(reason).__name__
