"""What a client's schema can cost, and that it still means what jsonschema says it means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reshore.checks.json_schema import validator_for, violations
from reshore.checks.validator import TooCostly, Work

TOO_COSTLY = ("not checked to the end: the schema is too costly",)
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def fan(link: dict[str, Any], levels: int = 30) -> dict[str, Any]:
    """References that double at each level: `next` in `link` leads to the level below."""
    text = json.dumps(link)
    parts = {f"d{i}": json.loads(text.replace("next", f"#/$defs/d{i + 1}")) for i in range(levels)}
    return {"$defs": {**parts, f"d{levels}": {"type": "integer"}}, "$ref": "#/$defs/d0"}


NEXT = {"$ref": "next"}


@pytest.mark.parametrize(
    ("link", "answer"),
    [
        ({"anyOf": [NEXT, NEXT]}, '"5"'),
        ({"oneOf": [NEXT, NEXT]}, '"5"'),
        ({"allOf": [NEXT, NEXT]}, "5"),
        ({"if": NEXT, "then": NEXT}, "5"),
        ({"not": {"anyOf": [NEXT, NEXT]}}, '"5"'),
        ({"$ref": "next", "$dynamicRef": "next"}, "5"),
    ],
)
def test_references_that_fan_out_are_given_up(link: dict[str, Any], answer: str) -> None:
    assert violations(fan(link), answer) == TOO_COSTLY


@pytest.mark.parametrize(
    ("name", "link", "answer"),
    [
        ("unevaluatedProperties", {"dependentSchemas": {"a": NEXT, "b": NEXT}}, '{"a": 1, "b": 1}'),
        ("unevaluatedItems", {"$ref": "next", "$dynamicRef": "next"}, "[1]"),
    ],
)
def test_looking_for_what_is_unevaluated_is_given_up_too(
    name: str, link: dict[str, Any], answer: str
) -> None:
    schema = {name: False, **fan(link)}
    schema["$defs"]["d30"] = {}
    assert violations(schema, answer) == TOO_COSTLY


def test_a_large_answer_makes_each_step_dearer() -> None:
    schema = {"allOf": [{"items": {}}] * 4000}
    assert violations(schema, json.dumps([{"a": i} for i in range(5000)])) == TOO_COSTLY


def test_a_pattern_with_very_many_states_is_given_up() -> None:
    schema = {"pattern": "a[ab]{1,1990}c"}
    assert violations(schema, json.dumps("abbabaab" * 1250)) == TOO_COSTLY


def test_a_thousand_objects_are_checked_to_the_end() -> None:
    member = {"type": "integer", "multipleOf": 3}
    item = {
        "type": "object",
        "properties": dict.fromkeys("abcde", member),
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    rows = [dict.fromkeys("abcde", 3) for _ in range(1000)]
    schema = {"type": "array", "items": item}
    assert violations(schema, json.dumps(rows)) == ()
    rows[-1]["e"] = 4
    assert violations(schema, json.dumps(rows)) == ("[999].e: 4 is not a multiple of 3",)


@pytest.mark.parametrize(
    "schema",
    [
        {"patternProperties": {"(a+)+$": {"type": "integer"}}},
        {"additionalProperties": False, "patternProperties": {"(a+)+$": {}}},
        {"unevaluatedProperties": False, "patternProperties": {"(a+)+$": {}}},
        {"properties": {"a" * 40 + "!": {"$schema": DRAFT, "pattern": "(a+)+$"}}},
        {"$schema": DRAFT, "additionalProperties": {"$ref": "#/$defs/p"}}
        | {"$defs": {"p": {"$schema": DRAFT, "pattern": "(a+)+$"}}},
    ],
)
def test_no_keyword_and_no_dialect_leads_to_backtracking(schema: dict[str, Any]) -> None:
    violations(schema, json.dumps({"a" * 40 + "!": "a" * 40 + "!"}))


def test_patterns_beyond_the_subset_are_named_and_forbid_nothing() -> None:
    schema = {"patternProperties": {"(?=x)": {}}, "additionalProperties": False}
    found = violations(schema, '{"x": 1}')
    assert len(found) == 1
    assert found[0].startswith("not checked against the pattern '(?=x)'")


@pytest.mark.parametrize(
    ("schema", "answer", "fits"),
    [
        ({"multipleOf": 0.1}, "0.3", True),
        ({"multipleOf": 0.5}, "1" + "0" * 400, True),
        ({"uniqueItems": True}, "[1, 1.0]", False),
        ({"uniqueItems": True}, "[1, true, [1], [true], {}]", True),
        ({"uniqueItems": True}, '[{"a": 1, "b": 2}, {"b": 2, "a": 1}]', False),
    ],
)
def test_numbers_are_exact_and_equality_is_that_of_json(
    schema: dict[str, Any], answer: str, fits: bool
) -> None:
    assert (violations(schema, answer) == ()) is fits


OPEN = {"properties": {"a": {"type": "integer"}}}
SCHEMAS: list[dict[str, Any]] = [
    {"unevaluatedProperties": False, "allOf": [OPEN]},
    {"unevaluatedProperties": False, "anyOf": [OPEN, {"patternProperties": {"^b": {}}}]},
    {"unevaluatedProperties": False, "$ref": "#/$defs/o", "$defs": {"o": OPEN}},
    {"unevaluatedProperties": {"type": "string"}, "oneOf": [OPEN, {"required": ["b"]}]},
    {"unevaluatedProperties": False, "allOf": [{"unevaluatedProperties": {"type": "integer"}}]},
    {"unevaluatedProperties": False, "if": OPEN, "then": {"properties": {"b": {}}}},
    {"unevaluatedProperties": False, "if": OPEN, "else": {"additionalProperties": True}},
    {"unevaluatedProperties": False, "dependentSchemas": {"a": {"properties": {"b": {}}}}},
    {"unevaluatedItems": False, "prefixItems": [{"type": "integer"}]},
    {"unevaluatedItems": False, "allOf": [{"prefixItems": [{}]}], "contains": {"const": 2}},
    {"unevaluatedItems": False, "anyOf": [{"items": {"type": "integer"}}, {"minItems": 1}]},
    {"unevaluatedItems": {"type": "string"}, "if": {"prefixItems": [{"const": 1}]}},
    {"items": False, "prefixItems": [{}, {"type": "integer"}]},
    {"contains": {"type": "string"}, "minContains": 2},
    {"propertyNames": {"pattern": "^a"}},
    {"not": {"required": ["a"]}, "additionalProperties": {"type": "integer"}},
    {"oneOf": [{"type": "object"}, {"minProperties": 1}]},
    {"dependentRequired": {"a": ["b"]}},
    {"const": [1, 2]},
    {"enum": [{"a": 1}, [1]]},
]
ANSWERS: list[Any] = [
    *[{}, {"a": 1}, {"a": "x"}, {"b": 1}, {"b": "x"}, {"a": 1, "b": 2}, {"a": "x", "c": 1}],
    *[[], [1], [1, 2], ["x"], [1, "x"], ["x", "y"], [2, 1, "x"], 1, "a", None],
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_what_fits_is_what_jsonschema_says(schema: dict[str, Any]) -> None:
    theirs = Draft202012Validator(schema)
    for answer in ANSWERS:
        assert (violations(schema, json.dumps(answer)) == ()) is theirs.is_valid(answer), answer


def test_parts_of_a_schema_share_one_account() -> None:
    whole = validator_for({"type": "integer"})
    whole.work = Work(limit=20)
    part = whole.evolve(schema={"type": "string"})
    assert part.is_valid("x")
    assert whole.is_valid(1)
    with pytest.raises(TooCostly):
        part.is_valid("x")
