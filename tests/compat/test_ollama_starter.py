"""The starter models through Ollama's Python library: real weights, real tokens."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import pytest
from ollama import AsyncClient, Client
from openai import OpenAI
from pydantic import BaseModel

from tests.compat.running import Server, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHAT, EMBED = "smollm2:135m", "all-minilm"
CAPITAL = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"},
]
FOX = [CAPITAL[0], {"role": "user", "content": "Tell me a story of a fox."}]


class Fox(BaseModel):
    name: str
    age: int
    tame: bool


@pytest.fixture
def client(real_server: Server) -> Iterator[Client]:
    with Client(host=real_server.root) as client:
        yield client


def test_a_question_is_answered_whole_and_streamed(client: Client) -> None:
    options = {"temperature": 0, "num_predict": 40}
    whole = client.chat(CHAT, CAPITAL, options=options)
    parts = list(client.chat(CHAT, CAPITAL, options=options, stream=True))
    assert "Paris" in (whole.message.content or "")
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert len(parts) > 5  # as it is generated, not at the end
    assert whole.done_reason == parts[-1].done_reason == "stop"
    assert whole.eval_count
    assert 3 < whole.eval_count < 40


@pytest.mark.parametrize("temperature", [0, 0.8])
def test_both_dialects_give_the_same_text_for_the_same_seed(
    client: Client, real: OpenAI, temperature: float
) -> None:
    sampling: dict[str, Any] = {
        "temperature": temperature,
        "seed": 7,
        "top_p": 0.9,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    }
    native = client.chat(CHAT, FOX, options=sampling | {"num_predict": 30})
    other = real.chat.completions.create(
        model=CHAT, messages=FOX, max_completion_tokens=30, **sampling
    )
    assert native.message.content == other.choices[0].message.content


def test_an_answer_fills_a_pydantic_model(client: Client) -> None:
    reply = client.chat(
        CHAT,
        [CAPITAL[0], {"role": "user", "content": "Describe a tame fox named Ada, 3 years old."}],
        format=Fox.model_json_schema(),
        options={"temperature": 0, "num_predict": 100},
    )
    fox = Fox.model_validate_json(reply.message.content or "")
    assert (fox.name, fox.age) == ("Ada", 3)


def test_a_raw_prompt_is_continued_without_a_template(client: Client) -> None:
    reply = client.generate(
        CHAT, "The capital of France is", raw=True, options={"temperature": 0, "num_predict": 4}
    )
    assert reply.response.startswith(" Paris")


def test_the_context_of_an_answer_continues_it(client: Client) -> None:
    options = {"temperature": 0, "num_predict": 20}
    first = client.generate(CHAT, "My name is Ada. Say hello.", options=options)
    assert first.context
    second = client.generate(CHAT, "And again.", context=first.context, options=options)
    assert first.prompt_eval_count is not None
    assert second.prompt_eval_count is not None
    assert second.prompt_eval_count > first.prompt_eval_count
    assert second.context is not None
    assert list(second.context[: len(first.context)]) == list(first.context)


def test_like_texts_have_like_vectors(client: Client) -> None:
    texts = ["The quick brown fox", "A fast auburn fox", "Quarterly revenue fell sharply"]
    fox, like, unlike = client.embed(EMBED, texts).embeddings
    old = client.embeddings(EMBED, texts[0]).embedding

    def cosine(one: Any, other: Any) -> float:
        product = sum(a * b for a, b in zip(one, other, strict=True))
        return float(product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other)))

    assert len(fox) == 384
    assert cosine(fox, like) == pytest.approx(0.694, abs=0.02)
    assert cosine(fox, unlike) < 0.2
    assert cosine(fox, old) == pytest.approx(1, abs=1e-3)


def test_what_a_model_is_is_shown(client: Client) -> None:
    shown = client.show(CHAT)
    assert shown.modelinfo is not None
    assert shown.modelinfo["llama.context_length"] == 8192
    assert shown.details is not None
    assert shown.details.parameter_size == "134.52M"
    assert shown.capabilities == ["completion"]
    assert client.show(EMBED).capabilities == ["embedding"]


async def test_leaving_in_mid_decode_frees_the_slot(real_server: Server) -> None:
    async with AsyncClient(host=real_server.root) as client:

        async def ask() -> None:
            await client.chat(CHAT, FOX, options={"num_predict": 2000})

        tasks = [asyncio.create_task(ask()) for _ in range(6)]
        await asyncio.to_thread(wait_until, lambda: real_server.in_flight() == 6, "all in", 30)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(wait_until, lambda: real_server.in_flight() == 0, "all out", 10)
