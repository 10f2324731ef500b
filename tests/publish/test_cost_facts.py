"""What the report says of cost: measured on the machine that trained, whichever was planned for."""

from pathlib import Path
from typing import Any

import pytest

from rodna.core.artifact import Artifact, create
from rodna.core.files import write_json
from rodna.publish.facts.cost import CostFacts, cost_facts

SHEET = {"name": "H100", "cores": 1, "device": "cuda", "watts": 730.0, "at_hand": False}
HERE = {"device": "Example Processor", "device_kind": "cpu", "cores": 2, "watts": 40.0, "peak_flops": 4e11}


def make(folder: Path, kind: str, file: str, values: dict[str, Any]) -> Artifact:
    with create(folder / f"{kind}-00000000", kind=kind, format_version=1, inputs={}, config={}) as draft:
        write_json(draft.path / file, values)
    return draft.result


@pytest.fixture
def facts(tmp_path):
    """Return the section about an hour's training of some summary, planned for some machine."""

    def call(summary: dict[str, Any], machine: dict[str, Any]) -> CostFacts:
        artifacts = {
            "model": make(tmp_path, "model", "training.json", {"seconds": 3600.0, "mfu": 0.3, **summary}),
            "plan": make(tmp_path, "plan", "plan.json", {"machine": machine}),
        }
        found = cost_facts(artifacts)
        assert found is not None
        return found

    return call


def labels(facts: CostFacts) -> dict[str, str]:
    return {number.label: number.value for number in facts.numbers}


def test_a_plan_for_a_named_gpu_leaves_the_figures_to_the_machine_that_trained(facts):
    found = facts(HERE, SHEET)

    assert found.lead.startswith("Measured on Example Processor, 2 cores. The plan was made for another machine, H100")
    assert "40 W assumed" in found.assumption
    assert labels(found)["of electricity, estimated"] == "40 Wh"
    assert "of the machine's peak used (MFU)" in labels(found)


def test_a_gpu_that_is_only_called_like_the_planned_one_is_told_apart_too(facts):
    found = facts({**HERE, "device": "H100", "device_kind": "cuda", "watts": 500.0}, SHEET)

    assert found.lead.startswith("Measured on H100. The plan was made for another machine")
    assert labels(found)["of electricity, estimated"] == "500 Wh"


def test_on_the_planned_machine_nothing_is_said_of_another(facts):
    planned = {"name": "Example Processor", "cores": 2, "device": "cpu", "watts": 40.0}

    assert facts(HERE, planned).lead == "Measured on Example Processor, 2 cores."


def test_an_older_run_on_another_machine_shows_no_share_of_the_wrong_peak(facts):
    found = facts({"device": "Example Processor"}, SHEET)

    assert found.lead.startswith("Measured on Example Processor. The plan was made for another machine, H100")
    assert set(labels(found)) == {"for all stages"}
