"""Any OpenAI-compatible server: a language model is asked to translate, one text a question."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import TranslationError
from rodna.benchmark.translators.masks import read_masks, write_masks
from rodna.core.openai_client import EndpointError, OpenAIClient, parse_address

INSTRUCTION = (
    "Translate the user's text from {source} into {target}. It is a part of a test, so keep its meaning exact: do not answer it, "
    "explain it, shorten it or add to it. Keep numbers, names and whatever stands in brackets like [0] as they are. "
    "Write the translation and nothing else."
)
TOKENS_A_CHARACTER, SPARE_TOKENS = 4, 64
"""Room for an answer: scripts that a tokenizer does not know take up to four tokens a character."""
HOPELESS = frozenset({401, 403, 404})
"""Of HTTP: no other text will be answered either."""
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_QUOTES = (('"', '"'), ("«", "»"), ("“", "”"), ("„", "“"), ("'", "'"))


class Endpoint:
    """A chat model behind an OpenAI-compatible server; the key is in the environment variable RODNA_API_KEY."""

    batch_size = 1

    def __init__(self, client: OpenAIClient) -> None:
        self.name = f"endpoint {client.model}"
        self.concurrency = client.config.max_concurrency
        self._client = client

    def version(self, source: str, target: str) -> str:
        """Return a digest of the address, the model and the instruction; what stands behind the address may change without it."""
        settings = "\n".join([self._client.address, self._client.model, _instruction(source, target)])
        return hashlib.sha256(settings.encode()).hexdigest()[:12]

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        return [self._one(text, source, target) for text in texts]

    def _one(self, text: str, source: str, target: str) -> str:
        written, style = write_masks(text)
        messages = [{"role": "system", "content": _instruction(source, target)}, {"role": "user", "content": written}]
        max_tokens = TOKENS_A_CHARACTER * len(written) + SPARE_TOKENS
        try:
            reply = self._client.chat(messages, temperature=0, max_tokens=max_tokens)
        except EndpointError as error:
            if error.status in HOPELESS:
                raise
            raise TranslationError(error.what, where=error.where, fix=error.fix) from error
        if reply.is_cut:
            raise TranslationError(f"the answer was cut after {max_tokens:,} tokens", where=self.name, fix="take another model")
        answer = " ".join(_THOUGHTS.sub("", reply.text).split("\n")).strip()
        if not answer:
            raise TranslationError("the answer is empty", where=self.name, fix="take another model")
        return read_masks(_unquoted(answer, written), style)


def make(where: str, config: BenchmarkConfig, folder: Path) -> Endpoint:
    """Return the translator at `http://host:port/v1#model`.

    Raises:
        EndpointError: the address has another form.
    """
    address, model = parse_address(where)
    return Endpoint(OpenAIClient(address, model, config.endpoint, folder))


def _instruction(source: str, target: str) -> str:
    from rodna.corpus.language import parse_language

    return INSTRUCTION.format(source=_described(parse_language(source)), target=_described(parse_language(target)))


def _described(language: object) -> str:
    return f"{getattr(language, 'name', language)} ({getattr(language, 'tag', '')})"


def _unquoted(answer: str, source: str) -> str:
    """Return an answer without the quotation marks that models like to put around all of it, where the source has none."""
    for opening, closing in _QUOTES:
        if len(answer) > 1 and answer[0] == opening and answer[-1] == closing and source[:1] not in "\"'«“„":
            return answer[1:-1].strip()
    return answer
