"""A model behind a server costs what it costs on this machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_server import TinyModel

from local_server import Reaction, serve
from rodna.core.errors import EvaluationError
from rodna.core.openai_client import EndpointError
from rodna.core.openai_config import EndpointConfig
from rodna.evals.models.alignment import BEFORE, token_starts
from rodna.evals.models.endpoint import EndpointModel
from rodna.evals.models.model import DecoderModel
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.generate import Sampling
from rodna.tokenizer.tokenizer import Tokenizer

START = "<|endoftext|>"
CONTEXTS = ["", "Кот ", "ба ве", "एक दो", "", "a b"]
CONTINUATIONS = ["ба", "спіць", " гі.", " तीन", "", "c"]
GREEDY = Sampling(temperature=0, top_p=1.0, max_tokens=6)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tokenizer() -> Tokenizer:
    """Bytes, one word piece that reaches over a border, and the end of a text."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)} | {"th": 256}
    backend = Backend(models.BPE(vocab=vocabulary, merges=[("t", "h")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([START])
    return Tokenizer(backend)


@pytest.fixture
def decoder() -> Decoder:
    shape = {"vocabulary_size": 258, "context_length": 48, "width": 16, "num_layers": 2, "num_heads": 2, "num_kv_heads": 2, "head_width": 8,
             "ffn_width": 24}  # fmt: skip
    model = Decoder(ModelConfig(**shape)).initialize(seed=2).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(10)
    return model


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., EndpointConfig]:
    """Return settings that wait for nothing and keep answers in the test's folder."""

    def make(**changes: Any) -> EndpointConfig:
        return EndpointConfig(**{"backoff_s": 0.01, "max_attempts": 3, "cache": str(tmp_path / "answers")} | changes)

    return make


@pytest.mark.parametrize("spelling", ["replaced", "escaped", "drifting"])
@pytest.mark.parametrize(("adds_start", "refuses_zero"), [(True, False), (False, True)])
def test_a_server_and_the_decoder_itself_find_the_same_numbers(
    decoder: Decoder, tokenizer: Tokenizer, settings: Callable[..., EndpointConfig], spelling: str, adds_start: bool, refuses_zero: bool
) -> None:
    expected = DecoderModel(decoder, tokenizer).score(CONTEXTS, CONTINUATIONS)
    tiny = TinyModel(decoder, tokenizer, spelling=spelling, adds_start=adds_start, refuses_zero=refuses_zero)
    with serve(tiny) as server:
        model = EndpointModel.open(f"{server.address}#tiny", settings(start_of_text="" if adds_start else START))
        found = model.score(CONTEXTS, CONTINUATIONS)
    # A server that adds a token of its own reads it before contexts too; those are compared where it adds none.
    compared = [0, 4] if adds_start else range(len(CONTEXTS))
    assert [found[index].nats for index in compared] == pytest.approx([expected[index].nats for index in compared], abs=1e-5)
    assert [found[index].num_tokens for index in compared] == [expected[index].num_tokens for index in compared]
    assert expected[0].nats > 1


def test_documents_are_scored_without_their_end(decoder: Decoder, tokenizer: Tokenizer, settings: Callable[..., EndpointConfig]) -> None:
    texts = ["ба ве гі", "एक", ""]
    with serve(TinyModel(decoder, tokenizer)) as server:
        model = EndpointModel.open(f"{server.address}#tiny", settings())
        found = model.score_documents(texts)
    expected = DecoderModel(decoder, tokenizer).score([""] * 3, texts)
    assert [score.nats for score in found] == pytest.approx([score.nats for score in expected], abs=1e-5)
    assert "left out" in model.description["end_of_text"]


def test_a_token_across_the_border_is_counted_whole_and_said(
    decoder: Decoder, tokenizer: Tokenizer, settings: Callable[..., EndpointConfig]
) -> None:
    with serve(TinyModel(decoder, tokenizer, adds_start=False)) as server:
        model = EndpointModel.open(f"{server.address}#tiny", settings())
        assert model.description["borders_inside_tokens"] == 0
        (found,) = model.score(["a t"], ["he"])
    (expected,) = DecoderModel(decoder, tokenizer).score(["a "], ["the"])
    # The space goes to the continuation there.
    (space,) = DecoderModel(decoder, tokenizer).score(["a"], [" "])
    assert found.nats == pytest.approx(expected.nats - space.nats, abs=1e-5)
    assert found.num_tokens == 2
    assert model.description["borders_inside_tokens"] == 1


def test_what_is_too_long_for_the_server_is_shortened_and_marked(
    decoder: Decoder, tokenizer: Tokenizer, settings: Callable[..., EndpointConfig]
) -> None:
    with serve(TinyModel(decoder, tokenizer, adds_start=False)) as server:
        model = EndpointModel.open(f"{server.address}#tiny", settings(start_of_text=START))
        long_context, fits, long_text = model.score(["x" * 80, "x" * 30, ""], ["yz", "yz", "w " * 60])
    expected = DecoderModel(decoder, tokenizer).score(["x" * 40, "x" * 30], ["yz", "yz"])
    assert (long_context.nats, fits.nats) == pytest.approx([score.nats for score in expected], abs=1e-5)
    assert (long_context.is_cut, fits.is_cut, long_text.is_cut) == (True, False, True)
    assert long_text.num_tokens == 120
    assert long_text.nats > 20


def test_a_first_token_without_a_cost_is_an_error_that_names_the_setting(
    decoder: Decoder, tokenizer: Tokenizer, settings: Callable[..., EndpointConfig]
) -> None:
    with serve(TinyModel(decoder, tokenizer, adds_start=False)) as server:
        with pytest.raises(EvaluationError, match="no cost of a text's first token") as error:
            EndpointModel.open(f"{server.address}#tiny", settings()).score([""], ["ба"])
        assert "eval.endpoint.start_of_text" in error.value.fix
        with pytest.raises(EvaluationError, match="does not read '<s>' as one token, but as 3"):
            EndpointModel.open(f"{server.address}#tiny", settings(start_of_text="<s>")).score([""], ["ба"])


def test_a_server_writes_what_the_decoder_writes(decoder: Decoder, tokenizer: Tokenizer, settings: Callable[..., EndpointConfig]) -> None:
    with serve(TinyModel(decoder, tokenizer)) as server:
        model = EndpointModel.open(f"{server.address}#tiny", settings())
        found = model.generate(["Кот", "b", "Кот"], GREEDY)
        assert found == DecoderModel(decoder, tokenizer).generate(["Кот", "b", "Кот"], GREEDY)
        first = found[0][0]
        assert model.generate(["Кот"], Sampling(temperature=0, top_p=1.0, max_tokens=6, stop=(first,))) == [""]
    assert model.generate(["never asked"], Sampling(max_tokens=0)) == [""]


def test_a_chat_server_writes_but_scores_nothing(settings: Callable[..., EndpointConfig]) -> None:
    def chat(path: str, question: dict[str, Any]) -> Reaction:
        assert path == "/v1/chat/completions"
        return Reaction({"choices": [{"message": {"content": question["messages"][0]["content"].upper()}}]})

    with serve(chat) as server:
        model = EndpointModel.open(f"{server.address}#tiny", settings(api="chat"))
        assert model.generate(["кот"], GREEDY) == ["КОТ"]
        with pytest.raises(EvaluationError, match="says nothing of the cost") as error:
            model.score(["a"], ["b"])
    assert "exact_match" in error.value.fix


@pytest.mark.parametrize(
    ("reaction", "said"),
    [
        (Reaction({"choices": [{"text": "ab", "logprobs": None}]}), "no `logprobs`"),
        (Reaction({"choices": [{"text": " new", "logprobs": {"tokens": [" new"], "token_logprobs": [-1.0]}}]}), "not those of the text"),
        (Reaction({"error": "echo is not supported"}, status=501), "cannot score texts"),
    ],
    ids=["none", "of the answer only", "refused"],
)
def test_a_server_without_log_probabilities_is_told_from_a_broken_one(
    settings: Callable[..., EndpointConfig], reaction: Reaction, said: str
) -> None:
    with serve(lambda *_: reaction) as server, pytest.raises(EvaluationError, match=said) as error:
        EndpointModel.open(f"{server.address}#tiny", settings()).score(["a"], ["b"])
    assert "can still be measured" in error.value.fix


@pytest.mark.parametrize("cost", [None, float("nan"), float("-inf"), 0.5, "low"], ids=str)
def test_a_cost_that_is_no_number_is_asked_again_and_never_taken_as_zero(settings: Callable[..., EndpointConfig], cost: Any) -> None:
    broken = Reaction({"choices": [{"text": "ab", "logprobs": {"tokens": ["a", "b"], "token_logprobs": [None, cost]}}]})
    sound = Reaction({"choices": [{"text": "ab", "logprobs": {"tokens": ["a", "b"], "token_logprobs": [None, -1.5]}}]})
    reactions = [broken, sound]
    with serve(lambda *_: reactions.pop(0) if len(reactions) > 1 else reactions[0]) as server:
        assert EndpointModel.open(f"{server.address}#tiny", settings()).score(["a"], ["b"])[0].nats == 1.5
    with serve(lambda *_: broken) as server, pytest.raises(EndpointError, match="log-probability of a token is"):
        EndpointModel.open(f"{server.address}#tiny", settings()).score(["a"], ["b"])


@pytest.mark.parametrize(
    ("tokens", "offsets", "text", "starts"),
    [
        (["<s>", "ба", " ве"], None, "ба ве", [BEFORE, 0, 2]),
        (["▁ба", "▁ве"], None, "ба ве", [0, 2]),
        (["ба", "ве"], None, "ба ве", [0, 2]),
        (["�", "�", "а", " x"], None, "ба x", [0, 0, 1, 2]),
        (["�", "�", " x"], [0, 0, 1], "ल x", [0, 0, 1]),
        (["�", "�", " x", "y"], [0, 1, 2, 4], "ल x", [0, 0, 1, 3]),
        (["other"], [0], "text", None),
        ([], None, "text", None),
        (["te"], [0], "text", None),
    ],
)
def test_tokens_are_found_in_the_text_however_they_are_spelled(
    tokens: list[str], offsets: list[int] | None, text: str, starts: list[int] | None
) -> None:
    assert token_starts(tokens, offsets, text) == starts
