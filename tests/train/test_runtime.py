import dataclasses
import mmap

import pytest
import torch
from tests.train.conftest import text_tokens

from rodna.core.errors import TrainError
from rodna.data.curriculum import make_batches
from rodna.models.decoder import Decoder
from rodna.plan.hardware import describe_machine
from rodna.plan.speed import will_compile
from rodna.train import objectives
from rodna.train.loop import first_micro_batch, learn_batch
from rodna.train.objectives import linear_cross_entropy, next_token
from rodna.train.runtime import PeakMemory, compile_decoder, compute_dtype, eager, kinds_of_layers, prepare, undo_compilation
from rodna.train.several_targets import build_objective


@pytest.fixture
def machine():
    return describe_machine("cpu")


@pytest.mark.parametrize(("bf16", "precision", "expected"), [
    ("none", "auto", torch.float32), ("amx", "auto", torch.bfloat16), ("amx", "fp32", torch.float32), ("none", "bf16", torch.bfloat16),
])  # fmt: skip
def test_bfloat16_is_used_where_the_machine_has_it(machine, values, bf16, precision, expected):
    machine = dataclasses.replace(machine, bf16=bf16)

    assert compute_dtype(machine, values.model_copy(update={"precision": precision})) is expected


@pytest.mark.parametrize(("mode", "compiler", "seconds", "expected"), [
    ("auto", "g++", 1000, True), ("auto", "g++", 10, False), ("auto", "", 1000, False), ("off", "g++", 1000, False), ("on", "", 10, True),
])  # fmt: skip
def test_compiling_must_pay(machine, mode, compiler, seconds, expected):
    machine = dataclasses.replace(machine, compiler=compiler)

    assert will_compile(machine, {"compile": mode}, seconds=seconds) is expected


def test_where_compiling_fails_training_goes_on_without_it(model_config, monkeypatch, capfd):
    def no_compiler(*_, **__):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", no_compiler)
    decoder = Decoder(model_config).initialize(seed=0)
    tokens = torch.arange(32).reshape(2, 16)

    assert not compile_decoder(decoder, tokens, dtype=torch.float32)
    assert "torch.compile does not work here, going on without it: no C++ compiler" in capfd.readouterr().err
    assert decoder(tokens).shape == (2, 16, 32)
    assert all(parameter.grad is None for parameter in decoder.parameters())


def is_plain(decoder):
    return objectives.score is objectives.score_and_differentiate and all(block._compiled_call_impl is None for block in decoder.blocks)


def test_an_objective_that_fails_once_compiled_is_learned_without(model_config, capfd):
    decoder, tokens = Decoder(model_config).initialize(seed=0), torch.arange(32).reshape(2, 16)

    def fails_compiled(decoder, batch, *, compute_dtype):
        if not is_plain(decoder):
            raise RuntimeError("no kernel for this objective")
        return next_token(decoder, batch, compute_dtype=compute_dtype)

    assert not compile_decoder(decoder, tokens, dtype=torch.float32, objective=fails_compiled)
    assert "going on without it: no kernel for this objective" in capfd.readouterr().err
    assert is_plain(decoder)


def test_where_one_file_a_graph_does_not_compile_a_file_a_kernel_is_tried(model_config, monkeypatch, capfd):
    import torch._inductor.config as inductor

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    decoder, tokens, tried = Decoder(model_config).initialize(seed=0), torch.arange(32).reshape(2, 16), []

    def fails_at_first(decoder, batch, *, compute_dtype):
        tried.append((inductor.cpp_wrapper, inductor.cpp.vec_isa_ok))
        if inductor.cpp_wrapper:
            raise RuntimeError("no header for that")
        return next_token(decoder, batch, compute_dtype=compute_dtype)

    try:
        assert compile_decoder(decoder, tokens, dtype=torch.float32, objective=fails_at_first)
    finally:
        undo_compilation(decoder)
    assert tried == [(True, True), (False, None)]
    assert capfd.readouterr().err == ""
    assert all(parameter.grad is None for parameter in decoder.parameters())


def test_an_objective_that_refuses_what_it_is_given_says_so_itself(model_config, capfd):
    decoder, tokens = Decoder(model_config).initialize(seed=0), torch.arange(32).reshape(2, 16)

    def refuses(decoder, batch, *, compute_dtype):
        raise TrainError("another vocabulary", fix="use one tokenizer")

    with pytest.raises(TrainError, match="another vocabulary"):
        compile_decoder(decoder, tokens, dtype=torch.float32, objective=refuses)
    assert capfd.readouterr().err == ""
    assert is_plain(decoder)


@pytest.mark.parametrize(("changes", "expected"), [
    ({"num_layers": 6}, 1), ({"num_layers": 6, "unet_skips": True}, 2), ({"num_layers": 6, "layer_loops": 3}, 1),
    ({"num_layers": 6, "value_residual": "first_layer"}, 2), ({"num_layers": 6, "value_residual": "first_layer", "unet_skips": True}, 3),
    ({"num_layers": 1, "value_residual": "first_layer", "layer_loops": 2}, 2),
])  # fmt: skip
def test_layers_that_see_different_things_are_different_kinds(model_config, changes, expected):
    assert kinds_of_layers(model_config.model_copy(update=changes)) == expected


@pytest.mark.slow
def test_no_shape_of_a_growing_context_is_left_to_plain_execution(model_config, machine, values):
    if not machine.compiler:
        pytest.skip("no C++ compiler here")
    config = model_config.model_copy(update={"num_layers": 6, "unet_skips": True, "value_residual": "first_layer", "stochastic_depth": 0.2})
    values = values.model_copy(update={"masked_share": 0.5, "curriculum": "context_grows", "micro_batch_size": 3})
    decoder, objective = Decoder(config).initialize(seed=0), build_objective(values, Decoder(config))
    batches = make_batches(text_tokens(40, seed=1), values, config.context_length)
    first = first_micro_batch(batches.batch(0), values, torch.device("cpu"))
    torch._dynamo.utils.counters.clear()
    try:
        assert compile_decoder(decoder, first, dtype=torch.float32, objective=objective, row_lengths=3)
        for step in (0, 4, 11):
            learn_batch(
                decoder, batches.batch(step), values, device=torch.device("cpu"), step=step, dtype=torch.float32, objective=objective
            )
    finally:
        undo_compilation(decoder)
    # Three kinds of layers, three lengths, two counts of rows: each has code of its own, and none was given up.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 3 * 3 * 2
    assert torch._dynamo.utils.counters["frames"]["total"] == torch._dynamo.utils.counters["frames"]["ok"]


@pytest.mark.slow
@pytest.mark.parametrize("num_kv_heads", [1, 2])
def test_compiled_and_plain_execution_agree(model_config, machine, num_kv_heads):
    if not machine.compiler:
        pytest.skip("no C++ compiler here")
    config = model_config.model_copy(update={"dropout": 0.0, "num_kv_heads": num_kv_heads})
    tokens = torch.arange(32).reshape(2, 16)

    def gradients(decoder):
        hidden = decoder(tokens)
        loss = linear_cross_entropy(hidden.flatten(0, 1), decoder.head.weight, None, tokens.flatten())
        return [loss, *torch.autograd.grad(loss, list(decoder.parameters()))]

    plain = gradients(Decoder(config).initialize(seed=0))
    decoder = Decoder(config).initialize(seed=0)
    assert compile_decoder(decoder, tokens, dtype=torch.float32)
    try:
        torch.testing.assert_close(gradients(decoder), plain, rtol=1e-4, atol=1e-5)
        with eager():
            assert decoder(tokens[:1, :7]).shape == (1, 7, 32)
    finally:
        undo_compilation(decoder)
    assert objectives.score is objectives.score_and_differentiate


@pytest.mark.parametrize(("asked", "expected"), [("", 2), ("1", 1)])
def test_threads_are_as_many_as_cores_unless_the_user_says_how_many(machine, monkeypatch, asked, expected):
    monkeypatch.setattr("rodna.train.runtime.usable_cores", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        prepare(machine)
        assert torch.get_num_threads() == expected
    finally:
        torch.set_num_threads(before)


def test_peak_memory_sees_a_block_that_is_gone(machine):
    device = prepare(machine)
    peak = PeakMemory(device)
    before = peak.read()
    # Not from the allocator, which may have as much to spare already.
    with mmap.mmap(-1, 200_000_000) as block:
        block.write(b"x" * 200_000_000)

    assert peak.read() - before > 150_000_000
