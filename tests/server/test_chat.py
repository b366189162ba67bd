"""`/v1/chat/completions` from the client's side."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, chat_body, install

PATH = "/v1/chat/completions"


async def test_a_reply_has_the_shape_openais_clients_read(server: Server) -> None:
    response, reply = await server.post(PATH, chat_body("one two three", max_tokens=3))
    assert response.headers["x-request-id"].startswith("req_")
    assert reply["object"] == "chat.completion"
    assert reply["model"] == MODEL
    assert reply["id"].startswith("chatcmpl-")
    (choice,) = reply["choices"]
    assert choice["finish_reason"] in ("stop", "length")
    assert choice["message"]["content"].split() == ["one", "two", "three"]
    assert choice["message"]["refusal"] is None
    assert reply["usage"]["completion_tokens"] == 3
    assert reply["usage"]["prompt_tokens_details"]["cached_tokens"] >= 0


async def test_ids_are_unique(server: Server) -> None:
    ids = {(await server.chat("hi", max_tokens=1))["id"] for _ in range(5)}
    assert len(ids) == 5


async def test_a_stream_has_the_role_once_one_finish_and_done(server: Server) -> None:
    payloads = await server.stream(PATH, chat_body("a b c", max_tokens=3))
    assert payloads[-1] == "[DONE]"
    chunks = [json.loads(payload) for payload in payloads[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert [delta.get("role") for delta in deltas] == ["assistant"] + [None] * (len(deltas) - 1)
    assert "".join(delta.get("content") or "" for delta in deltas).split() == ["a", "b", "c"]
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert finishes[:-1] == [None] * (len(finishes) - 1)
    assert finishes[-1] == "length"
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    assert all("usage" not in chunk for chunk in chunks)


async def test_usage_comes_last_and_only_when_asked_for(server: Server) -> None:
    body = chat_body("a b", max_tokens=2, stream_options={"include_usage": True})
    *chunks, done = await server.stream(PATH, body)
    assert done == "[DONE]"
    last = json.loads(chunks[-1])
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 2
    assert all(json.loads(chunk)["usage"] is None for chunk in chunks[:-1])


async def test_more_choices_than_slots_are_fanned_out_with_one_usage(server: Server) -> None:
    reply = await server.chat("x y", n=11, max_tokens=2)
    assert [choice["index"] for choice in reply["choices"]] == list(range(11))
    assert reply["usage"]["completion_tokens"] == 22
    one = await server.chat("x y", n=1, max_tokens=2)
    assert reply["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]


async def test_fanned_out_calls_get_different_seeds(server: Server) -> None:
    reply = await server.chat({"reflect": True}, n=6, seed=10, max_tokens=500)
    seeds = {json.loads(choice["message"]["content"])["seed"] for choice in reply["choices"]}
    assert seeds == {10, 14}  # one call per four slots


async def test_tool_calls_of_the_engine_get_ids_and_a_finish_reason(
    home: Path, server: Server
) -> None:
    install(home, "tooled:latest", chat_template="{% for tool in tools %}{{ tool }}{% endfor %}")
    script = {"tool_calls": [{"name": "f", "arguments": {"x": 1}}, {"name": "g"}]}
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    reply = await server.chat(script, model="tooled:latest", tools=tools)
    message = reply["choices"][0]["message"]
    assert message["content"] is None
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["f", "g"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"x": 1}
    ids = [call["id"] for call in message["tool_calls"]]
    assert len(set(ids)) == 2
    assert all(id_.startswith("call_") for id_ in ids)
    assert reply["choices"][0]["finish_reason"] == "tool_calls"


async def test_harmless_fields_are_accepted_and_named(server: Server) -> None:
    response, _ = await server.post(PATH, chat_body("hi", user="me", store=True, max_tokens=1))
    assert set(response.headers["x-reshore-ignored"].split(", ")) == {"user", "store"}


async def test_an_unknown_field_is_refused_by_name(server: Server) -> None:
    error = await server.refusal(PATH, chat_body("hi", frobnicate=1))
    assert error["param"] == "frobnicate"


async def test_a_larger_num_ctx_is_clamped_and_declared(server: Server) -> None:
    response, _ = await server.post(PATH, chat_body("hi", num_ctx=100_000, max_tokens=1))
    assert response.headers["x-reshore-num-ctx"] == "2048"


async def test_a_smaller_num_ctx_limits_the_prompt_without_a_reload(server: Server) -> None:
    error = await server.refusal(PATH, chat_body("word " * 100, num_ctx=16))
    assert error["code"] == "context_length_exceeded"
    assert "`num_ctx` limits the context to 16 tokens" in error["message"]
    (loaded,) = server.app.services.pool.loaded()
    await server.chat("hi", max_tokens=1)
    assert [engine.pid for engine in server.app.services.pool.loaded()] == [loaded.pid]


async def test_a_prompt_over_the_context_says_both_numbers(server: Server) -> None:
    error = await server.refusal(PATH, chat_body("word " * 5000))
    assert error["code"] == "context_length_exceeded"
    assert "2048" in error["message"]


async def test_reasoning_effort_needs_a_model_that_reasons(server: Server) -> None:
    error = await server.refusal(PATH, chat_body("hi", reasoning_effort="high"))
    assert error["param"] == "reasoning_effort"
    await server.chat("hi", reasoning_effort="none", max_tokens=1)


@pytest.mark.parametrize(
    ("effort", "told"),
    [
        ("none", {"enable_thinking": False}),
        ("minimal", {"enable_thinking": True, "reasoning_effort": "low"}),
        ("low", {"enable_thinking": True, "reasoning_effort": "low"}),
        ("medium", {"enable_thinking": True, "reasoning_effort": "medium"}),
        ("high", {"enable_thinking": True, "reasoning_effort": "high"}),
        ("xhigh", {"enable_thinking": True, "reasoning_effort": "max"}),
        ("max", {"enable_thinking": True, "reasoning_effort": "max"}),
        (None, None),
    ],
)
async def test_reasoning_effort_is_told_to_the_template(
    home: Path, server: Server, effort: str | None, told: dict[str, Any] | None
) -> None:
    install(home, "thinker:latest", chat_template="{{ enable_thinking }}")
    asked = {"model": "thinker:latest", "reasoning_effort": effort, "max_tokens": 500}
    reply = await server.chat({"reflect": True}, **asked)
    sent = json.loads(reply["choices"][0]["message"]["content"])
    assert sent.get("chat_template_kwargs") == told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reasoning_effort", "ultra"),
        ("reasoning_effort", "lots"),
        ("reasoning_effort", ""),
        ("reasoning", {"effort": "low"}),
    ],
)
async def test_an_unknown_effort_is_refused(server: Server, field: str, value: Any) -> None:
    error = await server.refusal(PATH, chat_body("hi", **{field: value}))
    assert (error["param"], error["type"]) == (field, "invalid_request_error")


@pytest.mark.parametrize("top", [-1, 21])
async def test_more_rivals_than_twenty_or_fewer_than_none_are_refused(
    server: Server, top: int
) -> None:
    error = await server.refusal(PATH, chat_body("hi", logprobs=True, top_logprobs=top))
    assert error["param"] == "top_logprobs"


@pytest.mark.parametrize("path", [PATH, "/v1/completions"])
async def test_sampling_that_a_request_leaves_out_is_the_models_own(
    server: Server, path: str
) -> None:
    parameters = {"temperature": 0.25, "top_p": 0.5}
    recipe = {"model": "cool", "from": MODEL, "parameters": parameters, "stream": False}
    _, made = await server.post("/api/create", recipe)
    assert made == {"status": "success"}

    async def sent(model: str, **fields: Any) -> dict[str, Any]:
        asked = chat_body({"reflect": True}, **fields) | {"model": model}
        if path != PATH:
            asked["prompt"] = asked.pop("messages")[0]["content"]
        _, reply = await server.post(path, asked)
        (choice,) = reply["choices"]
        text = choice["message"]["content"] if path == PATH else choice["text"]
        return {name: value for name, value in json.loads(text).items() if name in parameters}

    assert await sent(MODEL) == {}
    assert await sent("cool") == parameters
    assert await sent("cool", temperature=1.5) == parameters | {"temperature": 1.5}


async def test_images_need_a_model_that_sees(server: Server) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    body = {"model": MODEL, "messages": [{"role": "user", "content": [part]}]}
    error = await server.refusal(PATH, body)
    assert error["param"].startswith("messages[0].content[0]")


async def test_keep_alive_zero_unloads_after_the_reply(server: Server) -> None:
    await server.chat("hi", keep_alive=0, max_tokens=1)
    assert all(loaded.unloading for loaded in server.app.services.pool.loaded())
