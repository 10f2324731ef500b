"""Asking a server: retries, limits, refusals, and answers that are kept."""

import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local_server import Reaction, Server, serve
from rodna.core.answer_cache import AnswerCache, digest_of
from rodna.core.openai_client import EndpointError, OpenAIClient, Reply, parse_address
from rodna.core.openai_config import EndpointConfig

HELLO = Reaction({"choices": [{"message": {"role": "assistant", "content": "labas"}, "finish_reason": "stop"}]})
ASKED = [{"role": "user", "content": "hello"}]


@pytest.fixture
def make_client(tmp_path: Path) -> Callable[..., OpenAIClient]:
    """Return what makes a client that hardly waits."""

    def make(server: Server, **changes: Any) -> OpenAIClient:
        return OpenAIClient(server.address, "tiny", EndpointConfig(**{"backoff_s": 0.01, "max_attempts": 4} | changes), tmp_path)

    return make


def one_after_the_other(reactions: Sequence[Reaction]) -> Callable[[str, dict[str, Any]], Reaction]:
    """React to each question with the next of some reactions, the last one for ever."""
    left = list(reactions)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


@pytest.mark.parametrize(
    "failure",
    [
        Reaction({"error": {"message": "overloaded"}}, status=500),
        Reaction(b"<html>Bad Gateway</html>", status=502),
        Reaction({"error": "slow down"}, status=429, headers={"Retry-After": "0.05"}),
        Reaction(b'{"choices": [{"mess', status=200),
        Reaction(HELLO.body, sent=20),
        Reaction(b"", sent=0),
        Reaction(b"\xff\xfe garbage"),
        Reaction([1, 2]),
        Reaction({"choices": []}),
        Reaction({"choices": HELLO.body["choices"] * 2}),
        Reaction({"choices": [{"message": {"content": None}}]}),
        Reaction({"choices": ["text"]}),
        Reaction(b"[" * 200_000),
        Reaction(HELLO.body, delay_s=30),
    ],
    ids=["500", "502", "429", "half JSON", "broken off", "nothing", "garbage", "a list", "no choice", "two choices", "no text", "no object",
         "deep", "silence"],
)  # fmt: skip
def test_what_passes_is_asked_again(make_client: Callable[..., OpenAIClient], failure: Reaction) -> None:
    with serve(one_after_the_other([failure, failure, HELLO])) as server:
        timeout_s = 0.3 if failure.delay_s else 30
        assert make_client(server, timeout_s=timeout_s).chat(ASKED) == Reply("labas", is_cut=False)
        assert len(server.asked) == 3
    with serve(lambda *_: failure) as server, pytest.raises(EndpointError, match="no usable answer in 2 attempts; the last:"):
        make_client(server, timeout_s=timeout_s, max_attempts=2).chat([{"role": "user", "content": "other"}])


@pytest.mark.parametrize(
    ("refusal", "said", "fix"),
    [
        (Reaction({"error": {"message": "no such key"}}, status=401), "HTTP 401 Unauthorized: no such key", "RODNA_API_KEY"),
        (Reaction({"detail": "no model"}, status=404), "no model", "'tiny'"),
        (Reaction({"error": {"message": "empty", "code": "insufficient_quota"}}, status=429), "empty", "complains"),
        (Reaction(b"", status=302, headers={"Location": "http://127.0.0.1:9/"}), "redirects elsewhere", "complains"),
        (Reaction({"error": "bad"}, status=422), "bad", "complains"),
    ],
    ids=["401", "404", "no money", "redirect", "422"],
)
def test_what_does_not_pass_is_asked_once(make_client: Callable[..., OpenAIClient], refusal: Reaction, said: str, fix: str) -> None:
    with serve(lambda *_: refusal) as server:
        with pytest.raises(EndpointError) as error:
            make_client(server).chat(ASKED)
        assert len(server.asked) == 1
    assert said in error.value.what
    assert fix in error.value.fix
    assert error.value.where == f"{server.address}/chat/completions"
    assert error.value.status == refusal.status


def test_an_answer_larger_than_allowed_is_not_read(make_client: Callable[..., OpenAIClient]) -> None:
    with serve(lambda *_: Reaction(b" " * 5000)) as server, pytest.raises(EndpointError, match="larger than 1,000 bytes"):
        make_client(server, max_answer_bytes=1000).chat(ASKED)


def test_a_server_that_is_not_there_is_said(make_client: Callable[..., OpenAIClient]) -> None:
    with serve(lambda *_: HELLO) as server:
        pass
    with pytest.raises(EndpointError, match="in 2 attempts; the last: the connection failed"):
        make_client(server, max_attempts=2).chat(ASKED)


@pytest.mark.parametrize("as_date", [False, True])
def test_the_wait_that_a_server_asks_for_is_kept(make_client: Callable[..., OpenAIClient], as_date: bool) -> None:
    wanted = 2.0 if as_date else 0.4
    value = formatdate(time.time() + wanted, usegmt=True) if as_date else str(wanted)
    with serve(one_after_the_other([Reaction({}, status=503, headers={"Retry-After": value}), HELLO])) as server:
        before = time.monotonic()
        make_client(server).chat(ASKED)
        # A date has whole seconds: up to one of them is lost.
        assert time.monotonic() - before >= wanted - (1.1 if as_date else 0.01)
    with serve(lambda *_: Reaction({}, status=429, headers={"Retry-After": "3600"})) as server:
        with pytest.raises(EndpointError, match="asks to wait 3,600 s, longer than the 120 s allowed"):
            make_client(server).chat(ASKED)
        assert len(server.asked) == 1


def test_a_kept_answer_is_not_asked_for_again(make_client: Callable[..., OpenAIClient], tmp_path: Path) -> None:
    with serve(lambda *_: HELLO) as server:
        for _ in range(3):
            assert make_client(server).chat(ASKED).text == "labas"
        assert len(server.asked) == 1
        make_client(server).chat(ASKED, temperature=0.5)
        assert len(server.asked) == 2
        (file,) = tmp_path.iterdir()
        # A crash cuts the last line short.
        file.write_bytes(file.read_bytes()[:-9])
        make_client(server).chat(ASKED)
        assert len(server.asked) == 2
        make_client(server).chat(ASKED, temperature=0.5)
        assert len(server.asked) == 3
        assert len(AnswerCache(file)) == 2


def test_giving_up_says_how_much_is_done_and_a_rerun_goes_on_from_there(make_client: Callable[..., OpenAIClient]) -> None:
    broken = {"value": True}

    def react(path: str, question: dict[str, Any]) -> Reaction:
        number = int(question["messages"][0]["content"])
        return Reaction({"error": "no"}, status=400) if broken["value"] and number == 5 else HELLO

    def jobs(client: OpenAIClient) -> list[Callable[[], Any]]:
        return [partial(client.chat, [{"role": "user", "content": str(number)}]) for number in range(8)]

    with serve(react) as server:
        client = make_client(server, max_concurrency=1)
        with pytest.raises(EndpointError, match="gave up after 5 of 8 questions: the server refuses") as error:
            client.run(jobs(client))
        assert str(client.cache.path) in error.value.fix
        broken["value"] = False
        again = make_client(server, max_concurrency=1)
        asked = len(server.asked)
        assert [reply.text for reply in again.run(jobs(again))] == ["labas"] * 8
        assert len(server.asked) == asked + 3


def test_no_more_questions_are_open_at_once_than_allowed(make_client: Callable[..., OpenAIClient]) -> None:
    open_now, most = [0], [0]

    def react(*_: Any) -> Reaction:
        open_now[0] += 1
        most[0] = max(most[0], open_now[0])
        time.sleep(0.03)
        open_now[0] -= 1
        return HELLO

    with serve(react) as server:
        client = make_client(server, max_concurrency=2)
        client.run([partial(client.chat, [{"role": "user", "content": str(number)}]) for number in range(8)])
    assert most[0] == 2


def test_attempts_are_spaced_out_to_the_rate(make_client: Callable[..., OpenAIClient]) -> None:
    with serve(lambda *_: HELLO) as server:
        client = make_client(server, requests_per_minute=600)
        before = time.monotonic()
        client.run([partial(client.chat, [{"role": "user", "content": str(number)}]) for number in range(5)])
        assert time.monotonic() - before >= 0.39


def test_the_key_goes_to_the_server_and_nowhere_else(
    make_client: Callable[..., OpenAIClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RODNA_API_KEY", "secret-123456")
    refusal = Reaction({"error": {"message": "wrong key secret-123456"}}, status=401)
    with serve(one_after_the_other([HELLO, refusal])) as server:
        make_client(server).chat(ASKED)
        assert server.asked[0][2]["Authorization"] == "Bearer secret-123456"
        with pytest.raises(EndpointError) as error:
            make_client(server).chat(ASKED, seed=1)
    assert "wrong key ***" in str(error.value)
    kept = "".join(path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file())
    assert "secret-123456" not in kept + str(error.value) + "".join(capfd.readouterr())
    monkeypatch.setenv("RODNA_API_KEY", "one\ntwo")
    with pytest.raises(EndpointError, match="characters that no header can") as error:
        make_client(server)
    assert "two" not in str(error.value)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("http://localhost:8000/v1", "names no model"),
        ("http://me:pass@localhost/v1#m", "must not hold a key"),
        ("http://localhost/v1?key=pass#m", "must not hold a key"),
        ("http://localhost:99999/v1#m", "no address"),
        ("ftp://localhost/v1#m", "no address"),
        ("http:///v1#m", "no address"),
    ],
)
def test_an_address_that_cannot_be_is_refused_without_repeating_its_secrets(where: str, said: str) -> None:
    with pytest.raises(EndpointError, match=said) as error:
        parse_address(where)
    assert "pass" not in str(error.value).replace("password", "")


def test_an_address_names_server_and_model() -> None:
    assert parse_address("https://host:8000/v1/#org/name:7b") == ("https://host:8000/v1", "org/name:7b")


def test_completions_must_have_a_choice_for_every_prompt(make_client: Callable[..., OpenAIClient]) -> None:
    two = Reaction({"choices": [{"text": "a"}, {"text": "b"}]})
    with serve(lambda *_: two) as server:
        assert len(make_client(server).complete({"prompt": ["x", "y"]})["choices"]) == 2
        with pytest.raises(EndpointError, match="has 2 choices where 3 were asked for"):
            make_client(server, max_attempts=1).complete({"prompt": "x", "n": 3})


def test_halves_of_surrogate_pairs_become_replacement_characters(make_client: Callable[..., OpenAIClient]) -> None:
    cut = Reaction({"choices": [{"message": {"content": "a\ud800b"}, "finish_reason": "length"}]})
    with serve(lambda *_: cut) as server:
        assert make_client(server).chat(ASKED) == Reply("a\ufffdb", is_cut=True)


def test_the_order_of_keys_makes_no_other_question() -> None:
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1}) != digest_of({"a": 1, "b": [3]})
