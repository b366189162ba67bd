"""Values of one goal: literals where they are listed, otherwise each allowed type."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from reshore.checks.schema_shape import Path
from reshore.engine.grammar.anything import json_text
from reshore.engine.grammar.arrays import write_array
from reshore.engine.grammar.context import Context
from reshore.engine.grammar.gbnf import NOTHING, Expr, Lit, alt
from reshore.engine.grammar.goals import COMBINATORS, Node
from reshore.engine.grammar.numbers import (
    MAX_BOUND_DIGITS,
    Bounds,
    decimals,
    integers,
    whole_count,
    whole_range,
)
from reshore.engine.grammar.objects import write_object
from reshore.engine.grammar.strings import write_string

# Numbers are integers and fractions; a schema type names one or both of these.
_ATOMS = {
    "null": {"null"},
    "boolean": {"boolean"},
    "integer": {"integer"},
    "number": {"integer", "fraction"},
    "string": {"string"},
    "array": {"array"},
    "object": {"object"},
}
# Multiples are listed one by one in ranges up to this size.
_MAX_LISTED = 1000
_NO_GRAMMAR = ("not", "if", "$dynamicRef")


def types_of(schema: dict[str, Any]) -> frozenset[str]:
    """What kinds of value `type` (with OpenAPI's `nullable`) lets through."""
    kinds = schema.get("type")
    if kinds is None:
        return frozenset().union(*_ATOMS.values())
    names = kinds if isinstance(kinds, list) else [kinds]
    nullable = {"null"} if schema.get("nullable") is True else set()
    return frozenset(nullable.union(*[_ATOMS[name] for name in names]))


def write_value(context: Context, nodes: Sequence[Node]) -> Expr:
    """All values that satisfy all nodes, as far as a grammar can say it; the rest is reported."""
    if any(node.schema.get("not") in (True, {}) for node in nodes):
        return NOTHING
    listed = next((node for node in nodes if node.schema.keys() & {"enum", "const"}), None)
    if listed is not None:
        texts = [json_text(value) for value in _listed(context, listed, nodes)]
        return context.rules.one_of(texts) if texts else NOTHING
    for node in nodes:
        _report_general(context, node)
    kinds = frozenset.intersection(types_of({}), *[types_of(node.schema) for node in nodes])
    options: list[Expr] = []
    if "object" in kinds:
        options.append(write_object(context, nodes))
    if "array" in kinds:
        options.append(write_array(context, nodes))
    if "string" in kinds:
        options.append(write_string(context, nodes))
    if "fraction" in kinds:
        options.append(_number(context, nodes))
    elif "integer" in kinds:
        options.append(_integer(context, nodes))
    if "boolean" in kinds:
        options.append(context.json.boolean())
    if "null" in kinds:
        options.append(Lit("null"))
    return alt(*options)


def _listed(context: Context, listed: Node, nodes: Sequence[Node]) -> list[Any]:
    """The values of an `enum` or `const` that every node allows: checked, so exact."""
    source = "const" if "const" in listed.schema else "enum"
    values = [listed.schema["const"]] if source == "const" else listed.schema["enum"]
    for node in nodes:
        # Comparing a long list with itself would take the square of its length.
        drop = COMBINATORS | ({source} if node is listed else set())
        schema = {name: value for name, value in node.schema.items() if name not in drop}
        if schema:
            validator = context.validator.evolve(schema=schema)
            values = [value for value in values if validator.is_valid(value)]
    return list(values)


def _report_general(context: Context, node: Node) -> None:
    schema = node.schema
    for name in _NO_GRAMMAR:
        if name not in schema or (name == "not" and schema[name] is False):
            continue
        if name != "if" or schema.keys() & {"then", "else"}:
            context.report(node.path, name)


def _bounds(context: Context, nodes: Sequence[Node]) -> tuple[Bounds, list[tuple[Path, str]]]:
    """The tightest bounds of all nodes, and the keywords they came from."""
    low: tuple[Decimal, bool] | None = None
    high: tuple[Decimal, bool] | None = None
    origins = {}
    for node in nodes:
        for name, is_open in (("minimum", False), ("exclusiveMinimum", True)):
            if name in node.schema:
                bound = (Decimal(str(node.schema[name])), is_open)
                if low is None or bound > low:
                    low, origins["low"] = bound, (node.path, name)
        for name, is_open in (("maximum", False), ("exclusiveMaximum", True)):
            if name in node.schema:
                bound = (Decimal(str(node.schema[name])), is_open)
                if high is None or (bound[0], not is_open) < (high[0], not high[1]):
                    high, origins["high"] = bound, (node.path, name)
    for end in ("low", "high"):
        bound_now = low if end == "low" else high
        if bound_now is not None and bound_now[0].adjusted() >= MAX_BOUND_DIGITS:
            context.report(*origins.pop(end))
            low, high = (None, high) if end == "low" else (low, None)
    bounds = Bounds(
        low[0] if low else None,
        high[0] if high else None,
        bool(low and low[1]),
        bool(high and high[1]),
    )
    return bounds, list(origins.values())


def _multiples(nodes: Sequence[Node]) -> list[tuple[Path, Fraction]]:
    return [
        (node.path, Fraction(str(node.schema["multipleOf"])))
        for node in nodes
        if "multipleOf" in node.schema
    ]


def _integer(context: Context, nodes: Sequence[Node]) -> Expr:
    bounds, _ = _bounds(context, nodes)
    steps = [(path, step) for path, step in _multiples(nodes) if (1 / step).denominator != 1]
    count = whole_count(bounds)
    if steps and count is not None and count <= _MAX_LISTED:
        context.rules.work.spend(2 * count * len(steps))
        fitting = [
            n for n in whole_range(bounds) if all((n / s).denominator == 1 for _, s in steps)
        ]
        return alt(*[Lit(str(number)) for number in fitting])
    for path, _ in steps:
        context.report(path, "multipleOf")
    return context.json.integer() if bounds.free else context.rules.define(integers(bounds))


def _number(context: Context, nodes: Sequence[Node]) -> Expr:
    if any(step.denominator == 1 for _, step in _multiples(nodes)):
        return _integer(context, nodes)
    for path, _ in _multiples(nodes):
        context.report(path, "multipleOf")
    bounds, origins = _bounds(context, nodes)
    if bounds.free:
        return context.json.number()
    body = decimals(bounds)
    if body is None:
        for path, name in origins:
            context.report(path, name)
        return context.json.number()
    return context.rules.define(body)
