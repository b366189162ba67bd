"""The starter models through the official Python SDK: real weights, real tokens."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.compat.running import Server, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHAT, EMBED = "smollm2:135m", "all-minilm"
# SmolLM2's `<|im_end|>`: without it an answer cannot end by itself.
NEVER_END = {"2": -100}


def asking(question: str) -> list[ChatCompletionMessageParam]:
    return [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": question},
    ]


CAPITAL = asking("What is the capital of France?")
FOX = asking("Tell me a story of a fox.")


class GetWeather(BaseModel):
    """Get the weather of a city."""

    city: str


class Add(BaseModel):
    """Add two numbers."""

    a: int
    b: int


class Fox(BaseModel):
    name: str
    age: int
    tame: bool


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


# Chat


def test_a_question_is_answered(real: OpenAI) -> None:
    reply = real.chat.completions.create(model=CHAT, messages=CAPITAL, temperature=0, max_tokens=40)
    assert "Paris" in (reply.choices[0].message.content or "")
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens > 20
    assert 3 < reply.usage.completion_tokens < 40


def test_a_stream_and_its_helper_give_the_text_of_the_plain_reply(real: OpenAI) -> None:
    one_sentence: dict[str, Any] = {
        "model": CHAT,
        "messages": FOX,
        "temperature": 0,
        "stop": ".",
        "max_completion_tokens": 60,
    }
    plain = real.chat.completions.create(**one_sentence)
    *chunks, last = real.chat.completions.create(
        **one_sentence, stream=True, stream_options={"include_usage": True}
    )
    with real.chat.completions.stream(**one_sentence) as stream:
        helped = stream.get_final_completion()
    text = plain.choices[0].message.content
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert text
    assert "".join(pieces) == text
    assert len(pieces) > 5  # as it is generated, not at the end
    assert helped.choices[0].message.content == text
    assert helped.choices[0].finish_reason == chunks[-1].choices[0].finish_reason == "stop"
    assert plain.usage is not None
    assert last.usage is not None
    assert last.usage.completion_tokens == plain.usage.completion_tokens


def test_the_same_seed_gives_the_same_text_and_another_seed_another(real: OpenAI) -> None:
    def told(seed: int) -> str | None:
        reply = real.chat.completions.create(
            model=CHAT, messages=FOX, temperature=1, seed=seed, max_tokens=24
        )
        return reply.choices[0].message.content

    assert told(7) == told(7) != told(8)


@pytest.mark.parametrize("n", [3, 6])
def test_choices_differ_and_are_counted_together(real: OpenAI, n: int) -> None:
    """The engine has four slots, and alone would count only one choice."""
    reply = real.chat.completions.create(
        model=CHAT, messages=FOX, n=n, temperature=1, max_tokens=12, logit_bias=NEVER_END
    )
    assert [choice.index for choice in reply.choices] == list(range(n))
    assert len({choice.message.content for choice in reply.choices}) > 1
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 12 * n


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(real: OpenAI) -> None:
    reply = real.chat.completions.create(
        model=CHAT, messages=FOX, temperature=0, stop=[".", "\n"], max_tokens=100
    )
    content = reply.choices[0].message.content or ""
    assert content
    assert "." not in content
    assert reply.choices[0].finish_reason == "stop"


def test_logprobs_are_those_of_the_tokens(real: OpenAI) -> None:
    reply = real.chat.completions.create(
        model=CHAT, messages=CAPITAL, temperature=0, max_tokens=6, logprobs=True, top_logprobs=3
    )
    choice = reply.choices[0]
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert "".join(token.token for token in tokens) == choice.message.content
    for token in tokens:
        assert bytes(token.bytes or []) == token.token.encode()
        assert [rival.logprob for rival in token.top_logprobs] == sorted(
            (rival.logprob for rival in token.top_logprobs), reverse=True
        )
        assert token.top_logprobs[0].token == token.token  # temperature 0 takes the likeliest
        assert sum(math.exp(rival.logprob) for rival in token.top_logprobs) <= 1.001


def test_a_banned_end_token_keeps_the_model_talking(real: OpenAI) -> None:
    free = real.chat.completions.create(model=CHAT, messages=CAPITAL, temperature=0, max_tokens=40)
    biased = real.chat.completions.create(
        model=CHAT, messages=CAPITAL, temperature=0, max_tokens=40, logit_bias=NEVER_END
    )
    assert free.choices[0].finish_reason == "stop"
    assert biased.choices[0].finish_reason == "length"


def test_an_alias_answers_and_the_reply_says_which_model_it_was(real: OpenAI) -> None:
    for name in ("gpt-4o-mini", "ft:gpt-4o-mini:acme::abc123"):
        reply = real.chat.completions.create(model=name, messages=CAPITAL, max_tokens=1)
        assert reply.model == CHAT


# Structured answers and tools


def test_parse_fills_a_model_from_what_was_generated(real: OpenAI) -> None:
    reply = real.chat.completions.parse(
        model=CHAT,
        messages=asking("Describe a tame fox named Ada, 3 years old."),
        response_format=Fox,
        temperature=0,
        max_tokens=100,
    )
    fox = reply.choices[0].message.parsed
    assert fox is not None
    assert (fox.name, fox.age) == ("Ada", 3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "GetWeather"}}]
)
def test_a_forced_call_fits_the_schema_although_the_template_knows_no_tools(
    real: OpenAI, choice: openai.types.chat.ChatCompletionToolChoiceOptionParam, seed: int
) -> None:
    reply = real.chat.completions.parse(
        model=CHAT,
        messages=asking("What is the weather in Paris?"),
        tools=[openai.pydantic_function_tool(GetWeather), openai.pydantic_function_tool(Add)],
        tool_choice=choice,
        parallel_tool_calls=False,
        seed=seed,
        max_tokens=200,
    )
    [answer] = reply.choices
    assert answer.finish_reason == "tool_calls"
    assert answer.message.content is None
    [call] = answer.message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, GetWeather | Add)
    if choice != "required":
        assert isinstance(call.function.parsed_arguments, GetWeather)


def test_a_stop_text_does_not_cut_a_forced_call(real: OpenAI) -> None:
    reply = real.chat.completions.parse(
        model=CHAT,
        messages=asking("What is the weather in Paris?"),
        tools=[openai.pydantic_function_tool(GetWeather)],
        tool_choice="required",
        parallel_tool_calls=False,
        stop=["\n", '"}'],
        seed=0,
        max_tokens=200,
    )
    [answer] = reply.choices
    assert answer.finish_reason == "tool_calls"
    [call] = answer.message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, GetWeather)


def test_a_tools_result_finds_its_way_into_the_answer(real: OpenAI) -> None:
    weather = openai.pydantic_function_tool(GetWeather)
    messages = asking("What is the weather in Paris?")
    first = real.chat.completions.create(
        model=CHAT,
        messages=messages,
        tools=[weather],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
    )
    message = first.choices[0].message
    assert message.tool_calls
    result: ChatCompletionMessageParam = {
        "role": "tool",
        "tool_call_id": message.tool_calls[0].id,
        "content": '{"weather": "sunny", "celsius": 21}',
    }
    second = real.chat.completions.create(
        model=CHAT,
        messages=[*messages, message, result],
        tools=[weather],
        tool_choice="none",
        temperature=0,
        max_tokens=60,
    )
    content = second.choices[0].message.content or ""
    assert "sunny" in content.lower() or "21" in content


# Completions


def test_prompts_are_continued_without_a_template(real: OpenAI) -> None:
    reply = real.completions.create(
        model=CHAT,
        prompt=["The capital of France is", "1, 2, 3, 4,"],
        temperature=0,
        max_tokens=4,
        logprobs=1,
        echo=False,
    )
    assert reply.choices[0].text.startswith(" Paris")
    assert "5" in reply.choices[1].text
    logprobs = reply.choices[0].logprobs
    assert logprobs is not None
    assert "".join(logprobs.tokens or []) == reply.choices[0].text
    echoed = real.completions.create(
        model=CHAT, prompt="The capital of France is", temperature=0, max_tokens=1, echo=True
    )
    assert echoed.choices[0].text == "The capital of France is Paris"


# Embeddings


def test_like_texts_have_like_vectors_whatever_the_encoding(real: OpenAI) -> None:
    texts = ["The quick brown fox", "A fast auburn fox", "Quarterly revenue fell sharply"]
    default = real.embeddings.create(model="text-embedding-3-small", input=texts)
    floats = real.embeddings.create(model=EMBED, input=texts, encoding_format="float")
    fox, like, unlike = (item.embedding for item in default.data)
    assert len(fox) == 384
    assert cosine(fox, fox) == pytest.approx(1, abs=1e-4)
    assert cosine(fox, like) == pytest.approx(0.694, abs=0.02)
    assert cosine(fox, unlike) < 0.2
    assert floats.data[0].embedding == pytest.approx(fox, abs=1e-4)
    assert default.model == "all-minilm:latest"


def test_a_batch_beyond_the_slots_keeps_its_order(real: OpenAI) -> None:
    texts = [f"document number {number}" for number in range(200)]
    together = real.embeddings.create(model=EMBED, input=texts)
    assert [item.index for item in together.data] == list(range(200))
    for index in (0, 101, 199):
        alone = real.embeddings.create(model=EMBED, input=texts[index]).data[0].embedding
        assert cosine(alone, together.data[index].embedding) > 0.9999


def test_token_ids_and_fewer_dimensions(real: OpenAI) -> None:
    """101 and 102 open and close a text in BERT's vocabulary."""
    text = real.embeddings.create(model=EMBED, input="the quick brown fox").data[0].embedding
    ids = [[101, 1996, 4248, 2829, 4419, 102]]
    assert cosine(real.embeddings.create(model=EMBED, input=ids).data[0].embedding, text) > 0.9999
    cut = real.embeddings.create(model=EMBED, input="the quick brown fox", dimensions=64)
    norm = math.sqrt(cosine(text[:64], text[:64]))
    assert cut.data[0].embedding == pytest.approx([v / norm for v in text[:64]], abs=1e-4)


def test_too_long_inputs_are_bad_requests_and_not_cut(real: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="512") as embedding:
        real.embeddings.create(model=EMBED, input="fox " * 600)
    with pytest.raises(openai.BadRequestError, match="8192") as chat:
        real.chat.completions.create(model=CHAT, messages=asking("word " * 9000))
    assert {embedding.value.code, chat.value.code} == {"context_length_exceeded"}


# Many, and leaving


async def test_concurrent_clients_are_all_answered(real_async: AsyncOpenAI) -> None:
    replies = await asyncio.gather(
        *(
            real_async.chat.completions.create(
                model=CHAT, messages=CAPITAL, seed=seed, max_tokens=8, logit_bias=NEVER_END
            )
            for seed in range(12)
        ),
        real_async.embeddings.create(model=EMBED, input="beside them"),
    )
    assert len(replies) == 13
    assert all(reply.usage and reply.usage.completion_tokens == 8 for reply in replies[:12])


@pytest.mark.parametrize("stream", [False, True])
async def test_clients_that_leave_mid_decode_free_their_slots(
    real_async: AsyncOpenAI, real_server: Server, stream: bool
) -> None:
    async def ask() -> None:
        reply = await real_async.chat.completions.create(
            model=CHAT, messages=FOX, logit_bias=NEVER_END, stream=stream
        )
        if stream:
            async for _ in reply:
                pass

    tasks = [asyncio.create_task(ask()) for _ in range(8)]
    await asyncio.to_thread(wait_until, lambda: real_server.in_flight() == 8, "all are in", 30)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(wait_until, lambda: real_server.in_flight() == 0, "all are out", 10)
    reply = await real_async.chat.completions.create(model=CHAT, messages=CAPITAL, max_tokens=4)
    assert reply.choices[0].message.content
