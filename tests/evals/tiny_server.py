"""A server on this machine that answers as OpenAI-compatible ones do, with a tiny model or whatever a test wants."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from rodna.models.decoder import Decoder
from rodna.models.generate import Sampling, generate
from rodna.tokenizer.tokenizer import Tokenizer


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


class TinyModel:
    """Answers `/completions` with a decoder, one text at a time, in the plainest way.

    Args:
        decoder: the model.
        tokenizer: its own.
        spelling: how a token of half a character is spelled: "replaced", "escaped" as OpenAI does, or "drifting", where the offsets count
            the letters of what is spelled, as vLLM's do.
        adds_start: whether every text begins with the end-of-text token.
        refuses_zero: whether it insists on writing a token.
    """

    def __init__(
        self, decoder: Decoder, tokenizer: Tokenizer, *, spelling: str = "replaced", adds_start: bool = True, refuses_zero: bool = False
    ) -> None:
        self.decoder, self.tokenizer = decoder, tokenizer
        self.spelling, self.adds_start, self.refuses_zero = spelling, adds_start, refuses_zero

    def __call__(self, path: str, question: dict[str, Any]) -> Reaction:
        if path != "/v1/completions":
            return Reaction({"error": {"message": "no such page"}}, status=404)
        if not question.get("echo"):
            sampling = Sampling(temperature=question["temperature"], top_p=1.0, max_tokens=question["max_tokens"])
            return Reaction({"choices": [{"text": generate(self.decoder, self.tokenizer, [question["prompt"]], sampling)[0]}]})
        if self.refuses_zero and question["max_tokens"] == 0:
            return Reaction({"error": {"message": "max_tokens must be at least 1"}}, status=400)
        return self.echo(question["prompt"], question["max_tokens"])

    def echo(self, text: str, max_tokens: int) -> Reaction:
        end = self.tokenizer.end_of_text_id
        spelled_end = "<|endoftext|>"
        is_sent = text.startswith(spelled_end)
        ids = [end] * (is_sent + self.adds_start) + self.tokenizer.encode(text[len(spelled_end) :] if is_sent else text)
        if len(ids) > self.decoder.config.context_length:
            return Reaction({"error": {"message": f"the prompt of {len(ids)} tokens exceeds the maximum context length"}}, status=400)
        with torch.no_grad():
            logits_TV = self.decoder.logits(self.decoder(torch.tensor([ids])))[0].double().log_softmax(-1)
        costs: list[float | None] = [None, *(float(logits_TV[place, token]) for place, token in enumerate(ids[1:]))]
        if max_tokens:
            ids, costs = [*ids, int(logits_TV[-1].argmax())], [*costs, float(logits_TV[-1].max())]
        pieces = [self.tokenizer.token_bytes(number) or spelled_end.encode() for number in ids]
        tokens = [self.spell(piece) for piece in pieces]
        offsets, before = [], b""
        for index, piece in enumerate(pieces):
            drifted = sum(len(token) for token in tokens[:index])
            offsets.append(drifted if self.spelling == "drifting" else len(before.decode("utf-8", "ignore")))
            before += piece
        logprobs = {"tokens": tokens, "token_logprobs": costs, "text_offset": offsets, "top_logprobs": None}
        return Reaction({"choices": [{"text": before.decode("utf-8", "replace"), "logprobs": logprobs, "finish_reason": "length"}]})

    def spell(self, piece: bytes) -> str:
        try:
            return piece.decode("utf-8")
        except UnicodeDecodeError:
            escaped = "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
            return escaped if self.spelling == "escaped" else piece.decode("utf-8", "replace")
