"""Stages that end in a trained model. Each prepares what the loop needs and packs what it leaves."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from rodna.core import artifact
from rodna.core.artifact import Artifact
from rodna.core.config import validate
from rodna.core.files import write_json
from rodna.data.batches import Batches
from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.hf import family_of
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine, describe_machine
from rodna.plan.plan import read_plan
from rodna.plan.speed import will_compile
from rodna.train.config import FORMAT_VERSION, TrainValues
from rodna.train.loop import Speedometer, train
from rodna.train.optim import build_optimizers
from rodna.train.runtime import compile_decoder, compute_dtype, prepare
from rodna.train.state import OPTIMIZER, PROGRESS, Progress, RunFolder, setup_digest


def pretrain(tokens: Artifact, tokenizer: Artifact, plan: Artifact, config: BaseModel, out: Path, *, run: Path) -> Artifact:
    """Train a fresh model as planned.

    Interrupted at any moment, the same call goes on from the last saved state and ends with bit-identical weights (on the same
    machine, with the same number of threads).

    Args:
        tokens: the encoded corpus.
        tokenizer: copied into every checkpoint.
        plan: model and settings.
        config: the settings as the user gave them; the plan has kept them.
        out: the model artifact: the checkpoint with the lowest validation loss.
        run: folder of states and metrics; may be deleted once the model is there.

    Raises:
        TrainError: the loss is no longer finite, or the saved state is damaged.
        KeyboardInterrupt: the user asked to stop; the state is saved.
    """
    inputs = {"tokens": tokens, "tokenizer": tokenizer, "plan": plan}
    proposal = read_plan(plan)
    values = validate(TrainValues, proposal.train)
    machine = describe_machine("cpu" if proposal.machine.get("device") == "cpu" else "auto")
    family_of(proposal.model)  # A model that no checkpoint can hold must fail now, not at the first save.

    device, dtype = prepare(machine), compute_dtype(machine, values)
    decoder = Decoder(proposal.model).initialize(seed=values.seed).to(device)
    decoder.checkpoint_activations = values.checkpoint_activations
    optimizers = build_optimizers(decoder, values)
    batches = Batches(Tokens.open(tokens.path, "train"), seed=values.seed, batch_size=values.batch_size,
                      context_length=proposal.model.context_length)  # fmt: skip

    setup = setup_digest(tokens=tokens.digest, plan=plan.digest, version=FORMAT_VERSION)
    folder = RunFolder(run, tokenizer_folder=tokenizer.path, setup=setup)
    progress = folder.resume(decoder, optimizers)
    compiled = False
    if will_compile(machine, proposal.train, seconds=float(proposal.estimates.get("seconds", 0.0))):
        example = batches.batch(0).inputs_BT[: values.micro_batch_size].to(device)
        compiled = compile_decoder(decoder, example, dtype=dtype)
    speedometer = Speedometer(flops_per_token(proposal.model).model, peak_flops(proposal.machine, dtype))
    train(
        decoder, optimizers, batches, Tokens.open(tokens.path, "validation"), values, folder=folder, progress=progress, dtype=dtype,
        speedometer=speedometer,
    )  # fmt: skip

    with artifact.create(out, kind="model", format_version=FORMAT_VERSION, inputs=inputs, config=config, seed=values.seed) as draft:
        best = folder.best(progress) if progress.best_step else run / f"step-{progress.step:06d}"
        for file in best.iterdir():
            if file.name not in (OPTIMIZER, PROGRESS):
                shutil.copyfile(file, draft.path / file.name)
        shutil.copyfile(folder.metrics, draft.path / "metrics.jsonl")
        summary = summarize(progress, batches, proposal.model, machine, dtype=dtype, compiled=compiled, speedometer=speedometer)
        write_json(draft.path / "training.json", summary)
        draft.counts = {"parameters": proposal.model.num_parameters, **{key: summary[key] for key in ("steps", "tokens_seen", "epochs")}}
    return draft.result


def peak_flops(machine: Mapping[str, Any], dtype: torch.dtype) -> float:
    """Return the matrix-product speed to compare with: the maker's for a GPU it is known of, else the measured one."""
    if machine.get("peak_bf16_tflops") and dtype is torch.bfloat16:
        return float(machine["peak_bf16_tflops"]) * 1e12
    return float(machine.get("bf16_flops" if dtype is torch.bfloat16 else "fp32_flops", 0.0))


def summarize(
    progress: Progress,
    batches: Batches,
    model: ModelConfig,
    machine: Machine,
    *,
    dtype: torch.dtype,
    compiled: bool,
    speedometer: Speedometer,
) -> dict[str, Any]:
    """Return the figures of a finished run, for the report."""
    rate = progress.tokens / progress.seconds if progress.seconds else 0.0
    return {
        "steps": progress.step,
        "tokens_seen": progress.tokens,
        "epochs": progress.step / batches.batches_per_epoch,
        "seconds": progress.seconds,
        "flops": progress.tokens * speedometer.flops_per_token,
        "parameters": model.num_parameters,
        "best_step": progress.best_step or progress.step,
        "best_validation_bits_per_byte": progress.best_bits_per_byte if progress.best_step else None,
        "stopped_early": progress.stopped_early,
        "peak_memory_bytes": progress.peak_memory_bytes,
        "device": machine.name,
        "dtype": str(dtype).removeprefix("torch."),
        "compiled": compiled,
        "threads": torch.get_num_threads(),
        "tokens_per_second": rate,
        "mfu": speedometer.mfu(rate),
        "interruptions": progress.interruptions,
    }
