"""Whether two answers call the same functions: by their parsed arguments, in any order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from reshore.checks.check import Check, Said
from reshore.checks.final_answer import FinalAnswer, same
from reshore.types import ToolCall


def same_calls(one: Sequence[ToolCall], other: Sequence[ToolCall], *, coerce: bool = False) -> bool:
    """Whether both make the same calls; arguments are JSON values and not texts.

    Args:
        coerce: a number, a truth value or null that stands in quotes is meant without them.
    """
    left = [_call(call, coerce) for call in other]
    for call in one:
        wanted = _call(call, coerce)
        match = next((each for each in left if _equal(each, wanted)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def check_calls(said: Said, expected: Sequence[ToolCall]) -> Check:
    """Whether an answer makes the calls that were expected, types coerced."""
    if same_calls(said.tool_calls, expected, coerce=True):
        return Check(name="calls", ok=True)
    detail = "other calls than expected" if said.tool_calls else "no calls"
    return Check(name="calls", ok=False, detail=detail)


def _call(call: ToolCall, coerce: bool) -> tuple[str, Any]:
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return call.name, call.arguments
    return call.name, _meant(arguments) if coerce else arguments


def _meant(value: Any) -> Any:
    """The value without quotes around what is no text."""
    if isinstance(value, dict):
        return {key: _meant(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_meant(inner) for inner in value]
    if not isinstance(value, str):
        return value
    bare = value.strip()
    try:
        literal = msgspec.json.decode(bare.lower() if bare.lower() in _WORDS else bare)
    except (msgspec.DecodeError, RecursionError):
        return value
    return value if isinstance(literal, str | dict | list) else literal


def _equal(one: tuple[str, Any], other: tuple[str, Any]) -> bool:
    return one[0] == other[0] and same(FinalAnswer("json", one[1]), FinalAnswer("json", other[1]))


_WORDS = frozenset({"true", "false", "null"})
