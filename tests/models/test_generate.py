"""Generation: what is chosen, when it stops, what is shown, and that the batch changes nothing."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_models import CONFIGS

from rodna.core.errors import ConfigError
from rodna.models.decoder import Decoder
from rodna.models.engine import Engine
from rodna.models.generate import Sampling, StopStrings, choose, generate, make_engine, stream
from rodna.tokenizer.tokenizer import Tokenizer

GREEDY = Sampling(temperature=0, top_p=1, max_tokens=30)
PROMPTS = ["", "a", "Добры дзень", "你好，世界", "ⵜⵉⴼⵉⵏⴰⵖ", "ከ", "é" * 200, "👩‍👩‍👧 \x00\u202e", "क्षि", "lone \ud800 surrogate"]


def draw(scores: list[float], sampling: Sampling, history: tuple[int, ...] = (), times: int = 300) -> list[int]:
    random = torch.Generator().manual_seed(1)
    return [choose(torch.tensor(scores), sampling, history, random) for _ in range(times)]


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_text_is_what_the_decoder_itself_finds_likeliest(
    name: str, make_decoder: Callable[..., Decoder], tokenizer: Tokenizer
) -> None:
    decoder = make_decoder(CONFIGS[name])
    tokens = tokenizer.encode("Вільня")
    expected = []
    with torch.inference_mode():
        for _ in range(30):
            token = int(decoder.logits(decoder(torch.tensor([tokens])))[0, -1].argmax())
            if token == tokenizer.end_of_text_id:
                break
            tokens.append(token)
            expected.append(token)

    assert generate(decoder, tokenizer, ["Вільня"], GREEDY) == [tokenizer.decode(expected)]


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_text_is_the_same_at_any_batch_size_and_streamed(
    name: str, make_decoder: Callable[..., Decoder], tokenizer: Tokenizer
) -> None:
    decoder = make_decoder(CONFIGS[name], seed=2)
    # Long enough that every text passes the end of the context, at its own moment.
    sampling = Sampling(temperature=0, top_p=1, max_tokens=70)

    alone = [generate(decoder, tokenizer, [prompt], sampling)[0] for prompt in PROMPTS]

    assert generate(decoder, tokenizer, PROMPTS, sampling, batch_size=3) == alone
    assert generate(decoder, tokenizer, PROMPTS, sampling, batch_size=20) == alone
    assert ["".join(stream(decoder, tokenizer, prompt, sampling)) for prompt in PROMPTS] == alone


def test_sampled_text_is_repeated_by_its_seed_and_changed_by_another(make_decoder: Callable[..., Decoder], tokenizer: Tokenizer) -> None:
    decoder = make_decoder(CONFIGS["qwen3"], noise=0.0)
    first, again, other = (
        generate(decoder, tokenizer, ["a", "a"], Sampling(temperature=1, seed=seed, max_tokens=40)) for seed in (1, 1, 9)
    )

    assert first == again != other
    assert first[0] != first[1]
    assert "".join(stream(decoder, tokenizer, "a", Sampling(temperature=1, seed=1, max_tokens=40))) == first[0]


def test_no_prompts_give_no_texts_and_no_tokens_give_empty_ones(make_decoder: Callable[..., Decoder], tokenizer: Tokenizer) -> None:
    decoder = make_decoder(CONFIGS["llama"])

    assert generate(decoder, tokenizer, [], GREEDY) == []
    assert generate(decoder, tokenizer, ["a", "b"], Sampling(max_tokens=0)) == ["", ""]
    assert list(stream(decoder, tokenizer, "a", Sampling(max_tokens=0))) == []


def decoder_that_writes(text: str, tokenizer: Tokenizer, make_decoder: Callable[..., Decoder]) -> Decoder:
    """Make a GPT-2 whose positions alone decide: after a one-token prompt it writes `text`, then ends."""
    config = CONFIGS["gpt2"].model_copy(update={"width": 512, "num_heads": 1, "num_kv_heads": 1, "head_width": 512, "context_length": 128})
    decoder = make_decoder(config, noise=0.0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.zero_()
        decoder.norm.weight.fill_(1)
        decoder.head.weight[:, : config.vocabulary_size] = torch.eye(config.vocabulary_size)
        assert decoder.positions is not None
        for position, token in enumerate([*tokenizer.encode(text), tokenizer.end_of_text_id]):
            decoder.positions.weight[position, token] = 5
    return decoder


def test_only_whole_characters_are_shown_and_the_end_of_the_text_ends_it(
    make_decoder: Callable[..., Decoder], tokenizer: Tokenizer
) -> None:
    decoder = decoder_that_writes("a你👩é", tokenizer, make_decoder)

    assert list(stream(decoder, tokenizer, "x", Sampling(temperature=0))) == ["a", "你", "👩", "é"]


def test_a_character_cut_off_by_the_length_limit_is_marked_not_lost(make_decoder: Callable[..., Decoder], tokenizer: Tokenizer) -> None:
    decoder = decoder_that_writes("你好", tokenizer, make_decoder)

    assert generate(decoder, tokenizer, ["x"], Sampling(temperature=0, max_tokens=4)) == ["你\ufffd"]


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (("世界",), "你好，"),
        (("界",), "你好，世"),
        (("好好", "，"), "你好"),
        (("你",), ""),
        (("nowhere",), "你好，世界！"),
        (("！？",), "你好，世界！"),
    ],
)
def test_text_ends_before_the_first_stop_string(
    stop: tuple[str, ...], expected: str, make_decoder: Callable[..., Decoder], tokenizer: Tokenizer
) -> None:
    decoder = decoder_that_writes("你好，世界！", tokenizer, make_decoder)
    sampling = Sampling(temperature=0, stop=stop)

    pieces = list(stream(decoder, tokenizer, "x", sampling))

    assert "".join(pieces) == expected == generate(decoder, tokenizer, ["x"], sampling)[0]
    assert all(pieces)


def test_no_part_of_a_stop_string_is_ever_shown() -> None:
    stops = StopStrings(["<|end|>", "\n\n"])

    shown = [stops.push(piece) for piece in ("ab<", "|e", "x<|", "end", "|>", "tail")]

    assert shown[:5] == [("ab", False), ("", False), ("<|ex", False), ("", False), ("", True)]


def test_what_was_held_back_for_a_stop_string_that_did_not_come_is_shown_at_the_end() -> None:
    stops = StopStrings(["stop"])

    assert [*stops.push("a st"), stops.flush()] == ["a ", False, "st"]


def test_a_padded_vocabulary_is_never_chosen_from(make_decoder: Callable[..., Decoder], tokenizer: Tokenizer) -> None:
    config = CONFIGS["gptj"].model_copy(update={"vocabulary_size": 320})
    decoder = make_decoder(config)
    assert decoder.head.bias is not None
    with torch.no_grad():
        decoder.head.bias[257:] = 100

    assert len(generate(decoder, tokenizer, ["a"], GREEDY)[0]) > 0


def test_an_engine_answers_many_prompts_without_laying_out_the_weights_again(
    make_decoder: Callable[..., Decoder], tokenizer: Tokenizer
) -> None:
    decoder = make_decoder(CONFIGS["qwen3-tied-grouped"])
    engine = make_engine(decoder, tokenizer, num_slots=2)

    texts = [generate(engine, tokenizer, ["a", "b", "c"], GREEDY), ["".join(stream(engine, tokenizer, text, GREEDY)) for text in "abc"]]

    assert texts[0] == texts[1] == generate(decoder, tokenizer, ["a", "b", "c"], GREEDY)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 0.1)])
def test_the_engine_gives_the_decoders_scores(
    name: str, dtype: torch.dtype, tolerance: float, make_decoder: Callable[..., Decoder]
) -> None:
    decoder = make_decoder(CONFIGS[name], noise=0.05).to(dtype)
    tokens = torch.randint(0, 257, (1, 30), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        expected_TV = decoder.float().logits(decoder(tokens))[0]
    engine = Engine(decoder.to(dtype), num_tokens=257, num_slots=2)
    ids = tokens[0].tolist()

    scores = [engine.start(ids[:20], 0)] + [engine.step([ids[place]], [place])[0] for place in range(20, 25)]
    engine.start(ids[:3], 1)
    pair_BV = engine.step([ids[25], ids[3]], [25, 3])

    assert (torch.stack(scores) - expected_TV[19:25]).abs().max() < tolerance
    assert (pair_BV - expected_TV[[25, 3]]).abs().max() < tolerance


@pytest.mark.parametrize("name", CONFIGS)
def test_matrices_kept_in_float16_change_the_scores_by_little(name: str, make_decoder: Callable[..., Decoder]) -> None:
    decoder = make_decoder(CONFIGS[name], noise=0.05)
    ids = list(range(60, 80))
    exact, half = (Engine(decoder, num_tokens=257, num_slots=2, half=kept) for kept in (False, True))

    pairs = [(engine.start(ids), engine.step([7], [20])[0], engine.step([8, 9], [21, 0])[0]) for engine in (exact, half)]

    for mine, rounded in zip(*pairs, strict=True):
        assert (mine - rounded).abs().max() < 0.01
        assert rounded.dtype == torch.float32


def test_temperature_zero_takes_the_likeliest_and_a_tiny_one_does_not_overflow() -> None:
    assert set(draw([1.0, 3.0, 2.0], Sampling(temperature=0))) == {1}
    assert set(draw([1.0, 3.0, 2.0], Sampling(temperature=1e-300))) == {1}


def test_draws_follow_the_softmax_of_the_scores() -> None:
    drawn = draw([0.0, math.log(3)], Sampling(temperature=1, top_p=1), times=4000)

    assert abs(sum(drawn) / 4000 - 0.75) < 0.03


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"top_k": 2}, {1, 3}),
        ({"top_k": 99}, {0, 1, 2, 3}),
        ({"top_p": 0.65}, {1, 3}),
        ({"top_p": 1e-9}, {3}),
        ({"top_k": 3, "top_p": 0.5}, {3, 1}),
        ({"min_p": 0.5}, {1, 3}),
        ({"min_p": 1.0}, {3}),
        ({}, {0, 1, 2, 3}),
    ],
)
def test_only_candidates_that_pass_the_filters_are_drawn(settings: dict[str, Any], kept: set[int]) -> None:
    scores = [math.log(value) for value in (0.15, 0.3, 0.15, 0.4)]

    assert set(draw(scores, Sampling(**{"temperature": 1, "top_p": 1} | settings))) == kept


def test_a_repetition_penalty_makes_what_was_written_less_likely_whatever_its_sign() -> None:
    assert draw([2.0, 1.5], Sampling(temperature=0, repetition_penalty=2), history=(0, 0), times=1) == [1]
    assert draw([-1.0, -1.5], Sampling(temperature=0, repetition_penalty=2), history=(0,), times=1) == [1]


def test_every_impossible_setting_is_named_at_once() -> None:
    values: dict[str, Any] = {
        "temperature": -1, "top_k": -2, "top_p": 0, "min_p": 1.5, "repetition_penalty": 0, "seed": -1, "max_tokens": 1.5, "stop": [""],
    }  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        Sampling(**values)

    message = str(caught.value)
    assert "8 sampling settings cannot be" in message
    for name in values:
        assert f"{name} is" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "warm", None, True])
def test_a_setting_that_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"1 sampling setting cannot be: temperature is"):
        Sampling(temperature=value)


def test_stop_strings_may_come_as_a_list() -> None:
    assert Sampling(stop=["a", "b"]).stop == ("a", "b")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="stop is 'abc'; it must be a list of strings"):
        Sampling(stop="abc")  # type: ignore[arg-type]
