"""Our models as lm-evaluation-harness asks them; imported only where it is installed."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import LM

from rodna.core.errors import EvaluationError
from rodna.evals.models.model import LanguageModel
from rodna.evals.tasks.prompts import ask

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from rodna.models.generate import Sampling

MAX_TOKENS = 256
"""Of an answer whose task does not say; the harness' own default."""
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""Names of the same setting, the first that is given counts, as in the harness."""
_SAMPLING = {"temperature": float, "top_p": float, "top_k": int, "min_p": float, "repetition_penalty": float}


class HarnessModel(LM):
    """A `LanguageModel` that answers the harness' three kinds of requests.

    All requests of a kind go to the model at once, so that it may order them and share what they begin with.

    Args:
        model: any; one that cannot score answers only requests to write.
        greedy: tasks that ask whether the model would write the continuation by itself; others are told False without a look, since
            no metric of theirs reads it.
        seed: of generation where a task samples.
    """

    def __init__(self, model: LanguageModel, *, greedy: Collection[str] = (), seed: int = 0) -> None:
        super().__init__()
        self.model, self.greedy, self.seed = model, frozenset(greedy), seed

    def loglikelihood(self, requests: "Sequence[Instance]") -> list[tuple[float, bool]]:
        """Return ln p of each continuation after its context, and whether it is what the model would write."""
        pairs = [(str(context), str(continuation)) for context, continuation in map(_arguments, requests)]
        scores = ask(self.model, [pair[0] for pair in pairs], [pair[1] for pair in pairs], task=_names(requests))
        places = [place for place, request in enumerate(requests) if request.task_name in self.greedy]
        written = self._written([(*pairs[place], scores[place].num_tokens) for place in places])
        is_greedy = {place for place, text in zip(places, written, strict=True) if _is_beginning(pairs[place], text)}
        return [(-score.nats, place in is_greedy) for place, score in enumerate(scores)]

    def _written(self, asked: Sequence[tuple[str, str, int]]) -> list[str]:
        """Return what the model writes after each context: as many tokens as the continuation has."""
        from rodna.models.generate import Sampling

        found: dict[tuple[str, int], str] = {}
        for length in sorted({count for _, _, count in asked}):
            contexts = list(dict.fromkeys(context.rstrip() for context, _, count in asked if count == length))
            texts = self.model.generate(contexts, Sampling(temperature=0.0, top_p=1.0, max_tokens=length))
            found |= {(context, length): text for context, text in zip(contexts, texts, strict=True)}
        return [found[context.rstrip(), count] for context, _, count in asked]

    def loglikelihood_rolling(self, requests: "Sequence[Instance]") -> list[float]:
        """Return ln p of each text as a document: its tokens, without the end that would close it."""
        texts = [str(_arguments(request)[0]) for request in requests]
        return [-score.nats for score in ask(self.model, [""] * len(texts), texts, task=_names(requests))]

    def generate_until(self, requests: "Sequence[Instance]") -> list[str]:
        """Return what the model writes after each context, up to the first of the task's stops."""
        settings = [sampling_of(_arguments(request)[1], seed=self.seed, task=str(request.task_name)) for request in requests]
        texts = [""] * len(requests)
        for setting in dict.fromkeys(settings):
            places = [place for place, other in enumerate(settings) if other == setting]
            written = self.model.generate([str(_arguments(requests[place])[0]) for place in places], setting)
            for place, text in zip(places, written, strict=True):
                texts[place] = text
        return texts


def _arguments(request: "Instance") -> tuple[Any, ...]:
    return tuple(request.args)


def _is_beginning(pair: tuple[str, str], written: str) -> bool:
    context, continuation = pair
    return written == context[len(context.rstrip()) :] + continuation


def _names(requests: "Sequence[Instance]") -> str:
    return ", ".join(dict.fromkeys(str(request.task_name) for request in requests))


def sampling_of(given: Any, *, seed: int, task: str) -> "Sampling":
    """Return a task's `generation_kwargs` as our settings: greedy unless it asks for anything else, as in the harness.

    Raises:
        EvaluationError: it asks for what our models cannot do, such as a search with several beams.
    """
    from rodna.models.generate import Sampling

    values: dict[str, Any] = dict(given)
    stop = values.pop("until", None) or []
    lengths = [value for name in _LENGTHS if (value := values.pop(name, None)) is not None]
    is_sampled = values.pop("do_sample", float(values.get("temperature") or 0) > 0)
    chosen = {name: kind(values.pop(name)) for name, kind in _SAMPLING.items() if values.get(name) is not None}
    # Neutral values of what we lack ask for nothing.
    unknown = {name: value for name, value in values.items() if value is not None and (name, value) != ("num_beams", 1)}
    if unknown:
        raise EvaluationError(
            f"the task's generation_kwargs ask for what this model cannot do: {json.dumps(unknown, default=str)}",
            where=f"task {task}",
            fix="take them out of the task file, or use the harness' own model with --harness-backend hf",
        )
    if not is_sampled:
        chosen |= {"temperature": 0.0}
    stops = tuple(text for text in ([stop] if isinstance(stop, str) else stop) if text)
    limit = int(lengths[0]) if lengths else MAX_TOKENS
    return Sampling(**{"temperature": 1.0, "top_p": 1.0, **chosen}, max_tokens=limit, stop=stops, seed=seed)


@dataclass(frozen=True)
class Asked:
    """What decides how a model is asked by the harness.

    Attributes:
        output_type: of the task.
        metrics: it reports.
        has_own_results: whether code of its own reads the answers.
    """

    output_type: str
    metrics: frozenset[str]
    has_own_results: bool

    @property
    def needs_greedy(self) -> bool:
        """Whether a metric reads if the model would write the continuation by itself."""
        if self.output_type == "loglikelihood":
            return True
        return self.output_type == "multiple_choice" and (self.has_own_results or "exact_match" in self.metrics)
