"""Conversations through the native API: whose history is whose, and histories with tools."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, install
from tests.server.ollama import (
    CHAT,
    GENERATE,
    REFLECT,
    answered,
    chat_of,
    engine_body,
    lines,
    prompt_of,
    said,
)

TOOLER = "tooler:latest"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"unit": {"type": "string"}, "city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    install(tmp_path, MODEL, context_length=4096)
    template = "{% if tools %}{{ tools }}{% endif %}{{ messages[0]['content'] }}"
    install(tmp_path, TOOLER, context_length=4096, chat_template=template)
    return tmp_path


async def test_parallel_chats_keep_their_own_histories(server: Server) -> None:
    async def converse(number: int) -> None:
        history: list[dict[str, Any]] = []
        for turn in range(3):
            text = f"answer {turn} to client {number}"
            history.append({"role": "user", "content": said({"text": text, "gap_ms": 1})})
            reply = await answered(server, CHAT, chat_of("", messages=history))
            assert reply["message"] == {"role": "assistant", "content": text}
            history.append(reply["message"])
        history.append({"role": "user", "content": said(REFLECT)})
        body = await engine_body(server, CHAT, chat_of("", messages=history))
        assert body["messages"] == history

    await asyncio.gather(*(converse(number) for number in range(6)))


async def test_parallel_prompts_keep_their_own_contexts(server: Server) -> None:
    async def converse(number: int) -> None:
        context: list[int] = []
        for turn in range(3):
            body = prompt_of(f"client-{number}-{turn}", options={"num_predict": 2})
            reply = await answered(server, GENERATE, body | {"context": context})
            assert reply["context"][: len(context)] == context
            context = reply["context"]
        # The scripted engine's tokens are bytes, so the context can be read.
        text = bytes(context).decode()
        assert [f"client-{number}-{turn}" in text for turn in range(3)] == [True] * 3
        assert text.count("client-") == text.count(f"client-{number}-")

    await asyncio.gather(*(converse(number) for number in range(6)))


CALL = {"name": "get_weather", "arguments": {"unit": "celsius", "city": "Paris"}}


def native_history(question: str) -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "function": CALL}]},
        {"role": "tool", "content": "sunny, 21", "tool_name": "get_weather"},
        {"role": "system", "content": "In one word."},
        {"role": "user", "content": question},
    ]


def openai_history(question: str) -> list[dict[str, Any]]:
    """The same as OpenAI's clients write it: no content, texts in parts, arguments in a text."""
    function = {"name": CALL["name"], "arguments": '{"unit":"celsius","city":"Paris"}'}
    call = {"id": "call_1", "type": "function", "function": function}
    parts = [{"type": "text", "text": "sunny, 21"}]
    return [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": parts, "tool_call_id": "call_1"},
        {"role": "system", "content": "In one word."},
        {"role": "user", "content": question},
    ]


def flat(message: dict[str, Any]) -> dict[str, Any]:
    """A message of the engine's request with what is allowed to differ made alike."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part["text"] for part in content)
    role = "system" if message["role"] == "developer" else message["role"]
    kept = {key: message[key] for key in ("tool_calls", "tool_call_id") if key in message}
    return {"role": role, "content": content or "", **kept}


@pytest.mark.parametrize("model", [MODEL, TOOLER])
async def test_one_history_with_tools_means_the_same_in_both_dialects(
    server: Server, model: str
) -> None:
    question = said(REFLECT)
    body = {"model": model, "tools": [WEATHER]}
    native = await engine_body(
        server, CHAT, body | {"messages": native_history(question), "stream": False}
    )
    openai = body | {"messages": openai_history(question)}
    response, reply = await server.post("/v1/chat/completions", openai)
    assert response.status == 200, reply
    theirs = json.loads(reply["choices"][0]["message"]["content"])
    assert [flat(message) for message in native["messages"]] == [
        flat(message) for message in theirs["messages"]
    ]
    assert native.get("tools") == theirs.get("tools")
    assert native.get("grammar") == theirs.get("grammar")
    if model == TOOLER:
        made = native["messages"][2]["tool_calls"][0]
        assert made["function"]["name"] == "get_weather"
        assert json.loads(made["function"]["arguments"]) == CALL["arguments"]
        assert native["messages"][3]["tool_call_id"] == made["id"] == "call_1"
    else:
        assert "get_weather" in native["messages"][0]["content"]
        assert "sunny, 21" in native["messages"][3]["content"]


WRITTEN = json.dumps(CALL)
ANSWERS = [
    {"text": f"<tool_call>\n{WRITTEN}\n</tool_call>"},
    {"text": f"Let me look. <tool_call>\n{WRITTEN}\n</tool_call>"},
    {"text": f"<tool_call>\n{WRITTEN}\n</tool_call>\n<tool_call>\n{WRITTEN}\n</tool_call>"},
    {"text": f"<tool_call>\n{WRITTEN}\n</tool_call>", "burst": True},
    {"text": "It is sunny."},
    {"text": "Is 1 < 2 a <tool?"},
]


@pytest.mark.parametrize("script", ANSWERS)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_a_text_or_a_call_and_shows_no_tags(
    server: Server, script: dict[str, Any], stream: bool
) -> None:
    messages = [{"role": "user", "content": said(script)}]
    body = chat_of("", messages=messages, tools=[WEATHER])
    if stream:
        told = [line["message"] for line in await lines(server, CHAT, body)]
    else:
        told = [(await answered(server, CHAT, body))["message"]]
    text = "".join(message["content"] for message in told)
    calls = [call for message in told for call in message.get("tool_calls", [])]
    assert text or calls
    assert "tool_call>" not in text
    assert len(calls) == script["text"].count("</tool_call>")
    for call in calls:
        assert call["function"] | {"index": 0} == {**CALL, "index": 0}
    if calls:
        result = {"role": "tool", "content": "sunny", "tool_name": "get_weather"}
        message = {"role": "assistant", "content": text, "tool_calls": calls}
        more = [*messages, message, *[result] * len(calls)]
        more.append({"role": "user", "content": said({"text": "Sunny."})})
        reply = await answered(server, CHAT, chat_of("", messages=more, tools=[WEATHER]))
        assert reply["message"] == {"role": "assistant", "content": "Sunny."}
