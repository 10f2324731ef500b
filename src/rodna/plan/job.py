"""What a plan is made from, and one candidate of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rodna.models.config import ModelConfig
from rodna.plan import rules
from rodna.plan.candidates import PLANNED
from rodna.plan.config import PlanConfig
from rodna.plan.expect import BitsLaw
from rodna.plan.hardware import Machine, Speeds
from rodna.plan.memory import MemoryEstimate
from rodna.plan.recipes import TrainingRecipe
from rodna.plan.rules import Text
from rodna.plan.speed import StepTime

OVERHEAD_SHARE = 0.03
"""What checkpoints, the log and other programs add to the steps."""


@dataclass(frozen=True)
class Job:
    """What a plan is made from.

    Attributes:
        text: what there is to learn from.
        machine: where.
        speeds: of the machine.
        config: what the user asked of the plan.
        model: the user's shape, plain values or `planned`.
        train: the user's training settings, likewise.
        choices: the recipe.
        law: of the expected bits per byte.
        rate_factor: learning rate found best, as a multiple of the rule's.
        batch_factor: batch found best, likewise.
    """

    text: Text
    machine: Machine
    speeds: Speeds
    config: PlanConfig
    model: Mapping[str, Any]
    train: Mapping[str, Any]
    choices: TrainingRecipe
    law: BitsLaw
    rate_factor: float = 1.0
    batch_factor: float = 1.0

    @property
    def settled(self) -> dict[str, Any]:
        """The training settings that have a value."""
        return {name: value for name, value in self.train.items() if value != PLANNED}

    @property
    def shaped(self) -> set[str]:
        """The settings of the model that the user gave."""
        return {name for name, value in {**self.model, "preset": self.config.preset}.items() if value != PLANNED}

    @property
    def seconds(self) -> float:
        return self.config.minutes * 60

    def dropouts(self, affordable: float, unique_tokens: float) -> tuple[float, ...]:
        """Return the dropouts to choose from where there is time for so many tokens: one, by a rule, where the law cannot tell.

        A fit tells whether dropout pays. Of how much, pilots with one amount say little: more than the rule would give is not offered.
        """
        if self.config.preset != PLANNED or self.model.get("dropout", PLANNED) != PLANNED:
            return ()
        usual = rules.dropout(affordable / unique_tokens, unique_tokens, self.choices)
        if self.law.knows_dropout:
            return tuple(sorted({0.0, self.choices.light_dropout, usual}))
        return (usual,)

    def expected_loss(self, model: ModelConfig, tokens_seen: float) -> float:
        return self.law.loss(rules.block_parameters(model), tokens_seen, self.text.num_tokens, model.dropout)


@dataclass(frozen=True)
class Recipe:
    """One candidate: a size with its batch, what it needs, and how far it gets in the time.

    Attributes:
        model: the decoder.
        batch_size: sequences of one optimizer step.
        micro_batch_size: sequences of one forward and backward.
        steps: optimizer steps.
        step: what a step costs.
        memory: peak of a step.
        evaluations: how often the validation text is scored.
        evaluation_seconds: of each.
        affordable_steps: those the time allows, whatever the text is worth; 0 where the user gave the steps.
        rate_share: of the rule's learning rate.
    """

    model: ModelConfig
    batch_size: int
    micro_batch_size: int
    steps: int
    step: StepTime
    memory: MemoryEstimate
    evaluations: int = 0
    evaluation_seconds: float = 0.0
    affordable_steps: int = 0
    rate_share: float = 1.0

    @property
    def step_tokens(self) -> int:
        return self.batch_size * self.model.context_length

    @property
    def tokens_seen(self) -> int:
        return self.steps * self.step_tokens

    @property
    def seconds(self) -> float:
        """Of the whole training."""
        steps = self.steps * self.step.seconds * (1 + OVERHEAD_SHARE)
        return self.step.startup_seconds + steps + self.evaluations * self.evaluation_seconds
