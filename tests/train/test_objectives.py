import math

import pytest
import torch
import torch.nn.functional as F

from rodna.data.batches import IGNORE, Batch
from rodna.models.decoder import Decoder
from rodna.train import objectives
from rodna.train.objectives import linear_cross_entropy, next_token


@pytest.fixture(params=[True, False], ids=["with bias", "without bias"])
def problem(request):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(23, 8, generator=generator, requires_grad=True)
    weight = torch.randn(50, 8, generator=generator, requires_grad=True)
    bias = torch.randn(50, generator=generator, requires_grad=True) if request.param else None
    targets = torch.randint(50, (23,), generator=generator)
    targets[3] = IGNORE
    return features, weight, bias, targets


def test_chunked_loss_and_gradients_are_those_of_plain_cross_entropy(problem, monkeypatch):
    features, weight, bias, targets = problem
    parameters = [tensor for tensor in (features, weight, bias) if tensor is not None]
    plain = F.cross_entropy(F.linear(features, weight, bias), targets, reduction="sum", ignore_index=IGNORE)
    expected = torch.autograd.grad(plain / 7, parameters)
    monkeypatch.setitem(objectives.LOSS_CHUNK_TOKENS, "cpu", 5)

    ours = linear_cross_entropy(features, weight, bias, targets)
    gradients = torch.autograd.grad(ours / 7, parameters)

    torch.testing.assert_close(ours, plain)
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)


def test_an_extreme_logit_does_not_overflow():
    features, weight = torch.full((1, 4), 1e3), torch.eye(4)

    nats = float(linear_cross_entropy(features, weight, None, torch.tensor([2])))

    assert nats == pytest.approx(math.log(4), abs=1e-4)


def test_next_token_sums_nats_and_counts_only_scored_targets(model_config):
    decoder = Decoder(model_config).initialize(seed=0).eval()
    tokens = torch.arange(34).reshape(2, 17)
    targets = tokens[:, 1:].clone()
    targets[0, :5] = IGNORE

    nats, num_scored, _ = next_token(
        decoder, Batch(tokens[:, :-1], targets, torch.zeros_like(targets), torch.arange(len(targets))), compute_dtype=torch.float32
    )

    logits = decoder.logits(decoder(tokens[:, :-1]))
    assert num_scored == 27
    torch.testing.assert_close(nats, F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum", ignore_index=IGNORE))


def test_bfloat16_features_give_a_loss_near_that_of_float32():
    generator = torch.Generator().manual_seed(1)
    features, weight = torch.randn(64, 32, generator=generator), torch.randn(100, 32, generator=generator) * 0.1
    targets = torch.randint(100, (64,), generator=generator)

    exact = linear_cross_entropy(features, weight, None, targets)
    rough = linear_cross_entropy(features.bfloat16(), weight, None, targets)

    assert rough.dtype is torch.float32
    assert float(rough) == pytest.approx(float(exact), rel=5e-3)
