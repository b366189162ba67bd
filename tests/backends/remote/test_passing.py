"""However a stream is cut into reads, the same bytes go on and the same is learned."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.backends.answer import Measured, whole_calls
from reshore.backends.remote.passing import Passing, note
from reshore.errors import BadReply, UpstreamStatus
from reshore.types import Usage
from reshore.wire.openai.glance import glance

WORDS = [
    b": comment",
    b'data: {"choices":[{"index":0,"delta":{"content":"caf\\u00e9 \\"usage\\":{"}}],"usage":null}',
    b'data:{"choices":[{"index":0,"delta":{"content":"[DONE] \xc3\xa9"},"finish_reason":null}]}',
    b'event: message\nid: 7\ndata: {"choices":[{"index":1,"delta":{"content":"other"}}]}',
    b'data: {"choices":\ndata: [{"index":0,"delta":{"content":"x"}}], "error": null}',
    b"retry: 10",
    b'data: {"choices":[{"index":0,"delta":{"content":["strange"]}}]}',
]
FINISH = b'data: {"model":"m","choices":[{"index":0,"delta":{},"finish_reason" : "length"}]}'
COUNTS = b'data: {"choices":[],"usage": {"prompt_tokens":3,"completion_tokens":4}}'
DONE = b"data: [DONE]"


def passing(*, keep_text: bool = False, hide_usage: bool = False) -> tuple[Passing, Measured]:
    measured = Measured(text=[] if keep_text else None)
    return Passing("cloud", measured, redact=lambda data: data, hide_usage=hide_usage), measured


def feed(stream: Passing, data: bytes, cuts: list[int]) -> bytes:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return b"".join(stream.feed(data[start:end]) for start, end in pairwise(places))


@given(
    words=st.lists(st.sampled_from(WORDS), max_size=5),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    hide_usage=st.booleans(),
    keep_text=st.booleans(),
)
def test_reads_do_not_matter(
    words: list[bytes], cuts: list[int], newline: bytes, hide_usage: bool, keep_text: bool
) -> None:
    def framed(*events: bytes) -> bytes:
        return b"".join(event.replace(b"\n", newline) + newline * 2 for event in events)

    stream, measured = passing(keep_text=keep_text, hide_usage=hide_usage)
    passed = feed(stream, framed(*words, FINISH, COUNTS, DONE), cuts)
    assert passed == framed(*words, FINISH, *([] if hide_usage else [COUNTS]), DONE)
    assert stream.begun
    assert stream.done
    assert stream.failure is None
    assert measured.usage == Usage(prompt_tokens=3, completion_tokens=4)
    assert (measured.finish_reason, measured.model) == ("length", "m")
    if keep_text:
        said = {1: 'café "usage":{', 2: "[DONE] é", 4: "x"}
        assert "".join(measured.text or ()) == "".join(
            said.get(WORDS.index(word), "") for word in words
        )


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_garbage_is_at_worst_a_failure(data: bytes, cuts: list[int]) -> None:
    stream, _ = passing()
    assert len(feed(stream, data, cuts)) <= len(data)
    assert stream.failure is None or isinstance(stream.failure, BadReply | UpstreamStatus)


def test_only_whole_events_are_given() -> None:
    stream, _ = passing()
    assert stream.feed(b'data: {"choices":[]}\n\ndata: {"cho') == b'data: {"choices":[]}\n\n'
    assert stream.feed(b'ices":[]}') == b""
    assert stream.feed(b"\n") == b""
    assert stream.feed(b"\n") == b'data: {"choices":[]}\n\n'


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b'data: {"error":{"message":"oh","code":429}}', UpstreamStatus),
        (b'event: error\ndata: {"error":"oh"}', UpstreamStatus),
        (b'data: {"choices":[], "usage":{} ', BadReply),
        (b"<html>", BadReply),
    ],
)
def test_what_breaks_a_stream_off_is_told_after_what_came_before(event: bytes, kind: type) -> None:
    stream, _ = passing()
    stream.feed(FINISH + b"\n\n")
    assert stream.feed(WORDS[2] + b"\n\n" + event + b"\n\n" + DONE + b"\n\n") == WORDS[2] + b"\n\n"
    assert isinstance(stream.failure, kind)
    assert not stream.done


def test_an_event_without_end_has_a_limit() -> None:
    stream, _ = passing()
    for _ in range(17):
        assert stream.feed(b"data: " + b"x" * 2**20) == b""
    assert isinstance(stream.failure, BadReply)


def called(measured: Measured) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in whole_calls(measured.calls)]


CALLS = (
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":'
    b'{"name":"weather","arguments":""}}]}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":'
    b'{"arguments":"{\\"city\\":"}},{"index":1,"id":"b","function":{"name":"time"}}]}}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":'
    b'{"arguments":"\\"Kyiv\\"}"}}]}}]}\n\n',
)


def test_tool_calls_are_put_together_where_the_text_is_kept() -> None:
    for keep_text in (True, False):
        stream, measured = passing(keep_text=keep_text)
        assert stream.feed(b"".join(CALLS)) == b"".join(CALLS)
        found = [("a", "weather", '{"city":"Kyiv"}'), ("b", "time", "")]
        assert called(measured) == (found if keep_text else [])


@pytest.mark.parametrize("calls", [b"7", b'["a"]', b'[{"index":"x"}]', b'[{"function":[1]}]'])
def test_tool_calls_of_another_shape_go_by_and_are_none(calls: bytes) -> None:
    stream, measured = passing(keep_text=True)
    event = b'data: {"choices":[{"index":0,"delta":{"content":"x","tool_calls":%s}}]}\n\n' % calls
    assert stream.feed(event) == event
    assert stream.failure is None
    assert (measured.text, called(measured)) == (["x"], [])


def test_tool_calls_of_a_whole_reply_need_no_numbers() -> None:
    reply = glance(
        b'{"choices":[{"message":{"content":null,"tool_calls":[{"id":"a","type":"function",'
        b'"function":{"name":"weather","arguments":"{}"}},{"id":"b","function":{"name":"time"}}]}}]}'
    )
    measured = Measured(text=[])
    note(reply, measured)
    assert called(measured) == [("a", "weather", "{}"), ("b", "time", "")]
