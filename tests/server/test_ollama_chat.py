"""`/api/chat` over a real socket, on the scripted engine."""

import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.server.harness import MODEL, Server, chat_body, echo_config, install, running
from tests.server.ollama import (
    CHAT,
    REFLECT,
    answered,
    chat_of,
    engine_body,
    lines,
    refused,
    said,
)

THINKER = "thinker:latest"
RIDDLER = "riddler:latest"  # thinks, and nobody knows how
SEER = "seer:latest"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ADD = {
    "type": "function",
    "function": {"name": "add", "description": "adds", "parameters": SCHEMA},
}
COUNTS = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    install(tmp_path, MODEL, context_length=2048)
    template = "{% if enable_thinking %}<think>{% endif %}{{ messages[0]['content'] }}"
    install(tmp_path, THINKER, context_length=2048, chat_template=template)
    install(tmp_path, RIDDLER, context_length=2048, chat_template="{{ enable_thinking }}")
    return tmp_path


async def test_a_stream_ends_with_one_line_that_has_the_counts(server: Server) -> None:
    *pieces, last = await lines(server, CHAT, chat_of({"text": "one two three"}))
    assert "".join(line["message"]["content"] for line in pieces) == "one two three"
    for line in pieces:
        assert line["model"] == MODEL
        assert line["message"]["role"] == "assistant"
        assert line["done"] is False
        assert not COUNTS & set(line)
    assert last["done"] is True
    assert last["done_reason"] == "stop"
    assert last["message"] == {"role": "assistant", "content": ""}
    assert set(last) > COUNTS
    assert all(last[name] > 0 for name in COUNTS)
    assert last["eval_count"] == 3


async def test_without_streaming_it_is_one_object(server: Server) -> None:
    reply = await answered(server, CHAT, chat_of({"text": "one two"}))
    assert reply["message"] == {"role": "assistant", "content": "one two"}
    assert reply["done"] is True
    assert set(reply) == {"model", "created_at", "message", "done", "done_reason"} | COUNTS


async def test_an_answer_that_was_cut_says_length(server: Server) -> None:
    body = chat_of({"forever": True}, options={"num_predict": 5})
    reply = await answered(server, CHAT, body)
    assert reply["done_reason"] == "length"
    assert reply["eval_count"] == 5


async def test_the_model_is_named_as_the_client_named_it(home: Path) -> None:
    async with running(echo_config(home, aliases={"gpt-4o-mini": MODEL})) as server:
        for name in ("tiny", "Tiny:Latest", "gpt-4o-mini"):
            reply = await answered(server, CHAT, chat_of("hi") | {"model": name})
            assert reply["model"] == name
            assert server.outcomes[-1].asked_model == name
            assert server.outcomes[-1].model == MODEL


@pytest.mark.parametrize("messages", [[], None])
async def test_no_messages_load_the_model_or_unload_it(server: Server, messages: Any) -> None:
    pool = server.app.services.pool
    body = {"model": MODEL, "messages": messages}
    reply = await answered(server, CHAT, body | {"keep_alive": "1h"})
    assert reply["done_reason"] == "load"
    assert reply["message"] == {"role": "assistant", "content": ""}
    assert len(pool.loaded()) == 1
    reply = await answered(server, CHAT, body | {"keep_alive": 0})
    assert reply["done_reason"] == "unload"
    assert not pool.loaded()


async def test_unloading_what_is_not_loaded_loads_nothing(server: Server) -> None:
    reply = await answered(server, CHAT, {"model": MODEL, "keep_alive": "0s"})
    assert reply["done_reason"] == "unload"
    assert not server.app.services.pool.loaded()


async def test_keep_alive_zero_unloads_after_the_reply(server: Server) -> None:
    await answered(server, CHAT, chat_of("hi", keep_alive=0))
    assert all(one.unloading for one in server.app.services.pool.loaded())


OPTIONS: list[tuple[str, Any, str, Any]] = [
    ("temperature", 0.3, "temperature", 0.3),
    ("top_k", 7, "top_k", 7),
    ("top_p", 0.4, "top_p", 0.4),
    ("min_p", 0.1, "min_p", 0.1),
    ("typical_p", 0.5, "typical_p", 0.5),
    ("repeat_last_n", 33, "repeat_last_n", 33),
    ("repeat_penalty", 1.2, "repeat_penalty", 1.2),
    ("presence_penalty", 0.5, "presence_penalty", 0.5),
    ("frequency_penalty", -0.5, "frequency_penalty", -0.5),
    ("seed", 42, "seed", 42),
    ("num_predict", 300, "max_tokens", 300),
    ("num_predict", -1, "max_tokens", None),
]


@pytest.mark.parametrize(("option", "value", "name", "expected"), OPTIONS)
async def test_an_option_reaches_the_engine(
    server: Server, option: str, value: Any, name: str, expected: Any
) -> None:
    body = await engine_body(server, CHAT, chat_of(REFLECT, options={option: value}))
    assert body.get(name) == expected


@pytest.mark.parametrize("stop", ["END", ["absent", "END"]])
async def test_stop_texts_end_the_answer_and_are_left_out(server: Server, stop: Any) -> None:
    reply = await answered(server, CHAT, chat_of({"text": "one END two"}, options={"stop": stop}))
    assert reply["message"]["content"].strip() == "one"
    assert reply["done_reason"] == "stop"


async def test_both_dialects_ask_the_engine_the_same(server: Server) -> None:
    native = chat_of(
        REFLECT,
        options={"seed": 7, "temperature": 0.2, "top_k": 5, "num_predict": 300},
        format=SCHEMA,
    )
    schema = {"name": "x", "schema": SCHEMA}
    openai = chat_body(
        REFLECT,
        seed=7,
        temperature=0.2,
        top_k=5,
        max_tokens=300,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    _, reply = await server.post("/v1/chat/completions", openai)
    theirs = json.loads(reply["choices"][0]["message"]["content"])
    assert await engine_body(server, CHAT, native) == theirs


async def test_an_option_of_another_type_is_a_500_in_ollamas_words(server: Server) -> None:
    body = chat_of("hi", options={"num_ctx": "big"})
    assert await refused(server, CHAT, body, 500) == 'option "num_ctx" must be of type integer'


async def test_what_has_no_effect_is_named_and_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "reshore.server")
    body = chat_of("hi", options={"mirostat": 2, "num_gpu": 9}, shift=True, extra=1)
    response, _ = await server.post(CHAT, body)
    assert response.headers["x-reshore-ignored"] == (
        "extra, options.mirostat, options.num_gpu, shift"
    )
    (line,) = (record for record in caplog.records if "without effect" in record.message)
    assert "options.mirostat" in line.message


@pytest.mark.parametrize(
    ("value", "grammar"), [("json", "root ::="), (SCHEMA, '\\"a\\"'), ("", None), (None, None)]
)
async def test_a_format_becomes_a_grammar(server: Server, value: Any, grammar: str | None) -> None:
    body = await engine_body(server, CHAT, chat_of(REFLECT, format=value))
    assert ("grammar" in body) is (grammar is not None)
    assert grammar is None or grammar in body["grammar"]


async def test_what_a_grammar_cannot_hold_is_told_at_the_end(server: Server) -> None:
    body = chat_of({"text": "4"}, format={"type": "integer", "multipleOf": 3})
    reply = await answered(server, CHAT, body)
    assert "4 is not a multiple of 3" in reply["x_reshore_schema_violation"]
    *_, last = await lines(server, CHAT, body)
    assert "4 is not a multiple of 3" in last["x_reshore_schema_violation"]


async def test_history_reaches_the_engine_in_openais_words(server: Server) -> None:
    call = {"function": {"name": "add", "arguments": {"b": 1, "a": 2.5}}}
    messages = [
        {"role": "System", "content": "s"},
        {"role": "user", "content": "u"},
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [call]},
        {"role": "tool", "content": "3", "tool_name": "add"},
        {"role": "user", "content": said(REFLECT)},
    ]
    body = await engine_body(server, CHAT, chat_of("", messages=messages))
    system, user, assistant, tool, _ = body["messages"]
    assert (system["role"], user["content"]) == ("system", "u")
    assert assistant["content"] is None
    assert assistant["reasoning_content"] == "hm"
    (made,) = assistant["tool_calls"]
    assert made["function"] == {"name": "add", "arguments": '{"b":1,"a":2.5}'}
    assert tool == {"role": "tool", "content": "3", "name": "add", "tool_call_id": made["id"]}


async def test_tool_calls_come_whole_with_arguments_in_their_order(server: Server) -> None:
    text = (
        'So: <tool_call>\n{"name": "add", "arguments": {"z": 1.50, "a": [2]}}\n</tool_call>\n'
        '<tool_call>\n{"name": "add", "arguments": {}}\n</tool_call>'
    )
    body = chat_of({"text": text}, tools=[ADD])
    *pieces, last = await lines(server, CHAT, body)
    calls = [call for line in pieces for call in line["message"].get("tool_calls", [])]
    assert [call["function"]["index"] for call in calls] == [0, 1]
    assert [list(call["function"]["arguments"].items()) for call in calls] == [
        [("z", 1.5), ("a", [2])],
        [],
    ]
    assert len({call["id"] for call in calls}) == 2
    assert all(call["id"].startswith("call_") for call in calls)
    assert "".join(line["message"]["content"] for line in pieces) == "So:"
    assert last["done_reason"] == "stop"
    reply = await answered(server, CHAT, body)
    whole = reply["message"]["tool_calls"]
    assert [call["function"] for call in whole] == [call["function"] for call in calls]


async def test_a_model_that_does_not_think_says_so_only_when_asked_to(server: Server) -> None:
    for value in (True, "high"):
        text = await refused(server, CHAT, chat_of("hi", think=value))
        assert text == f'"{MODEL}" does not support thinking'
    await answered(server, CHAT, chat_of("hi", think=False))


@pytest.mark.parametrize(
    ("think", "told"),
    [
        (None, None),
        (True, {"enable_thinking": True}),
        (False, {"enable_thinking": False}),
        ("max", {"enable_thinking": True, "reasoning_effort": "max"}),
    ],
)
async def test_thinking_is_told_to_the_template(server: Server, think: Any, told: Any) -> None:
    body = chat_of(REFLECT, think=think) | {"model": THINKER}
    assert (await engine_body(server, CHAT, body)).get("chat_template_kwargs") == told


async def test_thoughts_have_a_field_of_their_own(server: Server) -> None:
    body = chat_of({"reasoning": "let me see", "text": "42"}) | {"model": THINKER}
    reply = await answered(server, CHAT, body)
    assert reply["message"] == {"role": "assistant", "content": "42", "thinking": "let me see"}
    *pieces, _ = await lines(server, CHAT, body)
    assert "".join(line["message"].get("thinking", "") for line in pieces) == "let me see"


async def test_a_constrained_answer_is_thought_about_first(server: Server) -> None:
    script = {"text": '<think>\nlet me see\n</think>\n\n{"a": 1}'}
    body = chat_of(script, think=True, format=SCHEMA) | {"model": THINKER}
    response, reply = await server.post(CHAT, body)
    thought = {"content": '{"a": 1}', "thinking": "let me see"}
    assert reply["message"] == {"role": "assistant", **thought}
    assert "x-reshore-ignored" not in response.headers
    *pieces, last = await lines(server, CHAT, body)
    for key, text in thought.items():
        assert "".join(line["message"].get(key, "") for line in pieces) == text
    assert last["eval_count"] == reply["eval_count"]
    assert last["prompt_eval_count"] == reply["prompt_eval_count"]


async def test_the_grammar_tells_the_end_of_the_thought(server: Server) -> None:
    body = chat_of(REFLECT, think=True, format=SCHEMA) | {"model": THINKER}
    sent = await engine_body(server, CHAT, body)
    assert sent["prompt"].endswith("<|im_start|>assistant\n")
    assert sent["preserved_tokens"] == ["<think>", "</think>"]
    assert sent["grammar"].startswith('root ::= "<think>"')
    as_it_likes = await engine_body(server, CHAT, body | {"think": None})
    assert as_it_likes["grammar"].splitlines()[0].endswith("| answer")


@pytest.mark.parametrize("model", [THINKER, RIDDLER])
async def test_without_thinking_there_is_one_constrained_pass(server: Server, model: str) -> None:
    body = chat_of(REFLECT, think=False, format=SCHEMA) | {"model": model}
    response, reply = await server.post(CHAT, body)
    assert "x-reshore-ignored" not in response.headers
    assert "think" not in json.loads(reply["message"]["content"])["grammar"]


async def test_where_the_end_of_a_thought_is_not_known_a_format_forbids_it_and_says_so(
    server: Server,
) -> None:
    body = chat_of(REFLECT, think=True, format=SCHEMA) | {"model": RIDDLER}
    response, reply = await server.post(CHAT, body)
    assert response.headers["x-reshore-ignored"] == "think"
    assert "think" not in json.loads(reply["message"]["content"])["grammar"]
    response, _ = await server.post(CHAT, body | {"think": None})
    assert "x-reshore-ignored" not in response.headers


async def test_logprobs_come_with_bytes_and_as_many_rivals_as_asked(server: Server) -> None:
    body = chat_of("one two three", logprobs=True, top_logprobs=2, options={"num_predict": 3})
    reply = await answered(server, CHAT, body)
    assert len(reply["logprobs"]) == 3
    for token in reply["logprobs"]:
        assert bytes(token["bytes"]).decode() == token["token"]
        assert len(token["top_logprobs"]) == 2
    *pieces, last = await lines(server, CHAT, body)
    assert [line["logprobs"] for line in pieces] == [[token] for token in reply["logprobs"]]
    assert "logprobs" not in last
    plain = await answered(server, CHAT, body | {"top_logprobs": None})
    assert [set(token) for token in plain["logprobs"]] == [{"token", "logprob", "bytes"}] * 3


async def test_images_are_refused_by_a_model_that_does_not_see(server: Server) -> None:
    image = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
    messages = [{"role": "user", "content": "what is it?", "images": [image]}]
    text = await refused(server, CHAT, chat_of("", messages=messages))
    assert text == "registry.ollama.ai/library/tiny:latest does not support vision"
    messages[0]["images"] = ["no base64!"]
    assert "images[0]" in await refused(server, CHAT, chat_of("", messages=messages))


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"model": "nobody"}, 404, "model 'nobody' not found"),
        ({"model": ""}, 400, "model is required"),
        ({"model": "a b"}, 400, "invalid model name"),
        ({"think": "invalid"}, 400, "invalid think value"),
        ({"top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
        ({"top_logprobs": -1}, 400, "top_logprobs must be between 0 and 20"),
        ({"keep_alive": True}, 400, "Unsupported type: 'bool'"),
        ({"format": "yaml"}, 400, 'expected "json" or a valid JSON Schema object'),
        ({"messages": "hi"}, 400, "messages"),
        ({"messages": [{"role": "x", "content": ""}]}, 400, "messages[0].role"),
        ({"messages": [{"role": "user", "content": ["a"]}]}, 400, "messages[0].content"),
    ],
)
async def test_a_wrong_request_is_refused_in_ollamas_words(
    server: Server, change: dict[str, Any], status: int, text: str
) -> None:
    assert text in await refused(server, CHAT, chat_of("hi") | change, status)


async def test_no_body_and_no_json_are_told_apart(server: Server) -> None:
    assert await refused(server, CHAT, b"") == "missing request body"
    assert "not valid JSON" in await refused(server, CHAT, b"{")


async def test_a_path_or_method_that_is_not_there_is_told_in_the_same_shape(
    server: Server,
) -> None:
    assert (await refused(server, "/api/nothing", {}, 404)).startswith("404 page not found")
    async with server.session.get(server.url + CHAT) as response:
        assert response.status == 405
        assert set(await response.json()) == {"error"}
