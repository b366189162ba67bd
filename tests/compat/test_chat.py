"""Chat through the official Python SDK: replies, streams, and its helpers for them."""

from __future__ import annotations

import asyncio

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.compat.running import Server
from tests.compat.scripts import said, scripted_turn

WORDS = "the quick brown fox jumps"


def test_a_reply_has_every_part_that_applications_read(scripted: OpenAI) -> None:
    reply = scripted.chat.completions.create(model="tiny", messages=scripted_turn(text=WORDS))
    assert reply.object == "chat.completion"
    assert reply.id.startswith("chatcmpl-")
    assert reply.created > 1_700_000_000
    assert reply.system_fingerprint
    [choice] = reply.choices
    assert (choice.index, choice.finish_reason, choice.logprobs) == (0, "stop", None)
    assert (choice.message.role, choice.message.content) == ("assistant", WORDS)
    assert choice.message.refusal is None
    assert choice.message.tool_calls is None
    usage = reply.usage
    assert usage is not None
    assert usage.completion_tokens == 5
    assert usage.total_tokens == usage.prompt_tokens + 5
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 0


async def test_the_async_client_gets_the_same_reply(scripted_async: AsyncOpenAI) -> None:
    reply = await scripted_async.chat.completions.create(
        model="tiny", messages=scripted_turn(text=WORDS)
    )
    assert reply.choices[0].message.content == WORDS


def test_ids_are_unique(scripted: OpenAI) -> None:
    ids = {
        scripted.chat.completions.create(model="tiny", messages=scripted_turn(tokens=1)).id
        for _ in range(20)
    }
    assert len(ids) == 20


def test_a_stream_gives_the_role_once_the_words_in_order_and_no_usage(scripted: OpenAI) -> None:
    stream = scripted.chat.completions.create(
        model="tiny", messages=scripted_turn(text=WORDS), stream=True
    )
    chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert "".join(delta.content or "" for delta in deltas) == WORDS
    finishes = [chunk.choices[0].finish_reason for chunk in chunks]
    assert finishes == [None] * (len(chunks) - 1) + ["stop"]
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


async def test_an_async_stream_with_usage_ends_with_one_chunk_that_has_it(
    scripted_async: AsyncOpenAI,
) -> None:
    stream = await scripted_async.chat.completions.create(
        model="tiny",
        messages=scripted_turn(text=WORDS),
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = [chunk async for chunk in stream]
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks)
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 5


def test_the_stream_helper_gives_events_and_the_whole_reply(scripted: OpenAI) -> None:
    with scripted.chat.completions.stream(
        model="tiny",
        messages=scripted_turn(text=WORDS),
        stream_options={"include_usage": True},
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion()
    assert "".join(deltas) == WORDS
    assert whole.choices[0].message.content == WORDS
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 5


async def test_the_async_stream_helper_gives_the_whole_reply(scripted_async: AsyncOpenAI) -> None:
    async with scripted_async.chat.completions.stream(
        model="tiny", messages=scripted_turn(text=WORDS)
    ) as stream:
        whole = await stream.get_final_completion()
    assert whole.choices[0].message.content == WORDS


@pytest.mark.parametrize("n", [3, 9])
def test_n_choices_have_dense_indexes_and_one_usage(scripted: OpenAI, n: int) -> None:
    """The engine has four slots: nine choices take more than one request to it."""
    reply = scripted.chat.completions.create(model="tiny", messages=scripted_turn(text=WORDS), n=n)
    assert [choice.index for choice in reply.choices] == list(range(n))
    assert {choice.message.content for choice in reply.choices} == {WORDS}
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 5 * n


def test_n_choices_can_be_streamed(scripted: OpenAI) -> None:
    texts = ["", "", ""]
    finished = []
    usages = []
    for chunk in scripted.chat.completions.create(
        model="tiny",
        messages=scripted_turn(text=WORDS),
        n=3,
        stream=True,
        stream_options={"include_usage": True},
    ):
        usages += [chunk.usage] if chunk.usage else []
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finished += [choice.index] if choice.finish_reason else []
    assert texts == [WORDS] * 3
    assert sorted(finished) == [0, 1, 2]
    assert [usage.completion_tokens for usage in usages] == [15]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_both_names_of_the_token_limit_are_honoured(scripted: OpenAI, field: str) -> None:
    reply = scripted.chat.completions.create(
        model="tiny", messages=scripted_turn(text=WORDS), **{field: 2}
    )
    assert reply.choices[0].message.content == "the quick"
    assert reply.choices[0].finish_reason == "length"


@pytest.mark.parametrize("stop", ["brown", ["nothing like it", " brown"]])
def test_generation_ends_before_a_stop_text(scripted: OpenAI, stop: str | list[str]) -> None:
    reply = scripted.chat.completions.create(
        model="tiny", messages=scripted_turn(text=WORDS), stop=stop
    )
    assert reply.choices[0].message.content is not None
    assert reply.choices[0].message.content.rstrip() == "the quick"
    assert reply.choices[0].finish_reason == "stop"


def test_logprobs_carry_bytes_and_rivals(scripted: OpenAI) -> None:
    reply = scripted.chat.completions.create(
        model="tiny", messages=scripted_turn(text="naïve fox"), logprobs=True, top_logprobs=2
    )
    assert reply.choices[0].logprobs is not None
    tokens = reply.choices[0].logprobs.content
    assert tokens is not None
    assert [token.token for token in tokens] == ["naïve", " fox"]
    for token in tokens:
        assert bytes(token.bytes or []).decode() == token.token
        assert token.logprob <= 0
        assert len(token.top_logprobs) == 2
        assert token.top_logprobs[0].token == token.token


def test_logprobs_are_streamed_with_their_tokens(scripted: OpenAI) -> None:
    stream = scripted.chat.completions.create(
        model="tiny", messages=scripted_turn(text=WORDS), logprobs=True, stream=True
    )
    tokens: list[str] = []
    for chunk in stream:
        logprobs = chunk.choices[0].logprobs
        tokens += [token.token for token in (logprobs.content or [])] if logprobs else []
    assert "".join(tokens) == WORDS


def test_reasoning_is_apart_from_the_answer(scripted: OpenAI) -> None:
    reply = scripted.chat.completions.create(
        model="tiny", messages=scripted_turn(text="42", reasoning="let me think")
    )
    message = reply.choices[0].message
    assert message.content == "42"
    assert message.model_extra is not None
    assert message.model_extra["reasoning_content"] == "let me think"


def test_content_may_come_in_parts_and_from_every_role(scripted: OpenAI) -> None:
    reply = scripted.chat.completions.create(
        model="tiny",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": [{"type": "text", "text": "three "},
                                         {"type": "text", "text": "four"}]},
        ],
    )  # fmt: skip
    assert reply.choices[0].message.content is not None
    assert reply.choices[0].message.content.startswith("three four three four")


def test_an_alias_answers_and_the_reply_says_which_model_it_was(scripted: OpenAI) -> None:
    for name in ("gpt-4o-mini", "ft:gpt-4o-mini:acme::abc123"):
        reply = scripted.chat.completions.create(model=name, messages=said("hello"))
        assert reply.model == "tiny:latest"


def test_raw_responses_carry_the_request_id_and_what_was_ignored(scripted: OpenAI) -> None:
    raw = scripted.chat.completions.with_raw_response.create(
        model="tiny",
        messages=scripted_turn(text=WORDS),
        user="somebody",
        store=True,
        metadata={"team": "blue"},
    )
    assert raw.headers["x-request-id"].startswith("req_")
    assert {name.strip() for name in raw.headers["x-reshore-ignored"].split(",")} == {
        "user",
        "store",
        "metadata",
    }
    assert raw.parse().choices[0].message.content == WORDS


def test_request_ids_reach_the_sdk(scripted: OpenAI) -> None:
    reply = scripted.chat.completions.create(model="tiny", messages=said("hello"))
    assert reply._request_id is not None
    assert reply._request_id.startswith("req_")


def test_extra_fields_of_reshore_go_through_extra_body(scripted: OpenAI) -> None:
    raw = scripted.chat.completions.with_raw_response.create(
        model="tiny",
        messages=said("hello"),
        extra_body={"top_k": 5, "min_p": 0.1, "repeat_penalty": 1.1, "keep_alive": "10m"},
    )
    assert "x-reshore-ignored" not in raw.headers


async def test_many_clients_at_once_each_get_their_own_answer(scripted_server: Server) -> None:
    """Forty clients on four slots: the others wait in line, none is mixed up."""

    async def ask(number: int) -> str | None:
        async with AsyncOpenAI(
            base_url=scripted_server.base_url, api_key="unused", max_retries=0
        ) as client:
            reply = await client.chat.completions.create(
                model="tiny", messages=scripted_turn(text=f"answer {number}", gap_ms=1)
            )
            return reply.choices[0].message.content

    answers = await asyncio.gather(*(ask(number) for number in range(40)))
    assert answers == [f"answer {number}" for number in range(40)]
