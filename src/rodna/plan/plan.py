"""The plan as an artifact: what to train and why, made from a corpus, a tokenizer and a machine."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rodna.core import artifact
from rodna.core.artifact import Artifact, damaged
from rodna.core.files import write_json
from rodna.core.workspace import AGAIN
from rodna.corpus.documents import read_documents
from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.plan.config import THIS_MACHINE, PlanConfig
from rodna.plan.expect import ANCHOR_HELD_OUT_BYTES, ANCHOR_TRAIN_BYTES, evenly_spread, measure_anchor
from rodna.plan.fit import read_fit
from rodna.plan.hardware import ASSUMED_MFU, Machine, Speeds, describe_machine, measure_speeds, named_machine, sheet_speeds
from rodna.plan.propose import Plan, propose
from rodna.plan.recipes import RECIPES
from rodna.plan.rules import Text
from rodna.plan.speed import StepTimer
from rodna.tokenizer.config import MEASURES

FORMAT_VERSION = 1
KIND = "plan"
PLAN_FILE = "plan.json"


def read_plan(plan: Artifact) -> Plan:
    """Read a plan's file.

    Raises:
        ArtifactError: it is not a plan.
    """
    try:
        values = json.loads((plan.path / PLAN_FILE).read_text(encoding="utf-8"))
        return Plan(**{**values, "model": ModelConfig.model_validate(values["model"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise damaged(plan.path, f"{PLAN_FILE} cannot be read") from error


def plan_inputs(
    corpus: Artifact, tokenizer: Artifact, config: PlanConfig, *, fit: Artifact | None = None, again: int = 0
) -> dict[str, Artifact | str]:
    """Return what a plan depends on: the machine too, so that a plan made for another one is stale, and a fit to pilot runs.

    How often it was made again is counted: speeds are measured, so the next plan may be another.
    """
    identity = json.dumps(machine_of(config).identity, sort_keys=True)
    inputs: dict[str, Artifact | str] = {
        "corpus": corpus, "tokenizer": tokenizer, "machine": hashlib.sha256(identity.encode()).hexdigest()
    }  # fmt: skip
    return inputs | ({"scaling": fit} if fit else {}) | ({AGAIN: str(again)} if again else {})


def plan_settings(config: PlanConfig, *, model: BaseModel, train: BaseModel) -> dict[str, Any]:
    """Return the settings a plan depends on; `left_open` names those of training whose default a recipe may replace."""
    return {
        "plan": config.model_dump(mode="json"),
        "model": model.model_dump(mode="json"),
        "train": train.model_dump(mode="json"),
        "left_open": sorted({name for recipe in RECIPES.values() for name in recipe.train} - train.model_fields_set),
    }


def machine_of(config: PlanConfig) -> Machine:
    """Return the machine to plan for: the one at hand, or the named one."""
    return describe_machine(config.device) if config.hardware == THIS_MACHINE else named_machine(config.hardware)


def speeds_of(machine: Machine, config: PlanConfig) -> Speeds:
    """Return a machine's speeds: measured, or from the data sheet."""
    return measure_speeds(machine) if machine.at_hand else sheet_speeds(config.hardware, mfu=config.mfu or ASSUMED_MFU)


def make_plan(
    corpus: Artifact,
    tokenizer: Artifact,
    config: PlanConfig,
    *,
    model: BaseModel,
    train: BaseModel,
    out: Path,
    timer: StepTimer,
    fit: Artifact | None = None,
    again: int = 0,
    text: Text | None = None,
) -> Artifact:
    """Propose what to train, and write `plan.json`.

    Args:
        corpus: its train split is what there is to learn from.
        tokenizer: gives the vocabulary and the tokens.
        config: time, machine, preset.
        model: shape settings; those that are not `planned` are kept, and the rest is planned around them.
        train: training settings, likewise.
        out: the artifact's folder.
        timer: measures training steps on this machine.
        fit: of pilot runs on this corpus, where there is one.
        again: how often it was made again from the same.
        text: what `measure_text` says of the two, where it was asked already; it takes seconds.

    Raises:
        PlanError: the text is too small, the time too short, or the model too large for the memory.
    """
    inputs, settings = plan_inputs(corpus, tokenizer, config, fit=fit, again=again), plan_settings(config, model=model, train=train)
    with artifact.create(out, kind=KIND, format_version=FORMAT_VERSION, inputs=inputs, config=settings) as draft:
        text, machine = text or measure_text(corpus, tokenizer), machine_of(config)
        plan = propose(
            text, machine, speeds_of(machine, config), config, model=settings["model"], train=settings["train"], timer=timer,
            fit=read_fit(fit) if fit else None, left_open=frozenset(settings["left_open"]),
        )  # fmt: skip
        write_json(draft.path / PLAN_FILE, {**asdict(plan), "model": plan.model.model_dump(mode="json")})
        draft.counts = {name: value for name, value in plan.estimates.items() if isinstance(value, int | float)}
    return draft.result


def measure_text(corpus: Artifact, tokenizer: Artifact) -> Text:
    """Measure the splits: of a long text whole documents spread over it, and the rest by the share that they are."""
    from rodna.tokenizer.tokenizer import Tokenizer

    encoder = Tokenizer.load(tokenizer.path)
    texts = [document.text for document in read_documents(corpus.path, "train")]
    held_out = [document.text for document in read_documents(corpus.path, "validation")]
    counted, scored = (
        Tokens.encode(evenly_spread(documents, limit), encoder)
        for documents, limit in ((texts, ANCHOR_TRAIN_BYTES), (held_out, ANCHOR_HELD_OUT_BYTES))
    )
    anchor = measure_anchor(counted, scored)
    num_bytes, validation_bytes = (sum(len(text.encode("utf-8")) for text in documents) for documents in (texts, held_out))
    tokens_per_byte = (counted.num_tokens - counted.num_documents) / max(1, counted.num_bytes)
    return Text(
        num_bytes=num_bytes,
        num_tokens=round(tokens_per_byte * num_bytes) + len(texts),
        num_documents=len(texts),
        vocabulary_size=encoder.vocabulary_size,
        validation_tokens=round(tokens_per_byte * validation_bytes) + len(held_out),
        ngram_bits_per_byte=anchor.bits_per_byte,
        ngram_tokens=anchor.tokens,
        has_merges=bool(encoder.merges),
        vocabulary_reason=vocabulary_reason(tokenizer),
    )


def vocabulary_reason(tokenizer: Artifact) -> str:
    """Return why a tokenizer has so many tokens, empty where it does not say."""
    try:
        return str(json.loads((tokenizer.path / MEASURES).read_text(encoding="utf-8"))["vocabulary"]["reason"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""
