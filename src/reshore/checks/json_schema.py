"""Whether an answer fits a JSON Schema (draft 2020-12, local references only)."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

from reshore.checks.patterns import UnsafePattern, full_match, parse_pattern
from reshore.checks.schema_shape import dotted

# Enough to say what is wrong; an answer of a thousand bad items needs no thousand lines.
MAX_VIOLATIONS = 8


def violations(schema: dict[str, Any] | bool, text: str) -> tuple[str, ...]:
    """What is wrong with `text` as an answer for `schema`; empty if nothing.

    Args:
        schema: a schema that `check_schema` accepted and whose references are local.
        text: the answer; it must be one JSON value and nothing else.
    """
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return (f"not JSON: {error}",)
    except RecursionError:
        return ("nested too deeply",)
    return value_violations(schema, value)


def value_violations(schema: dict[str, Any] | bool, value: Any) -> tuple[str, ...]:
    """The same for a value that is decoded already."""
    return describe(validator_for(schema), value)


def describe(validator: Validator, value: Any) -> tuple[str, ...]:
    """The first violations that `validator` finds, each with its place in the value."""
    found: list[str] = []
    try:
        for error in validator.iter_errors(value):
            where = dotted(tuple(error.absolute_path))
            message = error.message if len(error.message) <= 200 else error.message[:197] + "..."
            found.append(f"{where}: {message}" if where else message)
            if len(found) == MAX_VIOLATIONS:
                break
    except RecursionError:
        found.append("the schema refers to itself without end")
    return tuple(found)


def validator_for(schema: dict[str, Any] | bool) -> Validator:
    """A validator that fetches nothing, knows `nullable`, and matches patterns in linear time."""
    validator: Validator = _KIND(schema, format_checker=_FORMATS, registry=Registry())
    return validator


def _type(
    validator: Validator, types: Any, instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    # OpenAPI's `nullable`, which many code generators still write, widens `type` only.
    if instance is None and schema.get("nullable") is True:
        return
    yield from Draft202012Validator.VALIDATORS["type"](validator, types, instance, schema)


def _pattern(
    validator: Validator, pattern: str, instance: Any, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    # Never `re`: a pattern comes from a client, and backtracking on it could stop the server.
    if not isinstance(instance, str):
        return
    try:
        matches = full_match(parse_pattern(pattern), instance)
    except UnsafePattern as error:
        yield ValidationError(f"not checked against the pattern {pattern!r}: {error}")
    else:
        if not matches:
            yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _is_date(value: object) -> bool:
    if isinstance(value, str):
        datetime.date.fromisoformat(value if len(value) == 10 else "")
    return True


def _is_time(value: object) -> bool:
    if isinstance(value, str):
        zoned = datetime.time.fromisoformat(value)
        return zoned.tzinfo is not None and value[2:3] == value[5:6] == ":"
    return True


def _is_date_time(value: object) -> bool:
    if isinstance(value, str):
        return value[10:11] in "Tt " and _is_date(value[:10]) and _is_time(value[11:])
    return True


def _format_checker() -> FormatChecker:
    checker = FormatChecker(formats=("uuid", "ipv4", "ipv6", "email"))
    checker.checks("date", ValueError)(_is_date)
    checker.checks("time", ValueError)(_is_time)
    checker.checks("date-time", ValueError)(_is_date_time)
    return checker


# Constant, and too dear to build for every answer.
_KIND = extend(Draft202012Validator, {"type": _type, "pattern": _pattern})
_FORMATS = _format_checker()
