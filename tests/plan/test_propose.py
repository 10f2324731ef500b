import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from rodna.core.errors import ModelError, PlanError
from rodna.core.text import human_seconds
from rodna.models.config import ModelConfig
from rodna.plan import rules
from rodna.plan.config import BEHAVIOUR, ModelSection, PlanConfig
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine, Speeds, named_machine, sheet_speeds
from rodna.plan.job import OVERHEAD_SHARE
from rodna.plan.propose import propose
from rodna.plan.recipes import COMPUTE_LIMITED, DATA_LIMITED
from rodna.plan.rules import Text
from rodna.plan.scaling import CHINCHILLA
from rodna.plan.speed import StepTime
from rodna.plan.together import expected_of_student
from rodna.train.config import TrainConfig

MACHINE = Machine("cpu", "test", 2, 8 * 2**30, "none", "", 0.0, 40.0)
TRAIN = {"optimizer": "muon", "precision": "auto", "checkpoint_activations": False, "batch_size": "planned", "micro_batch_size": "planned",
         "steps": "planned", "learning_rate": "planned", "weight_decay": "planned", "warmup_steps": "planned"}  # fmt: skip
SPEEDS = Speeds(fp32_flops=2e11, bf16_flops=0.0, bandwidth=3e10)
MODEL = ModelSection().model_dump()
VOCABULARY = {"vocabulary_size": 2048}


def text(megabytes=3.0):
    num_bytes = round(megabytes * 1e6)
    return Text(num_bytes=num_bytes, num_tokens=num_bytes // 5, num_documents=max(1, num_bytes // 2000), vocabulary_size=2048)


class Clock:
    """A timer that says how long steps take instead of running them, and remembers what it was asked."""

    def __init__(self, seconds_per_megaparameter=0.1, startup_seconds=0.0):
        self.pace, self.startup_seconds, self.asked = seconds_per_megaparameter, startup_seconds, []

    def __call__(self, model, train, *, machine, expected_seconds):
        self.asked.append((model, dict(train)))
        return StepTime(seconds=self.pace * model.num_parameters / 1e6, startup_seconds=self.startup_seconds)


def plan(megabytes=3.0, *, minutes=5.0, model=None, train=None, clock=None, machine=MACHINE, **config):
    settings = PlanConfig(time_budget_minutes=minutes, **config)
    return propose(text(megabytes), machine, SPEEDS, settings, model={**MODEL, **(model or {})}, train={**TRAIN, **(train or {})},
                   timer=clock or Clock())  # fmt: skip


def rows_of(proposed):
    return {row["setting"]: row for row in proposed.reasons}


class Fitted:
    """A fit to pilot runs that has found twice the rate and half the batch; a dropout of 1 costs so many bits, or gains them."""

    rate_factor, batch_factor, knows_dropout = 2.0, 0.5, True
    recipe: Mapping[str, float] = MappingProxyType({})

    def __init__(self, dropout_costs=0.1):
        self.dropout_costs = dropout_costs

    def loss(self, parameters, tokens_seen, unique_tokens, dropout=0.0):
        return 1.0 + 1e5 / parameters + 1e5 / tokens_seen + dropout * self.dropout_costs

    def predict(self, parameters, tokens_seen, unique_tokens, dropout=0.0):
        value = self.loss(parameters, tokens_seen, unique_tokens, dropout)
        return value, value - 0.01, value + 0.01


def test_every_planned_setting_gets_a_plain_value():
    proposed = plan()
    assert "planned" not in proposed.train.values()
    assert proposed.model.vocabulary_size == 2048
    assert proposed.model.family == "qwen3"


@pytest.mark.parametrize("minutes", [2.0, 30.0])
def test_the_steps_fill_the_time_but_not_more(minutes):
    proposed = plan(300.0, minutes=minutes, clock=Clock(0.2, startup_seconds=10.0), model={"width": 128, "num_layers": 4})
    step = proposed.estimates["step_seconds"] * (1 + OVERHEAD_SHARE)
    assert minutes * 60 - step <= proposed.estimates["seconds"] <= minutes * 60


def test_the_steps_follow_from_the_measured_speed_not_from_the_estimate():
    fast, slow = (plan(30.0, clock=Clock(pace), model={"width": 128, "num_layers": 4}) for pace in (0.2, 0.4))
    assert fast.train["steps"] == pytest.approx(2 * slow.train["steps"], rel=0.01)


def test_a_machine_much_slower_than_expected_gets_a_smaller_model():
    expected = plan(30.0, minutes=30.0, calibration="estimated")
    clock = Clock(expected.estimates["step_seconds"] / (expected.model.num_parameters / 1e6) * 30)
    slow = plan(30.0, minutes=30.0, clock=clock)
    assert slow.model.num_parameters < expected.model.num_parameters
    assert len(clock.asked) == 2


def test_more_text_and_more_time_never_give_a_smaller_model():
    sizes = [
        plan(megabytes, minutes=minutes, calibration="estimated").model.num_parameters
        for megabytes, minutes in ((1, 3), (10, 60), (100, 6000))
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_little_text_is_not_repeated_for_ever():
    proposed = plan(0.1, minutes=600.0)
    assert proposed.estimates["epochs"] <= DATA_LIMITED.max_epochs_with_dropout + 1
    assert proposed.estimates["seconds"] < 600 * 60


def test_settings_that_the_user_gave_are_kept_and_the_rest_is_planned_around_them():
    given = {"batch_size": 6, "learning_rate": 1e-3, "weight_decay": 0.0, "warmup_steps": 7}
    proposed = plan(model={"width": 96, "num_layers": 2, "context_length": 64}, train=given)
    assert (proposed.model.width, proposed.model.num_layers, proposed.model.context_length) == (96, 2, 64)
    assert proposed.model.num_heads * proposed.model.head_width == 96
    assert {name: proposed.train[name] for name in given} == given
    assert proposed.train["batch_size"] % proposed.train["micro_batch_size"] == 0
    assert isinstance(proposed.train["steps"], int)


def test_a_reason_says_that_a_setting_was_given():
    reasons = {row["setting"]: row["reason"] for row in plan(model={"width": 96}).reasons}
    assert "given in project.yaml" in reasons["model.width"]
    assert "given" not in reasons["train.steps"]


def test_given_steps_are_kept_even_beyond_the_time():
    proposed = plan(train={"steps": 12_345}, minutes=0.1)
    assert proposed.train["steps"] == 12_345
    assert proposed.estimates["seconds"] > 6


def test_heads_given_alone_decide_their_width():
    proposed = plan(model={"width": 96, "num_heads": 6})
    assert (proposed.model.num_heads, proposed.model.num_kv_heads, proposed.model.head_width) == (6, 6, 16)


def test_a_preset_fixes_the_shape():
    proposed = plan(preset="speed-s", minutes=600.0)
    assert (proposed.model.width, proposed.model.num_layers, proposed.model.family) == (256, 8, "llama")


def test_the_estimates_agree_with_each_other():
    found = plan().estimates
    assert found["epochs"] == pytest.approx(found["tokens_seen"] / found["train_tokens"])
    assert found["watt_hours"] == pytest.approx(40 * found["seconds"] / 3600)
    assert found["flops"] > 6 * found["tokens_seen"] * 1e5
    assert all(math.isfinite(value) for value in found.values())


def test_every_reason_names_a_setting_its_value_and_a_sentence():
    rows = plan().reasons
    assert {"model.width", "train.steps", "train.batch_size", "train.learning_rate", "train.weight_decay"} <= {
        row["setting"] for row in rows
    }
    assert all(len(row["reason"]) > 15 for row in rows)


def test_every_number_that_is_proposed_has_a_reason():
    train = TrainConfig().model_dump()
    proposed, rows = plan(train=train), rows_of(plan(train=train))
    open_ones = {f"train.{name}" for name, value in train.items() if value == "planned"} - {"train.checkpoint_activations"}
    chosen = {f"train.{name}" for name in DATA_LIMITED.train}
    shape = {f"model.{name}" for name, value in MODEL.items() if value == "planned"} - {f"model.{name}" for name in BEHAVIOUR}
    # A head's width, and which heads have keys, are told with the number of heads.
    assert (open_ones | chosen | shape) - {"model.head_width", "model.num_kv_heads"} <= set(rows)
    assert rows["train.evaluations"]["value"] == proposed.train["evaluations"]


def test_the_vocabulary_has_the_tokenizers_own_reason():
    reasoned = replace(text(), vocabulary_reason="3 MB of text")
    settings = PlanConfig(time_budget_minutes=5.0)
    proposed = propose(reasoned, MACHINE, SPEEDS, settings, model=MODEL, train=TRAIN, timer=Clock())
    assert rows_of(proposed)["tokenizer.vocabulary_size"]["reason"].startswith("the tokenizer's (3 MB of text); 5.0 bytes a token")


def test_the_sizes_that_curves_are_drawn_of_have_the_head_that_was_given():
    usual, given = plan(), plan(model={"tied_embeddings": False})
    sizes = [{point["parameters"] for point in proposed.isoflop["budgets"][1]["points"]} for proposed in (usual, given)]
    assert len(sizes[1]) > 5
    # An untied head is a second matrix of the vocabulary, in every size.
    assert sizes[0].isdisjoint(sizes[1])


def test_too_little_text_says_how_much_is_needed():
    with pytest.raises(PlanError, match=r"too little text to train on: 600 tokens \(3 kB\)") as error:
        plan(0.003)
    assert "the train split" in error.value.where
    assert "add text" in error.value.fix


def test_too_little_time_says_how_many_minutes_are_needed():
    with pytest.raises(PlanError, match=r"the time is too short for .* parameters: a step takes ") as error:
        plan(minutes=5.0, clock=Clock(600 / 1.0), model={"width": 128, "num_layers": 4})
    assert "plan.time_budget_minutes: 5" in error.value.where
    assert "set plan.time_budget_minutes to" in error.value.fix


def test_too_little_memory_says_how_much_is_needed():
    small = Machine("cpu", "test", 2, 300 * 2**20, "none", "", 0.0, 40.0)
    with pytest.raises(PlanError, match=r"needs .* of memory; 252 MB may be used") as error:
        plan(machine=small)
    assert "plan.memory_share: 0.8" in error.value.where
    assert "train.checkpoint_activations" in error.value.fix


def test_a_micro_batch_is_made_smaller_until_it_fits():
    roomy = plan(model={"width": 768, "num_layers": 12, "context_length": 256}, train={"batch_size": 16}, minutes=6000)
    tight = Machine("cpu", "test", 2, int(roomy.estimates["memory_bytes"] / 0.8 * 0.9), "none", "", 0.0, 40.0)
    proposed = plan(machine=tight, model={"width": 768, "num_layers": 12, "context_length": 256}, train={"batch_size": 16}, minutes=6000)
    assert proposed.train["micro_batch_size"] < roomy.train["micro_batch_size"]
    assert 16 % proposed.train["micro_batch_size"] == 0


def test_model_settings_that_contradict_each_other_are_refused():
    with pytest.raises(PlanError, match="num_heads 4 is not a multiple of num_kv_heads 3") as error:
        plan(model={"width": 128, "num_heads": 4, "num_kv_heads": 3})
    assert "planned around the others" in error.value.fix


def test_an_unknown_preset_names_the_closest():
    with pytest.raises(ModelError, match="did you mean 'babyllama-16m'"):
        plan(preset="babylama-16m")


def test_a_small_text_gets_no_giant_however_much_time_there_is():
    proposed = plan(0.3, minutes=6000.0, calibration="estimated")
    assert rules.block_parameters(proposed.model) <= DATA_LIMITED.max_weights_per_token * text(0.3).num_tokens


def test_long_validation_texts_are_scored_less_often():
    assert rules.evaluations(200.0, 1.0) == 8
    assert rules.evaluations(200.0, 100.0) == rules.MIN_EVALUATIONS
    assert rules.evaluations(200.0, 0.0) == rules.EVALUATIONS


@pytest.mark.parametrize(("tokens_seen", "batch"), [(1e5, 2048), (1.5e6, 2048), (6e6, 4096), (1e8, 16_384), (1e12, 65_536)])
def test_batches_grow_with_the_square_root_of_the_tokens(tokens_seen, batch):
    assert rules.batch_tokens(tokens_seen, 1e6) == batch


@pytest.mark.parametrize(("tokens_seen", "num_tokens", "batch"), [
    (1.5e6, 146e3, 1024), (1.5e6, 210e3, 1024), (1.5e6, 111e3, 1024),  # pieces of Belarusian, Icelandic, Cantonese
    (4.9e6, 312e3, 2048), (6e6, 469e3, 4096),  # English of 1 MB, all of the Belarusian
    (1e5, 1e4, 1024),
])  # fmt: skip
def test_short_texts_get_small_batches(tokens_seen, num_tokens, batch):
    assert rules.batch_tokens(tokens_seen, num_tokens) == batch


def test_with_smaller_batches_the_rate_is_lower_by_the_square_root():
    given = {"model": {"width": 128, "num_layers": 4}, "minutes": 60.0, "calibration": "estimated"}
    short, long = plan(0.75, **given), plan(3.0, **given)
    assert short.train["learning_rate"] == pytest.approx(0.01 * 0.5**0.5, abs=1e-4)
    assert long.train["learning_rate"] == 0.01
    assert plan(0.75, train={"batch_size": 8}, **given).train["learning_rate"] == 0.01, "the batch is the user's own"


def test_wider_models_get_a_lower_learning_rate():
    rates = [plan(model={"width": width, "num_layers": 2}).train["learning_rate"] for width in (128, 512)]
    assert rates == [0.01, 0.005]


def test_a_repeated_text_gets_more_weight_decay():
    assert rules.weight_decay(1.0) < rules.weight_decay(15.0)


def test_a_text_read_often_gets_dropout_and_one_read_once_does_not():
    often, once = plan(0.5, minutes=60.0, calibration="estimated"), plan(500.0, minutes=5.0, calibration="estimated")
    assert (often.model.dropout, once.model.dropout) == (DATA_LIMITED.dropout, 0.0)
    assert DATA_LIMITED.max_epochs < often.estimates["epochs"] <= DATA_LIMITED.max_epochs_with_dropout + 1


def test_a_text_read_nearly_as_often_as_pays_comes_in_other_tokens():
    def planned(train=None, **given) -> tuple[float, float]:
        found = plan(0.5, calibration="estimated", model={"width": 128, "num_layers": 4}, train={"bpe_dropout": "planned", **(train or {})},
                     **given)  # fmt: skip
        return found.train["bpe_dropout"], found.estimates["epochs"] / found.binds["useful_epochs"]

    assert planned(minutes=60.0) == (DATA_LIMITED.bpe_dropout, pytest.approx(1.0, abs=0.1))
    found, share = planned(minutes=0.5)
    assert (found, share < DATA_LIMITED.bpe_dropout_share) == (0.0, True)
    assert planned({"bpe_dropout": 0.3}, minutes=0.5)[0] == 0.3
    assert planned(recipe="compute-limited", minutes=60.0)[0] == 0.0


def test_a_tokenizer_without_merges_leaves_none_out():
    settings, train = PlanConfig(time_budget_minutes=60.0, calibration="estimated"), {**TRAIN, "bpe_dropout": "planned"}
    for has_merges in (True, False):
        given = replace(text(0.5), has_merges=has_merges)
        found = propose(given, MACHINE, SPEEDS, settings, model=MODEL, train=train, timer=Clock())
        assert found.train["bpe_dropout"] == (DATA_LIMITED.bpe_dropout if has_merges else 0.0)


def test_dropout_is_chosen_by_the_passes_that_the_measured_steps_allow():
    """There is time for 1.3 times the passes that call for dropout, and for half of them, light dropout's, where compiling takes long."""
    shape = {"width": 128, "num_layers": 4}
    calm = plan(3.0, minutes=1.0, calibration="estimated", model=shape)
    passes = DATA_LIMITED.dropout_epochs * (text(3.0).num_tokens / DATA_LIMITED.epochs_tokens) ** DATA_LIMITED.dropout_exponent
    minutes = 1.3 * passes / calm.binds["affordable_epochs"]
    pace = calm.estimates["step_seconds"] / calm.train["batch_size"] / (calm.model.num_parameters / 1e6)

    def clock(startup_seconds):
        def measured(model, train, *, machine, expected_seconds):
            seconds = pace * train["batch_size"] * model.num_parameters / 1e6
            return StepTime(seconds=seconds, startup_seconds=startup_seconds)

        return measured

    at_once, late = (plan(3.0, minutes=minutes, clock=clock(60 * minutes * wait), model=shape) for wait in (0.0, 0.6))

    assert at_once.model.dropout == DATA_LIMITED.dropout
    assert late.model.dropout == DATA_LIMITED.light_dropout


@pytest.mark.parametrize(
    ("minutes", "costs", "chosen"),
    [(5.0, 1.0, 0.0), (60.0, 1.0, 0.0), (5.0, -1.0, DATA_LIMITED.light_dropout), (60.0, -1.0, DATA_LIMITED.dropout)],
)
def test_a_fit_that_knows_dropout_decides_whether_it_pays_and_the_passes_how_much_there_may_be(minutes, costs, chosen):
    settings = PlanConfig(time_budget_minutes=minutes, calibration="estimated")
    proposed = propose(text(), MACHINE, SPEEDS, settings, model=MODEL, train=TRAIN, timer=Clock(), fit=Fitted(costs))
    given = propose(text(), MACHINE, SPEEDS, settings, model={**MODEL, "dropout": 0.1}, train=TRAIN, timer=Clock(), fit=Fitted(costs))

    assert proposed.model.dropout == chosen
    assert proposed.expected["bits_per_byte"] == Fitted(costs).loss(
        rules.block_parameters(proposed.model), proposed.estimates["tokens_seen"], text().num_tokens, chosen
    )
    assert "as the pilot runs with and without it say" in rows_of(proposed)["model.dropout"]["reason"]
    assert given.model.dropout == 0.1


def test_dropout_that_was_given_is_kept_and_decides_how_often_the_text_is_read():
    proposed = plan(0.5, minutes=60.0, calibration="estimated", model={"dropout": 0.0})
    assert proposed.model.dropout == 0.0
    assert proposed.estimates["epochs"] <= DATA_LIMITED.max_epochs + 1


def test_a_named_gpu_is_planned_for_without_being_measured():
    clock = Clock()
    settings = PlanConfig(hardware="h100", money_budget=6.0, price_per_hour=2.0, currency="EUR")
    machine = named_machine("H100")
    proposed = propose(text(300.0), machine, sheet_speeds("H100", mfu=0.4), settings, model=MODEL, train=TRAIN, timer=clock)
    assert not clock.asked
    assert proposed.estimates["seconds"] <= 3 * 3600
    assert proposed.estimates["money"] == pytest.approx(2.0 * proposed.estimates["seconds"] / 3600)
    rows = rows_of(proposed)
    assert rows["money"]["value"].endswith(" EUR")
    assert "NVIDIA H100 data sheet" in rows["hardware"]["reason"]
    assert "plan.mfu 0.4 is assumed" in rows["hardware"]["reason"]
    assert rows["energy"]["value"].endswith(" kWh")


def test_a_faster_gpu_takes_a_larger_model_for_the_same_time():
    small, large = (
        propose(text(2000.0), named_machine(name), sheet_speeds(name, mfu=0.4), PlanConfig(hardware=name, time_budget_minutes=120),
                model=MODEL, train=TRAIN, timer=Clock()).model.num_parameters
        for name in ("T4", "B200")
    )  # fmt: skip
    assert small < large


def test_no_price_gives_no_line_about_money():
    assert "money" not in rows_of(plan())


def test_money_too_short_says_how_much_would_do():
    settings = PlanConfig(hardware="t4", money_budget=0.0001, price_per_hour=1.0)
    with pytest.raises(PlanError, match="the time is too short") as error:
        propose(
            text(), named_machine("T4"), sheet_speeds("T4", mfu=0.4), settings, model={**MODEL, "width": 768}, train=TRAIN, timer=Clock()
        )
    assert "plan.money_budget: 0.0001, which pays 360 ms" in error.value.where
    assert "set plan.money_budget to" in error.value.fix


def test_the_expectation_holds_its_interval_and_says_where_it_comes_from():
    anchored = replace(text(), ngram_bits_per_byte=1.5, ngram_tokens=400_000)
    proposed = propose(anchored, MACHINE, SPEEDS, PlanConfig(time_budget_minutes=5), model=MODEL, train=TRAIN, timer=Clock())
    found = proposed.expected
    assert found["low"] < found["bits_per_byte"] < found["high"]
    assert found["source"] == "ngram"
    row = rows_of(proposed)["expected bits per byte"]
    assert row["value"] == f"{found['bits_per_byte']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
    assert "n-grams takes 1.50 on this text" in row["reason"]
    assert "hardly more than a guess" in rows_of(plan())["expected bits per byte"]["reason"]


def test_a_fit_to_pilot_runs_is_used_instead():
    fit = Fitted()
    settings = PlanConfig(time_budget_minutes=5, calibration="estimated")
    plain, fitted = (propose(text(), MACHINE, SPEEDS, settings, model={**MODEL, "width": 128, "num_layers": 4}, train=TRAIN,
                             timer=Clock(), fit=given) for given in (None, fit))  # fmt: skip
    assert fitted.train["learning_rate"] == pytest.approx(2 * plain.train["learning_rate"])
    assert fitted.train["batch_size"] == plain.train["batch_size"] / 2
    assert fitted.expected["source"] == "pilots"
    assert fitted.expected["bits_per_byte"] == fit.loss(
        rules.block_parameters(fitted.model), fitted.estimates["tokens_seen"], text().num_tokens
    )
    assert "fitted to pilot runs on this text" in rows_of(fitted)["expected bits per byte"]["reason"]
    assert "pilot runs" in rows_of(fitted)["train.learning_rate"]["reason"]


def test_the_text_binds_where_there_is_more_time_than_passes_worth_making():
    proposed = plan(0.5, minutes=600.0, calibration="estimated")
    binds = proposed.binds
    assert binds["limit"] == "text"
    assert binds["affordable_epochs"] > binds["useful_epochs"]
    assert binds["more_text"] < binds["more_compute"] <= binds["now"]
    reason = rows_of(proposed)["limit"]["reason"]
    assert "after about 12, more passes stop paying" in reason
    assert "the text binds" in reason
    # Eight of one model's time each; their student, two sizes larger, and eight forward passes of a third.
    assert (proposed.model.width, proposed.model.num_layers) == (96, 4)
    work = flops_per_token(ModelConfig.model_validate(VOCABULARY | rules.shape(160, 4, {}))).model / flops_per_token(proposed.model).model
    share = math.ceil(100 * 8 / (8 + work + 8 / 3)) / 100
    together = rows_of(proposed)["ensemble"]["reason"]
    assert f"8 models of up to {human_seconds(36_000 * share / 8)} each and a student of theirs should do better" in together
    assert f"ensemble: {{members: 8, share: {share:g}}}" in together
    expected = (1 - rules.TAUGHT_GAIN_LARGER * 8 / 9) * proposed.expected["bits_per_byte"]
    assert proposed.estimates["ensemble_bits_per_byte"] == pytest.approx(expected, rel=1e-3)


def test_an_ensemble_is_named_where_smaller_members_cost_little_and_not_where_the_time_is_short():
    members = [plan(0.5, minutes=minutes, calibration="estimated").estimates["ensemble_members"] for minutes in (0.5, 2.0, 60.0, 600.0)]
    assert members[0] == 0
    assert members == sorted(members)
    assert members[-1] == rules.MOST_MEMBERS
    assert plan(300.0, minutes=5.0).estimates["ensemble_members"] == 0


def test_what_an_ensemble_is_expected_to_do_is_better_than_the_plan_by_more_than_is_doubtful():
    for minutes in (1.0, 2.0, 4.0, 8.0, 16.0):
        proposed = plan(0.5, minutes=minutes, calibration="estimated")
        if proposed.estimates["ensemble_members"]:
            assert proposed.estimates["ensemble_bits_per_byte"] < (1 - rules.WORTH_AN_ENSEMBLE) * proposed.expected["bits_per_byte"]
            assert 0 < proposed.estimates["ensemble_share"] < 1


def test_members_of_a_given_size_have_that_size_and_their_student_too():
    free, given = (plan(0.5, minutes=60.0, calibration="estimated", model=model) for model in ({}, {"width": 96, "num_layers": 4}))
    assert free.estimates["ensemble_members"] == given.estimates["ensemble_members"] == rules.MOST_MEMBERS
    # A student of the members' size takes less of the time, and gains less.
    assert given.estimates["ensemble_share"] == math.ceil(100 * 8 / (8 + 1 + 8 / 3)) / 100
    assert given.estimates["ensemble_bits_per_byte"] > free.estimates["ensemble_bits_per_byte"]


def test_with_steps_that_the_user_gave_no_ensemble_is_named_and_they_bind():
    proposed = plan(0.5, minutes=600.0, calibration="estimated", train={"steps": 50})
    assert proposed.estimates["ensemble_members"] == 0
    assert "ensemble" not in rows_of(proposed)
    reason = rows_of(proposed)["limit"]["reason"]
    assert "the steps that were given make" in reason
    assert "3 times the steps" in reason
    assert reason.endswith("the steps bind")
    assert "the time allows" not in reason


def test_the_plan_of_a_member_proposes_no_ensemble():
    proposed = plan(0.5, minutes=600.0, calibration="estimated")
    one = proposed.of_one()
    assert {name: one.estimates[name] for name in one.estimates if name.startswith("ensemble_")} == {
        "ensemble_members": 0, "ensemble_share": 0.0, "ensemble_bits_per_byte": 0.0,
    }  # fmt: skip
    assert rows_of(one) == {name: row for name, row in rows_of(proposed).items() if name != "ensemble"}
    assert (one.model, one.train) == (proposed.model, proposed.train)


@pytest.mark.parametrize(("larger", "gain"), [(False, rules.TAUGHT_GAIN), (True, rules.TAUGHT_GAIN_LARGER)])
def test_a_student_is_expected_below_its_teachers_and_less_surely(larger, gain):
    alone = {"bits_per_byte": 1.0, "low": 0.97, "high": 1.04}
    student = expected_of_student(alone, 3, larger=larger)
    assert student["bits_per_byte"] == pytest.approx(1 - 0.75 * gain)
    assert student["low"] / student["bits_per_byte"] < 0.97
    assert student["high"] / student["bits_per_byte"] > 1.04


def test_a_student_may_be_two_sizes_larger_unless_the_size_is_given():
    model = ModelConfig.model_validate(VOCABULARY | rules.shape(192, 5, {}))
    assert [shape.get("width") for shape in rules.student_shapes(model, frozenset())] == [256, 224, None]
    assert rules.student_shapes(model, {"num_layers"}) == rules.student_shapes(model, {"preset"}) == [{}]
    assert rules.student_work(model, {"width"}) == 1.0
    assert 1.7 < rules.student_work(model, frozenset()) < 2.3
    largest = ModelConfig.model_validate(VOCABULARY | rules.shape(*rules.SIZES[-1], {}))
    assert rules.student_shapes(largest, frozenset()) == [{}]


def test_the_time_binds_where_a_large_text_is_read_once():
    proposed = plan(3000.0, minutes=5.0, calibration="estimated")
    binds = proposed.binds
    assert binds["limit"] == "compute"
    assert binds["affordable_epochs"] < 1
    assert binds["more_compute"] < binds["more_text"]
    assert "the time binds" in rows_of(proposed)["limit"]["reason"]


def test_both_published_laws_are_told_for_the_users_case():
    proposed = plan(3.0, minutes=30.0, calibration="estimated")
    parameters, tokens = CHINCHILLA.compute_optimal(proposed.binds["flops"])
    assert proposed.binds["chinchilla"]["parameters"] == parameters
    assert proposed.binds["chinchilla"]["tokens"] == tokens
    rows = rows_of(proposed)
    assert "Hoffmann et al. 2022" in rows["compute-optimal law"]["reason"]
    assert "Muennighoff et al. 2023" in rows["data-constrained law"]["reason"]


@pytest.mark.parametrize(("megabytes", "minutes", "binding"), [(3.0, 600.0, "data-constrained law"), (150.0, 5.0, "compute-optimal law")])
def test_of_the_two_laws_the_one_that_binds_is_told(megabytes, minutes, binding):
    rows = rows_of(plan(megabytes, minutes=minutes, calibration="estimated"))
    told = {name for name in ("compute-optimal law", "data-constrained law") if "this one binds" in rows[name]["reason"]}
    assert told == {binding}


def test_the_curves_pass_through_the_chosen_size_and_none_is_better_on_its_budget():
    proposed = plan(3.0, minutes=30.0, calibration="estimated")
    curves = proposed.isoflop
    middle = next(curve for curve in curves["budgets"] if curve["flops"] == curves["flops"])
    here = next(point for point in middle["points"] if point["parameters"] == proposed.model.num_parameters)
    assert here["loss"] == pytest.approx(curves["chosen"]["loss"], rel=0.01)
    assert curves["chosen"]["tokens"] == proposed.estimates["tokens_seen"]
    assert {point["too_large"] for point in middle["points"]} == {True, False}
    assert min(point["loss"] for point in curves["fresh"]["points"]) <= middle["best"]["loss"]


def test_the_middle_budget_takes_all_of_the_time_where_the_text_ends_first():
    proposed = plan(0.3, minutes=240.0, clock=Clock(startup_seconds=60.0))
    assert proposed.estimates["seconds"] < 0.5 * 240 * 60
    assert proposed.isoflop["seconds"] == pytest.approx(240 * 60, rel=0.02)
    assert 60 <= proposed.isoflop["fixed_seconds"] < proposed.estimates["seconds"]


def test_the_recipe_is_told_and_may_be_given():
    assert rows_of(plan())["plan.recipe"]["value"] == "data-limited"
    given = plan(3.0, minutes=600.0, calibration="estimated", recipe="compute-limited")
    assert rows_of(given)["plan.recipe"]["reason"] == "given in project.yaml"
    assert given.model.dropout == 0
    assert given.train["decay_fraction"] == COMPUTE_LIMITED.decay_fraction
    assert given.estimates["epochs"] <= COMPUTE_LIMITED.max_epochs + 1


def test_a_recipe_replaces_a_default_but_never_what_the_user_wrote():
    train = {**TRAIN, "optimizer": "adamw"}
    given, opened = (
        propose(text(), MACHINE, SPEEDS, PlanConfig(calibration="estimated"), model=MODEL, train=train, timer=Clock(), left_open=names)
        for names in (frozenset(), frozenset({"optimizer"}))
    )
    assert given.train["optimizer"] == "adamw"
    assert opened.train["optimizer"] == DATA_LIMITED.train["optimizer"]


@pytest.mark.parametrize(("megabytes", "written", "order"), [(3.0, None, 5), (60.0, None, 0), (60.0, 4, 4), (3.0, 0, 0)])
def test_ngrams_are_counted_beside_the_model_of_a_small_text_unless_the_user_says_otherwise(megabytes, written, order):
    train = {**TRAIN, "ngram_order": written or 0}
    names = frozenset({"ngram_order"} if written is None else ())
    found = propose(text(megabytes), MACHINE, SPEEDS, PlanConfig(calibration="estimated"), model=MODEL, train=train, timer=Clock(),
                    left_open=names)  # fmt: skip

    assert found.train["ngram_order"] == order
    assert rows_of(found)["train.ngram_order"]["value"] == order


def test_a_batch_that_is_given_has_the_rate_that_it_would_be_planned_with():
    proposed = plan(0.5)
    settled = plan(0.5, train={"batch_size": proposed.train["batch_size"]})
    smaller = plan(0.5, train={"batch_size": max(1, proposed.train["batch_size"] // 2)})

    assert proposed.train["learning_rate"] < plan(3.0).train["learning_rate"]
    assert settled.train["learning_rate"] == proposed.train["learning_rate"]
    assert smaller.train["learning_rate"] < settled.train["learning_rate"]
