"""Whether a JSON Schema is well-formed and small enough to work with, before it is used.

Written by hand and not with the metaschema: it is an order of magnitude cheaper, and a message can
name the keyword, its path, and what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from reshore.config import LimitsConfig
from reshore.errors import RequestError

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
Path = tuple[str | int, ...]

_SCHEMA = frozenset(
    (
        "items",
        "additionalProperties",
        "propertyNames",
        "contains",
        "not",
        "if",
        "then",
        "else",
        "unevaluatedItems",
        "unevaluatedProperties",
    )
)
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_COUNTS = frozenset(
    (
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "minContains",
        "maxContains",
    )
)
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_TEXTS = ("$ref", "pattern", "format", "$id", "$anchor", "$dynamicRef", "$dynamicAnchor")
_FLAGS = ("uniqueItems", "nullable")


def dotted(path: Path) -> str:
    """A path for people: `properties.tags.items.anyOf[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def under(param: str, path: Path, name: str = "") -> str:
    """The place of `path`, and of a keyword in it, as seen from the request."""
    inner = dotted((*path, name) if name else path)
    return f"{param}.{inner}" if inner else param


def check_schema(schema: Any, limits: LimitsConfig, *, param: str = "schema") -> None:
    """Refuse what is no JSON Schema (draft 2020-12), or too large.

    Args:
        schema: decoded JSON.
        limits: `schema_bytes` bounds its JSON text, `depth` its nesting.
        param: where the request holds the schema, for messages.

    Raises:
        RequestError: with the path of the offending keyword.
    """
    _check_size(schema, limits, param)
    todo: list[tuple[Path, Any]] = [((), schema)]
    while todo:
        path, node = todo.pop()
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict):
            raise _bad(param, path, "", "must be a JSON Schema: an object, true or false")
        _check_values(node, param, path)
        todo.extend((path + step, child) for step, child in subschemas(node))


def subschemas(node: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """The schemas directly inside a well-formed one, with their paths from it."""
    for name, value in node.items():
        if name in _SCHEMA:
            yield (name,), value
        elif name in _LISTS:
            yield from (((name, index), child) for index, child in enumerate(value))
        elif name in _MAPS:
            yield from (((name, key), child) for key, child in value.items())


def _check_size(schema: Any, limits: LimitsConfig, param: str) -> None:
    level, depth = [schema], 0
    while level:
        depth += 1
        if depth > limits.depth:
            raise RequestError(
                f"{param} is nested more than {limits.depth} levels deep. Flatten the schema, "
                "or use $defs and $ref.",
                param=param,
            )
        level = [child for node in level for child in _inside(node)]
    try:
        size = len(msgspec.json.encode(schema))
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise RequestError(f"{param} is not JSON: {error}.", param=param) from error
    if size > limits.schema_bytes:
        raise RequestError(
            f"{param} has {size} bytes; the limit is {limits.schema_bytes}. Simplify the schema, "
            "or raise `limits.schema_bytes`.",
            param=param,
        )


def _inside(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from (child for child in node.values() if isinstance(child, dict | list))
    elif isinstance(node, list):
        yield from (child for child in node if isinstance(child, dict | list))


def _check_values(node: dict[str, Any], param: str, path: Path) -> None:
    for name, value in node.items():
        problem = _problem(name, value)
        if problem:
            raise _bad(param, path, name, problem)
    if "$id" in node and path:
        raise _bad(param, path, "$id", "is only supported at the root of the schema")


def _problem(name: str, value: Any) -> str | None:
    if name in _LISTS:
        good = isinstance(value, list) and bool(value)
        return None if good else "must be a list of schemas, not empty"
    if name in _MAPS:
        return None if isinstance(value, dict) else "must be an object of schemas"
    if name in _COUNTS:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        return None if good and value >= 0 and value == int(value) else "must be a count, 0 or more"
    if name in _NUMBERS:
        return _number_problem(name, value)
    if name in _TEXTS:
        return None if isinstance(value, str) else "must be a string"
    if name in _FLAGS:
        return None if isinstance(value, bool) else "must be true or false"
    return _special_problem(name, value)


def _number_problem(name: str, value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = " (the boolean form is of draft 4)" if isinstance(value, bool) else ""
        return f"must be a number{hint}"
    return "must be above 0" if name == "multipleOf" and value <= 0 else None


def _special_problem(name: str, value: Any) -> str | None:
    if name == "type":
        names = value if isinstance(value, list) else [value]
        good = names and all(isinstance(kind, str) and kind in TYPES for kind in names)
        return None if good else f"must be among {', '.join(TYPES)}, or a list of them"
    if name == "enum":
        return None if isinstance(value, list) and value else "must be a list, not empty"
    if name == "required":
        return None if _is_texts(value) else "must be a list of strings"
    if name == "dependentRequired":
        good = isinstance(value, dict) and all(_is_texts(names) for names in value.values())
        return None if good else "must be an object of lists of strings"
    if name == "items" and isinstance(value, list):
        return "must be a schema (a list of schemas is called prefixItems since draft 2020-12)"
    return None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _bad(param: str, path: Path, name: str, problem: str) -> RequestError:
    where = under(param, path, name)
    return RequestError(f"Invalid JSON Schema: {where} {problem}.", param=where)
