"""Counted n-grams kept with a finished model: a second opinion on what comes next, which costs no training."""

import math
import time
from pathlib import Path
from typing import Any

import torch

from rodna.core.artifact import Artifact
from rodna.core.log import say
from rodna.data.tokens import Tokens
from rodna.evals.models.ensemble import EnsembleModel
from rodna.models.counted import FILE, Weighted, save
from rodna.models.ensemble import load_ensemble
from rodna.models.ngram import NgramModel

UNFITTED_WEIGHT = 0.3
"""Of counts, where there is no validation text to choose it by."""


def add_counts(models: EnsembleModel, train: Tokens, validation: Tokens, *, order: int) -> Weighted:
    """Count the n-grams of the train split, weigh them beside one or several models by the validation split, and mix them in."""
    counts = NgramModel.count(train, order=order)
    counted = models.fit_weight(counts, validation) if validation.num_tokens else Weighted(counts, UNFITTED_WEIGHT)
    models.ensemble.counted = counted
    return counted


def keep_counts(
    checkpoint: Path, tokens: Artifact, out: Path, *, order: int, device: torch.device | str, compute_dtype: torch.dtype
) -> dict[str, Any]:
    """Count for a finished model, and write the counts with their weight into a folder.

    Args:
        checkpoint: the model.
        tokens: the text that it learned.
        out: the folder; it gets `ngram.safetensors`.
        order: of the longest n-grams; 0 counts none.
        device: to score on.
        compute_dtype: of the model's matrix products.

    Returns:
        `counted`: order, number of n-grams, weight and seconds; with a validation split also bits per byte of the model alone, of the
        counts alone, and of both together. Nothing where nothing is counted.
    """
    if not order:
        return {}
    started = time.perf_counter()
    ensemble, tokenizer = load_ensemble([checkpoint], device=device)
    model = EnsembleModel(ensemble, tokenizer, compute_dtype=compute_dtype)
    # One object: a model scores the same split once.
    validation = Tokens.open(tokens.path, "validation")
    counted = add_counts(model, Tokens.open(tokens.path, "train"), validation, order=order)
    save(out / FILE, counted)
    found: dict[str, Any] = {"order": counted.model.order, "ngrams": counted.model.num_ngrams, "weight": counted.weight}
    if bits := validation_bits(model, validation):
        found |= {"bits_per_byte": bits["ensemble"], "model_bits_per_byte": bits["members"][0], "counts_bits_per_byte": bits["counted"]}
        say(f"  with counted n-grams: {bits['ensemble']:.3f} bits per byte of the validation text, without {bits['members'][0]:.3f}")
    return {"counted": {**found, "seconds": time.perf_counter() - started}}


def validation_bits(models: EnsembleModel, validation: Tokens) -> dict[str, Any]:
    """Return the bits per byte of the validation split under all together, under each model, and under the counts where there are any."""
    if not validation.num_tokens:
        return {}
    nats = models.all_document_nats(validation)
    together, alone = nats.bits_per_byte(validation.num_bytes)
    found: dict[str, Any] = {"ensemble": together, "members": alone}
    if nats.counted_S is not None:
        found["counted"] = float(nats.counted_S.sum()) / math.log(2) / validation.num_bytes
    return found
