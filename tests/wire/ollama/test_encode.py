"""Lines, timestamps and durations."""

import json
from array import array
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from reshore.types import Embeddings
from reshore.wire.ollama.embeddings import encode_embed, encode_embedding
from reshore.wire.ollama.encode import (
    Stamps,
    encode_line,
    error_body,
    error_line,
    nanoseconds,
    timestamp,
    timestamp_s,
)


def test_a_timestamp_has_nanoseconds_and_says_utc() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000000000Z"
    assert timestamp(1_777_000_000_000_000_007) == "2026-04-24T03:06:40.000000007Z"
    assert timestamp_s(0.5) == "1970-01-01T00:00:00.500000000Z"


@given(st.integers(0, 4_000_000_000_000_000_000))
def test_a_timestamp_is_the_same_moment(wall_ns: int) -> None:
    read = datetime.fromisoformat(timestamp(wall_ns)[:26] + "+00:00")
    assert read == datetime.fromtimestamp(wall_ns // 10**9, UTC).replace(
        microsecond=wall_ns % 10**9 // 1000
    )


@given(st.lists(st.integers(0, 4_000_000_000_000_000_000), max_size=5))
def test_stamps_one_after_another_are_the_same(moments: list[int]) -> None:
    stamps = Stamps()
    assert [stamps.stamp(moment).decode() for moment in moments] == list(map(timestamp, moments))


def test_durations_are_whole_nanoseconds_and_never_nothing() -> None:
    assert nanoseconds(1.5) == 1_500_000
    assert nanoseconds(0.0) == 1


def test_a_line_ends_where_it_should() -> None:
    assert encode_line({"a": "b\nc"}) == b'{"a":"b\\nc"}\n'
    assert error_line("no") == error_body("no") + b"\n" == b'{"error":"no"}\n'


def test_embeddings_are_numbers() -> None:
    vectors = (array("f", [0.5, -1.0]).tobytes(), array("f", [0.25]).tobytes())
    found = Embeddings(model="m", vectors=vectors, prompt_tokens=7, load_ms=2)
    assert json.loads(encode_embed("asked", found, 3.0)) == {
        "model": "asked",
        "embeddings": [[0.5, -1.0], [0.25]],
        "total_duration": 3_000_000,
        "load_duration": 2_000_000,
        "prompt_eval_count": 7,
    }
    assert json.loads(encode_embedding(found)) == {"embedding": [0.5, -1.0]}
