"""Readers of single JSON values: the right type and range, or a `RequestError` as OpenAI words it.

Each takes the value and its path in the request. Booleans are no numbers here, although Python
says they are integers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from reshore.errors import RequestError
from reshore.wire.jsonbody import kind_of

T = TypeVar("T")
P = ParamSpec("P")

INT64 = 2**63
INT32_MAX = 2**31 - 1


def optional(
    values: Mapping[str, Any],
    key: str,
    read: Callable[Concatenate[Any, str, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T | None:
    """`values[key]` as `read` gives it; None when absent or null. Only for top-level fields."""
    value = values.get(key)
    return None if value is None else read(value, key, *args, **kwargs)


def required(values: Mapping[str, Any], key: str, where: str = "") -> Any:
    """`values[key]`, which must be there; `where` is the path of `values`."""
    if key not in values:
        param = f"{where}.{key}" if where else key
        raise RequestError(
            f"Missing required parameter: '{param}'.",
            param=param,
            code="missing_required_parameter",
        )
    return values[key]


def wrong_type(value: object, param: str, expected: str) -> RequestError:
    """The error for a value of another JSON type."""
    return RequestError(
        f"Invalid type for '{param}': expected {expected}, but got {kind_of(value)} instead.",
        param=param,
        code="invalid_type",
    )


def invalid(param: str, problem: str, code: str = "invalid_value") -> RequestError:
    """The error for a value of the right type that cannot be."""
    return RequestError(f"Invalid '{param}': {problem}.", param=param, code=code)


def text(value: Any, param: str) -> str:
    if not isinstance(value, str):
        raise wrong_type(value, param, "a string")
    return value


def filled_text(value: Any, param: str) -> str:
    """A string with something in it."""
    found = text(value, param)
    if not found:
        raise invalid(param, "it must not be empty", "empty_string")
    return found


def flag(value: Any, param: str) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(value, param, "a boolean")
    return value


def integer(value: Any, param: str, low: int, high: int) -> int:
    """An integer in `low..high`; 4.0 is one too, as JSON knows no difference."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong_type(value, param, "an integer")
    _within(value, param, low, high, "integer")
    return value


def number(value: Any, param: str, low: float, high: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong_type(value, param, "a number")
    _within(value, param, low, high, "decimal")
    return float(value)


def one_of(value: Any, param: str, options: Collection[str]) -> str:
    found = text(value, param)
    if found not in options:
        known = ", ".join(f"'{option}'" for option in options)
        raise RequestError(
            f"Invalid value for '{param}': '{clip(found)}'. Supported values are: {known}.",
            param=param,
            code="invalid_value",
        )
    return found


def array(value: Any, param: str, at_most: int | None = None) -> list[Any]:
    if not isinstance(value, list):
        raise wrong_type(value, param, "an array")
    if at_most is not None and len(value) > at_most:
        raise invalid(
            param,
            f"array too long. Expected at most {at_most} items, got {len(value)}",
            "array_above_max_length",
        )
    return value


def filled_array(value: Any, param: str, at_most: int | None = None) -> list[Any]:
    """An array with something in it."""
    found = array(value, param, at_most)
    if not found:
        raise invalid(param, "array too short. Expected at least 1 item, got 0", "empty_array")
    return found


def mapping(value: Any, param: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong_type(value, param, "an object")
    return value


def clip(value: str, length: int = 64) -> str:
    """A client's text, short enough for an error message."""
    return value if len(value) <= length else value[:length] + "…"


def _within(value: float, param: str, low: float, high: float, kind: str) -> None:
    # A huge integer is compared as it is, but never printed: it may have thousands of digits.
    if value < low:
        got = f", got {value}" if value > -INT64 else ""
        raise invalid(
            param, f"{kind} below minimum. Expected {low} or more{got}", f"{kind}_below_min_value"
        )
    if value > high:
        got = f", got {value}" if value < INT64 else ""
        raise invalid(
            param, f"{kind} above maximum. Expected {high} or less{got}", f"{kind}_above_max_value"
        )
