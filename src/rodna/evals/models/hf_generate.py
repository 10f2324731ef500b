"""What `models.generate` needs of a model and a tokenizer, made of transformers' own: so that all models write by the same rules."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rodna.evals.models.hf_open import Opened

UNFINISHED = "\ufffd"
"""What decoding shows for a character whose bytes have not all arrived."""


class StepEngine:
    """One sequence at a time, with a cache of what has been read.

    Args:
        opened: the model.
    """

    num_slots = 1

    def __init__(self, opened: Opened) -> None:
        self.capacity = opened.context_length
        self._model = opened.model
        self._num_tokens = max(opened.tokenizer.get_vocab().values()) + 1
        self._cache: Any = None
        self._tokens: list[int] = []
        self._scores_V = torch.zeros(0)

    def start(self, tokens: Sequence[int], slot: int = 0) -> Tensor:
        """Read a sequence from its beginning; return the scores of what follows."""
        self._cache, self._tokens = None, []
        return self._read(tokens)

    def step(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """Add one token; return the scores (1, V) of what follows. A position that has been read is not read again."""
        return (self._scores_V if positions[0] < len(self._tokens) else self._read(tokens))[None]

    def move(self, source: int, target: int) -> None:
        """Do nothing: there is one slot."""

    @torch.inference_mode()
    def _read(self, tokens: Sequence[int]) -> Tensor:
        self._tokens += tokens
        # What keeps no cache of this kind reads everything again.
        new = self._tokens if self._cache is None else tokens
        memory = {} if self._cache is None else {"past_key_values": self._cache}
        found = self._model(input_ids=torch.tensor([list(new)], device=self._model.device), use_cache=True, **memory)
        self._cache = found.get("past_key_values")
        self._scores_V = found.logits[0, -1, : self._num_tokens].float().cpu()
        return self._scores_V


class Reader:
    """The tokens of one prompt, and the text of those that follow.

    Args:
        opened: model and tokenizer.
        prompt_ids: without special tokens.
    """

    def __init__(self, opened: Opened, prompt_ids: Sequence[int]) -> None:
        self._opened = opened
        self._prompt = list(prompt_ids)
        # A model without an end writes until it has written enough.
        self.end_of_text_id = opened.end_id

    def encode(self, text: str) -> list[int]:
        """Return the tokens that the model begins with."""
        start = self._opened.start_ids if self._prompt else self._opened.start_ids or (self._opened.start_id,)
        return [*start, *self._prompt]

    def stream(self) -> "_Text":
        """Return what decodes new tokens, after the prompt."""
        return _Text(self._opened.tokenizer, self._prompt)


class _Text:
    """Decodes new tokens after the prompt's: many tokenizers write a word's first piece differently at the beginning of a text."""

    def __init__(self, tokenizer: Any, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(prompt)
        self._shown = len(self._decode().rstrip(UNFINISHED))

    def _decode(self) -> str:
        return self._tokenizer.decode(self._ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def push(self, number: int) -> str:
        """Return the text that has become certain with this token."""
        self._ids.append(number)
        text = self._decode()
        return "" if text.endswith(UNFINISHED) else self._show(text)

    def flush(self) -> str:
        """Return what is left, unfinished characters as U+FFFD."""
        return self._show(self._decode())

    def _show(self, text: str) -> str:
        piece = text[self._shown :]
        self._shown = max(self._shown, len(text))
        return piece
