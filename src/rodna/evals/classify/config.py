"""How texts are classified; imports nothing heavy."""

from typing import Literal

from pydantic import Field

from rodna.core.config import Section

Method = Literal["few-shot", "linear-probe", "fine-tune"]
METHODS: tuple[Method, ...] = ("few-shot", "linear-probe", "fine-tune")
NGRAM, MAJORITY = "ngram", "majority"
TASK_VERSION = 1
"""Raised whenever the way of measuring changes."""


class ClassifyConfig(Section):
    """How texts are classified, and how sure the numbers are."""

    text: str = Field(description="Column of the text.")
    label: str = Field(description="Column of the label.")
    language: str = Field(description="BCP-47 tag of the texts.")
    methods: tuple[Method, ...] = Field(default=METHODS, min_length=1)
    test_share: float = Field(default=0.2, gt=0, lt=1, description="Of each class, where no file of test items is given.")
    seed: int = Field(default=0, description="Of the split, of shots, of fresh weights, of the bootstrap.")
    runs: int = Field(default=3, ge=1, description="Of the methods that chance decides about: other shots, other fresh weights.")
    bootstrap_samples: int = Field(default=1000, ge=100)
    shots: int = Field(default=4, ge=0, description="Solved examples of each class before a question.")
    template: str = Field(default="{text}\n{label}", description="How an example is written; ends with {label}.")
    separator: str = Field(default="\n\n", description="Between examples.")
    words: dict[str, str] = Field(default_factory=dict, description="Label -> what the model reads in its place.")
    calibration: Literal["contextual", "none"] = "contextual"
    epochs: int = Field(default=8, ge=1, description="Most epochs of fine-tuning.")
    learning_rate: float = Field(default=1e-4, gt=0, description="Of fine-tuning.")
    batch_size: int = Field(default=16, ge=1, description="Texts of a step of fine-tuning.")
