"""OpenAI's response schemas, and what streams and golden files need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from reshore.wire.sse import SseDecoder

DATA = Path(__file__).parents[2] / "data"
_SPEC: dict[str, Any] = json.loads(
    (DATA / "openai_response_schemas.json").read_text(encoding="utf-8")
)


def _with_null(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable`, which the specification still uses, in JSON Schema's words."""
    if isinstance(schema, list):
        return [_with_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    rest = {key: _with_null(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True:
        return {"anyOf": [rest, {"type": "null"}]}
    return rest


_COMPONENTS = _with_null(_SPEC["components"])


def check(schema: str, body: bytes) -> dict[str, Any]:
    """The decoded reply, which the schema of that name allows."""
    value: dict[str, Any] = json.loads(body)
    root = {"$ref": f"#/components/schemas/{schema}", "components": _COMPONENTS}
    Draft202012Validator(root).validate(value)
    return value


def events(schema: str, stream: bytes) -> list[dict[str, Any]]:
    """The events of a finished stream, each allowed by the schema."""
    *payloads, last = SseDecoder("us").feed(stream)
    assert last == b"[DONE]"
    return [check(schema, payload) for payload in payloads]


def golden(name: str) -> bytes:
    """A stream as it must be, byte for byte."""
    return (DATA / name).read_bytes()
