"""A chat server on this machine that translates with the cipher, or fails as servers do."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reaction = tuple[int, bytes]


def answer(text: str, finish_reason: str = "stop") -> Reaction:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return 200, json.dumps({"choices": [choice]}).encode()


@contextmanager
def serving(react: Callable[[str, int], Reaction]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the address of a server and what it is asked; `react` is given the user's text and how many questions came before."""
    asked: list[dict[str, Any]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                asked.append(question)
                number = len(asked) - 1
            status, body = react(question["messages"][-1]["content"], number)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + (100 if status == 299 else 0)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1#toy", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
