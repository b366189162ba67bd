"""Legacy completions through the official Python SDK."""

from __future__ import annotations

import openai
import pytest
from openai import OpenAI

from tests.compat.scripts import script

WORDS = "the quick brown fox jumps"


def test_one_prompt_gives_one_choice_of_at_most_sixteen_tokens(scripted: OpenAI) -> None:
    reply = scripted.completions.create(model="tiny", prompt="one two")
    assert reply.object == "text_completion"
    assert reply.id.startswith("cmpl-")
    [choice] = reply.choices
    assert choice.text.split() == ["one", "two"] * 8
    assert choice.finish_reason == "length"
    assert choice.logprobs is None
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 16


def test_prompts_keep_their_order_with_n_choices_each(scripted: OpenAI) -> None:
    prompts = [script(text=f"answer {number}") for number in range(6)]
    reply = scripted.completions.create(model="tiny", prompt=prompts, n=2)
    assert [choice.index for choice in reply.choices] == list(range(12))
    assert [choice.text for choice in reply.choices] == [
        f"answer {number}" for number in range(6) for _ in range(2)
    ]


@pytest.mark.parametrize("many", [False, True])
def test_prompts_may_be_token_ids(scripted: OpenAI, many: bool) -> None:
    tokens = list(b"hi")  # a scripted engine's tokens are bytes
    reply = scripted.completions.create(
        model="tiny", prompt=[tokens, tokens] if many else tokens, max_tokens=2
    )
    assert [choice.text.split() for choice in reply.choices] == [["hi", "hi"]] * (1 + many)


def test_the_prompt_is_echoed_before_the_text(scripted: OpenAI) -> None:
    prompts = [script(text=WORDS), script(text="other")]
    reply = scripted.completions.create(model="tiny", prompt=prompts, echo=True)
    assert [choice.text for choice in reply.choices] == [
        prompts[0] + WORDS,
        prompts[1] + "other",
    ]


def test_logprobs_have_the_legacy_shape(scripted: OpenAI) -> None:
    reply = scripted.completions.create(model="tiny", prompt=script(text=WORDS), logprobs=2)
    logprobs = reply.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == WORDS
    assert logprobs.text_offset == [0, 3, 9, 15, 19]
    assert logprobs.token_logprobs is not None
    assert all(value <= 0 for value in logprobs.token_logprobs)
    assert logprobs.top_logprobs is not None
    assert [len(top) for top in logprobs.top_logprobs] == [2] * 5


def test_a_stream_concatenates_to_the_text(scripted: OpenAI) -> None:
    stream = scripted.completions.create(
        model="tiny",
        prompt=script(text=WORDS),
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = stream
    assert "".join(chunk.choices[0].text for chunk in chunks) == WORDS
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 5


def test_the_best_of_several_are_returned(scripted: OpenAI) -> None:
    reply = scripted.completions.create(model="tiny", prompt=script(text=WORDS), n=2, best_of=5)
    assert [choice.text for choice in reply.choices] == [WORDS] * 2
    assert [choice.index for choice in reply.choices] == [0, 1]
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 25


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "the end"}, "suffix"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"n": 3, "best_of": 2}, "best_of"),
    ],
)
def test_what_the_engine_would_ignore_is_a_bad_request(
    scripted: OpenAI, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        scripted.completions.create(model="tiny", prompt="hello", **fields)
    assert caught.value.param == param
