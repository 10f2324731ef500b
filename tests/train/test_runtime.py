import dataclasses
import mmap

import pytest
import torch

from rodna.models.decoder import Decoder
from rodna.plan.hardware import describe_machine
from rodna.plan.speed import will_compile
from rodna.train import objectives
from rodna.train.objectives import linear_cross_entropy
from rodna.train.runtime import PeakMemory, compile_decoder, compute_dtype, eager, prepare, undo_compilation


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


def test_peak_memory_sees_a_block_that_is_gone(machine):
    device = prepare(machine)
    peak = PeakMemory(device)
    before = peak.read()
    # Not from the allocator, which may have as much to spare already.
    with mmap.mmap(-1, 200_000_000) as block:
        block.write(b"x" * 200_000_000)

    assert peak.read() - before > 150_000_000
