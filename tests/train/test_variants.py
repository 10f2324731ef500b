"""What each member and the student are, worked out from one plan."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from rodna.core.config import validate
from rodna.core.errors import ConfigError, ModelError
from rodna.models.config import ModelConfig
from rodna.plan import rules
from rodna.plan.flops import flops_per_token
from rodna.plan.propose import Plan
from rodna.train.config import TrainValues
from rodna.train.ensemble_config import EnsembleConfig, Variant
from rodna.train.session import Job
from rodna.train.variants import job_of, member_jobs, student_job, time_of_student, untaught

TRAIN_TOKENS = 6400
ALL_PLANNED = dict.fromkeys(
    ("steps", "batch_size", "micro_batch_size", "learning_rate", "adam_learning_rate", "weight_decay", "warmup_steps", "evaluations"),
    "planned",
)


FREE = dict.fromkeys(("preset", "width", "num_layers", "num_heads", "num_kv_heads", "head_width", "ffn_width", "dropout"), "planned")


@pytest.fixture
def plan(values: TrainValues) -> Plan:
    model = ModelConfig(vocabulary_size=259, width=48, num_layers=4, num_heads=3, num_kv_heads=3, head_width=16, ffn_width=128,
                        context_length=64, dropout=0.1)  # fmt: skip
    train = values.model_dump() | {"steps": 100, "batch_size": 8, "micro_batch_size": 4, "warmup_steps": 10, "evaluations": 5, "seed": 7}
    return Plan(model, train, {}, [], {})


def members(plan: Plan, shaped: Mapping[str, Any] = FREE, **settings: Any) -> list[Job]:
    return member_jobs(EnsembleConfig.model_validate(settings), plan, ALL_PLANNED, shaped, num_tokens=TRAIN_TOKENS)


def job(plan: Plan, given: Mapping[str, Any] = ALL_PLANNED, *, pace: float = 1.0, **variant: Any) -> Job:
    return job_of(Variant.model_validate(variant), plan, given, num_tokens=TRAIN_TOKENS, order_seed=7, where="distill.student", pace=pace)


def test_members_are_the_plan_with_other_seeds_and_orders(plan: Plan):
    jobs = members(plan, members=3)

    assert [job.values.seed for job in jobs] == [7, 8, 9]
    assert [job.order_seed for job in jobs] == [7, 8, 9]
    assert {job.model for job in jobs} == {plan.model}
    assert jobs[0].values == TrainValues.model_validate(plan.train)


def test_overrides_take_every_step_of_the_architecture_and_other_heads(plan: Plan):
    steps = {"attention_gates": True, "value_residual": "embedding", "unet_skips": True, "residual_scalars": True, "logit_softcap": 15.0,
             "layer_loops": 2, "stochastic_depth": 0.1, "ffn": "relu2", "norm": "layer", "qk_norm": False}  # fmt: skip
    first, second = members(plan, members=2, overrides=[{"model": steps}, {"model": {"head_width": 8, "num_heads": 6, "num_kv_heads": 6}}])

    assert {name: getattr(first.model, name) for name in steps} == steps
    assert first.model.family is None
    assert second.model.rotary_width == 8
    assert second.model.family == "qwen3"


@pytest.mark.parametrize(("vary", "seeds", "orders", "dropouts"), [
    (["seed"], [7, 8, 9], [7, 7, 7], [0.1, 0.1, 0.1]), (["order"], [7, 7, 7], [7, 8, 9], [0.1, 0.1, 0.1]),
    (["dropout"], [7, 7, 7], [7, 7, 7], [0.1, 0.15, 0.2]),
])  # fmt: skip
def test_members_differ_in_what_vary_names_and_in_nothing_else(plan: Plan, vary, seeds, orders, dropouts):
    jobs = members(plan, members=3, vary=vary)

    assert [job.values.seed for job in jobs] == seeds
    assert [job.order_seed for job in jobs] == orders
    assert [job.model.dropout for job in jobs] == pytest.approx(dropouts)


def test_members_of_other_architectures_are_deeper_and_wider_and_about_as_large(plan: Plan):
    planned, deep, wide = members(plan, members=3, vary=["architecture"])

    assert planned.model == plan.model
    assert (deep.model.num_layers, deep.model.width) == (6, 32)
    assert (wide.model.num_layers, wide.model.width) == (3, 64)
    for other in (deep, wide):
        assert other.model.family == plan.model.family
        assert 0.6 < other.model.num_parameters / plan.model.num_parameters < 1.6


@pytest.mark.parametrize("vary", [["dropout"], ["architecture"], ["dropout", "architecture"]])
def test_a_member_that_would_be_another_once_more_is_refused(plan: Plan, vary):
    assert len(members(plan, members=3, vary=vary)) == 3
    with pytest.raises(ConfigError, match="members 1 and 4 would be the same model") as caught:
        members(plan, members=4, vary=vary)
    assert "add seed or order" in str(caught.value)
    # In a chain the fourth has other teachers.
    assert len(members(plan, members=4, vary=vary, chain=True)) == 4


def test_what_teaches_a_later_member_of_a_chain_takes_time_from_its_steps(plan: Plan):
    steps = [member.values.steps for member in members(plan, members=3, chain=True)]
    work = flops_per_token(plan.model)
    assert steps == [100, round(100 * work.model / (work.model + work.forward)), round(100 * work.model / (work.model + 2 * work.forward))]
    assert [member.values.steps for member in members(plan, members=3)] == [100] * 3


def test_members_of_a_chain_that_are_taught_have_half_of_the_dropout_unless_the_user_says_how_much(plan: Plan):
    plan = replace(plan, model=plan.model.model_copy(update={"dropout": 0.2}))

    def dropouts(**settings) -> list[float]:
        return [member.model.dropout for member in members(plan, members=3, **settings)]

    assert dropouts(chain=True) == [0.2, 0.1, 0.1]
    assert dropouts() == [0.2, 0.2, 0.2]
    assert dropouts(chain=True, shaped={"dropout": 0.2}) == [0.2, 0.2, 0.2]
    assert dropouts(chain=True, overrides=[{}, {"model": {"dropout": 0.3}}]) == [0.2, 0.3, 0.1]
    assert dropouts(chain=True, vary=["seed", "dropout"]) == pytest.approx([0.2, 0.25, 0.3])


def test_overrides_belong_to_members_in_order_and_go_before_what_varies(plan: Plan):
    overrides = [{"train": {"seed": 3, "learning_rate": 1e-3}}, {"model": {"num_layers": 2}}]
    first, second, third = members(plan, members=3, overrides=overrides)

    assert (first.values.seed, first.values.learning_rate) == (3, 1e-3)
    assert second.model.num_layers == 2
    assert second.values.learning_rate == plan.train["learning_rate"]
    assert third.model == plan.model


def test_a_preset_replaces_the_planned_size_and_no_architecture_is_varied_on_top(plan: Plan):
    _, second = members(plan, members=2, vary=["seed", "architecture"], overrides=[{}, {"preset": "babyllama-cpu-gpt2"}])

    assert second.model.family == "gpt2"
    assert (second.model.width, second.model.num_layers) == (192, 5)
    assert second.model.vocabulary_size == plan.model.vocabulary_size


def test_a_larger_model_makes_fewer_steps_in_the_same_time(plan: Plan):
    larger = job(plan, model={"num_layers": 16})
    slower = flops_per_token(larger.model).model / flops_per_token(plan.model).model

    assert larger.values.steps == round(100 / slower)
    assert larger.values.warmup_steps == round(10 * larger.values.steps / 100)
    assert larger.values.evaluations == 5


def test_shorter_sequences_are_more_a_step(plan: Plan):
    short = job(plan, model={"context_length": 16})

    assert short.values.batch_size == 32
    assert short.values.batch_size * 16 == 8 * 64
    assert short.values.micro_batch_size == 16


def test_steps_that_the_user_gave_are_kept_whatever_the_model(plan: Plan):
    given = ALL_PLANNED | {"steps": 100, "batch_size": 8}
    kept = job(plan, given, pace=0.1, model={"num_layers": 16, "context_length": 16})

    assert (kept.values.steps, kept.values.batch_size) == (100, 8)


def test_epochs_are_passes_over_the_training_text(plan: Plan):
    assert job(plan, epochs=2.5).values.steps == round(2.5 * TRAIN_TOKENS / (8 * 64))
    assert job(plan, ALL_PLANNED | {"steps": 100}, epochs=2.5).values.steps == 100


def test_the_student_has_the_time_that_members_leave_and_that_the_text_leaves(plan: Plan):
    assert time_of_student({}, plan) == pytest.approx(1.0)
    assert time_of_student({"share": 2 / 3, "split_over": 2}, plan) == pytest.approx(1.0)
    assert time_of_student({"share": 2 / 3, "split_over": 4}, plan) == pytest.approx(2.0)
    limited = replace(plan, estimates={"epochs": 10.0}, binds={"affordable_epochs": 25.0, "useful_epochs": 10.0})
    assert time_of_student({}, limited) == pytest.approx(2.5)


def student(plan: Plan, teachers: int = 2, given: Mapping[str, Any] = ALL_PLANNED, shaped: Mapping[str, Any] = FREE, *, time: float,
            **variant: Any) -> Job:  # fmt: skip
    return student_job(Variant.model_validate(variant), plan, given, shaped, num_tokens=TRAIN_TOKENS, time=time,
                       teachers=[plan.model] * teachers)  # fmt: skip


def test_a_student_is_the_largest_that_has_time_for_the_planned_passes(plan: Plan):
    shapes = rules.student_shapes(plan.model, frozenset())
    assert [shape.get("width", 48) for shape in shapes] == [128, 96, 48]
    alone, teaching = flops_per_token(plan.model).model, 2 * flops_per_token(plan.model).forward
    for shape in shapes:
        model = ModelConfig.model_validate(plan.model.model_dump(exclude={"rotary_width"}) | shape)
        needed = (flops_per_token(model).model + teaching) / alone
        enough, more = student(plan, time=1.001 * needed), student(plan, time=1.2 * needed)
        assert enough.model.width == model.width
        assert enough.model.family == "qwen3"
        assert enough.values.steps == pytest.approx(100, abs=1)
        # Time beyond that is of no use: the text would be learned by heart.
        assert more.model.width == model.width
        assert more.values.steps == 100
    assert student(plan, time=0.5).values.steps == pytest.approx(50 * alone / (alone + teaching), abs=1)


def test_a_student_reads_the_text_more_often_where_that_pays(plan: Plan):
    short = replace(plan, estimates={"epochs": 4.0}, binds={"affordable_epochs": 4.0, "useful_epochs": 8.0})
    assert student(short, 0, shaped=FREE | {"width": 48}, time=1.5).values.steps == 150
    assert student(short, 0, shaped=FREE | {"width": 48}, time=5.0).values.steps == 200


def test_a_student_has_half_of_the_dropout_and_less_rate_where_it_is_wider(plan: Plan):
    wide = replace(plan, model=plan.model.model_copy(update={"width": 192, "num_heads": 12, "num_kv_heads": 12, "num_layers": 5}))
    found = student(wide, time=20.0)
    assert found.model.dropout == pytest.approx(0.05)
    assert found.model.width == 256
    assert found.values.learning_rate == pytest.approx(plan.train["learning_rate"] * (192 / 256) ** 0.5, rel=0.02)
    assert found.values.weight_decay == plan.train["weight_decay"]


@pytest.mark.parametrize(("shaped", "variant", "width", "dropout"), [
    ({"width": 48}, {}, 48, 0.05),
    ({"dropout": 0.1}, {}, 128, 0.1),
    ({}, {"model": {"num_layers": 2}}, 48, 0.05),
    ({}, {"model": {"dropout": 0.3}}, 128, 0.3),
    ({"preset": "babyllama-cpu-student"}, {}, 48, 0.05),
    ({}, {"preset": "babyllama-cpu-student"}, 96, 0.0),
])  # fmt: skip
def test_what_the_user_chose_of_a_student_is_kept(plan: Plan, shaped, variant, width, dropout):
    found = student(plan, shaped=FREE | shaped, time=50.0, **variant)
    assert found.model.dropout == pytest.approx(dropout)
    assert found.model.width == width
    if "num_layers" in variant.get("model", {}):
        assert found.model.num_layers == 2


@pytest.mark.parametrize(("variant", "dropout"), [
    ({}, 0.1), ({"model": {"dropout": 0.3}}, 0.3), ({"preset": "babyllama-cpu-student"}, 0.0),
])  # fmt: skip
def test_a_student_is_compared_with_one_that_has_the_dropout_of_learning_alone(plan: Plan, variant, dropout):
    taught = student(plan, time=50.0, **variant)
    alone = untaught(taught, Variant.model_validate(variant), plan)
    assert alone.model.dropout == dropout
    assert replace(alone, model=taught.model) == taught
    assert alone.model.num_parameters == taught.model.num_parameters


def test_fields_that_contradict_each_other_are_an_error_that_names_the_member(plan: Plan):
    with pytest.raises(ConfigError) as caught:
        members(plan, members=2, overrides=[{}, {"model": {"num_kv_heads": 2}}])

    assert "num_heads 3 is not a multiple of num_kv_heads 2" in str(caught.value)
    assert "ensemble.overrides.1.model" in str(caught.value)


@pytest.mark.parametrize("override", [{"train": {"learning_rate": -1}}, {"train": {"steps": "many"}}, {"model": {"width": 8.5}}])
def test_a_value_of_the_wrong_kind_is_an_error_that_names_the_member(override: dict):
    with pytest.raises(ConfigError) as caught:
        validate(EnsembleConfig, {"members": 2, "overrides": [override]})

    section, values = next(iter(override.items()))
    assert next(iter(values)) in str(caught.value)
    assert f"overrides.0.{section}" in str(caught.value)


def test_an_unknown_preset_is_answered_with_the_closest(plan: Plan):
    with pytest.raises(ModelError, match="did you mean 'babyllama-58m'"):
        job(plan, preset="babyllama-58")


def test_a_warm_up_of_fewer_steps_is_shorter_whoever_gave_the_steps(plan: Plan):
    assert job(plan, train={"steps": 50}).values.warmup_steps == 5
    assert job(plan, train={"steps": 50, "warmup_steps": 10}).values.warmup_steps == 10
    assert job(plan, ALL_PLANNED | {"warmup_steps": 10}, train={"steps": 50}).values.warmup_steps == 10
