"""Tiny models with opinions, in folders that both rodna and lm-evaluation-harness' own `hf` model open."""

import json

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from rodna.evals.config import EvalConfig
from rodna.evals.harness.run import HarnessConfig

CONTEXT = 128
SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
ROTARY = {**SHAPE, "num_key_value_heads": 1, "max_position_embeddings": CONTEXT, "initializer_range": 0.3, "eos_token_id": 0}
SETTINGS = EvalConfig(bootstrap_samples=100, batch_size=64)


def make_model(folder, family, texts, *, scale=1.0):
    """Write a model and a tokenizer learnt from some texts.

    Args:
        folder: to write.
        family: "llama", "qwen3" or "gpt2".
        texts: for the tokenizer.
        scale: of the output weights; with 0 every token is equally likely.
    """
    tokenizer = learn_tokenizer(texts)
    tokenizer.save_pretrained(folder)
    # No more than the tokenizer has: ours never writes a token without a text, transformers does.
    size = {"vocab_size": len(tokenizer)}
    torch.manual_seed(5)
    if family == "gpt2":
        config = transformers.GPT2Config(
            **size, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0, initializer_range=0.3,
            tie_word_embeddings=False,
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config)
    elif family == "qwen3":
        config = transformers.Qwen3Config(**ROTARY, **size, head_dim=16, bos_token_id=None, tie_word_embeddings=False)
        model = transformers.Qwen3ForCausalLM(config)
    else:
        config = transformers.LlamaConfig(**ROTARY, **size, bos_token_id=0, tie_word_embeddings=False)
        model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(scale)
    model.eval().save_pretrained(folder)
    return folder


def learn_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>")


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def harness(*tasks, settings=SETTINGS, **more):
    return HarnessConfig(tasks=list(tasks), eval=settings, **more)


def numbers(evaluation):
    """Return (task, metric) -> value of every measurement."""
    return {(item.task, item.metric): float(item.numerator_N.sum() / item.denominator_N.sum()) for item in evaluation.measurements}


def reported(evaluation):
    """Return (task, metric) -> what the harness itself says."""
    return {(item.task, item.metric): item.detail["harness_value"] for item in evaluation.measurements}
