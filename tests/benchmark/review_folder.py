"""A translated benchmark with an item of every kind, and a client for its review."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toy_translators import Cipher, Unreliable

from rodna.benchmark import store
from rodna.benchmark.candidates import Translators
from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.review import Review
from rodna.benchmark.review_server import ReviewServer
from rodna.benchmark.translate import translate_benchmark

WORDS = "sun moon river stone bread water winter summer forest garden window letter".split()  # noqa: SIM905
SCRIPT = "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"
CONFIG = BenchmarkConfig(source_language="en", language="be", fields=("question", "choices"), identifier="off", licence="mit")


class Mistaken(Unreliable):
    """Translates as the cipher does, but puts a script into one question, a number into another, and fails on one."""

    def __init__(self, name: str) -> None:
        super().__init__("unlucky", name=name)

    def spoil(self, translation: str, text: str, target: str) -> str:
        return (SCRIPT if "fair" in text else "99 " if "odd" in text else "") + translation if target == "be" else translation


def question(place: int) -> dict[str, Any]:
    return {
        "id": f"q{place}",
        "question": f"Which of these words about the {WORDS[place % 12]} is printed on page {place * 3}?",
        "choices": [f"the {WORDS[(place + step) % 12]} of old" for step in range(4)],
        "answer": "ABCD"[place % 4],
        "topic": f"<b>words</b> {place}",
    }


def make_folder(root: Path, number: int = 24) -> Path:
    """Return a benchmark of items q0, q1, ... of which q1 has a script in it, q7 a number too many, q22 failed and q23 has no options."""
    items = [question(place) for place in range(number)]
    items[1]["question"] = "Which of these words is fair on page 3?"
    items[7]["question"] = "Which of these words is odd on page 21?"
    items[-2]["question"] = "An unlucky question?"
    items[-1]["choices"] = []
    file = root / "source.jsonl"
    file.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    translate_benchmark(file, root / "words-be", CONFIG, Translators(Mistaken("first"), Mistaken("second"), Cipher("back")))
    return root / "words-be"


def translations(folder: Path, id: str) -> dict[str, str]:
    record = next(record for record in store.read_records(folder) if record["id"] == id)
    return {segment["path"]: segment["translation"] for segment in record["segments"]}


class Client:
    """Asks a review's server as the page does, or as somebody else might."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        return self.send(urllib.request.Request(self.address + path, headers=headers or {}))

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(urllib.request.Request(self.address + path, data, {"Content-Type": "application/json", **(headers or {})}))

    def send(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, body, kind = answer.status, answer.read(), answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            with error:
                status, body, kind = error.code, error.read(), error.headers.get_content_type()
        return status, json.loads(body) if kind == "application/json" else body.decode("utf-8")

    def save(self, id: str, keep: bool, texts: dict[str, str], revision: int = 0) -> tuple[int, Any]:
        return self.post("api/verdict", {"id": id, "keep": keep, "texts": texts, "revision": revision})


@contextmanager
def serving(folder: Path, who: str = "Ona") -> Iterator[tuple[Client, Review]]:
    """Serve a review on a free port."""
    review = Review(folder, who)
    with ReviewServer(review, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield Client(server.address), review
        finally:
            server.shutdown()
            thread.join()
            review.close()
