"""How a model is evaluated."""

from typing import Literal

from pydantic import Field

from rodna.core.config import Section
from rodna.core.openai_config import EndpointConfig
from rodna.evals.tasks.config import TaskConfig

FORMAT_VERSION = 2
"""Of the evaluation's files; here, so that it can be read without importing torch."""


class EvalConfig(Section):
    """How a model is evaluated on held-out text it has never seen."""

    seed: int = Field(default=0, description="Of the bootstrap, of sampled training text and of generation.")
    bootstrap_samples: int = Field(default=1000, ge=100, description="Resamples of the held-out documents behind every interval.")
    stride: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="How far the window moves, as a fraction of the context length; a token of a long document sees at least the rest.",
    )
    batch_size: int = Field(default=16, ge=1, description="Full-length windows scored at once.")
    processes: int = Field(
        default=1,
        ge=1,
        exclude=True,
        description="That score side by side on a CPU, each with its copy of the model; the numbers are the same.",
    )
    compute_dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Of matrix products while scoring; bfloat16 is faster where the machine has it."
    )
    ngram_order: int = Field(default=8, ge=1, le=12, description="Longest byte n-gram of the baseline; the best up to it is chosen.")
    baseline_bytes: int = Field(
        default=20_000_000, ge=1000, description="Most training text given to compressors, n-grams and the search for copies."
    )
    num_samples: int = Field(default=24, ge=0, description="Texts generated; half begin like held-out documents, half from nothing.")
    sample_tokens: int = Field(default=128, ge=1, description="Most tokens of a generated text.")
    prompt_characters: int = Field(default=48, ge=1, description="Of a held-out document's beginning that are given as a prompt.")
    temperature: float = Field(default=0.8, ge=0, description="Of the generated texts.")
    top_p: float = Field(default=0.95, gt=0, le=1, description="Of the generated texts.")
    speed: bool = Field(default=False, description="Also measure how fast the model writes, into speed.json; no other number changes.")
    tasks: list[TaskConfig] = Field(
        default_factory=list, description="What the model is asked beside the held-out text; see docs/evaluation."
    )
    endpoint: EndpointConfig = Field(default_factory=EndpointConfig, description="How a server is asked, where the model is behind one.")
