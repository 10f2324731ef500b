"""What a plan may be told: the time or the money, the machine, and any size the user wants to keep."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from rodna.core.config import Planned, Section
from rodna.plan.gpus import find_gpu

THIS_MACHINE = "this machine"
MOST_MINUTES = 60 * 24 * 60
SAME_MINUTES = 0.01
"""A time and the time that the money pays contradict each other where they differ by more than this share."""


class PlanConfig(Section):
    """How much to spend. Everything else is worked out from the text and the machine."""

    time_budget_minutes: float = Field(
        default=20.0, gt=0, le=MOST_MINUTES, description="Wall-clock minutes of training, its compilation and evaluations included."
    )
    money_budget: float = Field(default=0.0, ge=0, description="Money instead of minutes, in the currency of the price; 0: by minutes.")
    price_per_hour: float = Field(default=0.0, ge=0, description="What an hour of the machine costs; 0: nothing, or not known.")
    currency: str = Field(default="", max_length=12, description="Of price and budget, e.g. EUR or $; written after amounts as it is.")
    hardware: str = Field(default=THIS_MACHINE, description="A GPU to plan for instead, from its data sheet: h100, a100-80gb, 4090, l4.")
    mfu: float = Field(
        default=0.0, ge=0, le=1, description="Share of the named GPU's peak that training's matrix products reach; 0: the usual 0.4."
    )
    recipe: Literal["planned", "data-limited", "compute-limited"] = Field(
        default="planned", description="The training choices; planned takes data-limited below 200 MB of text."
    )
    preset: str = Field(default="planned", description="A named size, such as babyllama-16m, instead of a planned one.")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    memory_share: float = Field(default=0.8, gt=0, le=1, description="Largest share of the free memory that training may take.")
    calibration: Literal["measured", "estimated"] = Field(
        default="measured", description="Time real training steps first, or trust a quick measurement of matrix products."
    )

    @field_validator("hardware", mode="before")
    @classmethod
    def _take_a_number(cls, name: object) -> object:
        # YAML reads 4090 as a number.
        return str(name) if isinstance(name, int) else name

    @field_validator("hardware")
    @classmethod
    def _know_the_gpu(cls, name: str) -> str:
        return THIS_MACHINE if name == THIS_MACHINE else find_gpu(name)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.money_budget and not self.price_per_hour:
            raise ValueError("money_budget needs price_per_hour, what an hour of the machine costs")
        if self.money_budget and "time_budget_minutes" in self.model_fields_set:
            paid = self.minutes
            if abs(paid / self.time_budget_minutes - 1) > SAME_MINUTES:
                raise ValueError(
                    f"money_budget pays for {paid:.4g} minutes, time_budget_minutes says {self.time_budget_minutes:g}: give one of them"
                )
        if self.minutes > MOST_MINUTES:
            raise ValueError(
                f"money_budget pays for {self.minutes / 60:,.0f} hours; {MOST_MINUTES // 60:,} are the most a plan is made for"
            )
        if self.hardware != THIS_MACHINE and self.device == "cpu":
            raise ValueError(f"hardware {self.hardware} is a GPU, and device says cpu: give one of them")
        if self.mfu and self.hardware == THIS_MACHINE:
            raise ValueError("mfu is for a named GPU (hardware); this machine is measured")
        return self

    @property
    def minutes(self) -> float:
        """Wall-clock minutes to spend: those given, or those that the money pays."""
        return 60 * self.money_budget / self.price_per_hour if self.money_budget else self.time_budget_minutes


Size = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class ModelSection(Section):
    """The model as the user gives it: a value is kept, `planned` is proposed by the plan.

    Of shapes the plan proposes numbers; behaviour is the preset's, or where there is none Qwen3's. Positions and biases are always so.
    """

    context_length: Size | Planned = Field(default="planned", description="Longest sequence in tokens.")
    width: Size | Planned = Field(default="planned", description="Features of the residual stream.")
    num_layers: Size | Planned = "planned"
    num_heads: Size | Planned = "planned"
    num_kv_heads: Size | Planned = "planned"
    head_width: Size | Planned = "planned"
    ffn_width: Size | Planned = "planned"
    tied_embeddings: bool | Planned = "planned"
    dropout: Share | Planned = "planned"

    norm: Literal["rms", "layer"] | Planned = "planned"
    qk_norm: bool | Planned = Field(default="planned", description="Normalise each query and key head before rotating it.")
    ffn: Literal["swiglu", "gelu", "relu2"] | Planned = Field(default="planned", description="relu2: the square of a ReLU, without a gate.")
    stochastic_depth: Share | Planned = Field(
        default="planned", description="Chance that the last layer is left out for a row while training; earlier layers less."
    )
    attention_gates: bool | Planned = Field(default="planned", description="A learnt gate on each head's output.")
    value_residual: Literal["none", "first_layer", "embedding"] | Planned = Field(
        default="planned", description="Mix the first layer's values, or the embedding, into each layer's values."
    )
    unet_skips: bool | Planned = Field(default="planned", description="Add outputs of the first half's layers to inputs of the second's.")
    residual_scalars: bool | Planned = Field(default="planned", description="Learnt scalars of the stream and of the embedding.")
    logit_softcap: Annotated[float, Field(ge=0)] | Planned = Field(
        default="planned", description="Logits stay within plus and minus this; 0 is off."
    )
    layer_loops: Size | Planned = Field(default="planned", description="How often the middle third of the layers is run.")


BEHAVIOUR = (
    "norm", "qk_norm", "ffn", "stochastic_depth", "attention_gates", "value_residual", "unet_skips", "residual_scalars", "logit_softcap",
    "layer_loops",
)  # fmt: skip
"""Fields of the model that are no size: the plan chooses none of them."""
