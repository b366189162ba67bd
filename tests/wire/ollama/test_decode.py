"""Requests of the native API, read into our nouns."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import LimitsConfig
from reshore.errors import RequestError
from reshore.types import (
    ChatRequest,
    CompletionRequest,
    EmbedRequest,
    ImagePart,
    Message,
    TextPart,
)
from reshore.wire.ollama.decode import (
    Loading,
    decode_chat,
    decode_embed,
    decode_embeddings,
    decode_generate,
    decode_show,
)
from reshore.wire.ollama.fields import TABLE
from tests.wire.openai.arbitrary import JSON

LIMITS = LimitsConfig(images=2, messages=8, tools=3)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(30)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff" + bytes(30)).decode()


def chat(**fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    request = decode_chat(body, limits=LIMITS).request
    assert isinstance(request, ChatRequest)
    return request


def generate(**fields: Any) -> ChatRequest | CompletionRequest | Loading:
    return decode_generate({"model": "m", **fields}, limits=LIMITS).request


def test_a_chat_is_read_with_truncation_on() -> None:
    request = chat(options={"num_ctx": 2}, think="low", keep_alive="5m", logprobs=True)
    assert request.messages == (Message(role="user", content="hi"),)
    assert request.options.truncate
    assert request.options.num_ctx == 4
    assert request.options.keep_alive_s == 300
    assert (request.thinking, request.reasoning_effort, request.top_logprobs) == (True, "low", 0)
    assert not chat(truncate=False).options.truncate
    assert chat(options={"num_ctx": 0}).options.num_ctx is None


def test_streaming_is_what_happens_when_nobody_says_otherwise() -> None:
    for value, expected in ((None, True), (True, True), (False, False)):
        body = {"model": "m", "messages": [], "stream": value}
        assert decode_chat(body, limits=LIMITS).stream is expected


@pytest.mark.parametrize("image", [PNG, f"data:image/png;base64,{PNG}", f"{PNG[:8]}\n{PNG[8:]}"])
def test_images_stand_before_the_text(image: str) -> None:
    messages = [{"role": "user", "content": "what?", "images": [image, JPEG]}]
    (message,) = chat(messages=messages).messages
    assert message.content == (
        ImagePart(url=f"data:image/png;base64,{PNG}", param="messages[0].images[0]"),
        ImagePart(url=f"data:image/jpeg;base64,{JPEG}", param="messages[0].images[1]"),
        TextPart(text="what?"),
    )


@pytest.mark.parametrize(
    "images", [["!"], ["aGVsbG8="], ["https://example.org/a.png"], [5], "x", [PNG] * 3]
)
def test_what_is_no_image_is_refused_with_its_place(images: Any) -> None:
    with pytest.raises(RequestError) as failure:
        chat(messages=[{"role": "user", "content": "", "images": images}])
    assert str(failure.value.param).startswith("messages[0].images")


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": {"b": 1, "a": [2]}}, **more}


def test_calls_keep_their_arguments_and_get_ids_that_never_change() -> None:
    messages = [
        {"role": "assistant", "tool_calls": [call("f"), call("g"), call("f", id="mine")]},
        {"role": "tool", "content": "G", "tool_name": "g"},
        {"role": "tool", "content": "F"},
        {"role": "tool", "content": "M", "tool_call_id": "mine"},
    ]
    assistant, *results = chat(messages=messages).messages
    assert assistant.content is None
    assert [made.arguments for made in assistant.tool_calls] == ['{"b":1,"a":[2]}'] * 3
    first, second, third = (made.id for made in assistant.tool_calls)
    assert third == "mine"
    assert [(r.tool_call_id, r.name) for r in results] == [
        (second, "g"),
        (first, "f"),
        ("mine", "f"),
    ]
    again, *_ = chat(messages=messages).messages
    assert again == assistant


@pytest.mark.parametrize("arguments", ["{}", [1], 5])
def test_arguments_of_earlier_calls_are_objects(arguments: Any) -> None:
    made = {"function": {"name": "f", "arguments": arguments}}
    with pytest.raises(RequestError, match="arguments"):
        chat(messages=[{"role": "assistant", "tool_calls": [made]}])


def test_tools_keep_the_order_of_their_properties() -> None:
    properties = {"z": {"type": "string"}, "a": {"type": "integer"}, "m": {}}
    parameters = {"type": "object", "properties": properties}
    tool = {"type": "function", "function": {"name": "ns.f g", "parameters": parameters}}
    (read,) = chat(tools=[tool]).tools
    assert read.name == "ns.f g"
    assert list(read.parameters["properties"]) == ["z", "a", "m"]
    with pytest.raises(RequestError, match="there twice"):
        chat(tools=[tool, tool])


def test_a_prompt_is_a_chat_and_a_raw_one_a_completion() -> None:
    request = generate(prompt="hi", system="s", context=[1, 2])
    assert isinstance(request, ChatRequest)
    assert [message.role for message in request.messages] == ["system", "user"]
    assert request.context == (1, 2)
    for fields in ({"raw": True}, {"suffix": "end"}):
        request = generate(prompt="hi", **fields)
        assert isinstance(request, CompletionRequest)
        assert (request.prompts, request.suffix) == (("hi",), fields.get("suffix"))


def test_a_raw_prompt_does_not_think_and_what_is_filled_in_is_not_cut_and_says_so() -> None:
    body = {"prompt": "x", "raw": True, "think": True, "truncate": True}
    assert decode_generate(body, limits=LIMITS).ignored == ("think",)
    filled = decode_generate(body | {"suffix": "y"}, limits=LIMITS)
    assert filled.ignored == ("think", "truncate")


@pytest.mark.parametrize(
    ("fields", "kept", "ignored"),
    [
        ({}, 4, ()),
        ({"options": {"num_keep": 9}}, 9, ()),
        ({"options": {"num_keep": -5}}, -1, ()),
        ({"shift": True}, 4, ("shift",)),
        ({"shift": False}, None, ()),
        ({"truncate": False}, None, ()),
    ],
)
def test_a_text_that_is_too_long_may_be_cut_unless_truncation_or_shift_is_off(
    fields: dict[str, Any], kept: int | None, ignored: tuple[str, ...]
) -> None:
    for decode, body in (
        (decode_generate, {"prompt": "x"}),
        (decode_chat, {"messages": [{"role": "user", "content": "x"}]}),
    ):
        decoded = decode({"model": "m", **body, **fields}, limits=LIMITS)
        assert not isinstance(decoded.request, Loading)
        assert decoded.request.options.keep_tokens == kept
        assert decoded.ignored == ignored
    between = {"prompt": "x", "suffix": "y", "system": "s", "context": [1]}
    assert decode_generate(between, limits=LIMITS).ignored == ("system", "context")


def test_without_a_question_the_model_is_loaded_or_unloaded() -> None:
    assert generate() == Loading(model="m")
    assert generate(prompt="", keep_alive="10m") == Loading(model="m", keep_alive_s=600)
    unload = generate(keep_alive=0)
    assert isinstance(unload, Loading)
    assert unload.unloads
    assert isinstance(generate(images=[PNG]), ChatRequest)


def test_what_cannot_be_honoured_is_remembered_and_not_raised() -> None:
    body = {"model": "m", "prompt": "hi", "template": "{{ .Prompt }}"}
    refused = decode_generate(body, limits=LIMITS).refused
    assert refused is not None
    assert "Go template" in str(refused)
    assert decode_generate(body | {"template": ""}, limits=LIMITS).refused is None
    raw = decode_generate({"prompt": "x", "raw": True, "images": [PNG]}, limits=LIMITS)
    assert raw.refused is not None


def test_embeddings_are_truncated_unless_the_client_says_no() -> None:
    request = decode_embed({"model": "m", "input": "a", "dimensions": 0}, limits=LIMITS).request
    assert isinstance(request, EmbedRequest)
    assert (request.inputs, request.dimensions, request.normalise) == (("a",), None, True)
    assert request.options.truncate
    options = {"num_ctx": 9, "temperature": 1, "mirostat": None}
    tuned = decode_embed({"input": "a", "options": options}, limits=LIMITS)
    assert tuned.ignored == ("options.temperature",)
    assert tuned.request.model == ""
    older = decode_embeddings({"model": "m", "prompt": "a"}, limits=LIMITS).request
    assert isinstance(older, EmbedRequest)
    assert not older.normalise


DECODERS = {
    "ChatRequest": decode_chat,
    "GenerateRequest": decode_generate,
    "EmbedRequest": decode_embed,
    "EmbeddingsRequest": decode_embeddings,
    "ShowRequest": decode_show,
}


@pytest.mark.parametrize("schema", DECODERS)
@given(data=st.data())
def test_any_body_is_read_or_refused(schema: str, data: st.DataObject) -> None:
    fields = st.dictionaries(st.sampled_from(sorted(TABLE[schema].fields)), JSON, max_size=6)
    body = {"model": "m", **data.draw(fields), **data.draw(st.dictionaries(st.text(), JSON))}
    try:
        decoded = DECODERS[schema](body, limits=LIMITS)
    except RequestError:
        return
    for name in decoded.ignored:
        assert name.isascii()
        assert name.isprintable()
