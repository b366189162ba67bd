"""`tools`, `tool_choice` and `response_format`: what constrains a chat's answer."""

from __future__ import annotations

import re
from typing import Any, Literal, cast

import msgspec

from reshore.types import ResponseFormat, Tool, ToolChoice
from reshore.wire.jsonbody import too_deep
from reshore.wire.openai import values
from reshore.wire.openai.reader import Reader

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FORMATS = {
    "text": "ResponseFormatText",
    "json_object": "ResponseFormatJsonObject",
    "json_schema": "ResponseFormatJsonSchema",
}


def read_tools(body: dict[str, Any], reader: Reader) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The functions the model may call, and whether it must.

    With `allowed_tools` the functions that are not allowed are left out.

    Raises:
        RequestError: malformed, over a limit, or a choice that names no tool of the request.
    """
    tools = _tools(body.get("tools"), reader)
    choice = body.get("tool_choice")
    if choice is None:
        return tools, ToolChoice()
    if isinstance(choice, str):
        mode = values.one_of(choice, "tool_choice", ("none", "auto", "required"))
        if mode == "required":
            _need_tools(body)
        return tools, ToolChoice(mode=cast(Literal["none", "auto", "required"], mode))
    if not isinstance(choice, dict):
        raise values.wrong_type(choice, "tool_choice", "a string or an object")
    kind = values.one_of(
        values.required(choice, "type", "tool_choice"),
        "tool_choice.type",
        ("function", "allowed_tools", "custom"),
    )
    _need_tools(body)
    if kind == "custom":
        reader.check(choice, "ChatCompletionNamedToolChoiceCustom", "tool_choice")
        return tools, ToolChoice()
    if kind == "allowed_tools":
        return _allowed(choice, tools, reader)
    return tools, ToolChoice(mode="named", name=_named(choice, "tool_choice", tools, reader))


def read_response_format(body: dict[str, Any], reader: Reader) -> ResponseFormat:
    """The shape of the answer; a `description` moves into the schema, where the model can see it.

    Raises:
        RequestError: malformed, or a schema over a limit.
    """
    value = body.get("response_format")
    if value is None:
        return ResponseFormat()
    found = values.mapping(value, "response_format")
    kind = values.one_of(
        values.required(found, "type", "response_format"), "response_format.type", _FORMATS
    )
    reader.check(found, _FORMATS[kind], "response_format")
    if kind == "json_schema":
        return _json_schema(values.required(found, kind, "response_format"), reader)
    return ResponseFormat(kind=cast(Literal["text", "json_object"], kind))


def _json_schema(value: Any, reader: Reader) -> ResponseFormat:
    where = "response_format.json_schema"
    found = reader.check(value, "ResponseFormatJsonSchema.json_schema", where)
    name = _identifier(values.required(found, "name", where), f"{where}.name")
    schema = values.required(found, "schema", where)
    if not isinstance(schema, bool):
        schema = values.mapping(schema, f"{where}.schema")
    check_schema(schema, f"{where}.schema", reader)
    description = found.get("description")
    if description is not None:
        values.text(description, f"{where}.description")
        if isinstance(schema, dict):
            schema = {"description": description} | schema
    return ResponseFormat(
        kind="json_schema", name=name, schema=schema, strict=_strict(found, where)
    )


def _tools(value: Any, reader: Reader) -> tuple[Tool, ...]:
    if value is None:
        return ()
    tools: dict[str, Tool] = {}
    for i, item in enumerate(values.array(value, "tools", reader.limits.tools)):
        tool = _tool(item, f"tools[{i}]", reader)
        if tool is None:
            continue
        if tool.name in tools:
            raise values.invalid(f"tools[{i}].function.name", f"'{tool.name}' is there twice")
        tools[tool.name] = tool
    return tuple(tools.values())


def _tool(value: Any, where: str, reader: Reader) -> Tool | None:
    found = values.mapping(value, where)
    kind = values.one_of(
        values.required(found, "type", where), f"{where}.type", ("function", "custom")
    )
    if kind == "custom":
        reader.check(found, "CustomToolChatCompletions", where)
        return None
    reader.check(found, "ChatCompletionTool", where)
    function = values.required(found, "function", where)
    where = f"{where}.function"
    reader.check(function, "FunctionObject", where)
    parameters = function.get("parameters")
    if parameters is not None:
        values.mapping(parameters, f"{where}.parameters")
        check_schema(parameters, f"{where}.parameters", reader)
    return Tool(
        name=_identifier(values.required(function, "name", where), f"{where}.name"),
        description=_optional_text(function, "description", where),
        parameters=parameters or {},
        strict=_strict(function, where),
    )


def _allowed(
    choice: dict[str, Any], tools: tuple[Tool, ...], reader: Reader
) -> tuple[tuple[Tool, ...], ToolChoice]:
    reader.check(choice, "ChatCompletionAllowedToolsChoice", "tool_choice")
    where = "tool_choice.allowed_tools"
    found = reader.check(
        values.required(choice, "allowed_tools", "tool_choice"), "ChatCompletionAllowedTools", where
    )
    mode = values.one_of(
        values.required(found, "mode", where), f"{where}.mode", ("auto", "required")
    )
    listed = values.filled_array(
        values.required(found, "tools", where), f"{where}.tools", reader.limits.tools
    )
    names: set[str] = set()
    for i, item in enumerate(listed):
        if isinstance(item, dict) and item.get("type") == "custom":
            reader.check(item, "ChatCompletionNamedToolChoiceCustom", f"{where}.tools[{i}]")
        else:
            names.add(_named(item, f"{where}.tools[{i}]", tools, reader))
    allowed = tuple(tool for tool in tools if tool.name in names)
    return allowed, ToolChoice(mode=cast(Literal["auto", "required"], mode))


def _named(value: Any, where: str, tools: tuple[Tool, ...], reader: Reader) -> str:
    """The function that `{"type": "function", "function": {"name": …}}` points to."""
    found = reader.check(value, "ChatCompletionNamedToolChoice", where)
    values.one_of(values.required(found, "type", where), f"{where}.type", ("function",))
    function = values.required(found, "function", where)
    where = f"{where}.function"
    reader.check(function, "ChatCompletionNamedToolChoice.function", where)
    name = values.filled_text(values.required(function, "name", where), f"{where}.name")
    if all(tool.name != name for tool in tools):
        raise values.invalid(f"{where}.name", f"'{values.clip(name)}' is not one of 'tools'")
    return name


def _need_tools(body: dict[str, Any]) -> None:
    if not body.get("tools"):
        raise values.invalid("tool_choice", "it is only allowed when 'tools' are specified")


def check_schema(schema: dict[str, Any] | bool, param: str, reader: Reader) -> None:
    """Hold a JSON Schema against the limits of the configuration.

    Raises:
        RequestError: it is too large or nested too deeply.
    """
    limits = reader.limits
    encoded = msgspec.json.encode(schema)
    if len(encoded) > limits.schema_bytes:
        raise values.invalid(
            param, f"the schema has {len(encoded)} bytes, the limit is {limits.schema_bytes}"
        )
    if too_deep(encoded, limits.depth):
        raise values.invalid(param, f"the schema is nested deeper than {limits.depth} levels")


def _identifier(value: Any, param: str) -> str:
    name = values.text(value, param)
    if _NAME.fullmatch(name) is None:
        raise values.invalid(param, "expected 1 to 64 of a-z, A-Z, 0-9, underscore and dash")
    return name


def _optional_text(found: dict[str, Any], key: str, where: str) -> str:
    value = found.get(key)
    return "" if value is None else values.text(value, f"{where}.{key}")


def _strict(found: dict[str, Any], where: str) -> bool:
    value = found.get("strict")
    return False if value is None else values.flag(value, f"{where}.strict")
