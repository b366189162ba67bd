"""For each honoured field: how the engine's request, or the reply, changes.

The scripted engine answers the body it received (`reflect`), so these tests see a field's whole
way: from the client's JSON to the engine's. The last test holds this file against the table.
"""

import json
from typing import Any

import pytest

from reshore.wire.openai.fields import TABLE, Rule
from tests.server.harness import MODEL, Server, chat_body

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"

SAMPLING: list[tuple[str, Any, str, Any]] = [
    ("temperature", 0.3, "temperature", 0.3),
    ("top_p", 0.4, "top_p", 0.4),
    ("frequency_penalty", 0.5, "frequency_penalty", 0.5),
    ("presence_penalty", -0.5, "presence_penalty", -0.5),
    ("seed", 42, "seed", 42),
    ("logit_bias", {"5": -100, "6": 1.5}, "logit_bias", [[5, False], [6, 1.5]]),
    ("n", 2, "n", 2),
    ("top_k", 7, "top_k", 7),
    ("min_p", 0.2, "min_p", 0.2),
    ("repeat_penalty", 1.3, "repeat_penalty", 1.3),
    ("max_tokens", 300, "max_tokens", 300),
]

CHAT_ONLY: list[tuple[str, Any, str, Any]] = [
    ("max_completion_tokens", 301, "max_tokens", 301),
    ("reasoning_effort", "none", "chat_template_kwargs", None),
]

# Fields whose effect the other tests of this folder show, each where its name says.
ELSEWHERE = {
    "model": "test_an_alias_answers_and_says_who_did",
    "messages": "test_messages_reach_the_engine",
    "stream": "test_a_stream_has_the_role_once_one_finish_and_done",
    "stream_options": "test_usage_comes_last_and_only_when_asked_for",
    "keep_alive": "test_keep_alive_zero_unloads_after_the_reply",
    "num_ctx": "test_a_larger_num_ctx_is_clamped_and_declared",
    "logprobs": "test_logprobs_come_with_bytes_and_rivals",
    "top_logprobs": "test_logprobs_come_with_bytes_and_rivals",
    "response_format": "test_response_format_becomes_a_grammar",
    "tools": "test_tools_become_prompt_and_grammar_without_a_template",
    "tool_choice": "test_tools_become_prompt_and_grammar_without_a_template",
    "parallel_tool_calls": "test_one_call_at_a_time_is_a_smaller_grammar",
    "stop": "test_stop_texts_end_the_answer_and_are_left_out",
    "prompt": "test_completions_continue_raw_text_prompt_by_prompt",
    "best_of": "test_best_of_returns_the_likeliest_without_logprobs",
    "echo": "test_echo_puts_each_prompt_before_its_completion",
    "suffix": "test_suffix_needs_infill_tokens",
}


async def reflected(server: Server, **fields: Any) -> dict[str, Any]:
    """The body that the engine got for a chat request with these fields."""
    reply = await server.chat({"reflect": True}, **fields)
    body: dict[str, Any] = json.loads(reply["choices"][0]["message"]["content"])
    return body


@pytest.mark.parametrize(("field", "value", "name", "expected"), SAMPLING + CHAT_ONLY)
async def test_a_chat_field_reaches_the_engine(
    server: Server, field: str, value: Any, name: str, expected: Any
) -> None:
    assert (await reflected(server, **{field: value})).get(name) == expected


@pytest.mark.parametrize(("field", "value", "name", "expected"), SAMPLING)
async def test_a_completion_field_reaches_the_engine(
    server: Server, field: str, value: Any, name: str, expected: Any
) -> None:
    body = {"model": MODEL, "prompt": '/echo {"reflect":true}', field: value}
    response, reply = await server.post(TEXT, body)
    assert response.status == 200, reply
    assert json.loads(reply["choices"][0]["text"]).get(name) == expected


async def test_a_bias_on_a_token_that_the_model_lacks_is_refused(server: Server) -> None:
    bias = {"logit_bias": {"5": 1, "99999999": 100}}
    text = {"model": MODEL, "prompt": "hi", **bias}
    for path, body in ((CHAT, chat_body("hi", **bias)), (TEXT, text)):
        error = await server.refusal(path, body)
        assert error["param"] == "logit_bias"
        assert "99999999" in error["message"]


async def test_max_completion_tokens_wins_over_max_tokens(server: Server) -> None:
    body = await reflected(server, max_tokens=300, max_completion_tokens=301)
    assert body["max_tokens"] == 301


@pytest.mark.parametrize("stop", ["END", ["absent", "END"]])
async def test_stop_texts_end_the_answer_and_are_left_out(server: Server, stop: Any) -> None:
    reply = await server.chat({"text": "one END two"}, stop=stop)
    assert reply["choices"][0]["message"]["content"].strip() == "one"
    assert reply["choices"][0]["finish_reason"] == "stop"
    body = {"model": MODEL, "prompt": '/echo {"text":"one END two"}', "stop": stop}
    _, text = await server.post(TEXT, body)
    assert text["choices"][0]["text"].strip() == "one"


async def test_messages_reach_the_engine(server: Server) -> None:
    history = [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": [{"type": "text", "text": "d"}]},
        {"role": "user", "content": "u", "name": "ann"},
        {"role": "assistant", "content": "a"},
    ]
    body = await reflected(
        server, messages=[*history, {"role": "user", "content": '/echo {"reflect":true}'}]
    )
    assert [(m["role"], m["content"]) for m in body["messages"][:-1]] == [
        ("system", "s"),
        ("system", "d"),
        ("user", "u"),
        ("assistant", "a"),
    ]
    assert body["messages"][2]["name"] == "ann"


async def test_logprobs_come_with_bytes_and_rivals(server: Server) -> None:
    reply = await server.chat("one two", max_tokens=2, logprobs=True, top_logprobs=2)
    tokens = reply["choices"][0]["logprobs"]["content"]
    assert len(tokens) == 2
    for token in tokens:
        assert bytes(token["bytes"]).decode() == token["token"]
        assert len(token["top_logprobs"]) == 2
    reply = await server.chat("one two", max_tokens=2, logprobs=True)
    assert [token["top_logprobs"] for token in reply["choices"][0]["logprobs"]["content"]] == [
        [],
        [],
    ]
    reply = await server.chat("one two", max_tokens=2)
    assert reply["choices"][0]["logprobs"] is None


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


async def test_response_format_becomes_a_grammar(server: Server) -> None:
    assert "grammar" not in await reflected(server, response_format={"type": "text"})
    assert (
        "root ::=" in (await reflected(server, response_format={"type": "json_object"}))["grammar"]
    )
    named = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}}
    body = await reflected(server, response_format=named)
    assert '\\"a\\"' in body["grammar"]
    assert "response_format" not in body


async def test_a_strict_schema_beyond_the_grammar_is_refused_by_keyword(server: Server) -> None:
    schema = {"type": "integer", "multipleOf": 3}
    wanted = {"name": "x", "schema": schema, "strict": True}
    error = await server.refusal(
        CHAT, chat_body("hi", response_format={"type": "json_schema", "json_schema": wanted})
    )
    assert "multipleOf" in error["message"]
    assert error["param"].startswith("response_format.json_schema.schema")


async def test_a_lax_schema_is_checked_afterwards_and_reported(server: Server) -> None:
    wanted = {"name": "x", "schema": {"type": "integer", "multipleOf": 3}}
    fields = {"response_format": {"type": "json_schema", "json_schema": wanted}}
    response, _ = await server.post(CHAT, chat_body({"text": "4"}, **fields))
    assert "4 is not a multiple of 3" in response.headers["x-reshore-schema-violation"]
    response, _ = await server.post(CHAT, chat_body({"text": "6"}, **fields))
    assert "x-reshore-schema-violation" not in response.headers
    payloads = await server.stream(CHAT, chat_body({"text": "4"}, **fields))
    assert any(line.startswith(": x-reshore-schema-violation") for line in payloads)
    assert payloads[-1] == "[DONE]"


TOOLS = [
    {
        "type": "function",
        "function": {"name": "add", "description": "adds", "parameters": SCHEMA},
    }
]


async def test_tools_become_prompt_and_grammar_without_a_template(server: Server) -> None:
    body = await reflected(server, tools=TOOLS, tool_choice="required")
    assert "tools" not in body
    assert "add" in body["messages"][0]["content"]
    assert "add" in body["grammar"]
    unforced = await reflected(server, tools=TOOLS)
    assert unforced["grammar"] != body["grammar"]
    named = {"type": "function", "function": {"name": "add"}}
    assert "add" in (await reflected(server, tools=TOOLS, tool_choice=named))["grammar"]
    none = await reflected(server, tools=TOOLS, tool_choice="none")
    assert "grammar" not in none
    assert len(none["messages"]) == 1


FORCED = ["required", {"type": "function", "function": {"name": "add"}}]


def calling(arguments: dict[str, Any]) -> dict[str, Any]:
    """What a model without a tool template writes to call `add`, as a directive."""
    call = json.dumps({"name": "add", "arguments": arguments})
    return {"text": f"<tool_call>\n{call}\n</tool_call>"}


@pytest.mark.parametrize("stop", ["\n", ['"}'], "add"])
@pytest.mark.parametrize("choice", FORCED, ids=["required", "named"])
async def test_a_forced_call_is_whole_whatever_the_stop_texts(
    server: Server, choice: Any, stop: Any
) -> None:
    fields = {"tools": TOOLS, "tool_choice": choice, "stop": stop}
    response, reply = await server.post(CHAT, chat_body(calling({"a": "x"}), **fields))
    [answer] = reply["choices"]
    assert answer["finish_reason"] == "tool_calls"
    [call] = answer["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"a": "x"}
    assert response.headers["x-reshore-ignored"] == "stop"


@pytest.mark.parametrize("choice", FORCED, ids=["required", "named"])
async def test_arguments_are_checked_for_what_the_grammar_cannot_hold(
    server: Server, choice: Any
) -> None:
    thirds = {"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 3}}}
    tool = {"type": "function", "function": {"name": "add", "parameters": thirds}}
    fields = {"tools": [tool], "tool_choice": choice}
    response, _ = await server.post(CHAT, chat_body(calling({"a": 7}), **fields))
    found = response.headers["x-reshore-schema-violation"]
    assert found == "add: a: 7 is not a multiple of 3"
    response, _ = await server.post(CHAT, chat_body(calling({"a": 6}), **fields))
    assert "x-reshore-schema-violation" not in response.headers
    payloads = await server.stream(CHAT, chat_body(calling({"a": 7}), **fields))
    assert any(line.startswith(": x-reshore-schema-violation: add: a: 7") for line in payloads)
    assert payloads[-1] == "[DONE]"


async def test_one_call_at_a_time_is_a_smaller_grammar(server: Server) -> None:
    several = await reflected(server, tools=TOOLS, tool_choice="required")
    one = await reflected(server, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    assert len(one["grammar"]) < len(several["grammar"])


def test_every_honoured_field_of_a_request_is_shown() -> None:
    shown = {row[0] for row in SAMPLING + CHAT_ONLY} | ELSEWHERE.keys()
    for schema in ("CreateChatCompletionRequest", "CreateCompletionRequest"):
        fields = TABLE[schema].fields
        honoured = {name for name, field in fields.items() if field.rule is Rule.HONOURED}
        assert honoured <= shown, schema
