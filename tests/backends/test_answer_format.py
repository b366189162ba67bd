from typing import Any

from reshore.backends.answer_format import format_grammar
from reshore.config import LimitsConfig
from reshore.types import ResponseFormat


def test_all_choices_of_an_answer_share_what_a_check_may_cost() -> None:
    levels = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(11)}
    leaf = {"type": "integer", "multipleOf": 1_000_003}
    schema: dict[str, Any] = {"$defs": {**levels, "d11": leaf}, "$ref": "#/$defs/d0"}
    wanted = ResponseFormat(kind="json_schema", schema=schema, strict=False)
    _, verify = format_grammar(wanted, LimitsConfig())
    assert verify is not None
    assert verify("5") == ("5 is not valid under any of the given schemas",)
    for _ in range(3):
        found = verify("5")
    assert found == ("not checked to the end: the schema is too costly",)
