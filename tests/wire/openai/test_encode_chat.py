"""Chats as OpenAI writes them."""

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import BadReply
from reshore.types import Chunk, TokenLogprob, ToolCallDelta, TopLogprob, Usage
from reshore.wire.openai.encode import Head
from reshore.wire.openai.encode_chat import ChatCollector, ChatStream

from .contract import check, events, golden

HEAD = Head(id="chatcmpl-1", created=1700000000, model='a"b%d', fingerprint="fp_1")
STREAM = "CreateChatCompletionStreamResponse"
REPLY = "CreateChatCompletionResponse"
USAGE = Chunk(index=-1, usage=Usage(prompt_tokens=9, completion_tokens=4, cached_tokens=5))
STOP = Chunk(finish_reason="stop")
TEXT = [Chunk(content="Hel"), Chunk(content='lo "é"\n'), STOP, USAGE]
TOOLS = [
    Chunk(reasoning="hm"),
    Chunk(
        tool_calls=(
            ToolCallDelta(index=0, id="call_1", name="f", arguments=""),
            ToolCallDelta(index=1, id="call_2", name="g", arguments="{}"),
        )
    ),
    Chunk(tool_calls=(ToolCallDelta(index=0, arguments='{"a":1}'),)),
    Chunk(finish_reason="tool_calls"),
    USAGE,
]
TOP = (TopLogprob(token="é", logprob=-0.1, bytes=(195, 169)),)
LOGPROBS = [
    Chunk(
        content="",
        logprobs=(TokenLogprob(token="\ufffd", logprob=-0.1, bytes=(195,), top=TOP),),
    ),
    Chunk(content="é", logprobs=(TokenLogprob(token="\ufffd", logprob=float("-inf")),)),
    STOP,
    USAGE,
]
TWO = [
    Chunk(index=1, content="b"),
    Chunk(content="a", finish_reason="length"),
    Chunk(index=1, finish_reason="stop"),
    USAGE,
]


def stream(chunks: list[Chunk], *, include_usage: bool = False) -> bytes:
    codec = ChatStream(HEAD, include_usage=include_usage)
    return codec.encode(chunks) + codec.done()


def collect(chunks: list[Chunk]) -> dict[str, Any]:
    collector = ChatCollector(HEAD)
    collector.add(chunks)
    return check(REPLY, collector.body())


def choice(chunks: list[Chunk]) -> dict[str, Any]:
    found: dict[str, Any] = collect(chunks)["choices"][0]
    return found


@pytest.mark.parametrize(
    ("name", "chunks", "include_usage"),
    [
        ("chat_text.sse", TEXT, False),
        ("chat_usage.sse", TEXT, True),
        ("chat_tools.sse", TOOLS, True),
        ("chat_logprobs.sse", LOGPROBS, False),
        ("chat_two_choices.sse", TWO, False),
    ],
)
def test_golden_streams(name: str, chunks: list[Chunk], include_usage: bool) -> None:
    assert stream(chunks, include_usage=include_usage) == golden(name)
    events(STREAM, golden(name))


def deltas(chunks: list[Chunk], index: int = 0) -> list[dict[str, Any]]:
    return [
        item["delta"]
        for event in events(STREAM, stream(chunks))
        for item in event["choices"]
        if item["index"] == index
    ]


def test_the_role_comes_first_and_once_per_choice() -> None:
    for index in (0, 1):
        first, *rest = deltas(TWO, index)
        assert first == {"role": "assistant", "content": "", "refusal": None}
        assert not any("role" in delta for delta in rest)


def test_the_finish_reason_stands_beside_an_empty_delta() -> None:
    last = events(STREAM, stream(TEXT))[-1]["choices"][0]
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")


def test_a_finish_with_content_is_two_events() -> None:
    assert [
        (item["choices"][0]["delta"].get("content"), item["choices"][0]["finish_reason"])
        for item in events(STREAM, stream([Chunk(content="a", finish_reason="length")]))
    ] == [("", None), ("a", None), (None, "length")]


def test_usage_comes_last_without_choices_and_only_when_asked() -> None:
    found = events(STREAM, stream(TEXT, include_usage=True))
    assert found[-1]["choices"] == []
    assert found[-1]["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    assert all(event["usage"] is None for event in found[:-1])
    assert not any("usage" in event for event in events(STREAM, stream(TEXT)))


def test_usage_may_come_with_the_finish() -> None:
    both = Chunk(content="a", finish_reason="stop", usage=USAGE.usage)
    assert events(STREAM, stream([both], include_usage=True))[-1]["usage"]["total_tokens"] == 13
    assert collect([both])["usage"]["total_tokens"] == 13


def test_usage_that_never_came_is_not_made_up() -> None:
    found = events(STREAM, stream(TEXT[:-1], include_usage=True))
    assert all(event["usage"] is None for event in found)
    assert "usage" not in collect(TEXT[:-1])


def test_one_tool_call_per_event_with_its_id_and_name_once() -> None:
    pieces = [delta["tool_calls"] for delta in deltas(TOOLS) if "tool_calls" in delta]
    assert pieces == [
        [
            {
                "index": 0,
                "id": "call_1",
                "type": "function",
                "function": {"name": "f", "arguments": ""},
            }
        ],
        [
            {
                "index": 1,
                "id": "call_2",
                "type": "function",
                "function": {"name": "g", "arguments": "{}"},
            }
        ],
        [{"index": 0, "function": {"arguments": '{"a":1}'}}],
    ]


def test_a_reply_that_begins_with_a_tool_call_has_null_content() -> None:
    assert deltas(TOOLS[1:])[0] == {"role": "assistant", "content": None, "refusal": None}


def test_reasoning_has_both_names() -> None:
    assert deltas(TOOLS)[1] == {"reasoning_content": "hm", "reasoning": "hm"}
    message = choice(TOOLS)["message"]
    assert message["reasoning_content"] == message["reasoning"] == "hm"


MIXED = Chunk(
    reasoning="hm",
    content="so",
    tool_calls=(ToolCallDelta(index=0, id="call_1", name="f"),),
    logprobs=(TokenLogprob(token="hmso", logprob=-0.5),),
)


def test_reasoning_text_and_call_that_come_together_are_told_apart_in_this_order() -> None:
    _, *pieces, last = deltas([MIXED, STOP])
    assert [sorted(piece) for piece in pieces] == [
        ["reasoning", "reasoning_content"],
        ["content"],
        ["tool_calls"],
    ]
    assert last == {}
    found = choice([MIXED, STOP])["message"]
    assert (found["reasoning"], found["content"]) == ("hm", "so")


@pytest.mark.parametrize(
    "chunks", [[MIXED, STOP], [msgspec.structs.replace(MIXED, finish_reason="stop")]]
)
def test_what_is_told_apart_has_its_logprobs_once(chunks: list[Chunk]) -> None:
    found = [event["choices"][0] for event in events(STREAM, stream(chunks))]
    (first,) = (item for item in found if item["logprobs"] is not None)
    assert first["delta"]["reasoning"] == "hm"
    assert [token["token"] for token in first["logprobs"]["content"]] == ["hmso"]
    assert found[-1]["finish_reason"] == "stop"


def test_logprobs_that_come_with_the_finish_are_sent_before_it() -> None:
    token = TokenLogprob(token="", logprob=-0.5)
    found = events(STREAM, stream([Chunk(finish_reason="stop", logprobs=(token,))]))
    _, tokens, last = (event["choices"][0] for event in found)
    assert len(tokens["logprobs"]["content"]) == 1
    assert (tokens["finish_reason"], last["finish_reason"]) == (None, "stop")


def test_nothing_finishes_before_the_engine_says_so() -> None:
    told = ChatStream(HEAD).encode([MIXED])
    assert told.count(b'"finish_reason":null') == 4
    assert told.count(b'"finish_reason"') == 4


@pytest.mark.parametrize("chunks", [[], TEXT[:1], TWO[:2], [USAGE]])
def test_a_broken_off_generation_never_looks_whole(chunks: list[Chunk]) -> None:
    with pytest.raises(BadReply, match="broke off") as caught:
        stream(chunks)
    assert caught.value.retryable
    with pytest.raises(BadReply, match="broke off"):
        collect(chunks)


def test_an_empty_answer_is_an_answer() -> None:
    assert len(events(STREAM, stream([STOP]))) == 2
    assert choice([STOP])["message"]["content"] == ""


def test_a_collected_text() -> None:
    reply = collect(TEXT)
    assert reply["object"] == "chat.completion"
    assert reply["model"] == 'a"b%d'
    assert reply["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": 'Hello "é"\n', "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert reply["usage"]["prompt_tokens_details"]["cached_tokens"] == 5


def test_collected_tool_calls() -> None:
    found = choice(TOOLS)
    assert found["finish_reason"] == "tool_calls"
    assert found["message"]["content"] is None
    assert found["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_collected_logprobs() -> None:
    first, second = choice(LOGPROBS)["logprobs"]["content"]
    assert first == {
        "token": "\ufffd",
        "logprob": -0.1,
        "bytes": [195],
        "top_logprobs": [{"token": "é", "logprob": -0.1, "bytes": [195, 169]}],
    }
    assert (second["logprob"], second["bytes"], second["top_logprobs"]) == (-9999.0, None, [])


def test_choices_are_sorted_and_usage_is_one() -> None:
    reply = collect([*TWO, USAGE])
    assert [item["message"]["content"] for item in reply["choices"]] == ["a", "b"]
    assert reply["usage"]["total_tokens"] == 26


@given(
    st.lists(st.tuples(st.integers(0, 2), st.text(max_size=5), st.text(max_size=3)), max_size=12),
    st.lists(st.integers(0, 12), max_size=4),
    st.booleans(),
)
def test_any_batching_gives_the_same_stream_and_the_same_text(
    pieces: list[tuple[int, str, str]], cuts: list[int], include_usage: bool
) -> None:
    chunks = [Chunk(index=i, content=text, reasoning=why) for i, text, why in pieces]
    chunks += [Chunk(index=i, finish_reason="stop") for i in {0, *(i for i, _, _ in pieces)}]
    codec = ChatStream(HEAD, include_usage=include_usage)
    edges = [0, *sorted(cuts), len(chunks)]
    whole = b"".join(codec.encode(chunks[a:b]) for a, b in itertools.pairwise(edges) if a < b)
    assert whole + codec.done() == stream(chunks, include_usage=include_usage)
    collected = collect(chunks)
    for item in collected["choices"]:
        found = deltas(chunks, item["index"])
        assert "".join(delta.get("content") or "" for delta in found) == item["message"]["content"]
        assert "".join(delta.get("reasoning", "") for delta in found) == item["message"].get(
            "reasoning", ""
        )


def test_every_event_is_one_line_of_json() -> None:
    for line in stream(TOOLS, include_usage=True).split(b"\n\n")[:-2]:
        assert b"\n" not in line
        assert json.loads(line.removeprefix(b"data: "))["id"] == "chatcmpl-1"
