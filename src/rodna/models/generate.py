"""Generation: how the next token is chosen, streaming text, and many prompts at once.

When a sequence fills the model's context, its oldest half is forgotten and the newer half is read again, from position 0; the model
then sees between half of its context and all of it. A prompt longer than the context loses its beginning.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rodna.core.errors import ConfigError
from rodna.models.counted import Weighted
from rodna.models.decoder import Decoder
from rodna.models.engine import Engine
from rodna.models.ensemble import Ensemble, EnsembleEngine
from rodna.tokenizer.tokenizer import Tokenizer

BATCH_SIZE = 8
AnyEngine = Engine | EnsembleEngine


@dataclass(frozen=True)
class Sampling:
    """How text is continued. The same values and seed give the same text on the same machine.

    Args:
        temperature: divides the scores; 0 takes the likeliest token each time.
        top_k: only the k likeliest tokens are candidates; 0 keeps all.
        top_p: only the likeliest tokens that together reach this probability; 1 keeps all. Reference: Holtzman et al. 2020,
            arXiv:1904.09751.
        min_p: only tokens at least this fraction as likely as the likeliest; 0 keeps all. Reference: Nguyen et al. 2024, arXiv:2407.01082.
        repetition_penalty: makes tokens already in the text less likely; 1 leaves them. Reference: Keskar et al. 2019, arXiv:1909.05858.
        seed: of the random draws; the n-th prompt of a batch draws from seed + n.
        max_tokens: most tokens of new text.
        stop: text ends before the first of these strings, none of which is ever shown, not even in part.

    Raises:
        ConfigError: with every value that cannot be.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    max_tokens: int = 200
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.stop, list):
            object.__setattr__(self, "stop", tuple(self.stop))
        problems = [
            f"{name} is {getattr(self, name)!r}; it must be {'a whole number ' if whole else ''}{wanted}"
            for name, (whole, fits, wanted) in _LIMITS.items()
            if not _is_number(getattr(self, name), whole=whole) or not fits(getattr(self, name))
        ]
        if not isinstance(self.stop, tuple) or not all(isinstance(item, str) and item for item in self.stop):
            problems.append(f"stop is {self.stop!r}; it must be a list of strings that are not empty")
        if problems:
            what = f"{len(problems)} sampling setting{'s' * (len(problems) > 1)} cannot be: {'; '.join(problems)}"
            raise ConfigError(what, where="sampling", fix="correct each of them")


_LIMITS: dict[str, tuple[bool, Callable[[float], bool], str]] = {
    "temperature": (False, lambda value: value >= 0, "at least 0"),
    "top_k": (True, lambda value: value >= 0, "at least 0"),
    "top_p": (False, lambda value: 0 < value <= 1, "above 0 and at most 1"),
    "min_p": (False, lambda value: 0 <= value <= 1, "from 0 to 1"),
    "repetition_penalty": (False, lambda value: value > 0, "above 0"),
    "seed": (True, lambda value: 0 <= value < 2**63, "from 0 to 2^63 - 1"),
    "max_tokens": (True, lambda value: value >= 0, "at least 0"),
}
"""Setting -> whether it is a whole number, which values it may have, and these in words."""


def _is_number(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    return math.isfinite(value)


def stream(model: Decoder | AnyEngine, tokenizer: Tokenizer, prompt: str, sampling: Sampling) -> Iterator[str]:
    """Continue a prompt, yielding whole characters as soon as they are certain.

    Args:
        model: a decoder, or, to answer many prompts without laying out its weights each time, an `Engine` made of it;
            of an ensemble, its `EnsembleEngine`.
        tokenizer: the model's.
        prompt: any text; where it is empty the model begins a document.
        sampling: how tokens are chosen.
    """
    engine = make_engine(model, tokenizer) if isinstance(model, Decoder) else model
    row = _Row(engine, tokenizer, prompt, sampling, seed=sampling.seed)
    if row.finished:
        return
    scores_V = row.begin(slot=0)
    while True:
        piece = row.push(choose(scores_V, sampling, row.tokens, row.random))
        if piece:
            yield piece
        if row.finished:
            return
        scores_V = row.begin(slot=0) if row.is_full else engine.step((row.tokens[-1],), (row.advance(),))[0]


def generate(
    model: Decoder | AnyEngine, tokenizer: Tokenizer, prompts: Sequence[str], sampling: Sampling, *, batch_size: int = BATCH_SIZE
) -> list[str]:
    """Continue many prompts; return only the new text of each, in order.

    Every prompt is read alone, without padding, and a finished text's place is taken by the next prompt at once. The batch size
    changes the order of floating-point sums and nothing else: under greedy choice the text is the same at any.

    Args:
        model: a decoder, or an engine made of it or of an ensemble, whose number of slots then is the batch size.
        tokenizer: the model's.
        prompts: any texts.
        sampling: how tokens are chosen.
        batch_size: texts written at once.
    """
    engine = make_engine(model, tokenizer, num_slots=max(1, min(batch_size, len(prompts)))) if isinstance(model, Decoder) else model
    rows = [_Row(engine, tokenizer, prompt, sampling, seed=(sampling.seed + index) % 2**63) for index, prompt in enumerate(prompts)]
    texts: list[list[str]] = [[] for _ in rows]
    waiting = [index for index, row in enumerate(rows) if not row.finished][::-1]
    active: list[int] = []
    while waiting or active:
        while waiting and len(active) < engine.num_slots:
            index = waiting.pop()
            row = rows[index]
            texts[index].append(row.push(choose(row.begin(slot=len(active)), sampling, row.tokens, row.random)))
            if not row.finished:
                active.append(index)
        if active:
            _advance(engine, rows, active, texts, sampling)
    return ["".join(pieces) for pieces in texts]


def make_engine(
    decoder: Decoder, tokenizer: Tokenizer, *, num_slots: int = 1, half: bool = False, counted: Weighted | None = None
) -> AnyEngine:
    """Lay out a decoder's weights for generating with its tokenizer.

    Args:
        decoder: copied.
        tokenizer: the model's.
        num_slots: texts written at once.
        half: keep the weights in float16: the faster choice for talking with a model on a CPU; see `Engine`.
        counted: n-grams that have their share of the probability.
    """
    num_tokens = min(tokenizer.vocabulary_size, decoder.config.vocabulary_size)
    if counted is None:
        return Engine(decoder, num_tokens=num_tokens, num_slots=num_slots, half=half)
    return EnsembleEngine(Ensemble([decoder], counted=counted), num_tokens=num_tokens, num_slots=num_slots, half=half)


def _advance(engine: AnyEngine, rows: list["_Row"], active: list[int], texts: list[list[str]], sampling: Sampling) -> None:
    """Write one token of every active text; finished ones leave `active`, the last one taking their slot."""
    fresh = {slot: rows[index].begin(slot=slot) for slot, index in enumerate(active) if rows[index].is_full}
    # A row just begun again has its newest token in the cache: its place in the step is a repeat whose result is not used.
    tokens = [rows[index].tokens[-1] for index in active]
    positions = [rows[index].length - 1 if slot in fresh else rows[index].advance() for slot, index in enumerate(active)]
    scores_BV = engine.step(tokens, positions)
    best = scores_BV.argmax(-1).tolist() if sampling.temperature == 0 and sampling.repetition_penalty == 1 else None
    for slot in reversed(range(len(active))):
        index = active[slot]
        row = rows[index]
        if best is not None and slot not in fresh:
            texts[index].append(row.push(best[slot]))
        else:
            texts[index].append(row.push(choose(fresh.get(slot, scores_BV[slot]), sampling, row.tokens, row.random)))
        if row.finished:
            last = active.pop()
            if slot < len(active):
                active[slot] = last
                engine.move(len(active), slot)


class _Row:
    """One text being written: its tokens, what of them the engine's slot holds, and what of its text can be shown."""

    def __init__(self, engine: AnyEngine, tokenizer: Tokenizer, prompt: str, sampling: Sampling, *, seed: int) -> None:
        self.engine, self.end = engine, tokenizer.end_of_text_id
        # Lone surrogates, which file names and terminals can smuggle into a string, are no text.
        tokens = tokenizer.encode(prompt.encode("utf-8", "replace").decode("utf-8"))
        self.tokens = tokens or [self.end]
        self.remaining = sampling.max_tokens
        self.finished = sampling.max_tokens == 0
        self.length = 0
        self.random = torch.Generator().manual_seed(seed)
        self._decoder = tokenizer.stream()
        self._stops = StopStrings(sampling.stop)

    @property
    def is_full(self) -> bool:
        return self.length >= self.engine.capacity

    def begin(self, slot: int) -> Tensor:
        """Read the text's end into a slot: all that fits at first, half of the context once it is full."""
        room = max(1, self.engine.capacity // 2) if self.is_full else self.engine.capacity
        window = self.tokens[-room:]
        self.length = len(window)
        return self.engine.start(window, slot)

    def advance(self) -> int:
        """Return the position of the newest token, which the coming step adds to the slot."""
        self.length += 1
        return self.length - 1

    def push(self, token: int) -> str:
        """Take a chosen token; return the text that can now be shown."""
        self.remaining -= 1
        if token != self.end:
            self.tokens.append(token)
            piece, stopped = self._stops.push(self._decoder.push(token))
            self.finished = stopped or self.remaining == 0
            if stopped or not self.finished:
                return piece
        else:
            piece = ""
        self.finished = True
        rest, stopped = self._stops.push(self._decoder.flush())
        return piece + rest if stopped else piece + rest + self._stops.flush()


class StopStrings:
    """Cuts a stream of text before the first stop string, holding back what could be the beginning of one."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._held = ""

    def push(self, piece: str) -> tuple[str, bool]:
        """Return the text that can be shown, and whether a stop string was found."""
        if not self._stop:
            return piece, False
        text = self._held + piece
        found = min((place for place in map(text.find, self._stop) if place >= 0), default=-1)
        if found >= 0:
            self._held = ""
            return text[:found], True
        held = max(_overlap(text, stop) for stop in self._stop)
        self._held = text[len(text) - held :]
        return text[: len(text) - held], False

    def flush(self) -> str:
        """Return what was held back: the text ended without completing a stop string."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest beginning of `stop`, not all of it, that `text` ends with."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


def choose(scores_V: Tensor, sampling: Sampling, history: Sequence[int], random: torch.Generator) -> int:
    """Choose the next token.

    Args:
        scores_V: float32, unnormalised.
        sampling: how.
        history: the text so far, for the repetition penalty.
        random: a CPU generator; one number is drawn from it unless the temperature is 0.
    """
    if sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(history)), device=scores_V.device)
        old = scores_V[seen]
        scores_V = scores_V.clone()
        scores_V[seen] = torch.where(old < 0, old * sampling.repetition_penalty, old / sampling.repetition_penalty)
    if sampling.temperature == 0:
        return int(scores_V.argmax())
    # The largest score becomes 0, so that no temperature, however low, overflows; float32 holds none below 1e-38.
    scores_V = (scores_V - scores_V.max()) / max(sampling.temperature, 1e-30)
    tokens_V = None
    if 0 < sampling.top_k < len(scores_V):
        scores_V, tokens_V = scores_V.topk(sampling.top_k)
    elif sampling.top_p < 1:
        scores_V, tokens_V = scores_V.sort(descending=True, stable=True)
    weights_V = scores_V.softmax(-1, dtype=torch.float64)
    if sampling.top_p < 1:
        weights_V = weights_V.where(weights_V.cumsum(-1) - weights_V < sampling.top_p, 0)
    if sampling.min_p > 0:
        weights_V = weights_V.where(weights_V >= sampling.min_p * weights_V.max(), 0)
    sums_V = weights_V.cumsum(-1)
    drawn = torch.rand((), generator=random, dtype=torch.float64).to(scores_V.device) * sums_V[-1]
    place = min(int(torch.searchsorted(sums_V, drawn, right=True)), len(sums_V) - 1)
    return place if tokens_V is None else int(tokens_V[place])
