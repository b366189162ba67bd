"""Every claim twice: what a grammar accepts is valid, and what is valid in our form it accepts."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reshore.checks.json_schema import violations
from reshore.config import LimitsConfig
from reshore.engine.grammar import Grammar, Keyword, add_schema, compile_schema, json_object
from reshore.engine.grammar.gbnf import Rules
from reshore.errors import RequestError
from tests.engine.grammar.matcher import Gbnf, Sampler

LIMITS = LimitsConfig()


def unenforced(schema: Any) -> list[str]:
    found = compile_schema(schema, limits=LIMITS).unenforced
    return [f"{keyword.path}:{keyword.name}" for keyword in found]


def grammar_of(schema: Any) -> Gbnf:
    return Gbnf(compile_schema(schema, limits=LIMITS).text)


def compiled_or_refused(schema: Any) -> Grammar | RequestError:
    try:
        return compile_schema(schema, limits=LIMITS)
    except RequestError as error:
        return error


def check(schema: Any, good: list[Any], bad: list[Any]) -> None:
    """`good` and `bad` are values; both usual styles of writing them are tried."""
    grammar = grammar_of(schema)
    assert unenforced(schema) == []
    for value in good:
        for separators in ((",", ":"), (", ", ": ")):
            text = json.dumps(value, ensure_ascii=False, separators=separators)
            assert violations(schema, text) == ()
            assert grammar.accepts(text), text
    for value in bad:
        assert not grammar.accepts(json.dumps(value, ensure_ascii=False)), value
    sound(schema, grammar)


def sound(schema: Any, grammar: Gbnf, count: int = 15) -> None:
    """What the grammar makes satisfies the schema."""
    sampler = Sampler(grammar)
    for seed in range(count):
        text = sampler.sample(Random(seed))
        assert violations(schema, text) == (), text


CLOSED = {"additionalProperties": False}
TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
        }
    },
    "$ref": "#/$defs/node",
}
ABC = {"properties": {name: {"type": "integer"} for name in "abc"}, "type": "object"}

CASES: dict[str, tuple[Any, list[Any], list[Any]]] = {
    "types": ({"type": ["string", "null"]}, ["x", None], [1, True, {}]),
    "integer": ({"type": "integer"}, [0, -7, 123456], [1.5, "1", None]),
    "number": ({"type": "number"}, [0, -1.5, 2e20, 1e-7], ["1", None]),
    "boolean schema": (True, [1, "a", [{}], {"a": {"b": [1, None]}}], []),
    "empty schema": ({}, [1, "a", [1.5], {"a": None}], []),
    "required": ({**ABC, "required": ["b"]}, [{"b": 1}, {"a": 1, "b": 2, "c": 3}], [{}, {"a": 1}]),
    "optional": (ABC, [{}, {"a": 1}, {"c": 1}, {"a": 1, "c": 2}], [{"c": 1, "a": 1}, {"d": 1}]),
    "closed": ({**ABC, **CLOSED}, [{"b": 1}], [{"b": 1, "x": 1}]),
    "open": ({**ABC, "additionalProperties": True}, [{"b": 1, "x": [1]}, {"aa": 1}], [{"a": "s"}]),
    "typed others": (
        {**ABC, "additionalProperties": {"type": "string"}},
        [{"x": "y"}, {"a": 1, "ab": "c", "": "d"}],
        [{"x": 1}, {"a": "s"}],
    ),
    "map": (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        [{}, {"x": 1}],
        [{"x": "1"}],
    ),
    "required but not declared": ({"type": "object", "required": ["x"]}, [{"x": [1]}], [{}]),
    "patternProperties": (
        {"type": "object", "patternProperties": {"^s_": {"type": "string"}}, **CLOSED},
        [{}, {"s_a": "x"}],
        [{"s_a": 1}, {"t": "x"}],
    ),
    "minProperties 1": ({**ABC, "minProperties": 1}, [{"a": 1}], [{}]),
    "propertyNames": ({**ABC, "propertyNames": {"enum": ["a", "b"]}}, [{"a": 1}], [{"c": 1}]),
    "array": ({"type": "array", "items": {"type": "integer"}}, [[], [1], [1, 2, 3]], [["1"], 1]),
    "counts": (
        {"type": "array", "items": {"type": "null"}, "minItems": 2, "maxItems": 3},
        [[None] * 2, [None] * 3],
        [[], [None], [None] * 4],
    ),
    "no items": ({"type": "array", "items": False}, [[]], [[1]]),
    "tuple": (
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
        [[], [1], [1, "a"]],
        [["a"], [1, "a", 2]],
    ),
    "whole tuple": (
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2},
        [[1, "a"]],
        [[1], []],
    ),
    "tuple with a tail": (
        {
            "type": "array",
            "prefixItems": [{"type": "null"}],
            "items": {"type": "integer"},
            "maxItems": 3,
        },
        [[], [None], [None, 1, 2]],
        [[1], [None, None], [None, 1, 2, 3]],
    ),
    "enum": ({"enum": ["a", 1, None, {"x": [1, 'é\n"']}]}, ["a", 1, None], ["b", 2, "1"]),
    "enum and type": ({"enum": ["a", 1, None], "type": "string"}, ["a"], [1, None]),
    "enum and bounds": ({"enum": [1, 5, 9], "minimum": 4, "not": {"const": 9}}, [5], [1, 9]),
    "const": ({"const": {"a": [True]}}, [], [{"a": [False]}]),
    "anyOf": ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, [1, None], ["a"]),
    "anyOf beside keywords": (
        {
            "type": "object",
            **{"properties": ABC["properties"]},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        [{"a": 1}, {"b": 1}, {"a": 1, "b": 1}],
        [{}, {"c": 1}],
    ),
    "oneOf of types": ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [None]),
    "oneOf of tagged objects": (
        {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"k": {"const": kind}, "v": {"type": type_}},
                    "required": ["k", "v"],
                }
                for kind, type_ in (("s", "string"), ("i", "integer"))
            ]
        },
        [{"k": "s", "v": "x"}, {"k": "i", "v": 1}],
        [{"k": "s", "v": 1}, {"k": "x", "v": 1}],
    ),
    "allOf": (
        {
            "allOf": [
                {**ABC, "required": ["a"]},
                {"type": "object", "properties": {"z": {"type": "null"}}},
            ]
        },
        [{"a": 1}, {"a": 1, "z": None}],
        [{"z": None}, {"a": "x"}],
    ),
    "allOf narrows a member": (
        {"allOf": [ABC, {"properties": {"a": {"maximum": 3}}}], "type": "object"},
        [{"a": 3}],
        [{"a": 4}],
    ),
    "allOf with a closed part": (
        {"type": "object", "allOf": [{**ABC, **CLOSED}, {"properties": {"z": {}}}]},
        [{"a": 1}],
        [{"z": 1}],
    ),
    "recursion": (
        TREE,
        [{"value": 1}, {"value": 1, "children": [{"value": 2, "children": []}]}],
        [{}, {"value": 1, "children": [1]}],
    ),
    "recursion through the root": (
        {"type": "array", "items": {"$ref": "#"}},
        [[], [[]], [[], [[[]]]]],
        [[1], {}],
    ),
    "a reference beside keywords": (
        {"$defs": {"n": {"type": "integer", "minimum": 0}}, "$ref": "#/$defs/n", "maximum": 9},
        [0, 9],
        [-1, 10],
    ),
    "lengths": (
        {"type": "string", "minLength": 2, "maxLength": 3},
        ["ab", "é\n", "\U0001f600bc"],
        ["a", "abcd"],
    ),
    "pattern": (
        {"type": "string", "pattern": "^[A-Z]{2}-\\d+$"},
        ["AB-1"],
        ["A-1", "AB-", "xAB-1"],
    ),
    "loose pattern": ({"type": "string", "pattern": "b+"}, ["abc", "b"], ["ac", ""]),
    "pattern and length": (
        {"type": "string", "pattern": "^[a-z]*$", "maxLength": 3},
        ["", "abc"],
        ["abcd"],
    ),
    "quotes in a pattern": ({"type": "string", "pattern": '^["\\\\]$'}, ['"', "\\"], ["a"]),
    "date": (
        {"type": "string", "format": "date"},
        ["2024-02-29", "1999-12-31"],
        ["2023-02-29", "x"],
    ),
    "date-time": (
        {"type": "string", "format": "date-time"},
        ["2024-01-01T00:00:00Z"],
        ["2024-01-01"],
    ),
    "time": ({"type": "string", "format": "time"}, ["23:59:59+01:00"], ["24:00:00Z"]),
    "uuid": ({"type": "string", "format": "uuid"}, ["123e4567-e89b-12d3-a456-426614174000"], ["1"]),
    "bounds": ({"type": "integer", "minimum": -12, "maximum": 105}, [-12, 0, 99, 105], [-13, 106]),
    "open bounds": (
        {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 10},
        [1, 9],
        [0, 10],
    ),
    "lower bound": ({"type": "integer", "minimum": 18}, [18, 99, 100, 54321], [17, 0, -18]),
    "fractional bounds": (
        {"type": "number", "minimum": 0, "maximum": 1},
        [0, 0.25, 1, 1.0],
        [-0.1, 1.1],
    ),
    "listed multiples": (
        {"type": "integer", "multipleOf": 7, "minimum": 0, "maximum": 30},
        [0, 28],
        [1, 35],
    ),
    "whole numbers": ({"type": "number", "multipleOf": 1}, [3], [3.5]),
    "nullable": ({"type": "string", "nullable": True}, ["a", None], [1]),
    "annotations": (
        {"type": "null", "title": "t", "default": 1, "examples": [1], "x-own": 1},
        [None],
        [1],
    ),
    "keywords of other types": (
        {"type": "null", "minimum": 3, "pattern": "(?=a)", "uniqueItems": True},
        [None],
        [],
    ),
    "an impossible option": (
        {**ABC, "properties": {"a": False, "b": {"type": "null"}}},
        [{}, {"b": None}],
        [{"a": 1}],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_accepts_what_is_valid_and_nothing_else(case: str) -> None:
    check(*CASES[case])


UNENFORCED: dict[str, tuple[Any, list[str]]] = {
    "multipleOf": ({"type": "integer", "multipleOf": 3}, [":multipleOf"]),
    "nested": (
        {"properties": {"a": {"type": "number", "multipleOf": 0.1}}},
        ["properties.a:multipleOf"],
    ),
    "not": ({"not": {"type": "string"}}, [":not"]),
    "if": ({"if": {"type": "string"}, "then": {"minLength": 1}}, [":if"]),
    "uniqueItems": ({"type": "array", "uniqueItems": True}, [":uniqueItems"]),
    "contains": ({"type": "array", "contains": {"type": "null"}}, [":contains"]),
    "minProperties": ({"type": "object", "minProperties": 2}, [":minProperties"]),
    "maxProperties": ({"type": "object", "maxProperties": 2}, [":maxProperties"]),
    "dependentRequired": ({**ABC, "dependentRequired": {"a": ["b"]}}, [":dependentRequired"]),
    "propertyNames": ({"type": "object", "propertyNames": {"maxLength": 3}}, [":propertyNames"]),
    "look-ahead": ({"type": "string", "pattern": "(?=a)"}, [":pattern"]),
    "two patterns": (
        {"type": "string", "pattern": "^a", "allOf": [{"pattern": "b$"}]},
        [":pattern"],
    ),
    "pattern and lengths": (
        {"type": "string", "pattern": "a", "minLength": 3, "maxLength": 5},
        [":maxLength", ":minLength"],
    ),
    "uri": ({"type": "string", "format": "uri"}, [":format"]),
    "a long string": ({"type": "string", "maxLength": 100_000}, [":maxLength"]),
    "a long array": ({"type": "array", "maxItems": 5_000}, [":maxItems"]),
    "overlapping oneOf": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, [":oneOf"]),
}


@pytest.mark.parametrize("case", UNENFORCED)
def test_lists_exactly_what_it_lets_through(case: str) -> None:
    schema, expected = UNENFORCED[case]
    assert unenforced(schema) == expected
    grammar_of(schema)


def test_keywords_say_where_they_stand() -> None:
    schema = {
        "$defs": {"a": {"type": "array", "uniqueItems": True}},
        "anyOf": [{"$ref": "#/$defs/a"}],
    }
    assert compile_schema(schema, limits=LIMITS).unenforced == (
        Keyword(path="$defs.a", name="uniqueItems"),
    )


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "allOf": [{"type": "integer"}]},
        {"properties": {"a": False}, "required": ["a"], "type": "object"},
        {"type": "object", "properties": {"a": {}}, "required": ["b"], **CLOSED},
        {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"enum": [1, 2], "minimum": 3},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "array", "items": False, "minItems": 1},
    ],
)
def test_schemas_that_nothing_satisfies_are_refused(schema: Any) -> None:
    with pytest.raises(RequestError, match="No JSON value"):
        compile_schema(schema, limits=LIMITS)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}, {"type": "string"}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {
            "$defs": {
                "a": {"oneOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]},
                "b": {"anyOf": [{"$ref": "#/$defs/a"}]},
            },
            "$ref": "#/$defs/a",
        },
    ],
)
def test_cycles_without_a_value_in_between_are_refused(schema: Any) -> None:
    with pytest.raises(RequestError, match=r"itself|leads back"):
        compile_schema(schema, limits=LIMITS)


def _chain(length: int, link: str) -> dict[str, Any]:
    names = {f"d{i}": {link: [{"$ref": f"#/$defs/d{i + 1}"}, {"const": i}]} for i in range(length)}
    return {"$defs": {**names, f"d{length}": {"type": "null"}}, "$ref": "#/$defs/d0"}


HARD: dict[str, Any] = {
    "product of choices": {
        "allOf": [{"anyOf": [{"minimum": i}, {"maxLength": i}]} for i in range(40)]
    },
    "product over members": {
        "allOf": [
            {
                "anyOf": [
                    {"properties": {"a": {"minimum": i}}},
                    {"properties": {"b": {"minimum": i}}},
                ]
            }
            for i in range(40)
        ]
    },
    "long chain of choices": _chain(700, "anyOf"),
    "long chain of conjunctions": _chain(700, "allOf"),
    "doubling references": {
        "$defs": {
            f"d{i}": {
                "properties": {
                    "a": {"$ref": f"#/$defs/d{i + 1}"},
                    "b": {"$ref": f"#/$defs/d{i + 1}"},
                }
            }
            for i in range(200)
        }
        | {"d200": {"type": "null"}},
        "$ref": "#/$defs/d0",
    },
    "many members": {
        "type": "object",
        "properties": {f"property{i}": {"type": "string"} for i in range(1500)},
    },
    "many members and others": {
        "type": "object",
        "properties": {f"property{i}": {} for i in range(1000)},
        "additionalProperties": True,
    },
    "many patterns for names": {
        "type": "object",
        "patternProperties": {f"^k{i}$": {"type": "string"} for i in range(600)},
    },
    "large enum": {"enum": [f"value {i}" for i in range(4000)]},
    "large enum in many ways": {
        "enum": [f"value {i}" for i in range(2000)],
        "allOf": [{"anyOf": [{"minLength": i}, {"maxLength": 99 - i}]} for i in range(12)],
    },
    "counts of counts": {"type": "string", "pattern": "^((a{30}){30}){30}$"},
    "huge bounds": {"type": "integer", "minimum": -(10**60), "maximum": 10**60},
    "infinite bounds": {"type": "number", "minimum": -1e308, "maximum": 1e308},
    "largest counts": {
        "type": "array",
        "items": {"type": "string", "maxLength": 1999},
        "maxItems": 1999,
    },
    "many alternatives": {"oneOf": [{"const": i} for i in range(2000)]},
}


@pytest.mark.parametrize("case", HARD)
def test_hard_schemas_end_soon_within_the_limits(case: str) -> None:
    """Compiled or refused; generously timed, an explosion would take minutes."""
    started = time.perf_counter()
    outcome = compiled_or_refused(HARD[case])
    assert time.perf_counter() - started < 20
    if isinstance(outcome, RequestError):
        assert str(outcome.param).startswith("schema")
    else:
        assert len(outcome.text.encode()) <= LIMITS.grammar_bytes
        Gbnf(outcome.text)


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": [1, "x"], "not": {"$ref": "#/$defs/d0"}},
        {"enum": [1, "x"], "not": {"$ref": "#"}},
        {"properties": {"a": {}}, "propertyNames": {"$ref": "#/$defs/d0"}},
    ],
    ids=["listed values", "listed values without end", "names"],
)
def test_what_is_checked_while_compiling_is_bounded_in_its_work(schema: Any) -> None:
    parts: dict[str, Any] = {
        f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(30)
    }
    parts["d30"] = {"type": "null"}
    with pytest.raises(RequestError, match="too much work"):
        compile_schema({**schema, "$defs": parts}, limits=LIMITS)


def one_of_many(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}


def listed(count: int) -> dict[str, Any]:
    """Integers whose multiples are listed one by one."""
    range_ = {"type": "integer", "minimum": 1, "maximum": 900}
    return {"properties": {f"p{i}": {**range_, "multipleOf": 2 + i} for i in range(count)}}


@pytest.mark.parametrize(
    "schema",
    [
        {
            "allOf": [
                {"anyOf": [one_of_many(f"p{2 * i}"), one_of_many(f"p{2 * i + 1}")]}
                for i in range(200)
            ]
        },
        {
            "properties": {f"k{i}": {} for i in range(1500)},
            "patternProperties": {f"^k{i}$": {"type": "string"} for i in range(300)},
        },
        {
            "allOf": [
                {"properties": {f"k{i}": {}}, "additionalProperties": {"type": "integer"}}
                for i in range(300)
            ]
        },
        listed(500),
    ],
    ids=["many choices at once", "names by patterns", "names by schemas", "multiples"],
)
def test_the_work_of_compiling_is_bounded_not_only_what_comes_out(schema: Any) -> None:
    with pytest.raises(RequestError, match="too much work") as raised:
        compile_schema(schema, limits=LIMITS)
    assert raised.value.param == "schema"


def test_schemas_of_one_grammar_share_its_work() -> None:
    rules = Rules(limit_bytes=LIMITS.grammar_bytes, param="tools")
    for index in range(3):
        add_schema(rules, listed(30), limits=LIMITS, param=f"tools[{index}]")
    with pytest.raises(RequestError, match="too much work") as raised:
        add_schema(rules, listed(30), limits=LIMITS, param="tools[3]")
    assert raised.value.param == "tools[3]"


def test_any_object() -> None:
    grammar = Gbnf(json_object(limits=LIMITS).text)
    for text in ("{}", '{"a": [1, {"b": null}]}', '{\n  "a": "\\u00e9\\ud83d\\ude00"\n}'):
        assert grammar.accepts(text), text
    for text in ("[]", '"a"', "{} ", '{"a"}', '{"a": 01}', '{"a": "\n"}', '{"a": "\\ud83d"}'):
        assert not grammar.accepts(text), text


def test_blanks_are_bounded() -> None:
    grammar = grammar_of({"type": "array"})
    assert grammar.accepts("[\n    1,\n    2\n]")
    assert not grammar.accepts("[ " + " " * 40 + "1]")
    assert not grammar.accepts("[\n\n\n1]")
    assert not grammar.accepts("[1] ")


scalars = st.sampled_from(
    [
        {"type": "integer"},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "integer", "minimum": -3, "maximum": 12},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 2.5},
        {"type": "string", "maxLength": 4},
        {"type": "string", "pattern": "^[ab]+$"},
        {"enum": ["x", 1, None]},
    ]
)


def _nest(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    members = st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3)

    def as_object(properties: dict[str, Any], must: int, others: Any) -> dict[str, Any]:
        required = list(properties)[:must]
        extra = {} if others is None else {"additionalProperties": others}
        return {"type": "object", "properties": properties, "required": required, **extra}

    return st.one_of(
        st.builds(
            as_object,
            members,
            st.integers(0, 2),
            st.one_of(st.sampled_from([None, False, True]), inner),
        ),
        st.builds(
            lambda items, low, more: {
                "type": "array",
                "items": items,
                "minItems": low,
                "maxItems": low + more,
            },
            inner,
            st.integers(0, 2),
            st.integers(0, 2),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"allOf": parts}),
    )


@settings(max_examples=60, deadline=None)
@given(st.recursive(scalars, _nest, max_leaves=6), st.randoms(use_true_random=False))
def test_what_a_random_schema_s_grammar_makes_is_valid(schema: Any, random: Random) -> None:
    compiled = compiled_or_refused(schema)
    if isinstance(compiled, RequestError):
        assert "No JSON value" in str(compiled)
        return
    grammar = Gbnf(compiled.text)
    text = Sampler(grammar).sample(random)
    dropped = {keyword.name for keyword in compiled.unenforced}
    if not dropped:
        assert violations(schema, text) == ()
    assert grammar.accepts(text)
    at = random.randrange(len(text))
    mutated = text[:at] + random.choice('0a"}],: ') + text[at + 1 :]
    if not dropped and violations(schema, mutated):
        assert not grammar.accepts(mutated)


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**4), st.integers(-(10**6), 10**6))
@settings(max_examples=80, deadline=None)
def test_integer_ranges_are_exact(low: int, width: int, probe: int) -> None:
    grammar = grammar_of({"type": "integer", "minimum": low, "maximum": low + width})
    for number in (low - 1, low, low + width // 2, low + width, low + width + 1, probe):
        assert grammar.accepts(str(number)) == (low <= number <= low + width)


decimals = st.decimals(-50, 50, places=2).map(float)


@given(decimals, decimals, decimals, st.booleans(), st.booleans())
@settings(max_examples=80, deadline=None)
def test_decimal_ranges_are_exact(
    one: float, two: float, probe: float, first: bool, last: bool
) -> None:
    low, high = sorted((one, two))
    schema = {
        "type": "number",
        ("exclusiveMinimum" if first else "minimum"): low,
        ("exclusiveMaximum" if last else "maximum"): high,
    }
    if low == high and (first or last):
        return
    grammar = grammar_of(schema)
    for number in (low, high, probe, (low + high) / 2):
        text = format(number, ".3f")
        assert grammar.accepts(text) == (violations(schema, text) == ()), text
