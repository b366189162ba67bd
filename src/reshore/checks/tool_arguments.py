"""Whether the arguments of a tool call fit what its tool declares."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reshore.checks.json_schema import value_violations
from reshore.checks.validator import Work
from reshore.types import Tool, ToolCall


def answer_violations(
    tools: Sequence[Tool], calls: Sequence[ToolCall], *, work: Work
) -> tuple[str, ...]:
    """What is wrong with the calls of one choice; `work` bounds what all of an answer cost."""
    return tuple(found for call in calls for found in argument_violations(tools, call, work=work))


def argument_violations(
    tools: Sequence[Tool], call: ToolCall, *, work: Work | None = None
) -> tuple[str, ...]:
    """What is wrong with a call, given the tools of the request; empty if nothing.

    An unknown name, arguments that are no JSON object, and values that the tool's schema does not
    allow are violations; each starts with the name of the function.
    """
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        return (f"{call.name}: no such tool in the request",)
    try:
        arguments = msgspec.json.decode(call.arguments)
    except (msgspec.DecodeError, RecursionError) as error:
        return (f"{call.name}: arguments are not JSON: {error}",)
    if not isinstance(arguments, dict):
        return (f"{call.name}: arguments are not an object",)
    if not tool.parameters:
        return () if not arguments else (f"{call.name}: it takes no arguments",)
    wrong = value_violations(tool.parameters, arguments, work=work)
    return tuple(f"{call.name}: {found}" for found in wrong)
