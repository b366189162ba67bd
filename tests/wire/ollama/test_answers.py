"""Answers as the native API writes them: a line per piece, or one object."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import BadReply
from reshore.types import Chunk, Timings, TokenLogprob, ToolCallDelta, TopLogprob, Usage
from reshore.wire.ollama.answers import Answer, ChatShape, GenerateShape, Shape, encode_loading

NOW_NS = 1_777_000_000_123_456_789
CREATED = "2026-04-24T03:06:40.123456789Z"
STOP = Chunk(finish_reason="stop")
COUNTS = Chunk(
    index=-1,
    usage=Usage(prompt_tokens=9, completion_tokens=2, cached_tokens=5),
    timings=Timings(load_ms=0, prefill_ms=1.5, decode_ms=20),
)
CALLS = [
    Chunk(
        tool_calls=(
            ToolCallDelta(index=0, id="call_1", name="f"),
            ToolCallDelta(index=1, id="call_2", name="g", arguments="{}"),
        )
    ),
    Chunk(tool_calls=(ToolCallDelta(index=0, arguments='{"z": 1.50,\n "a": "é"}'),)),
    Chunk(finish_reason="tool_calls"),
    COUNTS,
]


def answer(shape: Shape | None = None, rivals: int = 0) -> Answer:
    return Answer('a"b', shape or ChatShape(), rivals=rivals, now=lambda: NOW_NS)


def lines(data: bytes) -> list[dict[str, Any]]:
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def test_a_chat_is_a_line_per_piece_and_one_with_the_counts() -> None:
    one = answer()
    data = one.encode([Chunk(content="Hi"), Chunk(content=' "é"\n')]) + one.encode([STOP, COUNTS])
    assert lines(data + one.last(30.0)) == [
        {
            "model": 'a"b',
            "created_at": CREATED,
            "message": {"role": "assistant", "content": "Hi"},
            "done": False,
        },
        {
            "model": 'a"b',
            "created_at": CREATED,
            "message": {"role": "assistant", "content": ' "é"\n'},
            "done": False,
        },
        {
            "model": 'a"b',
            "created_at": CREATED,
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "total_duration": 30_000_000,
            "load_duration": 1,
            "prompt_eval_count": 9,
            "prompt_eval_cached_count": 5,
            "prompt_eval_duration": 1_500_000,
            "eval_count": 2,
            "eval_duration": 20_000_000,
        },
    ]


def test_a_completion_has_a_response_instead_of_a_message() -> None:
    one = answer(GenerateShape())
    piece, last = lines(one.encode([Chunk(content="Hi"), STOP, COUNTS]) + one.last(1, context=[1]))
    assert (piece["response"], last["response"], last["context"]) == ("Hi", "", [1])
    assert "message" not in piece


@pytest.mark.parametrize("shape", [ChatShape(), GenerateShape()])
def test_thoughts_stand_beside_the_text(shape: Shape) -> None:
    one = answer(shape)
    thought, text = lines(one.encode([Chunk(reasoning="hm"), Chunk(content="42")]))
    holder = thought.get("message", thought)
    assert (holder["thinking"], holder.get("content", holder.get("response"))) == ("hm", "")
    assert "thinking" not in text.get("message", text)


def test_calls_come_whole_at_the_end_with_their_arguments_as_written() -> None:
    data = answer().encode(CALLS)
    (line,) = lines(data)
    assert b'"arguments":{"z": 1.50,  "a": "\xc3\xa9"}' in data
    assert line["message"]["tool_calls"] == [
        {"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {"z": 1.5, "a": "é"}}},
        {"id": "call_2", "function": {"index": 1, "name": "g", "arguments": {}}},
    ]
    one = answer()
    one.add(CALLS)
    body = json.loads(one.body(1))
    assert body["message"]["tool_calls"] == line["message"]["tool_calls"]
    assert body["done_reason"] == "stop"


def test_a_call_that_was_cut_is_left_out_and_the_reason_says_so() -> None:
    cut = [
        Chunk(tool_calls=(ToolCallDelta(index=0, id="1", name="f", arguments='{"a": '),)),
        Chunk(finish_reason="length"),
        COUNTS,
    ]
    one = answer()
    one.add(cut)
    body = json.loads(one.body(1))
    assert "tool_calls" not in body["message"]
    assert body["done_reason"] == "length"


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "nothing"])
def test_arguments_that_are_no_object_are_an_error(arguments: str) -> None:
    call = Chunk(tool_calls=(ToolCallDelta(index=0, id="1", name="f", arguments=arguments),))
    with pytest.raises(BadReply, match="called f with arguments"):
        answer().encode([call, Chunk(finish_reason="tool_calls")])


TOP = (TopLogprob(token="é", logprob=-0.1, bytes=(195, 169)), TopLogprob(token="e", logprob=-2))
TOKEN = TokenLogprob(token="é", logprob=-0.1, bytes=(195, 169), top=TOP)


def test_logprobs_come_with_their_piece_and_the_rivals_asked_for() -> None:
    (line,) = lines(answer(rivals=1).encode([Chunk(content="é", logprobs=(TOKEN,))]))
    own = {"token": "é", "logprob": -0.1, "bytes": [195, 169]}
    assert line["logprobs"] == [{**own, "top_logprobs": [own]}]
    (line,) = lines(answer().encode([Chunk(logprobs=(TOKEN,))]))
    assert line["logprobs"] == [own]
    impossible = TokenLogprob(token="x", logprob=float("-inf"))
    (line,) = lines(answer().encode([Chunk(logprobs=(impossible,))]))
    assert line["logprobs"] == [{"token": "x", "logprob": -9999.0, "bytes": [120]}]


def test_an_answer_without_an_end_is_never_closed() -> None:
    one = answer()
    one.encode([Chunk(content="Hi")])
    with pytest.raises(BadReply):
        one.last(1)
    with pytest.raises(BadReply):
        one.body(1)


@given(st.lists(st.text(max_size=5), max_size=6), st.sampled_from(["stop", "length"]))
def test_a_stream_and_an_object_say_the_same(texts: list[str], finish: Any) -> None:
    chunks = [*(Chunk(content=text) for text in texts), Chunk(finish_reason=finish), COUNTS]
    streamed, collected = answer(GenerateShape()), answer(GenerateShape())
    collected.add(chunks)
    *pieces, last = lines(streamed.encode(chunks) + streamed.last(5))
    body = json.loads(collected.body(5))
    assert "".join(piece["response"] for piece in pieces) == body["response"] == streamed.text
    assert last | {"response": body["response"]} == body


def test_loading_says_what_was_done() -> None:
    body = json.loads(encode_loading("m", GenerateShape(), unloads=True, now=lambda: NOW_NS))
    assert body == {
        "model": "m",
        "created_at": CREATED,
        "response": "",
        "done": True,
        "done_reason": "unload",
    }
    chat = json.loads(encode_loading("m", ChatShape(), unloads=False))
    assert (chat["message"]["content"], chat["done_reason"]) == ("", "load")
