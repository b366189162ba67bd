"""Embedding requests."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.config import LimitsConfig
from reshore.errors import RequestError
from reshore.types import EmbedRequest
from reshore.wire.openai.embeddings import decode_embedding

from .arbitrary import bodies

LIMITS = LimitsConfig()


def decode(**fields: Any) -> Any:
    return decode_embedding({"model": "m", "input": "x"} | fields, lenient=False, limits=LIMITS)


@pytest.mark.parametrize(
    ("sent", "inputs"),
    [
        ("x", ("x",)),
        (["x", "y"], ("x", "y")),
        ([1, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
        (["x"] * 5000, ("x",) * 5000),
    ],
)
def test_inputs(sent: Any, inputs: Any) -> None:
    decoded = decode(input=sent)
    assert decoded.request == EmbedRequest(model="m", inputs=inputs)
    assert decoded.encoding_format == "float"


def test_the_other_fields() -> None:
    decoded = decode(encoding_format="base64", dimensions=64, keep_alive=0, user="u")
    assert decoded.encoding_format == "base64"
    assert decoded.request.dimensions == 64
    assert decoded.request.options.keep_alive_s == 0.0
    assert decoded.ignored == ("user",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["x", ""]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": ["x", [1]]}, "input[1]"),
        ({"input": [{}]}, "input[0]"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "64"}, "dimensions"),
        ({"num_ctx": 5}, "num_ctx"),
        ({"stream": True}, "stream"),
    ],
)
def test_a_malformed_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode(**fields)
    assert caught.value.param == param


def test_an_input_is_required() -> None:
    with pytest.raises(RequestError, match="Missing required parameter: 'input'"):
        decode_embedding({"model": "m"}, lenient=False, limits=LIMITS)


@given(bodies("CreateEmbeddingRequest", model="m", input="x"), st.booleans())
def test_any_json_gives_a_request_or_a_request_error(body: dict[str, Any], lenient: bool) -> None:
    with suppress(RequestError):
        decoded = decode_embedding(body, lenient=lenient, limits=LIMITS)
        assert decoded.request.inputs
        msgspec.json.encode(decoded.request)
