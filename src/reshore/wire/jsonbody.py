"""The one place where a client's bytes become Python objects.

msgspec does the parsing; what is added is what a public endpoint needs before and after it: a bound
on nesting that costs no recursion, and messages that say what is wrong with the body.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from contextlib import suppress
from itertools import accumulate
from typing import Any, TypeVar

import msgspec

from reshore.config import LimitsConfig
from reshore.errors import EmptyBody, RequestError

T = TypeVar("T")

_NOT_QUOTES_OR_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_CURLY = bytes.maketrans(b"[]", b"{}")
_STEPS = bytes.maketrans(b"{}", b"\x01\xff")  # +1 and -1 as signed bytes
_MAX_DIGITS = 4300  # of an integer: Python's limit, which msgspec keeps
_BYTE_OFFSET = re.compile(r"\(byte (\d+)\)")


def parse_body(body: bytes, limits: LimitsConfig) -> dict[str, Any]:
    """The JSON object that a request carries.

    Stricter than Python's `json`: no NaN or Infinity, no number beyond a double, no lone surrogate,
    no byte that is not UTF-8. Of a repeated key the last value counts, as at OpenAI. The length of
    the body is the server's business.

    Raises:
        EmptyBody: there is nothing in it.
        RequestError: not a JSON object, or nested deeper than `limits.depth`.
    """
    if not body.strip():
        raise EmptyBody("The request body is empty; send a JSON object.")
    value = parse_json(body, limits.depth, what="The request body")
    if not isinstance(value, dict):
        raise RequestError(
            f"The request body must be a JSON object, but it is {kind_of(value)}.",
            code="invalid_type",
        )
    return value


def fitted(body: dict[str, Any], kind: type[T]) -> T:
    """A body as the struct that it is to be.

    Raises:
        RequestError: an unknown field, or one of the wrong type; `param` says which.
    """
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        raise RequestError(f"{message}.", param=path.rstrip("`") or None) from error


def parse_json(text: bytes, depth: int, *, what: str, param: str | None = None) -> Any:
    """Any JSON value, strictly; `what` begins the messages, `param` is the field it came in.

    Raises:
        RequestError: not JSON, or nested deeper than `depth`.
    """
    if too_deep(text, depth):
        raise RequestError(f"{what} is nested deeper than {depth} levels; flatten it.", param=param)
    try:
        return msgspec.json.decode(text)
    except msgspec.ValidationError as error:  # the only kind without a schema: a number too large
        field = param or _key_of_huge_number(text)
        where = f" (in '{field}')" if field else ""
        raise RequestError(
            f"{what} holds a number out of range{where}.", param=field, code="invalid_value"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"{what} is not valid JSON: {_why(text, error)}.", param=param) from None


def too_deep(text: bytes, depth: int) -> bool:
    """Whether objects and arrays in `text` are nested more than `depth` deep.

    Counting brackets settles it for ordinary bodies. Otherwise strings are cut out and innermost
    pairs removed, a level a pass, as long as that pays; a running sum over what is left gives the
    rest. All of it runs in C, so that no shape of a hostile body buys much time. Text that is no
    JSON gets some answer; the parser rejects it.
    """
    if text.count(b"{") + text.count(b"[") <= depth:
        return False
    # Backslashes come in runs; whole pairs escape each other, an odd one escapes what follows.
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = plain.translate(None, _NOT_QUOTES_OR_BRACKETS).split(b'"')[::2]
    brackets = b"".join(outside).translate(_CURLY)
    levels = 0
    while brackets and levels <= depth:
        shorter = brackets.replace(b"{}", b"")
        if len(shorter) > len(brackets) * 3 // 4:
            steps = array("b", brackets.translate(_STEPS))
            return levels + max(accumulate(steps)) > depth
        brackets = shorter
        levels += 1
    return levels > depth


def kind_of(value: object) -> str:
    """What a JSON value is, in the words of an error message."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int():
            return "an integer"
        case float():
            return "a number"
        case list():
            return "an array"
        case _:
            return "an object"


def _key_of_huge_number(text: bytes) -> str | None:
    """The key beside the number that msgspec refused without saying where."""
    huge = object()
    keys: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        keys.extend(key for key, value in pairs if value is huge)

    with suppress(ValueError, RecursionError):
        json.loads(
            text,
            object_pairs_hook=note,
            parse_float=lambda digits: huge if math.isinf(float(digits)) else None,
            parse_int=lambda digits: huge if len(digits) > _MAX_DIGITS else None,
        )
    return keys[0] if keys else None


def _why(text: bytes, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    try:
        text.decode()
    except UnicodeDecodeError as bad:
        return f"it is not UTF-8 at byte {bad.start}"
    reason = str(error)
    if not _BYTE_OFFSET.search(reason):
        reason = _said_with_room(text)
    found = _BYTE_OFFSET.search(reason)
    if found is None:
        return "it ends too early"
    offset = int(found[1])
    if text[offset:].startswith((b"NaN", b"Infinity")):
        return f"NaN and Infinity are no JSON numbers (byte {offset})"
    return reason.removeprefix("JSON is malformed: ")


def _said_with_room(text: bytes) -> str:
    """What msgspec says of a text that seems to be cut.

    It looks for the second half of a surrogate pair six bytes ahead, and takes a lone one near the
    end of a whole text for the end.
    """
    if not text.rstrip().endswith((b'"', b"]", b"}")):
        return ""
    try:
        msgspec.json.decode(text + b" " * 6)
    except (msgspec.DecodeError, RecursionError) as error:
        return str(error)
    return ""
