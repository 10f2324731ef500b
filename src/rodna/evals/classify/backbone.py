"""A model's features of texts: what classifiers are built on.

Shapes: B rows of a batch, T positions, D width, N texts.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rodna.core.errors import EvaluationError
from rodna.evals.models.model import DecoderModel, LanguageModel

TOKENS_AT_ONCE = 8192
MIDDLE, LAST = "middle layer", "last layer"
MEAN, FINAL = "mean over tokens", "last token"


@dataclass(frozen=True)
class Backbone:
    """A causal model without its head.

    Attributes:
        module: what is trained when it is fine-tuned.
        hidden: (module, tokens_BT) -> name of a layer -> its output (B, T, D), float32. No position sees a later one, so rows may be
            filled up on the right.
        encode: texts to token ids.
        start: tokens that stand before every text.
        context_length: most tokens read at once, those of the start among them.
    """

    module: nn.Module
    hidden: Callable[[nn.Module, Tensor], dict[str, Tensor]]
    encode: Callable[[list[str]], Sequence[Sequence[int]]]
    start: tuple[int, ...]
    context_length: int

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def copied(self) -> "Backbone":
        """Return one that may be trained, in float32, and leaves the model as it is."""
        return Backbone(deepcopy(self.module).float(), self.hidden, self.encode, self.start, self.context_length)

    def pieces(self, text: str) -> list[list[int]]:
        """Return a text as rows of tokens that fit the context, each after the start."""
        (ids,) = self.encode([text])
        room = self.context_length - len(self.start)
        return [[*self.start, *ids[begin : begin + room]] for begin in range(0, max(1, len(ids)), room)]


def backbone_of(model: LanguageModel) -> Backbone:
    """Return the body of a model that runs in this process.

    Raises:
        EvaluationError: it is behind an address, or an ensemble: there is no one body.
    """
    from rodna.evals.models.hf_model import TransformersModel

    if isinstance(model, DecoderModel):
        dtype = model.compute_dtype

        def decoder_hidden(module: nn.Module, tokens_BT: Tensor) -> dict[str, Tensor]:
            return _decoder_hidden(module, tokens_BT, dtype if not module.training else torch.float32)

        start = (model.tokenizer.end_of_text_id,)
        return Backbone(model.decoder, decoder_hidden, model.tokenizer.encode_batch, start, model.decoder.config.context_length)
    if isinstance(model, TransformersModel):
        opened = model.opened
        start = opened.start_ids or (opened.start_id,)
        return Backbone(opened.model, _transformers_hidden, model.encode_batch, start, opened.context_length)
    kind = model.description.get("kind", type(model).__name__)
    raise EvaluationError(
        f"a model of kind {kind!r} gives no features: linear-probe and fine-tune need its weights in this process",
        where=str(model.description.get("where", "--model")),
        fix="choose --method few-shot, or give the folder of one checkpoint",
    )


def features(backbone: Backbone, texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return features of texts by several ways of pooling: name -> (N, D).

    A text longer than the context is read in pieces; its mean is over the tokens of all, its last token that of the last. The tokens
    before a text are left out of the mean, unless there is nothing else.

    Args:
        backbone: used in evaluation mode, and left in the mode it was in.
        texts: any number.

    Raises:
        EvaluationError: a feature is not finite.
    """
    rows = [(number, piece) for number, text in enumerate(texts) for piece in backbone.pieces(text)]
    # The rows of one text keep their order; the stable sort by length is of batches only, so results are the same up to rounding.
    order = sorted(range(len(rows)), key=lambda index: len(rows[index][1]))
    sums: dict[str, list[Any]] = {}
    finals: dict[str, list[tuple[int, Any]]] = {}
    counts = np.zeros(len(texts))
    was_training = backbone.module.training
    backbone.module.eval()
    try:
        with torch.inference_mode():
            for chosen in _batches(order, [len(piece) for _, piece in rows]):
                tokens_BT, counted_BT = padded([rows[index][1] for index in chosen], len(backbone.start), backbone.device)
                last_B = torch.tensor([len(rows[index][1]) - 1 for index in chosen], device=backbone.device)
                for layer, hidden_BTD in backbone.hidden(backbone.module, tokens_BT).items():
                    total_BD = (hidden_BTD * counted_BT[..., None]).sum(dim=1).double().cpu().numpy()
                    final_BD = hidden_BTD[torch.arange(len(chosen), device=backbone.device), last_B].double().cpu().numpy()
                    sums.setdefault(layer, [0.0] * len(texts))
                    finals.setdefault(layer, [(-1, 0.0)] * len(texts))
                    for row, index in enumerate(chosen):
                        text = rows[index][0]
                        sums[layer][text] = sums[layer][text] + total_BD[row]
                        finals[layer][text] = max(finals[layer][text], (index, final_BD[row]), key=lambda pair: pair[0])
                for row, index in enumerate(chosen):
                    counts[rows[index][0]] += float(counted_BT[row].sum())
    finally:
        backbone.module.train(was_training)
    found = {
        f"{layer}, {pooling}": np.array(values)
        for layer in sums
        for pooling, values in (
            (MEAN, [total / count for total, count in zip(sums[layer], counts, strict=True)]),
            (FINAL, [vector for _, vector in finals[layer]]),
        )
    }
    if not all(np.isfinite(values).all() for values in found.values()):
        raise EvaluationError(
            "the model's features are not finite numbers",
            where="linear-probe",
            fix="choose another checkpoint: the weights of this one are broken, or its compute dtype overflows",
        )
    return found


def padded(rows: Sequence[Sequence[int]], num_start: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return rows filled up on the right, int64 (B, T), and 1.0 where a token of the text stands, (B, T)."""
    longest = max(map(len, rows))
    tokens_BT = torch.tensor([[*row, *[row[0]] * (longest - len(row))] for row in rows], device=device)
    counted_BT = torch.zeros(tokens_BT.shape, device=device)
    for number, row in enumerate(rows):
        counted_BT[number, min(num_start, len(row) - 1) : len(row)] = 1.0
    return tokens_BT, counted_BT


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut indices, sorted by length, into batches of a bounded number of tokens."""
    batches: list[list[int]] = []
    for index in order:
        if batches and (len(batches[-1]) + 1) * lengths[index] <= TOKENS_AT_ONCE:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def _decoder_hidden(module: nn.Module, tokens_BT: Tensor, dtype: torch.dtype) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    blocks: Any = module.blocks

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        found[MIDDLE] = output[0].float()

    handle = blocks[(len(blocks) - 1) // 2].register_forward_hook(keep)
    try:
        found[LAST] = module(tokens_BT, compute_dtype=dtype).float()
    finally:
        handle.remove()
    return found


def _transformers_hidden(module: nn.Module, tokens_BT: Tensor) -> dict[str, Tensor]:
    model: Any = module
    body = model.base_model
    outputs = body(input_ids=tokens_BT, output_hidden_states=True, use_cache=False)
    states: Any = getattr(outputs, "hidden_states", None)
    if body is model:
        return {LAST: states[-1].float()}
    found = {LAST: outputs[0].float()}
    if states:
        found[MIDDLE] = states[len(states) // 2].float()
    return found
