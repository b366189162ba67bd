import pytest

from reshore.checks.tool_arguments import answer_violations, argument_violations
from reshore.checks.validator import Work
from reshore.types import Tool, ToolCall

ADD = Tool(
    name="add",
    parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
)


def _call(name: str, arguments: str) -> tuple[str, ...]:
    return argument_violations(
        (ADD, Tool(name="now")), ToolCall(id="1", name=name, arguments=arguments)
    )


def test_fitting_arguments_have_no_violations() -> None:
    assert _call("add", '{"a": 1}') == ()
    assert _call("now", "{}") == ()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("add", "{}"),
        ("add", '{"a": "1"}'),
        ("add", "[1]"),
        ("add", '{"a": 1'),
        ("now", '{"a": 1}'),
        ("unknown", "{}"),
    ],
)
def test_violations_name_the_function(name: str, arguments: str) -> None:
    found = _call(name, arguments)
    assert found
    assert all(text.startswith(f"{name}: ") for text in found)


def test_the_calls_of_one_answer_cost_no_more_than_one_check() -> None:
    doubling = {f"r{n}": {"allOf": [{"$ref": f"#/$defs/r{n + 1}"}] * 2} for n in range(11)}
    tool = Tool(name="f", parameters={"$ref": "#/$defs/r0", "$defs": doubling | {"r11": True}})
    calls = [ToolCall(id=str(n), name="f", arguments='{"a": 1}') for n in range(16)]
    work = Work()
    assert answer_violations((tool,), calls[:1], work=work) == ()
    assert answer_violations((tool,), calls[1:], work=work)[-1] == (
        "f: not checked to the end: the schema is too costly"
    )
