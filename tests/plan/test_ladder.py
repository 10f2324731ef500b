"""Which pilots are run: what fits the time, branches' cost, and what a repeated part is for."""

import math
from dataclasses import replace

import pytest

from rodna.core.errors import PlanError
from rodna.models.config import ModelConfig
from rodna.plan import rules
from rodna.plan.ladder import (
    LENGTHS,
    MIN_STEPS,
    batch_rows,
    ladder_for,
    law_pilots,
    learning_rates,
    part_for,
    pilot_models,
    pilot_shape,
    rate_pilot,
    relative_cost,
)  # fmt: skip
from rodna.plan.propose import Plan


def model_of(width: int, num_layers: int, **fields) -> ModelConfig:
    return ModelConfig.model_validate({**rules.shape(width, num_layers, {}), "vocabulary_size": 4096, **fields})


def target_of(model: ModelConfig, *, epochs: float = 7.0, tokens_seen: float = 3.6e6, **train) -> Plan:
    values = {"learning_rate": 0.01, "adam_learning_rate": 0.01, "batch_size": 16, "micro_batch_size": 8, "decay_fraction": 0.4,
              "optimizer": "muon", **train}  # fmt: skip
    return Plan(model, values, {"epochs": epochs, "tokens_seen": tokens_seen}, [], {})


def token_seconds(model: ModelConfig) -> float:
    return 4e-5 * (model.num_matmul_parameters / 4e5) ** 0.8


@pytest.fixture
def target() -> Plan:
    return target_of(model_of(192, 5, dropout=0.2))


def test_branches_cost_their_decay_only():
    assert relative_cost((1, 2, 4), 0.4) == pytest.approx(0.6 * 4 + 0.4 * 7)
    assert relative_cost((3,), 0.4) == 3
    assert relative_cost((1, 2), 1.0) == 3


def test_where_nothing_branches_a_pilot_pays_for_every_length(target):
    alone = replace(target, train=target.train | {"schedule": "cosine"})
    ladders = [ladder_for(plan, 518_000, 27_000, seconds=240, token_seconds=token_seconds, dropouts=(0.0,)) for plan in (target, alone)]
    for plan, ladder, own in zip((target, alone), ladders, (0.4, 1.0), strict=True):
        smallest = law_pilots(plan, ladder, rate_factor=1, batch_factor=1)[0]
        tokens = smallest.batch_size * smallest.model.context_length
        expected = ((1 - own) * max(smallest.lengths) + own * sum(smallest.lengths)) * tokens * ladder.token_seconds[0]
        assert smallest.seconds == pytest.approx(expected)
    assert ladders[1].length_tokens < ladders[0].length_tokens


def test_the_ladder_takes_about_the_time_it_is_given(target):
    ladder = ladder_for(target, 518_000, 27_000, seconds=240, token_seconds=token_seconds, dropouts=(0.0, 0.2))
    pilots = [*(rate_pilot(target, ladder, factor) for factor in range(6)), *law_pilots(target, ladder, rate_factor=1, batch_factor=1)]
    evaluations = (6 + 4 + 1 + 2 + 2 + 1 + 1) * 0.5 * 27_000 * ladder.token_seconds[0]

    assert sum(pilot.seconds for pilot in pilots) + evaluations == pytest.approx(240, rel=0.05)


def test_pilots_are_smaller_than_the_plan_and_of_three_sizes(target):
    sizes = [rules.block_parameters(model) for model in pilot_models(target.model)[0]]

    assert sizes == sorted(set(sizes))
    assert len(sizes) == 3
    assert sizes[-1] <= rules.block_parameters(target.model) / 2.5


def test_the_smallest_plan_has_three_pilots_too():
    sizes = [rules.block_parameters(model) for model in pilot_models(model_of(64, 3))[0]]

    assert len(set(sizes)) == 3


def test_less_time_means_smaller_pilots_and_then_none(target):
    large = target_of(model_of(640, 10))
    long, short = (
        ladder_for(large, 5_000_000, 27_000, seconds=seconds, token_seconds=token_seconds, dropouts=(0.0, 0.2)) for seconds in (20_000, 400)
    )

    assert long.models[-1].width > short.models[-1].width
    with pytest.raises(PlanError, match=f"{MIN_STEPS} are the least") as error:
        ladder_for(target, 518_000, 27_000, seconds=6, token_seconds=token_seconds, dropouts=(0.0, 0.2))
    assert error.value.where == "rodna plan fit --minutes 0.1"
    assert "minutes or more" in error.value.fix


def test_the_time_that_the_error_asks_for_is_enough(target):
    with pytest.raises(PlanError) as error:
        ladder_for(target, 518_000, 0, seconds=20, token_seconds=token_seconds, dropouts=(0.0, 0.2))
    minutes = float(error.value.fix.split()[2])

    assert ladder_for(target, 518_000, 0, seconds=60 * minutes, token_seconds=token_seconds, dropouts=(0.0, 0.2)).length_tokens > 0


def test_the_repeated_part_is_read_as_often_as_the_plan_reads_the_text(target):
    ladder = ladder_for(target, 518_000, 27_000, seconds=240, token_seconds=token_seconds, dropouts=(0.0, 0.2))
    pilots = {pilot.name: pilot for pilot in law_pilots(target, ladder, rate_factor=1, batch_factor=1)}
    for repeated in (pilots["repeated"], pilots["repeated-dropout"]):
        longest = max(repeated.lengths) * repeated.batch_size * repeated.model.context_length

        assert longest / (repeated.share * 518_000) == pytest.approx(7.0, rel=0.05)


def test_each_dropout_that_may_be_planned_is_tried_on_all_of_the_text_and_on_the_part(target):
    both, one = (
        law_pilots(target, ladder_for(target, 518_000, 27_000, seconds=240, token_seconds=token_seconds, dropouts=dropouts),
                   rate_factor=1, batch_factor=1)
        for dropouts in ((0.0, 0.2), (0.1,))
    )  # fmt: skip

    assert {(pilot.name, pilot.model.dropout) for pilot in both if pilot.share < 1} == {("repeated", 0.0), ("repeated-dropout", 0.2)}
    assert [pilot.name for pilot in both if pilot.share == 1 and pilot.model.dropout] == ["dropout"]
    assert [(pilot.name, pilot.model.dropout) for pilot in one[3:]] == [("repeated", 0.1)]
    assert {pilot.model.dropout for pilot in one} == {0.1}


@pytest.mark.parametrize(("epochs", "longest"), [(1.0, 1e5), (7.0, 4e6)])
def test_no_part_is_needed_where_nothing_is_repeated_or_the_pilots_read_enough(epochs, longest):
    assert part_for(target_of(model_of(96, 3), epochs=epochs), 518_000, longest) == 0.0


def test_a_pilot_keeps_everything_but_the_size():
    gpt2 = ModelConfig(
        vocabulary_size=512, width=256, num_layers=6, num_heads=4, num_kv_heads=4, head_width=64, ffn_width=1024, norm="layer",
        qk_norm=False, position="learned", ffn="gelu", attention_bias=True, ffn_bias=True, tied_embeddings=True, dropout=0.1,
        context_length=128,
    )  # fmt: skip
    pilot = pilot_shape(gpt2, 64, 3)

    assert (pilot.family, pilot.dropout, pilot.context_length) == ("gpt2", 0.1, 128)
    assert (pilot.width, pilot.num_layers, pilot.ffn_width) == (64, 3, 256)
    assert pilot_shape(model_of(192, 5), 96, 3).family == "qwen3"


def test_batches_shrink_with_the_root_of_the_length_but_not_below_the_rule(target):
    assert batch_rows(target, target.model, 3.6e6, 1.0) == 16
    assert batch_rows(target, target.model, 0.9e6, 1.0) == 8
    assert batch_rows(target, target.model, 1e3, 1.0) == rules.MIN_BATCH_TOKENS // 256
    assert batch_rows(target, target.model, 1e3, 0.5) == rules.MIN_BATCH_TOKENS // 512
    assert batch_rows(target_of(model_of(192, 5), batch_size=1), model_of(64, 3), 1e3, 0.5) == 1


def test_rates_are_carried_to_the_pilots_width_by_the_rule(target):
    ladder = ladder_for(target, 518_000, 27_000, seconds=240, token_seconds=token_seconds, dropouts=(0.0, 0.2))
    rates = learning_rates(target, rate_pilot(target, ladder, 2.0))
    expected = 2 * 0.01 * rules.learning_rate(ladder.models[0], optimizer="muon") / rules.learning_rate(target.model, optimizer="muon")

    assert rates == {"learning_rate": pytest.approx(expected), "adam_learning_rate": pytest.approx(expected)}
    assert expected > 2 * 0.01


def test_lengths_are_doublings_of_the_shortest(target):
    ladder = ladder_for(target, 518_000, 27_000, seconds=240, token_seconds=token_seconds, dropouts=(0.0, 0.2))
    for pilot, lengths in zip(law_pilots(target, ladder, rate_factor=1, batch_factor=1), LENGTHS, strict=False):
        assert [math.log2(steps / pilot.lengths[0]) for steps in pilot.lengths] == pytest.approx(
            [math.log2(n / lengths[0]) for n in lengths], abs=0.02
        )
