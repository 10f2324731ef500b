"""What a model reads to score a continuation: one stretch of tokens, or several where the continuation is longer than the context."""

from typing import NamedTuple

from rodna.evals.likelihood.encoding import Encoded


class Reading(NamedTuple):
    """A stretch of tokens, of which the last ones are scored.

    Attributes:
        tokens: at most one more than the context length, since the last is only predicted.
        first: of `tokens` the first that is scored; at least 1.
    """

    tokens: tuple[int, ...]
    first: int


class Plan(NamedTuple):
    """How a pair is read.

    Attributes:
        readings: what they score, one after the other, is the continuation; none where there is nothing to score.
        is_cut: whether any token is scored without all of what comes before it.
    """

    readings: list[Reading]
    is_cut: bool


def plan(pair: Encoded, *, context_length: int, step: int) -> Plan:
    """Cut a pair into readings.

    A context that does not fit beside its continuation loses its beginning, as in lm-evaluation-harness. A continuation that does not
    fit by itself is read through windows, each beginning `step` tokens after the one before and scoring what that has not scored.

    Args:
        pair: with at least one token of context.
        context_length: most tokens the model reads at once.
        step: how many tokens a further window moves on, at most `context_length`.
    """
    tokens = (*pair.context, *pair.continuation)
    if not pair.continuation:
        return Plan([], is_cut=False)
    if len(pair.continuation) <= context_length:
        kept = tokens[-(context_length + 1) :]
        return Plan([Reading(kept, len(kept) - len(pair.continuation))], is_cut=len(kept) < len(tokens))
    # As for documents: the first window is filled from the beginning, the last one ends with the text.
    readings: list[Reading] = []
    scored, end = len(pair.context), context_length + 1
    while scored < len(tokens):
        end = min(end, len(tokens))
        if end > scored:
            start = end - context_length - 1
            readings.append(Reading(tokens[start:end], scored - start))
            scored = end
        end += step
    return Plan(readings, is_cut=True)
