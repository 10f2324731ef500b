from dataclasses import fields

import pytest

from rodna.models.config import ModelConfig
from rodna.plan import rules
from rodna.plan.recipes import COMPUTE_LIMITED, DATA_LIMITED, DATA_LIMITED_BELOW_BYTES, EVIDENCE, RECIPES, choose_recipe
from rodna.train.config import TrainConfig


@pytest.mark.parametrize("name", list(RECIPES))
def test_every_choice_names_its_evidence_and_nothing_else_does(name):
    choices = {field.name for field in fields(RECIPES[name])} - {"name", "train"} | {f"train.{key}" for key in RECIPES[name].train}
    assert set(EVIDENCE[name]) == choices
    assert all(len(text) > 10 for text in EVIDENCE[name].values())


@pytest.mark.parametrize("name", list(RECIPES))
def test_the_training_settings_of_a_recipe_are_valid_ones(name):
    found = TrainConfig.model_validate(dict(RECIPES[name].train))
    assert found.model_fields_set == set(RECIPES[name].train)


def test_planned_takes_the_recipe_that_the_amount_of_text_asks_for():
    assert choose_recipe("planned", DATA_LIMITED_BELOW_BYTES - 1) is DATA_LIMITED
    assert choose_recipe("planned", DATA_LIMITED_BELOW_BYTES) is COMPUTE_LIMITED
    assert choose_recipe("compute-limited", 1000) is COMPUTE_LIMITED
    assert choose_recipe("data-limited", 10**12) is DATA_LIMITED


def test_compute_limited_reads_the_text_few_times_without_dropout():
    model = ModelConfig.model_validate({**rules.shape(128, 4, {}), "vocabulary_size": 300})
    for num_tokens in (1e4, 1e8):
        assert rules.dropout(1000, num_tokens, COMPUTE_LIMITED) == 0
        assert rules.max_epochs(model, num_tokens, COMPUTE_LIMITED) <= 4


def test_data_limited_reads_a_longer_text_more_often_and_gives_it_dropout_later():
    model = ModelConfig.model_validate({**rules.shape(128, 4, {}), "vocabulary_size": 300})
    dropped = model.model_copy(update={"dropout": 0.2})
    small, large = DATA_LIMITED.epochs_tokens, 32 * DATA_LIMITED.epochs_tokens
    # 32 to the power of 0.6 is 8.
    assert [rules.max_epochs(kind, small, DATA_LIMITED) for kind in (model, dropped)] == [5, 12]
    assert [rules.max_epochs(kind, large, DATA_LIMITED) for kind in (model, dropped)] == pytest.approx([40, 96])
    assert [rules.dropout(passes, small, DATA_LIMITED) for passes in (6.9, 7.1, 11.9, 12.1)] == [0, 0.1, 0.1, 0.2]
    # 32 to the power of 0.2 is 2.
    assert [rules.dropout(passes, large, DATA_LIMITED) for passes in (6.9, 7.1, 23.9, 24.1)] == [0, 0.1, 0.1, 0.2]


def test_batches_grow_with_the_recipes_power_of_the_tokens():
    limited, plenty = (rules.batch_tokens(1.5e6 * 4096, 1.5e6 * 4096, recipe) for recipe in (DATA_LIMITED, COMPUTE_LIMITED))
    assert limited == rules.MAX_BATCH_TOKENS
    assert plenty == 2048 * 2 ** round(12 * 0.383)
