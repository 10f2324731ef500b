"""Say why, setting by setting, in words that someone who has never trained a model can follow."""

from collections.abc import Mapping, Set
from typing import Any

from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.models.config import ModelConfig
from rodna.plan import outlook, rules
from rodna.plan.config import BEHAVIOUR
from rodna.plan.job import Job

GIVEN = "given in project.yaml: kept, and the rest planned around it"


def explain(
    job: Job,
    model: ModelConfig,
    train: Mapping[str, Any],
    estimates: Mapping[str, Any],
    expected: Mapping[str, Any],
    binds: Mapping[str, Any],
    *,
    fixed: Set[str],
    memory: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Return one {setting, value, reason} for each decision.

    Args:
        job: what the plan is made from.
        model: the chosen decoder.
        train: the training settings, plain values.
        estimates: of the whole training.
        expected: the expected bits per byte, with its interval and source.
        binds: what limits the result.
        fixed: settings the user gave, as `section.name`.
        memory: the parts of the memory estimate, in bytes.
    """
    rows = [
        *outlook.rows(job, estimates, expected, binds),
        *_model_rows(model, job, estimates, binds),
        *_training_rows(model, train, job, estimates),
        _memory_row(estimates, memory),
    ]
    return [{"setting": name, "value": value, "reason": GIVEN if name in fixed else reason} for name, value, reason in rows]


def _model_rows(model: ModelConfig, job: Job, estimates: Mapping[str, Any], binds: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    text, config, time = job.text, job.config, human_seconds(job.seconds)
    if config.preset != "planned":
        size = f"the preset {config.preset} has it"
    else:
        larger = (
            f"a larger model reads less of the text in {time}"
            if binds["affordable_epochs"] < binds["useful_epochs"]
            else "a larger model has too many weights for so little text"
        )
        size = (
            f"of the sizes tried, {human_count(model.num_parameters)} parameters should end with the lowest loss: "
            f"{larger}, a smaller one learns less from each token"
        )
    heads = f"{model.num_heads} heads of {model.head_width} features" + (
        f", {model.num_kv_heads} of them with keys and values" if model.num_kv_heads != model.num_heads else ""
    )
    share = model.vocabulary_size * model.width / model.num_parameters
    tied = f"one matrix of {model.vocabulary_size:,} x {model.width} serves as input and output"
    return [
        (
            "tokenizer.vocabulary_size",
            model.vocabulary_size,
            f"the tokenizer's ({text.vocabulary_reason or 'given'}); {text.num_bytes / text.num_tokens:.1f} bytes a token",
        ),
        ("model.width", model.width, size),
        ("model.num_layers", model.num_layers, "goes with the width: together they make the size"),
        ("model.num_heads", model.num_heads, heads),
        (
            "model.ffn_width",
            model.ffn_width,
            ("8/3 of the width, as usual for SwiGLU" if model.ffn == "swiglu" else "4 times the width, as usual without a gate")
            + ", rounded to 32"
            if config.preset == "planned"
            else f"the preset {config.preset} has it",
        ),
        (
            "model.context_length",
            model.context_length,
            f"about {human_bytes(model.context_length * text.num_bytes / text.num_tokens)} of text at once",
        ),
        (
            "model.tied_embeddings",
            model.tied_embeddings,
            f"{tied}: {share:.0%} of all parameters" if model.tied_embeddings else "input and output each have their own matrix",
        ),
        (
            "model.dropout",
            model.dropout,
            (
                "hides a part of what passes between layers, so that a text read often is not learned by heart"
                if model.dropout
                else "none: the text is not read so often that it would be learned by heart"
            )
            + (", as the pilot runs with and without it say" if job.law.knows_dropout else ""),
        ),
        *_behaviour_rows(model, job),
    ]


def _behaviour_rows(model: ModelConfig, job: Job) -> list[tuple[str, Any, str]]:
    """Return a line for whatever is not Qwen3's, and a warning where the whole is of no published family."""
    usual = ModelConfig.model_fields
    others = [name for name in BEHAVIOUR if getattr(model, name) != usual[name].default]
    rows = [(f"model.{name}", getattr(model, name), f"the preset {job.config.preset} has it") for name in others]
    if model.family is None:
        names = [f"model.{name}" for name in others if name != "stochastic_depth"]
        reason = (
            f"with {' and '.join(names) or 'these settings'} it is no Qwen3, LLaMA, GPT-2 or GPT-J: it can be trained, scored, generated "
            "from and be a member or a teacher, but not released as a checkpoint that other tools open. Distill it into a standard student "
            "for that"
        )
        rows.append(("model family", "none", reason))
    return rows


def _training_rows(model: ModelConfig, train: Mapping[str, Any], job: Job, estimates: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    text, choices = job.text, job.choices
    step_tokens = train["batch_size"] * model.context_length
    muon = train.get("optimizer", "muon") != "adamw"
    speed = f"{human_count(estimates['tokens_per_second'])} tokens/s"
    if not job.machine.at_hand:
        how = f"from the data sheet, {job.speeds.efficiency:.0%} of its peak assumed for the matrix products"
    elif job.config.calibration == "measured":
        how = "measured on this machine"
    else:
        how = "estimated from this machine's matrix products"
    found = "found best by the pilot runs on this text" if job.rate_factor != 1 else ""
    return [
        (
            "train.optimizer",
            train.get("optimizer", "muon"),
            "the matrices change by orthogonal steps, the rest by AdamW's: fewer bits than AdamW alone in our runs"
            if muon
            else "AdamW changes everything",
        ),
        (
            "train.schedule",
            train.get("schedule", "wsd"),
            "the rate falls all the way"
            if train.get("schedule") == "cosine"
            else "the rate stays at its peak until the last part of the steps",
        ),
        (
            "train.batch_size",
            train["batch_size"],
            f"{step_tokens:,} tokens a step: small batches learn more from little text; they may grow with the tokens seen",
        ),
        ("train.micro_batch_size", train["micro_batch_size"], "sequences at a time: fits the memory, and more would be no faster"),
        (
            "train.steps",
            train["steps"],
            f"{estimates['epochs']:.1f} passes over {human_count(text.num_tokens)} tokens ({human_bytes(text.num_bytes)}), "
            f"about {human_seconds(estimates['seconds'])} at {speed}, {how}",
        ),
        (
            "train.learning_rate",
            train["learning_rate"],
            found
            or (
                "best in our runs with Muon, less for wider models and for the small batches of short texts"
                if muon
                else "usual for AdamW at this width"
            ),
        ),
        *(
            [("train.adam_learning_rate", train["adam_learning_rate"], "of embeddings, norms and biases: AdamW changes them")]
            if muon
            else []
        ),
        (
            "train.spelling_rate",
            f"{train.get('spelling_rate', 0):g}",
            "times the rate of embeddings, for what tokens that are spelled alike share: a rare one learns from its kin"
            if train.get("spelling_rate")
            else "each token learns by itself",
        ),
        (
            "train.bpe_dropout",
            f"{train.get('bpe_dropout', 0):g}",
            "of the merges are left out until the last steps: a text that is read so often comes in other tokens each time"
            if train.get("bpe_dropout")
            else "the text always comes in the same tokens: other ones pay where it is read more often",
        ),
        (
            "train.weight_decay",
            train["weight_decay"],
            "heavier than usual: the text is read often, and should not be learned by heart"
            if estimates["epochs"] >= choices.repeated_epochs and train["weight_decay"] > choices.weight_decay
            else "light: the text is hardly repeated",
        ),
        ("train.warmup_steps", train["warmup_steps"], "the learning rate rises over these"),
        (
            "train.decay_fraction",
            train.get("decay_fraction"),
            "of the steps, the last ones: the learning rate falls to zero, and much of the gain comes there",
        ),
        (
            "train.evaluations",
            train["evaluations"],
            f"times the validation text is scored, in at most {rules.EVALUATION_SHARE:.0%} of the time where that allows "
            f"{rules.MIN_EVALUATIONS}: the best state is kept",
        ),
        (
            "train.ngram_order",
            train.get("ngram_order", 0),
            "tokens: n-grams are counted up to this length and mixed in where rodna writes; it takes seconds and no training"
            if train.get("ngram_order")
            else "no n-grams are counted beside the model",
        ),
    ]


def _memory_row(estimates: Mapping[str, Any], memory: Mapping[str, int]) -> tuple[str, Any, str]:
    parts = ", ".join(f"{name} {human_bytes(size)}" for name, size in memory.items() if size)
    return ("memory", human_bytes(estimates["memory_bytes"]), f"expected peak: {parts}")
