"""How a context and its continuation become tokens: as lm-evaluation-harness does it, so that numbers agree.

Reference: Gao et al. 2024, the Language Model Evaluation Harness, `lm_eval.api.model.TemplateLM._encode_pair`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

Encode = Callable[[list[str]], Sequence[Sequence[int]]]


class Encoded(NamedTuple):
    """A pair as tokens.

    Attributes:
        context: at least one token, not scored.
        continuation: scored; none where there is no text to score.
    """

    context: Sequence[int]
    continuation: Sequence[int]


def encode_pairs(encode: Encode, contexts: Sequence[str], continuations: Sequence[str], *, start_id: int) -> list[Encoded]:
    """Encode pairs; a text that several share is encoded once.

    Spaces at a context's end go to the continuation, where most tokenizers keep them. Both are then encoded together, and the
    continuation's tokens are those beyond as many as the context has by itself. Where there are none, because the tokenizer joins both
    into one token, they are encoded apart.

    Args:
        encode: texts to token ids.
        contexts: one a pair.
        continuations: one a pair; an empty one has nothing to score.
        start_id: the token that stands for an empty context.
    """
    pairs = [_move_spaces(*pair) for pair in zip(contexts, continuations, strict=True)]
    ids = _encode_once(encode, [text for before, after in pairs for text in (before, before + after)])
    joined = [after for before, after in pairs if before and after and len(ids[before + after]) <= len(ids[before])]
    apart = _encode_once(encode, joined)
    encoded: list[Encoded] = []
    for before, after in pairs:
        context = ids[before] if before else ()
        continuation = (ids[before + after][len(context) :] or apart.get(after, ())) if after else ()
        encoded.append(Encoded(context or (start_id,), continuation))
    return encoded


def _move_spaces(context: str, continuation: str) -> tuple[str, str]:
    if not continuation:
        return context, continuation
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def _encode_once(encode: Encode, texts: Sequence[str]) -> dict[str, Sequence[int]]:
    different = list(dict.fromkeys(texts))
    return dict(zip(different, encode(different), strict=True))
