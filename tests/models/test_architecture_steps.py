"""Architecture steps: each does what its formula says, starts as a plain decoder, and is exact in checkpoints and generation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tiny_models import CONFIGS, GROUPED, SHAPE, STEPS
from torch import Tensor

from rodna.core.errors import ModelError
from rodna.models import checkpoint
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder, Masking, soft_cap
from rodna.models.engine import Engine
from rodna.models.generate import Sampling, generate, stream
from rodna.tokenizer.tokenizer import Tokenizer

MakeDecoder = Callable[..., Decoder]


def tokens_of(config: ModelConfig, *, rows: int = 3, length: int = 12) -> Tensor:
    return torch.randint(0, config.vocabulary_size, (rows, length), generator=torch.Generator().manual_seed(5))


def rms(x: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weight


def spin(x_THW: Tensor) -> Tensor:
    """Rotate every head, position by position."""
    half = x_THW.shape[-1] // 2
    angles = torch.arange(x_THW.shape[0])[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    turned = torch.view_as_complex(torch.stack((x_THW[..., :half], x_THW[..., half:]), -1).contiguous())
    turned = turned * torch.polar(torch.ones(()), angles)[:, None]
    return torch.cat((turned.real, turned.imag), -1)


def slow_logits(decoder: Decoder, tokens_T: Tensor) -> Tensor:
    """One text through a model of Qwen3's shape with any steps, written down from the papers' formulas, a head at a time."""
    config, blocks = decoder.config, list(decoder.blocks)
    start = x = decoder.embedding.weight[tokens_T]
    outputs: dict[int, Tensor] = {}
    first: Tensor | None = None
    third, half = config.num_layers // 3, config.num_layers // 2
    order = [
        *range(third),
        *[*range(third, config.num_layers - third)] * config.layer_loops,
        *range(config.num_layers - third, config.num_layers),
    ]
    for index in order:
        block: Any = blocks[index]
        if config.unet_skips and index >= config.num_layers - half:
            x = x + block.skip_scale * outputs[config.num_layers - 1 - index]
        if config.residual_scalars:
            x = block.stream_scale * x + block.start_scale * start
        attention, normed = block.attention, rms(x, block.attention_norm.weight)
        heads = (len(tokens_T), -1, config.head_width)
        queries = spin(rms((normed @ attention.query.weight.T).view(heads), attention.query_norm.weight))
        keys = spin(rms((normed @ attention.key.weight.T).view(heads), attention.key_norm.weight))
        values = (normed @ attention.value.weight.T).view(heads)
        if config.value_residual == "embedding":
            gates = 2 / (1 + (-normed @ attention.start_gate.weight.T).exp())
            values = values + gates[..., None] * (rms(start) @ attention.start_value.weight.T).view(heads)
        if config.value_residual == "first_layer" and index > 0:
            values = attention.value_mix[0] * values + attention.value_mix[1] * first
        first = values if first is None else first
        found = []
        for head in range(config.num_heads):
            group = head * config.num_kv_heads // config.num_heads
            scores = queries[:, head] @ keys[:, group].T / config.head_width**0.5
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), float("-inf"))
            result = scores.softmax(-1) @ values[:, group]
            if config.attention_gates:
                result = result * (2 / (1 + (-normed @ attention.gate.weight[head]).exp()))[:, None]
            found.append(result)
        x = x + torch.cat(found, -1) @ attention.output.weight.T
        normed, ffn = rms(x, block.ffn_norm.weight), block.ffn
        inner = normed @ ffn.up.weight.T
        inner = inner.clamp_min(0) ** 2 if config.ffn == "relu2" else inner * F.silu(normed @ ffn.gate.weight.T)
        x = outputs[index] = x + inner @ ffn.down.weight.T
    logits = rms(x, decoder.norm.weight) @ decoder.head.weight.T
    return config.logit_softcap * (logits / config.logit_softcap).tanh() if config.logit_softcap else logits


OF_QWEN3 = [name for name, config in STEPS.items() if config.norm == "rms" and config.position == "rotary"]


@pytest.mark.parametrize("name", ["qwen3", *OF_QWEN3])
def test_a_step_computes_its_papers_formula(name: str, make_decoder: MakeDecoder) -> None:
    decoder = make_decoder((CONFIGS | STEPS)[name])
    tokens_BT = tokens_of(decoder.config)

    with torch.inference_mode():
        logits_BTV = decoder.logits(decoder(tokens_BT))
        expected = torch.stack([slow_logits(decoder, tokens_T) for tokens_T in tokens_BT])

    torch.testing.assert_close(logits_BTV, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["attention_gates", "residual_scalars"])
def test_a_fresh_model_with_a_neutral_step_is_the_plain_model(name: str) -> None:
    plain, stepped = Decoder(ModelConfig(**GROUPED)).initialize(seed=1), Decoder(STEPS[name]).initialize(seed=1)
    tokens_BT = tokens_of(plain.config)

    torch.testing.assert_close(stepped(tokens_BT), plain(tokens_BT))


@pytest.mark.parametrize("name", CONFIGS | STEPS)
def test_fresh_weights_are_the_same_for_the_same_seed(name: str) -> None:
    one, same, other = (Decoder((CONFIGS | STEPS)[name]).initialize(seed=seed).state_dict() for seed in (1, 1, 2))

    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["embedding.weight"], other["embedding.weight"])


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_of_no_family_and_its_parameters_are_counted(name: str) -> None:
    config = STEPS[name]
    decoder = Decoder(config)

    assert config.family is None
    assert sum(parameter.numel() for parameter in decoder.parameters()) == config.num_parameters
    matrices = sum(parameter.numel() for key, parameter in decoder.named_parameters() if parameter.ndim == 2 and key.startswith("blocks."))
    assert config.num_matmul_parameters == matrices + config.vocabulary_size * config.width


@pytest.mark.parametrize("name", STEPS)
def test_every_parameter_of_a_step_learns(name: str, make_decoder: MakeDecoder) -> None:
    decoder = make_decoder(STEPS[name])
    tokens_BT = tokens_of(decoder.config)

    F.cross_entropy(decoder.logits(decoder(tokens_BT)).flatten(0, 1), tokens_BT.roll(-1, 1).flatten()).backward()

    assert [key for key, parameter in decoder.named_parameters() if parameter.grad is None or not parameter.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("name", ["all-of-a-qwen3", "all-of-a-gpt2"])
def test_recomputed_activations_change_no_gradient(name: str, make_decoder: MakeDecoder) -> None:
    gradients = []
    for again in (False, True):
        decoder = make_decoder(STEPS[name].model_copy(update={"stochastic_depth": 0.5})).train()
        decoder.checkpoint_activations = again
        torch.manual_seed(3)
        decoder(tokens_of(decoder.config)).square().sum().backward()
        gradients.append({key: parameter.grad for key, parameter in decoder.named_parameters()})

    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("name", STEPS)
def test_a_model_of_no_family_comes_back_as_it_was_saved(
    name: str, make_decoder: MakeDecoder, tokenizer_folder: Path, tmp_path: Path
) -> None:
    saved = make_decoder(STEPS[name].model_copy(update={"dropout": 0.1, "stochastic_depth": 0.05}))
    checkpoint.save(tmp_path, saved, tokenizer_folder)

    loaded, _ = checkpoint.load(tmp_path)

    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "rodna"
    assert loaded.config == saved.config
    assert [key for key, _ in loaded.named_parameters()] == [key for key, _ in saved.named_parameters()]
    assert all(torch.equal(mine, dict(loaded.named_parameters())[key]) for key, mine in saved.named_parameters())
    assert torch.equal(loaded(tokens_of(loaded.config)), saved(tokens_of(saved.config)))


@pytest.fixture
def folder(make_decoder: MakeDecoder, tokenizer_folder: Path, tmp_path: Path) -> Path:
    checkpoint.save(tmp_path, make_decoder(STEPS["all-of-a-qwen3"]), tokenizer_folder)
    return tmp_path


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format_version": 2}, "format version 2, this rodna reads 1"),
        ({"format_version": None}, "format version None"),
        ({"width": 0, "colour": "red"}, r"width: .*; colour: "),
        ({"num_kv_heads": 3}, "num_heads 4 is not a multiple of num_kv_heads 3"),
    ],
)
def test_a_config_of_our_format_that_makes_no_sense_is_explained(folder: Path, change: dict[str, Any], problem: str) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | change))

    with pytest.raises(ModelError, match=problem) as caught:
        checkpoint.load_config(folder)
    assert str(folder / "config.json") in str(caught.value)


def test_a_model_whose_checkpoint_transformers_could_not_open_is_refused_before_training() -> None:
    checkpoint.check(STEPS["attention_gates"])
    with pytest.raises(ModelError, match="width 10, num_heads 4"):
        checkpoint.check(
            ModelConfig(vocabulary_size=9, width=10, num_layers=1, num_heads=4, num_kv_heads=4, head_width=4, ffn_width=8, qk_norm=False)
        )


@pytest.mark.parametrize("half", [False, True], ids=["float32", "float16"])
@pytest.mark.parametrize("name", STEPS)
def test_cached_scores_are_those_of_the_whole_text(name: str, half: bool, make_decoder: MakeDecoder) -> None:
    decoder = make_decoder(STEPS[name])
    tokens_BT = tokens_of(decoder.config, rows=2, length=20)
    with torch.inference_mode():
        expected_BTV = decoder.logits(decoder(tokens_BT))
    engine = Engine(decoder, num_tokens=decoder.config.vocabulary_size, num_slots=2, half=half)
    tolerance = 0.15 if half else 2e-3

    # Slot 0 begins with 5 tokens and slot 1 with 9: each row of a step is at a place of its own.
    torch.testing.assert_close(engine.start(tokens_BT[0, :5].tolist(), 0), expected_BTV[0, 4], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(engine.start(tokens_BT[1, :9].tolist(), 1), expected_BTV[1, 8], rtol=tolerance, atol=tolerance)
    for step in range(6):
        places = [5 + step, 9 + step]
        scores_BV = engine.step([int(tokens_BT[0, places[0]]), int(tokens_BT[1, places[1]])], places)
        torch.testing.assert_close(scores_BV, expected_BTV[[0, 1], places], rtol=tolerance, atol=tolerance)
    for place in range(11, 20):
        scores_1V = engine.step([int(tokens_BT[0, place])], [place])
        torch.testing.assert_close(scores_1V[0], expected_BTV[0, place], rtol=tolerance, atol=tolerance)


def test_a_model_with_every_step_writes_the_same_alone_and_in_a_batch(make_decoder: MakeDecoder, tokenizer: Tokenizer) -> None:
    decoder = make_decoder(STEPS["all-of-a-qwen3"])
    sampling, prompts = Sampling(temperature=0, top_p=1, max_tokens=60), ["", "Вільня", "ከተማ"]

    alone = ["".join(stream(decoder, tokenizer, prompt, sampling)) for prompt in prompts]

    assert generate(decoder, tokenizer, prompts, sampling) == alone


def test_capped_logits_keep_their_order_and_their_bound() -> None:
    logits = torch.tensor([-1e4, -3.0, 0.0, 0.01, 5.0])

    capped = soft_cap(logits, 2.0)

    assert capped.abs().max() <= 2
    assert bool((capped.diff() > 0).all())
    assert float(capped[3]) == pytest.approx(0.01, rel=1e-4)
    assert soft_cap(logits, 0.0) is logits


def depth_model(**changes: Any) -> Decoder:
    return Decoder(ModelConfig(**SHAPE | {"num_layers": 4} | changes)).initialize(seed=0).train()


def test_stochastic_depth_belongs_to_every_family_and_is_only_of_training() -> None:
    for config in CONFIGS.values():
        assert config.model_copy(update={"stochastic_depth": 0.3}).family == config.family
    plain, dropping = depth_model().eval(), depth_model(stochastic_depth=0.9).eval()
    tokens_BT = tokens_of(plain.config)

    assert torch.equal(plain(tokens_BT), dropping(tokens_BT))


def test_stochastic_depth_is_repeated_by_its_seed() -> None:
    decoder = depth_model(stochastic_depth=0.5)
    tokens_BT = tokens_of(decoder.config)

    def run(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return decoder(tokens_BT)

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))


def test_a_layers_chance_to_be_left_out_grows_linearly_with_depth_and_keeps_its_expectation() -> None:
    decoder = depth_model(stochastic_depth=0.4)
    torch.manual_seed(0)

    kept = decoder._kept(torch.zeros(20_000, 1, 1), decoder.config.layer_order)

    left_out = (kept == 0).float().mean((1, 2, 3, 4))
    torch.testing.assert_close(left_out, torch.tensor([0.1, 0.2, 0.3, 0.4]), rtol=0, atol=0.02)
    torch.testing.assert_close(kept.mean((1, 2, 3, 4)), torch.ones(4), rtol=0, atol=0.02)


def test_a_row_that_leaves_out_every_layer_is_its_embedding() -> None:
    decoder = depth_model(stochastic_depth=0.999, num_layers=1)
    tokens_BT = tokens_of(decoder.config, rows=50)
    torch.manual_seed(1)

    hidden_BTD = decoder(tokens_BT)

    bare = decoder.norm(decoder.embedding(tokens_BT))
    assert sum(torch.equal(row, untouched) for row, untouched in zip(hidden_BTD, bare, strict=True)) >= 48


def test_masked_rows_are_read_in_both_directions_and_causal_rows_as_ever(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder(CONFIGS["qwen3-tied-grouped"])
    tokens_BT = tokens_of(decoder.config, rows=2)
    masking = Masking(torch.zeros_like(tokens_BT).bool(), torch.tensor([False, True]), torch.ones(decoder.config.width))
    changed_BT = tokens_BT.clone()
    changed_BT[:, -1] = (changed_BT[:, -1] + 1) % decoder.config.vocabulary_size

    before, after = decoder(tokens_BT, masking=masking), decoder(changed_BT, masking=masking)

    torch.testing.assert_close(before[0], decoder(tokens_BT)[0])
    torch.testing.assert_close(before[0, :-1], after[0, :-1])
    assert bool((before[1] != after[1]).any(-1).all())


def test_a_hidden_token_is_not_seen(make_decoder: MakeDecoder) -> None:
    decoder = make_decoder(CONFIGS["gpt2"])
    tokens_BT = tokens_of(decoder.config, rows=1)
    hidden_BT = torch.zeros_like(tokens_BT).bool()
    hidden_BT[0, 4] = True
    masking = Masking(hidden_BT, torch.tensor([True]), torch.ones(decoder.config.width))
    changed_BT = tokens_BT.clone()
    changed_BT[0, 4] = (changed_BT[0, 4] + 1) % decoder.config.vocabulary_size

    assert torch.equal(decoder(tokens_BT, masking=masking), decoder(changed_BT, masking=masking))
