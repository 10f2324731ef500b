import math

import pytest
import torch
from tests.train.restarts import saved_between_steps

from rodna.core.errors import TrainError
from rodna.models.decoder import Decoder
from rodna.train.optim import build_optimizers, load_optimizer_tensors, optimizer_tensors, update
from rodna.train.schedule import learning_rate_factor, weight_decay_factor


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


def test_sqrt_decays_over_the_same_steps_fast_at_first(values):
    linear = values.model_copy(update={"steps": 1000, "decay_fraction": 0.4})
    sqrt = linear.model_copy(update={"schedule": "sqrt"})

    assert [learning_rate_factor(step, sqrt) for step in range(600)] == [learning_rate_factor(step, linear) for step in range(600)]
    assert learning_rate_factor(600, sqrt) < learning_rate_factor(600, linear) == 400 / 401
    for done in (0.1, 0.25, 0.5, 0.9):
        assert learning_rate_factor(600 + round(400 * done), sqrt) == pytest.approx(1 - math.sqrt(done), abs=0.005)
    assert 0 < learning_rate_factor(999, sqrt) < learning_rate_factor(998, sqrt) < 0.01


def test_weight_decay_stays_or_falls_to_nearly_zero(values):
    linear = values.model_copy(update={"weight_decay_schedule": "linear"})

    assert {weight_decay_factor(step, values) for step in range(12)} == {1.0}
    assert [weight_decay_factor(step, linear) for step in (0, 3, 6, 11)] == pytest.approx([1, 0.75, 0.5, 1 / 12])


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

    assert saved_between_steps(fresh)


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


def learn(decoder, optimizers, *, steps, factors=(1.0,), **settings):
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        for parameter in decoder.parameters():
            parameter.grad = torch.empty(parameter.shape).normal_(0, 1 + step, generator=generator)
        update(decoder, optimizers, factor=factors[step % len(factors)], clip_norm=0.0, **settings)


def test_adamw_can_be_that_of_the_hugging_face_trainer(model_config, values):
    untied = model_config.model_copy(update={"tied_embeddings": False})
    ours, theirs = Decoder(untied).initialize(seed=0), Decoder(untied).initialize(seed=0)
    recipe = values.model_copy(
        update={"optimizer": "adamw", "adam_betas": (0.9, 0.999), "adam_epsilon": 1e-8, "learning_rate": 3e-4, "weight_decay": 0.1,
                "embedding_weight_decay": 0.1},
    )  # fmt: skip
    decaying = [p for name, p in theirs.named_parameters() if "norm" not in name and "bias" not in name]
    others = [p for name, p in theirs.named_parameters() if "norm" in name or "bias" in name]
    trainer = torch.optim.AdamW(
        [{"params": decaying, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=3e-4, betas=(0.9, 0.999), eps=1e-8
    )
    learn(ours, build_optimizers(ours, recipe), steps=5)
    for step in range(5):
        generator = torch.Generator().manual_seed(step)
        for parameter in theirs.parameters():
            parameter.grad = torch.empty(parameter.shape).normal_(0, 1 + step, generator=generator)
        trainer.step()

    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, msg=lambda text, name=name: f"{name}: {text}")


def test_cautious_adamw_follows_the_plain_formula(model_config, values):
    decoder = Decoder(model_config).initialize(seed=0)
    recipe = values.model_copy(
        update={"optimizer": "adamw", "cautious_weight_decay": True, "weight_decay": 3.0, "embedding_weight_decay": 5.0}
    )
    names = dict(decoder.named_parameters())
    weights = {name: parameter.detach().double() for name, parameter in names.items()}
    first, second = ({name: torch.zeros_like(weight) for name, weight in weights.items()} for _ in range(2))
    factors = (1.0, 0.5)
    learn(decoder, build_optimizers(decoder, recipe), steps=6, factors=factors, decay_factor=0.7)
    for step in range(6):
        generator, lr = torch.Generator().manual_seed(step), 0.01 * factors[step % 2]
        for name, parameter in names.items():
            gradient = torch.empty(parameter.shape).normal_(0, 1 + step, generator=generator).double()
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.95 * second[name] + 0.05 * gradient**2
            step_by = first[name] / (1 - 0.9 ** (step + 1)) / ((second[name] / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8)
            strength = 0.0 if parameter.ndim < 2 else 0.7 * (3.0 if name.startswith("blocks.") else 5.0)
            weights[name] = weights[name] - lr * (step_by + strength * weights[name] * (step_by * weights[name] >= 0))

    for name, parameter in names.items():
        torch.testing.assert_close(parameter.detach().double(), weights[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_embeddings_decay_only_as_asked_and_vectors_never(model_config, values, optimizer):
    untied = model_config.model_copy(update={"tied_embeddings": False})
    changed = {}
    for strength in (0.0, 0.5):
        decoder = Decoder(untied).initialize(seed=0)
        recipe = values.model_copy(update={"optimizer": optimizer, "embedding_weight_decay": strength})
        learn(decoder, build_optimizers(decoder, recipe), steps=1)
        changed[strength] = dict(decoder.named_parameters())
    fresh = dict(Decoder(untied).initialize(seed=0).named_parameters())
    rate = values.learning_rate if optimizer == "adamw" else values.adam_learning_rate

    for name, plain in changed[0.0].items():
        expected = plain - rate * 0.5 * fresh[name] if name in ("embedding.weight", "head.weight") else plain
        torch.testing.assert_close(changed[0.5][name], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight_decay": 100.0}, r"weight_decay 100 times learning_rate 0.01 is 1,[\s\S]*train.weight_decay[\s\S]*far below 100"),
        ({"embedding_weight_decay": 400.0}, "embedding_weight_decay 400 times adam_learning_rate 0.003 is 1.2"),
        ({"embedding_weight_decay": 400.0, "optimizer": "adamw"}, "embedding_weight_decay 400 times learning_rate 0.01 is 4"),
    ],
)
def test_a_decay_that_leaves_nothing_of_a_weight_is_refused(model_config, values, changes, words):
    with pytest.raises(TrainError, match=words):
        build_optimizers(Decoder(model_config), values.model_copy(update=changes))


def test_a_parameter_that_had_no_gradient_yet_has_no_state_and_gets_one_later(model_config, values):
    decoder = Decoder(model_config).initialize(seed=0)
    optimizers = build_optimizers(decoder, values)
    for name, parameter in decoder.named_parameters():
        parameter.grad = None if name.startswith("blocks.1.") else torch.ones_like(parameter)
    update(decoder, optimizers, factor=1.0, clip_norm=1.0)
    saved = optimizer_tensors(decoder, optimizers)
    other = Decoder(model_config).initialize(seed=0)
    other_optimizers = build_optimizers(other, values)
    load_optimizer_tensors(other, other_optimizers, saved)
    learn(other, other_optimizers, steps=1)

    assert not any(name.startswith("blocks.1.") for name in saved)
    assert {name.rpartition(":")[0] for name in optimizer_tensors(other, other_optimizers)} == dict(other.named_parameters()).keys()
