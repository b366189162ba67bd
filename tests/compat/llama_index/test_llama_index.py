"""LlamaIndex, over both of our dialects, against scripted engines.

Run by `test_llama_index.py`, in an environment that has LlamaIndex and knows nothing of reshore.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai_like import OpenAILike
from ollama import AsyncClient
from pydantic import BaseModel

ROOT = os.environ["SERVER_ROOT"]
CONTEXT_LENGTH = int(os.environ["CONTEXT_LENGTH"])
WORDS = "the quick brown fox jumps"
PARIS = {"city": "Paris"}


class City(BaseModel):
    """A city."""

    name: str
    people: int


def weather(city: str) -> str:
    """Look up the weather of a city."""
    return f"sunny in {city}"


def script(**directive: Any) -> str:
    """The prompt that makes a scripted engine do as told."""
    return f"/echo {json.dumps(directive)}"


def said(**directive: Any) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=script(**directive))]


def _native(model: str = "tiny", **settings: Any) -> Ollama:
    return Ollama(model=model, base_url=ROOT, request_timeout=60, **settings)


def _like(model: str = "tiny", **settings: Any) -> OpenAILike:
    return OpenAILike(
        model=model, api_base=f"{ROOT}/v1", api_key="unused", is_chat_model=True, **settings
    )


both = pytest.mark.parametrize("make", [_native, _like])


@both
def test_a_chat_is_answered_whole_and_streamed(make: Any) -> None:
    llm = make()
    assert llm.chat(said(text=WORDS)).message.content == WORDS
    parts = list(llm.stream_chat(said(text=WORDS)))
    assert "".join(part.delta or "" for part in parts) == WORDS
    assert parts[-1].message.content == WORDS


@both
async def test_the_async_calls_answer_the_same(make: Any) -> None:
    llm = make()
    assert (await llm.achat(said(text=WORDS))).message.content == WORDS
    parts = [part.delta async for part in await llm.astream_chat(said(text=WORDS))]
    assert "".join(part or "" for part in parts) == WORDS


@both
def test_a_prompt_is_completed(make: Any) -> None:
    llm = make()
    assert llm.complete(script(text=WORDS)).text == WORDS
    assert "".join(part.delta or "" for part in llm.stream_complete(script(text=WORDS))) == WORDS


def test_a_model_that_does_not_chat_is_completed_without_a_template() -> None:
    llm = OpenAILike(model="tiny", api_base=f"{ROOT}/v1", api_key="unused")
    assert llm.complete(script(text=WORDS)).text == WORDS


@both
def test_a_function_is_called(make: Any) -> None:
    call = {"name": "weather", "arguments": PARIS}
    llm = make("tools", is_function_calling_model=True)
    reply = llm.chat_with_tools(
        [FunctionTool.from_defaults(weather)], chat_history=said(tool_calls=[call])
    )
    [asked] = llm.get_tool_calls_from_response(reply)
    assert (asked.tool_name, asked.tool_kwargs) == ("weather", PARIS)


def test_a_pydantic_model_is_filled() -> None:
    city = City(name="Paris", people=2_100_000)
    llm = _native(is_function_calling_model=False).as_structured_llm(City)
    reply = llm.chat(said(text=city.model_dump_json()))
    assert reply.raw == city


def test_the_context_that_is_asked_for_is_the_one_of_the_model() -> None:
    assert _native().metadata.context_window == CONTEXT_LENGTH


def test_counts_are_those_of_the_answer() -> None:
    raw: Any = _native().chat(said(text=WORDS)).raw
    assert raw["usage"]["completion_tokens"] == 5
    assert raw["usage"]["total_tokens"] == raw["usage"]["prompt_tokens"] + 5


async def test_clients_that_want_different_contexts_are_all_answered() -> None:
    """LlamaIndex asks for the whole context of the model on every request, others for less."""
    llm, other = _native(), AsyncClient(host=ROOT)

    async def ask(number: int) -> None:
        message = {"role": "user", "content": script(text=WORDS)}
        options = {"num_ctx": (256, 2048, 1_000_000)[number % 3], "num_predict": 5 + number}
        keep_alive = (60, "10m", -1)[number % 3]
        one, two = await asyncio.gather(
            llm.achat(said(text=WORDS)),
            other.chat("tiny", [message], options=options, keep_alive=keep_alive),
        )
        assert one.message.content == two.message.content == WORDS

    await asyncio.gather(*map(ask, range(12)))


def test_what_a_client_asks_for_reaches_the_engine() -> None:
    llm = _native(temperature=0.25, additional_kwargs={"top_k": 5})
    asked = json.loads(llm.chat(said(reflect=True)).message.content or "")
    assert (asked["temperature"], asked["top_k"]) == (0.25, 5)


async def test_texts_are_embedded() -> None:
    model = OllamaEmbedding(model_name="team/embed", base_url=ROOT)
    one, two = model.get_text_embedding_batch(["one", "two"])
    assert one == pytest.approx(model.get_text_embedding("one"))
    assert one != pytest.approx(two)
    assert await model.aget_query_embedding("one") == pytest.approx(one)
