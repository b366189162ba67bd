"""Server-sent events in any pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import BadReply
from reshore.wire.sse import SseDecoder

STREAMS = st.lists(
    st.sampled_from(
        [
            b"data: {}",
            b"data:x",
            b"data",
            b"data: ",
            b": ping",
            b"event: e",
            b"id: 1",
            b"datax",
            b"",
        ]
    ),
    max_size=30,
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def decode(*pieces: bytes) -> list[bytes]:
    decoder = SseDecoder("upstream")
    return [event for piece in pieces for event in decoder.feed(piece)]


def reference(stream: bytes) -> list[bytes]:
    """The specification, line by line, on the whole stream."""
    lines = stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    events, data = [], []
    for line in lines[:-1]:
        name, _, value = line.partition(b":")
        if not line and data:
            events.append(b"\n".join(data))
            data = []
        elif name == b"data":
            data.append(value.removeprefix(b" "))
    return events


@given(st.lists(st.tuples(STREAMS, ENDS), max_size=4), st.lists(st.integers(0, 400), max_size=20))
def test_any_partition_gives_the_same_events(
    parts: list[tuple[list[bytes], bytes]], cuts: list[int]
) -> None:
    stream = b"".join(line + end for lines, end in parts for line in lines)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert decode(*pieces) == decode(stream) == reference(stream)


def test_many_events_in_one_segment() -> None:
    assert decode(b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n') == [
        b'{"a":1}',
        b'{"b":2}',
        b"[DONE]",
    ]


def test_byte_by_byte() -> None:
    stream = b": hi\r\n\r\ndata: a\r\ndata: b\r\n\r\nevent: x\ndata:c\n\n"
    assert decode(*(bytes([byte]) for byte in stream)) == [b"a\nb", b"c"]


def test_an_event_is_not_given_before_its_end() -> None:
    decoder = SseDecoder("upstream")
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\ndata: b") == [b"a"]
    assert decoder.feed(b"") == []
    assert decoder.feed(b"c\n\n") == [b"bc"]


def test_a_large_event_in_many_segments() -> None:
    body = b'{"content":"' + b"x" * 1_000_000 + b'"}'
    stream = b"data: " + body + b"\n\ndata: [DONE]\n\n"
    parts = [stream[start : start + 65_536] for start in range(0, len(stream), 65_536)]
    assert decode(*parts) == [body, b"[DONE]"]


def test_only_one_space_belongs_to_the_colon() -> None:
    assert decode(b"data:  two\n\n") == [b" two"]


@pytest.mark.parametrize(
    ("held", "last"),
    [
        (b"x" * 100, b"x" * 50),
        (b"data: " + b"x" * 50 + b"\n", b"data: x\n"),
        (b"data:\n", b"data:\n"),
    ],
)
def test_an_endless_event_is_an_error_and_not_a_leak(held: bytes, last: bytes) -> None:
    decoder = SseDecoder("upstream", limit_bytes=120)
    assert decoder.feed(held) == []
    with pytest.raises(BadReply, match="upstream sent an event of more than 120 bytes"):
        decoder.feed(last)


def test_events_of_any_total_length_pass_under_the_limit() -> None:
    decoder = SseDecoder("upstream", limit_bytes=120)
    assert len([e for _ in range(100) for e in decoder.feed(b"data: 12345\ndata: 6\n\n")]) == 100
