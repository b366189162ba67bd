"""Whether an answer fits a JSON Schema (draft 2020-12, local references only)."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
from jsonschema import FormatChecker

from reshore.checks.keywords import KEYWORDS
from reshore.checks.schema_shape import dotted
from reshore.checks.validator import TooCostly, Validator, Work

# Enough to say what is wrong; an answer of a thousand bad items needs no thousand lines.
MAX_VIOLATIONS = 8


def violations(
    schema: dict[str, Any] | bool, text: str, *, work: Work | None = None
) -> tuple[str, ...]:
    """What is wrong with `text` as an answer for `schema`; empty if nothing.

    Args:
        schema: a schema that `check_schema` accepted and whose references are local.
        text: the answer; it must be one JSON value and nothing else.
        work: bounds several checks together; None: this one alone.
    """
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return (f"not JSON: {error}",)
    except RecursionError:
        return ("nested too deeply",)
    return value_violations(schema, value, work=work)


def value_violations(
    schema: dict[str, Any] | bool, value: Any, *, work: Work | None = None
) -> tuple[str, ...]:
    """The same for a value that is decoded already."""
    return describe(validator_for(schema, work), value)


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
    except TooCostly as error:
        found.append(f"not checked to the end: {error}")
    return tuple(found)


def validator_for(schema: dict[str, Any] | bool, work: Work | None = None) -> Validator:
    """A validator for one check, bounded in its work, that knows `nullable` and fetches nothing."""
    return Validator(schema, KEYWORDS, _FORMATS, work=work and work.for_another())


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
_FORMATS = _format_checker()
