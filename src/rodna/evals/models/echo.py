"""What an OpenAI-compatible server's echo says about the cost of a text it was given."""

import math
from typing import Any, NamedTuple, cast

from rodna.core.openai_transport import BrokenAnswerError
from rodna.evals.models.alignment import BEFORE, token_starts


class NoEchoError(Exception):
    """The server does not say what the tokens of a given text cost; the message says how."""


class Token(NamedTuple):
    """One token of a text.

    Attributes:
        start: the character it begins in; `BEFORE` of what the server adds before the text.
        end: where the next one begins.
        nats: -ln p; None where the server gives none, as for the first token it reads.
    """

    start: int
    end: int
    nats: float | None


class Cost(NamedTuple):
    """What the end of a text costs.

    Attributes:
        nats: -ln p of it.
        num_tokens: they are spread over.
        is_inside: whether its border lies inside a token, which is then counted whole.
        is_first_unknown: whether its first token has no cost: nothing stands before it that the server reads.
        num_before: tokens before it.
    """

    nats: float
    num_tokens: int
    is_inside: bool
    is_first_unknown: bool
    num_before: int


def read_echo(answer: dict[str, Any], text: str, *, num_written: int = 0) -> list[Token]:
    """Return the tokens of a text that was sent with `echo` and `logprobs`.

    What the server writes after the text is left out.

    Args:
        answer: with one choice.
        text: what was sent.
        num_written: how many tokens the server was told to write after it.

    Raises:
        NoEchoError: the answer has no such numbers, or they are of another text.
        BrokenAnswerError: the numbers make no sense.
    """
    choice: dict[str, Any] = answer["choices"][0]
    found: Any = choice.get("logprobs")
    if not isinstance(found, dict):
        raise NoEchoError("the answer has no `logprobs`")
    logprobs = cast("dict[str, Any]", found)
    tokens, costs = _list(logprobs, "tokens"), _list(logprobs, "token_logprobs")
    if not tokens or len(tokens) != len(costs) or not all(isinstance(token, str) for token in tokens):
        raise NoEchoError("`logprobs` has no `tokens` and `token_logprobs` of one length")
    offsets = _list(logprobs, "text_offset")
    are_numbers = len(offsets) == len(tokens) and all(isinstance(offset, int) for offset in offsets)
    # Some servers do not list what they have written, so all tokens may be the text's.
    starts = None
    for size in dict.fromkeys((len(tokens) - num_written, len(tokens))):
        starts = token_starts(tokens[:size], offsets[:size] if are_numbers else None, text)
        if starts is not None:
            break
    if starts is None:
        raise NoEchoError("its tokens are not those of the text that was sent")
    ends = [*starts[1:], len(text)]
    return [
        Token(start, max(start, end), _nats(cost, is_first=not index))
        for index, (start, end, cost) in enumerate(zip(starts, ends, costs, strict=False))
        if start < len(text)
    ]


def cost_after(tokens: list[Token], border: int) -> Cost:
    """Return what the text from a character on costs.

    A token that the border cuts in two is counted whole: part of the text would be left out otherwise.
    """
    after = [token for token in tokens if token.start >= border or token.end > border]
    is_first_unknown = bool(after) and after[0].nats is None
    nats = math.fsum(token.nats for token in after if token.nats is not None)
    is_inside = bool(after) and BEFORE < after[0].start < border
    return Cost(nats, len(after) - is_first_unknown, is_inside, is_first_unknown, len(tokens) - len(after))


def _list(values: dict[str, Any], name: str) -> list[Any]:
    found: Any = values.get(name)
    return cast("list[Any]", found) if isinstance(found, list) else []


def _nats(cost: Any, *, is_first: bool) -> float | None:
    if cost is None and is_first:
        return None
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not math.isfinite(cost) or cost > 1e-3:
        raise BrokenAnswerError(f"the log-probability of a token is {cost!r}")
    return max(0.0, -float(cost))
