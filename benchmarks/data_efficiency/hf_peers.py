"""Peers trained by the Hugging Face Trainer, as their authors did: BabyLlama's student and Goldfish's small model."""

import tempfile
import time
from typing import Any

import numpy as np
import torch
from benchmarks.data_efficiency.peers import EVALUATIONS, Keeper, OnStep, Trained
from benchmarks.data_efficiency.recipes import PeerRecipe
from torch import Tensor, nn

from rodna.data.tokens import Tokens


class Chunks(torch.utils.data.Dataset):
    """The joined documents, cut into sequences; what is left over at the end is not used."""

    def __init__(self, tokens: Tokens, context: int) -> None:
        count = max(1, tokens.num_tokens // context)
        self.rows = np.resize(np.asarray(tokens.tokens[: tokens.num_tokens], dtype=np.int64), (count, context))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        ids = torch.from_numpy(self.rows[index])
        return {"input_ids": ids, "labels": ids}


def build(recipe: PeerRecipe, vocabulary: int, end_of_text: int) -> Any:
    """Return the model of the recipe, freshly initialised by transformers."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    ends: dict[str, Any] = {"bos_token_id": end_of_text, "eos_token_id": end_of_text}
    if recipe.architecture == "llama":
        return LlamaForCausalLM(LlamaConfig(
            vocab_size=vocabulary, hidden_size=recipe.width, num_hidden_layers=recipe.layers, num_attention_heads=recipe.heads,
            intermediate_size=recipe.ffn_width or 4 * recipe.width, max_position_embeddings=2 * recipe.context, **ends,
        ))  # fmt: skip
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=vocabulary, n_embd=recipe.width, n_layer=recipe.layers, n_head=recipe.heads, n_inner=recipe.ffn_width or None,
        n_positions=recipe.context, resid_pdrop=recipe.dropout, embd_pdrop=recipe.dropout, attn_pdrop=recipe.dropout, **ends,
    ))  # fmt: skip


def train_hf(
    recipe: PeerRecipe,
    train: Tokens,
    validation: Tokens,
    *,
    steps: int,
    seed: int,
    device: torch.device,
    compiled: bool = False,
    evaluations: int = EVALUATIONS,
    on_step: OnStep = lambda _: False,
) -> Trained:
    """Train with the Trainer for so many steps, the schedule ending with them; return the weights that did best on validation."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    started = time.perf_counter()
    torch.manual_seed(seed)
    model = build(recipe, train.vocabulary_size, train.end_of_text_id)
    keeper = Keeper(model, lambda tokens_BT: model(input_ids=tokens_BT).logits)

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            step = state.global_step
            if evaluations and step * evaluations // steps > (step - 1) * evaluations // steps:
                keeper.see(step, model, validation, context=recipe.context, device=device)
            control.should_training_stop |= on_step(step)
            return control

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=recipe.batch, max_steps=steps, learning_rate=recipe.learning_rate,
            lr_scheduler_type=recipe.schedule, warmup_steps=warmup_steps(recipe, steps), weight_decay=recipe.weight_decay,
            adam_beta1=recipe.betas[0], adam_beta2=recipe.betas[1], max_grad_norm=recipe.clip, bf16=recipe.precision == "bf16", seed=seed,
            use_cpu=device.type == "cpu", torch_compile=compiled, report_to=[], save_strategy="no", logging_steps=50, disable_tqdm=True,
            dataloader_pin_memory=device.type != "cpu",
        )  # fmt: skip
        trainer = Trainer(model=model, args=arguments, train_dataset=Chunks(train, recipe.context), callbacks=[Watch()])
        trainer.train()
    keeper.restore()
    model.eval()
    return Trained(keeper.logits, _count(model), keeper.curve, keeper.best_step, time.perf_counter() - started)


def warmup_steps(recipe: PeerRecipe, steps: int) -> int:
    """Return the steps of warm-up: the recipe's, but at most a tenth of all."""
    return int(min(max(recipe.warmup_steps, recipe.warmup_share * steps), steps // 10))


def _count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
