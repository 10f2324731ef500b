"""A model behind an OpenAI-compatible server, as a `LanguageModel`.

Texts are scored through `/completions` with `echo` and `logprobs`: the server encodes context and continuation together, and the tokens
that reach beyond the border between them are the continuation's.
"""

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from rodna.core.errors import CannotScoreError, EvaluationError
from rodna.core.openai_client import EndpointError, OpenAIClient, parse_address, whole_characters
from rodna.core.openai_config import EndpointConfig
from rodna.core.openai_transport import BrokenAnswerError
from rodna.evals.models.alignment import BEFORE
from rodna.evals.models.echo import Cost, NoEchoError, Token, cost_after, read_echo
from rodna.evals.models.model import Score

if TYPE_CHECKING:
    from rodna.models.generate import Sampling

REMAINING = "what the model writes can still be measured: tasks of exact_match and consistency, generated text and speed"
REFUSED = (400, 413, 422)
TOO_LONG = re.compile(r"context|too long|too large|maximum|max_model_len|token limit|exceed", re.IGNORECASE)
"""What servers say of a text that does not fit; vLLM, OpenAI, text-generation-inference and llama.cpp all have one of these words."""
MAX_STOPS = 4
"""Most stop strings that OpenAI's interface takes; we look for all of them ourselves too."""


class EndpointModel:
    """One model of a server.

    Args:
        client: asks it.
        where: its address, for people to read.
    """

    def __init__(self, client: OpenAIClient, *, where: str) -> None:
        self.client, self.where, self.config = client, where, client.config
        self.num_inside = 0
        self._lock = Lock()
        self._max_tokens = 0

    @classmethod
    def open(cls, where: str, config: EndpointConfig | None = None) -> "EndpointModel":
        """Make ready to ask `http://host:port/v1#model`; nothing is asked yet.

        Raises:
            EndpointError: the address has another form.
        """
        settings = config or EndpointConfig()
        address, model = parse_address(where)
        return cls(OpenAIClient(address, model, settings, cache_folder(settings)), where=f"{address}#{model}")

    @property
    def description(self) -> dict[str, Any]:
        """Return what is known of the model."""
        return {
            "where": self.where,
            "kind": "endpoint",
            "api": self.config.api,
            "start_of_text": self.config.start_of_text or "the server's own",
            "end_of_text": "a server does not say what it costs: it is left out",
            "borders_inside_tokens": self.num_inside,
        }

    def score(self, contexts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Return the cost of each continuation after its context, as the server encodes them together.

        Spaces at a context's end go to the continuation. A text that the server finds too long loses the beginning of its context; a
        continuation too long by itself is scored in pieces, each after as much of what stands before it as fits.

        Raises:
            EvaluationError: the server gives no log-probabilities of a given text, or no cost of a text's first token.
            EndpointError: it does not answer; says how many questions are done.
        """
        pairs = [_move_spaces(context, after) for context, after in zip(contexts, continuations, strict=True)]
        different = list(dict.fromkeys(pairs))
        found = self.client.run([partial(self._score, *pair) for pair in different])
        scores = dict(zip(different, found, strict=True))
        return [scores[pair] for pair in pairs]

    def score_documents(self, texts: Sequence[str]) -> list[Score]:
        """Return the cost of each text's tokens; that of its end is left out, since no server says it. See `score`."""
        return self.score([""] * len(texts), texts)

    def _score(self, context: str, after: str) -> Score:
        if not after:
            return Score(0.0, 0)
        if self.config.api == "chat":
            raise _no_scores(self.where, "a server asked through /chat/completions says nothing of the cost of a text")
        start = self.config.start_of_text
        try:
            cost = self._cost(start, context, after)
        except EndpointError as error:
            if error.status not in REFUSED or not TOO_LONG.search(error.what):
                raise
            return self._score_shortened(context, after, error)
        if cost.is_inside:
            with self._lock:
                self.num_inside += 1
        if cost.is_first_unknown:
            raise EvaluationError(
                "the server gives no cost of a text's first token, since it reads nothing before it", where=self.where,
                fix="set eval.endpoint.start_of_text to the model's beginning-of-text token, such as <s> or <|endoftext|>",
            )  # fmt: skip
        return Score(cost.nats, cost.num_tokens)

    def _score_shortened(self, context: str, after: str, error: EndpointError) -> Score:
        """Score what is too long: with less of a long context, else in two halves."""
        if len(context) >= len(after):
            score = self._score(context[(len(context) + 1) // 2 :], after)
            return Score(score.nats, score.num_tokens, is_cut=True)
        if len(after) < 2:
            raise error
        middle = _middle(after)
        first, second = self._score(context, after[:middle]), self._score(context + after[:middle], after[middle:])
        return Score(first.nats + second.nats, first.num_tokens + second.num_tokens, is_cut=True)

    def _cost(self, start: str, context: str, after: str) -> Cost:
        # A context has tokens of its own before the border; an empty one needs the beginning of a text, where the server adds none.
        before = context or start
        text = before + after
        tokens = self._echo(text)
        cost = cost_after(tokens, len(before))
        if start and not context and (cost.num_before != 1 or cost.is_inside) and not _is_doubled(tokens, len(before)):
            raise EvaluationError(
                f"the server does not read {start!r} as one token, but as {cost.num_before}", where="eval.endpoint.start_of_text",
                fix="set it to the model's beginning-of-text token, as its tokenizer spells it",
            )  # fmt: skip
        return cost

    def _echo(self, text: str) -> list[Token]:
        """Return the tokens of a text with their costs."""
        # Read once: another thread may find out meanwhile.
        max_tokens = self._max_tokens
        try:
            try:
                return self._ask(text, max_tokens)
            except EndpointError as error:
                if max_tokens or error.status not in REFUSED or (len(text) > 1 and TOO_LONG.search(error.what)):
                    raise
                # Some servers do not answer without writing at least one token.
                tokens = self._ask(text, 1)
                self._max_tokens = 1
                return tokens
        except NoEchoError as error:
            raise _no_scores(self.where, f"the server gives no log-probabilities of a text that is sent: {error}") from error
        except EndpointError as error:
            if error.status in (404, 405, 501):
                raise _no_scores(self.where, f"the server cannot score texts through /completions: {error.what}") from error
            raise

    def _ask(self, text: str, max_tokens: int) -> list[Token]:
        payload = {"prompt": text, "max_tokens": max_tokens, "echo": True, "logprobs": 1, "temperature": 0}
        return read_echo(self.client.complete(payload, partial(_is_sound, text=text, num_written=max_tokens)), text, num_written=max_tokens)

    def generate(self, prompts: Sequence[str], sampling: "Sampling") -> list[str]:
        """Return what the model writes after each prompt; the n-th asks for the seed + n.

        Settings that OpenAI's interface lacks (`top_k`, `min_p`, `repetition_penalty`) are sent only where they are set.
        """
        if not sampling.max_tokens:
            return [""] * len(prompts)
        options: dict[str, Any] = {"max_tokens": sampling.max_tokens, "temperature": sampling.temperature, "top_p": sampling.top_p}
        if sampling.stop:
            options["stop"] = list(sampling.stop[:MAX_STOPS])
        neutral = {"top_k": 0, "min_p": 0, "repetition_penalty": 1}
        options |= {name: getattr(sampling, name) for name, value in neutral.items() if getattr(sampling, name) != value}
        jobs: list[Callable[[], str]] = []
        for index, prompt in enumerate(prompts):
            # Greedy choice draws nothing: the same prompt need not be paid for twice.
            seed = {"seed": (sampling.seed + index) % 2**63} if sampling.temperature else {}
            jobs.append(partial(self._write, prompt, options | seed))
        return [_cut(text, sampling.stop) for text in self.client.run(jobs)]

    def _write(self, prompt: str, options: dict[str, Any]) -> str:
        if self.config.api == "chat":
            return self.client.chat([{"role": "user", "content": prompt}], **options).text
        answer = self.client.complete({"prompt": prompt or self.config.start_of_text, **options}, _has_text)
        return whole_characters(answer["choices"][0]["text"])


def cache_folder(config: EndpointConfig) -> Path:
    """Return where answers are kept: where the user says, or in the user's cache folder."""
    if config.cache:
        return Path(config.cache)
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "rodna" / "answers"


def _no_scores(where: str, what: str) -> EvaluationError:
    return CannotScoreError(what, where=where, fix=f"{REMAINING}; to score texts, serve the model with vLLM, or give its folder")


def _is_sound(answer: dict[str, Any], *, text: str, num_written: int) -> None:
    """Refuse numbers that make no sense, so that the server is asked again and nothing of them is kept."""
    try:
        read_echo(answer, text, num_written=num_written)
    except NoEchoError:
        return


def _has_text(answer: dict[str, Any]) -> None:
    if not all(isinstance(choice.get("text"), str) for choice in answer["choices"]):
        raise BrokenAnswerError("the answer has no text: choices[0].text is missing")


def _is_doubled(tokens: list[Token], border: int) -> bool:
    """Return whether the server put a beginning-of-text token of its own before the one that was sent."""
    before = [token for token in tokens if token.end <= border]
    return len(before) == 2 and before[0].start == BEFORE


def _move_spaces(context: str, continuation: str) -> tuple[str, str]:
    if not continuation:
        return context, continuation
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _middle(text: str) -> int:
    """Return a place near the middle of a text, before a space where there is one, so that few tokens are cut."""
    half = len(text) // 2
    space = max(text.rfind(" ", 1, half + 1), text.rfind("\n", 1, half + 1))
    return space if space > len(text) // 4 else half


def _cut(text: str, stop: Sequence[str]) -> str:
    return text[: min((place for place in map(text.find, stop) if place >= 0), default=len(text))]
