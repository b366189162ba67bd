"""Legacy completions as OpenAI writes them."""

from typing import Any

import pytest

from reshore.errors import BadReply
from reshore.types import Chunk, TokenLogprob, TopLogprob, Usage
from reshore.wire.openai.encode import Head
from reshore.wire.openai.encode_completion import CompletionCollector, CompletionStream

from .contract import check, events, golden

HEAD = Head(id="cmpl-1", created=1700000000, model="m%d", fingerprint="fp_1")
REPLY = "CreateCompletionResponse"
USAGE = Chunk(index=-1, usage=Usage(prompt_tokens=2, completion_tokens=3))
TOP = (TopLogprob(token=" b", logprob=-0.2), TopLogprob(token=" c", logprob=float("-inf")))
TEXT = [
    Chunk(content="echoed "),
    Chunk(content=" a", logprobs=(TokenLogprob(token=" a", logprob=-1.5, top=TOP),)),
    Chunk(content="é!", logprobs=tuple(TokenLogprob(token=t, logprob=-0.5) for t in "é!")),
    Chunk(finish_reason="length"),
    USAGE,
]
TWO = [
    Chunk(index=1, content="b", finish_reason="stop"),
    Chunk(content="a", finish_reason="stop"),
]


def stream(chunks: list[Chunk], *, include_usage: bool = False) -> bytes:
    codec = CompletionStream(HEAD, include_usage=include_usage)
    return b"".join(codec.encode([chunk]) for chunk in chunks) + codec.done()


def collect(chunks: list[Chunk]) -> dict[str, Any]:
    collector = CompletionCollector(HEAD)
    collector.add(chunks)
    return check(REPLY, collector.body())


@pytest.mark.parametrize(("name", "include_usage"), [("text.sse", False), ("usage.sse", True)])
def test_golden_streams(name: str, include_usage: bool) -> None:
    found = stream(TEXT, include_usage=include_usage)
    assert found == golden(f"completion_{name}")


def test_a_batch_is_the_same_as_its_chunks() -> None:
    codec = CompletionStream(HEAD)
    assert codec.encode(TEXT) + codec.done() == stream(TEXT)


def test_events_have_the_shape_of_a_reply() -> None:
    *texts, last = (event["choices"][0] for event in _events(TEXT))
    assert [item["text"] for item in texts] == ["echoed ", " a", "é!"]
    assert (last["text"], last["finish_reason"], last["logprobs"]) == ("", "length", None)


def _events(chunks: list[Chunk]) -> list[dict[str, Any]]:
    # The specification has no schema of its own for events; `finish_reason` is null until the end.
    codec = CompletionStream(HEAD)
    data = codec.encode(chunks).replace(b'"finish_reason":null', b'"finish_reason":"stop"')
    found = events(REPLY, data + codec.done())
    for event in found[:-1]:
        event["choices"][0]["finish_reason"] = None
    return found


def test_offsets_count_characters_after_an_echoed_prompt() -> None:
    assert collect(TEXT)["choices"][0]["logprobs"] == {
        "tokens": [" a", "é", "!"],
        "token_logprobs": [-1.5, -0.5, -0.5],
        "top_logprobs": [
            {" b": -0.2, " c": -9999.0, " a": -1.5},
            {"é": -0.5},
            {"!": -0.5},
        ],
        "text_offset": [7, 9, 10],
    }


def test_streamed_offsets_are_those_of_the_whole_text() -> None:
    streamed = [event["choices"][0]["logprobs"] for event in _events(TEXT)]
    offsets = [offset for item in streamed if item for offset in item["text_offset"]]
    assert offsets == [7, 9, 10]


def test_choices_are_sorted() -> None:
    reply = collect(TWO)
    assert [(item["index"], item["text"]) for item in reply["choices"]] == [(0, "a"), (1, "b")]
    assert "usage" not in reply


def test_usage() -> None:
    assert collect(TEXT)["usage"]["total_tokens"] == 5


@pytest.mark.parametrize("chunks", [[], TEXT[:2], [USAGE], [*TWO, Chunk(index=2, content="c")]])
def test_a_broken_off_generation_never_looks_whole(chunks: list[Chunk]) -> None:
    with pytest.raises(BadReply, match="broke off"):
        stream(chunks)
    with pytest.raises(BadReply, match="broke off"):
        collect(chunks)
