"""Readers of single values that Ollama words in its own way: `keep_alive`, `think`, `format`."""

from __future__ import annotations

import math
from typing import Any

from msgspec import Struct

from reshore.config import parse_duration
from reshore.errors import RequestError
from reshore.types import ResponseFormat
from reshore.wire.openai import values
from reshore.wire.openai.reader import Reader
from reshore.wire.openai.tools import check_schema

FOR_EVER_S = -1.0

_LEVELS = ("low", "medium", "high", "max")
_GO_NAMES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}

# Go holds a duration in 63 bits of nanoseconds; what is longer is for ever.
_LONGEST_S = 2**63 / 1e9


class Think(Struct, frozen=True, kw_only=True):
    """Whether to think before the answer, and how hard; both None where the request is silent."""

    thinking: bool | None = None
    effort: str | None = None


def read_keep_alive(body: dict[str, Any]) -> float | None:
    """Seconds; negative: for ever; None: the request does not say.

    Raises:
        RequestError: neither a number nor a duration.
    """
    value = body.get("keep_alive")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise RequestError(f"Unsupported type: '{_GO_NAMES[type(value)]}'", param="keep_alive")
    try:
        seconds = float(parse_duration(value))
    except OverflowError:
        return FOR_EVER_S
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise RequestError(
            f'time: invalid duration "{values.clip(str(value))}"; write seconds (300), "5m", '
            '"1h30m" or -1 for ever',
            param="keep_alive",
        )
    return FOR_EVER_S if seconds < 0 or seconds > _LONGEST_S else seconds


def read_think(body: dict[str, Any]) -> Think:
    """`think`: true, false or a level.

    Raises:
        RequestError: anything else, in Ollama's words.
    """
    value = body.get("think")
    if value is None:
        return Think()
    if isinstance(value, bool):
        return Think(thinking=value)
    if not isinstance(value, str):
        raise RequestError(
            'think must be a boolean or string ("high", "medium", "low", "max", true, or false)',
            param="think",
        )
    if value not in _LEVELS:
        raise RequestError(
            f'invalid think value: "{values.clip(value)}" '
            '(must be "high", "medium", "low", "max", true, or false)',
            param="think",
        )
    return Think(thinking=True, effort=value)


def read_format(body: dict[str, Any], reader: Reader) -> ResponseFormat:
    """`format`: "json" or a JSON Schema; absent, null and "" ask for free text.

    Raises:
        RequestError: another text or type, or a schema over a limit.
    """
    value = body.get("format")
    if value is None or value == "":
        return ResponseFormat()
    if value == "json":
        return ResponseFormat(kind="json_object")
    if not isinstance(value, dict):
        shown = f'"{values.clip(value)}"' if isinstance(value, str) else str(value)[:64]
        raise RequestError(
            f'invalid format: {shown}; expected "json" or a valid JSON Schema object',
            param="format",
        )
    check_schema(value, "format", reader)
    return ResponseFormat(kind="json_schema", schema=value, param="format")


def read_top_logprobs(body: dict[str, Any]) -> int | None:
    """How many rivals of each token to return; None: no log-probabilities.

    Raises:
        RequestError: a wrong type, or a number that is not allowed, in Ollama's words.
    """
    wanted = values.optional(body, "logprobs", values.flag)
    top = values.optional(body, "top_logprobs", values.integer, -values.INT64, values.INT64)
    if top is not None and not 0 <= top <= 20:
        raise RequestError("top_logprobs must be between 0 and 20", param="top_logprobs")
    return top or 0 if wanted else None
