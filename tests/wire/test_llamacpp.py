"""Requests to an engine, and what comes back."""

import json
from typing import Any

import msgspec
import pytest

from reshore.types import (
    ChatRequest,
    Chunk,
    CompletionRequest,
    ImagePart,
    Message,
    Sampling,
    TextPart,
    Timings,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    TopLogprob,
    Usage,
)
from reshore.wire.llamacpp.events import NO_CHOICE, decode_event, decode_infill
from reshore.wire.llamacpp.faults import FaultEvent, decode_fault
from reshore.wire.llamacpp.requests import chat_body, completion_body, infill_body

USER = Message(role="user", content="hi")
TOOL = Tool(name="f", description="d", parameters={"type": "object"})


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=fields.pop("messages", (USER,)), **fields)


def test_an_engine_is_always_asked_to_stream_with_usage() -> None:
    assert chat_body(chat()) == {
        "stream": True,
        "stream_options": {"include_usage": True},
        "cache_prompt": True,
        "return_progress": True,
        "n": 1,
        "messages": [{"role": "user", "content": "hi"}],
    }


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({"temperature": 0.0}, {"temperature": 0.0}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"top_k": 5}, {"top_k": 5}),
        ({"min_p": 0.1}, {"min_p": 0.1}),
        ({"repeat_penalty": 1.1}, {"repeat_penalty": 1.1}),
        ({"presence_penalty": -1.0}, {"presence_penalty": -1.0}),
        ({"frequency_penalty": 2.0}, {"frequency_penalty": 2.0}),
        ({"max_tokens": 7}, {"max_tokens": 7}),
        ({"seed": 3}, {"seed": 5}),
        ({"seed": -1}, {"seed": 1}),
        ({"stop": ("a", "b")}, {"stop": ("a", "b")}),
        ({"logit_bias": {5: -100.0, 6: 2.0}}, {"logit_bias": [[5, False], [6, 2.0]]}),
    ],
)
def test_each_sampling_field_reaches_the_engine(
    sampling: dict[str, Any], expected: dict[str, Any]
) -> None:
    body = chat_body(chat(sampling=Sampling(**sampling)), seed_offset=2)
    assert {key: body[key] for key in expected} == expected


def test_a_developer_is_a_system_to_every_template() -> None:
    body = chat_body(chat(messages=(Message(role="developer", content="x"), USER)))
    assert body["messages"][0] == {"role": "system", "content": "x"}


def test_text_parts_become_one_text_and_images_stay_parts() -> None:
    text = Message(role="user", content=(TextPart(text="a"), TextPart(text="b")))
    image = Message(
        role="user",
        content=(TextPart(text="a"), ImagePart(url="data:image/png;base64,", param="p")),
    )
    messages = chat_body(chat(messages=(text, image)))["messages"]
    assert messages[0]["content"] == "a\nb"
    assert messages[1]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
    ]


def test_a_tool_conversation_keeps_ids_names_and_arguments() -> None:
    history = (
        USER,
        Message(role="assistant", tool_calls=(ToolCall(id="c1", name="f", arguments='{"x":1}'),)),
        Message(role="tool", content="42", tool_call_id="c1", name="f"),
    )
    messages = chat_body(chat(messages=history))["messages"]
    assert messages[1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
        ],
    }
    assert messages[2] == {"role": "tool", "content": "42", "name": "f", "tool_call_id": "c1"}


def test_tools_beside_a_grammar_are_written_but_not_parsed_by_the_engine() -> None:
    request = chat(tools=(TOOL,), tool_choice=ToolChoice(mode="required"))
    body = chat_body(request, grammar='root ::= "x"')
    assert (body["tool_choice"], body["grammar"]) == ("none", 'root ::= "x"')
    assert body["tools"][0]["function"]["name"] == "f"
    assert chat_body(chat(tools=(TOOL,)))["tool_choice"] == "auto"


def test_logprobs_are_asked_for_even_without_rivals() -> None:
    body = chat_body(chat(top_logprobs=0))
    assert (body["logprobs"], body["top_logprobs"]) == (True, 1)


def test_thinking_goes_to_the_template() -> None:
    body = chat_body(chat(reasoning_effort="high"), thinking=True)
    assert body["chat_template_kwargs"] == {"enable_thinking": True, "reasoning_effort": "high"}
    assert chat_body(chat(), thinking=False)["chat_template_kwargs"] == {"enable_thinking": False}


@pytest.mark.parametrize(
    ("effort", "told"),
    [
        ("none", None),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "max"),
        ("max", "max"),
    ],
)
def test_templates_are_told_an_effort_that_they_know(effort: str, told: str | None) -> None:
    kwargs = chat_body(chat(reasoning_effort=effort), thinking=True)["chat_template_kwargs"]
    assert kwargs.get("reasoning_effort") == told


def test_best_of_needs_logprobs_to_rank() -> None:
    request = CompletionRequest(model="m", prompts=("a",), best_of=3)
    assert completion_body(request, "a", n=3)["logprobs"] == 1
    assert "logprobs" not in completion_body(CompletionRequest(model="m", prompts=("a",)), "a")


def test_infill_has_its_own_names() -> None:
    request = CompletionRequest(
        model="m", prompts=("a",), suffix="z", logprobs=2, sampling=Sampling(max_tokens=4)
    )
    body = infill_body(request, "a")
    assert (body["input_prefix"], body["input_suffix"]) == ("a", "z")
    assert (body["n_predict"], body["n_probs"]) == (4, 2)
    assert "max_tokens" not in body


def event(**fields: Any) -> bytes:
    return json.dumps({"id": "x", "created": 1, "model": "m", **fields}).encode()


def choice(delta: dict[str, Any], **fields: Any) -> bytes:
    return event(choices=[{"index": 1, "delta": delta, "finish_reason": None, **fields}])


def test_content_reasoning_and_finish_are_read() -> None:
    assert decode_event(choice({"content": "a"})) == Chunk(index=1, content="a")
    assert decode_event(choice({"reasoning_content": "r"})) == Chunk(index=1, reasoning="r")
    finish = decode_event(choice({}, finish_reason="length"))
    assert finish == Chunk(index=1, finish_reason="length")


def test_an_event_without_news_is_nothing() -> None:
    assert decode_event(choice({"role": "assistant", "content": None})) is None
    assert decode_event(event(choices=[])) is None


def test_tool_calls_lose_the_engines_ids() -> None:
    call = {"index": 0, "id": "zz", "type": "function", "function": {"name": "f", "arguments": "{"}}
    chunk = decode_event(choice({"tool_calls": [call]}))
    assert chunk is not None
    assert chunk.tool_calls == (ToolCallDelta(index=0, name="f", arguments="{"),)


def test_logprobs_keep_bytes_and_rivals() -> None:
    token = {"token": "I", "logprob": -1.5, "bytes": [73], "id": 7}
    rival = {**token, "token": "a", "bytes": [97]}
    chunk = decode_event(
        choice({"content": "I"}, logprobs={"content": [{**token, "top_logprobs": [rival]}]})
    )
    assert chunk is not None
    assert chunk.logprobs == (
        TokenLogprob(
            token="I",
            logprob=-1.5,
            bytes=(73,),
            top=(TopLogprob(token="a", logprob=-1.5, bytes=(97,)),),
        ),
    )


@pytest.mark.parametrize("finish", [None, "stop"])
def test_logprobs_are_kept_without_text_and_beside_a_finish(finish: str | None) -> None:
    logprobs = {"content": [{"token": "<", "logprob": -1.5, "bytes": [60]}]}
    chunk = decode_event(choice({}, finish_reason=finish, logprobs=logprobs))
    token = TokenLogprob(token="<", logprob=-1.5, bytes=(60,))
    assert chunk == Chunk(index=1, logprobs=(token,), finish_reason=finish)  # type: ignore[arg-type]


def test_usage_and_timings_belong_to_no_choice() -> None:
    usage = {
        "prompt_tokens": 31,
        "completion_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 30},
    }
    chunk = decode_event(
        event(choices=[], usage=usage, timings={"prompt_ms": 7.5, "predicted_ms": 45.0})
    )
    assert chunk == Chunk(
        index=NO_CHOICE,
        usage=Usage(prompt_tokens=31, completion_tokens=8, cached_tokens=30),
        timings=Timings(prefill_ms=7.5, decode_ms=45.0),
    )


def test_special_tokens_are_shown_where_they_are_asked_for() -> None:
    request = CompletionRequest(model="m", prompts=("p",))
    assert "preserved_tokens" not in completion_body(request, "p")
    body = completion_body(request, "p", shown=("<think>", "</think>"))
    assert body["preserved_tokens"] == ("<think>", "</think>")


def test_text_completions_are_read_too() -> None:
    payload = event(choices=[{"text": "a", "index": 2, "logprobs": None, "finish_reason": "stop"}])
    assert decode_event(payload) == Chunk(index=2, content="a", finish_reason="stop")


def test_the_last_event_of_a_text_completion_finishes_and_counts() -> None:
    choices = [{"text": "", "index": 0, "finish_reason": "length"}]
    chunk = decode_event(event(choices=choices, usage={"prompt_tokens": 3, "completion_tokens": 2}))
    assert chunk == Chunk(finish_reason="length", usage=Usage(prompt_tokens=3, completion_tokens=2))


def test_an_error_event_is_raised_with_what_it_says() -> None:
    with pytest.raises(FaultEvent, match="boom"):
        decode_event(b'{"error":{"code":500,"message":"boom","type":"server_error"}}')


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"choices":3}', b"\xff"])
def test_nonsense_is_an_error_of_the_decoder(payload: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_event(payload)


def test_the_last_infill_event_finishes_and_counts() -> None:
    payload = {"content": "", "stop": True, "stop_type": "limit"}
    chunk = decode_infill(
        json.dumps({**payload, "tokens_predicted": 3, "tokens_evaluated": 9}).encode()
    )
    assert chunk == Chunk(finish_reason="length", usage=Usage(prompt_tokens=9, completion_tokens=3))


def test_progress_of_the_prompt_is_no_news() -> None:
    progress = {"prompt_progress": {"total": 9, "processed": 0}}
    assert decode_event(choice({"role": "assistant", "content": None}, **progress)) is None
    text = event(choices=[{"text": "", "index": 0, "finish_reason": None}], **progress)
    assert decode_event(text) is None
    infill = {"content": "", "stop": False, **progress}
    assert decode_infill(json.dumps(infill).encode()) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"m","type":"t","n_ctx":5}}', "m"),
        (b'{"error":"plain"}', "plain"),
        (b"<html>", "<html>"),
    ],
)
def test_error_replies_of_any_shape_have_a_message(body: bytes, message: str) -> None:
    assert decode_fault(body).message == message
