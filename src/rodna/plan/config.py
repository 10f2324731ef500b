"""What a plan may be told: the time, the machine, and any size the user wants to keep."""

from typing import Literal

from pydantic import Field

from rodna.core.config import Planned, Section


class PlanConfig(Section):
    """How much to spend. Everything else is worked out from the text and the machine."""

    time_budget_minutes: float = Field(
        default=20.0, gt=0, le=60 * 24 * 60, description="Wall-clock minutes of training, its compilation and evaluations included."
    )
    preset: str = Field(default="planned", description="A named size, such as babyllama-16m, instead of a planned one.")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    memory_share: float = Field(default=0.8, gt=0, le=1, description="Largest share of the free memory that training may take.")
    calibration: Literal["measured", "estimated"] = Field(
        default="measured", description="Time real training steps first, or trust a quick measurement of matrix products."
    )


class ModelSection(Section):
    """The model's shape as the user gives it: a number is kept, `planned` is proposed by the plan.

    Behaviour beyond shape (norms, positions, activation) is a preset's or Qwen3's.
    """

    context_length: int | Planned = Field(default="planned", description="Longest sequence in tokens.")
    width: int | Planned = Field(default="planned", description="Features of the residual stream.")
    num_layers: int | Planned = "planned"
    num_heads: int | Planned = "planned"
    num_kv_heads: int | Planned = "planned"
    head_width: int | Planned = "planned"
    ffn_width: int | Planned = "planned"
    tied_embeddings: bool | Planned = "planned"
    dropout: float | Planned = "planned"
