"""Chat requests: what each field becomes, and what is wrong with which."""

import base64
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import LimitsConfig
from reshore.errors import RequestError, Unsupported
from reshore.types import (
    ChatRequest,
    ImagePart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
)
from reshore.wire.openai.chat import decode_chat
from reshore.wire.openai.fields import TABLE, Rule
from reshore.wire.openai.reader import Decoded

from .arbitrary import bodies, messages

LIMITS = LimitsConfig()
USER = {"role": "user", "content": "hi"}
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 9).decode()
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "g", "description": "d", "strict": True}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def decode(*, lenient: bool = False, limits: LimitsConfig = LIMITS, **fields: Any) -> Any:
    return decode_chat({"model": "m", "messages": [USER]} | fields, lenient=lenient, limits=limits)


def request(**fields: Any) -> ChatRequest:
    decoded: Decoded[ChatRequest] = decode(**fields)
    assert decoded.refused is None
    return decoded.request


def error(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        decode(**fields)
    return caught.value


def message(**fields: Any) -> Message:
    return request(messages=[fields]).messages[0]


def test_the_smallest_request() -> None:
    assert request() == ChatRequest(model="m", messages=(Message(role="user", content="hi"),))


@pytest.mark.parametrize(
    ("field", "sent", "path", "got"),
    [
        ("temperature", 0, "sampling.temperature", 0.0),
        ("temperature", 2, "sampling.temperature", 2.0),
        ("top_p", 0.5, "sampling.top_p", 0.5),
        ("top_k", 40, "sampling.top_k", 40),
        ("min_p", 0.05, "sampling.min_p", 0.05),
        ("repeat_penalty", 1.1, "sampling.repeat_penalty", 1.1),
        ("presence_penalty", -2, "sampling.presence_penalty", -2.0),
        ("frequency_penalty", 2, "sampling.frequency_penalty", 2.0),
        ("seed", -(2**63), "sampling.seed", -(2**63)),
        ("stop", "x", "sampling.stop", ("x",)),
        ("stop", ["x", "\n"], "sampling.stop", ("x", "\n")),
        ("stop", [], "sampling.stop", ()),
        ("max_tokens", 5, "sampling.max_tokens", 5),
        ("max_tokens", 5.0, "sampling.max_tokens", 5),
        ("max_completion_tokens", 6, "sampling.max_tokens", 6),
        ("logit_bias", {"15": -100, "7": 0.5}, "sampling.logit_bias", {15: -100.0, 7: 0.5}),
        ("n", 16, "n", 16),
        ("logprobs", True, "top_logprobs", 0),
        ("logprobs", False, "top_logprobs", None),
        ("parallel_tool_calls", False, "parallel_tool_calls", False),
        ("reasoning_effort", "xhigh", "reasoning_effort", "xhigh"),
        ("keep_alive", "1h30m", "options.keep_alive_s", 5400.0),
        ("keep_alive", -1, "options.keep_alive_s", -1.0),
        ("num_ctx", 4096, "options.num_ctx", 4096),
        ("response_format", {"type": "text"}, "response_format.kind", "text"),
        ("response_format", {"type": "json_object"}, "response_format.kind", "json_object"),
        ("tools", [], "tools", ()),
        ("tool_choice", "none", "tool_choice.mode", "none"),
    ],
)
def test_a_field_is_honoured(field: str, sent: Any, path: str, got: Any) -> None:
    value: Any = request(**{field: sent})
    for step in path.split("."):
        value = getattr(value, step)
    assert value == got
    assert type(value) is type(got)


NULLABLE = sorted(TABLE["CreateChatCompletionRequest"].fields.keys() - {"model", "messages"})


@pytest.mark.parametrize("field", NULLABLE)
def test_null_is_as_if_the_field_were_absent(field: str) -> None:
    decoded = decode(**{field: None})
    assert decoded.request == request()
    assert decoded.ignored == ()


def test_the_newer_name_of_max_tokens_wins() -> None:
    assert request(max_tokens=5, max_completion_tokens=7).sampling.max_tokens == 7


def test_top_logprobs_with_logprobs() -> None:
    assert request(logprobs=True, top_logprobs=20).top_logprobs == 20


def test_streaming() -> None:
    decoded = decode(stream=True, stream_options={"include_usage": True})
    assert (decoded.stream, decoded.include_usage) == (True, True)
    assert not decode(stream=True, stream_options={"include_obfuscation": False}).include_usage
    assert decode(stream=True, stream_options={"include_obfuscation": True}).refused is not None


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": ""}, "model", "empty_string"),
        ({"model": 5}, "model", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": {}}, "messages", "invalid_type"),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
        ({"temperature": "1"}, "temperature", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"top_p": -0.1}, "top_p", "decimal_below_min_value"),
        ({"top_k": -1}, "top_k", "integer_below_min_value"),
        ({"min_p": 2}, "min_p", "decimal_above_max_value"),
        ({"repeat_penalty": 0}, "repeat_penalty", "decimal_below_min_value"),
        ({"presence_penalty": 3}, "presence_penalty", "decimal_above_max_value"),
        ({"frequency_penalty": -3}, "frequency_penalty", "decimal_below_min_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": -1, "max_completion_tokens": 5}, "max_tokens", "integer_below_min_value"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens", "invalid_type"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 129}, "n", "integer_above_max_value"),
        ({"n": True}, "n", "invalid_type"),
        ({"seed": 2**63}, "seed", "integer_above_max_value"),
        ({"seed": 10**4000}, "seed", "integer_above_max_value"),
        ({"stop": ""}, "stop", "empty_string"),
        ({"stop": ["a", ""]}, "stop[1]", "empty_string"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"stop": 5}, "stop", "invalid_type"),
        ({"stop": [5]}, "stop[0]", "invalid_type"),
        ({"logit_bias": []}, "logit_bias", "invalid_type"),
        ({"logit_bias": {"a": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"-1": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"٣": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"9999999999": 1}}, "logit_bias.9999999999", "integer_above_max_value"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5", "decimal_above_max_value"),
        ({"logit_bias": {"5": "1"}}, "logit_bias.5", "invalid_type"),
        ({"logit_bias": {str(i): 1 for i in range(1025)}}, "logit_bias", "invalid_value"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs", "integer_below_min_value"),
        ({"logprobs": 3}, "logprobs", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
        ({"stream": True, "stream_options": []}, "stream_options", "invalid_type"),
        (
            {"stream": True, "stream_options": {"include_usage": 1}},
            "stream_options.include_usage",
            "invalid_type",
        ),
        ({"reasoning_effort": "lots"}, "reasoning_effort", "invalid_value"),
        ({"reasoning_effort": "ultra"}, "reasoning_effort", "invalid_value"),
        ({"keep_alive": "soon"}, "keep_alive", "invalid_value"),
        ({"keep_alive": "nan"}, "keep_alive", "invalid_value"),
        ({"keep_alive": 10**400}, "keep_alive", "invalid_value"),
        ({"keep_alive": True}, "keep_alive", "invalid_type"),
        ({"num_ctx": 0}, "num_ctx", "integer_below_min_value"),
        ({"user": 5}, "user", "invalid_type"),
        ({"metadata": "x"}, "metadata", "invalid_type"),
        ({"store": 1}, "store", "invalid_type"),
        ({"response_format": "json"}, "response_format", "invalid_type"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a b", "schema": {}},
                }
            },
            "response_format.json_schema.name",
            "invalid_value",
        ),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": [5]}, "tools[0]", "invalid_type"),
        ({"tools": [{"function": {}}]}, "tools[0].type", "missing_required_parameter"),
        ({"tools": [{"type": "f"}]}, "tools[0].type", "invalid_value"),
        (
            {"tools": [{"type": "function"}]},
            "tools[0].function",
            "missing_required_parameter",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a.b"}}]},
            "tools[0].function.name",
            "invalid_value",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]},
            "tools[0].function.parameters",
            "invalid_type",
        ),
        ({"tools": [FUNCTION, FUNCTION]}, "tools[1].function.name", "invalid_value"),
        ({"tools": [FUNCTION] * 129}, "tools", "array_above_max_length"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        ({"tool_choice": "any", "tools": [FUNCTION]}, "tool_choice", "invalid_value"),
        ({"tool_choice": 5}, "tool_choice", "invalid_type"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "g"}}, "tools": [FUNCTION]},
            "tool_choice.function.name",
            "invalid_value",
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": []},
                },
                "tools": [FUNCTION],
            },
            "tool_choice.allowed_tools.tools",
            "empty_array",
        ),
    ],
)
def test_a_malformed_field_is_named(fields: dict[str, Any], param: str, code: str) -> None:
    caught = error(**fields)
    assert (caught.param, caught.code) == (param, code)
    assert param.split(".")[0].split("[")[0] in str(caught)


@pytest.mark.parametrize(
    ("sent", "param", "code"),
    [
        (5, "messages[0]", "invalid_type"),
        ({"content": "x"}, "messages[0].role", "missing_required_parameter"),
        ({"role": "bot", "content": "x"}, "messages[0].role", "invalid_value"),
        ({"role": "user"}, "messages[0].content", "missing_required_parameter"),
        ({"role": "user", "content": None}, "messages[0].content", "invalid_type"),
        ({"role": "user", "content": []}, "messages[0].content", "empty_array"),
        ({"role": "user", "content": [5]}, "messages[0].content[0]", "invalid_type"),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "video"}]},
            "messages[0].content[1].type",
            "invalid_value",
        ),
        (
            {"role": "user", "content": [{"type": "text"}]},
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            {"role": "system", "content": [{"type": "image_url", "image_url": {"url": PNG}}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": PNG}]},
            "messages[0].content[0].image_url",
            "invalid_type",
        ),
        ({"role": "user", "content": "x", "name": 5}, "messages[0].name", "invalid_type"),
        ({"role": "user", "content": "x", "tags": 5}, "messages[0].tags", "unknown_parameter"),
        ({"role": "assistant"}, "messages[0].content", "invalid_type"),
        ({"role": "assistant", "content": None}, "messages[0].content", "invalid_type"),
        (
            {"role": "tool", "content": "x"},
            "messages[0].tool_call_id",
            "missing_required_parameter",
        ),
        (
            {"role": "assistant", "tool_calls": [CALL | {"id": ""}]},
            "messages[0].tool_calls[0].id",
            "empty_string",
        ),
        (
            {"role": "assistant", "tool_calls": [CALL | {"function": {"name": "f"}}]},
            "messages[0].tool_calls[0].function.arguments",
            "missing_required_parameter",
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [CALL | {"function": {"name": "f", "arguments": "{"}}],
            },
            "messages[0].tool_calls[0].function.arguments",
            None,
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [CALL | {"function": {"name": "f", "arguments": "[" * 99999}}],
            },
            "messages[0].tool_calls[0].function.arguments",
            None,
        ),
        (
            {
                "role": "assistant",
                "tool_calls": [CALL | {"function": {"name": "f", "arguments": {}}}],
            },
            "messages[0].tool_calls[0].function.arguments",
            "invalid_type",
        ),
    ],
)
def test_a_malformed_message_is_named(sent: Any, param: str, code: str | None) -> None:
    caught = error(messages=[sent])
    assert (caught.param, caught.code) == (param, code)


@pytest.mark.parametrize("key", ["model", "messages"])
def test_a_missing_field_is_named(key: str) -> None:
    body = {"model": "m", "messages": [USER]}
    del body[key]
    with pytest.raises(RequestError, match=f"Missing required parameter: '{key}'") as caught:
        decode_chat(body, lenient=False, limits=LIMITS)
    assert caught.value.param == key


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_a_role_speaks_in_text_and_in_parts(role: str) -> None:
    assert message(role=role, content="x", name="n").content == "x"
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    found = message(role=role, content=parts, name="n")
    assert found == Message(
        role=role,  # type: ignore[arg-type]
        content=(TextPart(text="a"), TextPart(text="b")),
        name="n",
    )


def test_a_tool_answers() -> None:
    found = message(role="tool", content="42", tool_call_id="c1", name="f")
    assert found == Message(role="tool", content="42", tool_call_id="c1", name="f")


@pytest.mark.parametrize(
    ("sent", "name"), [({}, "f"), ({"name": None}, "f"), ({"name": ""}, "f"), ({"name": "x"}, "x")]
)
def test_a_result_has_the_name_of_its_call_unless_it_brings_one(
    sent: dict[str, Any], name: str
) -> None:
    called = {
        "role": "assistant",
        "tool_calls": [CALL, CALL | {"id": "c2", "function": {"name": "g", "arguments": ""}}],
    }
    answer = {"role": "tool", "content": "42", "tool_call_id": "c1", **sent}
    assert request(messages=[called, answer]).messages[1].name == name
    raw = decode(messages=[called, answer]).raw["messages"][1]
    assert raw is answer, "the raw body is what an upstream gets"


def test_a_result_of_no_known_call_has_no_name() -> None:
    assert message(role="tool", content="42", tool_call_id="c1").name is None


def test_an_assistant_calls_tools_without_content() -> None:
    found = message(role="assistant", content=None, tool_calls=[CALL])
    assert found.content is None
    assert found.tool_calls == (ToolCall(id="c1", name="f", arguments='{"a":1}'),)


def test_empty_arguments_are_an_empty_object() -> None:
    call = CALL | {"function": {"name": "f", "arguments": ""}}
    assert message(role="assistant", tool_calls=[call]).tool_calls[0].arguments == "{}"


def test_a_refusal_stays_in_the_history_as_text() -> None:
    assert message(role="assistant", content=None, refusal="no").content == "no"
    part = {"type": "refusal", "refusal": "no"}
    assert message(role="assistant", content=[part]).content == (TextPart(text="no"),)


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_reasoning_comes_back(key: str) -> None:
    assert message(role="assistant", content="x", **{key: "hm"}).reasoning == "hm"


def test_what_the_sdk_adds_when_it_parses_is_no_obstacle() -> None:
    call = CALL | {"function": CALL["function"] | {"parsed_arguments": {"a": 1}}}
    answer = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
    decoded = decode(messages=[USER, answer | {"parsed": {"a": 1}}])
    assert decoded.refused is None
    assert set(decoded.ignored) == {
        "messages[].parsed",
        "messages[].tool_calls[].function.parsed_arguments",
    }


def image(url: str, **more: Any) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": url} | more}
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, part]}]}


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF"])
def test_an_image_is_taken_as_a_data_url(start: bytes) -> None:
    url = "data:image/jpeg;base64," + base64.b64encode(start + b"....WEBP").decode()
    part = ImagePart(url=url, param="messages[0].content[1].image_url")
    assert request(**image(url)).messages[0].content == (TextPart(text="a"), part)


def test_an_http_image_is_left_to_the_backend() -> None:
    part = request(**image("https://example.org/a.png", detail="high")).messages[0].content[1]  # type: ignore[index]
    assert part == ImagePart(
        url="https://example.org/a.png", param="messages[0].content[1].image_url"
    )


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "data:text/plain;base64,aGk=",
        "data:image/png,raw",
        "data:image/png;base64,aGk",
        "data:image/png;base64,a\nGk=",
        "data:image/png;base64,aGk=",
        "data:image/png;base64,é",
    ],
)
def test_what_is_no_image_is_refused_by_its_path(url: str) -> None:
    assert error(**image(url)).param == "messages[0].content[1].image_url.url"


def test_images_are_counted_over_all_messages() -> None:
    one = image(PNG)["messages"]
    assert len(request(messages=one * 16).messages) == 16
    assert "at most 16 images" in str(error(messages=one * 17))


def test_messages_are_counted() -> None:
    assert error(messages=[USER] * 4097).param == "messages"


def test_a_json_schema() -> None:
    schema = {"type": "object"}
    sent = {"name": "n", "schema": schema, "strict": True, "description": "what it is"}
    found = request(response_format={"type": "json_schema", "json_schema": sent}).response_format
    assert found == ResponseFormat(
        kind="json_schema",
        name="n",
        schema={"description": "what it is", "type": "object"},
        strict=True,
    )
    assert schema == {"type": "object"}, "the raw body is what an upstream gets"


@pytest.mark.parametrize("where", ["tools", "response_format"])
@pytest.mark.parametrize("size", ["long", "deep"])
def test_a_schema_has_limits(where: str, size: str) -> None:
    limits = LimitsConfig(schema_bytes=200, depth=10)
    schema: Any = {"a": "x" * 200}
    if size == "deep":
        schema = {}
        for _ in range(10):
            schema = {"a": schema}
    fields = {
        "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]},
        "response_format": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": schema},
            }
        },
    }[where]
    with pytest.raises(RequestError, match="the schema"):
        decode(limits=limits, **fields)


def test_tools() -> None:
    assert request(tools=[FUNCTION, OTHER]).tools == (
        Tool(name="f", parameters={"type": "object"}),
        Tool(name="g", description="d", strict=True),
    )


@pytest.mark.parametrize("mode", ["none", "auto", "required"])
def test_tool_choice_by_mode(mode: Any) -> None:
    assert request(tools=[FUNCTION], tool_choice=mode).tool_choice == ToolChoice(mode=mode)


def test_tool_choice_by_name() -> None:
    choice = {"type": "function", "function": {"name": "f"}}
    found = request(tools=[FUNCTION, OTHER], tool_choice=choice)
    assert found.tool_choice == ToolChoice(mode="named", name="f")
    assert len(found.tools) == 2


def test_tools_that_are_not_allowed_are_left_out() -> None:
    named = [{"type": "function", "function": {"name": "g"}}]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": named}}
    found = request(tools=[FUNCTION, OTHER], tool_choice=choice)
    assert [tool.name for tool in found.tools] == ["g"]
    assert found.tool_choice == ToolChoice(mode="required")


REFUSED = [
    pytest.param(name, field.neutral, id=name)
    for name, field in TABLE["CreateChatCompletionRequest"].fields.items()
    if field.rule is Rule.REFUSED
]


@pytest.mark.parametrize(("name", "neutral"), REFUSED)
def test_a_refused_field_is_remembered_and_not_raised(name: str, neutral: tuple[Any, ...]) -> None:
    decoded = decode(**{name: {"some": "value"}})
    assert isinstance(decoded.refused, Unsupported)
    assert decoded.refused.param == name
    assert name in str(decoded.refused)
    assert decoded.raw[name] == {"some": "value"}
    for value in neutral:
        assert decode(**{name: value}).refused is None


def content(part: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 17}, "n"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"messages": [{"role": "function", "name": "f", "content": "1"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "assistant", "audio": {"id": "a"}}]},
            "messages[0].audio",
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
            "messages[0].function_call",
        ),
        (
            content({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}),
            "messages[0].content[0].type",
        ),
        (content({"type": "file", "file": {"file_id": "f"}}), "messages[0].content[0].type"),
        (
            content({"type": "text", "text": "", "prompt_cache_breakpoint": {"mode": "explicit"}}),
            "messages[0].content[0].prompt_cache_breakpoint",
        ),
        (image(PNG, detail="low"), "messages[0].content[1].image_url.detail"),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"id": "c", "type": "custom", "custom": {}}],
                        "content": "",
                    }
                ]
            },
            "messages[0].tool_calls[0].id",
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        (
            {"tools": [FUNCTION], "tool_choice": {"type": "custom", "custom": {"name": "c"}}},
            "tool_choice.type",
        ),
        (
            {
                "tools": [FUNCTION],
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "custom", "custom": {"name": "c"}}],
                    },
                },
            },
            "tool_choice.allowed_tools.tools[0].type",
        ),
    ],
)
def test_what_only_openai_could_honour_is_remembered(fields: dict[str, Any], param: str) -> None:
    decoded = decode(**fields)
    assert isinstance(decoded.refused, Unsupported)
    assert decoded.refused.param == param


def test_the_first_refusal_counts() -> None:
    assert decode(audio={}, verbosity="low").refused.param == "audio"


def test_harmless_fields_are_listed() -> None:
    decoded = decode(
        user="u",
        safety_identifier="s",
        metadata={"k": "v"},
        store=False,
        service_tier="auto",
        prompt_cache_key="k",
    )
    assert decoded.request == request()
    assert decoded.ignored == (
        "user",
        "safety_identifier",
        "metadata",
        "store",
        "service_tier",
        "prompt_cache_key",
    )


def test_an_unknown_field_is_named() -> None:
    caught = error(frobnicate=1)
    assert str(caught) == "Unrecognized request argument supplied: frobnicate"
    assert caught.param == "frobnicate"


def test_lenient_accepts_and_lists_it_once() -> None:
    odd = USER | {"cache_control": {}}
    decoded = decode(lenient=True, messages=[odd, odd], frobnicate=1)
    assert sorted(decoded.ignored) == ["frobnicate", "messages[].cache_control"]
    assert decoded.request.messages == request(messages=[USER, USER]).messages


def test_what_is_listed_is_safe_and_short_enough_for_a_header() -> None:
    names = {f"x\r\nset-cookie: é{i}": i for i in range(1000)}
    ignored = decode(lenient=True, **names).ignored
    assert len(ignored) == 33
    assert ignored[-1] == "..."
    assert all(set(name) <= set("xset-cookie?.0123456789") for name in ignored)


@given(bodies("CreateChatCompletionRequest", model="m", messages=[USER]), st.booleans())
def test_any_json_gives_a_request_or_a_request_error(body: dict[str, Any], lenient: bool) -> None:
    raises_nothing_else(body, lenient)


@given(messages(), st.booleans())
def test_any_message_gives_a_request_or_a_request_error(sent: list[Any], lenient: bool) -> None:
    raises_nothing_else({"model": "m", "messages": sent}, lenient)


def raises_nothing_else(body: dict[str, Any], lenient: bool) -> None:
    with suppress(RequestError):
        decoded = decode_chat(body, lenient=lenient, limits=LIMITS)
        assert decoded.raw is body
        assert decoded.request.messages or decoded.refused is not None
        msgspec.json.encode(decoded.request)
