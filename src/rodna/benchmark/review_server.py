"""The review's web server: for one person's own machine, and nobody else.

It listens on 127.0.0.1 only. Every address starts with a random token; requests that name another host (DNS rebinding) or come from
another site's page are refused, and nothing but the files named here can be asked for.
"""

import hmac
import json
import secrets
import signal
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs

from rodna.benchmark.errors import BenchmarkError
from rodna.benchmark.review import ConflictError, Filter, Review
from rodna.core.errors import RodnaError
from rodna.corpus.language import parse_language

MAX_BODY_BYTES = 1_000_000
TIMEOUT_S = 30.0
"""For a request to arrive; a browser that says nothing more must not hold a thread for ever."""
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ASSETS = {"review.js": "text/javascript", "review.css": "text/css"}
_TEMPLATES = Path(__file__).parent / "templates"


class _RefusedError(Exception):
    """A request that is not served."""

    def __init__(self, status: HTTPStatus, says: str) -> None:
        super().__init__(says)
        self.status, self.says = status, says


class ReviewServer(ThreadingHTTPServer):
    """Serves a review.

    Args:
        review: what is reviewed.
        port: 0 for any that is free.

    Raises:
        BenchmarkError: the port cannot be had.
    """

    def __init__(self, review: Review, port: int) -> None:
        self.review, self.token = review, secrets.token_urlsafe(24)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            raise BenchmarkError(f"cannot listen on port {port}: {error}", where="--port", fix="name another, or leave it out") from error

    @property
    def address(self) -> str:
        """What to open in the browser."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


def serve(server: ReviewServer) -> None:
    """Serve until the user, or the system, ends it."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    with suppress(KeyboardInterrupt):
        server.serve_forever(poll_interval=0.2)


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version, timeout = "rodna", "", TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: addresses hold the token."""

    def do_GET(self) -> None:
        self._serve(self._get)

    def do_POST(self) -> None:
        self._serve(self._post)

    @property
    def _review(self) -> Review:
        return cast("ReviewServer", self.server).review

    def _serve(self, answer: Any) -> None:
        try:
            self._check_sender()
            answer(self._inner_path())
        except _RefusedError as refused:
            self._send_json(refused.status, {"error": refused.says})
        except ConflictError as error:
            self._send_json(HTTPStatus.CONFLICT, {"error": str(error)})
        except RodnaError as error:
            self._send_json(HTTPStatus.UNPROCESSABLE_ENTITY, {"error": str(error)})
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _check_sender(self) -> None:
        """Refuse what does not come from the page itself.

        Raises:
            _RefusedError: another host is named, or another site asks.
        """
        host = self.headers.get("Host", "")
        name, colon, port = host.rpartition(":")
        if host not in HOSTS and not (colon and name in HOSTS and port.isascii() and port.isdecimal()):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "this server answers to 127.0.0.1 only")
        origin = self.headers.get("Origin", f"http://{host}")
        if origin != f"http://{host}" or self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "requests of other sites are refused")

    def _inner_path(self) -> str:
        """Return the part of the address behind the token.

        Raises:
            _RefusedError: the token is wrong.
        """
        token, _, rest = self.path.partition("?")[0].removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), cast("ReviewServer", self.server).token.encode()):
            raise _RefusedError(HTTPStatus.FORBIDDEN, "open the whole address that `rodna benchmark review` printed")
        return rest

    def _get(self, path: str) -> None:
        if path == "":
            nonce = secrets.token_urlsafe(16)
            self._send(HTTPStatus.OK, "text/html", page(self._review, nonce).encode(), policy_of(nonce))
        elif path in _ASSETS:
            self._send(HTTPStatus.OK, _ASSETS[path], (_TEMPLATES / path).read_bytes())
        elif path == "api/overview":
            self._send_json(HTTPStatus.OK, self._review.overview())
        elif path == "api/item":
            self._send_json(HTTPStatus.OK, self._find())
        else:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _find(self) -> dict[str, Any]:
        asked = {name: values[-1] for name, values in parse_qs(self.path.partition("?")[2]).items()}
        if "id" in asked:
            return {"item": self._review.item(asked["id"])}
        try:
            start, step = int(asked.get("start", "0")), int(asked.get("step", "1"))
        except ValueError:
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "start and step are whole numbers") from None
        wanted = Filter(*(asked.get(name, "")[:200] for name in ("status", "reason", "seen", "find", "order")))
        return self._review.find(wanted, start, step)

    def _post(self, path: str) -> None:
        body = self._body()
        if path == "api/check":
            self._send_json(HTTPStatus.OK, {"findings": self._review.check(_text(body, "id"), _texts(body))})
        elif path == "api/verdict":
            revision = body.get("revision")
            if not isinstance(revision, int) or isinstance(revision, bool) or not isinstance(body.get("keep"), bool):
                raise _RefusedError(HTTPStatus.BAD_REQUEST, "`revision` is a whole number and `keep` true or false")
            texts = _texts(body) if body["keep"] else {}
            item = self._review.save(_text(body, "id"), body["keep"], texts, revision)
            self._send_json(HTTPStatus.OK, {"item": item, "overview": self._review.overview()})
        else:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "there is nothing here")

    def _body(self) -> dict[str, Any]:
        """Read a request's JSON object.

        Raises:
            _RefusedError: it is none, or too large.
        """
        # A form of another site cannot send this type without being asked first, which `_check_sender` would refuse.
        if self.headers.get_content_type() != "application/json":
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "only application/json is read")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal():
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing")
        if len(length) > 12 or int(length) > MAX_BODY_BYTES:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY_BYTES:,} bytes")
        try:
            raw = self.rfile.read(int(length))
            body = json.loads(raw.decode("utf-8"))
            # Half characters could be read, but not written.
            json.dumps(body, ensure_ascii=False).encode("utf-8")
        except (ValueError, RecursionError):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "this is not JSON") from None
        if not isinstance(body, dict):
            raise _RefusedError(HTTPStatus.BAD_REQUEST, "a JSON object is wanted")
        return cast("dict[str, Any]", body)

    def _send_json(self, status: HTTPStatus, value: Mapping[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(value, ensure_ascii=False).encode("utf-8"))

    def _send(self, status: HTTPStatus, kind: str, body: bytes, policy: str = "default-src 'none'; frame-ancestors 'none'") -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def policy_of(nonce: str) -> str:
    """Return what the page may load: its own script and style, named by a nonce of this one answer, and data from this server."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def page(review: Review, nonce: str) -> str:
    """Return the page; what is reviewed in it comes as data, and is shown as text."""
    source, target = parse_language(review.config.source_language), parse_language(review.config.language)
    return _template().render(nonce=nonce, name=review.folder.resolve().name, who=review.who, source=source, target=target)


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(loader=jinja2.PackageLoader("rodna.benchmark"), autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.get_template("review.html.jinja")


def _text(body: Mapping[str, Any], name: str) -> str:
    if not isinstance(body.get(name), str):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, f"`{name}` is a text")
    return body[name]


def _texts(body: Mapping[str, Any]) -> dict[str, str]:
    """Return path -> text, line breaks as in files."""
    texts = body.get("texts")
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise _RefusedError(HTTPStatus.BAD_REQUEST, "`texts` is an object of texts")
    return {path: text.replace("\r\n", "\n") for path, text in texts.items()}
