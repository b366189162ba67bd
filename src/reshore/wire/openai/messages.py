"""`messages` of a chat: roles, text, content parts, tool calls of earlier turns."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from reshore.types import ImagePart, Message, Part, Role, TextPart, ToolCall
from reshore.wire.jsonbody import parse_json
from reshore.wire.openai import values
from reshore.wire.openai.reader import Reader

# What OpenAI takes, and BMP, by its first bytes. What an engine can decode its backend knows.
_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF")
_DATA_URL = re.compile(r"data:image/[A-Za-z0-9.+-]{1,32}(?:;[^,;]{1,64})*;base64,", re.IGNORECASE)

_GROUPS: Mapping[str, str] = {
    role: f"ChatCompletionRequest{role.capitalize()}Message"
    for role in ("system", "developer", "user", "assistant", "tool", "function")
}
_TEXT = {"text": "ChatCompletionRequestMessageContentPartText"}
_ASSISTANT_PARTS = _TEXT | {"refusal": "ChatCompletionRequestMessageContentPartRefusal"}
_USER_PARTS = _TEXT | {
    "image_url": "ChatCompletionRequestMessageContentPartImage",
    "input_audio": "ChatCompletionRequestMessageContentPartAudio",
    "file": "ChatCompletionRequestMessageContentPartFile",
}
_PARTS: Mapping[str, Mapping[str, str]] = {"assistant": _ASSISTANT_PARTS, "user": _USER_PARTS}


def read_messages(body: dict[str, Any], reader: Reader) -> tuple[Message, ...]:
    """The conversation, in order; messages of a refused role are left out.

    Raises:
        RequestError: none, too many, or one that is malformed; `param` is its path.
    """
    listed = values.filled_array(
        values.required(body, "messages"), "messages", reader.limits.messages
    )
    read = (_message(item, f"messages[{i}]", reader) for i, item in enumerate(listed))
    return tuple(_named(message for message in read if message is not None))


def _named(messages: Iterable[Message]) -> Iterator[Message]:
    """Each tool result with the name of the function that was called.

    Clients send only the call's id, but some chat templates write the name.
    """
    names: dict[str | None, str] = {}
    for message in messages:
        names.update((call.id, call.name) for call in message.tool_calls)
        if message.role == "tool" and not message.name:
            message = msgspec.structs.replace(message, name=names.get(message.tool_call_id))
        yield message


def _message(value: Any, where: str, reader: Reader) -> Message | None:
    found = values.mapping(value, where)
    role = values.one_of(values.required(found, "role", where), f"{where}.role", _GROUPS)
    reader.check(found, _GROUPS[role], where)
    if role == "function":
        return None
    name = found.get("name")
    if name is not None:
        values.text(name, f"{where}.name")
    if role == "assistant":
        return _assistant(found, name, where, reader)
    return Message(
        role=cast(Role, role),
        content=_content(values.required(found, "content", where), role, where, reader),
        name=name,
        tool_call_id=_call_id(found, where) if role == "tool" else None,
    )


def _call_id(message: dict[str, Any], where: str) -> str:
    param = f"{where}.tool_call_id"
    return values.filled_text(values.required(message, "tool_call_id", where), param)


def _assistant(found: dict[str, Any], name: str | None, where: str, reader: Reader) -> Message:
    calls = _tool_calls(found.get("tool_calls"), f"{where}.tool_calls", reader)
    content: str | tuple[Part, ...] | None = None
    if found.get("content") is not None:
        content = _content(found["content"], "assistant", where, reader)
    elif found.get("refusal") is not None:
        content = values.text(found["refusal"], f"{where}.refusal")
    reasoning = _first_text(found, ("reasoning_content", "reasoning"), where)
    if content is None and not calls:
        if reasoning is None and found.get("function_call") is None and not found.get("audio"):
            raise values.wrong_type(None, f"{where}.content", "a string or an array of parts")
        content = ""
    return Message(
        role="assistant", content=content, name=name, tool_calls=calls, reasoning=reasoning
    )


def _first_text(found: dict[str, Any], keys: tuple[str, ...], where: str) -> str | None:
    read = [values.text(found[key], f"{where}.{key}") for key in keys if found.get(key) is not None]
    return next(filter(None, read), None)


def _content(value: Any, role: str, where: str, reader: Reader) -> str | tuple[Part, ...]:
    where = f"{where}.content"
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise values.wrong_type(value, where, "a string or an array of parts")
    kinds = _PARTS.get(role, _TEXT)
    read = (
        _part(item, f"{where}[{i}]", kinds, reader)
        for i, item in enumerate(values.filled_array(value, where))
    )
    return tuple(part for part in read if part is not None)


def _part(value: Any, where: str, kinds: Mapping[str, str], reader: Reader) -> Part | None:
    found = values.mapping(value, where)
    kind = values.one_of(values.required(found, "type", where), f"{where}.type", kinds)
    reader.check(found, kinds[kind], where)
    if kind in ("text", "refusal"):
        return TextPart(text=values.text(values.required(found, kind, where), f"{where}.{kind}"))
    if kind == "image_url":
        return _image(values.required(found, kind, where), f"{where}.{kind}", reader)
    return None


def _image(value: Any, where: str, reader: Reader) -> ImagePart:
    found = reader.check(value, "ChatCompletionRequestMessageContentPartImage.image_url", where)
    url = values.filled_text(values.required(found, "url", where), f"{where}.url")
    if found.get("detail") is not None:
        values.one_of(found["detail"], f"{where}.detail", ("auto", "low", "high"))
    reader.images += 1
    if reader.images > reader.limits.images:
        raise values.invalid(where, f"at most {reader.limits.images} images in a request")
    scheme = url[:8].lower()
    if not scheme.startswith(("http://", "https://")):
        check_data_url(url, f"{where}.url")
    return ImagePart(url=url, param=where)


def check_data_url(url: str, param: str) -> None:
    """A damaged image is told apart here, where the field can still be named.

    Raises:
        RequestError: no base64, or no image of a kind that llama.cpp reads.
    """
    head = _DATA_URL.match(url)
    if head is None:
        raise values.invalid(param, "expected 'data:image/png;base64,…' or an http(s) URL")
    try:
        start = binascii.a2b_base64(url[head.end() :].encode(), strict_mode=True)[:8]
    except ValueError as error:  # binascii.Error is one
        raise values.invalid(param, "the image is not valid base64") from error
    if not start.startswith(_IMAGE_STARTS):
        raise values.invalid(param, "the data is not a JPEG, PNG, GIF, BMP or WebP image")


def _tool_calls(value: Any, where: str, reader: Reader) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    listed = values.array(value, where, reader.limits.tools)
    read = (_tool_call(item, f"{where}[{i}]", reader) for i, item in enumerate(listed))
    return tuple(call for call in read if call is not None)


def _tool_call(value: Any, where: str, reader: Reader) -> ToolCall | None:
    found = values.mapping(value, where)
    kind = values.one_of(
        values.required(found, "type", where), f"{where}.type", ("function", "custom")
    )
    if kind == "custom":
        reader.check(found, "ChatCompletionMessageCustomToolCall", where)
        return None
    reader.check(found, "ChatCompletionMessageToolCall", where)
    call_id = values.filled_text(values.required(found, "id", where), f"{where}.id")
    where = f"{where}.function"
    function = reader.check(
        values.required(found, "function", where.removesuffix(".function")),
        "ChatCompletionMessageToolCall.function",
        where,
    )
    return ToolCall(
        id=call_id,
        name=values.filled_text(values.required(function, "name", where), f"{where}.name"),
        arguments=_arguments(values.required(function, "arguments", where), where, reader),
    )


def _arguments(value: Any, where: str, reader: Reader) -> str:
    """JSON text. Clients that gather a stream send "" for a call without arguments."""
    param = f"{where}.arguments"
    arguments = values.text(value, param)
    if not arguments.strip():
        return "{}"
    parse_json(arguments.encode(), reader.limits.depth, what=f"'{param}'", param=param)
    return arguments
