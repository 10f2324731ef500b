"""From a corpus, a tokenizer and a machine to a model and a training recipe, with reasons that people can read."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from rodna.core import artifact
from rodna.core.artifact import Artifact
from rodna.core.errors import PlanError
from rodna.core.files import write_json
from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.models.config import ModelConfig
from rodna.models.presets import find_preset
from rodna.plan import rules
from rodna.plan.config import PlanConfig
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine, available_memory, describe_machine, measure_speeds
from rodna.plan.memory import MemoryEstimate, training_memory
from rodna.plan.rules import Text
from rodna.plan.speed import StepTimer, estimate_tokens_per_second, time_plain_steps

FORMAT_VERSION = 1
KIND = "plan"
PLAN_FILE = "plan.json"
PLANNED = "planned"
TRAINING_SHARE = 0.95
"""Of the time budget that goes into steps; the rest is evaluation and checkpoints."""


@dataclass(frozen=True)
class Plan:
    """What to train and why.

    Attributes:
        model: the decoder.
        train: values of the training settings, every planned one filled in.
        estimates: seconds, tokens, FLOPs, bytes of memory, watt-hours.
        reasons: one {setting, value, reason} for each decision.
        machine: what it was made for.
    """

    model: ModelConfig
    train: dict[str, Any]
    estimates: dict[str, Any]
    reasons: list[dict[str, Any]]
    machine: dict[str, Any]


def read_plan(plan: Artifact) -> Plan:
    """Read a plan's file."""
    values = json.loads((plan.path / PLAN_FILE).read_text(encoding="utf-8"))
    return Plan(**{**values, "model": ModelConfig.model_validate(values["model"])})


def plan_inputs(corpus: Artifact, tokenizer: Artifact, config: PlanConfig) -> dict[str, Artifact | str]:
    """Return what a plan depends on: a plan made for another machine is stale."""
    identity = json.dumps(describe_machine(config.device).identity, sort_keys=True)
    return {"corpus": corpus, "tokenizer": tokenizer, "machine": hashlib.sha256(identity.encode()).hexdigest()}


def plan_settings(config: PlanConfig, *, model: BaseModel, train: BaseModel) -> dict[str, Any]:
    """Return the settings a plan depends on."""
    return {"plan": config.model_dump(mode="json"), "model": model.model_dump(mode="json"), "train": train.model_dump(mode="json")}


def make_plan(
    corpus: Artifact,
    tokenizer: Artifact,
    config: PlanConfig,
    *,
    model: BaseModel,
    train: BaseModel,
    out: Path,
    timer: StepTimer = time_plain_steps,
) -> Artifact:
    """Propose what to train, and write `plan.json`.

    Args:
        corpus: its train split is what there is to learn from.
        tokenizer: gives the vocabulary and the tokens.
        config: time, machine, preset.
        model: shape settings; those that are not `planned` are kept.
        train: training settings; those that are not `planned` are kept.
        out: the artifact's folder.
        timer: measures real training steps; the training room's own gives the truest times.

    Raises:
        PlanError: the text is too small, the time too short, or the model too large for the memory.
    """
    inputs, settings = plan_inputs(corpus, tokenizer, config), plan_settings(config, model=model, train=train)
    with artifact.create(out, kind=KIND, format_version=FORMAT_VERSION, inputs=inputs, config=settings) as draft:
        machine = describe_machine(config.device)
        text = measure_text(corpus, tokenizer)
        plan = propose(text, machine, config, model=settings["model"], train=settings["train"], timer=timer)
        write_json(draft.path / PLAN_FILE, {**asdict(plan), "model": plan.model.model_dump(mode="json")})
        draft.counts = {"parameters": plan.model.num_parameters, **plan.estimates}
    return draft.result


def measure_text(corpus: Artifact, tokenizer: Artifact, *, sample_bytes: int = 1_000_000) -> Text:
    """Count the training split; tokens are counted on a sample of whole documents spread over it."""
    from rodna.corpus.documents import read_documents
    from rodna.tokenizer.tokenizer import Tokenizer

    encoder = Tokenizer.load(tokenizer.path)
    texts = [document.text for document in read_documents(corpus.path, "train")]
    sizes = [len(text.encode("utf-8")) for text in texts]
    num_bytes = sum(sizes)
    every = max(1, num_bytes // sample_bytes)
    sample, sampled_bytes = texts[::every], sum(sizes[::every])
    sampled_tokens = sum(len(ids) for ids in encoder.encode_batch(sample))
    tokens = round(sampled_tokens * num_bytes / max(1, sampled_bytes)) + len(texts)
    return Text(num_bytes=num_bytes, num_tokens=tokens, num_documents=len(texts), vocabulary_size=encoder.vocabulary_size)


def propose(
    text: Text, machine: Machine, config: PlanConfig, *, model: Mapping[str, Any], train: Mapping[str, Any], timer: StepTimer
) -> Plan:
    """Return the plan for a text on a machine; `model` and `train` hold plain values or `planned`."""
    if text.num_tokens < rules.MIN_TRAIN_TOKENS:
        raise PlanError(
            f"too little text to train on: {text.num_tokens:,} tokens ({human_bytes(text.num_bytes)})",
            where="the corpus' train split",
            fix=f"add text: at least {rules.MIN_TRAIN_TOKENS:,} tokens, better 1 MB",
        )
    kept = {key: value for key, value in model.items() if value != PLANNED}
    speeds = measure_speeds(machine)
    seconds = config.time_budget_minutes * 60 * TRAINING_SHARE
    best: tuple[float, ModelConfig] | None = None
    for candidate in candidates(text, config, kept):
        rate = estimate_tokens_per_second(candidate, speeds, device=machine.device)
        epochs = min(rate * seconds / text.num_tokens, rules.MAX_EPOCHS)
        figure = rules.expected_loss(candidate, text, epochs)
        if best is None or figure < best[0]:
            best = (figure, candidate)
    assert best is not None, "there is always a candidate"
    chosen = best[1]
    values, memory = training_values(text, machine, config, chosen, train)
    if config.calibration == "measured":
        measured = timer(chosen, values, machine=machine)
        step_seconds, startup = measured.seconds, measured.startup_seconds
    else:
        step_seconds = values["batch_size"] * chosen.context_length / estimate_tokens_per_second(chosen, speeds, device=machine.device)
        startup = 0.0
    step_tokens = values["batch_size"] * chosen.context_length
    most = max(1, math.ceil(rules.MAX_EPOCHS * text.num_tokens / step_tokens))
    steps = min(most, int((seconds - startup) / step_seconds))
    if steps < 1:
        raise PlanError(
            f"the time is too short: one step takes {human_seconds(step_seconds)}, starting {human_seconds(startup)}",
            where=f"plan.time_budget_minutes: {config.time_budget_minutes:g}",
            fix="give more minutes, or a smaller model",
        )
    steps = steps if values["steps"] == PLANNED else int(values["steps"])
    values = finish(values, text, chosen, steps)
    epochs = steps * step_tokens / text.num_tokens
    flops = flops_per_token(chosen).model * steps * step_tokens
    duration = startup + steps * step_seconds / TRAINING_SHARE
    estimates = {"parameters": chosen.num_parameters, "train_tokens": text.num_tokens, "train_bytes": text.num_bytes,
                 "tokens_seen": steps * step_tokens, "epochs": round(epochs, 2), "step_seconds": step_seconds,
                 "startup_seconds": startup, "tokens_per_second": step_tokens / step_seconds, "seconds": duration, "flops": flops,
                 "memory_bytes": memory.total, "watt_hours": duration / 3600 * machine.watts}  # fmt: skip
    return Plan(chosen, values, estimates, reasons_for(chosen, values, text, epochs, kept, train), asdict(machine) | asdict(speeds))


def candidates(text: Text, config: PlanConfig, kept: Mapping[str, Any]) -> list[ModelConfig]:
    """Return the sizes to choose from: the planned ones with the user's fields laid over, or the preset alone."""
    context = rules.context_length(text)
    if config.preset != PLANNED:
        shapes: list[dict[str, Any]] = [dict(find_preset(config.preset).fields)]
    else:
        shapes = [rules.shape_fields(*shape) | {"context_length": context, "tied_embeddings": True} for shape in rules.SHAPES]
    found: list[ModelConfig] = []
    for shape in shapes:
        fields = {**shape, **kept}
        try:
            built = ModelConfig(vocabulary_size=text.vocabulary_size, **fields)
        except ValidationError as error:
            raise PlanError(
                f"the given model settings do not fit together: {error.errors()[0]['msg']}",
                where="project.yaml, model",
                fix="correct them, or leave some to the plan (`planned`)",
            ) from error
        if built not in found:
            found.append(built)
    return found


def training_values(
    text: Text, machine: Machine, config: PlanConfig, model: ModelConfig, train: Mapping[str, Any]
) -> tuple[dict[str, Any], MemoryEstimate]:
    """Return the training settings with batch and micro-batch decided, and the memory they need."""
    values = dict(train)
    if values.get("batch_size", PLANNED) == PLANNED:
        values["batch_size"] = max(1, round(rules.batch_tokens(text) / model.context_length))
    given = values.get("micro_batch_size", PLANNED)
    sizes = [int(given)] if given != PLANNED else [n for n in range(values["batch_size"], 0, -1) if values["batch_size"] % n == 0]
    free = int(available_memory(machine) * config.memory_share)
    for size in sizes:
        memory = training_memory(
            model,
            micro_batch_size=size,
            optimizer=values.get("optimizer", "muon"),
            checkpoint_activations=bool(values.get("checkpoint_activations", False)),
            precision="fp32" if machine.bf16 == "none" or values.get("precision") == "fp32" else "bf16",
            device=machine.device,
        )
        if memory.total <= free:
            values["micro_batch_size"] = size
            values.setdefault("steps", PLANNED)
            return values, memory
    raise PlanError(
        f"a model of {human_count(model.num_parameters)} parameters needs {human_bytes(memory.total)} of memory to train, "
        f"{human_bytes(free)} may be used",
        where="plan.memory_share, model",
        fix="choose a smaller model, set train.checkpoint_activations to true, or use a machine with more memory",
    )


def finish(values: dict[str, Any], text: Text, model: ModelConfig, steps: int) -> dict[str, Any]:
    """Fill in what depends on the number of steps."""
    epochs = steps * values["batch_size"] * model.context_length / text.num_tokens
    proposals = {
        "steps": steps,
        "learning_rate": rules.learning_rate(model, optimizer=values.get("optimizer", "muon")),
        "weight_decay": rules.weight_decay(epochs),
        "warmup_steps": max(1, min(100, steps // 50)),
        "decay_fraction": 0.5,
        "evaluations": 10,
    }
    return values | {key: value for key, value in proposals.items() if values.get(key, PLANNED) == PLANNED}


def reasons_for(
    model: ModelConfig, values: Mapping[str, Any], text: Text, epochs: float, kept: Mapping[str, Any], train: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Say why, setting by setting."""
    rows = [
        ("model.width", model.width, f"{human_count(model.num_parameters)} parameters suit {human_bytes(text.num_bytes)} of text and the time given"),
        ("train.steps", values["steps"], f"{epochs:.1f} passes over {human_count(text.num_tokens)} tokens"),
    ]  # fmt: skip
    return [{"setting": name, "value": value, "reason": reason} for name, value, reason in rows]
