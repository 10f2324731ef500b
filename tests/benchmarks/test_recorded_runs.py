"""The runs that a plan's expectation is calibrated by: those that are kept in benchmarks/results, and no others."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean

import pytest

from rodna.models.config import ModelConfig
from rodna.plan.expect import RECORDED
from rodna.plan.rules import block_parameters

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results" / "data_efficiency"


def test_recorded_runs_ended_as_the_results_say_that_are_kept() -> None:
    found = defaultdict(list)
    for file in RESULTS.glob("*--rodna--rodna-*.json"):
        values = json.loads(file.read_text(encoding="utf-8"))
        if "members" not in values:
            model = ModelConfig.model_validate(values["recipe"]["model"])
            found[block_parameters(model), round(values["epochs"], 1), model.dropout].append(values["test_bits_per_byte"])

    assert len(RECORDED) >= 7
    for run in RECORDED:
        assert run.model == pytest.approx(mean(found[run.weights, run.epochs, run.dropout]), abs=0.0015), run.text
