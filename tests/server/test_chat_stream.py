"""The events of a streamed chat, one by one, and how an answer finishes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, chat_body, install

PATH = "/v1/chat/completions"
TOOLED = "tooled:latest"
THINKER = "thinker:latest"
TOOLS = [{"type": "function", "function": {"name": "f"}}]
CALLS = [{"name": "f", "arguments": {"x": 1}}]
WRITTEN = '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """One model without tools in its template, one with, one that thinks."""
    install(tmp_path, MODEL, context_length=2048)
    install(tmp_path, TOOLED, context_length=2048, chat_template="{{ tools }}")
    install(
        tmp_path, THINKER, context_length=2048, chat_template="{{ enable_thinking }}{{ tools }}"
    )
    return tmp_path


async def choices(server: Server, script: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The one choice of each event of a streamed answer."""
    *payloads, done = await server.stream(PATH, chat_body(script, **fields))
    assert done == "[DONE]"
    return [json.loads(payload)["choices"][0] for payload in payloads]


def deltas(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for choice in found]


async def test_no_event_is_empty_but_the_first_and_the_last(server: Server) -> None:
    found = await choices(server, {"text": "one two"})
    assert deltas(found) == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "one"},
        {"content": " two"},
        {},
    ]
    assert [choice["finish_reason"] for choice in found] == [None, None, None, "stop"]


async def test_an_empty_answer_is_a_role_and_a_finish(server: Server) -> None:
    found = await choices(server, {"text": ""})
    assert deltas(found) == [{"role": "assistant", "content": "", "refusal": None}, {}]
    assert found[-1]["finish_reason"] == "stop"
    reply = await server.chat({"text": ""})
    assert reply["choices"][0]["message"]["content"] == ""


async def test_reasoning_comes_in_events_of_its_own_before_the_answer(server: Server) -> None:
    script = {"reasoning": "let me see", "text": "it is 42"}
    _, *pieces, last = deltas(await choices(server, script, model=THINKER))
    assert last == {}
    kinds = ["content" if "content" in piece else "reasoning" for piece in pieces]
    assert kinds == sorted(kinds, reverse=True)
    assert all(set(piece) in ({"content"}, {"reasoning", "reasoning_content"}) for piece in pieces)
    assert "".join(piece.get("reasoning", "") for piece in pieces) == "let me see"
    assert "".join(piece.get("content", "") for piece in pieces) == "it is 42"


async def test_reasoning_and_a_call_finish_only_at_the_end(server: Server) -> None:
    script = {"reasoning": "let me see", "tool_calls": CALLS}
    found = await choices(server, script, model=THINKER, tools=TOOLS)
    seen = deltas(found)
    reasoned = [place for place, delta in enumerate(seen) if "reasoning" in delta]
    called = [place for place, delta in enumerate(seen) if "tool_calls" in delta]
    assert reasoned
    assert max(reasoned) < min(called)
    reasons = [choice["finish_reason"] for choice in found]
    assert reasons == [None] * (len(found) - 1) + ["tool_calls"]


@pytest.mark.parametrize(
    ("model", "script"), [(TOOLED, {"tool_calls": CALLS}), (MODEL, {"text": WRITTEN})]
)
@pytest.mark.parametrize(("said", "told"), [("stop", "tool_calls"), ("length", "length")])
async def test_length_says_more_than_a_call_and_a_call_more_than_stop(
    server: Server, model: str, script: dict[str, Any], said: str, told: str
) -> None:
    script = script | {"finish": said}
    found = await choices(server, script, model=model, tools=TOOLS)
    assert found[-1]["finish_reason"] == told
    assert found[-1]["delta"] == {}
    reply = await server.chat(script, model=model, tools=TOOLS)
    (choice,) = reply["choices"]
    assert choice["finish_reason"] == told
    (call,) = choice["message"]["tool_calls"]
    assert call["function"]["name"] == "f"
    assert json.loads(call["function"]["arguments"]) == {"x": 1}


async def test_each_token_has_its_logprobs_once(server: Server) -> None:
    found = await choices(server, {"text": "one two"}, logprobs=True)
    sent = [
        token["token"]
        for choice in found
        for token in (choice["logprobs"] or {}).get("content", [])
    ]
    assert sent == ["one", " two"]
    assert all(choice["logprobs"] is None for choice in await choices(server, {"text": "one"}))
