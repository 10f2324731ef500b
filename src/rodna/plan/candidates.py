"""The sizes a plan chooses from, and what of them fits the memory."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from rodna.core.errors import PlanError
from rodna.core.text import human_bytes, human_count
from rodna.models.config import ModelConfig
from rodna.models.presets import find_preset
from rodna.plan import rules
from rodna.plan.config import PlanConfig
from rodna.plan.hardware import Machine, available_memory
from rodna.plan.memory import MemoryEstimate, training_memory
from rodna.plan.rules import Text
from rodna.plan.speed import will_compile

PLANNED = "planned"


def candidates(text: Text, config: PlanConfig, model: Mapping[str, Any]) -> list[ModelConfig]:
    """Return the sizes to choose from: the planned ones with the user's fields laid over, or the preset alone.

    Raises:
        PlanError: the user's fields contradict each other.
    """
    kept = {name: value for name, value in model.items() if value != PLANNED}
    if config.preset != PLANNED:
        shapes = [{**find_preset(config.preset).fields, **kept}]
    else:
        shapes = [rules.shape(width, num_layers, kept) for width, num_layers in rules.SIZES]
    try:
        found = [ModelConfig.model_validate({**fields, "vocabulary_size": text.vocabulary_size}) for fields in shapes]
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(("model", *map(str, problem["loc"])))
        raise PlanError(
            f"the model settings do not fit together: {problem['msg'].removeprefix('Value error, ')}",
            where=f"project.yaml, {name}",
            fix="correct them, or leave some of them out: they are planned around the others",
        ) from error
    return list(dict.fromkeys(found))


def fit_memory(
    model: ModelConfig, machine: Machine, config: PlanConfig, settled: Mapping[str, Any], *, batch_size: int
) -> tuple[int, MemoryEstimate]:
    """Return the micro-batch to use, and the memory it takes: the user's, or the largest useful one that fits.

    Raises:
        PlanError: not even one sequence at a time fits.
    """
    free = int(available_memory(machine) * config.memory_share)
    given = settled.get("micro_batch_size")
    sizes = [int(given)] if given else rules.micro_batch_sizes(batch_size, model, device=machine.device)
    memory = None
    for size in sizes:
        memory = training_memory(
            model,
            micro_batch_size=size,
            optimizer=settled.get("optimizer", "muon"),
            averaging=settled.get("averaging", "none"),
            spelling=settled.get("spelling_rate", 0) > 0,
            precision="fp32" if machine.bf16 == "none" or settled.get("precision") == "fp32" else "bf16",
            checkpoint_activations=settled.get("checkpoint_activations", False) is True,
            compiled=will_compile(machine, settled, seconds=config.minutes * 60),
            device=machine.device,
        )
        if memory.total <= free:
            return size, memory
    assert memory is not None, "there is at least one micro-batch size"
    raise PlanError(
        f"training {human_count(model.num_parameters)} parameters with {sizes[-1]} sequences at a time needs {human_bytes(memory.total)} "
        f"of memory; {human_bytes(free)} may be used",
        where=f"plan.memory_share: {config.memory_share:g}",
        fix="choose a smaller model or micro-batch, set train.checkpoint_activations to true, or use a machine with more memory",
    )
