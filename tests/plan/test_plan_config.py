import pytest
from pydantic import ValidationError

from rodna.core.config import validate
from rodna.core.errors import ConfigError
from rodna.plan.config import PlanConfig


def test_money_pays_for_time():
    config = PlanConfig(money_budget=50, price_per_hour=2.5, currency="EUR")
    assert config.minutes == pytest.approx(20 * 60)
    assert PlanConfig(time_budget_minutes=7).minutes == 7


def test_a_price_needs_no_currency_and_no_budget():
    assert PlanConfig(price_per_hour=0.4).currency == ""


def test_money_and_minutes_that_agree_may_both_be_given():
    assert PlanConfig(money_budget=2, price_per_hour=1, time_budget_minutes=120).minutes == pytest.approx(120)


@pytest.mark.parametrize(("values", "message"), [
    ({"money_budget": -1, "price_per_hour": 1}, "greater than or equal to 0"),
    ({"price_per_hour": -1}, "greater than or equal to 0"),
    ({"money_budget": 50}, "money_budget needs price_per_hour"),
    ({"money_budget": 5, "price_per_hour": 1, "time_budget_minutes": 20}, "money_budget pays for 300 minutes, time_budget_minutes says 20"),
    ({"money_budget": 1e6, "price_per_hour": 0.1}, "money_budget pays for 10,000,000 hours; 1,440 are the most"),
    ({"hardware": "h100", "device": "cpu"}, "hardware H100 is a GPU, and device says cpu"),
    ({"hardware": "quantum"}, "no data sheet of a GPU 'quantum' is known"),
    ({"mfu": 0.3}, "mfu is for a named GPU"),
    ({"mfu": 1.5, "hardware": "h100"}, "less than or equal to 1"),
    ({"recipe": "magic"}, "'planned', 'data-limited' or 'compute-limited'"),
])  # fmt: skip
def test_what_cannot_be_planned_is_refused(values, message):
    with pytest.raises(ValidationError) as error:
        PlanConfig(**values)
    assert message in str(error.value)


def test_an_unknown_gpu_is_one_readable_line():
    with pytest.raises(ConfigError, match=r"hardware.*no data sheet of a GPU 'h10o' is known; did you mean H100"):
        validate(PlanConfig, {"hardware": "h10o"})
