"""The conversation in the terminal, with a writer that is a plain function."""

from collections.abc import Iterator

import pytest

from rodna.cli.conversation import Conversation
from rodna.models.generate import Sampling


class Told(list[str]):
    @property
    def text(self) -> str:
        return "".join(self)


def upper(prompt: str, sampling: Sampling) -> Iterator[str]:
    """Continue with the prompt's last word in capitals, and the seed."""
    yield " " + prompt.split()[-1].upper() if prompt.split() else "?"
    yield f"[{sampling.seed}]"


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def conversation(told: Told) -> Conversation:
    return Conversation(upper, Sampling(seed=7), tell=told.append)


def test_the_model_goes_on_from_everything_said_so_far(conversation, told):
    conversation.answer("прывітанне")
    conversation.answer("свет")

    assert conversation.text == "прывітанне ПРЫВІТАННЕ[7]\nсвет СВЕТ[8]"
    assert told.text == " ПРЫВІТАННЕ[7]\n СВЕТ[8]\n"


def test_an_empty_line_lets_the_model_go_on(conversation):
    conversation.answer("a")
    conversation.answer("")

    assert conversation.text == "a A[7] A[7][8]"


def test_reset_forgets_everything(conversation):
    conversation.answer("a")
    conversation.answer("/reset")

    assert (conversation.text, conversation.turn) == ("", 0)


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [("temperature=0.1", "temperature", 0.1), ("top_k = 5", "top_k", 5), ("stop=.", "stop", (".",)), ("max_tokens=7", "max_tokens", 7)],
)
def test_set_changes_the_sampling(conversation, command: str, name: str, value: object):
    conversation.answer(f"/set {command}")

    assert getattr(conversation.sampling, name) == value


@pytest.mark.parametrize(("command", "message"), [
    ("temperature=-1", "at least 0"), ("temperature=warm", "could not convert"), ("colour=red", "temperature=0.8"),
    ("", "write /set name=value"),
])  # fmt: skip
def test_a_setting_that_cannot_be_changes_nothing_and_says_why(conversation, told, command: str, message: str):
    before = conversation.sampling
    conversation.answer(f"/set {command}")

    assert conversation.sampling == before
    assert message in told.text


def test_quit_ends_the_conversation_and_unknown_commands_are_named(conversation, told):
    assert conversation.answer("/dance")
    assert "unknown command /dance" in told.text
    assert not conversation.answer("/quit")


def test_ctrl_c_stops_an_answer_and_keeps_what_was_written(told):
    def interrupted(prompt: str, sampling: Sampling) -> Iterator[str]:
        yield "half"
        raise KeyboardInterrupt

    conversation = Conversation(interrupted, Sampling(), tell=told.append)
    assert conversation.answer("a ")

    assert conversation.text == "a half"
    assert told.text == "half ...\n"


def test_the_welcome_says_that_the_model_continues_text(conversation, told):
    conversation.answer("/help")

    assert "continue text" in told.text
    assert "/reset" in told.text
