"""How to train: settings that are `planned` are proposed by the plan. Imports nothing heavy."""

from typing import Annotated, Literal

from pydantic import Field

from rodna.core.config import Planned, Section

FORMAT_VERSION = 1
"""Of the model artifact and its run folder."""


KEPT = "kept-"
"""Begins the names of the checkpoints that `keep_checkpoints` leaves in a run's folder."""


class _Settled(Section):
    """What nobody needs to plan."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="Of the fresh weights, the order of the text and dropout.")

    optimizer: Literal["muon", "normuon", "adamw"] = Field(
        default="muon",
        description="muon: for the matrices of the blocks, with AdamW for the rest. normuon: Muon with rows of even size. adamw: for all.",
    )
    muon_momentum: float = Field(default=0.95, ge=0, lt=1)
    muon_orthogonalization: Literal["newton_schulz", "polar_express"] = Field(
        default="newton_schulz", description="polar_express: coefficients made for each of the five iterations."
    )
    adam_betas: tuple[float, float] = Field(default=(0.9, 0.95), description="Decay of AdamW's two moments.")
    adam_epsilon: float = Field(default=1e-8, gt=0, description="Added to the root of AdamW's second moment.")
    cautious_weight_decay: bool = Field(default=False, description="Decay only the numbers that the update makes smaller anyway.")
    weight_decay_schedule: Literal["constant", "linear"] = Field(
        default="constant", description="Of the weight decays themselves, besides the learning rate. linear: falls to zero over the run."
    )
    embedding_weight_decay: float = Field(
        default=0.0, ge=0, description="Of embeddings and head, as weight_decay is of the matrices; norms and biases never decay."
    )
    spelling_rate: float = Field(
        default=0.0,
        ge=0,
        description="Tokens that are spelled alike share what they learn, at so many times the rate of embeddings; 0: each is by itself.",
    )
    clip_norm: float = Field(default=1.0, ge=0, description="Largest norm of the whole gradient; 0 never clips.")
    schedule: Literal["wsd", "sqrt", "cosine"] = Field(
        default="wsd",
        description="wsd: warm up, stay, decay linearly to zero. sqrt: the same, decaying as 1 - sqrt, fast at first. "
        "cosine: warm up, then half a cosine to a tenth.",
    )
    averaging: Literal["none", "ema", "swa"] = Field(
        default="none",
        description="Evaluate and release an average of the weights. ema: an exponential one, over the whole run. "
        "swa: the mean over the last steps.",
    )
    averaging_fraction: float = Field(
        default=0.2,
        gt=0,
        le=1,
        description="Share of the run that the average spans: of swa its window, of ema the window of equal mean age.",
    )

    future_tokens: int = Field(default=1, ge=1, description="How many coming tokens each position predicts; 1: the next one only.")
    future_weight: float = Field(default=0.3, ge=0, description="Weight of each prediction beyond the next token in the loss.")
    masked_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of the sequences learned as masked next-token prediction instead of causally."
    )
    mask_rate: float = Field(default=0.15, gt=0, lt=1, description="Share of the tokens masked in those sequences.")
    counted_share: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the loss that is of tokens drawn from counted n-grams of the text, so that less of it is learned by heart.",
    )
    ngram_order: int = Field(
        default=0,
        ge=0,
        le=8,
        description="Keep counts of n-grams of up to so many tokens beside the model, which have their share of the probability when it "
        "writes in rodna; 0 counts none.",
    )
    curriculum: Literal["none", "short_first", "context_grows"] = Field(
        default="none", description="short_first: short documents come first. context_grows: sequences start short."
    )

    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="Of activations and matrix products; weights are fp32.")
    compile: Literal["auto", "on", "off"] = Field(default="auto", description="auto: where it saves more time than it takes.")

    evaluation_tokens: int = Field(default=131_072, ge=0, description="Most validation tokens scored each time; 0 scores all.")
    patience: int = Field(default=0, ge=0, description="Stop after this many evaluations without a better one; 0 never stops early.")

    log_every: int = Field(default=10, ge=1, description="Steps between two lines in metrics.jsonl.")
    save_minutes: float = Field(default=5.0, gt=0, description="Longest time between two saved states.")
    keep_checkpoints: int = Field(
        default=0, ge=0, description="Checkpoints kept on the way, spread evenly and the last one among them: `rodna eval --checkpoints`."
    )
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
        default="planned", description="Decoupled, times the learning rate, on the matrices of the blocks."
    )
    bpe_dropout: Annotated[float, Field(ge=0, lt=1)] | Planned = Field(
        default="planned",
        description="How likely a merge of the tokenizer is left out, but for the last passes: a text read again comes in other tokens.",
    )
    warmup_steps: Annotated[int, Field(ge=0)] | Planned = "planned"
    decay_fraction: Annotated[float, Field(ge=0, le=1)] | Planned = Field(
        default="planned", description="wsd, sqrt: share of the steps over which the rate falls to zero."
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
    bpe_dropout: float = Field(default=0.0, ge=0, lt=1)
    warmup_steps: int = Field(ge=0)
    decay_fraction: float = Field(ge=0, le=1)
    checkpoint_activations: bool
    evaluations: int = Field(ge=1)
