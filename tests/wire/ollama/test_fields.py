"""The table of fields against Ollama's specification, and the page printed from it."""

import json
from pathlib import Path

import pytest

from reshore.wire.ollama import compatibility
from reshore.wire.ollama.fields import TABLE
from reshore.wire.openai.fields import Field, Rule

ROOT = Path(__file__).parents[3]
SPEC: dict[str, list[str]] = json.loads(
    (ROOT / "tests/data/ollama_request_fields.json").read_text(encoding="utf-8")
)["schemas"]

# Ollama has this endpoint; its specification does not.
UNSPECIFIED = {"EmbeddingsRequest"}
FIELDS = [
    pytest.param(field, id=f"{schema}.{name}")
    for schema, group in TABLE.items()
    for name, field in group.fields.items()
]


@pytest.mark.parametrize("schema", SPEC)
def test_every_field_of_the_specification_has_a_class(schema: str) -> None:
    ours = {name for name, field in TABLE[schema].fields.items() if field.ours}
    assert set(TABLE[schema].fields) - ours == set(SPEC[schema])
    assert not ours & set(SPEC[schema])


def test_no_group_is_made_up() -> None:
    assert TABLE.keys() == SPEC.keys() | UNSPECIFIED


@pytest.mark.parametrize("field", FIELDS)
def test_what_is_not_honoured_says_why(field: Field) -> None:
    assert field.rule is Rule.HONOURED or field.note


def test_the_compatibility_page_is_the_printed_table() -> None:
    page = (ROOT / "docs/compatibility-ollama.md").read_text(encoding="utf-8")
    assert page == compatibility.render(), (
        "print it again: python -m reshore.wire.ollama.compatibility > docs/compatibility-ollama.md"
    )
