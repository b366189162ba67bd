from __future__ import annotations

import pytest

from reshore.errors import RequestError
from reshore.wire.ollama.management import (
    CopyRequest,
    CreateRequest,
    DeleteRequest,
    TransferRequest,
    decode_management,
)


def test_a_create_request_is_read_whole():
    body = {
        "model": "m",
        "from": "base",
        "files": {"a.gguf": "sha256:1"},
        "license": ["MIT", ""],
        "messages": [{"role": "user", "content": "hi", "images": []}],
        "parameters": {"stop": ["a"]},
        "stream": False,
    }
    request, ignored = decode_management(body, CreateRequest)
    assert (request.asked, request.from_, request.stream) == ("m", "base", False)
    assert request.licenses == ("MIT",)
    assert request.messages is not None
    assert request.messages[0].content == "hi"
    assert ignored == ()


@pytest.mark.parametrize("kind", [CreateRequest, TransferRequest, DeleteRequest])
def test_name_is_the_older_word_for_model(kind):
    assert decode_management({"name": "old"}, kind)[0].asked == "old"
    assert decode_management({"name": "old", "model": "new"}, kind)[0].asked == "new"


def test_one_licence_may_be_a_text():
    assert decode_management({"license": "MIT"}, CreateRequest)[0].licenses == ("MIT",)


def test_what_has_no_effect_is_named_unless_it_says_nothing():
    body = {"model": "m", "username": "me", "wings": 2, "info": {}, "password": ""}
    assert decode_management(body, TransferRequest)[1] == ("username", "wings")


def test_what_has_no_effect_in_a_message_is_named():
    said = [
        {"role": "user", "content": "hi", "images": ["iVBORw0KGgo="]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "f"}}], "images": []},
    ]
    ignored = decode_management({"model": "m", "messages": said}, CreateRequest)[1]
    assert ignored == ("messages[0].images", "messages[1].tool_calls")


@pytest.mark.parametrize(
    "field",
    ["renderer", "parser", "draft_files", "draft_quantize", "remote_host", "path", "modelfile"],
)
def test_what_cannot_be_honoured_is_refused_unless_it_says_nothing(field):
    with pytest.raises(RequestError, match=f"'{field}' cannot be honoured") as caught:
        decode_management({"model": "m", field: "x"}, CreateRequest)
    assert caught.value.param == field
    assert decode_management({"model": "m", field: ""}, CreateRequest)[0].asked == "m"


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        ({"model": 1}, TransferRequest, "model"),
        ({"source": []}, CopyRequest, "source"),
        ({"files": ["a"]}, CreateRequest, "files"),
        ({"messages": [{"role": "tool"}]}, CreateRequest, "messages[0].role"),
        ({"stream": "no"}, CreateRequest, "stream"),
    ],
)
def test_a_wrong_type_is_named(body, kind, param):
    with pytest.raises(RequestError, match="malformed") as caught:
        decode_management(body, kind)
    assert caught.value.param == param
