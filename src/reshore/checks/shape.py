"""Whether an answer is complete, and of the shape that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from reshore.checks.check import Check, Said
from reshore.checks.json_schema import violations
from reshore.checks.tool_arguments import argument_violations
from reshore.types import ChatRequest, CompletionRequest

# Who asks for so few tokens wants a label or a probe, and has it when they are used up.
_FEW_TOKENS = 32


def check_finish(said: Said) -> Check:
    """Whether it ended by itself; None where the client asked for a few tokens only."""
    reason = said.finish_reason
    if reason == "content_filter":
        return Check(name="finish", ok=False, detail="filtered")
    if reason == "length":
        limit = said.request.sampling.max_tokens
        if limit is not None and 0 <= limit <= _FEW_TOKENS:
            return Check(name="finish", detail=f"{limit} tokens were asked for")
        return Check(name="finish", ok=False, detail="cut off by its length")
    return Check(name="finish", ok=None if reason is None else True)


def check_empty(said: Said) -> Check:
    """Whether there is anything; None between two texts, where nothing may be missing."""
    if said.text.strip() or said.tool_calls:
        return Check(name="empty", ok=True)
    if isinstance(said.request, CompletionRequest) and said.request.suffix is not None:
        return Check(name="empty")
    return Check(name="empty", ok=False, detail="no text")


def check_json(said: Said) -> Check:
    """Whether it is the JSON that `response_format` asks for; None where it asks for none."""
    wanted = said.request.response_format
    if wanted.kind == "text" or said.tool_calls:
        return Check(name="json")
    schema = wanted.schema if wanted.kind == "json_schema" else {"type": "object"}
    found = violations(True if schema is None else schema, said.text)
    if not found:
        return Check(name="json", ok=True)
    is_json = not found[0].startswith("not JSON")
    problem = "does not fit the schema" if is_json else "not JSON"
    return Check(name="json", ok=False, detail=problem)


def check_tools(said: Said) -> Check:
    """Whether calls fit their tools, and are made where they must be; None without tools."""
    request = said.request
    if not isinstance(request, ChatRequest) or not request.tools:
        return Check(name="tools")
    problem = next(_tool_problems(request, said), None)
    if problem is not None:
        return Check(name="tools", ok=False, detail=problem)
    return Check(name="tools", ok=True if said.tool_calls else None)


def _tool_problems(request: ChatRequest, said: Said) -> Iterator[str]:
    names = {tool.name for tool in request.tools}
    choice = request.tool_choice
    for call in said.tool_calls:
        if call.name not in names:
            yield "a tool that was not offered"
        elif argument_violations(request.tools, call):
            yield f"arguments that do not fit {call.name}"
        elif choice.mode == "named" and call.name != choice.name:
            yield f"not the call of {choice.name} that was asked for"
    if len(said.tool_calls) > 1 and not request.parallel_tool_calls:
        yield "several calls where one was allowed"
    if not said.tool_calls and choice.mode in ("required", "named"):
        yield "no call where one was asked for"
    if not said.tool_calls and _is_call(said.text, names):
        yield "a call that was written as text"


def _is_call(text: str, names: set[str]) -> bool:
    """Whether `text` is nothing but a call in one of the forms that small models fall into."""
    body = text.strip().removeprefix("<tool_call>").removesuffix("</tool_call>")
    body = body.strip().strip("`").removeprefix("json").strip()
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    if not isinstance(value, dict):
        return False
    inner = value.get("function")
    name = inner.get("name") if isinstance(inner, dict) else value.get("name", inner)
    return isinstance(name, str) and name in names
