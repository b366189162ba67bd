"""Token counts at the end of replies of any shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.types import Usage
from reshore.wire.openai.tail import Tail

COUNTS = {"prompt_tokens": 3, "completion_tokens": 4}
USAGE = Usage(prompt_tokens=3, completion_tokens=4)


def tail_of(*pieces: bytes) -> Tail:
    tail = Tail()
    for piece in pieces:
        tail.feed(piece)
    return tail


def test_counts_by_the_newer_names() -> None:
    body = {"usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}
    assert tail_of(json.dumps(body).encode()).usage() == USAGE


@pytest.mark.parametrize("details", ["tokens_details", "token_details"])  # transcriptions' have one
def test_audio_and_images_are_counted_apart(details: str) -> None:
    usage = {
        "input_tokens": 3,
        "output_tokens": 4,
        f"input_{details}": {"text_tokens": 0, "audio_tokens": 2, "image_tokens": 1},
        f"output_{details}": {"text_tokens": 1, "audio_tokens": 1, "image_tokens": 2},
    }
    assert tail_of(json.dumps({"usage": usage}).encode()).usage() == Usage(
        prompt_tokens=3,
        completion_tokens=4,
        prompt_audio_tokens=2,
        prompt_image_tokens=1,
        completion_audio_tokens=1,
        completion_image_tokens=2,
    )


@given(st.integers(0, 200), st.integers(1, 50))
def test_it_does_not_matter_where_the_pieces_end(before: int, size: int) -> None:
    body = json.dumps({"text": "x" * before, "usage": COUNTS, "tools": [1, {"usage": None}]})
    data = body.encode()
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert tail_of(*pieces).usage() == USAGE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'{"usage":null}',
        b'{"usage":{}}',
        b'{"usage":{"input_tokens":"three"}}',
        b'{"usage":{"input_tokens":-3}}',
        b'{"usage":{"input_tokens":9223372036854775807}}',
        b'{"usage":{"input_tokens":3',
        b'{"text":"\\"usage\\":{\\"input_tokens\\":3}"}',
        b"\xff\xfe",
        b'{"usage":' + b'{"a":' * 5000,
    ],
)
def test_what_is_no_count_is_none(data: bytes) -> None:
    assert tail_of(data).usage() is None


def test_the_last_counts_are_those_of_the_whole() -> None:
    events = [json.dumps({"usage": counts}).encode() for counts in ({"input_tokens": 1}, COUNTS)]
    assert tail_of(*events).usage() == USAGE


def test_of_a_long_reply_only_the_end_is_kept() -> None:
    tail = tail_of(*[b"x" * 1000] * 1000, json.dumps({"usage": COUNTS}).encode())
    assert tail.usage() == USAGE
    tail = tail_of(json.dumps({"usage": COUNTS}).encode(), *[b"x" * 1000] * 1000)
    assert tail.usage() is None


def test_the_model_is_the_first_that_is_named() -> None:
    tail = tail_of(b'{"model": "a-1",', b'"more":{"model":"b"}}')
    assert tail.model == "a-1"
    assert tail_of(b"no json").model is None
