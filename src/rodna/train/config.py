"""How to train: settings that are `planned` are proposed by the plan. Imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import Field

from rodna.core.config import Planned, Section

FORMAT_VERSION = 1
"""Of the model artifact and its run folder."""


class _Settled(Section):
    """What nobody needs to plan."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="Of the fresh weights, the order of the text and dropout.")

    optimizer: Literal["muon", "adamw"] = Field(
        default="muon", description="muon: for the matrices of the blocks, with AdamW for the rest."
    )
    adam_betas: tuple[float, float] = Field(default=(0.9, 0.95), description="Decay of AdamW's two moments.")
    muon_momentum: float = Field(default=0.95, ge=0, lt=1)
    clip_norm: float = Field(default=1.0, ge=0, description="Largest norm of the whole gradient; 0 never clips.")
    schedule: Literal["wsd", "cosine"] = Field(
        default="wsd", description="wsd: warm up, stay, decay to zero. cosine: warm up, then half a cosine to a tenth."
    )

    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="Of activations and matrix products; weights are fp32.")
    compile: Literal["auto", "on", "off"] = Field(default="auto", description="auto: where it saves more time than it takes.")

    evaluation_tokens: int = Field(default=131_072, ge=0, description="Most validation tokens scored each time; 0 scores all.")
    patience: int = Field(default=0, ge=0, description="Stop after this many evaluations without a better one; 0 never stops early.")

    log_every: int = Field(default=10, ge=1, description="Steps between two lines in metrics.jsonl.")
    save_minutes: float = Field(default=5.0, gt=0, description="Longest time between two saved states.")
    trackers: tuple[Literal["tensorboard", "wandb"], ...] = Field(default=("tensorboard",), description="Besides metrics.jsonl.")


class TrainConfig(_Settled):
    """One training run, as the user asks for it."""

    steps: Annotated[int, Field(ge=1)] | Planned = Field(default="planned", description="Optimizer steps.")
    batch_size: Annotated[int, Field(ge=1)] | Planned = Field(default="planned", description="Sequences of one optimizer step.")
    micro_batch_size: Annotated[int, Field(ge=1)] | Planned = Field(
        default="planned", description="Sequences of one forward and backward; it changes memory and speed, not the result."
    )
    learning_rate: Annotated[float, Field(gt=0)] | Planned = Field(
        default="planned", description="Peak, of the matrices; with optimizer adamw of everything."
    )
    adam_learning_rate: Annotated[float, Field(gt=0)] | Planned = Field(
        default="planned", description="Peak, of embeddings, head, norms and biases when the matrices have Muon."
    )
    weight_decay: Annotated[float, Field(ge=0)] | Planned = Field(
        default="planned", description="Decoupled, times the learning rate, on matrices; vectors and embeddings are left alone."
    )
    warmup_steps: Annotated[int, Field(ge=0)] | Planned = "planned"
    decay_fraction: Annotated[float, Field(ge=0, le=1)] | Planned = Field(
        default="planned", description="wsd: share of the steps over which the rate falls to zero."
    )
    checkpoint_activations: bool | Planned = Field(default="planned", description="Recompute activations to save memory.")
    evaluations: Annotated[int, Field(ge=1)] | Planned = Field(
        default="planned", description="How often the validation text is scored, spread evenly."
    )


class TrainValues(_Settled):
    """The same settings as the plan wrote them: a plain number in every place."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    micro_batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    adam_learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup_steps: int = Field(ge=0)
    decay_fraction: float = Field(ge=0, le=1)
    checkpoint_activations: bool
    evaluations: int = Field(ge=1)
