"""Typed requests become what an upstream reads; what it does not know is left out and named."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reshore.config import LimitsConfig, UpstreamKind
from reshore.errors import Unsupported
from reshore.types import (
    ChatRequest,
    CompletionRequest,
    EmbedRequest,
    ImagePart,
    Message,
    Options,
    ResponseFormat,
    Sampling,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
)
from reshore.wire.openai.chat import decode_chat
from reshore.wire.openai.request import write_chat, write_completion, write_embedding

HELLO = (Message(role="user", content="Hello"),)


def written(kind: UpstreamKind = "openai", **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    request = ChatRequest(**{"model": "m", "messages": HELLO} | fields)
    result = write_chat(request, "theirs", kind, usage=False)
    assert result.body.pop("model") == "theirs"
    assert result.body.pop("stream") is True
    return result.body, result.left_out


def test_a_plain_chat_says_nothing_it_was_not_told() -> None:
    assert written() == ({"messages": [{"role": "user", "content": "Hello"}]}, ())


def test_what_openai_knows_arrives() -> None:
    """Whatever we write for OpenAI, our own reading of OpenAI's dialect takes back unchanged."""
    request = ChatRequest(
        model="m",
        messages=(
            Message(role="system", content="Be brief"),
            Message(
                role="user",
                name="ann",
                content=(
                    TextPart(text="What is it?"),
                    ImagePart(
                        url="data:image/png;base64,iVBORw0KGgo=",
                        param="messages[1].content[1].image_url",
                    ),
                ),
            ),
            Message(
                role="assistant", tool_calls=(ToolCall(id="c1", name="look", arguments='{"a":1}'),)
            ),
            Message(role="tool", name="look", tool_call_id="c1", content="a cat"),
        ),
        tools=(
            Tool(name="look", description="Looks", parameters={"type": "object"}, strict=True),
            Tool(name="bare"),
        ),
        tool_choice=ToolChoice(mode="named", name="look"),
        parallel_tool_calls=False,
        response_format=ResponseFormat(
            kind="json_schema", name="answer", schema={"type": "object"}, strict=True
        ),
        sampling=Sampling(
            temperature=0.5,
            top_p=0.9,
            presence_penalty=0.1,
            frequency_penalty=-0.1,
            seed=7,
            stop=("\n",),
            max_tokens=9,
            logit_bias={5: -100.0},
        ),
        n=2,
        top_logprobs=3,
        reasoning_effort="low",
    )
    result = write_chat(request, "m", "openai", usage=True)
    assert result.left_out == ()
    decoded = decode_chat(
        msgspec.json.decode(msgspec.json.encode(result.body)), lenient=False, limits=LimitsConfig()
    )
    assert decoded.refused is None
    assert decoded.request == request
    assert (decoded.stream, decoded.include_usage) == (True, True)


@pytest.mark.parametrize(
    ("kind", "sent", "left_out"),
    [
        ("openai", {}, ("top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty")),
        ("ollama", {}, ("top_k", "min_p", "typical_p", "repeat_last_n", "repeat_penalty")),
        (
            "vllm",
            {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1},
            ("typical_p", "repeat_last_n"),
        ),
        (
            "llama-server",
            {
                "top_k": 5,
                "min_p": 0.1,
                "typical_p": 0.9,
                "repeat_last_n": 64,
                "repeat_penalty": 1.1,
            },
            (),
        ),
        (
            "reshore",
            {"top_k": 5, "min_p": 0.1, "repeat_penalty": 1.1},
            ("typical_p", "repeat_last_n"),
        ),
    ],
)
def test_further_sampling_goes_where_it_is_known(
    kind: UpstreamKind, sent: dict[str, Any], left_out: tuple[str, ...]
) -> None:
    sampling = Sampling(top_k=5, min_p=0.1, typical_p=0.9, repeat_last_n=64, repeat_penalty=1.1)
    body, named = written(kind, sampling=sampling)
    body.pop("messages")
    assert (body, named) == (sent, left_out)


@pytest.mark.parametrize(
    ("kind", "field"), [("openai", "max_completion_tokens"), ("vllm", "max_tokens")]
)
def test_the_limit_has_the_name_that_is_known(kind: UpstreamKind, field: str) -> None:
    body, _ = written(kind, sampling=Sampling(max_tokens=9))
    assert body[field] == 9
    assert field not in written(kind, sampling=Sampling(max_tokens=-1))[0]


def test_what_concerns_an_engine_of_ours_is_named() -> None:
    _, named = written(options=Options(num_ctx=512, keep_alive_s=0.0), thinking=True)
    assert named == ("keep_alive", "num_ctx", "think")


def test_templates_are_told_whether_to_think_and_what_was_thought() -> None:
    messages = (Message(role="assistant", content="4", reasoning="2+2"), *HELLO)
    body, named = written("vllm", thinking=False, messages=messages)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["messages"][0]["reasoning_content"] == "2+2"
    assert named == ()
    assert "reasoning_content" not in written(messages=messages)[0]["messages"][0]


@pytest.mark.parametrize(("kind", "role"), [("openai", "developer"), ("vllm", "system")])
def test_developers_are_known_to_openai_alone(kind: UpstreamKind, role: str) -> None:
    body, _ = written(kind, messages=(Message(role="developer", content="x"),))
    assert body["messages"] == [{"role": role, "content": "x"}]


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        ({"response_format": ResponseFormat(kind="json_object")}, "response_format", "json_object"),
        ({"tools": (Tool(name="f"),), "tool_choice": ToolChoice(mode="none")}, "tool_choice", None),
    ],
)
def test_short_forms(fields: dict[str, Any], key: str, value: str | None) -> None:
    body, _ = written(**fields)
    assert body[key] == ({"type": value} if value else "none")


def test_token_ids_of_an_earlier_reply_mean_nothing_elsewhere() -> None:
    with pytest.raises(Unsupported, match="token ids"):
        written(context=(1, 2))


def test_a_completion_keeps_its_fields() -> None:
    request = CompletionRequest(
        model="m",
        prompts=("a", (1, 2)),
        suffix="z",
        echo=True,
        n=2,
        best_of=3,
        logprobs=0,
        sampling=Sampling(temperature=0.0, max_tokens=4),
    )
    assert write_completion(request, "theirs", "openai", usage=True).body == {
        "model": "theirs",
        "stream": True,
        "stream_options": {"include_usage": True},
        "prompt": ("a", (1, 2)),
        "suffix": "z",
        "echo": True,
        "n": 2,
        "best_of": 3,
        "logprobs": 0,
        "temperature": 0.0,
        "max_tokens": 4,
    }


def test_a_completion_cannot_be_held_to_a_format() -> None:
    request = CompletionRequest(
        model="m", prompts=("a",), response_format=ResponseFormat(kind="json_object")
    )
    with pytest.raises(Unsupported, match="send a chat"):
        write_completion(request, "m", "openai", usage=True)


def test_vectors_are_asked_for_as_bytes() -> None:
    request = EmbedRequest(model="m", inputs=("a",), normalise=False, prompt_name="query")
    result = write_embedding(request, "theirs")
    assert result.body == {"model": "theirs", "input": ("a",), "encoding_format": "base64"}
    assert result.left_out == ("normalise", "prompt_name")


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("vllm", {"continue_final_message": True, "add_generation_prompt": False}),
        ("sglang", {"continue_final_message": True}),
        ("llama-server", {}),
        ("openai", {}),
    ],
)
def test_words_of_the_assistants_are_gone_on_with(
    kind: UpstreamKind, sent: dict[str, bool]
) -> None:
    begun = Message(role="assistant", content="Once upon")
    body, _ = written(kind, messages=(*HELLO, begun))
    assert body == {"messages": body["messages"]} | sent
    call = ToolCall(id="c", name="f", arguments="{}")
    body, _ = written(kind, messages=(*HELLO, Message(role="assistant", tool_calls=(call,))))
    assert set(body) == {"messages"}
