import pytest
import torch

from rodna.core.errors import TrainError
from rodna.models.decoder import Decoder
from rodna.train.averaging import WeightAverage, newest_share

STEPS = 12


@pytest.fixture
def decoder(model_config):
    return Decoder(model_config).initialize(seed=0)


@pytest.fixture
def wander(decoder):
    """Change the decoder's weights step by step while an average looks on; return the weights after each step."""

    def go(average: WeightAverage, *, steps: int = STEPS, first: int = 1) -> list[dict[str, torch.Tensor]]:
        seen = []
        for step in range(first, steps + 1):
            generator = torch.Generator().manual_seed(step)
            with torch.no_grad():
                for parameter in decoder.parameters():
                    parameter.add_(torch.empty(parameter.shape).normal_(0, 0.1, generator=generator))
            average.include(step)
            seen.append({name: parameter.detach().clone() for name, parameter in decoder.named_parameters()})
        return seen

    return go


def settings(values, averaging, fraction, steps=STEPS):
    return values.model_copy(update={"averaging": averaging, "averaging_fraction": fraction, "steps": steps})


def ages(values) -> torch.Tensor:
    """Return the share in the final average of the weights of each step, the newest first, as `newest_share` implies it."""
    shares, left = [], 1.0
    for step in range(values.steps, 0, -1):
        shares.append(left * newest_share(step, values))
        left *= 1 - newest_share(step, values)
    return torch.tensor(shares, dtype=torch.float64)


def test_swa_is_the_plain_mean_of_the_last_steps(decoder, wander, values):
    average = WeightAverage(decoder, settings(values, "swa", 0.4))
    seen = wander(average)

    for name, averaged in average.tensors.items():
        expected = torch.stack([weights[name].double() for weights in seen[-5:]]).mean(0)
        torch.testing.assert_close(averaged.double(), expected, rtol=1e-6, atol=1e-6)
        assert averaged.dtype is torch.float32
    assert average.tensors.keys() == seen[0].keys()


def test_swa_keeps_nothing_before_its_window(decoder, wander, values):
    average = WeightAverage(decoder, settings(values, "swa", 0.4))
    wander(average, steps=7)
    assert not average.tensors
    assert not average.differs(7)

    wander(average, first=8, steps=9)
    assert average.tensors
    assert average.differs(9)


def test_ema_weighs_each_step_by_its_age(decoder, wander, values):
    average = WeightAverage(decoder, settings(values, "ema", 0.5))
    seen = wander(average)

    decay = (6 - 1) / (6 + 1)
    weights = torch.tensor([decay**age for age in range(STEPS - 1, -1, -1)], dtype=torch.float64)
    for name, averaged in average.tensors.items():
        expected = sum(weight * one[name].double() for weight, one in zip(weights / weights.sum(), seen, strict=True))
        torch.testing.assert_close(averaged.double(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", [100, 1000, 10_000])
def test_a_fraction_means_the_same_mean_age_for_both_kinds_at_any_length(values, steps):
    for averaging in ("swa", "ema"):
        shares = ages(settings(values, averaging, 0.1, steps))
        assert float(shares.sum()) == pytest.approx(1)
        mean_age = float((shares * torch.arange(steps)).sum())
        assert mean_age / steps == pytest.approx(0.05, rel=0.11)


def test_without_averaging_the_average_is_the_raw_weights(decoder, wander, values):
    average = WeightAverage(decoder, values)
    seen = wander(average)
    with average.in_place():
        inside = {name: parameter.detach().clone() for name, parameter in decoder.named_parameters()}

    assert not average.tensors
    assert all(torch.equal(inside[name], seen[-1][name]) for name in inside)


@pytest.mark.parametrize("averaging", ["swa", "ema"])
def test_the_decoder_lends_its_place_and_gets_its_own_weights_back_to_the_bit(decoder, wander, values, averaging):
    average = WeightAverage(decoder, settings(values, averaging, 0.5))
    raw = wander(average)[-1]
    averaged = {name: tensor.clone() for name, tensor in average.tensors.items()}
    with average.in_place():
        assert all(torch.equal(parameter, averaged[name]) for name, parameter in decoder.named_parameters())
        assert not torch.equal(decoder.embedding.weight, raw["embedding.weight"])
        assert decoder.head.weight is decoder.embedding.weight

    assert all(torch.equal(parameter, raw[name]) for name, parameter in decoder.named_parameters())
    assert all(torch.equal(average.tensors[name], averaged[name]) for name in averaged)


def test_weights_come_back_when_the_evaluation_fails(decoder, wander, values):
    average = WeightAverage(decoder, settings(values, "ema", 0.5))
    raw = wander(average)[-1]
    with pytest.raises(ZeroDivisionError), average.in_place():
        raise ZeroDivisionError

    assert all(torch.equal(parameter, raw[name]) for name, parameter in decoder.named_parameters())


def test_a_missing_average_is_an_error_where_one_must_be(decoder, values):
    chosen = settings(values, "ema", 0.5)

    with pytest.raises(TrainError, match=r"the saved average of the weights is missing[\s\S]*in a new folder"):
        WeightAverage(decoder, chosen, step=3, tensors={})
    with pytest.raises(TrainError, match="of another model"):
        WeightAverage(decoder, chosen, step=3, tensors={"embedding.weight": torch.zeros(2, 2)})
