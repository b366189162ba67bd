"""Keywords of JSON Schema that jsonschema checks with `re`, or in the square of the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from reshore.checks.patterns import UnsafePattern, full_match, parse_pattern
from reshore.checks.validator import Keyword, Validator

Errors = Iterator[ValidationError]


def _type(validator: Validator, types: Any, instance: Any, schema: dict[str, Any]) -> Errors:
    # OpenAPI's `nullable`, which many code generators still write, widens `type` only.
    if instance is None and schema.get("nullable") is True:
        return
    yield from Draft202012Validator.VALIDATORS["type"](validator, types, instance, schema)


def _matches(validator: Validator, pattern: str, text: str) -> bool:
    # Never `re`: a pattern comes from a client, and backtracking on it could stop the server.
    return full_match(parse_pattern(pattern), text, validator.work.spend)


def _unchecked(pattern: str, reason: UnsafePattern) -> ValidationError:
    return ValidationError(f"not checked against the pattern {pattern!r}: {reason}")


def _pattern(validator: Validator, pattern: str, instance: Any, schema: dict[str, Any]) -> Errors:
    if not isinstance(instance, str):
        return
    try:
        matches = _matches(validator, pattern, instance)
    except UnsafePattern as error:
        yield _unchecked(pattern, error)
    else:
        if not matches:
            yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Validator, patterns: dict[str, Any], instance: Any, schema: dict[str, Any]
) -> Errors:
    if not isinstance(instance, dict):
        return
    for pattern, inner in patterns.items():
        try:
            names = [name for name in instance if _matches(validator, pattern, name)]
        except UnsafePattern as error:
            yield _unchecked(pattern, error)
            continue
        for name in names:
            yield from validator.descend(instance[name], inner, path=name)


def _declared(validator: Validator, names: Iterable[str], schema: dict[str, Any]) -> set[str]:
    """Those of `names` that `properties` or `patternProperties` speak of."""
    found = set(schema.get("properties", ())).intersection(names)
    for pattern in schema.get("patternProperties", ()):
        try:
            found.update(name for name in names if _matches(validator, pattern, name))
        except UnsafePattern:
            # Is said where the values are checked; here it must not forbid what it may allow.
            return set(names)
    return found


def _additional_properties(
    validator: Validator, inner: Any, instance: Any, schema: dict[str, Any]
) -> Errors:
    if isinstance(instance, dict):
        known = _declared(validator, instance, schema)
        yield from _others(validator, inner, instance, known, "Additional")


def _unevaluated_properties(
    validator: Validator, inner: Any, instance: Any, schema: dict[str, Any]
) -> Errors:
    if not isinstance(instance, dict):
        return
    known: set[str] = set()
    for part in _applied(validator, instance, schema):
        if "additionalProperties" in part or (
            part is not schema and "unevaluatedProperties" in part
        ):
            return
        known |= _declared(validator, instance, part)
    yield from _others(validator, inner, instance, known, "Unevaluated")


def _others(
    validator: Validator, inner: Any, instance: dict[str, Any], known: set[str], kind: str
) -> Errors:
    others = [name for name in instance if name not in known]
    if inner is False and others:
        names = ", ".join(repr(name) for name in others)
        verb = "was" if len(others) == 1 else "were"
        yield ValidationError(f"{kind} properties are not allowed ({names} {verb} unexpected)")
    elif isinstance(inner, dict):
        for name in others:
            yield from validator.descend(instance[name], inner, path=name)


def _unevaluated_items(
    validator: Validator, inner: Any, instance: Any, schema: dict[str, Any]
) -> Errors:
    if not isinstance(instance, list):
        return
    known: set[int] = set()
    for part in _applied(validator, instance, schema):
        if "items" in part or (part is not schema and "unevaluatedItems" in part):
            return
        known.update(range(len(part.get("prefixItems", ()))))
        if "contains" in part:
            contains = validator.evolve(schema=part["contains"])
            known.update(i for i, item in enumerate(instance) if contains.is_valid(item))
    for index, item in enumerate(instance):
        if index not in known:
            yield from validator.descend(item, inner, path=index)


def _applied(validator: Validator, instance: Any, schema: Any) -> Iterator[dict[str, Any]]:
    """The schema, and what it applies to the same value and the value satisfies."""
    validator.work.spend(1)
    if not isinstance(schema, dict):
        return
    yield schema
    for name in ("$ref", "$dynamicRef"):
        if name in schema:
            target = validator.follow(schema[name])
            if target.is_valid(instance):
                yield from _applied(target, instance, target.schema)
    for inner in _in_place(validator, instance, schema):
        if validator.evolve(schema=inner).is_valid(instance):
            yield from _applied(validator, instance, inner)


def _in_place(validator: Validator, instance: Any, schema: dict[str, Any]) -> Iterator[Any]:
    for name in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(name, ())
    if isinstance(instance, dict):
        dependent = schema.get("dependentSchemas", {})
        yield from (inner for name, inner in dependent.items() if name in instance)
    if "if" in schema:
        yield schema["if"]
        holds = validator.evolve(schema=schema["if"]).is_valid(instance)
        yield schema.get("then" if holds else "else", True)


def _multiple_of(
    validator: Validator, step: float, instance: Any, schema: dict[str, Any]
) -> Errors:
    # As decimals, exactly: 0.3 is a multiple of 0.1, and no integer is too large.
    if not validator.is_type(instance, "number"):
        return
    if (Fraction(str(instance)) / Fraction(str(step))).denominator != 1:
        yield ValidationError(f"{instance!r} is not a multiple of {step}")


def _unique_items(
    validator: Validator, wanted: bool, instance: Any, schema: dict[str, Any]
) -> Errors:
    if not wanted or not isinstance(instance, list):
        return
    if len({_frozen(item) for item in instance}) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _frozen(value: Any) -> Any:
    """Hashable, and equal for equal JSON values."""
    if isinstance(value, dict):
        return frozenset((name, _frozen(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return (bool, value) if isinstance(value, bool) else value


KEYWORDS: dict[str, Keyword] = {
    **Draft202012Validator.VALIDATORS,
    "type": _type,
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "unevaluatedProperties": _unevaluated_properties,
    "unevaluatedItems": _unevaluated_items,
    "uniqueItems": _unique_items,
    "multipleOf": _multiple_of,
}
