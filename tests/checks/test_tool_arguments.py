import pytest

from reshore.checks.tool_arguments import argument_violations
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
