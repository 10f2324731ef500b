"""Ensembles and distillation as the user asks for them. Imports nothing heavy."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, create_model, field_validator, model_validator
from pydantic.fields import FieldInfo

from rodna.core.config import Planned, Section
from rodna.models.config import ModelConfig
from rodna.train.config import TrainValues
from rodna.train.recipes import NONE, RECIPES

Difference = Literal["seed", "order", "dropout", "architecture"]


class Variant(Section):
    """What one model has otherwise than the plan: everything that is not named here is the plan's."""

    preset: str = Field(default="planned", description="A named size, such as babyllama-16m, instead of the planned one.")
    model: dict[str, Any] = Field(default_factory=dict, description="Fields of the model, e.g. {num_layers: 8, dropout: 0.1}.")
    train: dict[str, Any] = Field(default_factory=dict, description="Settings of its training, e.g. {learning_rate: 3e-4}.")
    epochs: Annotated[float, Field(gt=0)] | Planned = Field(default="planned", description="Passes over the text; train.steps goes first.")

    @field_validator("model")
    @classmethod
    def _know_model_fields(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _known(values, {name: field for name, field in ModelConfig.model_fields.items() if name != "vocabulary_size"})

    @field_validator("train")
    @classmethod
    def _know_train_fields(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _known(values, TrainValues.model_fields)


def _known(values: dict[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """Return the values; a key that is no field is an error with the closest one, and so is a value that does not suit its field."""
    names = sorted(fields)
    for key, value in values.items():
        if key in fields:
            try:
                create_model("Value", value=(fields[key].rebuild_annotation(), fields[key])).model_validate({"value": value})
            except ValidationError as error:
                raise ValueError(f"{key}: {error.errors()[0]['msg'].removeprefix('Value error, ')}, not {value!r}") from error
        else:
            close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
            raise ValueError(
                f"unknown key {key!r}; " + (f"did you mean `{close[0]}`?" if close else f"valid keys here: {', '.join(names)}")
            )
    return values


class EnsembleConfig(Section):
    """Several models, averaged by their probabilities. Off while `members` is 0."""

    members: int = Field(default=0, ge=0, le=99, description="How many models to train; 0: no ensemble.")
    vary: tuple[Difference, ...] = Field(
        default=("seed", "order"),
        description="What members differ in. seed: fresh weights and dropout masks; order: of the text.",
    )
    overrides: tuple[Variant, ...] = Field(default=(), description="Settings of member 1, 2, ...; there may be fewer than members.")
    ngram_order: int = Field(
        default=0,
        ge=0,
        le=8,
        description="Count n-grams of so many tokens in the text too, and give them their share of the probability; 0: no counts.",
    )
    chain: bool = Field(default=False, description="Each member also learns from the average of those before it.")
    share: float = Field(
        default=2 / 3, gt=0, lt=1, description="Of plan.time_budget_minutes, for all members together; the student has the rest."
    )
    split_over: Annotated[int, Field(ge=1)] | Planned = Field(
        default="planned",
        description="Over how many members their time is split; planned: `members`, or what the finished ones had.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.members == 1 and not self.ngram_order:
            raise ValueError("members: 1 model is no ensemble: give 2 or more, or 0 for none; or set ngram_order to mix it with counts")
        if len(self.overrides) > self.members:
            raise ValueError(f"overrides: {len(self.overrides)} are given for {self.members} members: raise members, or leave some out")
        if self.members and not self.vary and len({variant.model_dump_json() for variant in self.all_overrides}) < self.members:
            raise ValueError("vary: is empty, and two members have the same overrides: they would be the same model")
        return self

    @property
    def all_overrides(self) -> tuple[Variant, ...]:
        """One for each member."""
        return (*self.overrides, *[Variant()] * (self.members - len(self.overrides)))


class DistillConfig(Section):
    """A student that learns from the text and from teachers: the ensemble's members, other checkpoints, or both."""

    preset: str = Field(default=NONE, description=f"A published setting to start from: {', '.join(RECIPES)}.")
    teachers: tuple[str, ...] = Field(default=(), description="Folders of further checkpoints with the same tokenizer.")
    temperature: float = Field(default=2.0, gt=0, description="Softens the distributions of teachers and student.")
    alpha: float = Field(default=0.5, ge=0, le=1, description="Weight of the text; 1 - alpha is that of the teachers.")
    loss: Literal["scaled", "babyllama"] = Field(
        default="scaled",
        description="scaled: the divergence is a mean per token. babyllama: as published, times the context length.",
    )
    average: Literal["probabilities", "logits"] = Field(default="probabilities", description="What of the teachers is averaged.")
    cache_top_k: int = Field(
        default=0, ge=0, description="So many of the teachers' probabilities are kept on disk; 0 asks them every time."
    )
    student: Variant = Variant()
    compare: bool = Field(default=False, description="Train the same student alone too, for as many steps, and report the difference.")

    @field_validator("preset")
    @classmethod
    def _know_preset(cls, name: str) -> str:
        if name not in (NONE, *RECIPES):
            close = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.4)
            raise ValueError(
                f"no such preset: {name!r}" + (f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(RECIPES)}")
            )
        return name


def wants_ensemble(ensemble: EnsembleConfig) -> bool:
    """Return whether members are to be trained."""
    return ensemble.members >= 1


def wants_student(ensemble: EnsembleConfig, distill: DistillConfig) -> bool:
    """Return whether the released model is a student."""
    return wants_ensemble(ensemble) or bool(distill.teachers)
