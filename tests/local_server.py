"""A server on this machine that answers, or fails to answer, as a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reaction:
    """What the server does: it answers, or fails to.

    Attributes:
        body: bytes, or what is sent as JSON.
        status: of HTTP.
        headers: further ones.
        sent: how many bytes of the body are sent before the connection is closed; -1: all.
        delay_s: before the answer.
    """

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    sent: int = -1
    delay_s: float = 0.0


@dataclass
class Server:
    """A running server: its address and what it was asked."""

    address: str
    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)


@contextmanager
def serve(react: Callable[[str, dict[str, Any]], Reaction]) -> Iterator[Server]:
    """Answer on a free port of this machine, each question in a thread of its own."""
    server = Server("")
    closing = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append((self.path, question, dict(self.headers)))
            reaction = react(self.path, question)
            closing.wait(reaction.delay_s)
            body = reaction.body if isinstance(reaction.body, bytes) else json.dumps(reaction.body).encode()
            try:
                self.send_response(reaction.status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in reaction.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body if reaction.sent < 0 else body[: reaction.sent])
            except OSError:
                # Who asked has given up waiting.
                self.close_connection = True

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.address = f"http://127.0.0.1:{running.server_port}/v1"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        closing.set()
        running.shutdown()
        running.server_close()
        thread.join()
