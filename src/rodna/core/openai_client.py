"""Asking an OpenAI-compatible server, with patience: retries, a rate limit, and answers that are kept.

Used for evaluation and for translation. The standard library only.
"""

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from rodna.core.answer_cache import AnswerCache, digest_of
from rodna.core.errors import RodnaError
from rodna.core.openai_config import KEY_VARIABLE, EndpointConfig
from rodna.core.openai_transport import Answer, BrokenAnswerError, FailedAttemptError, send

Check = Callable[[dict[str, Any]], None]
"""Raises `BrokenAnswerError` where an answer is not one to the question."""


class EndpointError(RodnaError):
    """A server does not answer, or not as asked.

    Attributes:
        status: of HTTP; 0 where there was no answer.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "", status: int = 0) -> None:
        super().__init__(what, where=where, fix=fix)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """What a model answers in a conversation.

    Attributes:
        text: the whole answer.
        is_cut: whether it ended because `max_tokens` was reached.
    """

    text: str
    is_cut: bool


def parse_address(where: str) -> tuple[str, str]:
    """Return the base address and the model of `http://host:port/v1#model`.

    Raises:
        EndpointError: it has another form, or holds a password.
    """
    form = "write http://host:port/v1#name-of-the-model"
    base, _, model = where.partition("#")
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError as error:
        raise EndpointError(f"no address of a server: {error}", where=_without_secrets(where), fix=form) from error
    if parts.username or parts.password or parts.query:
        raise EndpointError("an address must not hold a key, a password or a query: it is written into reports",
                            where=_without_secrets(where), fix=f"put the key into the environment variable {KEY_VARIABLE}")  # fmt: skip
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise EndpointError("no address of a server", where=where, fix=form)
    if not model:
        raise EndpointError("the address names no model", where=where, fix=form)
    return base.rstrip("/"), model


def _without_secrets(where: str) -> str:
    rest = where.partition("?")[0]
    scheme, _, after = rest.partition("://")
    return f"{scheme}://{after.rpartition('@')[2]}"


class OpenAIClient:
    """One model of one server.

    The key is read from the environment variable `RODNA_API_KEY` and is sent to this server alone: redirects are not followed.

    Args:
        address: `http://host:port/v1`.
        model: its name there.
        config: limits.
        cache: folder where answers are kept; each server and model has a file there.

    Raises:
        EndpointError: the key holds characters that no header can.
    """

    def __init__(self, address: str, model: str, config: EndpointConfig, cache: Path) -> None:
        self.address, self.model, self.config = address, model, config
        self.cache = AnswerCache(cache / f"answers-{digest_of([address, model])[:16]}.jsonl")
        self._key = _read_key()
        self._gate = _Gate(config.requests_per_minute)
        self._slots = threading.BoundedSemaphore(config.max_concurrency)
        self._random = random.Random()

    def complete(self, payload: Mapping[str, Any], check: Check | None = None) -> dict[str, Any]:
        """Ask `/completions`; return the whole answer, which has as many choices as there are prompts.

        Args:
            payload: without `model`.
            check: refuses answers that make no sense; the question is then asked again.

        Raises:
            EndpointError: the server refuses, or all attempts failed.
        """
        prompts = payload.get("prompt")
        count = (len(cast("list[Any]", prompts)) if isinstance(prompts, list) else 1) * int(payload.get("n", 1))
        return self.post("/completions", payload, _all_of(_has_choices(count), check))

    def chat(self, messages: Sequence[Mapping[str, str]], **options: Any) -> Reply:
        """Ask `/chat/completions` once.

        Args:
            messages: of `role` and `content`.
            options: `temperature`, `max_tokens`, `seed`, `stop` and whatever else the server knows.

        Raises:
            EndpointError: the server refuses, or all attempts failed.
        """
        answer = self.post("/chat/completions", {"messages": list(messages), **options}, _all_of(_has_choices(1), _has_content))
        choice = answer["choices"][0]
        return Reply(whole_characters(choice["message"]["content"]), choice.get("finish_reason") == "length")

    def post(self, path: str, payload: Mapping[str, Any], check: Check | None = None) -> dict[str, Any]:
        """Ask anything; the answer is taken from the cache where it is there.

        Args:
            path: after the address, such as `/completions`.
            payload: without `model`.
            check: see `complete`.

        Raises:
            EndpointError: the server refuses, or all attempts failed.
        """
        question = {"model": self.model, **payload}
        key = digest_of([self.address, path, question])
        kept = self.cache.get(key)
        if kept is not None and _passes(kept, check):
            return kept
        with self._slots:
            answer = self._ask(path, json.dumps(question).encode("utf-8"), check)
        self.cache.put(key, answer)
        return answer

    def run(self, jobs: Sequence[Callable[[], Any]]) -> list[Any]:
        """Run jobs that ask this server, as many at once as `max_concurrency`; return their results in order.

        Raises:
            EndpointError: one of them failed; says how many are done, whose answers are kept.
        """
        stop = threading.Event()

        def run_one(job: Callable[[], Any]) -> Any:
            if stop.is_set():
                raise CancelledError
            try:
                return job()
            except BaseException:
                # Before this thread takes the next job: no further question is paid for.
                stop.set()
                raise

        with ThreadPoolExecutor(min(self.config.max_concurrency, max(1, len(jobs)))) as pool:
            futures: list[Future[Any]] = [pool.submit(run_one, job) for job in jobs]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                stop.set()
        errors = [future.exception() for future in futures]
        failed = next((error for error in errors if error is not None and not isinstance(error, CancelledError)), None)
        if failed is None:
            return [future.result() for future in futures]
        if not isinstance(failed, EndpointError):
            raise failed
        done = sum(error is None for error in errors)
        raise EndpointError(
            f"gave up after {done:,} of {len(jobs):,} questions: {failed.what}", where=failed.where, status=failed.status,
            fix=f"{failed.fix}; then run the same command again: answers so far are kept in {self.cache.path}",
        ) from failed  # fmt: skip

    def _ask(self, path: str, body: bytes, check: Check | None) -> dict[str, Any]:
        where = self.address + path
        for attempt in range(1, self.config.max_attempts + 1):
            self._gate.wait()
            try:
                answer = self._attempt(where, body, check)
            except FailedAttemptError as error:
                if not error.is_passing:
                    raise self._refused(error, where) from error
                if attempt == self.config.max_attempts:
                    raise EndpointError(
                        f"no usable answer in {attempt} attempts; the last: {error.what}", where=where, status=error.status,
                        fix="see that the server runs and keeps up: raise eval.endpoint.timeout_s, or lower max_concurrency",
                    ) from error  # fmt: skip
                self._pause(error, attempt, where)
            else:
                return answer
        raise AssertionError

    def _attempt(self, where: str, body: bytes, check: Check | None) -> dict[str, Any]:
        answer = send(where, body, key=self._key, timeout_s=self.config.timeout_s, max_bytes=self.config.max_answer_bytes)
        value = _as_object(answer)
        if check is not None:
            check(value)
        return value

    def _pause(self, error: FailedAttemptError, attempt: int, where: str) -> None:
        """Wait before the next attempt: what the server asks for, or exponential backoff with full jitter.

        Reference: Brooker 2015, "Exponential Backoff And Jitter", AWS Architecture Blog.
        """
        config = self.config
        if error.retry_after_s > config.max_wait_s:
            raise EndpointError(
                f"the server asks to wait {error.retry_after_s:,.0f} s, longer than the {config.max_wait_s:,.0f} s allowed: {error.what}",
                where=where, status=error.status, fix="come back later, or raise eval.endpoint.max_wait_s",
            ) from error  # fmt: skip
        if error.retry_after_s:
            # All questions wait: the server limits its user, not the one question.
            self._gate.close_for(error.retry_after_s)
        else:
            time.sleep(self._random.uniform(0, min(config.max_wait_s, config.backoff_s * 2 ** min(attempt - 1, 60))))

    def _refused(self, error: FailedAttemptError, where: str) -> EndpointError:
        fixes = {
            401: f"put the server's key into the environment variable {KEY_VARIABLE}",
            403: f"see that the key in {KEY_VARIABLE} may use this model",
            404: f"see that the server offers this, and has a model named {self.model!r}",
        }
        return EndpointError(f"the server refuses: {error.what}", where=where, status=error.status,
                             fix=fixes.get(error.status, "correct what the server complains about"))  # fmt: skip


class _Gate:
    """Spaces attempts out to a rate, and stays closed for as long as the server asks."""

    def __init__(self, requests_per_minute: float) -> None:
        self._spacing_s = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._spacing_s
        time.sleep(turn - now)

    def close_for(self, seconds: float) -> None:
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)


def whole_characters(text: str) -> str:
    """Return a text whose halves of surrogate pairs, which JSON can spell but no UTF-8 can hold, are U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_key() -> str:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key.isascii() or not key.isprintable():
        raise EndpointError("the key holds characters that no header can", where=f"environment variable {KEY_VARIABLE}",
                            fix="set it to the key alone, without line breaks or quotation marks")  # fmt: skip
    return key


def _as_object(answer: Answer) -> dict[str, Any]:
    try:
        value: Any = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise BrokenAnswerError(f"the answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BrokenAnswerError(f"the answer is a JSON {type(value).__name__}, not an object")
    return cast("dict[str, Any]", value)


def _passes(answer: dict[str, Any], check: Check | None) -> bool:
    try:
        if check is not None:
            check(answer)
    except BrokenAnswerError:
        return False
    return True


def _all_of(first: Check, second: Check | None) -> Check:
    def check(answer: dict[str, Any]) -> None:
        first(answer)
        if second is not None:
            second(answer)

    return check


def _has_choices(count: int) -> Check:
    def check(answer: dict[str, Any]) -> None:
        choices: Any = answer.get("choices")
        found = len(cast("list[Any]", choices)) if isinstance(choices, list) else 0
        if found != count or not all(isinstance(choice, dict) for choice in cast("list[Any]", choices)):
            raise BrokenAnswerError(f"the answer has {found} choices where {count} were asked for")

    return check


def _has_content(answer: dict[str, Any]) -> None:
    message = answer["choices"][0].get("message")
    if not isinstance(message, dict) or not isinstance(cast("dict[str, Any]", message).get("content"), str):
        raise BrokenAnswerError("the answer has no text: choices[0].message.content is missing")
