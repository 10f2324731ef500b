"""A tiny model that answers as OpenAI-compatible servers do."""

from typing import Any

import torch

from local_server import Reaction
from rodna.models.decoder import Decoder
from rodna.models.generate import Sampling, generate
from rodna.tokenizer.tokenizer import Tokenizer


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
