"""`messages`, `images` and `tools` of the native API: JSON to our nouns."""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from reshore.errors import RequestError
from reshore.types import ImagePart, Message, Part, Role, TextPart, Tool, ToolCall
from reshore.wire.openai import values
from reshore.wire.openai.messages import check_data_url
from reshore.wire.openai.reader import Reader
from reshore.wire.openai.tools import check_schema

_ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME_CHARACTERS = 256
_BLANKS = re.compile(r"[\r\n]+")  # Go's decoder skips them, so clients send them

# The first characters of each kind of image, in base64.
_KINDS = {"/9j/": "jpeg", "iVBO": "png", "R0lG": "gif", "Qk": "bmp", "UklG": "webp"}


def read_messages(body: dict[str, Any], reader: Reader) -> tuple[Message, ...]:
    """The conversation, in order; empty when there is none.

    Raises:
        RequestError: too many, or one that is malformed; `param` is its path.
    """
    listed = body.get("messages")
    if listed is None:
        return ()
    calls = _Calls()
    return tuple(
        _message(item, f"messages[{i}]", calls, reader)
        for i, item in enumerate(values.array(listed, "messages", reader.limits.messages))
    )


def read_images(value: Any, where: str, reader: Reader) -> tuple[ImagePart, ...]:
    """Images as base64.

    Raises:
        RequestError: too many, no base64, or no image.
    """
    if value is None:
        return ()
    return tuple(
        _image(item, f"{where}[{i}]", reader) for i, item in enumerate(values.array(value, where))
    )


def with_images(text: str, images: tuple[ImagePart, ...]) -> str | tuple[Part, ...]:
    """A message's content: images stand before the text, as Ollama puts them."""
    if not images:
        return text
    return (*images, TextPart(text=text)) if text else images


def read_tools(body: dict[str, Any], reader: Reader) -> tuple[Tool, ...]:
    """The functions that the model may call, each name once.

    Raises:
        RequestError: malformed, or over a limit.
    """
    listed = body.get("tools")
    if listed is None:
        return ()
    tools: dict[str, Tool] = {}
    for i, item in enumerate(values.array(listed, "tools", reader.limits.tools)):
        tool = _tool(item, f"tools[{i}]", reader)
        if tool.name in tools:
            raise values.invalid(f"tools[{i}].function.name", f"'{tool.name}' is there twice")
        tools[tool.name] = tool
    return tuple(tools.values())


class _Calls:
    """The calls of the conversation so far; gives ids to those that came without.

    The ids are numbers in order, so that the same conversation always makes the same prompt.
    """

    def __init__(self) -> None:
        self._count = 0
        self._open: dict[str, str] = {}

    def add(self, name: str, call_id: str | None) -> str:
        self._count += 1
        call_id = call_id or f"call_{self._count:08d}"
        self._open[call_id] = name
        return call_id

    def answered(self, call_id: str | None, name: str | None) -> tuple[str | None, str | None]:
        """Id and name of the call that a result belongs to, as far as they can be known."""
        if call_id is None:
            call_id = next((i for i, n in self._open.items() if name in (None, n)), None)
        known = self._open.pop(call_id, None) if call_id else None
        return call_id, name or known


def _message(value: Any, where: str, calls: _Calls, reader: Reader) -> Message:
    found = reader.check(value, "ChatMessage", where)
    role = values.text(values.required(found, "role", where), f"{where}.role").lower()
    values.one_of(role, f"{where}.role", _ROLES)
    text = _text(found, "content", where) or ""
    content = with_images(text, read_images(found.get("images"), f"{where}.images", reader))
    name = _text(found, "tool_name", where)
    call_id = _text(found, "tool_call_id", where)
    if role == "tool":
        call_id, name = calls.answered(call_id, name)
        return Message(role="tool", content=content, name=name, tool_call_id=call_id)
    made = _tool_calls(found.get("tool_calls"), f"{where}.tool_calls", calls, reader)
    return Message(
        role=cast(Role, role),
        content=None if made and not content else content,
        tool_calls=made,
        reasoning=_text(found, "thinking", where),
    )


def _tool_calls(value: Any, where: str, calls: _Calls, reader: Reader) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    listed = values.array(value, where, reader.limits.tools)
    return tuple(_tool_call(item, f"{where}[{i}]", calls, reader) for i, item in enumerate(listed))


def _tool_call(value: Any, where: str, calls: _Calls, reader: Reader) -> ToolCall:
    found = reader.check(value, "ToolCall", where)
    given_id = _text(found, "id", where)
    function = values.required(found, "function", where)
    where = f"{where}.function"
    reader.check(function, "ToolCall.function", where)
    name = values.filled_text(values.required(function, "name", where), f"{where}.name")
    arguments = function.get("arguments")
    arguments = {} if arguments is None else values.mapping(arguments, f"{where}.arguments")
    return ToolCall(
        id=calls.add(name, given_id),
        name=name,
        arguments=msgspec.json.encode(arguments).decode(),
    )


def _tool(value: Any, where: str, reader: Reader) -> Tool:
    found = reader.check(value, "ToolDefinition", where)
    if found.get("type") is not None:
        values.one_of(found["type"], f"{where}.type", ("function",))
    function = values.required(found, "function", where)
    where = f"{where}.function"
    reader.check(function, "ToolDefinition.function", where)
    name = values.filled_text(values.required(function, "name", where), f"{where}.name")
    if len(name) > _NAME_CHARACTERS:
        raise values.invalid(f"{where}.name", f"at most {_NAME_CHARACTERS} characters")
    parameters = function.get("parameters")
    if parameters is not None:
        values.mapping(parameters, f"{where}.parameters")
        check_schema(parameters, f"{where}.parameters", reader)
    strict = function.get("strict")
    return Tool(
        name=name,
        description=_text(function, "description", where) or "",
        parameters=parameters or {},
        strict=False if strict is None else values.flag(strict, f"{where}.strict"),
    )


def _image(value: Any, where: str, reader: Reader) -> ImagePart:
    text = values.filled_text(value, where)
    reader.images += 1
    if reader.images > reader.limits.images:
        raise values.invalid(where, f"at most {reader.limits.images} images in a request")
    if text.startswith(("http://", "https://")):
        raise RequestError(
            f"Invalid '{where}': an image is sent as base64 here, not as a URL.", param=where
        )
    if not text.startswith("data:"):
        text = _BLANKS.sub("", text)
        kind = next((kind for start, kind in _KINDS.items() if text.startswith(start)), "png")
        text = f"data:image/{kind};base64,{text}"
    check_data_url(text, where)
    return ImagePart(url=text, param=where)


def _text(found: dict[str, Any], key: str, where: str) -> str | None:
    value = found.get(key)
    return None if value is None else values.text(value, f"{where}.{key}")
