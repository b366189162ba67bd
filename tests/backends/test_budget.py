"""How much prompt fits."""

import pytest

from reshore.backends.budget import chat_bytes, limit_tokens, refuse_hopeless
from reshore.errors import ContextTooLong
from reshore.types import ChatRequest, ImagePart, Message, Sampling, TextPart


def test_a_text_that_no_tokenizer_can_fit_is_refused_at_once() -> None:
    refuse_hopeless(1024 * 256, 1024, "messages")
    with pytest.raises(ContextTooLong) as caught:
        refuse_hopeless(1025 * 256, 1024, "messages")
    assert caught.value.context_length == 1024
    assert caught.value.param == "messages"


def test_only_text_counts() -> None:
    parts = (TextPart(text="abc"), ImagePart(url="data:" + "x" * 1000, param="p"))
    messages = (
        Message(role="system", content="12"),
        Message(role="user", content=parts),
        Message(role="assistant", content=None),
    )
    assert chat_bytes(ChatRequest(model="m", messages=messages)) == 5


@pytest.mark.parametrize(("asked", "expected"), [(None, 6), (3, 3), (100, 6)])
def test_the_answer_gets_what_the_prompt_leaves(asked: int | None, expected: int) -> None:
    sampling = limit_tokens(
        Sampling(max_tokens=asked), prompt_tokens=10, num_ctx=16, param="messages"
    )
    assert sampling.max_tokens == expected


def test_a_prompt_that_fills_the_context_is_refused() -> None:
    with pytest.raises(ContextTooLong, match="raise `num_ctx`") as refused:
        limit_tokens(Sampling(), prompt_tokens=16, num_ctx=16, param="prompt")
    assert "engine.context_length" not in str(refused.value)
