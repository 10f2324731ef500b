"""Any causal language model that Hugging Face transformers runs, as a `LanguageModel`.

Shapes: B rows of a batch, T positions, C kept columns, D width, V vocabulary, N scored positions.
"""

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from rodna.core.log import warn
from rodna.evals.likelihood.encoding import Encoded, encode_pairs
from rodna.evals.likelihood.readings import Reading, plan
from rodna.evals.models.hf_open import Opened, open_folder
from rodna.evals.models.model import Score

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rodna.models.generate import Sampling

Side = Literal["left", "right"]
LOGITS_AT_ONCE = 8 * 1024 * 1024
"""Most scores held at once, in float32: 32 MB."""
LONGEST_COUNTED = 2048
"""A batch holds no more tokens than rows of this length: a context of 128k would fill any memory otherwise."""


class TransformersModel:
    """A model and a tokenizer of transformers.

    Texts are encoded without special tokens, so that no text can forge one; before each stands what the tokenizer itself puts there.
    An empty context is the tokenizer's beginning-of-text token, or else its end-of-text token, as in lm-evaluation-harness.

    Args:
        opened: of `open_folder`.
        where: it was opened from, for people to read.
        stride: of the windows over texts longer than the context, as a fraction of it.
        batch_size: full-length windows scored at once.
        padding_side: where shorter rows of a batch are filled up; it changes results by rounding only.
    """

    def __init__(
        self,
        opened: Opened,
        *,
        where: str = "",
        stride: float = 0.5,
        batch_size: int = 16,
        padding_side: Literal["left", "right"] = "right",
    ) -> None:
        self.model, self.tokenizer, self.opened = opened.model, opened.tokenizer, opened
        self.where, self.stride, self.batch_size, self.padding_side = where, stride, batch_size, padding_side
        self.num_unknown = 0
        accepted = inspect.signature(self.model.forward).parameters
        self._takes_positions, self._keeps = "position_ids" in accepted, "logits_to_keep" in accepted
        self._head = self._plain_head()

    @classmethod
    def open(
        cls, folder: Path, *, device: str = "cpu", stride: float = 0.5, batch_size: int = 16, compute_dtype: torch.dtype = torch.float32
    ) -> "TransformersModel":
        """Open a folder; see `open_folder` for errors."""
        opened = open_folder(folder, device=device, dtype=compute_dtype)
        return cls(opened, where=str(folder), stride=stride, batch_size=batch_size)

    @property
    def description(self) -> dict[str, Any]:
        """Return what the model is."""
        vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        digest = hashlib.sha256(json.dumps(sorted(vocabulary.items())).encode()).hexdigest()
        found = {
            "where": self.where,
            "kind": "transformers",
            "family": getattr(self.model.config, "model_type", ""),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "context_length": self.opened.context_length,
            "tokenizer": {"algorithm": type(self.tokenizer).__name__, "vocabulary_size": len(vocabulary), "digest": digest[:16]},
            "start_of_text": self._spelled(self.opened.start_ids or (self.opened.start_id,)),
        }
        if self.opened.end_id < 0:
            found["end_of_text"] = "the model has no token for it: it is not scored"
        if self.num_unknown:
            found["unknown_tokens"] = self.num_unknown
        return found

    def _spelled(self, ids: Sequence[int]) -> str:
        return "".join(map(str, self.tokenizer.convert_ids_to_tokens(list(ids))))

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, without special tokens."""
        if not texts:
            return []
        found = self.tokenizer([_whole(text) for text in texts], add_special_tokens=False, split_special_tokens=True)["input_ids"]
        unknown = self.tokenizer.unk_token_id
        if unknown is not None and unknown not in (self.opened.start_id, self.opened.end_id):
            self._count_unknown(sum(ids.count(unknown) for ids in found))
        return found

    def _count_unknown(self, count: int) -> None:
        if count and not self.num_unknown:
            warn(f"the tokenizer of {self.where} does not know some characters: their cost is that of its one token for all unknown ones")
        self.num_unknown += count

    def score(self, contexts: Sequence[str], continuations: Sequence[str]) -> list[Score]:
        """Return the cost of each continuation after its context; see `encode_pairs` for their tokens."""
        opened = self.opened
        pairs = encode_pairs(self.encode_batch, contexts, continuations, start_id=opened.start_id)
        # No text is encoded as special tokens, so this context is that of an empty one.
        start = opened.start_ids or (opened.start_id,)
        return self._score(
            [
                Encoded(start if tuple(before) == (opened.start_id,) else (*opened.start_ids, *before), tuple(after))
                for before, after in pairs
            ]
        )

    def score_documents(self, texts: Sequence[str]) -> list[Score]:
        """Return the cost of each text as a document: its tokens and, where the model has one, the token that ends it."""
        start = self.opened.start_ids or (self.opened.start_id,)
        end = (self.opened.end_id,) if self.opened.end_id >= 0 else ()
        return self._score([Encoded(start, (*ids, *end)) for ids in self.encode_batch(texts)])

    def _score(self, pairs: Sequence[Encoded]) -> list[Score]:
        context_length = self.opened.context_length
        step = max(1, round(self.stride * context_length))
        plans = [plan(pair, context_length=context_length, step=step) for pair in pairs]
        readings = list(dict.fromkeys(reading for item in plans for reading in item.readings))
        nats = dict(zip(readings, self.reading_nats(readings), strict=True))
        return [
            Score(float(sum(nats[reading].sum() for reading in item.readings)), len(pair.continuation), item.is_cut)
            for item, pair in zip(plans, pairs, strict=True)
        ]

    def reading_nats(self, readings: Sequence[Reading]) -> "list[NDArray[np.float64]]":
        """Return the nats of each scored token of each reading."""
        order = sorted(range(len(readings)), key=lambda index: (-len(readings[index].tokens), readings[index]))
        nats: list[NDArray[np.float64]] = [np.zeros(0)] * len(readings)
        first = 0
        with torch.inference_mode():
            while first < len(order):
                longest = len(readings[order[first]].tokens) - 1
                chosen = order[first : first + self._rows(longest)]
                for index, part in zip(chosen, self._batch_nats([readings[index] for index in chosen]), strict=True):
                    nats[index] = part
                first += len(chosen)
        return nats

    def _rows(self, longest: int) -> int:
        tokens_at_once = self.batch_size * min(self.opened.context_length, LONGEST_COUNTED)
        if self._head is None:
            # The model makes scores of whole columns, so fewer rows must do.
            tokens_at_once = min(tokens_at_once, LOGITS_AT_ONCE // int(self.model.get_input_embeddings().weight.shape[0]))
        return max(1, tokens_at_once // longest)

    def _batch_nats(self, readings: Sequence[Reading]) -> "list[NDArray[np.float64]]":
        longest = max(len(reading.tokens) for reading in readings) - 1
        inputs_BT = torch.full((len(readings), longest), self.opened.start_id)
        mask_BT = torch.zeros_like(inputs_BT)
        targets_BT = torch.full_like(inputs_BT, -1)
        for row, (tokens, scored) in enumerate(readings):
            size = len(tokens) - 1
            start = longest - size if self.padding_side == "left" else 0
            ids = torch.tensor(tokens)
            inputs_BT[row, start : start + size] = ids[:-1]
            mask_BT[row, start : start + size] = 1
            targets_BT[row, start + scored - 1 : start + size] = ids[scored:]
        scored_BT = targets_BT >= 0
        nats_N = self._nats(inputs_BT, mask_BT, targets_BT)
        return np.split(nats_N, np.cumsum(scored_BT.sum(1).numpy())[:-1])

    def _nats(self, inputs_BT: Tensor, mask_BT: Tensor, targets_BT: Tensor) -> "NDArray[np.float64]":
        """Return the nats of each scored target, row by row; only scored positions go through the head where that can be."""
        device = self.model.device
        inputs: dict[str, Any] = {"input_ids": inputs_BT.to(device), "attention_mask": mask_BT.to(device)}
        if self._takes_positions:
            inputs["position_ids"] = (mask_BT.cumsum(1) - 1).clamp(min=0).to(device)
        scored_BT = targets_BT >= 0
        targets_N = targets_BT[scored_BT].to(device)
        if self._head is not None:
            hidden_ND = self._body(**inputs)[0][scored_BT.to(device)]
            rows = max(1, LOGITS_AT_ONCE // self._head.weight.shape[0])
            pieces = (self._head(hidden) for hidden in hidden_ND.split(rows))
            return _costs(pieces, targets_N.split(rows))
        columns_C = scored_BT.any(0).nonzero().flatten()
        if self._keeps:
            logits_BCV = self.model(**inputs, use_cache=False, logits_to_keep=columns_C.to(device)).logits
        else:
            logits_BCV = self.model(**inputs, use_cache=False).logits[:, columns_C.to(device)]
        kept_BC = scored_BT[:, columns_C].to(device)
        counts = kept_BC.sum(1).tolist()
        return _costs((row[kept] for row, kept in zip(logits_BCV, kept_BC, strict=True)), targets_N.split(counts))

    @property
    def _body(self) -> Any:
        return self.model.base_model

    def _plain_head(self) -> Any:
        """Return the head where scores are nothing but its product with the body's features; None where the model does more to them.

        Some models cap, scale or shift scores. Whether one does is tried, not looked up by its name.
        """
        head = self.model.get_output_embeddings()
        if head is None or self._body is self.model or getattr(head, "weight", None) is None:
            return None
        ids = torch.tensor([[self.opened.start_id] * 2 + [1, 0]], device=self.model.device)
        with torch.inference_mode():
            whole = self.model(input_ids=ids, use_cache=False).logits
            body = self._body(input_ids=ids, use_cache=False)[0]
            if body.shape[-1] != head.weight.shape[-1]:
                return None
            scores = head(body)
        return head if scores.shape == whole.shape and torch.allclose(scores, whole, rtol=1e-5, atol=1e-6) else None

    def generate(self, prompts: Sequence[str], sampling: "Sampling") -> list[str]:
        """Return what the model writes after each prompt; the n-th draws from the seed + n, each is written by itself."""
        from rodna.evals.models.hf_generate import Reader, StepEngine
        from rodna.models.generate import generate

        engine = StepEngine(self.opened)
        texts: list[str] = []
        for index, (prompt, ids) in enumerate(zip(prompts, self.encode_batch(prompts), strict=True)):
            reader = Reader(self.opened, ids)
            own = replace(sampling, seed=(sampling.seed + index) % 2**63)
            texts += generate(cast("Any", engine), cast("Any", reader), [prompt], own)
        return texts


def _costs(logits: Any, targets: Sequence[Tensor]) -> "NDArray[np.float64]":
    """Return -ln p of each target, in float32, from pieces of scores (N, V) made one after the other."""
    parts: list[Tensor] = []
    for piece_NV, targets_N in zip(logits, targets, strict=True):
        wide_NV = piece_NV.float()
        parts.append(wide_NV.logsumexp(-1) - wide_NV.gather(-1, targets_N[:, None]).squeeze(-1))
    return torch.cat(parts).double().cpu().numpy()


def _whole(text: str) -> str:
    """Return a text without halves of surrogate pairs, which no tokenizer can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")
