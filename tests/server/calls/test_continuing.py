"""Requests that go on where an answer broke off."""

import pytest

from reshore.errors import Unsupported
from reshore.server.calls.continuing import continuing
from reshore.types import ChatRequest, CompletionRequest, Message, ResponseFormat, Sampling

HI = (Message(role="user", content="Hi"),)
CHAT = ChatRequest(model="m", messages=HI)


def test_a_chat_gets_what_was_said_as_the_assistants_words() -> None:
    request = continuing(CHAT, ["half ", "an"])
    assert request.messages == (*HI, Message(role="assistant", content="half an"))


def test_a_chat_of_which_nothing_was_said_is_asked_again() -> None:
    assert continuing(CHAT, []).messages == HI


def test_a_completion_goes_on_behind_its_text_without_an_echo() -> None:
    request = continuing(CompletionRequest(model="m", prompts=("Once",), echo=True), [" upon"])
    assert request.prompts == ("Once upon",)
    assert not request.echo


@pytest.mark.parametrize(("limit", "left"), [(None, None), (-1, -1), (10, 8), (2, 1), (1, 1)])
def test_what_may_be_generated_shrinks(limit: int | None, left: int | None) -> None:
    request = ChatRequest(model="m", messages=HI, sampling=Sampling(max_tokens=limit))
    assert continuing(request, ["a", "b"]).sampling.max_tokens == left


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest(model="m", messages=HI, n=2),
        ChatRequest(model="m", messages=HI, response_format=ResponseFormat(kind="json_object")),
        CompletionRequest(model="m", prompts=("a", "b")),
        CompletionRequest(model="m", prompts=((1, 2),)),
        CompletionRequest(model="m", prompts=("a",), suffix="b"),
    ],
)
def test_what_cannot_be_gone_on_with(request_: ChatRequest | CompletionRequest) -> None:
    with pytest.raises(Unsupported):
        continuing(request_, ["half"])
