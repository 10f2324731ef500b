"""Settings of a translated benchmark; imports nothing heavy."""

from typing import Literal

from pydantic import Field

from rodna.core.config import Section
from rodna.core.openai_config import EndpointConfig

CheckName = Literal[
    "empty",
    "placeholders",
    "numbers",
    "length_ratio",
    "untranslated",
    "copied_words",
    "language",
    "options",
    "distinct_options",
    "answer_key",
    "round_trip",
    "agreement",
]
"""The reasons for which an item is rejected: each the name of a check (`validate.py`)."""


class BenchmarkConfig(Section):
    """How a benchmark is translated and what is asked of each item."""

    source_language: str = Field(description="BCP-47 tag of the benchmark's own language.")
    language: str = Field(description="BCP-47 tag of the language it is translated into.")
    fields: tuple[str, ...] = Field(min_length=1, description="Fields to translate; dots for nested ones, lists are walked through.")
    options: tuple[str, ...] = Field(
        default=(), description="Those of them that are the answers to choose from; none: lists, or names alike but for the last letter."
    )
    answer: str = Field(default="", description="The field that names or holds the right answer; empty: answer, answerKey, gold or label.")
    licence: str = Field(default="", description="Licence of the benchmark, as an SPDX identifier; the translation inherits it.")
    origin: str = Field(default="", description="Where the benchmark is from.")
    identifier: str = Field(default="builtin", description="Tells languages: `builtin`, `off`, or the path of a model.")
    min_confidence: float = Field(default=0.9, gt=0, le=1, description="A language less probable than this is unknown, not wrong.")
    min_letters: int = Field(default=100, ge=1, description="Items of fewer letters are not taken for a third language.")
    min_round_trip: float = Field(default=50.0, ge=0, le=100, description="Least chrF of an item translated back with its source.")
    min_agreement: float = Field(default=30.0, ge=0, le=100, description="Least chrF of an item's two translations.")
    fence: float = Field(default=3.0, gt=0, description="Quartile distances beyond the quartiles where a batch's outliers begin.")
    endpoint: EndpointConfig = Field(default_factory=EndpointConfig, description="How an OpenAI-compatible server is asked.")
    ignore: tuple[CheckName, ...] = Field(default=(), description="Checks whose failing rejects nothing; they are still written down.")
