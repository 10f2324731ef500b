import pytest
import torch

from rodna.core.errors import TrainError
from rodna.models.decoder import Decoder
from rodna.train.optim import build_optimizers, load_optimizer_tensors, optimizer_tensors, update
from rodna.train.schedule import learning_rate_factor


def test_warmup_stable_decay_rises_stays_and_falls_towards_zero(values):
    factors = [learning_rate_factor(step, values) for step in range(12)]

    assert factors[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert factors[3:6] == [1, 1, 1]
    assert factors[6:] == pytest.approx([1.0, 5 / 7, 4 / 7, 3 / 7, 2 / 7, 1 / 7], abs=0.15)
    assert factors[5:] == sorted(factors[5:], reverse=True)
    assert 0 < factors[-1] < 0.2


def test_cosine_ends_near_a_tenth(values):
    cosine = values.model_copy(update={"schedule": "cosine", "steps": 1000})

    assert learning_rate_factor(2, cosine) == 1
    assert learning_rate_factor(501, cosine) == pytest.approx(0.55, abs=0.01)
    assert learning_rate_factor(999, cosine) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("optimizer", ["muon", "normuon", "adamw"])
def test_every_parameter_is_updated_by_exactly_one_optimizer(model_config, values, optimizer):
    decoder = Decoder(model_config).initialize(seed=0)
    optimizers = build_optimizers(decoder, values.model_copy(update={"optimizer": optimizer}))
    owned = [parameter for one in optimizers for group in one.param_groups for parameter in group["params"]]

    assert len(owned) == len(set(owned)) == len(list(decoder.parameters()))


def test_muon_takes_the_matrices_of_the_blocks_and_only_they_decay(model_config, values):
    decoder = Decoder(model_config).initialize(seed=0)
    muon, adamw = build_optimizers(decoder, values)

    assert {tuple(p.shape) for p in muon.param_groups[0]["params"]} == {(32, 32), (16, 32), (48, 32), (32, 48)}
    assert muon.param_groups[0]["weight_decay"] == 0.1
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.0, 0.0]
    assert decoder.embedding.weight in set(adamw.param_groups[0]["params"])


@pytest.mark.parametrize("optimizer", ["muon", "normuon", "adamw"])
def test_optimizer_state_survives_a_restart_to_the_bit(model_config, values, optimizer):
    values = values.model_copy(update={"optimizer": optimizer})

    def fresh():
        decoder = Decoder(model_config).initialize(seed=0)
        return decoder, build_optimizers(decoder, values)

    def step(decoder, optimizers, seed):
        torch.manual_seed(seed)
        for parameter in decoder.parameters():
            parameter.grad = torch.randn_like(parameter)
        update(decoder, optimizers, factor=0.5, clip_norm=1.0)

    decoder, optimizers = fresh()
    step(decoder, optimizers, 1)
    saved, weights = {k: v.clone() for k, v in optimizer_tensors(decoder, optimizers).items()}, decoder.state_dict()
    other, other_optimizers = fresh()
    other.load_state_dict(weights)
    load_optimizer_tensors(other, other_optimizers, saved)
    step(decoder, optimizers, 2)
    step(other, other_optimizers, 2)

    for mine, theirs in zip(decoder.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_state_of_another_model_is_refused(model_config, values):
    decoder = Decoder(model_config)

    with pytest.raises(TrainError, match="of another model"):
        load_optimizer_tensors(decoder, build_optimizers(decoder, values), {"blocks.9.x:exp_avg": torch.zeros(1)})


def test_update_returns_the_norm_before_clipping(model_config, values):
    decoder = Decoder(model_config).initialize(seed=0)
    for parameter in decoder.parameters():
        parameter.grad = torch.ones_like(parameter)
    count = sum(parameter.numel() for parameter in decoder.parameters())

    norm = update(decoder, build_optimizers(decoder, values), factor=1.0, clip_norm=1.0)

    assert float(norm) == pytest.approx(count**0.5)
    assert all(parameter.grad is None for parameter in decoder.parameters())
