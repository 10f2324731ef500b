"""Behaviour of the model in the plan: kept where it was given, told where it is unusual."""

import pytest
from tests.plan.test_propose import plan, rows_of

from rodna.core.errors import PlanError
from rodna.models.config import ModelConfig
from rodna.plan.config import BEHAVIOUR, ModelSection

OTHERWISE = {"norm": "layer", "qk_norm": False, "ffn": "relu2", "stochastic_depth": 0.1, "attention_gates": True,
             "value_residual": "first_layer", "unet_skips": True, "residual_scalars": True, "logit_softcap": 15.0,
             "layer_loops": 2}  # fmt: skip


def test_every_behaviour_can_be_given_and_is_carried_to_the_model():
    proposed = plan(model=ModelSection(**OTHERWISE).model_dump())
    assert set(OTHERWISE) == set(BEHAVIOUR)
    assert {name: getattr(proposed.model, name) for name in OTHERWISE} == OTHERWISE
    assert all("given in project.yaml" in rows_of(proposed)[f"model.{name}"]["reason"] for name in OTHERWISE)


def test_left_alone_the_model_is_qwen3_and_no_line_is_wasted_on_it():
    proposed = plan()
    assert all(getattr(proposed.model, name) == ModelConfig.model_fields[name].default for name in BEHAVIOUR)
    assert not {f"model.{name}" for name in BEHAVIOUR} & set(rows_of(proposed))
    assert "model family" not in rows_of(proposed)


def test_a_presets_behaviour_is_told_and_a_given_one_replaces_it():
    rows = rows_of(plan(preset="babyllama-cpu-gpt2", minutes=60.0))
    assert rows["model.ffn"] == {"setting": "model.ffn", "value": "gelu", "reason": "the preset babyllama-cpu-gpt2 has it"}
    assert "the preset babyllama-cpu-gpt2 has it" in rows["model.ffn_width"]["reason"]
    assert plan(preset="babyllama-cpu-llama", minutes=60.0, model={"qk_norm": True}).model.family == "qwen3"


def test_a_model_of_no_family_is_named_with_what_makes_it_so_and_what_to_do():
    row = rows_of(plan(model={"attention_gates": True, "logit_softcap": 15.0, "stochastic_depth": 0.1}))["model family"]
    assert row["value"] == "none"
    assert "with model.attention_gates and model.logit_softcap it is no Qwen3" in row["reason"]
    assert "stochastic_depth" not in row["reason"]
    assert "Distill it into a standard student" in row["reason"]


def test_stochastic_depth_alone_leaves_the_family():
    proposed = plan(model={"stochastic_depth": 0.1})
    assert proposed.model.family == "qwen3"
    assert "model family" not in rows_of(proposed)


def test_a_feed_forward_layer_without_a_gate_has_as_many_weights():
    sizes = {ffn: plan(model={"width": 96, "num_layers": 3, "ffn": ffn}).model for ffn in ("swiglu", "relu2")}
    assert sizes["relu2"].ffn_width == 4 * 96
    assert sizes["relu2"].num_parameters == sizes["swiglu"].num_parameters


def test_looped_layers_take_their_time():
    once, thrice = (plan(model={"width": 96, "num_layers": 3, "layer_loops": loops}, calibration="estimated") for loops in (1, 3))
    assert once.model.num_parameters == thrice.model.num_parameters
    assert thrice.estimates["step_seconds"] > 1.3 * once.estimates["step_seconds"]


@pytest.mark.parametrize(("name", "value"), [("layer_loops", 0), ("stochastic_depth", 1.0), ("logit_softcap", -1.0)])
def test_values_beyond_their_range_name_the_setting(name, value):
    with pytest.raises(PlanError) as error:
        plan(model={name: value})
    assert error.value.where == f"project.yaml, model.{name}"
