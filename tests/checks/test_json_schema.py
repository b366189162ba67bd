import pytest

from reshore.checks.json_schema import MAX_VIOLATIONS, violations
from reshore.checks.references import Document
from reshore.checks.schema_shape import check_schema, dotted
from reshore.config import LimitsConfig
from reshore.errors import RequestError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "multipleOf": 5}},
    "required": ["name"],
}


def test_a_fitting_answer_has_no_violations() -> None:
    assert violations(PERSON, '{"name": "Ada", "age": 35}') == ()


def test_violations_name_their_place() -> None:
    assert violations(PERSON, '{"name": "Ada", "age": 36}') == ("age: 36 is not a multiple of 5",)


@pytest.mark.parametrize("text", ["", "{", "{} {}", "NaN", "[" * 100_000])
def test_what_is_not_json_is_a_violation(text: str) -> None:
    assert len(violations(True, text)) == 1


def test_many_violations_are_cut() -> None:
    schema = {"type": "array", "items": {"type": "null"}}
    assert len(violations(schema, str(list(range(100))))) == MAX_VIOLATIONS


def test_nullable_widens_the_type() -> None:
    assert violations({"type": "string", "nullable": True}, "null") == ()
    assert violations({"type": "string"}, "null") != ()


def test_patterns_are_matched_without_backtracking() -> None:
    assert violations({"pattern": "^(a+)+$"}, '"' + "a" * 3000 + '!"') != ()
    assert violations({"pattern": "(?=x)"}, '"x"')[0].startswith("not checked")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", "2024-02-29", "2023-02-29"),
        ("time", "10:00:00Z", "10:00:00"),
        ("date-time", "2024-02-29T10:00:00+01:00", "2024-02-29"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "x"),
    ],
)
def test_formats_are_checked(name: str, good: str, bad: str) -> None:
    assert violations({"format": name}, f'"{good}"') == ()
    assert violations({"format": name}, f'"{bad}"') != ()


def test_local_references_are_followed_and_nothing_is_fetched() -> None:
    schema = {"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}}
    assert violations(schema, "[1]") == ()
    assert violations(schema, '["1"]') != ()


def test_endless_references_are_a_violation_not_a_crash() -> None:
    schema = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    assert violations(schema, "1") == ("the schema refers to itself without end",)


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "text"}, "schema.type"),
        ({"type": []}, "schema.type"),
        ({"properties": []}, "schema.properties"),
        ({"properties": {"a": 5}}, "schema.properties.a"),
        ({"items": [{}]}, "schema.items"),
        ({"anyOf": []}, "schema.anyOf"),
        ({"anyOf": [{"minLength": -1}]}, "schema.anyOf[0].minLength"),
        ({"required": [1]}, "schema.required"),
        ({"minimum": "1"}, "schema.minimum"),
        ({"exclusiveMinimum": True}, "schema.exclusiveMinimum"),
        ({"multipleOf": 0}, "schema.multipleOf"),
        ({"enum": []}, "schema.enum"),
        ({"pattern": 3}, "schema.pattern"),
        ({"dependentRequired": {"a": "b"}}, "schema.dependentRequired"),
        ({"uniqueItems": 1}, "schema.uniqueItems"),
        ({"not": {"$id": "x"}}, "schema.not.$id"),
        ("string", "schema"),
        (None, "schema"),
    ],
)
def test_malformed_schemas_are_refused_with_their_path(schema: object, where: str) -> None:
    with pytest.raises(RequestError) as raised:
        check_schema(schema, LimitsConfig())
    assert raised.value.param == where
    assert where in str(raised.value)


def test_keywords_as_names_of_properties_are_no_keywords() -> None:
    check_schema({"properties": {"type": {"type": "string"}, "$id": {}}}, LimitsConfig())


def test_too_large_and_too_deep_schemas_are_refused() -> None:
    with pytest.raises(RequestError, match="bytes"):
        check_schema({"title": "x" * 70_000}, LimitsConfig())
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"not": deep}
    with pytest.raises(RequestError, match="nested"):
        check_schema(deep, LimitsConfig())


@pytest.mark.parametrize(
    "reference",
    [
        "#/$defs/missing",
        "https://example.org/s.json",
        "other.json#/a",
        "#/type",
        "#nowhere",
        "#/anyOf/9",
        "#/anyOf/x",
    ],
)
def test_references_that_lead_nowhere_are_refused(reference: str) -> None:
    schema = {"type": "object", "anyOf": [{}], "properties": {"a": {"$ref": reference}}}
    with pytest.raises(RequestError) as raised:
        Document(schema, param="schema").check()
    assert raised.value.param == "schema.properties.a.$ref"


def test_references_find_escaped_names_anchors_and_the_own_id() -> None:
    schema = {
        "$id": "urn:x",
        "$defs": {"a/b c": {"$anchor": "here"}},
        "anyOf": [{"$ref": "#/$defs/a~1b%20c"}, {"$ref": "#here"}, {"$ref": "urn:x"}],
    }
    document = Document(schema, param="schema")
    document.check()
    assert document.resolve(("anyOf", 0)) == ("$defs", "a/b c") == document.resolve(("anyOf", 1))
    assert document.resolve(("anyOf", 2)) == ()


def test_paths_are_written_for_people() -> None:
    assert dotted(("properties", "a", "anyOf", 0)) == "properties.a.anyOf[0]"
