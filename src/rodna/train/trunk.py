"""One pilot run: a constant learning rate, from which a decay branches off for each of its lengths."""

import copy
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rodna.core.config import validate
from rodna.core.errors import ModelError
from rodna.data.curriculum import make_batches, row_lengths
from rodna.data.tokens import Tokens
from rodna.models.decoder import Decoder
from rodna.plan import rules
from rodna.plan.flops import flops_per_token
from rodna.plan.hardware import Machine
from rodna.plan.ladder import Pilot, can_branch, learning_rates
from rodna.plan.propose import Plan
from rodna.plan.speed import will_compile
from rodna.train.config import TrainValues
from rodna.train.loop import DivergedError, Speedometer, first_micro_batch, train
from rodna.train.optim import build_optimizers, spelling_for
from rodna.train.runtime import compile_decoder, compute_dtype, prepare, undo_compilation
from rodna.train.several_targets import build_objective, count_for
from rodna.train.state import Progress, RunFolder, setup_digest

TRUNKS = "trunks"


@dataclass(frozen=True)
class Workbench:
    """What every pilot of one fit has in common.

    Attributes:
        train: the training split.
        validation: scored at the end of each run.
        tokenizer_folder: copied into saved states.
        target: the plan whose recipe the pilots follow.
        machine: this one.
        folder: of the runs.
    """

    train: Tokens
    validation: Tokens
    tokenizer_folder: Path
    target: Plan
    machine: Machine
    folder: Path


class Trunk:
    """A pilot at its constant learning rate, from which decays branch off."""

    def __init__(self, pilot: Pilot, bench: Workbench) -> None:
        self._pilot, self._bench = pilot, bench
        self._tokens = thinned(bench.train, pilot.share)
        self._values = values_of(pilot, bench.target)
        self._device, self._dtype = prepare(bench.machine), compute_dtype(bench.machine, self._values)
        self._batches = make_batches(self._tokens, self._values, pilot.model.context_length)
        self._folder = self._run_folder("trunk", 0)
        self._build()
        self._progress = self._folder.resume(self._decoder, self._optimizers)
        self._counts = count_for(self._values, self._tokens, self._device)
        objective = build_objective(self._values, self._decoder, self._counts)
        self._compiled = False
        if will_compile(bench.machine, self._values.model_dump(), seconds=pilot.seconds):
            example = first_micro_batch(self._batches.batch(0), self._values, self._device)
            lengths = len(row_lengths(self._values, pilot.model.context_length))
            self._compiled = compile_decoder(self._decoder, example, dtype=self._dtype, objective=objective, row_lengths=lengths)

    def _build(self) -> None:
        self._decoder = Decoder(self._pilot.model).initialize(seed=self._values.seed).to(self._device)
        self._decoder.checkpoint_activations = self._values.checkpoint_activations
        spelling = spelling_for(self._values, self._bench.tokenizer_folder, self._decoder)
        self._optimizers = build_optimizers(self._decoder, self._values, spelling)

    def _run_folder(self, name: str, steps: int) -> RunFolder:
        setup = setup_digest(values=self._values.model_dump(mode="json"), model=self._pilot.model.model_dump(mode="json"), steps=steps,
                             share=self._pilot.share, tokens=self._tokens.num_tokens)  # fmt: skip
        return RunFolder(self._bench.folder / TRUNKS / self._pilot.name / name, tokenizer_folder=self._bench.tokenizer_folder, setup=setup)

    def close(self) -> None:
        """Let other models run as plain Python again."""
        if self._compiled:
            undo_compilation(self._decoder)

    def branch(self, steps: int) -> dict[str, Any]:
        """Return the record of a run of `steps`: bit for bit what one that was alone would have given."""
        values = self._values.model_copy(update={"steps": steps, "evaluations": 1})
        start = steps - round(values.decay_fraction * steps) if can_branch(values.model_dump()) else 0
        try:
            if start > self._progress.step:
                constant = values.model_copy(update={"steps": start, "decay_fraction": 0.0, "averaging": "none"})
                self._learn(constant, self._folder, self._progress, validated=False)
            loss = self._decay(values)
        except (DivergedError, ModelError) as error:
            if isinstance(error, ModelError) and self._is_sound():
                raise
            # Kept as a run without a loss: it is named, and not tried again.
            loss = math.nan
        tokens = steps * self._batches.tokens_per_batch
        return {
            "name": f"{self._pilot.name}-{steps}",
            "parameters": rules.block_parameters(self._pilot.model),
            "tokens_seen": tokens,
            "unique_tokens": self._tokens.num_tokens,
            "bits_per_byte": loss if math.isfinite(loss) else None,
            "steps": steps,
            "dropout": self._pilot.model.dropout,
            "batch_size": self._pilot.batch_size,
            "learning_rate": values.learning_rate,
            "flops": flops_per_token(self._pilot.model).model * tokens,
        }

    def _is_sound(self) -> bool:
        return all(bool(parameter.isfinite().all()) for parameter in self._decoder.parameters())

    def _decay(self, values: TrainValues) -> float:
        """Go to the end of a run in a copy of the trunk's state; the trunk stays where it is."""
        weights = {name: tensor.clone() for name, tensor in self._decoder.state_dict().items()}
        states = [copy.deepcopy(optimizer.state_dict()) for optimizer in self._optimizers]
        folder = self._run_folder(f"branch-{values.steps}", values.steps)
        progress = folder.resume(self._decoder, self._optimizers)
        if not progress.step:
            progress = replace(self._progress)
        try:
            return self._learn(values, folder, progress, validated=True).best_bits_per_byte
        finally:
            self._decoder.load_state_dict(weights)
            for optimizer, state in zip(self._optimizers, states, strict=True):
                optimizer.load_state_dict(state)

    def _learn(self, values: TrainValues, folder: RunFolder, progress: Progress, *, validated: bool) -> Progress:
        validation = self._bench.validation if validated else nothing_of(self._bench.validation)
        # What a curriculum gives depends on the length.
        batches = make_batches(self._tokens, values, self._pilot.model.context_length) if values.curriculum != "none" else self._batches
        return train(
            self._decoder, self._optimizers, batches, validation, values, folder=folder, progress=progress, dtype=self._dtype,
            speedometer=Speedometer(flops_per_token(self._pilot.model).model, 0.0),
            objective=build_objective(values, self._decoder, self._counts),
        )  # fmt: skip


def values_of(pilot: Pilot, target: Plan) -> TrainValues:
    """Return a pilot's settings: the plan's, with its own batch, rate and steps."""
    longest = max(pilot.lengths)
    own = {
        "steps": longest, "batch_size": pilot.batch_size, "micro_batch_size": min(pilot.batch_size, int(target.train["micro_batch_size"])),
        "warmup_steps": rules.warmup_steps(longest), "evaluations": 1, "patience": 0, "trackers": (), **learning_rates(target, pilot),
        # Other segmentations pay where a text is read very often: pilots read theirs a few times.
        "bpe_dropout": 0.0,
    }  # fmt: skip
    return validate(TrainValues, {**target.train, **own})


def thinned(tokens: Tokens, share: float) -> Tokens:
    """Return about this share of the documents, at least one, evenly spread: sources keep their proportions."""
    if share >= 1:
        return tokens
    count = max(1, round(share * tokens.num_documents))
    return tokens.only(np.arange(count, dtype=np.int64) * tokens.num_documents // count)


def nothing_of(tokens: Tokens) -> Tokens:
    """Return no documents of a split."""
    return replace(tokens, tokens=tokens.tokens[:0], offsets=tokens.offsets[:1], document_bytes=tokens.document_bytes[:0])
