"""Replies that are one object."""

import base64
import json
import struct

import pytest

from reshore.types import Embeddings, ModelInfo, Usage
from reshore.wire.openai.encode import (
    add_usage,
    encode_embeddings,
    encode_error,
    encode_model,
    encode_models,
    error_event,
    finite,
    new_id,
    usage_body,
)

from .contract import check

VECTORS = ((0.5, -1.25, 3.0), (1.0, 0.0, -0.0))
EMBEDDINGS = Embeddings(
    model="m", vectors=tuple(struct.pack("<3f", *vector) for vector in VECTORS), prompt_tokens=7
)
INFO = ModelInfo(
    name="hf.co/org/m:q4",
    created_s=5,
    owned_by="org",
    capabilities=("completion", "tools"),
    context_length=8,
)


def test_ids_are_unique_and_long() -> None:
    ids = {new_id("chatcmpl-") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(each) == len("chatcmpl-") + 24 for each in ids)


def test_embeddings_as_numbers() -> None:
    reply = check("CreateEmbeddingResponse", encode_embeddings(EMBEDDINGS, "float"))
    assert [tuple(item["embedding"]) for item in reply["data"]] == list(VECTORS)
    assert [item["index"] for item in reply["data"]] == [0, 1]
    assert reply["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


def test_embeddings_as_base64_of_little_endian_floats() -> None:
    reply = json.loads(encode_embeddings(EMBEDDINGS, "base64"))
    raw = [base64.b64decode(item["embedding"], validate=True) for item in reply["data"]]
    assert [struct.unpack("<3f", vector) for vector in raw] == list(VECTORS)


def test_models() -> None:
    reply = check("ListModelsResponse", encode_models([INFO, INFO]))
    assert reply["data"] == [check("Model", encode_model(INFO))] * 2
    assert json.loads(encode_model(INFO)) == {
        "id": "hf.co/org/m:q4",
        "object": "model",
        "created": 5,
        "owned_by": "org",
        "capabilities": ["completion", "tools"],
        "context_length": 8,
    }


def test_no_models_is_an_empty_list() -> None:
    assert check("ListModelsResponse", encode_models([])) == {"object": "list", "data": []}


@pytest.mark.parametrize(("param", "code"), [(None, None), ("n", "invalid_value")])
def test_errors_have_all_four_fields(param: str | None, code: str | None) -> None:
    fields = ('broken "so"\n', "invalid_request_error", param, code)
    reply = check("ErrorResponse", encode_error(*fields))
    assert tuple(reply["error"].values()) == fields
    assert error_event(*fields) == b"data: " + encode_error(*fields) + b"\n\n"


def test_usage_is_summed() -> None:
    fields = [field for field in Usage.__struct_fields__ if field != "reasoning_tokens"]
    one = Usage(**{field: number for number, field in enumerate(fields, 1)})
    assert add_usage(None, one) == one
    twice = {field: 2 * number for number, field in enumerate(fields, 1)}
    assert add_usage(one, one) == Usage(**twice)


def test_audio_is_told_apart() -> None:
    body = usage_body(Usage(prompt_audio_tokens=3, completion_audio_tokens=4))
    assert body["prompt_tokens_details"]["audio_tokens"] == 3
    assert body["completion_tokens_details"]["audio_tokens"] == 4


def test_reasoning_tokens_are_zero_or_unknown() -> None:
    assert usage_body(Usage())["completion_tokens_details"]["reasoning_tokens"] == 0
    assert "reasoning_tokens" not in usage_body(Usage(), reasoned=True)["completion_tokens_details"]


@pytest.mark.parametrize("logprob", [float("-inf"), float("nan")])
def test_a_logprob_that_json_cannot_hold_is_openais_minimum(logprob: float) -> None:
    assert finite(logprob) == -9999.0
    assert finite(-0.5) == -0.5


def test_reasoning_that_was_counted_is_shown() -> None:
    details = usage_body(Usage(reasoning_tokens=7), reasoned=True)["completion_tokens_details"]
    assert details["reasoning_tokens"] == 7


def test_sums_know_what_one_of_them_knows() -> None:
    assert add_usage(Usage(reasoning_tokens=2), Usage()).reasoning_tokens == 2
    assert add_usage(Usage(), Usage()).reasoning_tokens is None
