"""Replies of all kinds of upstreams keep the contract of chunks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reshore.errors import BadReply
from reshore.types import Chunk, TokenLogprob, ToolCallDelta, TopLogprob, Usage
from reshore.wire.openai.reply import ReplyDecoder
from reshore.wire.sse import SseDecoder

DATA = Path(__file__).parent.parent.parent / "data"


def delta(index: int = 0, finish: str | None = None, **said: Any) -> bytes:
    choice = {"index": index, "delta": said, "finish_reason": finish}
    return json.dumps({"choices": [choice]}).encode()


def decoded(*payloads: bytes) -> list[Chunk]:
    decoder = ReplyDecoder("cloud")
    chunks = [chunk for payload in payloads for chunk in decoder.event(payload)]
    return chunks + decoder.end()


STOP = Chunk(finish_reason="stop")


@pytest.mark.parametrize(
    ("said", "chunk"),
    [
        ({"content": "Hi"}, Chunk(content="Hi")),
        ({"reasoning_content": "Hm"}, Chunk(reasoning="Hm")),
        ({"reasoning": "Hm"}, Chunk(reasoning="Hm")),
        ({"refusal": "No"}, Chunk(content="No")),
        (
            {"content": [{"type": "text", "text": "Hi"}, {"type": "thinking"}, 7]},
            Chunk(content="Hi"),
        ),
    ],
)
def test_what_is_said_has_many_names(said: dict[str, Any], chunk: Chunk) -> None:
    assert decoded(delta(**said), delta(finish="stop")) == [chunk, STOP]


def test_events_without_news_give_nothing() -> None:
    empty = (delta(role="assistant", content=""), b'{"choices":[]}', b"{}")
    assert decoded(*empty, delta(finish="stop"), delta(content="")) == [STOP]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("function_call", "tool_calls"),
        ("eos", "stop"),
    ],
)
def test_reasons_to_finish_are_openais(theirs: str, ours: str) -> None:
    assert decoded(delta(finish=theirs))[0].finish_reason == ours


def test_counts_come_last_wherever_they_stood() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    early = json.dumps({"choices": [], "usage": usage}).encode()
    counts = Chunk(
        index=-1,
        usage=Usage(prompt_tokens=5, completion_tokens=7, cached_tokens=4, reasoning_tokens=3),
    )
    assert decoded(early, delta(finish="stop")) == [STOP, counts]


def test_audio_and_images_are_counted_apart() -> None:
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 7,
        "prompt_tokens_details": {"audio_tokens": 2, "image_tokens": 1},
        "completion_tokens_details": {"audio_tokens": 4, "image_tokens": 3},
    }
    last = json.dumps({"choices": [], "usage": usage}).encode()
    assert decoded(delta(finish="stop"), last)[-1].usage == Usage(
        prompt_tokens=5,
        completion_tokens=7,
        prompt_audio_tokens=2,
        prompt_image_tokens=1,
        completion_audio_tokens=4,
        completion_image_tokens=3,
    )


def test_deepseek_counts_its_cache_by_another_name() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": None, "prompt_cache_hit_tokens": 2}
    last = json.dumps({"choices": [], "usage": usage}).encode()
    assert decoded(delta(finish="stop"), last)[-1].usage == Usage(prompt_tokens=5, cached_tokens=2)


def call(index: int | None, id: str | None = None, name: str | None = None, more: str = "") -> Any:
    found: dict[str, Any] = {"function": {"arguments": more}}
    if index is not None:
        found["index"] = index
    if id:
        found["id"] = id
        found["function"]["name"] = name
    return found


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 1),  # OpenAI
        (3, 8),  # as some count on from the text
        (0, 0),  # Google's first version
        (None, None),  # and its second
    ],
)
def test_calls_are_numbered_from_zero(numbers: tuple[int | None, int | None]) -> None:
    one, two = numbers
    deltas = [
        call(one, "a", "f"),
        call(one, None, None, '{"x":'),
        call(one, None, None, "1}"),
        call(two, "b", "g", "{}"),
    ]
    chunks = decoded(*(delta(tool_calls=[piece]) for piece in deltas), delta(finish="tool_calls"))
    assert [chunk.tool_calls for chunk in chunks[:-1]] == [
        (ToolCallDelta(index=0, id="a", name="f"),),
        (ToolCallDelta(index=0, arguments='{"x":'),),
        (ToolCallDelta(index=0, arguments="1}"),),
        (ToolCallDelta(index=1, id="b", name="g", arguments="{}"),),
    ]


def test_an_id_that_is_repeated_is_given_once() -> None:
    """vLLM repeats id and name in every piece."""
    pieces = [call(0, "a", "f", "{"), call(0, "a", "f", "}")]
    chunks = decoded(*(delta(tool_calls=[piece]) for piece in pieces), delta(finish="stop"))
    assert chunks[1].tool_calls == (ToolCallDelta(index=0, arguments="}"),)


def test_a_whole_reply_is_one_batch() -> None:
    message = {
        "role": "assistant",
        "content": None,
        "reasoning": "Hm",
        "tool_calls": [call(None, "a", "f", "{}"), call(None, "b", "f", "{}")],
    }
    body = {
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    assert decoded(json.dumps(body).encode()) == [
        Chunk(
            reasoning="Hm",
            tool_calls=(
                ToolCallDelta(index=0, id="a", name="f", arguments="{}"),
                ToolCallDelta(index=1, id="b", name="f", arguments="{}"),
            ),
            finish_reason="tool_calls",
        ),
        Chunk(index=-1, usage=Usage(prompt_tokens=1, completion_tokens=2)),
    ]


def test_log_probabilities_of_chats_and_of_texts() -> None:
    token = {
        "token": "é",
        "logprob": -0.5,
        "bytes": [195, 169],
        "top_logprobs": [{"token": "e", "logprob": -1.0}],
    }
    chat = {"index": 0, "delta": {}, "logprobs": {"content": [token]}}
    text = {
        "index": 1,
        "text": "ab",
        "logprobs": {
            "tokens": ["a", "b"],
            "token_logprobs": [None, -0.25],
            "top_logprobs": [None, {"c": -2.0, "b": -0.25}],
        },
    }
    ends = delta(finish="stop"), delta(index=1, finish="stop")
    one, two, *_ = decoded(json.dumps({"choices": [chat, text]}).encode(), *ends)
    assert one.logprobs == (
        TokenLogprob(
            token="é",
            logprob=-0.5,
            bytes=(195, 169),
            top=(TopLogprob(token="e", logprob=-1.0),),
        ),
    )
    assert two.logprobs == (
        TokenLogprob(token="a", logprob=0.0),
        TokenLogprob(
            token="b",
            logprob=-0.25,
            top=(TopLogprob(token="b", logprob=-0.25), TopLogprob(token="c", logprob=-2.0)),
        ),
    )


@pytest.mark.parametrize(
    "payloads",
    [
        (),
        (delta(content="Hi"),),
        (delta(finish="stop"), delta(index=1, content="Hi")),
        (b"[]",),
        (b'{"choices":[{"index":"a"}]}',),
        (b'{"choices":[{"delta":{"tool_calls":{}}}]}',),
        (b"\xff",),
    ],
)
def test_what_is_no_complete_answer_is_an_error(payloads: tuple[bytes, ...]) -> None:
    with pytest.raises(BadReply):
        decoded(*payloads)


@pytest.mark.parametrize("path", sorted(DATA.glob("*.sse")), ids=lambda path: path.stem)
def test_what_openai_really_sends_is_understood(path: Path) -> None:
    payloads = SseDecoder("cloud").feed(path.read_bytes())
    assert payloads.pop() == b"[DONE]"
    chunks = decoded(*payloads)
    finished = [chunk.index for chunk in chunks if chunk.finish_reason]
    assert finished
    assert len(finished) == len(set(finished))
    assert {chunk.index for chunk in chunks} - {-1} == set(finished)


@given(st.lists(st.binary(max_size=60) | st.text(max_size=60).map(str.encode), max_size=3))
def test_anything_at_all_is_at_worst_a_bad_reply(payloads: list[bytes]) -> None:
    with pytest.raises(BadReply):
        decoded(*payloads, b"{}")
